"""What can become of an order between the wish and the proof.

Decided here: which states there are, and what an answer, or none, proves. Pure. "The absence of an answer is not an
answer": only proof says placed, and only proof says refused; everything else is unknown.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from lbank_ws.errors import RestFailed
from lbank_ws.trading.refusals import proves_no_order
from lbank_ws.trading_errors import RestRefused


class Fate(str, Enum):
    """Where an order stands, as far as placing it goes."""

    PENDING = "pending"  # written down, and perhaps on its way
    PLACED = "placed"  # the exchange said so, with its id of the order
    REFUSED = "refused"  # the exchange said no, with a number that is told before an order meets another one
    UNSENT = "not sent"  # nothing left
    UNKNOWN = "unknown"  # it left, and nothing tells what became of it
    NOT_PLACED = "not placed"  # it was looked for until it could not appear any more, and was never there

    def __str__(self) -> str:
        return str(self.value)

    @property
    def is_open(self) -> bool:
        """Whether it has still to be looked up."""
        return self in (Fate.PENDING, Fate.UNKNOWN)


class Verdict(NamedTuple):
    """What became of sending an order.

    Attributes:
        fate: Which.
        order_id: The exchange's id of the order; of `PLACED` alone.
        code: The exchange's number, or None.
        reason: The exchange's words, or what happened.
    """

    fate: Fate
    order_id: str | None = None
    code: int | None = None
    reason: str = ""


def verdict_of_answer(client_id: str, order_id: str | None, told_id: str | None) -> Verdict:
    """Judge a yes.

    Args:
        client_id: The id that the order was sent with.
        order_id: The exchange's id of what it placed.
        told_id: The id that the answer gives back. An answer to another question may come on the same connection.
    """
    if not order_id:
        return Verdict(Fate.UNKNOWN, reason="the exchange said yes and named no order")
    if told_id != client_id:
        return Verdict(Fate.UNKNOWN, reason="the exchange's yes belongs to another order")
    return Verdict(Fate.PLACED, order_id)


def verdict_of_failure(failure: RestFailed) -> Verdict:
    """Judge a call that brought no yes."""
    if not failure.was_sent:
        return Verdict(Fate.UNSENT, reason=failure.reason)
    return verdict_of_refusal(failure.code if isinstance(failure, RestRefused) else None, failure.reason)


def verdict_of_refusal(code: int | None, reason: str) -> Verdict:
    """Judge a no by its number; without one that proves something it is no answer."""
    if proves_no_order(code):
        return Verdict(Fate.REFUSED, code=code, reason=reason)
    return Verdict(Fate.UNKNOWN, code=code, reason=reason)
