"""What a callback receives of an account: its orders and its balances.

Decided here: which states of an order are final, and which of two updates of one order tells more. What the exchange's
fields mean is decided in `wire/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Literal, NamedTuple

from lbank_ws.channels import EVERY_PAIR, Channel
from lbank_ws.pushed import PushedEvent, Side

BalanceCause = Literal["deposit", "withdrawal", "order placed", "order filled", "order cancelled"]
Role = Literal["maker", "taker"]


class OrderStatus(str, Enum):
    """Where an order stands."""

    OPEN = "open"
    PARTLY_FILLED = "partly filled"
    FILLED = "filled"
    CANCELLING = "cancelling"  # asked for, not done: it may still be filled
    CANCELLED = "cancelled"
    PARTLY_CANCELLED = "partly cancelled"  # partly filled, then cancelled; told over REST only

    def __str__(self) -> str:
        return str(self.value)

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.PARTLY_CANCELLED)


class Fill(NamedTuple):
    """One deal of an order.

    Attributes:
        price: In the quote currency.
        amount: In the base currency.
        value: In the quote currency, or None where the exchange did not say.
        id: The exchange's own id of the deal, or None where it did not say.
        role: Whether the order rested, `maker`, or took, `taker`; None where the exchange did not say.
    """

    price: Decimal
    amount: Decimal
    value: Decimal | None = None
    id: str | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent(PushedEvent):
    """What both events of an account carry beside their own fields.

    Attributes:
        updated_at: When the exchange changed it; None where it does not say.
    """

    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderUpdate(AccountEvent):
    """One of your orders as it stands after a change.

    Attributes:
        pair: For example `btc_usdt`.
        order_id: The exchange's id of the order.
        status: Where it stands.
        client_id: The id that it was placed with, or None when it had none or the exchange does not say.
        side: `buy` or `sell`; None where the exchange does not say.
        order_type: `limit`, `market`, `maker`, `ioc` or `fok`; None where the exchange does not say.
        price: The limit, in the quote currency; None for a market order, and where the exchange does not say.
        amount: As placed, in the base currency; None for a market buy, and where the exchange does not say.
        value: What a market buy may spend, in the quote currency; None for every other.
        filled: What was filled so far, in the base currency; None where the exchange does not say.
        average_price: At which price, in the quote currency; None before the first fill, and where the exchange does
            not say.
        remaining: What is not filled, in the base currency; also of a cancelled order. None for a market buy.
        remaining_value: The same of a buy in the quote currency, as the exchange says it; None where it does not.
        fill: The deal that made this change; None when it was placed or cancelled, and where it was fetched.
    """

    channel: ClassVar[Channel] = Channel.ORDER

    pair: str
    order_id: str
    status: OrderStatus
    client_id: str | None = None
    side: Side | None = None
    order_type: str | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    value: Decimal | None = None
    filled: Decimal | None = None
    average_price: Decimal | None = None
    remaining: Decimal | None = None
    remaining_value: Decimal | None = None
    fill: Fill | None = None

    def is_older_than(self, other: OrderUpdate) -> bool:
        """Tell whether another update of the same order tells more: more is filled, it is at its end, it came later.

        Nothing that is filled is undone, and nothing follows an end; so these two count before the time, which differs
        between two sources. Of the same moment, what is being cancelled comes after what is open.
        """
        if self.filled is not None and other.filled is not None and self.filled != other.filled:
            return self.filled < other.filled
        if self.status.is_final is not other.status.is_final:
            return other.status.is_final
        if self.updated_at is not None and other.updated_at is not None and self.updated_at != other.updated_at:
            return self.updated_at < other.updated_at
        return other.status is OrderStatus.CANCELLING and self.status is not OrderStatus.CANCELLING


@dataclass(frozen=True, slots=True)
class BalanceUpdate(AccountEvent):
    """What you have of one asset after a change.

    Attributes:
        asset: For example `usdt`.
        free: What can be used.
        locked: What open orders and withdrawals hold back.
        total: Both, as the exchange says it.
        cause: What changed it; None where it was fetched, and where the exchange's word is not known.
    """

    channel: ClassVar[Channel] = Channel.BALANCE
    pair: ClassVar[str] = EVERY_PAIR  # a balance belongs to none

    asset: str
    free: Decimal
    locked: Decimal
    total: Decimal
    cause: BalanceCause | None = None
