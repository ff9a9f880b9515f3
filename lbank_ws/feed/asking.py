"""What filling trades and filling bars have in common: fetches and outcomes, when to fetch, how often to try.

Decided here: how long a subscription takes to hold, which answer proves that nothing more is missing, how many fetches
may fail, how long a push may wait. What is asked for and what becomes of the rows is decided in `trade_fill.py` and
`bar_fill.py`. No socket, no thread, no clock: time comes in as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from lbank_ws.channels import Topic
from lbank_ws.events import Event
from lbank_ws.feed.clock import Moment

MOST_TRADES = 500  # one call gives at most so many. Source: docs/reference/wire.md, "REST".
MOST_BARS = 1440  # of a request; REST gives 2,000. Source: docs/reference/wire.md, "V2 one-shot requests".

By = Literal["request", "rest"]


@dataclass(frozen=True)
class FillHabits:
    """How holes are filled; lengths in seconds.

    Attributes:
        settle_s: So long after a push, or after a subscription was asked for, everything before it can be fetched.
        prove_s: So long after it was asked for a subscription holds, though nothing came of it.
        again_s: Between two tries.
        hold_s: No push waits longer than this; the hole stays as it is then.
        held: So many pushes may wait; likewise.
        answer_s: A call over REST without an answer for so long has failed.
        reply_s: A request over the line likewise.
        tries: How many fetches may fail, or bring too little, before what is missing is called missing.
        trades: How many one call gives at most.
        bars: Likewise.
        pages: How many fetches reach back one behind the other.
        reorder_s: Trades may be pushed so much out of order.
    """

    settle_s: float = 1.0
    prove_s: float = 10.0
    again_s: float = 0.5
    hold_s: float = 10.0
    held: int = 1000
    answer_s: float = 6.0
    reply_s: float = 3.0
    tries: int = 4
    trades: int = MOST_TRADES
    bars: int = MOST_BARS
    pages: int = 10
    reorder_s: float = 1.0


class Fetch(NamedTuple):
    """One thing to fetch.

    Attributes:
        number: Tells its answer from that of another fetch.
        topic: Of which subscription.
        by: A one-shot request over the line of the subscription, or a call over REST.
        size: How many rows at most.
        start_at: Bars from here on; trades after this moment, the newest ones when it is None.
        end_at: Bars up to here; None on trades.
    """

    number: int
    topic: Topic
    by: By
    size: int
    start_at: datetime | None = None
    end_at: datetime | None = None


class Outcome(NamedTuple):
    """What became of a hole.

    Attributes:
        filled: How many events were fetched for it.
        missing_before: Until when data is missing all the same, on the exchange's clock; None where nothing is.
    """

    filled: int
    missing_before: datetime | None


@dataclass
class Step:
    """What is to be done, in this order.

    Attributes:
        fetch: What to fetch now, or None.
        filled: Fetched events to hand out, and pushes that belong between them.
        outcome: The hole is closed now, or None.
        live: Pushes to hand out.
        skipped: A hole begins here that no outage explains: open a gap for it.
    """

    fetch: Fetch | None = None
    filled: list[Event] = field(default_factory=list)
    outcome: Outcome | None = None
    live: list[Event] = field(default_factory=list)
    skipped: bool = False


class Fill(Protocol):
    """Fills the holes of one subscription. Used under the lock of whoever owns it."""

    @property
    def is_calm(self) -> bool:
        """Whether `live` would hand out every push as it is; then `passed` may take its place."""

    @property
    def is_open(self) -> bool:
        """Whether a hole is being filled."""

    @property
    def newest_at(self) -> datetime | None:
        """When the newest trade was made, or where the newest bar starts, that was handed out; None without one."""

    def passed(self, event: Event) -> None:
        """Note a push that is handed out."""

    def live(self, event: Event, now: Moment) -> Step:
        """Take a push."""

    def opened(self, since: datetime | None = None) -> None:
        """Note that a hole begins; pushes that come wait from now on. Without a beginning there is no hole.

        Args:
            since: From when on something is missing, on the exchange's clock, where no event was seen that tells it.
        """

    def back(self, now: Moment) -> None:
        """Note that the subscription is asked for; once more on the same line changes nothing."""

    def tick(self, now: Moment) -> Step:
        """Do what time alone asks for."""

    def answered(self, fetch: Fetch, rows: Sequence[Event], now: Moment) -> Step:
        """Take the answer to a fetch; one that is waited for no more gives an empty step."""

    def failed(self, fetch: Fetch, now: Moment, *, wait_s: float = 0.0) -> Step:
        """Take it that there was none; `wait_s` is for how long REST wants no further call."""

    def due_s(self) -> float:
        """Tell when `tick` has something to do, on the monotonic clock; infinity for never."""

    def given_up(self, now: Moment) -> Step:
        """Hand out what waits, because the client ends; an open hole stays as it is."""


class Asking:
    """When to fetch, and how often: what filling trades and filling bars have in common.

    Args:
        topic: Of which subscription.
        ways: How something can be fetched, the best first; empty where nothing can.
        habits: How it is done.
    """

    def __init__(self, topic: Topic, ways: Sequence[By], habits: FillHabits) -> None:
        self.topic = topic
        self.habits = habits
        self.is_open = False
        self._ways = ways
        self._number = 0
        self._reset()

    def _reset(self) -> None:
        self._back_s = math.inf  # since when the subscription is asked for
        self._first_s = math.inf  # when the first push came after that
        self._held_s = math.inf  # when the first one that waits came
        self._due_s = math.inf  # when the next fetch is due
        self._out: Fetch | None = None
        self._out_s = math.inf  # when it was made
        self._asked_s = -math.inf  # when the first page of this round was asked for
        self._misses = 0
        self._way = 0
        self._filled = 0

    def due_s(self) -> float:
        if not self.is_open:
            return math.inf
        next_s = self._due_s if self._out is None else self._late_s(self._out)
        return min(next_s, self._held_s + self.habits.hold_s)

    def _late_s(self, fetch: Fetch) -> float:
        """Tell when an answer comes no more."""
        return self._out_s + (self.habits.answer_s if fetch.by == "rest" else self.habits.reply_s)

    def _is_hopeless(self) -> bool:
        """Tell whether nothing answers: the line was asked and said nothing, and there is no other way."""
        return self._out is not None and self._out.by == "request" and len(self._ways) == 1

    def back(self, now: Moment) -> None:
        if self.is_open and self._back_s == math.inf:
            self._back_s = now.s
            self._due_s = now.s + self.habits.settle_s
            self._held_s = now.s if self._waiting() else math.inf

    def _waiting(self) -> int:
        """Tell how many pushes wait."""
        raise NotImplementedError

    def _interrupted(self) -> None:
        """Wait for the line, with what came since the hole began: both holes become one."""
        self._out = None
        self._due_s = self._back_s = self._first_s = self._held_s = math.inf

    def _ask(self, now: Moment, size: int, start_at: datetime | None = None, end_at: datetime | None = None) -> Fetch:
        self._number += 1
        by = self._ways[self._way % len(self._ways)]
        self._out = Fetch(self._number, self.topic, by, size, start_at, end_at)
        self._out_s = now.s
        self._due_s = math.inf
        return self._out

    def _is_ours(self, fetch: Fetch) -> bool:
        """Take the answer off the list; False when it is waited for no more."""
        if not self.is_open or self._out is None or fetch.number != self._out.number:
            return False
        self._out = None
        return True

    def _miss(self, now: Moment, wait_s: float = 0.0, *, other_way: bool = False) -> bool:
        """Count a fetch that brought too little, and plan the next; False when there were enough of them."""
        self._misses += 1
        self._way += other_way
        self._due_s = now.s + max(wait_s, self.habits.again_s)
        return self._misses < self.habits.tries

    def _proves(self) -> bool:
        """Tell whether the last round was asked for late enough to have everything in it that no push brings."""
        late_enough_s = min(self._first_s + self.habits.settle_s, self._back_s + self.habits.prove_s)
        return self._asked_s >= late_enough_s

    def _wait_for_proof(self) -> None:
        self._due_s = min(self._first_s + self.habits.settle_s, self._back_s + self.habits.prove_s)

    def _is_held_too_long(self, now: Moment) -> bool:
        return now.s >= self._held_s + self.habits.hold_s or self._waiting() > self.habits.held
