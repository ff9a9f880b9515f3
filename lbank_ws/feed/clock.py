"""Where time comes from, and how the socket thread waits.

Everything that waits for a socket or for time does it through a `Clock`, so that a simulation can stand in for both.
"""

from __future__ import annotations

import contextlib
import math
import select
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol

# Costs no file descriptor of its own, and no more than a selector's few calls; where the platform has it.
_POLL: Callable[[], Any] | None = getattr(select, "poll", None)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Moment(NamedTuple):
    """One moment on both clocks.

    Attributes:
        s: Monotonic seconds, for lengths of time.
        ns: Nanoseconds of Unix time, for stamps.
    """

    s: float
    ns: int

    @property
    def utc(self) -> datetime:
        """The moment by this machine's wall clock."""
        return _EPOCH + timedelta(microseconds=self.ns // 1000)


class Waitable(Protocol):
    """Anything that a clock can wait for."""

    def fileno(self) -> int:
        """Give the descriptor."""


class Clock(Protocol):
    """The seam for simulated time."""

    def now(self) -> Moment:
        """Give the present moment."""

    def wait(self, reading: Sequence[Waitable], writing: Sequence[Waitable], timeout_s: float) -> list[Waitable]:
        """Give those that can be read or written, as soon as there is one; empty when the time is over."""


class Lasting(tuple[Waitable, ...]):
    """Waitables that keep their descriptors, to be waited for again and again by one thread; that costs less so."""

    _polls: tuple[Any, dict[int, Waitable]] | None = None

    def polled(self, new_poll: Callable[[], Any], timeout_s: float) -> list[Waitable]:
        """Give those that can be read, as soon as there is one; empty when the time is over."""
        if self._polls is None:
            self._polls = _registered(new_poll(), self, ())
        return _polled(*self._polls, timeout_s)


class SystemClock:
    """The computer's own clocks."""

    def now(self) -> Moment:
        """Give the present moment."""
        return Moment(time.monotonic(), time.time_ns())

    def wait(self, reading: Sequence[Waitable], writing: Sequence[Waitable], timeout_s: float) -> list[Waitable]:
        """Give those that can be read or written, as soon as there is one; empty when the time is over."""
        if _POLL is not None:
            if isinstance(reading, Lasting) and not writing:
                return reading.polled(_POLL, timeout_s)
            return _polled(*_registered(_POLL(), reading, writing), timeout_s)
        with selectors.SelectSelector() as selector:
            for waitable in reading:
                selector.register(waitable, selectors.EVENT_READ)
            for waitable in writing:
                selector.register(waitable, selectors.EVENT_WRITE)
            ready = selector.select(max(0.0, timeout_s))
            return [key.fileobj for key, _ in ready]  # type: ignore[misc]  # what was registered comes back


def _registered(poll: Any, reading: Sequence[Waitable], writing: Sequence[Waitable]) -> tuple[Any, dict[int, Waitable]]:
    waiting: dict[int, Waitable] = {}
    for waitable in reading:
        poll.register(fd := waitable.fileno(), select.POLLIN)
        waiting[fd] = waitable
    for waitable in writing:
        poll.register(fd := waitable.fileno(), select.POLLOUT)
        waiting[fd] = waitable
    return poll, waiting


def _polled(poll: Any, waiting: dict[int, Waitable], timeout_s: float) -> list[Waitable]:
    # Rounded up, else the last part of a millisecond would be waited for by going round and round.
    return [waiting[fd] for fd, _ in poll.poll(math.ceil(timeout_s * 1000) if timeout_s > 0 else 0)]


class Waker:
    """Ends another thread's wait. Any thread may `wake`; the waiting thread calls `calm` after it woke.

    It costs two descriptors from `open` to `close`; outside, waking does nothing.
    """

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def open(self) -> None:
        """Take the descriptors."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return -1 if self._ends is None else self._ends[0].fileno()

    def wake(self) -> None:
        """End the wait, now or at its next start."""
        ends = self._ends
        # BlockingIOError: full, so it is awake already. OSError: closed meanwhile, so nobody waits any more.
        with contextlib.suppress(BlockingIOError, OSError):
            if ends is not None:
                ends[1].send(b"!")

    def calm(self) -> None:
        """Forget the calls so far."""
        with contextlib.suppress(BlockingIOError):
            while self._ends is not None and self._ends[0].recv(4096):
                pass

    def close(self) -> None:
        """Free both descriptors."""
        ends, self._ends = self._ends, None
        for end in ends or ():
            end.close()
