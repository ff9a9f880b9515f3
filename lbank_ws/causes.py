"""The known ways in which a line ends, and in which data is wrong or missing."""

from __future__ import annotations

from enum import Enum


class Cause(str, Enum):
    """Why a line was lost."""

    NO_ADDRESS = "no address"  # the host's name leads nowhere
    UNREACHABLE = "unreachable"  # no TCP connection
    TLS = "tls"  # no trusted TLS
    REFUSED = "refused"  # the server said no: an HTTP status, or a close with code 1008 or 1013
    HANDSHAKE = "handshake"  # what came back is not WebSocket
    CLOSED = "closed"  # a polite close
    BROKEN = "broken"  # ended without one
    SILENT = "silent"  # nothing came for too long, on the line or for one subscription
    FROZEN = "frozen"  # the line lives, and a subscription on it is behind what the exchange answers
    LATE = "late"  # what came was old for too long
    STALLED = "stalled"  # a handshake, a frame or a send that did not finish in time
    TOO_LARGE = "too large"  # more bytes than a message or a handshake may have

    def __str__(self) -> str:
        return str(self.value)


class Flaw(str, Enum):
    """Why something is not taken for the present state of the market."""

    LATE = "late"  # the newest push was old when it came
    CROSSED = "crossed"  # the best bid is not below the best ask
    EMPTY_SIDE = "empty side"  # nobody bids, or nobody asks
    OLDER = "older"  # sent before the one that is held
    WRONG_NODE = "wrong node"  # from a publishing node that does not count
    UNREADABLE = "unreadable"  # its best levels are not two numbers
    CLOCK = "clock"  # the computer's clock jumped, so the age is not known yet
    NOTHING_YET = "nothing yet"  # nothing came so far
    LINE_DOWN = "line down"  # the line is away
    REFUSED = "refused"  # the exchange refused the subscription
    FROZEN = "frozen"  # the pushes repeat the past
    SILENT = "silent"  # pushes stay away
    IMPOSSIBLE = "impossible"  # a bar whose highest price is not the highest, or whose lowest is not the lowest

    def __str__(self) -> str:
        return str(self.value)


class GapCause(str, Enum):
    """Why data is missing."""

    SLOW_CALLBACK = "slow callback"  # the queue of the callbacks was full
    LINE_LOST = "line lost"  # the line dropped
    FROZEN = "frozen"  # the line was cut because the subscription repeated the past
    SILENT = "silent"  # the line was cut because nothing came
    LATE = "late"  # the line was cut because what came was old
    STOPPED = "stopped"  # nobody listened between two runs
    SKIPPED = "skipped"  # the exchange pushed a bar, and not the one before it

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def of(cls, cause: Cause) -> GapCause:
        """Give what the loss of a line means for its subscriptions."""
        return _GAPS.get(cause, cls.LINE_LOST)


_GAPS = {Cause.FROZEN: GapCause.FROZEN, Cause.SILENT: GapCause.SILENT, Cause.LATE: GapCause.LATE}
