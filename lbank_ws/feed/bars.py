"""Which bar follows which, which one is wrong, and which version of one counts.

Decided here: that the highest price is the highest, that a hole between two bars is a gap, that a bar has closed when
the next one starts, and that of two versions of a bar the newer one counts. Nothing is invented: a bar that the
exchange does not tell of does not exist. There is no clock here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from lbank_ws.causes import Flaw
from lbank_ws.events import Kline

_UTC8 = timezone(timedelta(hours=8))
_LENGTHS = {
    "1min": timedelta(minutes=1),
    "5min": timedelta(minutes=5),
    "15min": timedelta(minutes=15),
    "30min": timedelta(minutes=30),
    "1hr": timedelta(hours=1),
    "4hr": timedelta(hours=4),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_MONTHS = {"month": 1, "year": 12}


def next_opening(interval: str, opened_at: datetime) -> datetime:
    """Give where the bar after the one that opened then starts.

    The exchange cuts its bars on the clock of UTC+8, so that a month has as many days as it has there.
    Source: docs/reference/wire.md, "Kline intervals".
    """
    length = _LENGTHS.get(interval)
    if length is not None:
        return opened_at + length
    there = opened_at.astimezone(_UTC8)
    months = there.year * 12 + there.month - 1 + _MONTHS[interval]
    return there.replace(year=months // 12, month=months % 12 + 1, day=1).astimezone(timezone.utc)


def checked(bar: Kline) -> Kline:
    """Give the bar, with its fault where its prices contradict each other."""
    is_possible = bar.high >= max(bar.open, bar.close) and bar.low <= min(bar.open, bar.close)
    return bar if is_possible else replace(bar, fault=Flaw.IMPOSSIBLE)


def is_newer(bar: Kline, other: Kline) -> bool:
    """Tell whether a version of a bar is at least as new as another one of the same bar.

    A bar only grows. Where the exchange does not say when it sent both, the larger one is the newer.
    """
    if bar.exchange_at is not None and other.exchange_at is not None:
        return bar.exchange_at >= other.exchange_at
    return bar.volume >= other.volume


def merged(bars: Iterable[Kline]) -> list[Kline]:
    """Give the newest version of each bar, in order, all but the last one closed; faulty ones are left out.

    Args:
        bars: Of one pair and interval, fetched and live, in any order.
    """
    newest: dict[datetime, Kline] = {}
    for bar in map(checked, bars):
        known = newest.get(bar.opened_at)
        if bar.fault is None and (known is None or is_newer(bar, known)):
            newest[bar.opened_at] = bar
    found = [newest[opened_at] for opened_at in sorted(newest)]
    return [*(_closed(bar) for bar in found[:-1]), *found[-1:]]


def holes(bars: Iterable[Kline]) -> list[tuple[datetime, datetime]]:
    """Give every hole between bars that are in order: where the first missing bar starts, and where the hole ends."""
    found = []
    last: Kline | None = None
    for bar in bars:
        if last is not None and (due_at := next_opening(last.interval, last.opened_at)) < bar.opened_at:
            found.append((due_at, bar.opened_at))
        last = bar
    return found


class Series:
    """The bars of one pair and interval as they come.

    Attributes:
        last: The newest version of the newest good bar, or None.
    """

    def __init__(self) -> None:
        self.last: Kline | None = None

    def skips(self, bar: Kline) -> bool:
        """Tell whether bars are missing between the last one and this."""
        return self.last is not None and next_opening(bar.interval, self.last.opened_at) < bar.opened_at

    def put(self, bar: Kline, *, is_joined: bool = True) -> list[Kline]:
        """Take a bar; give what is to be handed out: before the first version of a new bar, the last one as closed.

        A version that is older than the one that came before gives nothing. A faulty bar is handed out with its fault,
        and counts for nothing else.

        Args:
            bar: The newest bar, or an older one that comes late.
            is_joined: Whether everything came that lies between the last bar and this; otherwise it is not known how
                the last one ended.
        """
        bar = checked(bar)
        if bar.fault is not None:
            return [bar]
        last = self.last
        if last is not None and bar.opened_at < last.opened_at:
            return [_closed(bar)]
        if last is not None and bar.opened_at == last.opened_at and not is_newer(bar, last):
            return []
        self.last = bar
        if last is None or last.opened_at == bar.opened_at or last.closed or not is_joined:
            return [bar]
        return [_closed(last), bar]


def _closed(bar: Kline) -> Kline:
    return bar if bar.closed else replace(bar, closed=True)
