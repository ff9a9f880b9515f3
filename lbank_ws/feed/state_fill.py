"""How the state of an account is fetched and told: what the streams of orders and of balances have in common.

Decided here: how long pushes wait for answers, how soon a failed fetch is repeated, that what was fetched is told
before what waited for it. What is asked for, and which answer is older than a push, is decided in `order_fill.py` and
`balance_fill.py`; how an answer is fetched, in `fetching.py`. The exchange replays nothing, so after every (re)connect
the present state takes the place of what happened meanwhile. No socket, no thread, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from lbank_ws.channels import Topic
from lbank_ws.events import Event
from lbank_ws.feed.asking import Fetch, Outcome, Step
from lbank_ws.feed.clock import Moment

HOLD_S = 3.0  # news of an order is worth more than its place behind the state before it
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


class Ask(NamedTuple):
    """One thing to ask for.

    Attributes:
        pair: Orders of this pair; balances, where it is empty.
        order_id: This order alone; the open ones, where it is empty.
        since: Orders that have ended since then, on the exchange's clock, in place of the open ones.
    """

    pair: str = ""
    order_id: str = ""
    since: datetime | None = None


class StateFill:
    """What the streams of orders and of balances have in common. Used under the lock of whoever owns it.

    Attributes:
        misses: How many fetches in a row have failed.

    Args:
        topic: Which of the two.
    """

    is_calm = False  # each push is held against what was told

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.misses = 0
        self._is_open = False  # something may be missing
        self._held: list[Event] = []
        self._held_s = math.inf  # when the first one that waits came
        self._is_holding = False
        self._due_s = math.inf
        self._out: Fetch | None = None
        self._number = 0

    def passed(self, event: Event) -> None:
        """Do nothing: it is never calm."""

    def opened(self, since: datetime | None = None) -> None:
        """Note that pushes may be missing from now on; what comes after `back` waits."""
        self._is_open = True
        self._is_holding = False
        self._out = None
        self._due_s = math.inf

    def back(self, now: Moment) -> None:
        """Note that the stream is asked for, and begin to fetch what it stands for."""
        self._is_open = self._is_holding = True
        self._out = None
        self._due_s = now.s
        self.misses = 0
        self._begin(now)

    def due_s(self) -> float:
        """Tell when `tick` has something to do."""
        next_s = self._due_s if self._out is None and self._is_open else math.inf
        return min(next_s, self._held_s + HOLD_S)

    def live(self, event: Event, now: Moment) -> Step:
        """Take a push."""
        if self._is_holding:
            self._held.append(event)
            self._held_s = min(self._held_s, now.s)
            return Step()
        return Step(live=[*self._released(), *self._told(event)])

    def tick(self, now: Moment) -> Step:
        """Fetch what is due, and let go what has waited for too long."""
        step = Step()
        if now.s >= self._held_s + HOLD_S:
            step.live = self._released()
            self._is_holding = False
        if self._is_open and self._out is None and now.s >= self._due_s:
            step.fetch = self._next(now)
        return step

    def answered(self, fetch: Fetch, rows: Sequence[Event], now: Moment) -> Step:
        """Take an answer, and ask for the next thing; behind the last one tell what is news."""
        if not self._is_ours(fetch):
            return Step()
        self.misses = 0
        self._take(fetch, rows)
        if (following := self._next(now)) is not None:
            return Step(fetch=following)
        return self._closed()

    def failed(self, fetch: Fetch, now: Moment, *, wait_s: float = 0.0) -> Step:
        """Plan to ask again; the state of an account is not given up while its stream is wanted."""
        if self._is_ours(fetch):
            self._ask_again(fetch)
            self._due_s = now.s + max(wait_s, min(FIRST_WAIT_S * 2.0**self.misses, LONGEST_WAIT_S))
            self.misses = min(self.misses + 1, 10)
        return Step()

    def given_up(self, now: Moment) -> Step:
        """Hand out what waits, because the client ends."""
        return Step(live=self._released())

    # What the two do differently.

    def _begin(self, now: Moment) -> None:
        """Plan what to ask for."""
        raise NotImplementedError

    def _asked(self) -> Ask | None:
        """Take what to ask for next; None when there is nothing more."""
        raise NotImplementedError

    def _ask_again(self, fetch: Fetch) -> None:
        """Put back what was asked for."""
        raise NotImplementedError

    def _take(self, fetch: Fetch, rows: Sequence[Event]) -> None:
        """Keep an answer."""
        raise NotImplementedError

    def _news(self) -> tuple[list[Event], list[Event]]:
        """Give what of the answers is to be told before what waits, and what behind it."""
        raise NotImplementedError

    def _told(self, event: Event) -> Iterator[Event]:
        """Note that an event is told; nothing comes of one that is older than what was told."""
        raise NotImplementedError

    # How it is done.

    def _next(self, now: Moment) -> Fetch | None:
        asked = self._asked()
        if asked is None:
            return None
        self._number += 1
        self._due_s = now.s
        self._out = Fetch(self._number, self.topic, "rest", 0, asked.since, pair=asked.pair, order_id=asked.order_id)
        return self._out

    def _is_ours(self, fetch: Fetch) -> bool:
        if self._out is None or fetch.number != self._out.number:
            return False
        self._out = None
        return True

    def _closed(self) -> Step:
        before, behind = self._news()
        step = Step(filled=[told for event in before for told in self._told(event)])
        step.live = [*self._released(), *(told for event in behind for told in self._told(event))]
        step.outcome = Outcome(len(before) + len(behind), None)
        self._is_open = self._is_holding = False
        self._due_s = math.inf
        return step

    def _released(self) -> list[Event]:
        held, self._held, self._held_s = self._held, [], math.inf
        return [told for event in held for told in self._told(event)]
