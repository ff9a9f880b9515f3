"""The exchange as a desk that takes orders: over REST, and as a test of them.

Decided here: nothing but what a test leaves out. What answers prove is decided in `fates.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import BalanceUpdate, OrderUpdate
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.fates import Fate, Verdict, verdict_of_answer, verdict_of_failure
from lbank_ws.trading.refusals import NO_SUCH_ORDER
from lbank_ws.trading.ticket import PairRules
from lbank_ws.trading_errors import RestRefused
from lbank_ws.wire import OrderRequest

Send = Callable[[OrderRequest], Verdict]


class ExchangeDesk:
    """An account at the exchange. May be used by several threads.

    Args:
        rest: Asks and cancels, and places unless there is:
        send: Another way for orders to leave; the socket of the simple dialect.
        mind: Told of which pair an order is about to leave, so that it is asked for behind a drop.
    """

    def __init__(
        self, rest: AccountRest, send: Send | None = None, mind: Callable[[str], object] = lambda pair: None
    ) -> None:
        self.rest = rest
        self._send = send
        self._mind = mind

    def send(self, order: OrderRequest) -> Verdict:
        """Send an order, once, and tell what became of it."""
        self._mind(order.pair)
        if self._send is not None:
            return self._send(order)
        try:
            placed = self.rest.create(order)
        except RestFailed as failure:
            return verdict_of_failure(failure)
        return verdict_of_answer(order.client_id, placed.order_id, placed.client_id)

    def rules(self, pair: str) -> PairRules:
        """Give what orders of a pair must keep to."""
        found = self.rest.rules(pair).get(pair)
        if found is None:
            raise UsageError(f"LBank does not list {pair}")
        return found

    def check(self, pair: str) -> None:
        """Do nothing: the exchange itself says what it takes."""

    def exchange_ms(self) -> int:
        """Tell what the exchange's clock says."""
        return self.rest.exchange_ms()

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        """Give an order by one of its ids."""
        return self.rest.order(pair, order_id=order_id, client_id=client_id)

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        """Give the open orders of a pair."""
        return self.rest.open_orders(pair)

    def history(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair that ended lately."""
        return self.rest.history(pair)

    def cancel(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> None:
        """Ask for the end of an order."""
        self.rest.cancel(pair, order_id=order_id, client_id=client_id)

    def cancel_pair(self, pair: str) -> None:
        """Ask for the end of all open orders of a pair."""
        self.rest.cancel_pair(pair)

    def balances(self) -> list[BalanceUpdate]:
        """Give what the account has."""
        return self.rest.balances()


class TestDesk(ExchangeDesk):
    """The same account, and every order is checked by the exchange and placed nowhere: so there is none to look up."""

    __test__ = False  # pytest takes the name for its own

    def send(self, order: OrderRequest) -> Verdict:
        """Let an order be checked; where there is no answer, there is no order all the same."""
        try:
            placed = self.rest.create(order, is_test=True)
        except RestFailed as failure:
            fate = Fate.UNSENT if failure.code is None else Fate.REFUSED
            return Verdict(fate, code=failure.code, reason=failure.reason)
        return Verdict(Fate.PLACED, placed.order_id)

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        """Say that there is none."""
        raise RestRefused("account='test'", "a test places nothing", NO_SUCH_ORDER)

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        """Give none."""
        return []

    def history(self, pair: str) -> list[OrderUpdate]:
        """Give none."""
        return []

    def cancel(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> None:
        """Say that there is none."""
        raise RestRefused("account='test'", "a test places nothing", NO_SUCH_ORDER)

    def cancel_pair(self, pair: str) -> None:
        """Do nothing."""
