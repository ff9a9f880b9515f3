"""How far this machine's clocks are from the exchange's.

Decided here: what the exchange's clock says now. It is told from the monotonic clock, so that a wall clock that is set
changes no age. Two things tell how far apart they are: the exchange's answer over REST, half a round trip old; and,
where REST is out of reach, the pushes, none of which can be older than it was when it was sent: the freshest of the
last minutes counts as new. When all pushes are late at once, one of the two may be wrong: then it is measured again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from lbank_ws.feed.clock import Moment

JUMP_S = 2.0  # a wall clock that gains so much on the monotonic one was set, or the computer slept
DOUBT_S = 5.0  # how long ages stay unknown after a jump that nothing explains
BELIEVED_S = 900.0  # after so long a measurement gives way to a less exact one
STRAY_S = 2.0  # pushes that are all older than this by a measurement speak against it, or are late
SLACK_S = 0.5  # how far ahead of a measurement a push may be: two servers have two clocks

_WINDOW_S = 600.0  # how long the freshest push counts, at least; clocks drift


class _Measured(NamedTuple):
    """The exchange's clock less the monotonic one, in seconds; how exact that is, and when it was found."""

    skew_s: float
    error_s: float
    at_s: float


class _Freshest(NamedTuple):
    """The same by the freshest pushes of this window and the one before."""

    since_s: float
    skew_s: float
    before_s: float


class Offset:
    """What the client knows of the exchange's clock; its lines share one.

    Several threads use it without a lock: each attribute is replaced whole, and an update that is lost to another
    thread is made good by the next push.

    Attributes:
        jumps: How often the wall clock ran ahead of the monotonic one.
        strayed_s: Since when every push has been old by the measurement, on the monotonic clock; None while they agree.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self.strayed_s: float | None = None
        self._measured: _Measured | None = None
        self._freshest: _Freshest | None = None
        self._wall_s: float | None = None  # the wall clock less the monotonic one, at the last look
        self._doubt_until_s = 0.0

    def measured(self, exchange_ms: int, asked: Moment, answered: Moment) -> None:
        """Note what the exchange's clock said between two moments.

        The most exact answer of some minutes counts, unless a newer one cannot be true together with it: then a clock
        was set.
        """
        self._look(answered)
        error_s = (answered.s - asked.s) / 2
        skew_s = exchange_ms / 1000 - (asked.s + answered.s) / 2
        known = self._measured
        if (
            known is None
            or error_s <= known.error_s
            or answered.s - known.at_s > BELIEVED_S
            or abs(skew_s - known.skew_s) > known.error_s + error_s
        ):
            self._measured = _Measured(skew_s, error_s, answered.s)
            self._doubt_until_s = 0.0

    def seen(self, exchange_s: float, now: Moment) -> float | None:
        """Note what a push says of when it was sent, in Unix time; it cannot come before that. Gives `ahead_s`."""
        wall_s = self._look(now)
        skew_s = exchange_s - now.s
        measured = self._measured
        if measured is None:
            self.strayed_s = None
        elif skew_s > measured.skew_s + measured.error_s + SLACK_S:
            # The monotonic clock stood still for a while, in a sleeping computer, and its age would be below zero.
            self._measured = _Measured(skew_s, SLACK_S, now.s)
            self._doubt_until_s = 0.0
        elif skew_s > measured.skew_s - STRAY_S:
            self.strayed_s = None
        elif self.strayed_s is None:
            self.strayed_s = now.s
        freshest = self._freshest
        if freshest is None:
            self._freshest = _Freshest(now.s, skew_s, skew_s)
        elif now.s - freshest.since_s > _WINDOW_S:
            self._freshest = _Freshest(now.s, skew_s, freshest.skew_s)
        elif skew_s > freshest.skew_s:
            if skew_s > max(freshest.skew_s, freshest.before_s) + SLACK_S:
                self._doubt_until_s = 0.0
            self._freshest = freshest._replace(skew_s=skew_s)
        return self._ahead_s(wall_s, now)

    def ahead_s(self, now: Moment) -> float | None:
        """Tell how far the wall clock is ahead of the exchange's, in seconds; None while that is not known."""
        return self._ahead_s(self._look(now), now)

    def _ahead_s(self, wall_s: float, now: Moment) -> float | None:
        skew_s = self._skew_s()
        return None if skew_s is None or now.s < self._doubt_until_s else wall_s - skew_s

    @property
    def source(self) -> Literal["rest", "pushes"] | None:
        """What it is known from, or None while nothing is."""
        if self._measured is not None:
            return "rest"
        return None if self._freshest is None else "pushes"

    def _look(self, now: Moment) -> float:
        """Look at both clocks before anything is made of them; give the wall clock less the monotonic one."""
        wall_s = now.ns / 1e9 - now.s
        before_s, self._wall_s = self._wall_s, wall_s
        if before_s is not None and wall_s - before_s > JUMP_S:
            self.jumps += 1
            self._doubt_until_s = now.s + DOUBT_S
            self._measured = None
        return wall_s

    def _skew_s(self) -> float | None:
        if self._measured is not None:
            return self._measured.skew_s
        return None if self._freshest is None else max(self._freshest.skew_s, self._freshest.before_s)
