"""The lines of one client, as one.

Decided here: nothing but what several lines are together: their common state, and which end is the end of all. Which
subscription rides on which line is decided in `placement.py`, what a line does in its session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import LBankError, SubscriptionRefused
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.line import Line
from lbank_ws.feed.placement import Placement
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.feed.submissions import Submission
from lbank_ws.feed.wanted import Subscribed, Wanted

# The state of a client is that of its worst line.
_WORST_FIRST = (State.WAITING, State.CONNECTING, State.IDLE, State.CLOSING, State.OPEN, State.CLOSED)


class Pool:
    """The lines of one client. Any thread may call it, guarded by its own lock; a line's lock is taken inside it.

    Args:
        make: Makes the line of that number; the function that it is given is called on the line's end.
        placement: Decides what rides where.
        need_account: Called when something of an account is wanted; raises `UsageError` where that cannot be.
    """

    def __init__(
        self,
        make: Callable[[int, Callable[[], None]], Line],
        placement: Placement,
        need_account: Callable[[], object] = lambda: None,
    ) -> None:
        self._make = make
        self._need_account = need_account
        self._placement = placement
        self._lock = threading.RLock()
        self._has_changed = threading.Event()  # a line ended
        self._for_orders: int | None = None
        self._key: str | None = None
        self._lines: dict[int, Line] = {number: self._made(number) for number in placement.numbers()}
        self._retired: list[Line] = []
        self._is_started = False
        self._is_stopped = False

    # What the caller asks for.

    def subscribe(self, *topics: Topic) -> list[Wanted]:
        """Want all of these topics, or none; lines that are needed for it begin to dial."""
        with self._lock:
            new = [topic for topic in dict.fromkeys(topics) if self._placement.line_of(topic) is None]
            try:
                for number, placed in self._placed(topics).items():
                    self._line(number).check(placed)
                if any(topic.channel.is_private for topic in new):
                    self._need_account()
            except LBankError:
                self._take_back(new)
                raise
            for number, placed in self._placed(topics).items():
                self._line(number).subscribe(placed)
                if self._key is not None and any(topic.channel.is_private for topic in placed):
                    self._line(number).keyed(self._key)
            self._start_new()
            return [wanted for topic in topics if (wanted := self.get(topic)) is not None]

    def unsubscribe(self, *topics: Topic) -> bool:
        """Want these topics no more; False when none of them was wanted. A line without any ends."""
        with self._lock:
            was_wanted = False
            for topic in topics:
                number = self._placement.line_of(topic)
                if number is None:
                    continue
                was_wanted = True
                self._lines[number].unsubscribe(topic)
                if self._placement.leave(topic) is not None:
                    self._retire(number)
            return was_wanted

    def keyed(self, key: str | None) -> None:
        """Give every line that carries something of an account a new subscribe key."""
        with self._lock:
            self._key = key
        for line in self._of_account():
            line.keyed(key)

    def account_refused(self, code: int | None, reason: str, advice: str) -> None:
        """Tell every such line that there is no subscribe key to be had."""
        for line in self._of_account():
            line.account_refused(code, reason, advice)

    def wants_account(self) -> bool:
        """Tell whether anything of an account is wanted, and was not refused."""
        return any(line.look(lambda session: session.subscriptions.of_account()) for line in self._of_account())

    def _of_account(self) -> list[Line]:
        with self._lock:
            topics = [topic for topic in self._placement.topics() if topic.channel.is_private]
            numbers = dict.fromkeys(self._placement.line_of(topic) for topic in topics)
            return [self._lines[number] for number in numbers if number is not None]

    def submit(self, submission: Submission) -> None:
        """Let an order leave over the line for orders, which `open_for_orders` has made; see `Submission`.

        Raises:
            LookupError: There is no such line.
        """
        with self._lock:
            if self._for_orders is None:
                raise LookupError("there is no line for orders")
            line = self._lines[self._for_orders]
        line.submit(submission)

    @property
    def has_orders(self) -> bool:
        """Whether there is a line for orders."""
        return self._for_orders is not None

    def open_for_orders(self) -> None:
        """Have one line that logs in and carries orders alone, from now on and after every drop."""
        with self._lock:
            if self._for_orders is None:
                self._for_orders = self._placement.reserve()
                self._line(self._for_orders)
                self._start_new()

    def is_for_orders(self, number: int) -> bool:
        """Tell whether the line of a number is the one for orders."""
        return number == self._for_orders

    def get(self, topic: Topic) -> Wanted | None:
        """Give what is known of a topic, or None when it is not wanted."""
        line = self.line_of(topic)
        return None if line is None else line.look(lambda session: session.subscriptions.get(topic))

    def line_of(self, topic: Topic) -> Line | None:
        """Give the line of a topic, or None when it is not wanted."""
        with self._lock:
            number = self._placement.line_of(topic)
            return None if number is None else self._lines[number]

    def named(self, channel: Channel, pair: str) -> list[Topic]:
        """Give every wanted topic of a channel and pair."""
        with self._lock:
            return [topic for topic in self._placement.topics() if (topic.channel, topic.pair) == (channel, pair)]

    def all(self) -> list[Wanted]:
        """Give everything that is wanted, in the order of wanting, refused ones included."""
        with self._lock:
            known = {
                wanted.topic: wanted
                for line in self._lines.values()
                for wanted in line.look(lambda session: session.subscriptions.all())
            }
            return [known[topic] for topic in self._placement.topics() if topic in known]

    def topics_of(self, number: int) -> list[Topic]:
        """Give what rides on a line and was not refused; nothing for one that has ended."""
        with self._lock:
            line = self._lines.get(number)
        if line is None:
            return []
        known = line.look(lambda session: session.subscriptions.all())
        return [wanted.topic for wanted in known if wanted.state is not Subscribed.REFUSED]

    def pairs(self) -> list[str]:
        """Give the pairs of the market that are wanted, in the order of wanting."""
        with self._lock:
            topics = self._placement.topics()
        return list(dict.fromkeys(topic.pair for topic in topics if not topic.channel.is_private))

    def fetch(self, fetch: Fetch) -> bool:
        """Ask over the line of a topic for what is missing of it; False when it cannot be asked for now."""
        line = self.line_of(fetch.topic)
        return line is not None and line.ask(lambda session: session.fetch(fetch))

    def lines(self) -> list[Line]:
        """Give every line, in the order of their numbers."""
        with self._lock:
            return list(self._lines.values())

    def look(self) -> None:
        """Let every line look at the clocks: the computer slept, perhaps."""
        for line in self.lines():
            line.looked()

    def refused_for_good(self) -> SubscriptionRefused | None:
        """Give the last refusal when every subscription there is was refused, else None."""
        known = self.all()
        if not known or any(wanted.state is not Subscribed.REFUSED for wanted in known):
            return None
        return known[-1].refusal

    # Life.

    def start(self) -> None:
        """Let every line dial."""
        with self._lock:
            self._is_started = True
            self._start_new()

    def stop(self) -> None:
        """Ask every line to end; returns at once."""
        with self._lock:
            self._is_stopped = True
            for line in self._lines.values():
                line.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of every line's thread; False when one still runs."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            ending = [*self._retired, *self._lines.values()]
        return all(line.join(max(0.0, until_s - time.monotonic())) for line in ending)

    def wait(self, timeout_s: float) -> None:
        """Wait until a line has ended, or the time is over."""
        if self._has_changed.wait(timeout_s):
            self._has_changed.clear()

    def is_alive(self) -> bool:
        """Tell whether the client goes on: no line ended for good, and not all were stopped."""
        if not self._is_started:
            return False
        lines = self.lines()
        return any(line.is_alive() for line in lines) and all(line.end() is None for line in lines)

    def end(self) -> Exception | None:
        """Give what ended a line for good, and the client with it, or None."""
        return next((end for line in self.lines() if (end := line.end()) is not None), None)

    def raise_end(self) -> None:
        """Raise what ended the client for good, if anything did."""
        end = self.end()
        if end is not None:
            raise end

    @property
    def state(self) -> State:
        """Where the worst line stands."""
        states = {line.state for line in self.lines()}
        return next(state for state in _WORST_FIRST if state in states)

    @contextmanager
    def lent(self) -> Iterator[Line]:
        """Lend one line, not started, that carries everything."""
        with self._lock:
            known = self.all()
            number = self._placement.merge()
            line = self._lines[number]
            self._lines = {number: line}

            def adopt(session: Session) -> None:
                for wanted in known:
                    if session.subscriptions.get(wanted.topic) is None:
                        session.subscriptions.adopt(wanted)

            line.ask(adopt)
        yield line

    # How it is done.

    def _made(self, number: int) -> Line:
        return self._make(number, self._has_changed.set)

    def _line(self, number: int) -> Line:
        if number not in self._lines:
            self._lines[number] = self._made(number)
        return self._lines[number]

    def _placed(self, topics: tuple[Topic, ...]) -> dict[int, list[Topic]]:
        """Give the lines of these topics, each with its own."""
        placed: dict[int, list[Topic]] = {}
        for topic in dict.fromkeys(topics):
            placed.setdefault(self._placement.place(topic), []).append(topic)
        return placed

    def _take_back(self, topics: list[Topic]) -> None:
        for topic in topics:
            number = self._placement.leave(topic)
            if number is not None:
                self._lines.pop(number, None)

    def _start_new(self) -> None:
        if self._is_started and not self._is_stopped:
            for line in self._lines.values():
                if line.is_new():
                    line.start()

    def _retire(self, number: int) -> None:
        """Let a line end that carries nothing any more."""
        line = self._lines.pop(number)
        line.stop()
        self._retired = [known for known in self._retired if known.is_alive()]
        self._retired.append(line)
