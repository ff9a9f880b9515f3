"""The ledger of holes: where each subscription stopped, and what was said about it.

Decided here: when a gap opens, when it does not, and what its two `Gap` values say. Not decided here: how it is filled;
that is `backfill.py`. There is no clock here; time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from lbank_ws.causes import Cause, GapCause
from lbank_ws.channels import Topic
from lbank_ws.events import Event, Gap
from lbank_ws.feed.clock import Moment

_LONG_S = 1.0  # the ends of a gap are true to a second
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def known_until_ns(event: Event) -> int | None:
    """Tell until when an event lets one know the market, in nanoseconds of Unix time on this machine's clock.

    Usually that is when it came. One that took long tells of the moment at which it was sent: what was sent before a
    computer slept is read behind the sleep. None where that cannot be told, because a clock has just jumped.
    """
    age_s = event.age_s
    if age_s is None:
        return event.received_ns if event.sent_s is None else None
    return event.received_ns - round(age_s * 1e9) if age_s > _LONG_S else event.received_ns


class Ledger:
    """The holes of the subscriptions of one client. Used under the lock of whoever owns it.

    A subscription that never brought anything was promised nothing: it has no gap.
    """

    def __init__(self) -> None:
        self._good_ns: dict[Topic, int] = {}
        self._open: dict[Topic, Gap] = {}

    def pushed(self, topic: Topic, event: Event) -> None:
        """Note a push that brought news; a hole that follows begins there."""
        at_ns = known_until_ns(event)
        if at_ns is not None:
            self._good_ns[topic] = at_ns
        else:
            self._good_ns.setdefault(topic, event.received_ns)

    def resumed(self, topic: Topic, last_at: datetime) -> Gap:
        """Open the gap between two runs; `last_at` is when the last good push of the earlier one was received."""
        gap = self._open[topic] = Gap(topic, started_at=last_at, ended_at=None, cause=GapCause.STOPPED)
        return gap

    def opened(self, topics: Iterable[Topic], cause: Cause | GapCause) -> list[Gap]:
        """Open a gap for each of these that brought something; give those that were not open already.

        A gap that is open stays the one gap, with its first cause, however often the line drops before it is closed.
        """
        why = GapCause.of(cause) if isinstance(cause, Cause) else cause
        gaps = []
        for topic in topics:
            good_ns = self._good_ns.get(topic)
            if good_ns is None or topic in self._open:
                continue
            started_at = _EPOCH + timedelta(microseconds=good_ns // 1000)
            self._open[topic] = Gap(topic, started_at=started_at, ended_at=None, cause=why)
            gaps.append(self._open[topic])
        return gaps

    def closed(
        self,
        topic: Topic,
        now: Moment,
        *,
        filled: int = 0,
        missed: int | None = None,
        missing_before: datetime | None = None,
    ) -> Gap | None:
        """Close a gap and give it; None when none is open.

        Args:
            topic: Whose it is.
            now: When data came again.
            filled: How many events were fetched.
            missed: How many there were to fetch, where that is known.
            missing_before: Until when data is missing all the same. Of a ticker and a book what lies between is never
                known, so it is when data came again.
        """
        gap = self._open.pop(topic, None)
        if gap is None:
            return None
        # A wall clock may be set back in between, and no hole ends before it begins.
        ended_at = max(now.utc, gap.started_at)
        return replace(gap, ended_at=ended_at, missed=missed, filled=filled, missing_before=missing_before)

    def left(self, topic: Topic) -> None:
        """Forget a topic that is wanted no more; what is missing of it is nobody's concern."""
        self._good_ns.pop(topic, None)
        self._open.pop(topic, None)

    def open_gaps(self) -> list[Gap]:
        """Give the gaps that are open, in the order in which they were opened."""
        return list(self._open.values())

    def has_open(self) -> bool:
        """Tell whether any gap is open."""
        return bool(self._open)

    def is_open(self, topic: Topic) -> bool:
        """Tell whether a topic has a gap now."""
        return topic in self._open

    def good_at(self, topic: Topic) -> datetime | None:
        """Tell when the last good push of a topic was received, or None when there was none."""
        good_ns = self._good_ns.get(topic)
        return None if good_ns is None else _EPOCH + timedelta(microseconds=good_ns // 1000)
