"""Which callback runs where, and what happens when it raises or is slow.

One thread runs every callback, one event at a time, in order. The socket threads only put events on a bounded queue:
a callback that sleeps, or never returns, holds up neither the pongs nor the reading.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import CallbackError, DecodeError, EventsDropped, LBankError
from lbank_ws.events import Event, Status
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.session import Reaction

QUEUE_EVENTS = 10_000
_LOOK_EVERY_S = 0.05

Callback = Callable[[Any], object]


@dataclass(frozen=True)
class _Item:
    """One thing on the queue: what to call, and with what."""

    topic: Topic | None
    content: Event | Status | LBankError


class Dispatch:
    """The callbacks of one client and the thread that runs them.

    Any thread may add callbacks and put reactions: the routes are replaced whole under `_lock`, never changed.
    """

    def __init__(self, logbook: Logbook, limit: int = QUEUE_EVENTS) -> None:
        self._logbook = logbook
        self._limit = limit
        self._lock = threading.Lock()
        self._of_topic: dict[Topic, tuple[Callback, ...]] = {}
        self._of_channel: dict[Channel, tuple[Callback, ...]] = {}
        self._of_status: tuple[Callback, ...] = ()
        self._of_error: tuple[Callback, ...] = ()
        self._queue: SimpleQueue[_Item | threading.Event | None] = SimpleQueue()
        self._dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="lbank-ws-dispatch", daemon=True)

    # Who is called.

    def on_topic(self, topic: Topic, callback: Callback) -> None:
        """Call back with every event of a topic."""
        with self._lock:
            self._of_topic = {**self._of_topic, topic: (*self._of_topic.get(topic, ()), callback)}

    def off_topic(self, topic: Topic, callback: Callback) -> None:
        """Call that one back no more."""
        with self._lock:
            rest = tuple(known for known in self._of_topic.get(topic, ()) if known is not callback)
            self._of_topic = {**self._of_topic, topic: rest}

    def on_channel(self, channel: Channel, callback: Callback) -> None:
        """Call back with every event of a channel, whatever its pair."""
        with self._lock:
            self._of_channel = {**self._of_channel, channel: (*self._of_channel.get(channel, ()), callback)}

    def on_status(self, callback: Callback) -> None:
        """Call back with every `Status`."""
        with self._lock:
            self._of_status = (*self._of_status, callback)

    def on_error(self, callback: Callback) -> None:
        """Call back with every fault; without one, faults are logged."""
        with self._lock:
            self._of_error = (*self._of_error, callback)

    # What they are called with.

    def put(self, reaction: Reaction) -> None:
        """Queue what a line brought; never blocks. What finds the queue full is counted and dropped.

        A status is rare and matters, so it finds room for twice as long.
        """
        for status in reaction.statuses:
            self._put(_Item(None, status), 2 * self._limit)
        for topic, event in reaction.events:
            self._put(_Item(topic, event), self._limit)
        for fault in reaction.faults:
            self._put(_Item(None, fault), self._limit)

    def _put(self, item: _Item, limit: int) -> None:
        if self._queue.qsize() < limit:
            self._queue.put(item)
            return
        with self._lock:
            self._dropped += 1

    @property
    def dropped(self) -> int:
        """How many events were dropped since the start, because callbacks were slow."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """How many events wait for their callbacks."""
        return self._queue.qsize()

    def settle(self) -> None:
        """Wait until everything that is queued now was called back, or the thread has ended."""
        settled = threading.Event()
        self._queue.put(settled)
        while not settled.wait(_LOOK_EVERY_S) and self._thread.is_alive():
            pass

    # The thread.

    def start(self) -> None:
        """Begin to run callbacks; may be called once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread behind the last event that is queued now; returns at once."""
        self._queue.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when a callback still runs. Inside a callback: True at once."""
        if self._thread.ident is None or self.is_current():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_current(self) -> bool:
        """Tell whether the caller is a callback."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._call_all(item)
            self._report_dropped()
        self._report_dropped()

    def _report_dropped(self) -> None:
        dropped = self._dropped  # read once: the socket threads go on counting
        if dropped > self._reported:
            count, self._reported = dropped - self._reported, dropped
            self._report(EventsDropped(count, self.waiting))

    def _call_all(self, item: _Item) -> None:
        content = item.content
        if isinstance(content, LBankError):
            self._report(content)
            return
        for callback in self._callbacks(item.topic):
            try:
                callback(content)
            except DecodeError as error:  # a level that was not a number, found when it was looked at
                self._report(error)
            # A stranger's code may raise anything, and the feed goes on. sys.exit() too: it would end this thread
            # alone, and leave a client that calls nobody back.
            except BaseException as error:  # the reason stands above
                fault = CallbackError(name_of(callback), content)
                fault.__cause__ = error
                self._report(fault)

    def _callbacks(self, topic: Topic | None) -> Sequence[Callback]:
        if topic is None:
            return self._of_status
        return (*self._of_topic.get(topic, ()), *self._of_channel.get(topic.channel, ()))

    def _report(self, fault: LBankError) -> None:
        if not self._of_error:
            self._logbook.fault(fault)
        for callback in self._of_error:
            try:
                callback(fault)
            except BaseException as error:  # a stranger's code, and there is nobody left to hand this to
                failure = CallbackError(name_of(callback), fault)
                failure.__cause__ = error
                self._logbook.fault(failure)


def name_of(callback: Callback) -> str:
    """Give a callback's name for people."""
    return getattr(callback, "__qualname__", None) or repr(callback)
