"""What the rows of signed answers mean.

Decided here: which fields count, and which do not. Pure. Source: docs/reference/wire.md, "REST", and the answers in
tests/samples/rest/.
"""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Context, Decimal
from typing import NamedTuple

from lbank_ws.events import BalanceUpdate, Fill, OrderUpdate, Receipt, Side
from lbank_ws.wire import v2_account, values
from lbank_ws.wire.values import BadValueError, member

_EXACT = Context(prec=2000)
_AVERAGE = Context(prec=28)


class AccountFill(NamedTuple):
    """A deal of one of the account's orders.

    Attributes:
        pair: For example `btc_usdt`.
        order_id: The exchange's id of the order.
        side: `buy` or `sell`.
        fill: Price, amount, value, id and role.
        commission: What was paid for it, in `commission_asset`; None where the exchange does not say.
        commission_asset: What was received: the base currency on a buy, the quote currency on a sell.
        filled_at: When.
    """

    pair: str
    order_id: str
    side: Side
    fill: Fill
    commission: Decimal | None
    commission_asset: str
    filled_at: datetime


def order_of(row: object, sent_at: datetime | None) -> OrderUpdate:
    """Read an order. A market order prints a price and an amount that were never asked for, mostly 0."""
    order = values.mapping(row, "an order")
    side, kind = values.direction(member(order, "type"))
    order_type = kind or "limit"
    is_market = order_type == "market"
    is_spending = is_market and side == "buy"
    filled = values.positive(member(order, "executedQty"), "executedQty")
    placed = values.positive(member(order, "origQty"), "origQty")
    amount = None if is_spending else placed
    paid = values.decimal_or_none(order, "cummulativeQuoteQty")
    return OrderUpdate(
        pair=values.pair_name(member(order, "symbol")),
        order_id=v2_account.identity(member(order, "orderId"), "orderId"),
        status=v2_account.order_status(member(order, "status"), "status"),
        client_id=v2_account.client_identity(order.get("clientOrderId"), "clientOrderId"),
        side=side,
        order_type=order_type,
        price=None if is_market else values.positive(member(order, "price"), "price"),
        amount=amount,
        value=values.decimal_or_none(order, "origQuoteOrderQty") if is_spending else None,
        filled=filled,
        average_price=_AVERAGE.divide(paid, filled) if paid and filled else None,
        remaining=None if amount is None else v2_account.less(amount, filled),
        updated_at=_moment(order, "updateTime"),
        exchange_at=sent_at,
        receipt=Receipt(time.time_ns(), None),
        source="resync",
    )


def balance_of(row: object, sent_at: datetime | None) -> BalanceUpdate:
    """Read a balance; only the parts are told, and their sum is the whole."""
    balance = values.mapping(row, "a balance")
    free = values.positive(member(balance, "free"), "free")
    locked = values.positive(member(balance, "locked"), "locked")
    return BalanceUpdate(
        asset=v2_account.asset_name(member(balance, "asset"), "asset"),
        free=free,
        locked=locked,
        total=_EXACT.add(free, locked),
        exchange_at=sent_at,
        receipt=Receipt(time.time_ns(), None),
        source="resync",
    )


def own_fill_of(row: object) -> AccountFill:
    """Read a deal. The commission is in what was received, whatever the documentation's English says."""
    deal = values.mapping(row, "a deal")
    pair = values.pair_name(member(deal, "symbol"))
    base, _, quote = pair.partition("_")
    is_buyer, is_maker = member(deal, "isBuyer"), deal.get("isMaker")
    if not isinstance(is_buyer, bool):
        raise BadValueError("isBuyer is neither true nor false")
    deal_id = deal.get("id")
    return AccountFill(
        pair=pair,
        order_id=v2_account.identity(member(deal, "orderId"), "orderId"),
        side="buy" if is_buyer else "sell",
        fill=Fill(
            price=values.positive(member(deal, "price"), "price"),
            amount=values.positive(member(deal, "qty"), "qty"),
            value=values.decimal_or_none(deal, "quoteQty"),
            id=None if deal_id is None else v2_account.identity(deal_id, "id"),
            role=("maker" if is_maker else "taker") if isinstance(is_maker, bool) else None,
        ),
        commission=values.decimal_or_none(deal, "commission"),
        commission_asset=base if is_buyer else quote,
        filled_at=values.epoch(member(deal, "time"), "time"),
    )


def _moment(fields: object, key: str) -> datetime | None:
    content = values.mapping(fields, "an order").get(key)
    return None if content is None else values.epoch(content, key)
