"""A sink of a client alone, without a store of files: `client.sink(redis("redis://host"))`.

Decided here: what happens to events that find no room. There is no disk to keep them, so they are counted, and told as
`SinkFailed`; whoever must lose nothing collects with `lbank-ws collect --also URL`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from lbank_ws.channels import Channel, Topic
from lbank_ws.collect.identity import Kept, Numbers, nth_of
from lbank_ws.collect.lines import has_one_event, line_text
from lbank_ws.errors import LBankError
from lbank_ws.events import Depth, Event, Kline, Trade
from lbank_ws.feed.backoff import Backoff
from lbank_ws.sinks.course import WAITING_EVENTS
from lbank_ws.sinks.engine import Engine
from lbank_ws.sinks.parcels import Parcel, parcel
from lbank_ws.sinks.shipping import Tally
from lbank_ws.storage_errors import SinkFailed

_CAP_S = 5.0
_IDLE_S = 0.05  # how long events gather before they are sent
_TELL_EVERY_S = 60.0


class Direct:
    """What `client.sink` takes.

    The client's dispatch thread puts, `_lock` guards what waits, a thread of its own sends. When the engine is far
    behind, new events are left out and counted.

    Args:
        engine: Where to.
        waiting_events: How many events may wait.

    Attributes:
        engine: Where to.
        tally: What was sent.
        lost: How many events found no room.
    """

    def __init__(self, engine: Engine, *, waiting_events: int = WAITING_EVENTS) -> None:
        self.engine = engine
        self.tally = Tally()
        self.lost = 0
        self._limit = waiting_events
        self._lock = threading.Lock()
        self._queue: deque[Parcel] = deque()
        self._kept: dict[Topic, Kept] = {}
        self._numbers: dict[Topic, Numbers] = {}
        self._seq = 0
        self._told = 0
        self._tell_at_s = 0.0
        self._dialect = ""
        self._report: Callable[[LBankError], object] = lambda _: None
        self._ending = threading.Event()
        self._end_at_s = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"lbank-ws-sink-{engine.address.kind}", daemon=True)

    def start(self, dialect: str, report: Callable[[LBankError], object]) -> None:
        """Begin to send.

        Args:
            dialect: What the client speaks.
            report: Takes faults.
        """
        self._dialect, self._report = dialect, report
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event; never waits."""
        topic = _topic_of(event)
        if self._kept.setdefault(topic, Kept()).has(event):
            return
        self._seq += 1
        nth = 1
        if isinstance(event, Trade):
            nth = nth_of(self._numbers.setdefault(topic, Numbers()).key(event))
        line = line_text(event, self._seq, has_one=has_one_event(self._dialect, event.channel), nth=nth)
        made = parcel(self._seq, topic, self._dialect, event, line, nth=nth)
        with self._lock:
            if len(self._queue) < self._limit:
                self._queue.append(made)
            else:
                self.lost += 1

    def close(self, timeout_s: float, *, wait: bool = True) -> bool:
        """Send what waits, as far as time allows; False when something is left, which counts as lost."""
        self._end_at_s = time.monotonic() + timeout_s
        self._ending.set()
        if self._thread.ident is not None and wait:
            self._thread.join(timeout_s)
        with self._lock:
            return not wait or not self._queue

    def _run(self) -> None:
        backoff = Backoff(0.5, _CAP_S)
        try:
            while time.monotonic() < self._end_at_s:
                with self._lock:
                    batch = [self._queue[at] for at in range(min(len(self._queue), self.engine.batch_events))]
                if not batch:
                    if self._ending.is_set():
                        break
                    self._ending.wait(_IDLE_S)
                    continue
                try:
                    self.engine.open()
                    taken = self.engine.send(batch)
                except SinkFailed as failure:
                    self.engine.close()
                    self._tell(failure)
                    if self._ending.wait(backoff.lost(time.monotonic()) or _CAP_S):
                        break
                    continue
                backoff.lived()
                self.tally.new += taken.new
                self.tally.known += taken.known
                with self._lock:
                    for _ in batch:
                        self._queue.popleft()
        finally:
            with self._lock:
                self.lost += len(self._queue)
            if self.lost > self._told:
                self._tell(SinkFailed(self.engine.name, "the client has stopped before everything was sent"), now=True)
            self.engine.close()

    def _tell(self, failure: SinkFailed, *, now: bool = False) -> None:
        """Report a failure, once a minute, with what was lost since the last report."""
        if not now and time.monotonic() < self._tell_at_s:
            return
        self._tell_at_s = time.monotonic() + _TELL_EVERY_S
        lost, self._told = self.lost - self._told, self.lost
        self._report(SinkFailed(failure.sink, failure.reason, lost))


def _topic_of(event: Event) -> Topic:
    levels = event.levels if isinstance(event, Depth) else None
    return Topic(Channel(event.channel), event.pair, levels, event.interval if isinstance(event, Kline) else None)
