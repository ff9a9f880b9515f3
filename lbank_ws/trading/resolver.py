"""Looks up the orders of which nobody knows what became of them, until something is proved.

Decided here: nothing; `inquiry.py` decides what is asked and what it proves, `fates.py` what an answer says. No order
is ever sent from here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple, Protocol

from lbank_ws.errors import LBankError, RestFailed, UsageError
from lbank_ws.events import OrderUpdate
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.inquiry import SETTLE_S, Inquiry, Question
from lbank_ws.trading.journal import Entry, Journal
from lbank_ws.trading.refusals import NO_SUCH_ORDER
from lbank_ws.trading_errors import JournalFailed, OrderRefused, RestRefused

log = logging.getLogger("lbank_ws")

_MOST_CANDIDATES = 5
_BEFORE = timedelta(minutes=2)  # how much earlier than it was written down an order of the exchange's may be dated
_TICK_S = 0.05


class Lookup(Protocol):
    """Where orders are looked up; `AccountRest` is the real one."""

    def exchange_ms(self) -> int:
        """Tell what the exchange's clock says, or raise `RestFailed`."""

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        """Give an order by one of its ids, or raise `RestFailed`."""

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        """Give the open orders of a pair, or raise `RestFailed`."""

    def history(self, pair: str) -> list[OrderUpdate]:
        """Give the orders of a pair that ended lately, or raise `RestFailed`."""


class Resolution(NamedTuple):
    """What is known of an order now.

    Attributes:
        client_id: Its id.
        fate: `Fate.PLACED`, `Fate.NOT_PLACED`, `Fate.REFUSED`, `Fate.UNSENT`, or `Fate.UNKNOWN` still.
        order_id: The exchange's id of it; None unless it was placed.
        order: How it stands, where it was just looked up; else None.
    """

    client_id: str
    fate: Fate
    order_id: str | None = None
    order: OrderUpdate | None = None


