"""A sink beside a store of files: everything that the store has written goes to an engine, on a thread of its own.

Decided here: when it is tried again, how long the end of a run waits for the engine. What waits in memory and what is
left to the segments is decided in `course.py`, what is read from there in `shipping.py`.

So the feed never waits for an engine, memory stays bounded, and nothing is lost: what found no room, or what a killed
run had not sent, stands in the segments and is sent from there, by this run, the next one, or `lbank-ws ship`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence

from lbank_ws.collect.manifest import RunFacts
from lbank_ws.collect.store import Written
from lbank_ws.errors import LBankError
from lbank_ws.feed.backoff import Backoff
from lbank_ws.sinks.course import WAITING_EVENTS, Course
from lbank_ws.sinks.cursor import Progress
from lbank_ws.sinks.engine import Engine
from lbank_ws.sinks.parcels import parcel
from lbank_ws.sinks.shipping import Shipper, Tally
from lbank_ws.storage_errors import SinkFailed

log = logging.getLogger("lbank_ws")

END_S = 10.0
_CAP_S = 5.0
_IDLE_S = 0.5
_LOG_EVERY_S = 60.0


class Streaming:
    """What `FileStore.tap` takes: `store.tap(Streaming("lbank-data", engine_of("redis://host")))`.

    The thread that writes offers, `_lock` guards what waits; a thread of its own sends.

    Args:
        root: The folder of the store.
        engine: Where to.
        waiting_events: How many events may wait in memory.
        end_s: How long the end of a run waits for what is left to be sent, in seconds.

    Attributes:
        engine: Where to.
        tally: What was sent.
        failure: Why the engine took nothing the last time, or None while it does.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        engine: Engine,
        *,
        waiting_events: int = WAITING_EVENTS,
        end_s: float = END_S,
    ) -> None:
        self.engine = engine
        self.failure: SinkFailed | None = None
        self._shipper = Shipper(root, engine)
        self.tally: Tally = self._shipper.tally
        self._waiting_events = waiting_events
        self._end_s = end_s
        self._lock = threading.Lock()
        self._course = Course(waiting_events)
        self._facts: RunFacts | None = None
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._end_at_s = float("inf")
        self._has_older = True
        self._log_at_s = 0.0
        self._thread: threading.Thread | None = None

    @property
    def left(self) -> int:
        """How many events of this run the engine has not yet."""
        with self._lock:
            return self._course.left

    @property
    def is_behind(self) -> bool:
        """Whether events wait in the segments, because there were too many for the memory."""
        with self._lock:
            return self._course.is_behind

    # What the store calls.

    def began(self, facts: RunFacts) -> None:
        """Begin to send.

        Raises:
            StoreBusy: Another process sends from this store to this engine.
            StoreDamaged: What is noted about that cannot be read.
        """
        self._shipper.cursor.open()
        self._shipper.cursor.runs[facts.run] = Progress()
        self._shipper.note(now=True)
        self._facts = facts
        name = f"lbank-ws-sink-{self.engine.address.kind}"
        self._thread = threading.Thread(target=self._run, args=(facts,), name=name, daemon=True)
        self._thread.start()

    def wrote(self, written: Sequence[Written]) -> None:
        """Take what the store has written."""
        facts = self._facts
        if facts is None or not written:
            return
        parcels = [parcel(each.seq, each.topic, facts.dialect, each.event, each.line, nth=each.nth) for each in written]
        with self._lock:
            self._course.offer(parcels)
        self._wake.set()

    def ended(self) -> None:
        """Wait until everything was sent, or `end_s` is over, or the engine fails; then let go of it."""
        if self._thread is None:
            return
        self._end_at_s = time.monotonic() + self._end_s
        self._ending.set()
        self._wake.set()
        self._thread.join(self._end_s + 1)
        if self._thread.is_alive():
            log.warning("the sink %s does not answer; what it has not got stays in the segments", self.engine.name)

    # The thread.

    def _run(self, facts: RunFacts) -> None:
        backoff = Backoff(0.5, _CAP_S)
        try:
            while not self._is_over():
                try:
                    has_worked = self._turn(facts)
                except SinkFailed as failure:
                    self._failed(failure)
                    if self._ending.is_set():
                        break
                    self._ending.wait(backoff.lost(time.monotonic()) or _CAP_S)
                    continue
                backoff.lived()
                if has_worked:
                    self._worked()
                elif self._ending.is_set():
                    break
                else:
                    self._wake.wait(_IDLE_S)
                    self._wake.clear()
        except (LBankError, OSError) as error:  # the store itself cannot be read, or the cursor not be written
            log.error("the sink %s ends: %s; `lbank-ws ship` sends what is left", self.engine.name, error)
        finally:
            self._end(facts)

    def _turn(self, facts: RunFacts) -> bool:
        """Send what is due next; False when there is nothing."""
        with self._lock:
            batch = self._course.batch(self.engine.batch_events)
        progress = self._shipper.cursor.runs[facts.run]
        if batch:
            self._shipper.send(batch)
            with self._lock:
                self._course.sent(batch)
            progress.through = batch[-1].seq
            self._shipper.note()
            return True
        with self._lock:
            until = self._course.due()
        if until is not None:
            if self._shipper.catch_up(facts, until, self._is_over):
                with self._lock:
                    self._course.read(until)
                progress.through, progress.ahead = until, {}
                self._shipper.note(now=True)
            return True
        if self._has_older and not self._ending.is_set():
            self._has_older = not self._shipper.older(self._is_pressed, but=facts.run)
            return True
        return False

    def _is_over(self) -> bool:
        return time.monotonic() >= self._end_at_s

    def _is_pressed(self) -> bool:
        """Tell whether there is more urgent work than older runs."""
        with self._lock:
            return self._ending.is_set() or len(self._course) * 2 > self._waiting_events

    def _worked(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            log.info("the sink %s takes events again", self.engine.name)
            self._log_at_s = 0.0

    def _failed(self, failure: SinkFailed) -> None:
        self.engine.close()
        self.failure = failure
        if time.monotonic() >= self._log_at_s:
            self._log_at_s = time.monotonic() + _LOG_EVERY_S
            log.warning("%s; %d events wait", failure, self.left)

    def _end(self, facts: RunFacts) -> None:
        progress = self._shipper.cursor.runs[facts.run]
        with self._lock:
            left = self._course.left
        # On a full disk some may stand in segments that were never told of.
        progress.is_done = left == 0 and facts.ended_at is not None and facts.end != "disk"
        try:
            self._shipper.note(now=True)
        except OSError as error:
            log.warning("what was sent to %s cannot be noted (%s); it is sent again", self.engine.name, error)
        self._shipper.close()
        if left:
            log.warning(
                "%d events were not sent to %s; they stand in the segments, and the next run or `lbank-ws ship` sends "
                "them",
                left,
                self.engine.name,
            )
