"""What the signed addresses of the REST interface answer: accounts, orders, subscribe keys.

Decided here: parameters and what stands under `data`. Which orders are taken and refused is decided in `desk.py`, who
may ask at all in `rest.py`. Known from LBank's documentation and captures: keys, and which values are text and which
are numbers; a cancelled order is answered with status 0; cancel_order_by_symbol prints 20 decimal places. Assumptions
of the box: `total` counts pages, as documented; histories come newest first, transactions oldest first; ids that were
not given are an empty text.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lbank_ws.sandbox.accounts import UNIT_PLACES, Account, OwnFill, base_of, printed
from lbank_ws.sandbox.bars import DAY_MS, EPOCH, UTC8, bar_start
from lbank_ws.sandbox.desk import Desk, order_type
from lbank_ws.sandbox.frames import number, plain
from lbank_ws.sandbox.market import Market
from lbank_ws.sandbox.orders import Order, OrderStatus
from lbank_ws.sandbox.refusals import Refusal
from lbank_ws.sandbox.rest_public import given, pair_of, whole
from lbank_ws.sandbox.rest_text import Number

MOST_ORDERS = 200
MOST_TRANSACTIONS = 100

_LONGEST_QUERY_MS = 2 * DAY_MS
_CLOSED = (OrderStatus.CANCELLED, OrderStatus.FILLED, OrderStatus.PARTLY_CANCELLED)
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d))?", re.ASCII)


@dataclass(frozen=True)
class SignedRequest:
    """What a signed address is asked.

    Attributes:
        account: Who asks.
        asked: The parameters, without those of the signature.
        desk: Where orders are placed.
        market: What is traded.
        now_ms: The market's clock, in UTC epoch ms.
    """

    account: Account
    asked: Mapping[str, str]
    desk: Desk
    market: Market
    now_ms: int


SignedAnswer = Callable[[SignedRequest], object]


def create_order(request: SignedRequest) -> object:
    """Place an order."""
    order = request.desk.wanted_order(request.account, request.asked, request.market, request.now_ms)
    return _placed(request.desk.place(request.account, order, request.market))


def create_order_test(request: SignedRequest) -> object:
    """Check an order without placing it; its own id is not used up."""
    order = request.desk.wanted_order(request.account, request.asked, request.market, request.now_ms)
    order.id = str(uuid.uuid4())
    return _placed(order)


def _placed(order: Order) -> object:
    return {"symbol": order.listing.pair, "order_id": order.id, "custom_id": order.custom_id}


def cancel_order(request: SignedRequest) -> object:
    """Cancel one order; `status` is 0 although it is cancelled, as LBank's own example has it."""
    _tradable(request)
    order = request.desk.cancel(request.account, request.asked)
    listing = order.listing
    return {
        "executedQty": Number(number(order.filled, listing.amount_places)),
        "price": Number(number(order.price, listing.price_places)),
        "origQty": Number(number(order.amount, listing.amount_places)),
        "tradeType": order_type(order),
        "status": 0,
    }


def cancel_order_by_symbol(request: SignedRequest) -> object:
    """Cancel all open orders of a pair."""
    return [
        {
            "executedQty": _padded(order.filled, order.listing.amount_places),
            "orderId": order.id,
            "price": _padded(order.price, order.listing.price_places),
            "origQty": _padded(order.amount, order.listing.amount_places),
            "tradeType": order_type(order),
            "origClientOrderId": order.custom_id,
            "status": 0,
        }
        for order in request.desk.cancel_all(request.account, _tradable(request))
    ]


def _tradable(request: SignedRequest) -> str:
    """Give the pair; those who may not trade are told that there is no such pair, as with placing."""
    pair = pair_of(request.asked, request.market)
    if not request.account.may_trade(pair):
        raise Refusal(10008)
    return pair


def orders_info(request: SignedRequest) -> object:
    """One order."""
    pair_of(request.asked, request.market)
    return _row(request.desk.order(request.account, request.asked))


def orders_info_no_deal(request: SignedRequest) -> object:
    """The open orders of a pair, by pages."""
    pair = pair_of(request.asked, request.market)
    wanted = [order for order in request.account.orders.values() if order.listing.pair == pair and not order.is_done]
    return _page(request, [_row(order) for order in reversed(wanted)])


def orders_info_history(request: SignedRequest) -> object:
    """The orders of a pair of the last 24 hours, by pages; without `status` those that are done. No own ids."""
    pair = pair_of(request.asked, request.market)
    status = request.asked.get("status", "")
    if status and status not in {str(each.value) for each in OrderStatus}:
        raise Refusal(10003)
    statuses = (OrderStatus(int(status)),) if status else _CLOSED
    rows = [
        {key: value for key, value in _row(order).items() if key != "clientOrderId"}
        for order in reversed(request.account.orders.values())
        if order.listing.pair == pair and order.status in statuses and order.placed_ms > request.now_ms - DAY_MS
    ]
    return _page(request, rows)


