"""What can go wrong, and whose fault it is.

The class names the party: `UsageError` the caller, `DecodeError` and `Refused` the exchange,
`ConnectionLost` and `GaveUp` the line, `CallbackError` the user's callback. Facts are attributes; `sentence()`
makes words of them, and `str()` adds where the class is explained. No key, secret, signature or IP address enters one.
"""

from __future__ import annotations

from datetime import datetime

from lbank_ws.causes import Cause, Flaw
from lbank_ws.quoting import quoted

ADVICE = "check the spelling of the pair and that LBank still lists it"  # when nothing better is known


class LBankError(Exception):
    """The parent of every error that this package raises or hands on.

    `str()` is its sentence and where in docs/reference/errors.md more stands of it.
    """

    @property
    def link(self) -> str:
        """Where docs/reference tells its cause and its cure: `errors#gaveup`."""
        return f"errors#{type(self).__name__.lower()}"

    def sentence(self) -> str:
        """Say what came and what was expected; and behind the last "; ", what to do about it."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.sentence()} (docs: {self.link})"


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

    def sentence(self) -> str:
        return f"this needs the package {self.package}; pip install 'lbank-ws[{self.extra}]'"


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

    def sentence(self) -> str:
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

    def sentence(self) -> str:
        return f"the exchange refused (code {self.code}): {self.reason}"


class SubscriptionRefused(Refused):
    """The exchange refused one subscription; the others live on.

    Attributes:
        topic: What was asked for, as text: `ticker/btc_usdt`.
        advice: What to do about it: a likely spelling, or that the pair is not listed.
    """

    def __init__(
        self,
        topic: str,
        code: int | None,
        reason: str,
        advice: str = ADVICE,
    ) -> None:
        super().__init__(code, reason)
        self.topic = topic
        self.advice = advice
        self.args = (topic, code, self.reason, advice)

    def sentence(self) -> str:
        return f"the exchange refused {self.topic} (code {self.code}): {self.reason}; {self.advice}"


class LoginRefused(Refused):
    """The exchange refused the log-in; with these credentials it will again, so the client ends.

    Attributes:
        code: Its own number, or None where it sent none.
        reason: Its own words, with IP addresses masked.
    """

    def sentence(self) -> str:
        return (
            f"the exchange refused the log-in (code {self.code}): {self.reason}; "
            "check the API key and its secret, to which IP address the key is bound, and this computer's clock"
        )


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

    def sentence(self) -> str:
        return f"{self.cause}: {self.detail}"


class Stale(LBankError):
    """What was asked for is not known as it is now, and what is known is not passed off for it.

    Attributes:
        pair: Whose it is.
        why: Which of the known ways.
        since: Since when, on this machine's clock; None where there never was a good one.
    """

    def __init__(self, pair: str, why: Flaw, since: datetime | None) -> None:
        super().__init__(pair, why, since)
        self.pair = pair
        self.why = why
        self.since = since

    def sentence(self) -> str:
        since = "so far" if self.since is None else f"since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"there is no good {self._what()} of {self.pair} {since}: {self.why}"

    def _what(self) -> str:
        return "state"


class StaleBook(Stale):
    """There is no good order book now; `client.book()` raises it.

    Attributes:
        pair: Whose it is.
        why: Which of the known ways.
        since: Since when, on this machine's clock; None where there never was a good one.
    """

    def _what(self) -> str:
        return "order book"


class StalePrice(Stale):
    """There is no good price now; `client.last()` raises it.

    Attributes:
        pair: Whose it is.
        why: Which of the known ways.
        since: Since when, on this machine's clock; None where there never was a good one.
    """

    def _what(self) -> str:
        return "price"


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

    def sentence(self) -> str:
        return (
            f"gave up after {self.after_s:.1f} s and {self.attempts} attempts; "
            f"the last ended with {self.last.sentence()}; check the network, or raise give_up_after_s"
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

    def sentence(self) -> str:
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

    def sentence(self) -> str:
        kind = type(self.event).__name__
        return f"the callback {self.callback!r} raised {self.__cause__!r} on a {kind}; the feed goes on"

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle leaves __cause__ out, and the sentence needs it.
        return type(self), self.args, {**self.__dict__, "__cause__": self.__cause__}


class SlowCallback(LBankError):
    """A callback takes longer than the feed leaves it.

    Attributes:
        callback: The callback's name.
        decorator: What it is registered with, such as `on_depth`.
        took_s: How long one call took, in seconds; so far, while it still runs.
        waiting: How many events wait behind it.
    """

    def __init__(self, callback: str, decorator: str, took_s: float, waiting: int) -> None:
        super().__init__(callback, decorator, took_s, waiting)
        self.callback = callback
        self.decorator = decorator
        self.took_s = took_s
        self.waiting = waiting

    def sentence(self) -> str:
        return (
            f"{self.decorator} {self.callback!r} took {self.took_s:.1f} s, {self.waiting} events waiting; "
            "do less in it, or hand the work to a thread of yours"
        )


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

    def sentence(self) -> str:
        return (
            f"{self.count} events were dropped: the callbacks are slower than the feed and {self.waiting} events wait; "
            "do less in the callback, or hand the work to a thread of yours"
        )


class RestFailed(LBankError):
    """A REST call brought no usable answer, or a refusal.

    Attributes:
        path: What was called: `/v2/timestamp.do`.
        reason: What came instead of an answer, or the exchange's own words, with IP addresses masked.
        code: The exchange's own number, or None where it sent none.
        was_sent: Whether the exchange may have heard it; False is proof that nothing left.
    """

    def __init__(self, path: str, reason: str, code: int | None = None, *, was_sent: bool = True) -> None:
        self.path = path
        self.reason = quoted(reason)
        self.code = code
        self.was_sent = was_sent
        super().__init__(path, self.reason, code)

    def sentence(self) -> str:
        if self.code is None:
            return f"the REST call {self.path} failed: {self.reason}"
        return f"the exchange refused the REST call {self.path} (code {self.code}): {self.reason}"
