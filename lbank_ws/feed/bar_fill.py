"""How a hole in bars is filled.

Decided here: which bars are fetched, which of them say more than what was pushed, which pushes wait so that they come
behind them, and which bars are closed. The bar in which the hole begins is fetched too: nobody saw its end. No socket,
no thread, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from lbank_ws.channels import Topic
from lbank_ws.events import Event, Kline
from lbank_ws.feed.asking import Asking, By, Fetch, FillHabits, Outcome, Step
from lbank_ws.feed.bars import Series, checked, is_newer, merged, next_opening
from lbank_ws.feed.clock import Moment


class BarFill(Asking):
    """Fills the holes of one subscription to bars; see `Fill`.

    Args:
        topic: Which one.
        ways: How bars can be fetched, the best first: the answer to a request has more columns than that of REST.
        habits: How it is done.
    """

    def __init__(
        self, topic: Topic, ways: Sequence[By] = ("request", "rest"), habits: FillHabits | None = None
    ) -> None:
        self.series = Series()
        self._held: list[Kline] = []
        self._early: list[Kline] = []  # those of a line that was lost while the hole was open
        self._rows: list[Kline] = []
        self._floor_at: datetime | None = None
        self._given: dict[datetime, Kline] = {}  # fetched bars of this hole that were handed out
        super().__init__(topic, ways, habits or FillHabits())

    @property
    def newest_at(self) -> datetime | None:
        return None if self.series.last is None else self.series.last.opened_at

    @property
    def is_calm(self) -> bool:
        return False  # one may close the one before it

    def passed(self, event: Event) -> None:
        raise NotImplementedError

    def live(self, event: Event, now: Moment) -> Step:
        bar = checked(event) if isinstance(event, Kline) else event
        if not isinstance(bar, Kline) or bar.fault is not None:
            return Step(live=[bar])
        if not self.is_open and not self.series.skips(bar):
            return Step(live=list(self.series.put(bar)))
        step = Step(skipped=not self.is_open)
        if step.skipped:
            self.opened()
        if self._back_s == math.inf:
            self.back(now)
        if self._first_s == math.inf:
            self._first_s = now.s
            if self._out is None:
                self._due_s = now.s + self.habits.settle_s
        self._held.append(bar)
        self._held_s = min(self._held_s, now.s)
        if self._is_held_too_long(now):
            self._close(step, self._first_opened_at() or now.utc, now)
        return step

    def opened(self, since: datetime | None = None) -> None:
        self._rows = []
        if self.is_open:
            self._early += self._held
            self._held = []
            self._interrupted()
            return
        self._reset()
        self._given = {}
        self._floor_at = since if self.series.last is None else self.series.last.opened_at
        self.is_open = self._floor_at is not None

    def tick(self, now: Moment) -> Step:
        if not self.is_open or now.s < self.due_s():
            return Step()
        if self._is_held_too_long(now) or self._is_hopeless() or (self._out is None and not self._ways):
            return self.given_up(now)
        if self._out is not None:
            return self.failed(self._out, now)
        self._rows = []
        self._asked_s = now.s
        return Step(fetch=self._ask(now, self.habits.bars, self._floor_at, self._end_at(now)))

    def answered(self, fetch: Fetch, rows: Sequence[Event], now: Moment) -> Step:
        if not self._is_ours(fetch):
            return Step()
        page = merged(
            replace(row, source="backfill")
            for row in rows
            if isinstance(row, Kline) and row.interval == self.topic.interval
        )
        if not page:
            return self._missed(now, other_way=True)
        newest_at = self._rows[-1].opened_at if self._rows else None
        self._rows = merged([*self._rows, *page])
        has_more = len(page) >= fetch.size and (newest_at is None or page[-1].opened_at > newest_at)
        if (
            has_more
            and page[-1].opened_at < (self._first_opened_at() or self._end_at(now))
            and len(self._rows) < self.habits.bars * self.habits.pages
        ):
            return Step(fetch=self._ask(now, self.habits.bars, page[-1].opened_at, self._end_at(now)))
        return self._round_ended(now)

    def failed(self, fetch: Fetch, now: Moment, *, wait_s: float = 0.0) -> Step:
        if not self._is_ours(fetch):
            return Step()
        return self._missed(now, wait_s, other_way=True)

    def given_up(self, now: Moment) -> Step:
        step = Step()
        if self.is_open:
            self._close(step, self._first_opened_at() or now.utc, now)
        return step

    def _waiting(self) -> int:
        return len(self._held) + len(self._early)

    def _first_opened_at(self) -> datetime | None:
        """Tell which bar was the first to be pushed after the hole, or None."""
        return min((bar.opened_at for bar in self._held), default=None)

    def _end_at(self, now: Moment) -> datetime:
        """Tell up to where to ask: a bar too far, rather than one too few."""
        first_at = self._first_opened_at()
        end_at = now.utc if first_at is None else first_at
        return next_opening(str(self.topic.interval), max(end_at, self._floor_at or end_at))

    def _missed(self, now: Moment, wait_s: float = 0.0, *, other_way: bool = False) -> Step:
        return Step() if self._miss(now, wait_s, other_way=other_way) else self.given_up(now)

    def _round_ended(self, now: Moment) -> Step:
        oldest_at, floor_at, first_at = self._rows[0].opened_at, self._floor_at, self._first_opened_at()
        step = Step()
        step.filled += self._fresh(first_at)
        if not self._proves():
            self._wait_for_proof()
        elif first_at is not None and next_opening(str(self.topic.interval), self._rows[-1].opened_at) < first_at:
            if not self._miss(now, other_way=True):
                self._close(step, first_at, now)
        else:
            self._close(step, None if floor_at is None or oldest_at <= floor_at else oldest_at, now)
        return step

    def _fresh(self, first_at: datetime | None) -> list[Event]:
        """Give the fetched bars that say more than what was handed out, older than the first one that was pushed."""
        found: list[Event] = []
        last = self.series.last
        rows = merged([*self._early, *self._rows])
        self._early = []
        self._held_s = self._held_s if self._held else math.inf
        for bar in rows:
            if first_at is not None and bar.opened_at >= first_at:
                break
            is_closed = bar.closed or first_at is not None
            known = self._given.get(bar.opened_at)
            if known is None and last is not None and bar.opened_at <= last.opened_at:
                if bar.opened_at < last.opened_at:
                    continue
                known = last
            if known is not None and not _says_more(bar, known):
                if is_closed and not known.closed:
                    self._given[bar.opened_at] = replace(known, closed=True)
                    found.append(self._given[bar.opened_at])
                continue
            self._filled += bar.source == "backfill" and (known is None or known.source == "live")
            self._given[bar.opened_at] = replace(bar, closed=is_closed)
            found.append(self._given[bar.opened_at])
        return found

    def _close(self, step: Step, missing_before: datetime | None, now: Moment) -> None:
        step.outcome = Outcome(self._filled, missing_before)
        self.is_open = False
        if self._given:
            self.series.last = self._given[max(self._given)]
        for bar in sorted(self._early, key=lambda bar: bar.opened_at):
            step.live += self.series.put(bar, is_joined=False)
        held = sorted(self._held, key=lambda bar: bar.opened_at)
        self._held, self._early, self._rows, self._given = [], [], [], {}
        for number, bar in enumerate(held):
            if number == 0:
                step.live += self.series.put(bar, is_joined=missing_before is None)
                continue
            following = self.live(bar, now)
            step.live += following.live
            step.skipped |= following.skipped


def _says_more(bar: Kline, known: Kline) -> bool:
    """Tell whether a fetched bar says more than another version of it."""
    grown = (bar.high, bar.low, bar.close, bar.volume) != (known.high, known.low, known.close, known.volume)
    return grown and is_newer(bar, known)
