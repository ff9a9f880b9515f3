"""The orders of one account: placing, cancelling, looking up, stopping everything.

Decided here: when a cancellation is proved. Placing is decided in `placing.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from lbank_ws.channels import checked_pair
from lbank_ws.errors import RestFailed
from lbank_ws.events import BalanceUpdate, OrderUpdate
from lbank_ws.trading.placing import Placing
from lbank_ws.trading.resolver import Resolution
from lbank_ws.trading_errors import OrdersStillOpen
from lbank_ws.wire import OrderRequest

log = logging.getLogger("lbank_ws")

PROOF_S = 10.0  # how long the proof of a cancellation is waited for
_POLL_S = 0.25


class Orders(Placing):
    """The orders of one account. Every method may be called from any thread, inside a callback too.

    Calls wait for the exchange, 10 s at most unless they say otherwise; inside a callback the others wait as well.
    """

    # Cancelling. A cancellation is a request: what became of the order is asked until it is proved.

    def cancel(
        self, pair: str, client_id: str | None = None, *, order_id: str | None = None, timeout_s: float = PROOF_S
    ) -> OrderUpdate:
        """Ask for the end of an order, and give how it stands afterwards.

        One that was filled meanwhile is no error: look at `status`. It may be `cancelling` or `open` still when
        `timeout_s` is over.

        Args:
            pair: For example `btc_usdt`.
            client_id: The id that it was placed with, or else:
            order_id: The exchange's.
            timeout_s: How long the end is waited for.

        Raises:
            RestRefused: There is no such order (10032), or it may not be cancelled.
            RestFailed: What became of it could not be asked.
        """
        until_s = time.monotonic() + timeout_s
        refused: RestFailed | None = None
        try:
            self.desk.cancel(pair, order_id=order_id, client_id=client_id)
        except RestFailed as failure:
            refused = failure
        while True:
            try:
                order = self.desk.order(pair, order_id=order_id, client_id=client_id)
            except RestFailed as failure:
                if failure.code is not None or time.monotonic() >= until_s:
                    raise
            else:
                if order.status.is_final:
                    return order
                if refused is not None and refused.code is not None:
                    raise refused  # it is open, and the exchange does not end it
                if time.monotonic() >= until_s:
                    return order
            threading.Event().wait(_POLL_S)

    def cancel_all(self, pair: str, *, timeout_s: float = PROOF_S) -> None:
        """End all open orders of a pair, also those that others placed; returns when the exchange lists none any more.

        Raises:
            OrdersStillOpen: It still lists some when `timeout_s` is over, or cannot be asked.
            UsageError: The pair is not spelt like one.
        """
        checked_pair(pair)
        until_s = time.monotonic() + timeout_s
        problem = ""
        still: list[OrderUpdate] | None = None
        ask_again_s = 0.0
        while True:
            try:
                if time.monotonic() >= ask_again_s:  # an order that arrived late was not among those that were ended
                    ask_again_s = time.monotonic() + timeout_s / 4
                    self.desk.cancel_pair(pair)
                still = self.desk.open_orders(pair)
            except RestFailed as failure:
                problem = str(failure)
            if still == []:
                return
            if time.monotonic() >= until_s:
                raise OrdersStillOpen(pair, tuple(still or ()), problem)
            threading.Event().wait(min(_POLL_S, max(0.0, until_s - time.monotonic())))

    def halt(self, pairs: Iterable[str] = (), *, timeout_s: float = PROOF_S) -> None:
        """Refuse further orders, and end what is open; the way to stop everything.

        An order that is under way is waited for. Those are ended that stand on the pairs of this journal, and on
        `pairs`; the exchange lists open orders by pair alone.

        Raises:
            OrdersStillOpen: Not all are ended after `timeout_s`; the others are. Nothing is placed all the same.
        """
        until_s = time.monotonic() + timeout_s
        with self._turn:
            self._is_halted = True
            self._turn.wait_for(lambda: not self._under_way, timeout_s)
        failed: list[OrdersStillOpen] = []
        for pair in dict.fromkeys([*self.journal.pairs(), *map(checked_pair, pairs)]):
            try:
                self.cancel_all(pair, timeout_s=max(0.0, until_s - time.monotonic()))
            except OrdersStillOpen as still:
                log.error("%s", still)
                failed.append(still)
        if failed:
            raise failed[0]

    # Looking.

    def get(self, pair: str, client_id: str | None = None, *, order_id: str | None = None) -> OrderUpdate:
        """Give how an order stands, by one of its ids.

        Raises:
            RestRefused: There is none (10032).
            RestFailed: There was no answer.
        """
        order = self.desk.order(pair, order_id=order_id, client_id=client_id)
        self.resolver.notice(order)
        return order

    def open(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair to which something can still happen, the newest first.

        Raises:
            RestFailed: There was no answer.
        """
        return self.desk.open_orders(pair)

    def history(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair that ended in the last 24 hours, the newest first, 200 at most.

        Raises:
            RestFailed: There was no answer.
        """
        return self.desk.history(pair)

    def balances(self) -> list[BalanceUpdate]:
        """Give what the account has of each asset that it has any of.

        Raises:
            RestFailed: There was no answer.
        """
        return self.desk.balances()

    def resolve(self, client_id: str, *, wait_s: float = 0.0) -> Resolution:
        """Look up an order whose outcome is not known. Nothing is sent again, here or anywhere.

        `Fate.UNKNOWN` means that nothing is proved yet. An order that the exchange does not know counts as not placed
        only when it could not appear any more, 65 s after it became unknown; until then, ask again, or wait here.

        Args:
            client_id: The id that it was sent with; `OrderUnknown` has it.
            wait_s: For how long to go on asking.

        Raises:
            UsageError: No such order is in the journal.
        """
        return self.resolver.resolve(client_id, wait_s)

    def unresolved(self) -> list[OrderRequest]:
        """Give the orders of which nobody knows what became of them."""
        return [entry.order for entry in self.journal.open_entries()]

    def close(self) -> None:
        """Free the journal."""
        self.journal.close()
