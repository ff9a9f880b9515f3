"""The state of orders after a drop: what is asked for, and what of it is news.

Decided here: which pairs and orders are asked about, and that no answer undoes a push. Of an order the one that tells
more counts: what is filled does not become less, nothing follows an end, then the time. Where a push tells as much as
an answer, the answer is left out. No socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lbank_ws.channels import Topic
from lbank_ws.events import BalanceUpdate, Event, OrderUpdate
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.state_fill import Ask, StateFill

SLACK = timedelta(seconds=60)  # how much earlier than the last news an order may have ended that nobody was told of
MOST_ENDED = 1000  # orders that have ended are remembered, so that nothing old is told of them again


class OrderFill(StateFill):
    """The state of orders: all balances first, then the open orders of those pairs that can have any, then what has
    ended since the last news, then what was open and is in neither list.

    The exchange lists open orders by pair alone. Which pairs are worth asking for is known from `pairs`, and from the
    balances: an order holds something of its pair back.

    Attributes:
        unexplained: The assets of which something is held back, and no order that is known holds it.

    Args:
        topic: That of orders.
        pairs: Where orders may be; whoever owns it adds to it.
    """

    def __init__(self, topic: Topic, pairs: Collection[str]) -> None:
        super().__init__(topic)
        self.unexplained: frozenset[str] = frozenset()
        self._pairs = pairs
        self._held_back: set[str] = set()
        self._newest: dict[str, OrderUpdate] = {}  # as told, by order id
        self._fills: dict[str, set[str]] = {}  # the deals that were told, by order id
        self._plan: list[Ask] = []
        self._is_begun = False
        self._is_listed = False
        self._floor_at: datetime | None = None  # the last news, on the exchange's clock
        self._since_at: datetime | None = None  # the last news before what was missed; None where nothing was
        self._fetched: dict[str, OrderUpdate] = {}

    def _begin(self, now: Moment) -> None:
        self._plan = [Ask()]
        self._is_listed = False
        self._fetched = {}
        if not self._is_begun:
            self._since_at = self._floor_at
        self._is_begun = True  # until it ends well, what was missed goes back to the same moment
        self._floor_at = self._floor_at or now.utc

    def _asked(self) -> Ask | None:
        if not self._plan and not self._is_listed:
            self._is_listed = True
            self._plan = [
                Ask(known.pair, order_id)
                for order_id, known in self._newest.items()
                if not known.status.is_final and order_id not in self._fetched
            ]
        return self._plan.pop(0) if self._plan else None

    def _ask_again(self, fetch: Fetch) -> None:
        self._plan.insert(0, Ask(fetch.pair, fetch.order_id, fetch.start_at))

    def _take(self, fetch: Fetch, rows: Sequence[Event]) -> None:
        if not fetch.pair:
            self._held_back = {row.asset for row in rows if isinstance(row, BalanceUpdate) and row.locked}
            pairs = sorted({*self._pairs, *(known.pair for known in self._newest.values())})
            self._plan = [Ask(pair) for pair in pairs if self._held_back & set(pair.split("_"))]
            if self._since_at is not None:
                self._plan += [Ask(pair, since=self._since_at - SLACK) for pair in pairs]
        for row in rows:
            if not isinstance(row, OrderUpdate) or self._is_long_past(row, fetch):
                continue
            before, known = self._fetched.get(row.order_id), self._newest.get(row.order_id)
            if before is None or before.is_older_than(row):
                # A list of what has ended does not name the ids that orders were placed with.
                client_id = row.client_id or (None if known is None else known.client_id)
                self._fetched[row.order_id] = replace(row, source="resync", client_id=client_id)

    def _is_long_past(self, row: OrderUpdate, fetch: Fetch) -> bool:
        """Tell whether an order had ended before anything was missed, as far as can be told."""
        if fetch.start_at is None:
            return False
        known = self._newest.get(row.order_id)
        if known is not None:
            return known.status.is_final
        return row.updated_at is not None and row.updated_at < fetch.start_at

    def _news(self) -> tuple[list[Event], list[Event]]:
        self._is_begun = False
        self._explain()
        before: list[Event] = []
        behind: list[Event] = []
        for order_id, row in self._fetched.items():
            pushed = [each for each in self._held if isinstance(each, OrderUpdate) and each.order_id == order_id]
            if not pushed or row.is_older_than(pushed[0]):
                before.append(row)
            elif all(each.is_older_than(row) for each in pushed):
                behind.append(row)
        return before, behind

    def _explain(self) -> None:
        orders = [*self._newest.values(), *self._fetched.values()]
        orders += [each for each in self._held if isinstance(each, OrderUpdate)]
        holding = set()
        for each in orders:
            base, _, quote = each.pair.partition("_")
            holding.add(base if each.side == "sell" else quote)
        self.unexplained = frozenset(self._held_back - holding)

    def _told(self, event: Event) -> Iterator[Event]:
        if not isinstance(event, OrderUpdate):
            return
        known = self._newest.get(event.order_id)
        fills = self._fills.setdefault(event.order_id, set())
        if event.fill is not None and event.fill.id is not None:
            # A deal is news, however much was told of its order meanwhile; the same deal twice is none.
            if event.fill.id in fills:
                return
            fills.add(event.fill.id)
        elif known is not None and event.is_older_than(known):
            return
        if known is None or not event.is_older_than(known):
            self._newest.pop(event.order_id, None)
            self._newest[event.order_id] = event
            self._forget_some()
        if event.updated_at is not None and (self._floor_at is None or event.updated_at > self._floor_at):
            self._floor_at = event.updated_at
        yield event

    def _forget_some(self) -> None:
        ended = [order_id for order_id, known in self._newest.items() if known.status.is_final]
        for order_id in ended[: max(0, len(ended) - MOST_ENDED)]:
            del self._newest[order_id]
            self._fills.pop(order_id, None)
