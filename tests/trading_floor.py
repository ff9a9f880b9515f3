"""An exchange with accounts and no sockets, and somebody who asks it by the rules of LBank's documentation.

The signature is computed here a second time, so that the box is not its own judge.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from lbank_ws.sandbox.accounts import AccountView, new_account
from lbank_ws.sandbox.desk import Desk
from lbank_ws.sandbox.market import Happening, Market
from lbank_ws.sandbox.orders import Order
from lbank_ws.sandbox.rest import Rest
from lbank_ws.sandbox.visitor import Visitor

OPENED_AT_MS = 1_795_399_447_031
ECHO = "abcdefghijklmnopqrstuvwxyz0123456789"
KEY, SECRET = "key-of-ann", "secret-of-ann"


def signed(key: str, secret: str, at_ms: int, asked: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Give the body and the headers of a signed request."""
    headers = {"timestamp": str(at_ms), "signature_method": "HmacSHA256", "echostr": ECHO}
    body = {**asked, "api_key": key}
    text = "&".join(f"{name}={value}" for name, value in sorted({**body, **headers}.items()))
    digest = hashlib.md5(text.encode()).hexdigest().upper()
    return {**body, "sign": hmac.new(secret.encode(), digest.encode(), hashlib.sha256).hexdigest()}, headers


class TradingFloor:
    """Market, desk and REST interface, played by hand.

    Attributes:
        now_ms: The market's clock.
        happened: Everything that was published, in order.
        visitors: Who hears of it.
        heard: The frames that they got.
    """

    def __init__(self, *pairs: str, rate_limits: bool = False) -> None:
        self.now_ms = OPENED_AT_MS
        self.market = Market(pairs or ("btc_usdt",), 1, self.now_ms)
        self.desk = Desk(1, place=self._place, cancel=self._cancel)
        self.rest = Rest(self.desk, self.market, rate_limits=rate_limits)
        self.happened: list[Happening] = []
        self.visitors: list[Visitor] = []
        self.heard: list[dict[str, Any]] = []

    def open_account(self, key: str = KEY, secret: str = SECRET, **how: Any) -> AccountView:
        """Open an account with 100,000 usdt and 2 btc, unless told otherwise."""
        usual = {
            "method": "HmacSHA256",
            "balances": {"usdt": "100000", "btc": "2"},
            "fee": "0.001",
            "can_trade": True,
            "permissions": ("read", "trade", "withdraw"),
            "created_ms": self.now_ms,
        }
        self.desk.accounts.add(new_account(key, secret, **{**usual, **how}))
        return self.view(key)

    def view(self, key: str = KEY) -> AccountView:
        """Give an account as it stands."""
        account = self.desk.accounts.get(key)
        assert account is not None
        return account.view()

    def play(self, seconds: float) -> None:
        """Let the market go on."""
        self.now_ms += int(seconds * 1000)
        self.publish(self.market.advance(self.now_ms))

    def publish(self, happenings: Iterable[Happening]) -> None:
        """Let everybody hear, as the floor of the box does."""
        for happening in happenings:
            for each in (happening, *self.desk.noticed(happening)):
                self.happened.append(each)
                for visitor in self.visitors:
                    self.heard += [json.loads(frame) for frame in visitor.frames(each)]

    def _place(self, order: Order) -> list[Happening]:
        happenings = self.market.place(order, self.now_ms)
        self.publish(happenings)
        return happenings

    def _cancel(self, order_id: str) -> list[Happening]:
        happenings = self.market.cancel(order_id, self.now_ms)
        self.publish(happenings)
        return happenings

    def get(self, path: str, **asked: object) -> dict[str, Any]:
        """Ask a public address."""
        return self._read(self.rest.answer("GET", path, _texts(asked), {}, {}, self.now_ms))

    def post(self, path: str, key: str = KEY, secret: str = SECRET, **asked: object) -> dict[str, Any]:
        """Ask a signed address."""
        body, headers = signed(key, secret, self.now_ms, _texts(asked))
        return self._read(self.rest.answer("POST", path, {}, body, headers, self.now_ms))

    def order(self, direction: str, price: object = None, amount: object = None, **more: object) -> dict[str, Any]:
        """Ask for an order on btc_usdt; give the whole answer."""
        asked: dict[str, object] = {"symbol": "btc_usdt", "type": direction, "price": price, "amount": amount, **more}
        return self.post(
            "/v2/supplement/create_order.do", **{key: value for key, value in asked.items() if value is not None}
        )

    def best(self, side: str) -> Decimal:
        """Give the best price of `bids` or `asks` of btc_usdt."""
        book = self.market.book("btc_usdt")
        return book.listing.price_of((book.bids if side == "bids" else book.asks)[0][0])

    @staticmethod
    def _read(answer: tuple[int, str]) -> dict[str, Any]:
        status, text = answer
        assert status == 200, text
        read: dict[str, Any] = json.loads(text, parse_float=Decimal)
        return read


def _texts(asked: dict[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in asked.items()}
