"""Log-in and orders in the simple dialect of LBank's published guide.

Decided here: what `op` frames are answered. The guide shows the two requests and nothing of the answers, so that every
answer is an assumption of the box: `op` says what is answered, `success` how it went, `msg` and `code` why not, with
the codes of the REST interface; an `id` is given back; each order in `args` gets an answer of its own. Orders before a
log-in are refused. The guide names no limit for the age of a log-in's timestamp, so it may have any age.
"""

from __future__ import annotations

import re
from typing import Any

from lbank_ws.sandbox import signing
from lbank_ws.sandbox.accounts import Account
from lbank_ws.sandbox.desk import Desk
from lbank_ws.sandbox.market import Market
from lbank_ws.sandbox.refusals import Refusal
from lbank_ws.sandbox.rest_text import written

_TIMESTAMP = re.compile(r"[0-9]{1,15}", re.ASCII)
_NOT_LOGGED_IN = 10201


class SimpleOrders:
    """What one client of the simple dialect may do with an account."""

    def __init__(self, desk: Desk, market: Market) -> None:
        self._desk = desk
        self._market = market
        self._account: Account | None = None

    def received(self, said: dict[str, Any], at_ms: int) -> list[str] | None:
        """Give the answers to an `op` frame, or None for one that is not understood."""
        args = said.get("args")
        if not isinstance(args, list):
            return None
        if said.get("op") == "auth":
            return [self._log_in(said, args, at_ms)]
        if said.get("op") == "order":
            return [self._order(said, asked, at_ms) for asked in args]
        return None

    def _log_in(self, said: dict[str, Any], args: list[Any], at_ms: int) -> str:
        self._account = None
        if len(args) != 3 or not all(isinstance(each, str | int) for each in args):
            return _refused(said, Refusal(10003), at_ms)
        key, timestamp, signature = (str(each) for each in args)
        account = self._desk.accounts.get(key)
        if not _TIMESTAMP.fullmatch(timestamp):
            return _refused(said, Refusal(10003), at_ms)
        if account is None:
            return _refused(said, Refusal(10005), at_ms)
        if account.method != signing.HMAC or not signing.is_logged_in(timestamp, signature, account.secret):
            return _refused(said, Refusal(10007), at_ms)
        self._account = account
        return written({"op": "auth", "success": True, **_echoed(said), "ts": at_ms})

    def _order(self, said: dict[str, Any], asked: Any, at_ms: int) -> str:
        if self._account is None:
            return _refused(said, Refusal(_NOT_LOGGED_IN), at_ms, words="not logged in")
        if not isinstance(asked, dict):
            return _refused(said, Refusal(10003), at_ms)
        wanted = {key: str(value) for key, value in asked.items()}
        symbol = wanted.get("symbol", "")
        wanted["symbol"] = next((pair for pair in self._market.pairs if pair.replace("_", "") == symbol), symbol)
        try:
            if "trade" not in self._account.permissions:
                raise Refusal(10022)
            order = self._desk.wanted_order(self._account, wanted, self._market, at_ms)
        except Refusal as reason:
            return _refused(said, reason, at_ms)
        placed = self._desk.place(self._account, order, self._market)
        content = {"order_id": placed.id, "symbol": symbol, "custom_id": placed.custom_id}
        return written({"op": "order", "success": True, "data": content, **_echoed(said), "ts": at_ms})


def _refused(said: dict[str, Any], reason: Refusal, at_ms: int, words: str | None = None) -> str:
    return written(
        {
            "op": said["op"],
            "success": False,
            "code": reason.code,
            "msg": words or reason.words,
            **_echoed(said),
            "ts": at_ms,
        }
    )


def _echoed(said: dict[str, Any]) -> dict[str, Any]:
    return {"id": said["id"]} if "id" in said else {}
