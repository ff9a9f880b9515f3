"""Placing an order, whichever account and whichever way.

Decided here: in which order things happen, so that no order is ever sent twice and none is forgotten: checked, written
down, sent once, and what became of it written down. Not decided here: what a valid order is (`ticket.py`), what an
answer proves (`fates.py`), how an order that nobody knows about is looked for (`resolver.py`), how large one may be
(`bounds.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import NamedTuple, Protocol

from lbank_ws.channels import checked_pair
from lbank_ws.errors import LBankError, RestFailed, UsageError
from lbank_ws.events import BalanceUpdate, Depth, OrderUpdate
from lbank_ws.trading.bounds import MINUTE_S, Bounds
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.inquiry import SETTLE_S
from lbank_ws.trading.journal import Entry, Journal
from lbank_ws.trading.refusals import order_advice
from lbank_ws.trading.resolver import Lookup, Resolver
from lbank_ws.trading.ticket import Number, PairRules, check_rules, checked_id, new_client_id, order_request
from lbank_ws.trading_errors import JournalFailed, OrderRefused, OrdersHalted, OrderUnknown
from lbank_ws.wire import OrderRequest

log = logging.getLogger("lbank_ws")

_RULES_S = 3600.0


class Desk(Lookup, Protocol):
    """Where orders are taken: an account at the exchange, or the paper account. Each raises `RestFailed` on failure."""

    def send(self, order: OrderRequest) -> Verdict:
        """Send an order, once, and tell what became of it; raises nothing."""

    def rules(self, pair: str) -> PairRules:
        """Give what orders of a pair must keep to, or raise `UsageError` where it is not listed."""

    def check(self, pair: str) -> None:
        """Raise where no order of the pair can be taken now."""

    def cancel(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> None:
        """Ask for the end of an order."""

    def cancel_pair(self, pair: str) -> None:
        """Ask for the end of all open orders of a pair."""

    def balances(self) -> list[BalanceUpdate]:
        """Give what the account has."""


class PlacedOrder(NamedTuple):
    """An order that the exchange took; how it stands tells `orders.get`, or `on_order`.

    Attributes:
        order_id: The exchange's id of it.
        client_id: The id that it was sent with.
        pair: For example `btc_usdt`.
        side: `buy` or `sell`.
        order_type: `limit`, `market`, `maker`, `ioc` or `fok`.
    """

    order_id: str
    client_id: str
    pair: str
    side: str
    order_type: str


class Placing:
    """The half of `Orders` that places. A condition guards what is under way, and whether orders are halted.

    Args:
        desk: Where orders are taken.
        journal: Where they are written down before they leave.
        settle_s: How long an order may still appear after its signature has ended.
        bounds: What no order may exceed; None for anything that the exchange takes.
        book: Gives the newest good book of a pair, for bounds that need one; raises `Stale` where there is none.
        lookup: Who is asked about orders in the background; the desk when None.
        found: Called with an order that turned out to be placed.
        lost: Called with the error for one that turned out not to be.
    """

    def __init__(
        self,
        desk: Desk,
        journal: Journal,
        *,
        settle_s: float = SETTLE_S,
        bounds: Bounds | None = None,
        book: Callable[[str], Depth] | None = None,
        lookup: Lookup | None = None,
        found: Callable[[OrderUpdate], object] | None = None,
        lost: Callable[[LBankError], object] | None = None,
    ) -> None:
        self.desk = desk
        self.journal = journal
        self.resolver = Resolver(journal, lookup or desk, settle_s=settle_s, found=self._appeared, lost=lost)
        self._found = found
        self._rules: dict[str, tuple[float, PairRules]] = {}
        self._bounds = bounds or Bounds()
        self._book = book
        self._turn = threading.Condition()  # guards the three below
        self._under_way: dict[str, str] = {}  # the pair of each, by its client id
        self._is_halted = False
        self._left_s = _lately(journal)  # when orders left within the last minute, on the monotonic clock

    def place(
        self,
        pair: str,
        side: str,
        order_type: str = "limit",
        *,
        price: Number | None = None,
        amount: Number | None = None,
        value: Number | None = None,
        client_id: str | None = None,
    ) -> PlacedOrder:
        """Place an order, and wait until the exchange has taken it.

        Numbers are `Decimal`, whole numbers or text; nothing is rounded. An id that was given before places nothing:
        the call tells once more what became of that order.

        Args:
            pair: For example `btc_usdt`.
            side: `buy` or `sell`.
            order_type: `limit`; `market`; `maker`, which never takes; `ioc`, whose rest is cancelled at once; `fok`,
                all at once or nothing.
            price: The limit, in the quote currency; not for a market order.
            amount: In the base currency; not for a market buy.
            value: What a market buy may spend, in the quote currency.
            client_id: An id of your own, 1 to 32 letters, digits, - and _; made when None.

        Raises:
            UsageError: It is no valid order of that pair; nothing was sent.
            OrderOutOfBounds: The client's own `Bounds` do not allow it; nothing was sent.
            OrdersHalted: `halt()` was called; nothing was sent.
            JournalFailed: It could not be written down; nothing was sent.
            OrderRefused: The exchange refused it, or it could not be sent; there is no such order.
            OrderUnknown: It was sent, and nobody knows what became of it. Do not place it again.
            RestFailed: The rules of the pair could not be fetched; nothing was sent.
            StaleBook: There is no good book to trade with on paper, or to see whether bounds hold; nothing was placed.
        """
        known = None if client_id is None else self.journal.get(checked_id(client_id))
        order = order_request(
            pair, side, order_type, price=price, amount=amount, value=value, client_id=client_id or new_client_id()
        )
        if known is not None:
            return self._known(known, order)
        self._check_halt()
        check_rules(order, self.rules(order.pair))
        self.desk.check(order.pair)
        with self._on_the_way(order):
            self._check_bounds(order)
            self.journal.intend(order)
            try:
                verdict = self.desk.send(order)
            except BaseException as error:  # Ctrl-C among them: it may have left, so it is looked for
                self._settle(order, Verdict(Fate.UNKNOWN, reason=f"the call ended by {type(error).__name__}"))
                raise
            entry = self._settle(order, verdict)
        return _told(entry)

    def buy(
        self,
        pair: str,
        *,
        price: Number | None = None,
        amount: Number | None = None,
        value: Number | None = None,
        client_id: str | None = None,
    ) -> PlacedOrder:
        """Buy: with `price` and `amount` by a limit order, with `value` alone at the market; see `place`."""
        order_type = "limit" if price is not None else "market"
        return self.place(pair, "buy", order_type, price=price, amount=amount, value=value, client_id=client_id)

    def sell(
        self, pair: str, *, amount: Number, price: Number | None = None, client_id: str | None = None
    ) -> PlacedOrder:
        """Sell: with `price` by a limit order, without at the market; see `place`."""
        order_type = "limit" if price is not None else "market"
        return self.place(pair, "sell", order_type, price=price, amount=amount, client_id=client_id)

    def rules(self, pair: str) -> PairRules:
        """Give what orders of a pair must keep to; asked for once an hour.

        Raises:
            UsageError: The exchange does not list the pair.
            RestFailed: There was no answer.
        """
        known = self._rules.get(checked_pair(pair))
        if known is None or time.monotonic() - known[0] > _RULES_S:
            known = self._rules[pair] = (time.monotonic(), self.desk.rules(pair))
        return known[1]

    def resume(self) -> None:
        """Take orders again after `halt()`."""
        with self._turn:
            self._is_halted = False

    @property
    def is_halted(self) -> bool:
        """Whether further orders are refused."""
        return self._is_halted

    # How it is done.

    def _appeared(self, order: OrderUpdate) -> None:
        """Take note of an order that turned out to be placed; after `halt()` it must not stay."""
        if self._is_halted and not order.status.is_final:
            try:
                self.desk.cancel(order.pair, order_id=order.order_id)
            except RestFailed as failure:
                log.error("the order %s appeared after halt() and could not be cancelled: %s", order.client_id, failure)
        if self._found is not None:
            self._found(order)

    def _check_halt(self) -> None:
        if self._is_halted:
            raise OrdersHalted("orders are halted; orders.resume() takes orders again")

    def _check_bounds(self, order: OrderRequest) -> None:
        """Refuse what the client's own bounds do not allow; what several threads place at once is counted for each."""
        bounds = self._bounds
        book = None if self._book is None or not bounds.needs_book(order) else self._book(order.pair)
        bounds.check(order, book)
        there: set[str] = set()
        if bounds.open_orders is not None:
            listed = self.desk.open_orders(order.pair)
            there = {each.client_id or each.order_id for each in listed}
            there |= {each.order.client_id for each in self.journal.open_entries() if each.order.pair == order.pair}
        now_s = time.monotonic()
        with self._turn:
            there |= {known for known, pair in self._under_way.items() if pair == order.pair}
            while self._left_s and self._left_s[0] <= now_s - MINUTE_S:
                self._left_s.popleft()
            bounds.check_count(len(self._left_s), len(there - {order.client_id}))
            if bounds.a_minute is not None:
                self._left_s.append(now_s)

    @contextmanager
    def _on_the_way(self, order: OrderRequest) -> Iterator[None]:
        with self._turn:
            self._check_halt()
            if order.client_id in self._under_way:
                raise UsageError(f"the order {order.client_id} is on its way already")
            self._under_way[order.client_id] = order.pair
        try:
            yield
        finally:
            with self._turn:
                self._under_way.pop(order.client_id, None)
                self._turn.notify_all()

    def _settle(self, order: OrderRequest, verdict: Verdict) -> Entry:
        """Write down what became of an order; where nobody knows, look for it."""
        since_ms = None
        if verdict.fate is Fate.UNKNOWN:
            try:
                since_ms = self.desk.exchange_ms()
            except RestFailed:
                since_ms = None  # then it counts from the first question that is answered
        try:
            entry = self.journal.settle(order.client_id, verdict, since_ms)
        except JournalFailed as failure:
            log.error("%s; at the next start %s is looked up", failure, order.client_id)
            found = self.journal.get(order.client_id)
            assert found is not None  # noqa: S101 - it was written down before it left
            entry = found
        if entry.fate is Fate.UNKNOWN:
            log.warning("nobody knows whether the order %s was placed: %s", order.client_id, entry.reason)
            self.resolver.mind(entry)
        return entry

    def _known(self, entry: Entry, order: OrderRequest) -> PlacedOrder:
        """Tell once more what became of an order whose id is given again."""
        if entry.order != order:
            raise UsageError(f"the id {order.client_id} belongs to another order; each has an id of its own")
        return _told(entry)


def _lately(journal: Journal) -> deque[float]:
    """Tell when the orders of an earlier run left, those of the last minute; a restart does not begin a new one."""
    now, now_s = datetime.now(timezone.utc), time.monotonic()
    ages_s = ((now - entry.written_at).total_seconds() for entry in journal.entries())
    return deque(now_s - max(0.0, age_s) for age_s in ages_s if age_s < MINUTE_S)


def _told(entry: Entry) -> PlacedOrder:
    order, fate = entry.order, entry.fate
    if fate is Fate.PLACED and entry.order_id is not None:
        return PlacedOrder(entry.order_id, order.client_id, order.pair, order.side, order.order_type)
    if fate.is_open:
        raise OrderUnknown(order.client_id, order.pair, entry.reason or "it is on its way")
    raise OrderRefused(entry.code, entry.reason, order.client_id, order_advice(entry.code))
