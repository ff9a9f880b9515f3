"""How an order that nobody knows about is looked for, and when it is taken as not placed.

Decided here: what is asked next, when, and what the answers prove together. That the exchange does not know an order
proves nothing while it could still appear: it may be on its way for as long as its signature is valid, and it may be
listed late. Only after that time, when it is missing under its own id, among the open orders and among those that
ended, is it taken as not placed. A question that fails is no evidence. No socket, no thread, no clock.
"""

from __future__ import annotations

from enum import Enum

from lbank_ws.trading.fates import Fate
from lbank_ws.trading.journal import Entry
from lbank_ws.trading.ticket import WINDOW_MS

SETTLE_S = 60.0  # how long after its signature has ended an order may still appear
FIRST_S = 0.5
CAP_S = 15.0


class Question(Enum):
    """What the exchange is asked, in this order."""

    BY_ID = 0
    OPEN_ORDERS = 1
    HISTORY = 2


class Inquiry:
    """The search for one order. Used under the lock of its `Resolver`.

    Args:
        entry: The order.
        now_s: The monotonic clock; the first question is due at once.
        settle_s: How long an order may still appear after its signature has ended.

    Attributes:
        question: What is asked next.
        due_s: When, on the monotonic clock.
    """

    def __init__(self, entry: Entry, now_s: float, settle_s: float = SETTLE_S) -> None:
        self.question = Question.BY_ID
        self.due_s = now_s
        self._since_ms = entry.unknown_since_ms
        self._guarded_ms = WINDOW_MS + settle_s * 1000
        self._wait_s = FIRST_S

    def hurry(self, now_s: float) -> None:
        """Ask at once, and often again: the line to the exchange is new."""
        self.due_s = min(self.due_s, now_s)
        self._wait_s = FIRST_S

    def missing(self, asked_ms: int, now_s: float) -> Fate:
        """Note that the answer to `question` does not have the order.

        Args:
            asked_ms: The exchange's clock before the question, in epoch ms.
            now_s: The monotonic clock.
        """
        if (
            self._since_ms is None
        ):  # of an earlier run, which wrote no time: it ended before this question at the latest
            self._since_ms = asked_ms
        left_s = (self._since_ms + self._guarded_ms - asked_ms) / 1000
        if left_s > 0:
            self._later(now_s, left_s)
            return Fate.UNKNOWN
        if self.question is Question.HISTORY:
            return Fate.NOT_PLACED
        self.question = Question(self.question.value + 1)
        self.due_s = now_s
        return Fate.UNKNOWN

    def failed(self, now_s: float) -> None:
        """Note that there was no answer."""
        self._later(now_s, CAP_S)

    def _later(self, now_s: float, most_s: float) -> None:
        self.question = Question.BY_ID
        self.due_s = now_s + min(self._wait_s, most_s)
        self._wait_s = min(2 * self._wait_s, CAP_S)
