"""The log-in of a line, and the orders that pass it.

Decided here: when a line logs in, which answer opens it, when an order may leave, when it counts as lost. An order
leaves at most once: what waits when the line drops never leaves, and what has left and was not answered is unknown. The
frames are decided in `wire/`, the pace in `outgoing.py`. No socket, no thread, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost, LoginRefused
from lbank_ws.feed.submissions import Fate, Outcome, Submission
from lbank_ws.wire import Dialect, LogInReply, OrderReply

ANSWER_S = 10.0  # how long the answer to a log-in may take

Sign = Callable[[int], tuple[str, str, str]]
"""Gives key, timestamp and signature for a log-in at a moment, in epoch milliseconds; `Credentials.log_in` is one."""
Settled = tuple[Submission, Outcome]


class Door(Enum):
    """How far a line is with its log-in."""

    SHUT = 0  # nobody asked yet
    ASKED = 1
    OPEN = 2


class Gate:
    """What one line does with an account; nothing without `sign`. Used under the line's lock.

    Attributes:
        refusal: Why the exchange refused the log-in, or None; there is no second try.

    Args:
        dialect: How the line speaks.
        sign: Signs a log-in, or None on a line that needs none.
    """

    def __init__(self, dialect: Dialect, sign: Sign | None = None) -> None:
        self.refusal: LoginRefused | None = None
        self._dialect = dialect
        self._sign = sign
        self._door = Door.SHUT
        self._is_up = False
        self._asked_s = 0.0
        self._number = 0
        self._waiting: dict[Submission, float] = {}  # until when
        self._sent: dict[str, tuple[Submission, float]] = {}  # by the number of the request

    @property
    def is_in(self) -> bool:
        """Whether nothing more is to be done before the line is of use."""
        return self._sign is None or self._door is Door.OPEN

    # The line.

    def line_opened(self) -> None:
        """Begin anew on a new line."""
        self._is_up = True
        self._door = Door.SHUT

    def line_lost(self) -> list[Settled]:
        """Give up what was under way; nothing of it leaves on another line."""
        self._is_up = False
        self._door = Door.SHUT
        unknown = Outcome(Fate.UNKNOWN, reason="the line was lost before the answer came")
        unsent = Outcome(Fate.UNSENT, reason="the line was lost before it left")
        settled = [(submission, unknown) for submission, _ in self._sent.values()]
        settled += [(submission, unsent) for submission in self._waiting]
        self._sent.clear()
        self._waiting.clear()
        return settled

    # Orders.

    def submit(self, submission: Submission, now_s: float) -> None:
        """Let an order leave as soon as the line is logged in, while it has time."""
        self._waiting[submission] = now_s + submission.within_s

    def replied(self, reply: OrderReply) -> Settled | None:
        """Take an answer; None where no order waits for it.

        One without a number is the answer to the only order that is under way; of several nobody can tell which.
        """
        number = reply.number
        if number is None and len(self._sent) == 1:
            number = next(iter(self._sent))
        submission, _ = self._sent.pop(number or "", (None, 0.0))
        if submission is None:
            return None
        if not reply.is_accepted:
            return submission, Outcome(Fate.REFUSED, code=reply.code, reason=reply.reason)
        if reply.order_id is None:
            return submission, Outcome(Fate.UNKNOWN, reason="the exchange said yes and named no order")
        return submission, Outcome(Fate.ACCEPTED, order_id=reply.order_id)

    def lapsed(self, now_s: float) -> list[Settled]:
        """Give those whose time is over."""
        settled: list[Settled] = []
        for submission in [each for each, until_s in self._waiting.items() if now_s >= until_s]:
            del self._waiting[submission]
            settled.append((submission, Outcome(Fate.UNSENT, reason="the line was not ready in time")))
        for number in [each for each, (_, until_s) in self._sent.items() if now_s >= until_s]:
            submission, _ = self._sent.pop(number)
            settled.append((submission, Outcome(Fate.UNKNOWN, reason="no answer came in time")))
        return settled

    def lapse_s(self) -> float:
        """Tell when the time of an order is over, on the monotonic clock; infinity for never."""
        until_s = [*self._waiting.values(), *(until_s for _, until_s in self._sent.values())]
        return min(until_s, default=math.inf)

    # The log-in.

    def answer_due_s(self) -> float:
        """Tell when the answer to the log-in is overdue, on the monotonic clock; infinity where none is waited for."""
        return self._asked_s + ANSWER_S if self._is_up and self._door is Door.ASKED else math.inf

    def unanswered(self, now_s: float) -> ConnectionLost | None:
        """Give why the line is of no use when the log-in was not answered in time, else None."""
        if now_s >= self.answer_due_s():
            return ConnectionLost(Cause.STALLED, f"no answer to the log-in within {ANSWER_S:g} s")
        return None

    def logged_in(self, reply: LogInReply) -> LoginRefused | None:
        """Take the answer to the log-in; give the refusal, where it is one. One that nobody waits for means nothing."""
        if self._door is not Door.ASKED:
            return None
        if reply.is_accepted:
            self._door = Door.OPEN
        else:
            self._door = Door.SHUT  # no answer is waited for any more
            self.refusal = LoginRefused(reply.code, reply.reason)
        return self.refusal

    # What leaves.

    def has_frame(self) -> bool:
        """Tell whether something is to be sent now."""
        if not self._is_up or self._sign is None or self.refusal is not None:
            return False
        return self._door is Door.SHUT or (self._door is Door.OPEN and bool(self._waiting))

    def frame(self, now_s: float, exchange_ms: int) -> str:
        """Take what is to be sent next: the log-in, then orders in the order of asking.

        Args:
            now_s: On the monotonic clock.
            exchange_ms: What the exchange's clock says, as far as is known.
        """
        if self._sign is not None and self._door is Door.SHUT:
            self._door = Door.ASKED
            self._asked_s = now_s
            return self._dialect.log_in(*self._sign(exchange_ms))
        submission, until_s = next(iter(self._waiting.items()))
        del self._waiting[submission]
        self._number += 1
        number = str(self._number)
        self._sent[number] = submission, until_s
        return self._dialect.order(number, submission.order)
