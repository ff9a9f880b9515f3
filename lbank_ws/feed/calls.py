"""Which call about an account answers a fetch. Nothing else is decided here; the calls raise `RestFailed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lbank_ws.channels import Channel
from lbank_ws.errors import RestFailed
from lbank_ws.events import BalanceUpdate, Event, OrderUpdate
from lbank_ws.feed.asking import Fetch

UNKNOWN_ORDER = 10032


class Account(Protocol):
    """What is asked over REST about an account; each call may raise `RestFailed`."""

    def balances(self, *, with_empty: bool = False) -> Sequence[BalanceUpdate]:
        """Give what there is of each asset."""

    def open_orders(self, pair: str) -> Sequence[OrderUpdate]:
        """Give the open orders of a pair."""

    def history(self, pair: str) -> Sequence[OrderUpdate]:
        """Give the orders of a pair that have ended, the newest first."""

    def order(self, pair: str, *, order_id: str | None = None) -> OrderUpdate:
        """Give one order."""

    def wait_s(self) -> float:
        """Tell for how long the exchange wants no further call."""

    def close(self) -> None:
        """Close the connection."""


def rows_of_account(rest: Account, fetch: Fetch) -> Sequence[Event]:
    """Ask about an account; an order that the exchange does not know gives nothing."""
    if not fetch.pair:
        return rest.balances(with_empty=fetch.topic.channel is Channel.BALANCE)
    if fetch.order_id:
        try:
            return [rest.order(fetch.pair, order_id=fetch.order_id)]
        except RestFailed as failure:
            if failure.code != UNKNOWN_ORDER:
                raise
            return []
    return rest.open_orders(fetch.pair) if fetch.start_at is None else rest.history(fetch.pair)
