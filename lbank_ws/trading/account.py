"""The calls of the exchange's REST interface that are signed: balances, orders, subscribe keys.

Decided here: what is asked, and which calls are never repeated. Not decided here: how a call is signed and made, which
is `signed.py`; what its rows mean, which is `reading.py`; what is made of an answer that does not come, which is
`placing.py`. Source: docs/reference/wire.md, "REST".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar

from lbank_ws.channels import checked_pair
from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import BalanceUpdate, OrderUpdate
from lbank_ws.trading.reading import AccountFill, balance_of, order_of, own_fill_of
from lbank_ws.trading.rest import read_rows
from lbank_ws.trading.signed import SignedRest
from lbank_ws.trading.ticket import WINDOW_MS, asked_of_rest
from lbank_ws.wire import OrderRequest, values
from lbank_ws.wire.values import BadValueError

_CREATE = "/v2/supplement/create_order.do"
_CREATE_TEST = "/v2/supplement/create_order_test.do"
_CANCEL = "/v2/supplement/cancel_order.do"
_CANCEL_PAIR = "/v2/supplement/cancel_order_by_symbol.do"
_ORDER = "/v2/spot/trade/orders_info.do"
_OPEN = "/v2/supplement/orders_info_no_deal.do"
_HISTORY = "/v2/spot/trade/orders_info_history.do"
_FILLS = "/v2/supplement/transaction_history.do"
_BALANCES = "/v2/supplement/user_info_account.do"
_GET_KEY = "/v2/subscribe/get_key.do"
_REFRESH_KEY = "/v2/subscribe/refresh_key.do"
_DESTROY_KEY = "/v2/subscribe/destroy_key.do"

_PAGE = 200
_MOST_PAGES = 50
_MOST_FILLS = 100
_LONGEST_KEY = 256
_Given = TypeVar("_Given")


class Placed(NamedTuple):
    """What the exchange says of an order that it took.

    Attributes:
        order_id: Its id of the order.
        client_id: The id that it was sent with, as the exchange gives it back; None where it does not.
    """

    order_id: str
    client_id: str | None


class AccountRest(SignedRest):
    """Asks the exchange about an account, and places and cancels its orders; see `SignedRest` for how."""

    # The account.

    def balances(self, *, with_empty: bool = False) -> list[BalanceUpdate]:
        """Give what the account has of each asset, with `source="resync"`.

        Args:
            with_empty: The thousands of assets of which there is nothing, too.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self.ask(_BALANCES)
        rows = answer.content.get("balances") if isinstance(answer.content, dict) else None
        balances = read_rows(_BALANCES, rows, partial(balance_of, sent_at=answer.sent_at))
        return [balance for balance in balances if with_empty or balance.total]

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        """Give an order as it stands, with `source="resync"`, by one of its two ids.

        Raises:
            RestRefused: There is none with code 10032, or another refusal.
            RestFailed: There was no answer.
            UsageError: The pair is not spelt like one, or there is not exactly one id.
        """
        answer = self.ask(_ORDER, _named(pair, order_id, client_id))
        return _one(_ORDER, lambda: order_of(answer.content, answer.sent_at))

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair to which something can still happen, with `source="resync"`, the newest first.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        return self._pages(_OPEN, {"symbol": checked_pair(pair)}, _MOST_PAGES)

    def history(self, pair: str, *, pages: int = 1) -> list[OrderUpdate]:
        """Give the orders of a pair that ended in the last 24 hours, the newest first; without their own ids.

        Args:
            pair: For example `btc_usdt`.
            pages: How many times 200 at most.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        return self._pages(_HISTORY, {"symbol": checked_pair(pair)}, pages)

    def fills(
        self, pair: str, *, start_at: datetime | None = None, end_at: datetime | None = None
    ) -> list[AccountFill]:
        """Give the first 100 deals of the account on a pair, the oldest first.

        Args:
            pair: For example `btc_usdt`.
            start_at: From when on; yesterday when None, by the calendar of UTC+8.
            end_at: Until when, at most two days later; the end of today when None.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair is not spelt like one, or a moment has no time zone.
        """
        asked = {"symbol": checked_pair(pair), "limit": str(_MOST_FILLS)}
        for name, moment in (("startTime", start_at), ("endTime", end_at)):
            if moment is not None:
                asked[name] = values.utc8_text(moment).replace("T", " ")
        return read_rows(_FILLS, self.ask(_FILLS, asked).content, own_fill_of)

    # Orders. None of these is ever sent twice.

    def create(self, order: OrderRequest, *, is_test: bool = False) -> Placed:
        """Place an order, or let it be checked alone.

        Args:
            order: A valid one.
            is_test: The exchange checks it, and places nothing.

        Raises:
            RestRefused: The exchange said no; whether that proves that there is none tells its code.
            RestFailed: There was no answer that says so; `was_sent` tells whether the order may be placed.
        """
        path = _CREATE_TEST if is_test else _CREATE
        answer = self.write(path, {**asked_of_rest(order), "window": str(WINDOW_MS)})
        content = answer.content if isinstance(answer.content, dict) else {}
        order_id, client_id = content.get("order_id"), content.get("custom_id")
        if not isinstance(order_id, str) or not order_id:
            raise RestFailed(path, "the exchange said yes and named no order")
        return Placed(order_id, client_id if isinstance(client_id, str) and client_id else None)

    def cancel(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> None:
        """Ask for the end of an order; what became of it tells `order`.

        Raises:
            RestRefused: There is no such order, or nothing is left to cancel: codes 10032, 10025 to 10027, 10037.
            RestFailed: There was no answer.
            UsageError: The pair is not spelt like one, or there is not exactly one id.
        """
        self.write(_CANCEL, _named(pair, order_id, client_id))

    def cancel_pair(self, pair: str) -> None:
        """Ask for the end of all open orders of a pair; what became of them tells `open_orders`.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        self.write(_CANCEL_PAIR, {"symbol": checked_pair(pair)})

    # The subscribe key, which opens the account's streams for an hour. It is a secret.

    def new_key(self) -> str:
        """Give a new subscribe key.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self.ask(_GET_KEY, repeats=0)
        content = answer.content.get("key") if isinstance(answer.content, dict) else answer.content
        key = content or answer.envelope.get("subscribeKey")  # three spellings are documented or seen
        if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or not key.isalnum():
            raise RestFailed(_GET_KEY, "the answer holds no subscribe key")
        return key

    def refresh_key(self, key: str) -> None:
        """Let a subscribe key live for another hour.

        Raises:
            RestFailed: There was no answer, or a refusal: then it has ended, or will.
        """
        self.ask(_REFRESH_KEY, {"subscribeKey": key})

    def close_key(self, key: str) -> None:
        """End a subscribe key.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        self.ask(_DESTROY_KEY, {"subscribeKey": key}, repeats=0)

    def _pages(self, path: str, asked: Mapping[str, str], most: int) -> list[OrderUpdate]:
        found: dict[str, OrderUpdate] = {}
        for page in range(1, most + 1):
            answer = self.ask(path, {**asked, "current_page": str(page), "page_length": str(_PAGE)})
            rows = answer.content.get("orders") if isinstance(answer.content, dict) else None
            orders = read_rows(path, rows, partial(order_of, sent_at=answer.sent_at))
            for order in orders:
                found.setdefault(order.order_id, order)
            if len(orders) < _PAGE:
                break
        return list(found.values())


def _named(pair: str, order_id: str | None, client_id: str | None) -> dict[str, str]:
    if (order_id is None) == (client_id is None):
        raise UsageError("name an order by order_id or by client_id, one of them")
    if order_id is not None:
        return {"symbol": checked_pair(pair), "orderId": order_id}
    return {"symbol": checked_pair(pair), "origClientOrderId": str(client_id)}


def _one(path: str, read: Callable[[], _Given]) -> _Given:
    try:
        return read()
    except BadValueError as bad:
        raise RestFailed(path, f"the answer cannot be read: {bad}") from None
