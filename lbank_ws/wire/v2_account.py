"""V2's pushes of an account: orders and balances.

Decided here: what their fields mean, and which of them can be believed. Source: docs/reference/wire.md, "Private
channels", and the messages in tests/samples/v2/.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Literal, get_args

from lbank_ws.account_events import BalanceCause, BalanceUpdate, Fill, OrderStatus, OrderUpdate, Role
from lbank_ws.events import Receipt
from lbank_ws.wire import values
from lbank_ws.wire.messages import Push
from lbank_ws.wire.values import BadValueError, member

ORDERS, BALANCES = "orderUpdate", "assetUpdate"

# Number 3 is documented for REST alone; over the socket a partly filled order that is cancelled has -1.
_STATUSES = {
    -1: OrderStatus.CANCELLED,
    0: OrderStatus.OPEN,
    1: OrderStatus.PARTLY_FILLED,
    2: OrderStatus.FILLED,
    3: OrderStatus.PARTLY_CANCELLED,
    4: OrderStatus.CANCELLING,
}
_CAUSES: dict[str, BalanceCause] = {
    "DEPOSIT": "deposit",
    "WITHDRAW": "withdrawal",
    "ORDER_CREATE": "order placed",
    "ORDER_DEAL": "order filled",
    "ORDER_CANCEL": "order cancelled",
}
_EXACT = Context(prec=2000)  # more than any number has that is taken for one
_LONGEST_ID = 64


def order_update(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Push:
    """Read a push of an order.

    `price` is the order's own, "0", or a fill's, as the case may be; so the limit is read from `orderPrice`, and
    `price` where there is a fill. `remainAmt` is quote value on every buy; so what remains of the amount is worked out.
    `role` says taker before anything was taken; so it counts with a fill alone.
    """
    order = values.mapping(member(fields, ORDERS), ORDERS)
    status = order_status(member(order, "orderStatus"), "orderStatus")
    direction = order.get("type")
    side, kind = (None, None) if direction is None else values.direction(direction)
    order_type = None if side is None else kind or "limit"
    is_market = order_type == "market"
    is_spending = is_market and side == "buy"  # it is placed by what it may spend, so orderAmt is quote value
    placed, filled, left = (_number(order, key) for key in ("orderAmt", "accAmt", "remainAmt"))
    amount = None if is_spending else placed
    average_price = _number(order, "avgPrice")
    event = OrderUpdate(
        pair=values.pair_name(fields.get("pair", order.get("symbol"))),
        order_id=identity(member(order, "uuid"), "uuid"),
        status=status,
        client_id=client_identity(order.get("customerID"), "customerID"),
        side=side,
        order_type=order_type,
        price=None if is_market else _number(order, "orderPrice"),
        amount=amount,
        value=placed if is_spending else None,
        filled=filled,
        average_price=average_price or None,
        remaining=None if amount is None or filled is None else less(amount, filled),
        remaining_value=left if side == "buy" else None,
        fill=_fill(order),
        updated_at=_moment(order, "updateTime"),
        exchange_at=_moment_utc8(fields),
        receipt=receipt,
        raw=frame,
    )
    return Push((event,))


def balance_update(fields: Mapping[str, object], frame: str, receipt: Receipt) -> Push:
    """Read a push of a balance, which stands under `data` and not under its type."""
    balance = values.mapping(member(fields, "data"), "data")
    cause = balance.get("type")
    event = BalanceUpdate(
        asset=asset_name(member(balance, "assetCode"), "assetCode"),
        free=values.positive(member(balance, "free"), "free"),
        locked=values.positive(member(balance, "freeze"), "freeze"),
        total=values.positive(member(balance, "asset"), "asset"),
        cause=_CAUSES.get(cause) if isinstance(cause, str) else None,
        updated_at=_moment(balance, "time"),
        exchange_at=_moment_utc8(fields),
        receipt=receipt,
        raw=frame,
    )
    return Push((event,))


def order_status(content: object, name: str) -> OrderStatus:
    """Give what a status number says; the same over the socket and over REST."""
    number = values.whole(content, name)
    if number not in _STATUSES:
        raise BadValueError(f"{name} is {number}, which no documentation names")
    return _STATUSES[number]


def identity(content: object, name: str) -> str:
    """Give the exchange's id of an order or a deal."""
    if isinstance(content, str) and 0 < len(content) <= _LONGEST_ID and content.isprintable():
        return content
    raise BadValueError(f"{name} is {values.shown(content)}, not an id")


def client_identity(content: object, name: str) -> str | None:
    """Give the id that an order was placed with; an empty one is none."""
    return None if content in (None, "") else identity(content, name)


def asset_name(content: object, name: str) -> str:
    """Give an asset as this package spells it: `usdt`."""
    asset = values.word(content)
    if asset is None:
        raise BadValueError(f"{name} is {values.shown(content)}, not the code of an asset")
    return asset.lower()


def less(amount: Decimal, other: Decimal) -> Decimal:
    """Subtract without rounding."""
    return _EXACT.subtract(amount, other)


def _fill(order: Mapping[str, object]) -> Fill | None:
    """Give the deal that made a change; every other push has amount "0", and no `txUuid`."""
    amount = _number(order, "amount")
    if not amount:
        return None
    deal, role = order.get("txUuid"), order.get("role")
    return Fill(
        price=values.positive(member(order, "price"), "price"),
        amount=amount,
        value=_number(order, "volumePrice"),
        id=None if deal is None else identity(deal, "txUuid"),
        role=_role(role),
    )


def _role(content: object) -> Role | None:
    known: tuple[Literal["maker", "taker"], ...] = get_args(Role)
    return next((role for role in known if role == content), None)


def _number(fields: Mapping[str, object], key: str) -> Decimal | None:
    content = fields.get(key)
    return None if content is None else values.positive(content, key)


def _moment(fields: Mapping[str, object], key: str) -> datetime | None:
    content = fields.get(key)
    return None if content is None else values.epoch(content, key)


def _moment_utc8(fields: Mapping[str, object]) -> datetime | None:
    content = fields.get("TS")
    return None if content is None else values.utc8(content, "TS")
