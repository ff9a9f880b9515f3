"""Which trades are the same, and which are missing.

The socket's trades have no id. A trade is told by when, at which price, how much and which side, and equal ones are
counted: the second of two equal trades is a trade of its own. So what was seen and what was fetched cancel by count.

Decided here: that, and how much is remembered for it. Not decided here: when something is fetched, and what is said of
what cannot be; that is `trade_fill.py`. There is no clock here; all moments are the exchange's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from lbank_ws.events import Side, Trade

REMEMBERED = 1000  # twice as many as one call fetches


class Identity(NamedTuple):
    """What tells a trade of a pair from others; equal trades share one.

    Attributes:
        traded_at: When it was made. Push and REST both say it to the millisecond.
        price: In the quote currency.
        amount: In the base currency.
        taker: The side of who took.
    """

    traded_at: datetime
    price: Decimal
    amount: Decimal
    taker: Side


def identity(trade: Trade) -> Identity | None:
    """Give what tells a trade from others; None where the exchange does not say when it was made.

    A push names kinds of orders that REST does not know, `buy_market` say, and with `_maker` the maker's side.
    Source: docs/reference/wire.md, "V2 trade".
    """
    if trade.traded_at is None:
        return None
    taker = trade.side
    if trade.order_type == "maker":
        taker = "sell" if taker == "buy" else "buy"
    return Identity(trade.traded_at, trade.price, trade.amount, taker)


class Seen:
    """The last trades of one pair that were handed out.

    Args:
        limit: How many are remembered.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._known: deque[Identity] = deque()
        self._forgotten_at: datetime | None = None

    def __len__(self) -> int:
        """Give how many are remembered."""
        return len(self._known)

    def __iter__(self) -> Iterator[Identity]:
        """Give them in the order in which they were added."""
        return iter(self._known)

    def add(self, known: Identity) -> None:
        """Remember one more; the first one says from when on it was looked."""
        if self._forgotten_at is None:
            self._forgotten_at = known.traded_at - timedelta.resolution
        self._known.append(known)
        if len(self._known) > self._limit:
            self.forget_until(self._known.popleft().traded_at)

    def forget_until(self, at: datetime) -> None:
        """Give up to know what happened until a moment, the moment itself included."""
        if self._forgotten_at is None or at > self._forgotten_at:
            self._forgotten_at = at

    @property
    def newest_at(self) -> datetime | None:
        """When the newest one was made, or None when nothing is remembered."""
        return max((known.traded_at for known in self._known), default=None)

    def knows(self, at: datetime) -> bool:
        """Tell whether everything that was seen of a moment is remembered."""
        return self._forgotten_at is None or at > self._forgotten_at

    def missing(self, fetched: Iterable[Trade], held: Iterable[Trade] = (), *, from_at: datetime) -> list[Trade]:
        """Give the fetched trades that nobody has seen, in time order.

        None comes that was seen. All that are missing come, provided that the fetched ones are all there are of each of
        their moments.

        Args:
            fetched: In any order.
            held: What is to be handed out as well, beside what was seen.
            from_at: Older ones are left out, and so are those of moments that are not remembered any more.
        """
        left = Counter(self._known)
        left.update(known for known in map(identity, held) if known is not None)
        found = []
        for trade in in_time_order(fetched):
            known = identity(trade)
            if known is None or known.traded_at < from_at or not self.knows(known.traded_at):
                continue
            if left[known] > 0:
                left[known] -= 1
            else:
                found.append(trade)
        return found


def in_time_order(trades: Iterable[Trade]) -> list[Trade]:
    """Give the trades by when they were made, equal moments as they come; those that do not say it are left out."""
    timed = [(trade.traded_at, trade) for trade in trades if trade.traded_at is not None]
    timed.sort(key=lambda pair: pair[0])
    return [trade for _, trade in timed]


def united(pages: Iterable[Sequence[Trade]]) -> list[Trade]:
    """Give what overlapping pages of one history hold together, in time order.

    A moment that lies wholly in one page is whole; of equal trades the page counts that has most of them.
    """
    counts: Counter[Identity | None] = Counter()
    everything: list[Trade] = []
    for page in pages:
        in_page: Counter[Identity | None] = Counter()
        for trade in page:
            known = identity(trade)
            in_page[known] += 1
            if in_page[known] > counts[known]:
                everything.append(trade)
        counts |= in_page
    return in_time_order(everything)
