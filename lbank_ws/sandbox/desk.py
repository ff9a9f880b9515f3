"""The desk: who may place and cancel which order, in whichever way they ask; REST and both dialects come here.

Decided here: what a valid order is and with which of LBank's codes another one is refused, what is cut off, which ids
orders get. What an order then does is decided in `matching.py`, what it costs in `accounts.py`.

Known from LBank: digits beyond a pair's accuracy are cut off without a word; `buy_market` gives the quote amount to
spend as its price; an own id is never used twice. Assumptions of the box, which answers of the live exchange would
settle: the order of the checks; a minimum value of about one dollar; code 10010 for limit orders below it and 10020 for
market orders; 10014 for buys and sells that cannot be paid. Codes 10021, 10023 and 10024 are never given: LBank was
seen to cut digits off instead, to take market orders, and to answer 10008.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from random import Random

from lbank_ws.sandbox.accounts import Account, Accounts
from lbank_ws.sandbox.listings import USD_RATES, Listing
from lbank_ws.sandbox.market import Happening, Market
from lbank_ws.sandbox.orders import AssetChanged, Kind, Order, OrderChanged, OrderStatus, Side
from lbank_ws.sandbox.refusals import Refusal
from lbank_ws.sandbox.subscribe_keys import SubscribeKeys

ORDER_TYPES: dict[str, tuple[Side, Kind]] = {
    (side if kind is Kind.LIMIT else f"{side}_{kind.value}"): (side, kind) for side in ("buy", "sell") for kind in Kind
}

_NUMBER = re.compile(r"(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_GONE = {
    OrderStatus.FILLED: 10025,
    OrderStatus.CANCELLED: 10026,
    OrderStatus.CANCELLING: 10027,
    OrderStatus.PARTLY_CANCELLED: 10037,
}


class Desk:
    """Joins accounts, their orders and the market.

    Args:
        seed: The same seed gives the same order ids in the same order.
        place: Puts an order into its book, lets everybody hear of what follows, and gives that.
        cancel: The same for taking an order out, by its id.

    Attributes:
        accounts: All accounts.
        keys: The subscribe keys that live.
    """

    def __init__(
        self,
        seed: int,
        *,
        place: Callable[[Order], Iterable[Happening]],
        cancel: Callable[[str], Iterable[Happening]],
    ) -> None:
        self.accounts = Accounts()
        self.keys = SubscribeKeys()
        self._rng = Random(f"{seed}/orders")  # noqa: S311 - repeatable is what is wanted
        self._place = place
        self._cancel = cancel

    def noticed(self, happening: Happening) -> list[AssetChanged]:
        """Move the money that something moves; give the balances that changed."""
        return self.accounts.noticed(happening) if isinstance(happening, OrderChanged) else []

    def wanted_order(self, account: Account, asked: Mapping[str, str], market: Market, now_ms: int) -> Order:
        """Give the order that somebody asks for, which may be placed as it is.

        Args:
            account: Whose it will be.
            asked: `symbol`, `type`, `price`, `amount`, `custom_id`, as in LBank's REST interface.
            market: Where it will be placed.
            now_ms: The market's clock.

        Raises:
            Refusal: It may not be placed.
        """
        pair = _given(asked, "symbol")
        direction = _given(asked, "type")
        if pair not in market.pairs or not account.may_trade(pair):
            raise Refusal(10008)
        if direction not in ORDER_TYPES:
            raise Refusal(10015)
        side, kind = ORDER_TYPES[direction]
        custom_id = asked.get("custom_id", "")
        order = Order("", market.listing(pair), side, kind, owner=account.key, custom_id=custom_id, placed_ms=now_ms)
        order.updated_ms = now_ms
        _fill_in(order, asked)
        latest = market.tick(pair).latest
        if custom_id in account.custom_ids:
            raise Refusal(10036)
        if _value(order, latest) < _least_value(order.listing):
            raise Refusal(10020 if kind is Kind.MARKET else 10010)
        if not account.can_afford(order):
            raise Refusal(10014)
        return order

    def place(self, account: Account, order: Order, market: Market) -> Order:
        """Place a wanted order; give it as it stands afterwards."""
        order.id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        if order.custom_id:
            account.custom_ids[order.custom_id] = order.id
        account.reference[order.id] = order.price or market.tick(order.listing.pair).latest
        self._place(order)
        return account.orders.get(order.id, order)

    def cancel(self, account: Account, asked: Mapping[str, str]) -> Order:
        """Cancel an order; give it as it stands afterwards.

        Raises:
            Refusal: There is no such order, or nothing of it is left to cancel.
        """
        order = self.order(account, asked)
        if order.is_done or not list(self._cancel(order.id)):
            raise Refusal(_GONE.get(account.orders[order.id].status, 10037))
        return account.orders[order.id]

    def cancel_all(self, account: Account, pair: str) -> list[Order]:
        """Cancel all open orders of a pair; give them as they stand afterwards."""
        wanted = [order.id for order in account.orders.values() if order.listing.pair == pair and not order.is_done]
        return [account.orders[order_id] for order_id in wanted if list(self._cancel(order_id))]

    def order(self, account: Account, asked: Mapping[str, str]) -> Order:
        """Give the order that `symbol` and one of `orderId` and `origClientOrderId` name.

        Raises:
            Refusal: There is none.
        """
        pair = _given(asked, "symbol")
        order_id, custom_id = asked.get("orderId", ""), asked.get("origClientOrderId", "")
        if not order_id and not custom_id:
            raise Refusal(10001)
        order = account.orders.get(order_id or account.custom_ids.get(custom_id, ""))
        if order is None or order.listing.pair != pair:
            raise Refusal(10032)
        return order


def order_type(order: Order) -> str:
    """Give LBank's word for how an order behaves: `buy`, `sell_market`, `buy_ioc`."""
    return order.side if order.kind is Kind.LIMIT else f"{order.side}_{order.kind.value}"


def least_value(listing: Listing) -> Decimal:
    """Give the smallest price x amount that an order may have, in the quote currency: about one dollar."""
    rate = USD_RATES.get(listing.quote, 1)
    return Decimal(1).scaleb(1 - len(str(rate)))


def _least_value(listing: Listing) -> int:
    return int(least_value(listing).scaleb(listing.value_places))


def _value(order: Order, latest: int) -> int:
    """Give what an order is worth, in value steps; a market sell by the last price."""
    return order.value or (order.price or latest) * order.amount


def _fill_in(order: Order, asked: Mapping[str, str]) -> None:
    """Put price, amount and value into an order, with what is beyond the grid cut off."""
    price, amount = asked.get("price", ""), asked.get("amount", "")
    listing = order.listing
    if order.kind is Kind.MARKET and order.side == "buy":
        if not price:
            raise Refusal(10011)
        order.value = _steps(price, listing.value_places)
        if not order.value:
            raise Refusal(10020)
        return
    if order.kind is Kind.MARKET:
        if not amount:
            raise Refusal(10012)
    elif not price or not amount:
        raise Refusal(10009)
    else:
        order.price = _steps(price, listing.price_places)
        if not order.price:
            raise Refusal(10010)
    order.amount = _steps(amount, listing.amount_places)
    if not order.amount:
        raise Refusal(10013)


def _steps(text: str, places: int) -> int:
    """Read a number as whole steps; digits beyond them are cut off, as LBank does without a word."""
    if not _NUMBER.fullmatch(text):
        raise Refusal(10003)
    return int(Fraction(text) * 10**places)


def _given(asked: Mapping[str, str], key: str) -> str:
    if not asked.get(key):
        raise Refusal(10001)
    return asked[key]
