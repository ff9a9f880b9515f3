"""The private channels of V2: who may hear of orders and balances, and what he hears.

Decided here: subscriptions with a subscribe key, and what `orderUpdate` and `assetUpdate` look like. Known from
captures: neither is acknowledged; a bad key gets an error with "key" in its words; `remainAmt` is the quote value that
is left of a buy, also of a limit one; `role` is `taker` before there is a fill; `price` is "0" when a limit order is
placed (it was the order's price in other captures); `txUuid` stands on fills alone; a partly filled order that is
cancelled has status -1 here and 3 over REST. Assumptions of the box: the words for a bad key; that nothing is sent when
a key ends but the pushes; `asset` is free + freeze.
"""

from __future__ import annotations

from typing import Any

from lbank_ws.sandbox.accounts import UNIT_PLACES, printed
from lbank_ws.sandbox.desk import Desk, order_type
from lbank_ws.sandbox.frames import clock, plain
from lbank_ws.sandbox.market import Happening
from lbank_ws.sandbox.orders import AssetChanged, Kind, Order, OrderChanged, OrderStatus
from lbank_ws.sandbox.rest_text import written

CHANNELS = ("orderUpdate", "assetUpdate")
EVERY_PAIR = "all"
BAD_KEY = "Invalid parameter ['subscribeKey'], the key is wrong or has expired"


class PrivateStream:
    """What one client of V2 wants to hear of accounts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wanted: dict[tuple[str, str], str] = {}  # channel and pair -> the subscribe key; assetUpdate has no pair

    @property
    def subscriptions(self) -> frozenset[str]:
        """For example `orderUpdate/all`, `assetUpdate`."""
        return frozenset("/".join(part for part in wanted if part) for wanted in self._wanted)

    def is_live(self, key: str, at_ms: int) -> bool:
        """Tell whether a subscribe key opens anything."""
        return self._desk.keys.owner(key, at_ms) is not None

    def subscribe(self, channel: str, pair: str, key: str) -> None:
        """Begin to hear; once more with another key replaces the key."""
        self._wanted[channel, pair if channel == "orderUpdate" else ""] = key

    def unsubscribe(self, channel: str, pair: str) -> None:
        """Hear no more."""
        self._wanted.pop((channel, pair if channel == "orderUpdate" else ""), None)

    def frames(self, happening: Happening) -> list[str]:
        """Give the pushes that something brings; what hangs on a key that has ended is forgotten."""
        if not isinstance(happening, OrderChanged | AssetChanged) or not self._wanted:
            return []
        self._wanted = {wanted: key for wanted, key in self._wanted.items() if self.is_live(key, happening.at_ms)}
        if isinstance(happening, AssetChanged):
            heard = self._hears("assetUpdate", "", happening.owner, happening.at_ms)
            return [asset_update(happening)] if heard else []
        owner, pair = happening.order.owner or "", happening.listing.pair
        account = self._desk.accounts.get(owner)
        if account is None or not any(
            self._hears("orderUpdate", each, owner, happening.at_ms) for each in (pair, EVERY_PAIR)
        ):
            return []
        return [order_update(happening, account.reference.get(happening.order.id, happening.order.price))]

    def _hears(self, channel: str, pair: str, owner: str, at_ms: int) -> bool:
        key = self._wanted.get((channel, pair))
        return key is not None and self._desk.keys.owner(key, at_ms) == owner


def order_update(change: OrderChanged, order_price: int) -> str:
    """Write the push of a change of an order; `order_price` is its limit, or where the market stood, in price steps."""
    order, fill, listing = change.order, change.fill, change.listing
    price_places, amount_places, value_places = listing.price_places, listing.amount_places, listing.value_places
    price = order_price
    if fill is not None:
        price = fill.price
    elif order.status is OrderStatus.OPEN and order.kind is not Kind.MARKET:
        price = 0
    status = OrderStatus.CANCELLED if order.status is OrderStatus.PARTLY_CANCELLED else order.status
    is_spending = order.kind is Kind.MARKET and order.side == "buy"
    said: dict[str, Any] = {
        "accAmt": plain(order.filled, amount_places),
        "amount": plain(fill.amount, amount_places) if fill is not None else "0",
        "avgPrice": average_price(order),
        "customerID": order.custom_id,
        "orderAmt": plain(order.value, value_places) if is_spending else plain(order.amount, amount_places),
        "orderPrice": plain(order_price, price_places),
        "orderStatus": status.value,
        "price": plain(price, price_places),
        "remainAmt": _remaining(order),
        "role": "maker" if change.is_maker else "taker",
        "symbol": listing.pair,
        "type": order_type(order),
    }
    if fill is not None:
        said["txUuid"] = fill.id
    said |= {
        "updateTime": change.at_ms,
        "uuid": order.id,
        "volumePrice": plain(fill.value, value_places) if fill is not None else "0",
    }
    return written(
        {"SERVER": "V2", "orderUpdate": said, "type": "orderUpdate", "pair": listing.pair, "TS": clock(change.at_ms)}
    )


def asset_update(change: AssetChanged) -> str:
    """Write the push of a change of a balance."""
    said = {
        "asset": printed(change.free + change.locked),
        "assetCode": change.asset,
        "free": printed(change.free),
        "freeze": printed(change.locked),
        "time": change.at_ms,
        "type": change.cause,
    }
    return written({"data": said, "SERVER": "V2", "type": "assetUpdate", "TS": clock(change.at_ms)})


def average_price(order: Order) -> str:
    """Print at which price an order was filled on average, cut off after 20 places."""
    if not order.filled:
        return "0"
    return plain(order.filled_value * 10 ** (UNIT_PLACES - order.listing.price_places) // order.filled, UNIT_PLACES)


def _remaining(order: Order) -> str:
    listing = order.listing
    if order.status is OrderStatus.FILLED:
        return "0"
    if order.side == "sell":
        return plain(order.amount - order.filled, listing.amount_places)
    left = (
        order.value - order.filled_value if order.kind is Kind.MARKET else order.price * (order.amount - order.filled)
    )
    return plain(left, listing.value_places)