class Resolver:
    """May be used by several threads; one question is asked at a time, and `_lock` guards the list of inquiries.

    Args:
        journal: Where the orders stand.
        lookup: Who is asked.
        settle_s: How long an order may still appear after its signature has ended.
        found: Called with an order that turned out to be placed.
        lost: Called with the error for one that turned out not to be.
    """

    def __init__(
        self,
        journal: Journal,
        lookup: Lookup,
        *,
        settle_s: float = SETTLE_S,
        found: Callable[[OrderUpdate], object] | None = None,
        lost: Callable[[LBankError], object] | None = None,
    ) -> None:
        self._journal = journal
        self._lookup = lookup
        self._settle_s = settle_s
        self._found = found
        self._lost = lost
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._inquiries: dict[str, Inquiry] = {}
        for entry in journal.open_entries():  # an earlier run left them; no call for one of them is under way
            self.mind(entry)

    def mind(self, entry: Entry) -> None:
        """Begin to look for an order; the call that sent it has ended."""
        with self._lock:
            self._inquiries.setdefault(entry.order.client_id, Inquiry(entry, time.monotonic(), self._settle_s))

    def hurry(self) -> None:
        """Ask for all of them at once: there was a new line, or there is somebody who waits."""
        with self._lock:
            for inquiry in self._inquiries.values():
                inquiry.hurry(time.monotonic())

    def step(self) -> bool:
        """Ask one question, if one is due; tell whether one was."""
        with self._asking:
            with self._lock:
                client_id = min(self._inquiries, key=lambda each: self._inquiries[each].due_s, default=None)
                if client_id is None or self._inquiries[client_id].due_s > time.monotonic():
                    return False
            self._ask(client_id)
            return True

    def resolve(self, client_id: str, wait_s: float) -> Resolution:
        """Look for an order now; see `Orders.resolve`."""
        until_s = time.monotonic() + wait_s
        is_first = True
        while True:
            entry = self._journal.get(client_id)
            if entry is None:
                raise UsageError(f"no order with the id {client_id!r} is in the journal")
            with self._lock:
                inquiry = self._inquiries.get(client_id)
                if inquiry is not None and is_first:
                    inquiry.hurry(time.monotonic())
            if inquiry is None:
                is_under_way = entry.fate.is_open
                return Resolution(client_id, Fate.UNKNOWN if is_under_way else entry.fate, entry.order_id)
            order = None
            if time.monotonic() >= inquiry.due_s:
                with self._asking:
                    order = self._ask(client_id)
                is_first = False
            entry = self._journal.get(client_id)
            if entry is not None and not entry.fate.is_open:
                return Resolution(client_id, entry.fate, entry.order_id, order)
            if inquiry.question is Question.BY_ID:  # else the next question is due at once
                if time.monotonic() >= until_s:
                    return Resolution(client_id, Fate.UNKNOWN)
                threading.Event().wait(min(_TICK_S, max(0.0, until_s - time.monotonic())))

    def notice(self, update: OrderUpdate) -> None:
        """Take note of an order that was seen elsewhere, on the account's stream say: it exists."""
        if update.client_id is None:
            return
        entry = self._journal.get(update.client_id)
        if entry is not None and entry.fate is not Fate.PLACED:
            self._settle(entry, Verdict(Fate.PLACED, update.order_id))

    def _ask(self, client_id: str) -> OrderUpdate | None:
        """Ask the next question about one order, and note what the answer proves; under `_asking`."""
        with self._lock:
            inquiry = self._inquiries.get(client_id)
        entry = self._journal.get(client_id)
        if inquiry is None or entry is None:
            return None
        try:
            asked_ms = self._lookup.exchange_ms()
            order = self._looked_up(entry, inquiry.question)
        except RestFailed as failure:
            log.debug("the order %s could not be looked up: %s", client_id, failure)
            inquiry.failed(time.monotonic())
            return None
        if order is not None:
            self._settle(entry, Verdict(Fate.PLACED, order.order_id))
            if self._found is not None:
                self._found(order)
            return order
        if inquiry.missing(asked_ms, time.monotonic()) is Fate.NOT_PLACED:
            reason = "it was looked for until it could not appear any more, and the exchange does not know it"
            self._settle(entry, Verdict(Fate.NOT_PLACED, reason=reason))
            if self._lost is not None:
                self._lost(OrderRefused(None, reason, client_id))
        return None

    def _looked_up(self, entry: Entry, question: Question) -> OrderUpdate | None:
        pair, client_id = entry.order.pair, entry.order.client_id
        if question is Question.BY_ID:
            return self._by_id(pair, client_id)
        if question is Question.OPEN_ORDERS:
            rows = self._lookup.open_orders(pair)
            return next((row for row in rows if row.client_id == client_id), None)
        return self._in_history(entry)

    def _by_id(self, pair: str, client_id: str) -> OrderUpdate | None:
        try:
            order = self._lookup.order(pair, client_id=client_id)
        except RestRefused as refused:
            if refused.code == NO_SUCH_ORDER:
                return None
            raise
        if order.client_id != client_id:
            raise RestFailed("the look-up by client id", "the answer is about another order")
        return order

    def _in_history(self, entry: Entry) -> OrderUpdate | None:
        """Look among the orders that ended; what looks alike is asked for by itself, since rows have no id of ours."""
        wanted = entry.order
        known = {each.order_id for each in self._journal.entries()}
        alike = [
            row
            for row in self._lookup.history(wanted.pair)
            if row.order_id not in known
            and (row.side, row.order_type, row.amount) == (wanted.side, wanted.order_type, wanted.amount)
            and (row.price, row.value) == (wanted.price, wanted.value)
            and (row.updated_at is None or row.updated_at > entry.written_at - _BEFORE)
        ]
        if len(alike) > _MOST_CANDIDATES:
            raise RestFailed("the look-up in the history", f"{len(alike)} orders look alike")
        for row in alike:
            order = self._lookup.order(wanted.pair, order_id=row.order_id)
            if order.client_id == wanted.client_id:
                return order
        return None

    def _settle(self, entry: Entry, verdict: Verdict) -> None:
        client_id = entry.order.client_id
        try:
            self._journal.settle(client_id, verdict)
        except JournalFailed as failure:  # it is known now, and will be looked up once more at the next start
            log.warning("%s", failure)
        with self._lock:
            self._inquiries.pop(client_id, None)
        log.info("the order %s is %s", client_id, verdict.fate)