def _page(request: SignedRequest, rows: list[dict[str, object]]) -> object:
    page = whole(request.asked, "current_page")
    length = whole(request.asked, "page_length", most=MOST_ORDERS, code=10018)
    return {
        "total": -(-len(rows) // length),
        "page_length": length,
        "orders": rows[(page - 1) * length : page * length],
        "current_page": page,
    }


def _row(order: Order) -> dict[str, object]:
    listing = order.listing
    return {
        "cummulativeQuoteQty": Number(plain(order.filled_value, listing.value_places)),
        "symbol": listing.pair,
        "executedQty": Number(plain(order.filled, listing.amount_places)),
        "orderId": order.id,
        "origQty": Number(plain(order.amount, listing.amount_places)),
        "price": Number(plain(order.price, listing.price_places)),
        "clientOrderId": order.custom_id,
        "origQuoteOrderQty": Number(plain(order.value or order.price * order.amount, listing.value_places)),
        "updateTime": order.updated_ms,
        "time": order.placed_ms,
        "type": order_type(order),
        "status": order.status.value,
    }


def transaction_history(request: SignedRequest) -> object:
    """The fills of a pair, or of all pairs; the default window is yesterday and today on the clock of UTC+8."""
    asked = request.asked
    pair = pair_of(asked, request.market) if asked.get("symbol") else ""
    limit = whole(asked, "limit", most=MOST_TRANSACTIONS) if asked.get("limit") else MOST_TRANSACTIONS
    today_ms = bar_start("day", request.now_ms)
    start_ms = _moment(asked["startTime"], is_end=False) if asked.get("startTime") else today_ms - DAY_MS
    end_ms = _moment(asked["endTime"], is_end=True) if asked.get("endTime") else today_ms + DAY_MS
    if not 0 <= end_ms - start_ms <= _LONGEST_QUERY_MS:
        raise Refusal(10028)
    wanted = [
        own
        for own in request.account.fills
        if start_ms <= own.fill.at_ms < end_ms and pair in ("", own.order.listing.pair)
    ]
    if asked.get("fromId"):
        ids = [own.fill.id for own in wanted]
        if asked["fromId"] not in ids:
            raise Refusal(10029)
        wanted = wanted[ids.index(asked["fromId"]) :]
    return [_transaction(own) for own in wanted[:limit]]


def _transaction(own: OwnFill) -> object:
    listing, fill = own.order.listing, own.fill
    return {
        "symbol": listing.pair,
        "id": fill.id,
        "orderId": own.order.id,
        "price": plain(fill.price, listing.price_places),
        "qty": plain(fill.amount, listing.amount_places),
        "quoteQty": plain(fill.value, listing.value_places),
        "commission": printed(own.commission),
        "time": fill.at_ms,
        "isBuyer": own.order.side == "buy",
        "isMaker": own.is_maker,
    }


def _moment(text: str, *, is_end: bool) -> int:
    """Read a time of UTC+8; one without hours is the start of its day, or as an end the end of it."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise Refusal(10003)
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC8)
    except ValueError:
        raise Refusal(10003) from None
    at_ms = (at - EPOCH) // timedelta(milliseconds=1)
    return at_ms + DAY_MS if is_end and found[4] is None else at_ms


def user_info_account(request: SignedRequest) -> object:
    """Every asset's balance, most of them zero. Nothing in it tells that a pair cannot be traded."""
    account = request.account
    return {
        "uid": f"LBA{uuid.uuid5(uuid.NAMESPACE_URL, account.key).hex[:7].upper()}",
        "balances": [
            {
                "asset": asset,
                "free": printed(account.purse(asset).free),
                "locked": printed(account.purse(asset).locked),
            }
            for asset in _assets(request)
        ],
        "canWithdraw": "withdraw" in account.permissions,
        "canDeposit": True,
        "canTrade": "trade" in account.permissions,
    }


def user_info(request: SignedRequest) -> object:
    """The same by coin, with its networks; the box has none to deposit to."""
    account = request.account
    return [
        {
            "usableAmt": printed(account.purse(asset).free),
            "assetAmt": printed(account.purse(asset).free + account.purse(asset).locked),
            "networkList": [],
            "freezeAmt": printed(account.purse(asset).locked),
            "coin": asset,
        }
        for asset in _assets(request)
    ]


def _assets(request: SignedRequest) -> list[str]:
    listings = [request.market.listing(pair) for pair in request.market.pairs]
    listed = [asset for listing in listings for asset in (base_of(listing), listing.quote)]
    return list(dict.fromkeys([*request.account.purses, *listed]))


def customer_trade_fee(request: SignedRequest) -> object:
    """The commission as a fraction, as seen live; LBank's documentation has a percentage."""
    pairs = (pair_of({"symbol": request.asked["category"]}, request.market),) if request.asked.get("category") else ()
    fee = request.account.fee
    rate = plain(fee.numerator * 10**UNIT_PLACES // fee.denominator, UNIT_PLACES)
    return [
        {"symbol": pair, "makerCommission": rate, "takerCommission": rate} for pair in pairs or request.market.pairs
    ]


def api_restrictions(request: SignedRequest) -> object:
    """What the key is for."""
    permissions = request.account.permissions
    return {
        "enableSpotTrading": "trade" in permissions,
        "createTime": request.account.created_ms,
        "enableReading": "read" in permissions,
        "ipRestrict": False,
        "enableWithdrawals": "withdraw" in permissions,
    }


def get_key(request: SignedRequest) -> object:
    """A new subscribe key."""
    return request.desk.keys.give(request.account.key, request.now_ms)


def refresh_key(request: SignedRequest) -> object:
    """An hour more for a subscribe key."""
    if not request.desk.keys.refresh(given(request.asked, "subscribeKey"), request.account.key, request.now_ms):
        raise Refusal(10003)
    return None


def destroy_key(request: SignedRequest) -> object:
    """The end of a subscribe key."""
    if not request.desk.keys.destroy(given(request.asked, "subscribeKey"), request.account.key, request.now_ms):
        raise Refusal(10003)
    return None


def _padded(steps: int, places: int) -> Number:
    """Print with 20 decimal places, as cancel_order_by_symbol was seen to."""
    digits = str(steps).rjust(places + 1, "0")
    whole_part, fraction = (digits[:-places], digits[-places:]) if places else (digits, "")
    return Number(f"{whole_part}.{fraction.ljust(UNIT_PLACES, '0')}")
