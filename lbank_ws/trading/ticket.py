"""What a valid order is.

Decided here: which combinations of type, price, amount and value there are, how many decimal places a pair takes, what
is too small, and how a number is spelt. Nothing is rounded: what does not fit is refused, with what would. No socket,
no clock. Source: docs/reference/wire.md, "REST".
"""

from __future__ import annotations

import re
import secrets
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, get_args

from lbank_ws.channels import checked_pair
from lbank_ws.errors import UsageError
from lbank_ws.events import Side
from lbank_ws.quoting import quoted
from lbank_ws.wire import OrderRequest

ORDER_TYPES = ("limit", "market", "maker", "ioc", "fok")
WINDOW_MS = 5_000  # an order that arrives later than this after it was signed is refused
Number = Decimal | str | int

_LONGEST_ID = 32
_CLIENT_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{_LONGEST_ID}}}")
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_LARGEST_EXPONENT = 30


class PairRules(NamedTuple):
    """What orders of a pair must keep to.

    Attributes:
        pair: For example `btc_usdt`.
        price_places: How many decimal places a price may have; the exchange cuts off more without a word.
        amount_places: The same for an amount.
        least_amount: The smallest amount, in the base currency; 0 where none is known.
        least_value: The smallest price x amount, in the quote currency; 0 where none is known.
    """

    pair: str
    price_places: int
    amount_places: int
    least_amount: Decimal = Decimal(0)
    least_value: Decimal = Decimal(0)


def new_client_id() -> str:
    """Make an id for an order: 128 random bits, in 26 of the 32 characters that the exchange takes."""
    return f"lws-{secrets.token_urlsafe(16)}"


def checked_id(client_id: str) -> str:
    """Give an id of an order unchanged, or raise `UsageError`."""
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise UsageError(
            f"a client id is 1 to {_LONGEST_ID} letters, digits, - and _, another one for each order, "
            f"not {quoted(repr(client_id))}"
        )
    return client_id


def order_request(
    pair: str,
    side: str,
    order_type: str,
    *,
    price: Number | None = None,
    amount: Number | None = None,
    value: Number | None = None,
    client_id: str,
) -> OrderRequest:
    """Check what is asked for and give the order.

    Raises:
        UsageError: It is none: a word that is not known, a number that is none, or one that is missing or too many.
    """
    if side not in get_args(Side):
        raise UsageError(f"side is 'buy' or 'sell', not {quoted(repr(side))}")
    if order_type not in ORDER_TYPES:
        raise UsageError(f"an order type is one of {', '.join(ORDER_TYPES)}, not {quoted(repr(order_type))}")
    is_spending = order_type == "market" and side == "buy"
    wanted = {"value"} if is_spending else {"amount"} if order_type == "market" else {"price", "amount"}
    given = {"price": price, "amount": amount, "value": value}
    numbers = {name: None if number is None else checked_number(number, name) for name, number in given.items()}
    if {name for name, number in numbers.items() if number is not None} != wanted:
        what = f"{order_type} {side} order"
        raise UsageError(
            f"a {what} takes {' and '.join(sorted(wanted))} and nothing else: {_HINTS[tuple(sorted(wanted))]}"
        )
    return OrderRequest(
        pair=checked_pair(pair),
        side="buy" if side == "buy" else "sell",
        order_type=order_type,
        price=numbers["price"],
        amount=numbers["amount"],
        value=numbers["value"],
        client_id=checked_id(client_id),
    )


_HINTS = {
    ("value",): "value is what it may spend, in the quote currency",
    ("amount",): "amount is in the base currency",
    ("amount", "price"): "price is the limit in the quote currency, amount is in the base currency",
}


def checked_number(number: Number, name: str) -> Decimal:
    """Give a number of an order exactly as it was written.

    Raises:
        UsageError: It is a float, no number, or not above 0.
    """
    if isinstance(number, float):
        raise UsageError(f"{name} is the float {number!r}, which is seldom what was written: write it as text, '0.1'")
    exact: Decimal | None = None
    if isinstance(number, Decimal | int) and not isinstance(number, bool):
        exact = Decimal(number)
    elif isinstance(number, str) and _NUMBER.fullmatch(number):
        exact = _decimal(number)
    if exact is None or not exact.is_finite() or exact <= 0 or abs(exact.adjusted()) > _LARGEST_EXPONENT:
        raise UsageError(
            f"{name} is a number above 0, as Decimal or as text such as '0.015', not {quoted(repr(number))}"
        )
    return exact


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def check_rules(order: OrderRequest, rules: PairRules) -> None:
    """Check an order against the rules of its pair. Nothing is rounded.

    Raises:
        UsageError: A number has more decimal places than the pair takes, or is too small.
    """
    _check_places(order.price, rules.price_places, "price", order.pair)
    _check_places(order.amount, rules.amount_places, "amount", order.pair)
    if order.value is not None:
        _check_places(order.value, rules.price_places + rules.amount_places, "value", order.pair)
    if order.amount is not None and order.amount < rules.least_amount:
        raise UsageError(f"amount is {plain(order.amount)}; on {order.pair} it is {plain(rules.least_amount)} or more")
    value = order.value
    if order.price is not None and order.amount is not None:
        value = order.price * order.amount
    if value is not None and value < rules.least_value:
        raise UsageError(f"the order is worth {plain(value)}; on {order.pair} it is {plain(rules.least_value)} or more")


def _check_places(number: Decimal | None, places: int, name: str, pair: str) -> None:
    if number is None:
        return
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places:
        fitting = number.quantize(Decimal(1).scaleb(-places), rounding="ROUND_DOWN")
        raise UsageError(
            f"{name} is {plain(number)}; on {pair} it has at most {places} decimal places, such as {plain(fitting)}. "
            "Round it yourself: which way is your decision"
        )


def plain(number: Decimal) -> str:
    """Spell a number as the exchange takes it: plain digits, never `8.47E-8`."""
    return format(number, "f")


def asked_of_rest(order: OrderRequest) -> dict[str, str]:
    """Give the parameters of an order over REST; a market buy gives what it may spend as its price."""
    price = order.value if order.value is not None else order.price
    said = {
        "symbol": order.pair,
        "type": order.side if order.order_type == "limit" else f"{order.side}_{order.order_type}",
        "price": None if price is None else plain(price),
        "amount": None if order.amount is None else plain(order.amount),
        "custom_id": order.client_id,
    }
    return {name: text for name, text in said.items() if text is not None}
