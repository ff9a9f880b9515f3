"""The calls of the exchange's REST interface that are signed: balances, orders, subscribe keys.

Decided here: what is asked, what the rows of an answer mean, that reads are repeated when the line breaks and that
nothing else ever is, and for which moment a call is signed. Not decided here: what is made of an answer that does not
come, which is `orders.py`. Source: docs/reference/wire.md, "REST" and "Signature".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar

from lbank_ws.channels import checked_pair
from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import BalanceUpdate, OrderUpdate
from lbank_ws.settings import checked_for_credentials
from lbank_ws.signer import Credentials, new_nonce, signed_request
from lbank_ws.trading.calling import Answer
from lbank_ws.trading.pacing import ORDER_CALLS, Pacing
from lbank_ws.trading.reading import AccountFill, balance_of, order_of, own_fill_of
from lbank_ws.trading.refusals import CLOCK
from lbank_ws.trading.rest import Rest, read_rows
from lbank_ws.trading.ticket import WINDOW_MS, asked_of_rest
from lbank_ws.wire import OrderRequest, values
from lbank_ws.wire.values import BadValueError

log = logging.getLogger("lbank_ws")

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

_REPEATS = 2
_PAGE = 200
_MOST_PAGES = 50
_MOST_FILLS = 100
_MEASURE_EVERY_S = 600.0
_DOUBTED_S = 60.0
_NOTABLE_MS = 1_000  # the exchange refuses what is so far in the future
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


class AccountRest(Rest):
    """Asks the exchange about an account, and places and cancels its orders. May be used by several threads.

    One call is made at a time, and the others wait for it: a lock guards the connection and the limits.

    Args:
        url: Where the interface is; `https://`, or `http://` to this machine itself.
        credentials: Who asks.
        exchange_ms: Gives what the exchange's clock says, in epoch milliseconds, or None while that is not known; then,
            and without it, the exchange is asked.
        ca_file: A file of certificate authorities to trust in place of the system's.
        proxy: The URL of a proxy; needs the extra `proxy`.
        timeout_s: How long a call may take in all.

    Raises:
        UsageError: The address, the file or the proxy cannot be used, or credentials must not travel there.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        exchange_ms: Callable[[], float | None] | None = None,
        ca_file: str | None = None,
        proxy: str | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        super().__init__(checked_for_credentials(url, "rest_url"), ca_file=ca_file, proxy=proxy, timeout_s=timeout_s)
        self._credentials = credentials
        self._exchange_ms = exchange_ms
        self._measured: tuple[float, float] | None = None  # the exchange's clock less the monotonic one, and when
        self._doubted_until_s = 0.0  # until when the exchange itself is asked what its clock says
        self._ordering = Pacing(ORDER_CALLS)
        self._lock = threading.RLock()

    # The account.

    def balances(self, *, with_empty: bool = False) -> list[BalanceUpdate]:
        """Give what the account has of each asset, with `source="resync"`.

        Args:
            with_empty: The thousands of assets of which there is nothing, too.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self._ask(_BALANCES)
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
        answer = self._ask(_ORDER, _named(pair, order_id, client_id))
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
        return read_rows(_FILLS, self._ask(_FILLS, asked).content, own_fill_of)

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
        answer = self._write(path, {**asked_of_rest(order), "window": str(WINDOW_MS)})
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
        self._write(_CANCEL, _named(pair, order_id, client_id))

    def cancel_pair(self, pair: str) -> None:
        """Ask for the end of all open orders of a pair; what became of them tells `open_orders`.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        self._write(_CANCEL_PAIR, {"symbol": checked_pair(pair)})

    # The subscribe key, which opens the account's streams for an hour. It is a secret.

    def new_key(self) -> str:
        """Give a new subscribe key.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self._ask(_GET_KEY, repeats=0)
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
        self._ask(_REFRESH_KEY, {"subscribeKey": key})

    def close_key(self, key: str) -> None:
        """End a subscribe key.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        self._ask(_DESTROY_KEY, {"subscribeKey": key}, repeats=0)

    # How it is done.

    def get(self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = 0) -> Answer:
        """Give the answer to a public question; see `Caller.get`."""
        with self._lock:
            return super().get(path, asked, repeats=repeats)

    def close(self) -> None:
        """Close the connection; a further call would open another one."""
        with self._lock:
            super().close()

    def exchange_ms(self) -> int:
        """Tell what the exchange's clock says, in epoch milliseconds; it is asked where that is not known.

        Raises:
            RestFailed: There was no answer.
        """
        with self._lock:
            now_s = time.monotonic()
            if self._exchange_ms is not None and now_s >= self._doubted_until_s:
                known = self._exchange_ms()
                if known is not None:
                    return int(known)
            if self._measured is None or now_s - self._measured[1] > _MEASURE_EVERY_S:
                asked_s = time.monotonic()
                told_ms = self.time_ms()
                now_s = time.monotonic()
                self._measured = (told_ms / 1000 - (asked_s + now_s) / 2, now_s)
                off_ms = round(time.time() * 1000 - told_ms)
                if abs(off_ms) > _NOTABLE_MS:
                    log.warning(
                        "this computer's clock is %.1f s %s the exchange's; calls are signed with the exchange's",
                        abs(off_ms) / 1000,
                        "ahead of" if off_ms > 0 else "behind",
                    )
            return int((self._measured[0] + now_s) * 1000)

    def _ask(self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = _REPEATS) -> Answer:
        """Make a call that changes nothing, again when the line breaks, or when it was signed by a wrong clock."""
        until_s = time.monotonic() + self._route.timeout_s
        while True:
            try:
                return self._signed(path, asked or {}, self._pacing)
            except RestFailed as failure:
                is_broken = failure.code is None or failure.code == CLOCK
                if not is_broken or repeats <= 0 or time.monotonic() >= until_s:
                    raise
                repeats -= 1

    def _write(self, path: str, asked: Mapping[str, str]) -> Answer:
        """Make a call that changes something, once."""
        return self._signed(path, asked, self._ordering, is_fresh=True)

    def _signed(self, path: str, asked: Mapping[str, str], pacing: Pacing, *, is_fresh: bool = False) -> Answer:
        with self._lock:
            try:
                now_ms = self.exchange_ms()
            except RestFailed as failure:
                raise RestFailed(path, f"the exchange's clock is not known: {failure.reason}", was_sent=False) from None
            request = signed_request(asked, self._credentials, now_ms, new_nonce())
            secret = {*self._credentials.known, request.body["sign"]}
            if "subscribeKey" in asked:
                secret.add(asked["subscribeKey"])
            try:
                return self.post(path, request.body, request.headers, pacing=pacing, secret=secret, is_fresh=is_fresh)
            except RestFailed as failure:
                if failure.code == CLOCK:
                    self._measured = None
                    self._doubted_until_s = time.monotonic() + _DOUBTED_S
                raise

    def _pages(self, path: str, asked: Mapping[str, str], most: int) -> list[OrderUpdate]:
        found: dict[str, OrderUpdate] = {}
        for page in range(1, most + 1):
            answer = self._ask(path, {**asked, "current_page": str(page), "page_length": str(_PAGE)})
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
