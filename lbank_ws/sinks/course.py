"""How far an engine has come: what waits in memory, and what is to be read from the segments instead.

Decided here: when something waits and when it is left to the segments, what is sent next, when the segments were read
far enough for the memory to be used again. There is no socket, no thread and no clock here.

Events have the numbers of their run, which only grow. An engine is *behind* from the first event that found no room on,
until everything that stands in the segments was sent. Meanwhile nothing waits in memory: the segments have it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from lbank_ws.sinks.parcels import Parcel

WAITING_EVENTS = 50_000


class Course:
    """How far one engine has come with one run. Used under the lock of whoever owns it.

    Args:
        limit: How many events may wait in memory.
        through: Up to which number it has everything.
        is_behind: Begin with what stands in the segments.

    Attributes:
        through: Up to which number it has everything.
        known: The number of the newest event that was offered.
        is_behind: Whether the segments are read, and nothing waits in memory but what waited already.
    """

    def __init__(self, limit: int = WAITING_EVENTS, *, through: int = 0, is_behind: bool = False) -> None:
        self.through = through
        self.known = through
        self.is_behind = is_behind
        self._limit = limit
        self._queue: deque[Parcel] = deque()

    def __len__(self) -> int:
        """Give how many events wait in memory."""
        return len(self._queue)

    @property
    def left(self) -> int:
        """How many numbers were offered and not sent yet."""
        return self.known - self.through

    def offer(self, parcels: Sequence[Parcel]) -> bool:
        """Take what the segments have got, in the order of its numbers; False when it is left to them."""
        if not parcels:
            return True
        self.known = parcels[-1].seq
        if self.is_behind or len(self._queue) + len(parcels) > self._limit:
            self.is_behind = True
            return False
        self._queue.extend(parcels)
        return True

    def batch(self, count: int) -> list[Parcel]:
        """Give what is sent next of what waits in memory, at most so many; it stays until `sent`."""
        return list(islice(self._queue, count))

    def sent(self, parcels: Sequence[Parcel]) -> None:
        """Note that the engine has a batch."""
        for _ in parcels:
            self.through = self._queue.popleft().seq

    def due(self) -> int | None:
        """Give the number up to which the segments are to be read now; None while memory is sent, or can be used.

        The engine stops being behind here, when there is nothing left to read.
        """
        if self._queue or not self.is_behind:
            return None
        if self.known > self.through:
            return self.known
        self.is_behind = False
        return None

    def read(self, until: int) -> None:
        """Note that everything up to a number was sent from the segments."""
        self.through = max(self.through, until)
        self.known = max(self.known, self.through)
