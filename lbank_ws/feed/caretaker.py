"""Looks after what no line can see alone: the exchange's clock, its list of pairs, a computer that slept, a key.

Decided here: how often. One thread a client, `lbank-ws-caretaker`; it never touches a socket of a line.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from lbank_ws.errors import RestFailed
from lbank_ws.feed.clock import Clock, Waker
from lbank_ws.feed.listing import Listing
from lbank_ws.feed.offset import Offset

log = logging.getLogger("lbank_ws")

LOOK_EVERY_S = 1.0  # so soon after waking a computer that slept is noticed
MEASURE_EVERY_S = 600.0
TRY_AGAIN_S = 60.0
STRAYED_FOR_S = 3.0  # so long every push must have been late before the clocks are compared out of turn
OUT_OF_TURN_S = 10.0  # and so long after the last time

_TIMES = 3  # the first call has a connection to make, so a later one tells the time better


class Tells(Protocol):
    """What is asked over REST; `trading.rest.Rest` is the real one."""

    def time_ms(self) -> int:
        """Give what the exchange's clock says, in epoch milliseconds, or raise `RestFailed`."""

    def pairs(self) -> frozenset[str]:
        """Give the pairs that the exchange lists, or raise `RestFailed`."""

    def close(self) -> None:
        """Close the connection."""


class Errands(Protocol):
    """What else is to be looked after; `trading.link.Link` is the real one."""

    def errand(self, now_s: float, wall_s: float) -> None:
        """Do what is due; may wait for a call, and must not raise."""

    def close(self) -> None:
        """End it; may wait for a call, and must not raise."""


class Caretaker:
    """Runs on a thread of its own. `start` may be called once, the other methods from any thread.

    Args:
        offset: Learns what the exchange's clock says.
        listing: Learns which pairs there are.
        clock: Tells time and waits.
        look: Lets every line look at the clocks.
        rest: Answers, or None where the REST interface is not known.
        errands: What is looked at as often as the clocks, or None.
    """

    def __init__(
        self,
        offset: Offset,
        listing: Listing,
        clock: Clock,
        look: Callable[[], None],
        rest: Tells | None,
        errands: Errands | None = None,
    ) -> None:
        self._offset = offset
        self._listing = listing
        self._clock = clock
        self._look = look
        self._rest = rest
        self._errands = errands
        self._waker = Waker()
        self._is_stopping = False
        self._jumps = 0
        self._measure_at_s = 0.0
        self._asked_s = 0.0
        self._strayed_s: float | None = None  # because of which straying the clocks were compared last
        self._thread = threading.Thread(target=self._run, name="lbank-ws-caretaker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._waker.open()
        self._thread.start()

    def wake(self) -> None:
        """Let it look at everything now."""
        self._waker.wake()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._is_stopping = True
        self._waker.wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; False when a call still takes its time."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                now = self._clock.now()
                self._offset.ahead_s(now)
                if self._offset.jumps != self._jumps:
                    self._jumps = self._offset.jumps
                    self._look()
                    self._measure_at_s = now.s
                self._mind_straying(now.s)
                if self._rest is not None and now.s >= self._measure_at_s:
                    self._measure_at_s = now.s + (MEASURE_EVERY_S if self._ask(self._rest) else TRY_AGAIN_S)
                    continue
                if self._errands is not None:
                    self._errands.errand(now.s, now.ns / 1e9)
                self._clock.wait([self._waker], [], LOOK_EVERY_S)
                self._waker.calm()
        except Exception:  # a mistake of ours costs the comparison of clocks, and not the feed
            log.exception("the caretaker ended by a mistake of lbank_ws; please report it")
        finally:
            if self._errands is not None:
                self._errands.close()
            if self._rest is not None:
                self._rest.close()
            self._waker.close()

    def _mind_straying(self, now_s: float) -> None:
        """Compare the clocks once more when every push is late: they are, or a clock was set."""
        since_s = self._offset.strayed_s
        if since_s is None or since_s == self._strayed_s:
            return
        if now_s >= max(since_s + STRAYED_FOR_S, self._asked_s + OUT_OF_TURN_S):
            self._strayed_s = since_s
            self._measure_at_s = now_s

    def _ask(self, rest: Tells) -> bool:
        """Compare the clocks and fetch the list of pairs; False when there was no answer."""
        self._asked_s = self._clock.now().s
        try:
            for _ in range(_TIMES):
                if self._is_stopping:
                    return True
                asked = self._clock.now()
                told_ms = rest.time_ms()
                self._offset.measured(told_ms, asked, self._clock.now())
            if self._listing.pairs is None and not self._is_stopping:
                self._listing.pairs = rest.pairs()
        except RestFailed as failure:
            log.debug("the exchange's clock is told from the pushes alone: %s", failure)
            return False
        return True
