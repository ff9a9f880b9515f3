"""What a collector needs of a store, and what waits for the disk.

Decided here: how much may wait, and that a callback waits when it is more. Where things are kept is decided in
`files.py` and `sqlite.py`.
"""

from __future__ import annotations

import errno
import os
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from lbank_ws.channels import Topic
from lbank_ws.collect.identity import Kept
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.events import Event, Gap
from lbank_ws.feed.resume import Mark
from lbank_ws.storage_errors import StoreFailed

WAITING_BYTES = 64 * 1024 * 1024  # of frames that wait for the disk
MIN_FREE_BYTES = 64 * 1024 * 1024

_EVENT_COST = 500  # bytes that a waiting event takes beside its frame
_POLL_S = 0.1

Item = tuple[Topic, Event] | Gap


class Written(NamedTuple):
    """An event that a store has written down.

    Attributes:
        seq: Its number in the run.
        topic: What it belongs to.
        event: The event.
        nth: Of trades: which of its equals in the store it is, from 1.
        line: What was written.
    """

    seq: int
    topic: Topic
    event: Event
    nth: int
    line: str


class Tap(Protocol):
    """Hears what a store of files has written down. Called on the thread that writes; it must not wait."""

    def began(self, facts: RunFacts) -> None:
        """A run begins; what this raises ends it."""

    def wrote(self, written: Sequence[Written]) -> None:
        """These stand in segments now, in the order of their numbers, right behind those before."""

    def ended(self) -> None:
        """The run is over; everything that was written was told. May take a while."""


class Intake:
    """What came and waits for the disk. Callbacks put, the writing thread takes; `_room` guards everything.

    A callback waits while too much is here. Then the client's own queue fills, and what finds no room there becomes a
    `Gap`: so a slow disk is told of like a slow callback, which it is.

    Args:
        waiting_bytes: How much may wait.
    """

    def __init__(self, waiting_bytes: int = WAITING_BYTES) -> None:
        self._room = threading.Condition()
        self._limit: float = waiting_bytes
        self._items: list[Item] = []
        self._bytes = 0

    def put(self, topic: Topic, event: Event) -> None:
        """Take an event; waits while too much is here."""
        with self._room:
            while self._bytes > self._limit:
                self._room.wait(_POLL_S)
            self._items.append((topic, event))
            self._bytes += len(event.raw) + _EVENT_COST

    def put_gap(self, gap: Gap) -> None:
        """Take a hole, behind the events before it."""
        with self._room:
            self._items.append(gap)

    def take(self) -> list[Item]:
        """Give everything that is here."""
        with self._room:
            items, self._items, self._bytes = self._items, [], 0
            self._room.notify_all()
            return items

    def open_wide(self) -> None:
        """Let nobody wait any more: the end has come, and nothing is taken before everything is here."""
        with self._room:
            self._limit = float("inf")
            self._room.notify_all()


class Counts:
    """What a run has kept so far. The writing thread counts; any thread may look.

    Attributes:
        events: How many, by subscription.
        bytes: How large they are on the disk, by subscription; in a database, how long their frames are.
        duplicates: How many came that the store had already.
    """

    def __init__(self) -> None:
        self.events: Counter[Topic] = Counter()
        self.bytes: Counter[Topic] = Counter()
        self.duplicates = 0


class Store(ABC):
    """Where a collector keeps what comes.

    One thread, that of `Collector.run`, calls all but `put` and `put_gap`, which any thread may call.

    Args:
        name: What it is called, for people.
        waiting_bytes: How much may wait for the disk before callbacks have to.
        resumes: Whether a run goes on where the one before it ended.

    Attributes:
        name: What it is called, for people.
        counts: What this run has kept.
    """

    def __init__(self, name: str, *, waiting_bytes: int = WAITING_BYTES, resumes: bool = True) -> None:
        self.name = name
        self.counts = Counts()
        self._intake = Intake(waiting_bytes)
        self._resumes = resumes
        self._marks: dict[Topic, Mark] = {}
        self._kept: dict[Topic, Kept] = {}

    @abstractmethod
    def lock(self, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Become the one who writes; `close` gives that back.

        Args:
            wait_s: How long to wait for another run's end, in seconds.
            until: Asked meanwhile; True ends the waiting.

        Raises:
            StoreBusy: Another run writes.
            StoreFailed: The disk refuses.
            UsageError: There is something by that name that is not ours.
        """

    @abstractmethod
    def open(self, facts: RunFacts, topics: Sequence[Topic]) -> None:
        """Put in order what a killed run left, and begin a run; takes the lock when that is not ours yet.

        Args:
            facts: Of the run; whoever runs it completes them before `close`.
            topics: What will come.

        Raises:
            StoreBusy: Another run writes.
            StoreFailed: The disk refuses.
            UsageError: There is something by that name that is not ours.
        """

    @abstractmethod
    def flush(self) -> None:
        """Keep what came so far, so that a kill does not cost it.

        Raises:
            StoreFailed: The disk took no more.
        """

    @abstractmethod
    def note(self) -> None:
        """Keep what the facts of the run say by now, so that a kill does not cost it; raises as `flush`."""

    @abstractmethod
    def rotate(self) -> None:
        """Close what is open, and go on with new files; as `flush` otherwise."""

    @abstractmethod
    def close(self) -> dict[str, Any]:
        """Keep everything, end the run as its facts say, and give its manifest. Frees the lock, also when it raises.

        Raises:
            StoreFailed: The disk took no more; everything that was kept before stays.
        """

    @property
    def resumes(self) -> bool:
        """Whether a run goes on where the one before it ended."""
        return self._resumes

    # What is asked by the client, for resuming; see `feed.resume.Resume`.

    def read(self) -> dict[Topic, Mark]:
        """Give how far each subscription had come, from what is kept."""
        return dict(self._marks)

    def write(self, marks: Mapping[Topic, Mark]) -> None:  # noqa: B027 - not abstract: no store has to do anything
        """Do nothing: what is kept tells it."""

    # What comes.

    def put(self, topic: Topic, event: Event) -> None:
        """Take an event; waits when the disk is far behind."""
        self._intake.put(topic, event)

    def put_gap(self, gap: Gap) -> None:
        """Take a hole."""
        self._intake.put_gap(gap)

    def ending(self) -> None:
        """Let no callback wait for the disk any more."""
        self._intake.open_wide()

    # What all stores do alike.

    def _remember(self, topic: Topic, mark: Mark | None, contents: Sequence[str]) -> None:
        """Note what earlier runs kept of a subscription."""
        self._kept[topic] = Kept(() if mark is None else mark.trades, contents)
        if mark is not None and self._resumes:
            self._marks[topic] = mark

    def _has(self, topic: Topic, event: Event) -> bool:
        """Tell whether the store has an event already, and count it then."""
        has = self._kept.setdefault(topic, Kept()).has(event)
        self.counts.duplicates += has
        return has

    @contextmanager
    def _failures(self, *, has_begun: bool = True) -> Iterator[None]:
        """Turn what the system says into `StoreFailed`."""
        try:
            yield
        except OSError as error:
            raise StoreFailed(self.name, error.strerror or str(error), has_begun=has_begun) from error


def check_room(folder: str | os.PathLike[str], min_free_bytes: int) -> None:
    """Raise `OSError` when the disk of a folder has less room than that."""
    if not min_free_bytes or not hasattr(os, "statvfs"):
        return
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if free < min_free_bytes:
        words = f"the disk has {free >> 20} MiB left, and {min_free_bytes >> 20} MiB are to stay free"
        raise OSError(errno.ENOSPC, words)
