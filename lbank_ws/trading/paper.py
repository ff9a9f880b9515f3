"""An account on paper: its orders meet the live book, and its money is counted as the exchange counts it.

Decided here: what a live book does to the orders on paper. An order that takes is filled from the newest book, whose
levels are used up until a newer one comes; one that rests is filled at its own price when somebody on the other side of
a newer book would have taken it. Nobody else sees the orders, so the market does not move by them. How orders meet, and
what they cost, is decided in `sandbox/matching.py` and `sandbox/accounts.py`. No socket, no thread, no clock: the same
books and orders give the same fills.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from lbank_ws.errors import UsageError
from lbank_ws.events import Level
from lbank_ws.sandbox.accounts import Account, Accounts, held, in_coins, in_units
from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.matching import OrderBook
from lbank_ws.sandbox.orders import AssetChanged, Fill, Kind, Order, OrderChanged, OrderStatus
from lbank_ws.trading.ticket import Number, checked_number, plain
from lbank_ws.wire import OrderRequest

PLACES = 10  # of prices and amounts; their product has the twenty places in which balances are counted
KEPT_ORDERS = 1000  # that have ended

_KEY = "paper"
_DONE = (OrderStatus.CANCELLED, OrderStatus.PARTLY_CANCELLED)
Change = OrderChanged | AssetChanged


class PaperAccount:
    """Orders, balances, and what is left of the newest books.

    Args:
        balances: What it owns at the beginning, by asset.
        fee: The commission, as a fraction of what is received.

    Raises:
        UsageError: A balance or the fee cannot be one.
    """

    def __init__(self, balances: Mapping[str, Number], fee: Number = "0.001") -> None:
        rate = Fraction(0) if fee in (0, "0") else Fraction(checked_number(fee, "fee"))
        if rate >= 1:
            raise UsageError(f"fee is a fraction of what is received, such as '0.001', not {fee!r}")
        self.account = Account(_KEY, "", fee=rate)
        for asset, coins in balances.items():
            free = in_units(checked_number(coins, f"the balance of {asset}")) if coins not in (0, "0") else 0
            self.account.purse(asset.lower()).free = free
        self._accounts = Accounts()
        self._accounts.add(self.account)
        self._books: dict[str, OrderBook] = {}
        self._trades = 0
        self._placed = 0

    def place(
        self, request: OrderRequest, bids: Sequence[Level], asks: Sequence[Level], at_ms: int, *, is_newer: bool
    ) -> tuple[Order | None, list[Change]]:
        """Place an order; give it as it stands then, or None where it cannot be paid, and what changed.

        Args:
            request: A valid one.
            bids: The newest book's, best first.
            asks: The same.
            at_ms: When, in UTC epoch ms.
            is_newer: Whether the book is another one than the last time; else what was taken from it is gone.
        """
        order = self._order(request, at_ms)
        if not self.account.can_afford(order):
            return None, []
        book = self._books.get(request.pair)
        if book is None or is_newer:
            book = self._books[request.pair] = self._book(order.listing, bids, asks)
        self._placed += 1
        order.id = f"paper-{self._placed}"
        if order.custom_id:
            self.account.custom_ids[order.custom_id] = order.id
        before = copy.copy(order)
        fills = book.place(order, at_ms)
        if order.status in (OrderStatus.OPEN, OrderStatus.PARTLY_FILLED):
            book.cancel(order.id, at_ms)  # it rests in `account.orders`, and meets every newer book
            order.status = OrderStatus.PARTLY_FILLED if order.filled else OrderStatus.OPEN
        changes = self._noticed(OrderChanged(order.listing, at_ms, before))
        changes += self._filled(before, fills, order, at_ms, is_maker=False)
        if order.status in _DONE:
            changes += self._noticed(OrderChanged(order.listing, at_ms, copy.copy(order)))
        return order, changes

    def met(self, pair: str, bids: Sequence[Level], asks: Sequence[Level], at_ms: int) -> list[Change]:
        """Let the orders that rest meet a newer book; give what changed."""
        resting = [order for order in self.account.orders.values() if order.listing.pair == pair and not order.is_done]
        self._books.pop(pair, None)
        changes: list[Change] = []
        for order in resting:
            facing = asks if order.side == "buy" else bids
            book = OrderBook(self._new_trade)
            now = copy.copy(order)
            book.rest(now)
            for level in facing:
                taker = _level_order(order.listing, "sell" if order.side == "buy" else "buy", level)
                if taker is None or now.is_done or (taker.price - order.price) * (1 if order.side == "buy" else -1) > 0:
                    break
                taker.id, taker.kind = f"level-{len(changes)}", Kind.IOC
                before = copy.copy(now)
                changes += self._filled(before, book.place(taker, at_ms), now, at_ms, is_maker=True)
        return changes

    def cancel(self, order_id: str, at_ms: int) -> list[Change]:
        """End an order; give what changed: nothing where nothing of it is left to end."""
        order = self.account.orders.get(order_id)
        if order is None or order.is_done:
            return []
        now = copy.copy(order)
        now.status = OrderStatus.PARTLY_CANCELLED if now.filled else OrderStatus.CANCELLED
        now.updated_ms = at_ms
        return self._noticed(OrderChanged(now.listing, at_ms, now))

    def find(self, order_id: str | None, client_id: str | None) -> Order | None:
        """Give an order by one of its ids, or None."""
        return self.account.orders.get(order_id or self.account.custom_ids.get(client_id or "", ""))

    # What is kept between two runs.

    def state(self) -> dict[str, Any]:
        """Give everything that the next run needs, fit for JSON."""
        ended = {order.id for order in [each for each in self.account.orders.values() if each.is_done][-KEPT_ORDERS:]}
        kept = [order for order in self.account.orders.values() if not order.is_done or order.id in ended]
        return {
            "fee": str(self.account.fee),
            "placed": self._placed,
            "trades": self._trades,
            "balances": {
                asset: [plain(in_coins(units)) for units in (purse.free, purse.locked, purse.fees)]
                for asset, purse in self.account.purses.items()
            },
            "orders": [_row_of(order) for order in kept],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> PaperAccount:
        """Make the account that `state` gave. Raises what the reading of a damaged one raises."""
        made = cls({})
        made.account.fee = Fraction(state["fee"])
        made._placed, made._trades = int(state["placed"]), int(state["trades"])
        for asset, (free, locked, fees) in state["balances"].items():
            purse = made.account.purse(asset)
            purse.free, purse.locked, purse.fees = in_units(free), in_units(locked), in_units(fees)
        for row in state["orders"]:
            order = _order_of(row)
            made.account.orders[order.id] = order
            if order.custom_id:
                made.account.custom_ids[order.custom_id] = order.id
        return made

    # How it is done.

    def _order(self, request: OrderRequest, at_ms: int) -> Order:
        return Order(
            "",
            listing(request.pair),
            request.side,
            Kind(request.order_type),
            price=_steps(request.price, PLACES),
            amount=_steps(request.amount, PLACES),
            value=_steps(request.value, 2 * PLACES),
            owner=_KEY,
            custom_id=request.client_id,
            placed_ms=at_ms,
            updated_ms=at_ms,
        )

    def _book(self, of: Listing, bids: Sequence[Level], asks: Sequence[Level]) -> OrderBook:
        """Make a book of the live levels."""
        book = OrderBook(self._new_trade)
        for side, levels in (("buy", bids), ("sell", asks)):
            for number, level in enumerate(levels):
                order = _level_order(of, side, level)
                if order is not None:
                    order.id = f"{side}-{number}"
                    book.rest(order)
        return book

    def _filled(
        self, before: Order, fills: Sequence[Fill], after: Order, at_ms: int, *, is_maker: bool
    ) -> list[Change]:
        """Count the money of fills, one after the other."""
        changes: list[Change] = []
        filled, filled_value = before.filled, before.filled_value
        for fill in fills:
            filled, filled_value = filled + fill.amount, filled_value + fill.value
            now = copy.copy(after)
            now.filled, now.filled_value = filled, filled_value
            is_last = fill is fills[-1] and after.status is OrderStatus.FILLED
            now.status = OrderStatus.FILLED if is_last else OrderStatus.PARTLY_FILLED
            changes += self._noticed(OrderChanged(now.listing, at_ms, now, fill, is_maker))
        return changes

    def _noticed(self, change: OrderChanged) -> list[Change]:
        return [change, *self._accounts.noticed(change)]

    def _new_trade(self) -> str:
        self._trades += 1
        return f"paper-deal-{self._trades}"


def listing(pair: str) -> Listing:
    """Give a pair on the grid of paper, which is finer than that of any pair."""
    return Listing(pair, 0, PLACES, PLACES, 0, (0, 0), (0, 0), (0, 0))


def _level_order(of: Listing, side: Any, level: Level) -> Order | None:
    """Make an order of a level of the live book; None where nothing of it is left on the grid."""
    price, amount = (int(number.scaleb(PLACES)) for number in (level.price, level.amount))
    return Order("", of, side, Kind.LIMIT, price=price, amount=amount) if price > 0 and amount > 0 else None


def _steps(number: Decimal | None, places: int) -> int:
    if number is None:
        return 0
    steps = Fraction(number) * 10**places
    if steps.denominator != 1:
        raise UsageError(f"on paper a number has at most {places} decimal places, not {plain(number)}")
    return int(steps)


_NUMBERS = ("price", "amount", "value", "placed_ms", "updated_ms", "filled", "filled_value")


def _row_of(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "pair": order.listing.pair,
        "side": order.side,
        "kind": order.kind.value,
        "custom_id": order.custom_id,
        "status": order.status.value,
        **{name: getattr(order, name) for name in _NUMBERS},
    }


def _order_of(row: Mapping[str, Any]) -> Order:
    order = Order(
        str(row["id"]), listing(row["pair"]), row["side"], Kind(row["kind"]), owner=_KEY, custom_id=row["custom_id"]
    )
    for name in _NUMBERS:
        setattr(order, name, int(row[name]))
    order.status = OrderStatus(row["status"])
    if order.side not in ("buy", "sell") or held(order)[1] < 0:
        raise ValueError("an order that cannot be")
    return order
