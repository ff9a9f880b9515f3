"""Which callback runs where, and what happens when it raises or is slow.

One thread runs every callback, one event at a time, in order. The socket threads only put events into the backlog: a
callback that sleeps, or never returns, holds up neither the pongs nor the reading. What waits there, and what is given
up when that is too much, is decided in `backlog.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import CallbackError, DecodeError, EventsDropped, LBankError, SlowCallback
from lbank_ws.events import Gap
from lbank_ws.feed.backlog import QUEUE_EVENTS, Backlog, Content, checked_policies
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.reaction import Reaction

SLOW_AFTER_S = 1.0
_LOOK_EVERY_S = 0.05
_MOST_AT_ONCE = 64  # events that are taken out of the backlog under one lock
_QUICK_S = 0.001  # how long their callbacks may take together, for the next ones to be as many

Callback = Callable[[Any], object]


class _Route(NamedTuple):
    """A callback as it was registered.

    Attributes:
        callback: What is called.
        decorator: With what it is registered, such as `on_depth`.
        name: Its name for people, asked for once: a stranger's `__repr__` must not run on a socket thread.
    """

    callback: Callback
    decorator: str
    name: str


_Call = tuple[float, _Route]  # since which monotonic time it runs; a plain tuple, as there is one an event


class _Report(Protocol):
    """Where a fault goes; with `again` it may have been logged before."""

    def __call__(self, fault: LBankError, *, again: bool = False) -> None: ...


class Dispatch:
    """The callbacks of one client and the thread that runs them.

    Any thread may add callbacks and put reactions. `_lock` guards the backlog, the end, and what was told of slow
    calls; the routes are replaced whole under it, never changed. No callback runs, and nothing is logged, under it.

    Args:
        logbook: Where faults go that nobody takes.
        limit: How many events may wait.
        policies: What is done with a channel's events while callbacks are behind, where it is not to be the usual.
        slow_after_s: A call that takes longer, while others wait, is a `SlowCallback`; in seconds.

    Raises:
        UsageError: There is no such channel or policy.
    """

    def __init__(
        self,
        logbook: Logbook,
        limit: int = QUEUE_EVENTS,
        policies: Mapping[str, str] | Mapping[Channel, str] | None = None,
        slow_after_s: float = SLOW_AFTER_S,
    ) -> None:
        self._logbook = logbook
        self._slow_after_s = slow_after_s
        self._lock = threading.Lock()
        self._has_come = threading.Lock()  # taken, but for a moment after each time that the thread was idle
        self._has_come.acquire()
        self._is_idle = False
        self._has_stopped = False
        self._backlog = Backlog(limit, checked_policies(policies))
        self._of_topic: dict[Topic, tuple[_Route, ...]] = {}
        self._of_channel: dict[Channel, tuple[_Route, ...]] = {}
        self._of_status: tuple[_Route, ...] = ()
        self._of_error: tuple[_Route, ...] = ()
        self._of_gap: tuple[_Route, ...] = ()
        self._call: _Call | None = None
        self._told: _Call | None = None
        self._reported = 0
        self._in_hand = 0  # taken out of the backlog, and not called back yet
        self._thread = threading.Thread(target=self._run, name="lbank-ws-dispatch", daemon=True)

    # Who is called.

    def on_topic(self, topic: Topic, callback: Callback) -> None:
        """Call back with every event of a topic."""
        route = _route(callback, f"on_{topic.channel}")
        with self._lock:
            self._of_topic = {**self._of_topic, topic: (*self._of_topic.get(topic, ()), route)}

    def off_topic(self, topic: Topic, callback: Callback) -> None:
        """Call that one back no more."""
        with self._lock:
            rest = tuple(route for route in self._of_topic.get(topic, ()) if route.callback is not callback)
            self._of_topic = {**self._of_topic, topic: rest}

    def on_channel(self, channel: Channel, callback: Callback) -> None:
        """Call back with every event of a channel, whatever its pair."""
        route = _route(callback, f"on_{channel}")
        with self._lock:
            self._of_channel = {**self._of_channel, channel: (*self._of_channel.get(channel, ()), route)}

    def on_status(self, callback: Callback) -> None:
        """Call back with every `Status`."""
        route = _route(callback, "on_status")
        with self._lock:
            self._of_status = (*self._of_status, route)

    def on_error(self, callback: Callback) -> None:
        """Call back with every fault; without one, faults are logged."""
        route = _route(callback, "on_error")
        with self._lock:
            self._of_error = (*self._of_error, route)

    def on_gap(self, callback: Callback) -> None:
        """Call back with every `Gap`."""
        route = _route(callback, "on_gap")
        with self._lock:
            self._of_gap = (*self._of_gap, route)

    # What they are called with.

    def put(self, reaction: Reaction) -> None:
        """Queue what a line brought; never waits for a callback. Behind `stop` nothing is taken any more.

        A callback that still runs after `slow_after_s`, and lets others wait, is logged here: it may never return.
        """
        with self._lock:
            if self._has_stopped:
                return
            backlog = self._backlog
            for status in reaction.statuses:
                backlog.put_status(status)
            for gap in reaction.gaps:
                backlog.put_gap(gap)
            for topic, event in reaction.events:
                backlog.put(topic, event)
            for fault in reaction.faults:
                backlog.put_fault(fault)
            self._wake()
            slow = self._overdue(call) if (call := self._call) is not None else None  # read once: it ends at any time
        if slow is not None:
            self._logbook.fault(slow, again=True)

    def keep_all(self) -> None:
        """Replace no event by a newer one; for a replay, where every event must be called back."""
        with self._lock:
            self._backlog.keep_all()

    @property
    def dropped(self) -> int:
        """How many events were dropped since the start, because callbacks were slow."""
        return self._backlog.dropped

    @property
    def merged(self) -> int:
        """How many events were replaced by a newer one of their topic before they could be called back."""
        return self._backlog.merged

    @property
    def waiting(self) -> int:
        """How many events wait for their callbacks."""
        with self._lock:
            return self._waiting()

    def settle(self) -> None:
        """Wait until everything that is queued now was called back, or the thread has ended."""
        settled = threading.Event()
        with self._lock:
            self._backlog.put_call(settled.set)
            self._wake()
        while not settled.wait(_LOOK_EVERY_S) and self._thread.is_alive():
            pass

    # The thread.

    def start(self) -> None:
        """Begin to run callbacks; may be called once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread behind the last event that is queued now; returns at once."""
        with self._lock:
            self._has_stopped = True
            self._wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when a callback still runs. Inside a callback: True at once."""
        if self._thread.ident is None or self.is_current():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_current(self) -> bool:
        """Tell whether the caller is a callback."""
        return threading.current_thread() is self._thread

    def _waiting(self) -> int:
        return len(self._backlog) + self._in_hand

    def _wake(self) -> None:
        if self._is_idle:
            self._is_idle = False
            self._has_come.release()

    def _run(self) -> None:
        count = 1
        while items := self._next(count):
            began_s = time.monotonic()
            for topic, content in items:
                self._in_hand -= 1
                self._hand_out(topic, content)
            # What is in hand is not replaced by what is newer; so only quick callbacks get more than one at once.
            count = min(2 * count, _MOST_AT_ONCE) if time.monotonic() - began_s < _QUICK_S else 1

    def _hand_out(self, topic: Topic | None, content: Content) -> None:
        routes: tuple[_Route, ...] = ()
        if topic is not None:
            routes = self._of_topic.get(topic, ())
            if self._of_channel:
                routes = (*routes, *self._of_channel.get(topic.channel, ()))
        elif isinstance(content, LBankError):
            self._report(content)
        elif callable(content):
            content()
        else:
            routes = self._of_gap if isinstance(content, Gap) else self._of_status
        for route in routes:
            self._call_back(route, content, self._report)
        if self._backlog.dropped > self._reported:
            self._report_dropped()

    def _next(self, count: int) -> list[tuple[Topic | None, Content]]:
        """Wait for what comes next, and give so many of it at most; empty when there is nothing more to come."""
        while True:
            with self._lock:
                items = self._backlog.take_some(count)
                self._in_hand = len(items)
                if items or self._has_stopped:
                    return items
                self._is_idle = True
            self._has_come.acquire()

    def _report_dropped(self) -> None:
        dropped = self._backlog.dropped  # read once: the socket threads go on counting
        count, self._reported = dropped - self._reported, dropped
        self._report(EventsDropped(count, self.waiting))

    def _report(self, fault: LBankError, *, again: bool = False) -> None:
        routes = self._of_error
        if not routes:
            self._logbook.fault(fault, again=again)
        for route in routes:  # what is wrong with one of them is logged: there is nobody left to hand it to
            self._call_back(route, fault, self._logbook.fault)

    def _call_back(self, route: _Route, content: Content, report: _Report) -> None:
        """Call one back; what it raises, and that it was slow, is reported."""
        began_s = time.monotonic()
        self._call = call = (began_s, route)
        failure: LBankError | None = None
        try:
            route.callback(content)
        # A stranger's code may raise anything, and the feed goes on. sys.exit() too: it would end this thread
        # alone, and leave a client that calls nobody back.
        except BaseException as error:  # the reason stands above
            if isinstance(error, DecodeError) and not isinstance(content, LBankError):
                failure = error  # a level that was not a number, found when it was looked at
            else:
                failure = CallbackError(route.name, content)
                failure.__cause__ = error
        took_s = time.monotonic() - began_s
        self._call = None
        if failure is not None:
            report(failure)
        if took_s > self._slow_after_s and (waiting := self.waiting):
            report(SlowCallback(route.name, route.decorator, took_s, waiting), again=call is self._told)

    def _overdue(self, call: _Call) -> SlowCallback | None:
        """Give what there is to tell of the call that runs now; under `_lock`."""
        began_s, route = call
        took_s, waiting = time.monotonic() - began_s, self._waiting()
        if took_s <= self._slow_after_s or not waiting:
            return None
        self._told = call
        return SlowCallback(route.name, route.decorator, took_s, waiting)


def name_of(callback: Callback) -> str:
    """Give a callback's name for people."""
    return getattr(callback, "__qualname__", None) or repr(callback)


def _route(callback: Callback, decorator: str) -> _Route:
    return _Route(callback, decorator, name_of(callback))
