"""How a hole in trades is filled.

Decided here: which pages are fetched, which trades of them are new, which pushes wait so that they come behind them,
when nothing is missing any more, and from when on not. No socket, no thread, no clock.

The exchange does not say from when on a subscription holds. So the fetch that counts is one that was made a while after
the first push that followed the hole, and that has this push in it. What is newer than it is pushed; what is fetched
and pushed all the same is handed out once.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lbank_ws.channels import Topic
from lbank_ws.events import Event, Trade
from lbank_ws.feed.asking import Asking, By, Fetch, FillHabits, Outcome, Step
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.merging import REMEMBERED, Identity, Seen, identity, in_time_order, united


class TradeFill(Asking):
    """Fills the holes of one subscription to trades; see `Fill`.

    Args:
        topic: Which one.
        ways: How trades can be fetched, the best first: REST has them surely, a request was seen without any.
        habits: How it is done.
    """

    def __init__(
        self, topic: Topic, ways: Sequence[By] = ("rest", "request"), habits: FillHabits | None = None
    ) -> None:
        self._seen = Seen()
        self._passed: deque[Trade] = deque(maxlen=REMEMBERED)  # handed out, and not looked at yet
        self._fetched: Counter[Identity] = Counter()  # handed out, and may be pushed yet
        self._fetched_at: datetime | None = None  # when the newest of them was made
        self._held: list[Trade] = []
        self._pages: list[Sequence[Trade]] = []
        self._floor_at: datetime | None = None
        self._first: Trade | None = None  # the first push after the hole
        super().__init__(topic, ways, habits or FillHabits())

    @property
    def seen(self) -> Seen:
        """What was handed out; a resumed client puts what it remembers here."""
        while self._passed:
            if (known := identity(self._passed.popleft())) is not None:
                self._seen.add(known)
            else:
                self._ways = ()  # without moments nothing can be merged
        return self._seen

    @property
    def newest_at(self) -> datetime | None:
        return self.seen.newest_at

    @property
    def is_calm(self) -> bool:
        return not self.is_open and not self._fetched

    def passed(self, event: Event) -> None:
        if isinstance(event, Trade):
            self._passed.append(event)

    def live(self, event: Event, now: Moment) -> Step:
        if not isinstance(event, Trade):
            return Step(live=[event])
        known = identity(event)
        if self.is_open:
            return self._live_in_hole(event, known, now)
        if known is None:
            self._ways = ()  # without moments nothing can be merged
            return Step(live=[event])
        if self._fetched and self._is_fetched(known):
            return Step()
        self.seen.add(known)
        return Step(live=[event])

    def opened(self, since: datetime | None = None) -> None:
        self._pages = []
        self._first = None
        if self.is_open:
            self._interrupted()
            return
        self._reset()
        newest_at = self.seen.newest_at
        self._floor_at = since if newest_at is None or (since is not None and since > newest_at) else newest_at
        self.is_open = self._floor_at is not None

    def tick(self, now: Moment) -> Step:
        if not self.is_open or now.s < self.due_s():
            return Step()
        if self._is_held_too_long(now) or self._is_hopeless():
            return self.given_up(now)
        if self._out is not None:
            return self.failed(self._out, now)
        if not self._ways:
            return self.given_up(now)
        self._pages = []
        self._asked_s = now.s
        return Step(fetch=self._ask(now, self.habits.trades))

    def answered(self, fetch: Fetch, rows: Sequence[Event], now: Moment) -> Step:
        if not self._is_ours(fetch):
            return Step()
        page = in_time_order(row for row in rows if isinstance(row, Trade))
        if fetch.by == "request" and not page:  # the one capture of such an answer has no rows, whatever was traded
            return self._missed(now, other_way=True)
        self._pages.append(page)
        is_last = self._is_joined() if len(self._pages) > 1 else self._reaches_back(page, fetch.size)
        if not is_last and fetch.by == "rest" and (after := self._next_page_after()) is not None:
            return Step(fetch=self._ask(now, self.habits.trades, after))
        return self._round_ended(now, self._missing_before(now, is_whole=is_last))

    def failed(self, fetch: Fetch, now: Moment, *, wait_s: float = 0.0) -> Step:
        if not self._is_ours(fetch):
            return Step()
        return self._missed(now, wait_s, other_way=True)

    def given_up(self, now: Moment) -> Step:
        step = Step()
        if self.is_open:
            self._close(step, self._resumed_at(now))
        return step

    # Pushes while a hole is open.

    def _waiting(self) -> int:
        return len(self._held)

    def _live_in_hole(self, trade: Trade, known: Identity | None, now: Moment) -> Step:
        if self._back_s == math.inf:
            self.back(now)  # it comes, so it was asked for
        if known is None:
            self._ways = ()
        elif self._first is None:
            self._first, self._first_s = trade, now.s
            if self._out is None:
                self._due_s = now.s + self.habits.settle_s
        if known is not None and self._is_fetched(known):
            return Step()
        self._held.append(trade)
        self._held_s = min(self._held_s, now.s)
        is_over = not self._ways or self._is_held_too_long(now)
        return self.given_up(now) if is_over else Step()

    def _is_fetched(self, known: Identity) -> bool:
        """Take a push off the list of those that were fetched before."""
        if self._fetched[known] > 0:
            self._fetched[known] -= 1
            return True
        late_s = self.habits.prove_s
        if self._fetched_at is not None and known.traded_at > self._fetched_at + timedelta(seconds=late_s):
            self._fetched.clear()  # the pushes have come up with what was fetched
        return False

    # Pages: the first holds the newest trades, the others follow each other from the floor on.

    def _reaches_back(self, page: Sequence[Trade], size: int) -> bool:
        """Tell whether the newest trades reach back to the floor, all of its moment included.

        A page that is not full holds everything there is; one that lacks the last trade that was seen is cut short.
        """
        oldest_at = page[0].traded_at if page else None
        if self._floor_at is None or (oldest_at is not None and oldest_at < self._floor_at):
            return True
        return len(page) < size and (not self.seen or oldest_at == self._floor_at)

    def _next_page_after(self) -> datetime | None:
        """Tell after which moment the next page begins; None when there is no use in one."""
        if self._floor_at is None or not self._pages[0] or len(self._pages) > self.habits.pages:
            return None
        if len(self._pages) == 1:
            return _just_before(self._floor_at)
        if not self._pages[-1]:
            return None
        newest_at, before_at = self._pages[-1][-1].traded_at, self._floor_at
        if len(self._pages) > 2:
            before_at = self._pages[-2][-1].traded_at or before_at
        return None if newest_at is None or newest_at <= before_at else _just_before(newest_at)

    def _is_joined(self) -> bool:
        """Tell whether the last page reaches the first one, all of its first moment included."""
        if not self._pages[0] or not self._pages[-1]:
            return False
        head_at, newest_at = self._pages[0][0].traded_at, self._pages[-1][-1].traded_at
        return head_at is not None and newest_at is not None and newest_at > head_at

    def _missing_before(self, now: Moment, *, is_whole: bool) -> datetime | None:
        """Tell until when trades are missing, or None; `is_whole` says that there is no hole between the pages."""
        begins_at = [page[0].traded_at for page in self._pages if page]
        if is_whole and len(self._pages) == 1:
            return None
        if not begins_at:
            return self._resumed_at(now)
        if not is_whole:
            return begins_at[0]
        is_from_floor = self._floor_at is not None and begins_at[1] is not None and begins_at[1] <= self._floor_at
        return None if is_from_floor else begins_at[1]

    # What a round of pages is worth.

    def _missed(self, now: Moment, wait_s: float = 0.0, *, other_way: bool = False) -> Step:
        return Step() if self._miss(now, wait_s, other_way=other_way) else self.given_up(now)

    def _round_ended(self, now: Moment, missing_before: datetime | None) -> Step:
        trades = united(self._pages)
        found = self._found(trades)
        for known in filter(None, map(identity, found)):
            self._fetched[known] += 1
            self._fetched_at = known.traded_at
            self.seen.add(known)
        self._filled += len(found)
        step = Step(filled=self._with_held(found, trades))
        if not self._proves():
            self._wait_for_proof()
        elif self._first is not None and not _holds(trades, self._first):
            # The answer is older than the push: REST lags behind.
            if not self._miss(now):
                self._close(step, self._first.traded_at)
        else:
            self._close(step, missing_before)
        return step

    def _found(self, trades: Sequence[Trade]) -> list[Trade]:
        """Give the trades that nobody has seen, up to the first push: what is newer is pushed."""
        if self._floor_at is None:
            return []
        from_at = self._floor_at - timedelta(seconds=self.habits.reorder_s if self.seen else 0)
        until_at = None if self._first is None else self._first.traded_at
        fetched = [
            replace(trade, source="backfill")
            for trade in trades
            if until_at is None or (trade.traded_at is not None and trade.traded_at <= until_at)
        ]
        return self.seen.missing(fetched, self._held, from_at=from_at)

    def _with_held(self, found: list[Trade], trades: Sequence[Trade]) -> list[Event]:
        """Give what was found together with what waits and is not newer: of a line that was lost soon after, say."""
        ends_at = [trade.traded_at for trade in [*trades[-1:], self._first] if trade and trade.traded_at]
        if not trades or not ends_at:
            return []
        newest_at = min(ends_at)
        older = [trade for trade in self._held if trade.traded_at is not None and trade.traded_at <= newest_at]
        self._held = [trade for trade in self._held if trade.traded_at is None or trade.traded_at > newest_at]
        if not self._held:
            self._held_s = math.inf
        for known in filter(None, map(identity, older)):
            self.seen.add(known)
        return list(in_time_order([*found, *older]))

    def _resumed_at(self, now: Moment) -> datetime:
        """Tell from when on everything was pushed; where nothing was, by this machine's clock."""
        first_at = None if self._first is None else self._first.traded_at
        return first_at or now.utc

    def _close(self, step: Step, missing_before: datetime | None) -> None:
        step.outcome = Outcome(self._filled, missing_before)
        if missing_before is not None:
            self.seen.forget_until(_just_before(missing_before))
        step.live += in_time_order(self._held)
        step.live += [trade for trade in self._held if trade.traded_at is None]
        for known in filter(None, map(identity, self._held)):
            self.seen.add(known)
        self._held = []
        self._pages = []
        self.is_open = False


def _holds(trades: Sequence[Trade], pushed: Trade) -> bool:
    """Tell whether a push is among the fetched trades, or older than their newest."""
    known = identity(pushed)
    newest_at = trades[-1].traded_at if trades else None
    if known is None or (newest_at is not None and newest_at > known.traded_at):
        return True
    return any(identity(trade) == known for trade in trades)


def _just_before(moment: datetime) -> datetime:
    """Give the last moment before one; the exchange counts in milliseconds."""
    return moment - timedelta(milliseconds=1)
