"""What can go wrong, and whose fault it is.

The class names the party: `UsageError` the caller, `DecodeError` and `Refused` the exchange,
`ConnectionLost` and `GaveUp` the line, `CallbackError` the user's callback. Facts are attributes; `str()`
makes the sentence. No key, secret, signature or IP address enters one.
"""

from __future__ import annotations

import re
from enum import Enum

QUOTED_CHARACTERS = 200  # how long a text from outside may be in an error
_SEARCHED_CHARACTERS = 4096  # how much of it is searched for addresses, so that a huge frame costs no more
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}

# Four or more colons tell an IPv6 address from a time of day.
_ADDRESSES = re.compile(
    r"(?P<label>remoteIp is:\s*\[)[^\]]*"
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)"
    r"|(?<!\w)(?:[0-9a-fA-F]{0,4}:){4,7}[0-9a-fA-F]{0,4}(?![\w:])"
    r"|(?<!\w)(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,5})?(?![\w:])"
)


def without_addresses(text: str) -> str:
    """Give the text with every IP address replaced by `x.x.x.x`.

    The exchange echoes the client's address in its error frames.
    Source: docs/reference/wire.md, "V2 errors".
    """
    return _ADDRESSES.sub(lambda found: (found["label"] or "") + "x.x.x.x", text)


def quoted(text: str) -> str:
    """Give the start of a text from outside, fit for one line of an error: ASCII, no addresses, no control characters.

    A text that is fit already comes back unchanged.
    """
    # Masked before it is cut: half an address would not be recognised as one.
    masked = without_addresses(text[:_SEARCHED_CHARACTERS])
    shown = masked.translate(_CONTROLS).encode("ascii", "backslashreplace").decode("ascii")
    if max(len(shown), len(text)) <= QUOTED_CHARACTERS:
        return shown
    ending = f"... ({len(text)} characters)"
    return shown[: QUOTED_CHARACTERS - len(ending)] + ending


class LBankError(Exception):
    """The parent of every error that this package raises or hands on."""


class UsageError(LBankError, ValueError):
    """The call cannot be carried out as written; the text says what to write instead."""


class MissingExtra(UsageError):
    """A feature needs a package that is not installed.

    Attributes:
        package: What is missing.
        extra: The extra of lbank-ws that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return f"this needs the package {self.package}: pip install 'lbank-ws[{self.extra}]'"


class RecordingBusy(UsageError):
    """Somebody else writes this recording; two writers would mix their lines.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{quoted(self.path)} is being written by another recorder; wait for its end, or name another file"


class DecodeError(LBankError):
    """A frame of the exchange does not say what its place in the protocol demands.

    Attributes:
        problem: What was expected and what came.
        frame: The start of the frame, without IP addresses.
    """

    def __init__(self, problem: str, frame: str) -> None:
        self.problem = problem
        self.frame = quoted(frame)
        super().__init__(problem, self.frame)

    def __str__(self) -> str:
        return (
            f"cannot read a frame of the exchange: {self.problem}; "
            f"the feed goes on without it, please report this frame: {self.frame}"
        )


