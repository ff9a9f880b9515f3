"""A worker's part in a lease: the thread that asks the engine what `sharing.py` says.

Decided here: when the next turn begins, what is logged of an engine that is away. Until when a lock counts, and who
takes what, is decided in `sharing.py`. The collector asks what it may write; that needs no answer of the engine, so a
worker whose engine hangs stops in time all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from lbank_ws.channels import Topic
from lbank_ws.feed.resume import Mark
from lbank_ws.leases.keeper import Keeper, View
from lbank_ws.leases.notes import marks_of, note_of
from lbank_ws.leases.sharing import Answer, Ask, Habits, Sharing
from lbank_ws.storage_errors import LeaseFailed

log = logging.getLogger("lbank_ws")

END_S = 5.0
_LOG_EVERY_S = 60.0


class Tenancy:
    """What `Collector(lease=...)` takes; made by `lease_of`.

    The collector's thread asks and tells, `_lock` guards what is known; a thread of its own talks to the engine.

    Args:
        keeper: The engine.
        topics: What is collected of the pairs.
        habits: How it is done.

    Attributes:
        topics: What is collected of the pairs.
        name: What the engine is called, for people.
        workers: How many workers there were at the last look; 0 before the first one.
        failure: Why the engine did not answer the last time, or None while it does.
    """

    def __init__(self, keeper: Keeper, topics: Sequence[Topic], habits: Habits) -> None:
        self.topics = list(topics)
        self.name = keeper.name
        self.workers = 0
        self.failure: LeaseFailed | None = None
        self._keeper = keeper
        self._habits = habits
        self._sharing = Sharing(keeper.worker, (topic.pair for topic in topics), habits)
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}  # what was noted of a pair when it was taken
        self._notes: dict[str, str] = {}  # to be written with the next turn
        self._marks: dict[str, dict[str, Mark]] = {}
        self._log_at_s = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lbank-ws-lease", daemon=True)

    # What the collector calls.

    def start(self) -> None:
        """Begin to take pairs."""
        self._thread.start()

    def wanted(self) -> dict[str, int]:
        """Give the pairs that are to be collected now, each with the number of its taking."""
        with self._lock:
            return self._sharing.wanted(_now_s())

    def may_write(self, pair: str) -> bool:
        """Tell whether a pair is surely ours now; takes no lock, as it is asked for each event."""
        return self._sharing.may_write(pair, _now_s())

    def marks(self, pair: str) -> dict[str, Mark]:
        """Give how far a pair had come when it was taken, by the names of its subscriptions."""
        with self._lock:
            return marks_of(self._found.get(pair, ""))

    def kept(self, marks: Mapping[Topic, Mark]) -> None:
        """Note how far the subscriptions are written down."""
        with self._lock:
            for pair in {topic.pair for topic in marks}:
                own = {str(topic): mark for topic, mark in marks.items() if topic.pair == pair}
                known = self._marks.setdefault(pair, {})
                known.update(own)
                self._notes[pair] = note_of(known)

    def left(self, pair: str, epoch: int) -> None:
        """Note that a pair is collected no more, and that all of it is written."""
        with self._lock:
            self._sharing.left(pair, epoch)

    @property
    def held(self) -> int:
        """How many pairs are to be collected now."""
        return len(self.wanted())

    def end(self, timeout_s: float = END_S) -> None:
        """Give every pair back, so that the others have them at once; nothing may be written any more."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                log.warning("the lease %s does not answer; its pairs are free in %g s", self.name, self._habits.ttl_s)

    # The thread.

    def _run(self) -> None:
        while not self._ending.is_set():
            began_s = _now_s()
            try:
                self._keeper.open()
                self._turn(began_s)
                self._worked()
            except LeaseFailed as failure:
                self._failed(failure)
            self._ending.wait(max(0.0, began_s + self._habits.every_s - _now_s()))
        try:
            self._keeper.open()
            with self._lock:
                pairs, notes = self._sharing.held(), self._notes_of()
            self._keeper.give(pairs, notes)
            self._keeper.leave()
        except LeaseFailed as failure:
            log.info("%s", failure)
        self._keeper.close()

    def _turn(self, now_s: float) -> None:
        with self._lock:
            turn = self._sharing.turn(now_s)
            ask = next(turn, None)
        while ask is not None and not self._ending.is_set():
            answer = self._answer(ask)
            with self._lock:
                try:
                    ask = turn.send(answer)
                except StopIteration:
                    ask = None

    def _answer(self, ask: Ask) -> Answer:
        """Ask the engine; the moment before the question is the one that counts."""
        sent_s = _now_s()
        if ask.verb == "look":
            view: View = self._keeper.look(ask.pairs)
            self.workers = len(view.workers)
            return Answer(sent_s, _now_s(), workers=view.workers, owners=view.owners)
        if ask.verb == "take":
            found = self._keeper.take(ask.pairs)
            with self._lock:
                self._found |= found
                for pair in found:  # what this worker had noted of it is old
                    self._marks.pop(pair, None)
                    self._notes.pop(pair, None)
            return Answer(sent_s, _now_s(), found)
        with self._lock:
            notes = self._notes_of()
        if ask.verb == "give":
            self._keeper.give(ask.pairs, notes)
            return Answer(sent_s, _now_s())
        return Answer(sent_s, _now_s(), self._keeper.renew(ask.pairs, notes))

    def _notes_of(self) -> dict[str, str]:
        """Take the notes that are to be written; under `_lock`. One of a pair that is not ours is left out."""
        notes, self._notes = self._notes, {}
        held = set(self._sharing.held())
        return {pair: note for pair, note in notes.items() if pair in held}

    def _worked(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            log.info("the lease %s answers again", self.name)
            self._log_at_s = 0.0

    def _failed(self, failure: LeaseFailed) -> None:
        self._keeper.close()
        self.failure = failure
        with self._lock:  # what was taken out to be written may not have been
            self._notes = {pair: note_of(marks) for pair, marks in self._marks.items()} | self._notes
        if time.monotonic() >= self._log_at_s:
            self._log_at_s = time.monotonic() + _LOG_EVERY_S
            log.warning("%s", failure)


def _now_s() -> float:
    """Give a clock that never stops, not even while the computer sleeps, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
