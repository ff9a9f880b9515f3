"""An order on its way over a socket, and what became of it.

Decided here: in which ways it can end. When it leaves, and when it counts as lost, is decided in `gate.py`; what is
made of its end, in `trading/`. This is how an order is handed over, in the simple dialect alone, which has orders on
its socket:

    def settled(outcome: Outcome) -> None: ...  # once, on a socket thread or in `submit`; must not wait or raise

    pool.submit(Submission(OrderRequest(...), within_s=10.0, on_outcome=settled))

It leaves at most once. `UNSENT` is proof that nothing left. `UNKNOWN` proves nothing: ask for it by its `client_id`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from lbank_ws.wire import OrderRequest


class Fate(str, Enum):
    """How a submission ended."""

    ACCEPTED = "accepted"  # the exchange said yes, and named the order
    REFUSED = "refused"  # the exchange said no; what its code proves is decided elsewhere
    UNSENT = "not sent"  # it never left, and never will
    UNKNOWN = "unknown"  # it left, perhaps in part, and no answer tells what became of it

    def __str__(self) -> str:
        return str(self.value)


class Outcome(NamedTuple):
    """The end of a submission.

    Attributes:
        fate: Which of the ways.
        order_id: The exchange's id of the order; None unless it was accepted.
        code: The exchange's own number of a refusal, or None.
        reason: Its own words, or what happened to the line; IP addresses and secrets masked.
    """

    fate: Fate
    order_id: str | None = None
    code: int | None = None
    reason: str = ""


class Submission:
    """One order for a socket; it is handed over once.

    Args:
        order: What to place.
        within_s: How long it may wait to leave, and its answer to come, in all.
        on_outcome: Called once with its end, on a socket thread or where it is handed over; it must not wait or raise.
    """

    def __init__(self, order: OrderRequest, within_s: float, on_outcome: Callable[[Outcome], object]) -> None:
        self.order = order
        self.within_s = within_s
        self.on_outcome = on_outcome

    def __repr__(self) -> str:
        return f"Submission({self.order.client_id}, {self.order.pair})"