class Refused(LBankError):
    """The exchange answered, and said no.

    Attributes:
        code: Its own number, or None where it sent none.
        reason: Its own words, with IP addresses masked.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = quoted(reason)
        super().__init__(code, self.reason)

    def __str__(self) -> str:
        return f"the exchange refused (code {self.code}): {self.reason}"


class SubscriptionRefused(Refused):
    """The exchange refused one subscription; the others live on.

    Attributes:
        topic: What was asked for, as text: `ticker/btc_usdt`.
    """

    def __init__(self, topic: str, code: int | None, reason: str) -> None:
        super().__init__(code, reason)
        self.topic = topic
        self.args = (topic, code, self.reason)

    def __str__(self) -> str:
        return (
            f"the exchange refused {self.topic} (code {self.code}): {self.reason}; "
            "check the spelling of the pair and that LBank still lists it"
        )


class Cause(str, Enum):
    """Why a line was lost."""

    NO_ADDRESS = "no address"  # the host's name leads nowhere
    UNREACHABLE = "unreachable"  # no TCP connection
    TLS = "tls"  # no trusted TLS
    REFUSED = "refused"  # the server said no: an HTTP status, or a close with code 1008 or 1013
    HANDSHAKE = "handshake"  # what came back is not WebSocket
    CLOSED = "closed"  # a polite close
    BROKEN = "broken"  # ended without one
    SILENT = "silent"  # no frame for too long
    STALLED = "stalled"  # a handshake, a frame or a send that did not finish in time
    TOO_LARGE = "too large"  # more bytes than a message or a handshake may have

    def __str__(self) -> str:
        return str(self.value)


class ConnectionLost(LBankError):
    """The line to the exchange ended, or could not be made.

    Attributes:
        cause: Which of the known ways.
        detail: More about it, in words; whoever makes it has `quoted` what came from outside.
        retry_after_s: The earliest next attempt that the exchange asked for, or None.
    """

    def __init__(self, cause: Cause, detail: str, *, retry_after_s: float | None = None) -> None:
        self.cause = cause
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(cause, detail)

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


class GaveUp(LBankError):
    """No line could be kept for as long as `give_up_after_s` allows.

    Attributes:
        after_s: How long it was tried, in seconds.
        attempts: How many times.
        last: The last failure.
    """

    def __init__(self, after_s: float, attempts: int, last: ConnectionLost) -> None:
        super().__init__(after_s, attempts, last)
        self.after_s = after_s
        self.attempts = attempts
        self.last = last

    def __str__(self) -> str:
        return (
            f"gave up after {self.after_s:.1f} s and {self.attempts} attempts; the last ended with {self.last}; "
            "check the network, or raise give_up_after_s"
        )


class NoEvent(LBankError, TimeoutError):
    """`wait_for` saw no event in the time it was given.

    Attributes:
        topic: What was waited for, as text.
        timeout_s: For how long.
    """

    def __init__(self, topic: str, timeout_s: float) -> None:
        super().__init__()
        self.args = (topic, timeout_s)  # given to TimeoutError, they would become its errno and strerror
        self.topic = topic
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"no {self.topic} came within {self.timeout_s:g} s; a quiet pair may need longer"


class CallbackError(LBankError):
    """A callback raised; its own exception is `__cause__`, traceback and all.

    Attributes:
        callback: The callback's name.
        event: What it was called with.
    """

    def __init__(self, callback: str, event: object) -> None:
        super().__init__(callback, event)
        self.callback = callback
        self.event = event

    def __str__(self) -> str:
        kind = type(self.event).__name__
        return f"the callback {self.callback!r} raised {self.__cause__!r} on a {kind}; the feed goes on"

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle leaves __cause__ out, and the sentence needs it.
        return type(self), self.args, {**self.__dict__, "__cause__": self.__cause__}


class EventsDropped(LBankError):
    """Callbacks fell so far behind that events had to be dropped; the count is never lost.

    Attributes:
        count: How many since the last report.
        waiting: How many events wait in the queue, which is full.
    """

    def __init__(self, count: int, waiting: int) -> None:
        super().__init__(count, waiting)
        self.count = count
        self.waiting = waiting

    def __str__(self) -> str:
        return (
            f"{self.count} events were dropped: the callbacks are slower than the feed and {self.waiting} events wait; "
            "do less in the callback, or hand the work to a thread of yours"
        )


class RecordingFailed(LBankError):
    """The disk took no more; the recording has ended, the feed goes on.

    Attributes:
        path: The file.
        reason: The system's words.
        has_begun: Whether it could be opened; what was recorded before stays readable.
    """

    def __init__(self, path: str, reason: str, *, has_begun: bool = True) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason
        self.has_begun = has_begun

    def __str__(self) -> str:
        path = quoted(self.path)
        what = f"the recording {path} has ended" if self.has_begun else f"cannot record to {path}"
        return f"{what}: {self.reason}; the feed goes on without it"
