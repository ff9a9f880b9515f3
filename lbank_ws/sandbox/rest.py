"""The REST interface of the practice exchange: which addresses there are, and who may ask them.

Decided here: addresses, the envelope of each, the order of the checks before an answer: frequency, headers, time, key,
signature, permission. Pure: a request and the time come in, status and text go out; `rest_routes.py` has the socket.

Known from LBank: HTTP status 200 for nearly everything; an unknown address gets a page in HTML; the check of the time
comes before that of the key; parameters may come in the query or in the body. Its documentation refuses what is more
than 5 s old or more than 1 s ahead; 3 s ahead was once seen to pass, and the box takes the stricter. Assumptions: the
other order of the checks; a wrong method gets 405.

The clock by which requests are signed and counted is the machine's, at every speed of the market: no client signs with
the market's time, or asks more often because the market runs faster. At speed 1 it is the same clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lbank_ws.sandbox import rest_old, rest_public, rest_signed, signing
from lbank_ws.sandbox.accounts import Account
from lbank_ws.sandbox.desk import Desk
from lbank_ws.sandbox.market import Market
from lbank_ws.sandbox.rate_limits import RateLimits
from lbank_ws.sandbox.refusals import Refusal
from lbank_ws.sandbox.rest_public import PublicAnswer, PublicRequest
from lbank_ws.sandbox.rest_signed import SignedAnswer, SignedRequest
from lbank_ws.sandbox.rest_text import NOT_ALLOWED, NOT_FOUND, Envelope, refusal, success

WINDOW_MS = 5_000
AHEAD_MS = 1_000

_SIGNED_HEADERS = ("timestamp", "signature_method", "echostr")
_ECHO = re.compile(r"[0-9A-Za-z]{30,40}", re.ASCII)
_EPOCH_MS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """What is known of one address.

    Attributes:
        method: `GET` or `POST`.
        public: What answers it, unless it is signed.
        signed: What answers it when it is signed.
        envelope: What stands around `data`.
        is_boolean: Whether `result` is a boolean; else it is text.
        limit: Which of the rate limits counts it.
        permission: What the key must be for.
    """

    method: str
    public: PublicAnswer | None = None
    signed: SignedAnswer | None = None
    envelope: Envelope = Envelope.WORDY
    is_boolean: bool = False
    limit: str = "others"
    permission: str = "read"


def _trading(answer: SignedAnswer) -> Address:
    return Address("POST", signed=answer, is_boolean=True, limit="orders", permission="trade")


def _signed(answer: SignedAnswer, *, is_boolean: bool = False, envelope: Envelope = Envelope.WORDY) -> Address:
    return Address("POST", signed=answer, is_boolean=is_boolean, envelope=envelope)


ADDRESSES: Mapping[str, Address] = {
    "/v2/timestamp.do": Address("GET", rest_public.timestamp),
    "/v2/currencyPairs.do": Address("GET", rest_public.currency_pairs),
    "/v2/accuracy.do": Address("GET", rest_public.accuracy),
    "/v2/withdrawConfigs.do": Address("GET", rest_public.withdraw_configs),
    "/cfd/openApi/v1/pub/instrument": Address("GET", rest_public.instruments),
    "/v2/depth.do": Address("GET", rest_public.depth),
    "/v2/ticker/24hr.do": Address("GET", rest_public.ticker_24hr),
    "/v2/kline.do": Address("GET", rest_public.kline),
    "/v2/trades.do": Address("GET", rest_public.old_trades),
    "/v2/supplement/trades.do": Address("GET", rest_public.trades),
    "/v2/supplement/ticker/price.do": Address(
        "GET", rest_public.ticker_price, envelope=Envelope.PLAIN, is_boolean=True
    ),
    "/v2/supplement/ticker/bookTicker.do": Address("GET", rest_public.book_ticker),
    "/v2/supplement/system_ping.do": Address("POST", rest_public.system_ping, envelope=Envelope.PLAIN),
    "/v2/supplement/system_status.do": Address("POST", rest_public.system_status, envelope=Envelope.PLAIN),
    "/v2/supplement/create_order.do": _trading(rest_signed.create_order),
    "/v2/supplement/create_order_test.do": _trading(rest_signed.create_order_test),
    "/v2/supplement/cancel_order.do": _trading(rest_signed.cancel_order),
    "/v2/supplement/cancel_order_by_symbol.do": _trading(rest_signed.cancel_order_by_symbol),
    "/v2/spot/trade/orders_info.do": _signed(rest_signed.orders_info),
    "/v2/supplement/orders_info.do": _signed(rest_signed.orders_info),
    "/v2/supplement/orders_info_no_deal.do": _signed(rest_signed.orders_info_no_deal, is_boolean=True),
    "/v2/spot/trade/orders_info_history.do": _signed(rest_signed.orders_info_history),
    "/v2/supplement/orders_info_history.do": _signed(rest_signed.orders_info_history),
    "/v2/supplement/transaction_history.do": _signed(rest_signed.transaction_history, is_boolean=True),
    "/v2/transaction_history.do": _signed(rest_old.old_transactions, is_boolean=True),
    "/v2/supplement/user_info_account.do": _signed(rest_signed.user_info_account, envelope=Envelope.PLAIN),
    "/v2/supplement/user_info.do": _signed(rest_signed.user_info),
    "/v2/supplement/customer_trade_fee.do": _signed(rest_signed.customer_trade_fee),
    "/v2/supplement/api_Restrictions.do": _signed(rest_signed.api_restrictions),
    "/v2/subscribe/get_key.do": _signed(rest_signed.get_key, is_boolean=True, envelope=Envelope.PLAIN),
    "/v2/subscribe/refresh_key.do": _signed(rest_signed.refresh_key, envelope=Envelope.BARE),
    "/v2/subscribe/destroy_key.do": _signed(rest_signed.destroy_key, envelope=Envelope.BARE),
}


class Rest:
    """Answers requests.

    Args:
        desk: The accounts, and where orders are placed.
        market: What is traded.
        rate_limits: Whether those who ask too often are refused.
    """

    def __init__(self, desk: Desk, market: Market, *, rate_limits: bool = True) -> None:
        self._desk = desk
        self._market = market
        self._limits = RateLimits() if rate_limits else None

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        form: Mapping[str, str],
        headers: Mapping[str, str],
        now_ms: int,
        *,
        clock_ms: int | None = None,
        asker: str = "127.0.0.1",
    ) -> tuple[int, str]:
        """Give the HTTP status of the answer and its text: JSON when the status is 200, else HTML.

        Args:
            method: `GET` or `POST`.
            path: For example `/v2/timestamp.do`.
            query: The parameters of the address.
            form: Those of the body.
            headers: Their names are in lower case.
            now_ms: The market's clock, in UTC epoch ms.
            clock_ms: The exchange's clock, which requests are signed and counted by; None for the market's.
            asker: The address that the request comes from.
        """
        address = ADDRESSES.get(path)
        if address is None:
            return 404, NOT_FOUND
        if method != address.method:
            return 405, NOT_ALLOWED
        clock_ms = now_ms if clock_ms is None else clock_ms
        asked = {**query, **form}
        try:
            who = asked.get("api_key") or asker if address.signed else asker
            if self._limits is not None and not self._limits.allows(who, address.limit, clock_ms):
                raise Refusal(10004)
            content = self._content(address, asked, headers, now_ms, clock_ms)
        except Refusal as reason:
            return 200, refusal(reason, is_boolean=address.is_boolean, at_ms=clock_ms)
        return 200, success(address.envelope, is_boolean=address.is_boolean, content=content, at_ms=clock_ms)

    def _content(
        self, address: Address, asked: Mapping[str, str], headers: Mapping[str, str], now_ms: int, clock_ms: int
    ) -> object:
        if address.public is not None:
            return address.public(PublicRequest(asked, self._market, now_ms, clock_ms))
        assert address.signed is not None  # noqa: S101 - an address has one of the two
        account = self._asking(asked, headers, clock_ms)
        if address.permission not in account.permissions:
            raise Refusal(10022)
        return address.signed(SignedRequest(account, asked, self._desk, self._market, now_ms))

    def _asking(self, asked: Mapping[str, str], headers: Mapping[str, str], clock_ms: int) -> Account:
        """Give the account that has signed a request.

        Raises:
            Refusal: None has, or not now.
        """
        key, sign = asked.get("api_key"), asked.get("sign")
        if not key or not sign:
            raise Refusal(10201)
        signed_headers = {name: headers.get(name, "") for name in _SIGNED_HEADERS}
        if not all(signed_headers.values()):
            raise Refusal(10202)
        method = signed_headers["signature_method"]
        if method not in signing.METHODS:
            raise Refusal(10203)
        if not _ECHO.fullmatch(signed_headers["echostr"]):
            raise Refusal(10031)
        window_ms = asked.get("window") or str(WINDOW_MS)
        if not _EPOCH_MS.fullmatch(signed_headers["timestamp"]) or not _EPOCH_MS.fullmatch(window_ms):
            raise Refusal(10003)
        if not -AHEAD_MS <= clock_ms - int(signed_headers["timestamp"]) <= int(window_ms):
            raise Refusal(10600)
        account = self._desk.accounts.get(key)
        if account is None:
            raise Refusal(10005)
        if method != account.method:
            raise Refusal(10203)
        if not signing.is_signed({**asked, **signed_headers}, sign, account.secret, method):
            raise Refusal(10007)
        return account
