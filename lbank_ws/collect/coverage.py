"""How much of a run's time is covered, from its holes.

Decided here: which part of a hole is missing in the end. There is no file, no thread and no clock here.

A run is to cover the time from its start to its end, for every subscription. Missing of that is:

- the time before the subscription was live, unless a hole since the run before it reaches over its start: then it is
  that hole that counts;
- of a hole of trades or bars, what could not be fetched: up to `missing_before`, and all of it while it is open;
- of a hole that slow callbacks made, all of it, unless as many were fetched as are missing;
- of a hole of a ticker or a book, all of it: nothing can be fetched of those.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from lbank_ws.causes import GapCause
from lbank_ws.events import Gap


class Coverage(NamedTuple):
    """How much of a run one subscription covers.

    Attributes:
        window_s: How long the run was, in seconds.
        missing_s: How much of it is not covered.
    """

    window_s: float
    missing_s: float

    @property
    def percent(self) -> float:
        """The covered part in percent, rounded down, so that 100 means all of it."""
        window_us, missing_us = round(self.window_s * 1e6), round(self.missing_s * 1e6)
        return 0.0 if window_us <= 0 else (window_us - missing_us) * 100_000 // window_us / 1000


def missing_part(gap: Gap, ended_at: datetime) -> tuple[datetime, datetime] | None:
    """Give the part of a hole in which data is missing in the end, or None.

    Args:
        gap: As it was told of last.
        ended_at: When the run ended; what is open lasts until then.
    """
    if gap.ended_at is None:
        return gap.started_at, ended_at
    if gap.missed is not None and gap.missed > (gap.filled or 0):
        return gap.started_at, gap.ended_at
    if gap.missing_before is None:
        return None
    return gap.started_at, min(gap.ended_at, gap.missing_before)


def coverage(started_at: datetime, ended_at: datetime, live_at: datetime | None, gaps: Iterable[Gap]) -> Coverage:
    """Tell how much of a run is covered.

    Args:
        started_at: When the run began.
        ended_at: When it ended.
        live_at: When the subscription was live for the first time; None when it never was.
        gaps: The holes of this subscription, as the run told of them last.
    """
    holes = []
    reaches_over_start = False
    for gap in gaps:
        reaches_over_start |= gap.cause is GapCause.STOPPED and gap.started_at <= started_at
        if (part := missing_part(gap, ended_at)) is not None:
            holes.append(part)
    if live_at is None or not reaches_over_start:
        holes.append((started_at, ended_at if live_at is None else live_at))
    return Coverage((ended_at - started_at).total_seconds(), _length(holes, started_at, ended_at).total_seconds())


def _length(parts: Iterable[tuple[datetime, datetime]], started_at: datetime, ended_at: datetime) -> timedelta:
    """Give how long parts are together, counted once where they overlap, inside a window."""
    total, until = timedelta(), started_at
    for begin, end in sorted(parts):
        begin, end = max(begin, until), min(end, ended_at)
        if end > begin:
            total += end - begin
            until = end
    return total
