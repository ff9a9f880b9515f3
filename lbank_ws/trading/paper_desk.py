"""The paper account as a desk that takes orders, and the file that keeps it.

Decided here: where the live book comes from, that a change is on the disk before anybody hears of it, and what its
events look like. What orders do is decided in `paper.py`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal

from lbank_ws.errors import LBankError, UsageError
from lbank_ws.events import AccountEvent, BalanceUpdate, Depth, Fill, OrderStatus, OrderUpdate, Receipt
from lbank_ws.quoting import quoted
from lbank_ws.sandbox import orders as market
from lbank_ws.sandbox.accounts import in_coins
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.holding import Holding
from lbank_ws.trading.paper import Change, PaperAccount
from lbank_ws.trading.refusals import NO_SUCH_ORDER, refusal
from lbank_ws.trading.ticket import Number, PairRules
from lbank_ws.wire import OrderRequest

_MARK = "lbank_ws paper account"
_VERSION = 1
_NOT_ENOUGH = 10014
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_AVERAGE = Context(prec=28)
_STATUSES = {
    market.OrderStatus.CANCELLED: OrderStatus.CANCELLED,
    market.OrderStatus.OPEN: OrderStatus.OPEN,
    market.OrderStatus.PARTLY_FILLED: OrderStatus.PARTLY_FILLED,
    market.OrderStatus.FILLED: OrderStatus.FILLED,
    market.OrderStatus.PARTLY_CANCELLED: OrderStatus.PARTLY_CANCELLED,
}


class PaperDesk:
    """Takes orders on paper. May be used by several threads; the lock guards the account and its file.

    Args:
        balances: What it owns at the beginning, by asset.
        fee: The commission, as a fraction of what is received.
        file: Where it is kept between two runs; then what it says counts, and not the two before. None for nowhere.
        book: Gives the newest good book of a pair; raises `Stale` or `UsageError` where there is none.
        rules: Gives what orders of a pair must keep to.
        tell: Takes the events, in order.

    Raises:
        JournalBusy: Another client has the file.
        JournalFailed: The system does not let us.
        UsageError: The file is something else, or is damaged.
    """

    def __init__(
        self,
        balances: Mapping[str, Number],
        fee: Number,
        file: str | os.PathLike[str] | None,
        *,
        book: Callable[[str], Depth],
        rules: Callable[[str], PairRules],
        tell: Callable[[Sequence[AccountEvent]], object],
    ) -> None:
        self._book = book
        self._rules = rules
        self._tell = tell
        self._lock = threading.Lock()
        self._used: dict[str, int] = {}  # by pair, when the book was received that orders have taken from
        self._holding = None if file is None else Holding(file, _MARK, _VERSION)
        state = None if self._holding is None else self._holding.read()
        try:
            self._account = PaperAccount(balances, fee) if state is None else PaperAccount.restored(state)
        except UsageError:
            self.close()
            raise
        except (ValueError, KeyError, TypeError, ArithmeticError) as damage:
            self.close()
            what = type(damage).__name__
            raise UsageError(f"{quoted(os.fspath(file or ''))} is damaged ({what}); name another file") from None
        self._keep()

    # What a desk does; see `placing.Desk`.

    def check(self, pair: str) -> None:
        """Raise `Stale` or `UsageError` where there is no good book to trade with."""
        self._book(pair)

    def send(self, order: OrderRequest) -> Verdict:
        """Let an order meet the live book."""
        try:
            depth = self._book(order.pair)
        except LBankError as why:
            return Verdict(Fate.UNSENT, reason=str(why))
        with self._lock:
            known = self._account.find(None, order.client_id)
            if known is not None:
                return Verdict(Fate.PLACED, known.id)
            is_newer = self._used.get(order.pair) != depth.received_ns
            self._used[order.pair] = depth.received_ns
            placed, changes = self._account.place(order, depth.bids, depth.asks, _now_ms(), is_newer=is_newer)
            if placed is None:
                return Verdict(Fate.REFUSED, code=_NOT_ENOUGH, reason="not enough on paper")
            self._changed(changes)
        return Verdict(Fate.PLACED, placed.id)

    def rules(self, pair: str) -> PairRules:
        """Give what orders of a pair must keep to."""
        return self._rules(pair)

    def exchange_ms(self) -> int:
        """Tell the time; paper knows no other clock than this machine's."""
        return _now_ms()

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        """Give an order by one of its ids."""
        with self._lock:
            return _update(self._found(pair, order_id, client_id))

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        """Give the open orders of a pair, the newest first."""
        return [_update(order) for order in self._all(pair) if not order.is_done]

    def history(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair that have ended, the newest first."""
        return [_update(order) for order in self._all(pair) if order.is_done]

    def cancel(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> None:
        """End an order."""
        with self._lock:
            self._changed(self._account.cancel(self._found(pair, order_id, client_id).id, _now_ms()))

    def cancel_pair(self, pair: str) -> None:
        """End all open orders of a pair."""
        for order in self._all(pair):
            if not order.is_done:
                self.cancel(pair, order_id=order.id)

    def balances(self) -> list[BalanceUpdate]:
        """Give what the account has."""
        with self._lock:
            purses = list(self._account.account.purses.items())
            return [_balance(asset, purse.free, purse.locked, _now_ms(), None) for asset, purse in purses]

    # The market.

    def met(self, depth: Depth) -> None:
        """Let the orders that rest meet a newer book; one that is not good is none."""
        if depth.fault is not None or depth.late:
            return
        with self._lock:
            if any(not order.is_done for order in self._account.account.orders.values()):
                self._changed(self._account.met(depth.pair, depth.bids, depth.asks, _now_ms()))

    def close(self) -> None:
        """Free the file."""
        if self._holding is not None:
            self._holding.close()

    # How it is done.

    def _all(self, pair: str) -> list[market.Order]:
        with self._lock:
            return [order for order in reversed(self._account.account.orders.values()) if order.listing.pair == pair]

    def _found(self, pair: str, order_id: str | None, client_id: str | None) -> market.Order:
        order = self._account.find(order_id, client_id)
        if order is None or order.listing.pair != pair:
            raise refusal("the paper account", "there is no such order", NO_SUCH_ORDER)
        return order

    def _changed(self, changes: Sequence[Change]) -> None:
        if changes:
            self._keep()
            self._tell([_event(change) for change in changes])

    def _keep(self) -> None:
        if self._holding is not None:
            self._holding.write(self._account.state())


def _event(change: Change) -> AccountEvent:
    if isinstance(change, market.OrderChanged):
        return _update(change.order, change)
    causes = {"ORDER_CREATE": "order placed", "ORDER_DEAL": "order filled", "ORDER_CANCEL": "order cancelled"}
    return _balance(change.asset, change.free, change.locked, change.at_ms, causes[change.cause])


def _update(order: market.Order, change: market.OrderChanged | None = None) -> OrderUpdate:
    listing = order.listing
    is_market = order.kind is market.Kind.MARKET
    is_spending = is_market and order.side == "buy"
    filled, fill = listing.amount_of(order.filled), None if change is None else change.fill
    spent = listing.value_of(order.filled_value)
    return OrderUpdate(
        pair=listing.pair,
        order_id=order.id,
        status=_STATUSES[order.status],
        client_id=order.custom_id or None,
        side=order.side,
        order_type=order.kind.value,
        price=None if is_market else _short(listing.price_of(order.price)),
        amount=None if is_spending else _short(listing.amount_of(order.amount)),
        value=_short(listing.value_of(order.value)) if is_spending else None,
        filled=_short(filled),
        average_price=_AVERAGE.divide(spent, filled) if order.filled else None,
        remaining=None if is_spending else _short(listing.amount_of(order.amount - order.filled)),
        fill=None
        if fill is None
        else Fill(
            price=_short(listing.price_of(fill.price)),
            amount=_short(listing.amount_of(fill.amount)),
            value=_short(listing.value_of(fill.value)),
            id=fill.id,
            role="maker" if change is not None and change.is_maker else "taker",
        ),
        updated_at=_at(order.updated_ms),
        receipt=Receipt(time.time_ns(), None),
        source="paper",
    )


def _balance(asset: str, free: int, locked: int, at_ms: int, cause: str | None) -> BalanceUpdate:
    return BalanceUpdate(
        asset=asset,
        free=_short(in_coins(free)),
        locked=_short(in_coins(locked)),
        total=_short(in_coins(free + locked)),
        cause=cause,  # type: ignore[arg-type]  # one of the three above
        updated_at=_at(at_ms),
        receipt=Receipt(time.time_ns(), None),
        source="paper",
    )


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _short(number: Decimal) -> Decimal:
    """Leave out closing zeros, and write no exponent."""
    short = number.normalize(_EXACT)
    return short if short.as_tuple().exponent <= 0 else short.quantize(Decimal(1))  # type: ignore[operator]  # it is finite


_EXACT = Context(prec=100)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
