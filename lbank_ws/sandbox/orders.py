"""What an order, a fill and a change of an order are, in the practice exchange's own words.

Whole grid steps throughout, as in `listings.py`. How orders meet is decided in `matching.py`, who may place one in
`accounts.py`, what it looks like on the wire in `frames.py` and `rest.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal

from lbank_ws.sandbox.listings import Listing

Side = Literal["buy", "sell"]


class Kind(str, Enum):
    """How an order behaves; the suffix of LBank's order types."""

    LIMIT = "limit"  # rests with what is not filled at once
    MARKET = "market"  # takes what there is; a buy is given as a value to spend
    MAKER = "maker"  # rests, or is cancelled when it would take
    IOC = "ioc"  # fills what it can at once, the rest is cancelled
    FOK = "fok"  # fills whole at once, or is cancelled


class OrderStatus(IntEnum):
    """LBank's numbers."""

    CANCELLED = -1
    OPEN = 0
    PARTLY_FILLED = 1
    FILLED = 2
    PARTLY_CANCELLED = 3  # partly filled, then cancelled; over REST only
    CANCELLING = 4


@dataclass
class Order:
    """One order; changed by `matching.py` alone.

    Attributes:
        id: Its uuid.
        listing: The pair.
        side: `buy` or `sell`.
        kind: How it behaves.
        price: The limit in price steps; 0 for a market order.
        amount: In amount steps; 0 for a market buy.
        value: What a market buy may spend, in value steps; 0 for every other.
        owner: The account's key, or None for the synthetic flow.
        custom_id: The owner's own id, or an empty text.
        placed_ms: When it was placed, in UTC epoch ms.
        updated_ms: When it last changed.
        filled: In amount steps.
        filled_value: In value steps.
        status: Where it stands.
    """

    id: str
    listing: Listing
    side: Side
    kind: Kind
    price: int = 0
    amount: int = 0
    value: int = 0
    owner: str | None = None
    custom_id: str = ""
    placed_ms: int = 0
    updated_ms: int = 0
    filled: int = 0
    filled_value: int = 0
    status: OrderStatus = OrderStatus.OPEN

    @property
    def is_done(self) -> bool:
        """Tell whether nothing more can happen to it."""
        return self.status in (OrderStatus.CANCELLED, OrderStatus.FILLED, OrderStatus.PARTLY_CANCELLED)


@dataclass(frozen=True)
class Fill:
    """Two orders that met.

    Attributes:
        id: The trade's id, 32 hex digits.
        price: The maker's price, in price steps.
        amount: In amount steps.
        maker: The order that rested.
        taker: The order that came.
        at_ms: When, in UTC epoch ms.
    """

    id: str
    price: int
    amount: int
    maker: Order
    taker: Order
    at_ms: int

    @property
    def value(self) -> int:
        """Price x amount, in value steps."""
        return self.price * self.amount


@dataclass(frozen=True)
class OrderChanged:
    """A user's order as it stood after one change; the synthetic flow's orders give none.

    Attributes:
        listing: The pair.
        at_ms: When, in UTC epoch ms.
        order: A copy, which does not change any more.
        fill: The fill that changed it, or None when it was placed or cancelled.
        is_maker: Whether the order rested when it was filled.
    """

    listing: Listing
    at_ms: int
    order: Order
    fill: Fill | None = None
    is_maker: bool = False


@dataclass(frozen=True)
class AssetChanged:
    """A user's balance as it stood after one of his orders changed.

    Attributes:
        listing: The pair of that order.
        at_ms: When, in UTC epoch ms.
        owner: The account's key.
        asset: For example `usdt`.
        free: In the units of `accounts.py`.
        locked: The same, held back by open orders.
        cause: LBank's word for it.
    """

    listing: Listing
    at_ms: int
    owner: str
    asset: str
    free: int
    locked: int
    cause: Literal["ORDER_CREATE", "ORDER_DEAL", "ORDER_CANCEL"]
