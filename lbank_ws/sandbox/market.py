"""The market of the practice exchange: every pair's pit, played in slots of 100 ms.

Decided here: how far the market is played. Time comes in as an argument, and because it goes by slots, what happens
does not depend on how often one asks. Each pair has random numbers of its own, so that it walks the same whichever
other pairs are listed. What happens on a pair is decided in `pit.py`, what it looks like on the wire in `frames.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from lbank_ws.sandbox.bars import MINUTE_MS, Bar
from lbank_ws.sandbox.happenings import Book, Happening, Klines, Tick, Trade
from lbank_ws.sandbox.listings import Listing, listing_of
from lbank_ws.sandbox.orders import Order, OrderChanged
from lbank_ws.sandbox.pit import KEPT_TRADES, SLOT_MS, Pit

__all__ = [
    "KEPT_TRADES",
    "LONGEST_STEP_MS",
    "SLOT_MS",
    "Book",
    "Happening",
    "Klines",
    "Market",
    "OrderChanged",
    "Tick",
    "Trade",
]

LONGEST_STEP_MS = 10 * MINUTE_MS


class Market:
    """All pairs of the practice exchange.

    Args:
        pairs: Their names; see `listings.listing_of` for those that are not in its table.
        seed: The same seed, pairs and start give the same market.
        started_at_ms: When the walk begins, in UTC epoch ms; so are all times here.

    Raises:
        ValueError: A pair is not written as one.
    """

    def __init__(self, pairs: Iterable[str], seed: int, started_at_ms: int) -> None:
        self._slot = started_at_ms // SLOT_MS
        self._pits: dict[str, Pit] = {}
        for pair in pairs:
            rng = Random(f"{seed}/{pair}")  # noqa: S311 - repeatable is what is wanted
            self._pits[pair] = Pit(listing_of(pair), rng, self.now_ms, name=f"{seed}/{pair}")

    @property
    def pairs(self) -> tuple[str, ...]:
        """What is listed."""
        return tuple(self._pits)

    @property
    def now_ms(self) -> int:
        """Up to when the market has been played."""
        return self._slot * SLOT_MS

    def advance(self, now_ms: int) -> list[Happening]:
        """Play up to a moment and give what happened since the last call, in time order.

        A slot happens when it is over. A step of more than `LONGEST_STEP_MS` is a pause (a laptop that slept): prices
        stand still in it, and only the last `LONGEST_STEP_MS` are played. A step back gives nothing.
        """
        return [happening for happenings in self.slots(now_ms) for happening in happenings]

    def slots(self, now_ms: int) -> Iterator[list[Happening]]:
        """Do as `advance`, and give what happened slot by slot; others may advance the market in between."""
        last = now_ms // SLOT_MS
        self._slot = max(self._slot, last - LONGEST_STEP_MS // SLOT_MS)
        while self._slot < last:
            happened: list[Happening] = []
            for pit in self._pits.values():
                happened += pit.play(self._slot)
            self._slot += 1
            yield happened

    def place(self, order: Order, at_ms: int) -> list[Happening]:
        """Put a user's order into the book of its pair at once; give what follows from it, the placing first.

        The order is changed here from now on; the happenings have copies. The market should have been played up to
        `at_ms`, so that what happened before is told before.

        Raises:
            KeyError: The pair is not listed.
            ValueError: The order has no owner, has been placed before, or lacks an amount, a value or a price.
        """
        return self._pits[order.listing.pair].place(order, at_ms)

    def cancel(self, order_id: str, at_ms: int) -> list[Happening]:
        """Take a user's order out of its book; give nothing when it is not open."""
        for pit in self._pits.values():
            if happenings := pit.cancel(order_id, at_ms):
                return happenings
        return []

    def order(self, order_id: str) -> Order | None:
        """Give a user's order that rests, as it stands, or None."""
        found = (pit.order(order_id) for pit in self._pits.values())
        return next((order for order in found if order is not None), None)

    def listing(self, pair: str) -> Listing:
        """Give the grids of a pair; this and the following raise `KeyError` for a pair that is not listed."""
        return self._pits[pair].listing

    def tick(self, pair: str) -> Tick:
        """Give the current tick."""
        return self._pits[pair].tick(self.now_ms)

    def book(self, pair: str) -> Book:
        """Give the current book, up to 200 levels a side."""
        return self._pits[pair].book(self.now_ms)

    def bar(self, pair: str, interval: str) -> Bar:
        """Give the bar in progress."""
        return self._pits[pair].bars.current(interval)

    def bars(self, pair: str, interval: str) -> list[Bar]:
        """Give the bars that are remembered, in time order, the one in progress last."""
        return self._pits[pair].bars.series(interval)

    def trades(self, pair: str) -> list[Trade]:
        """Give the last trades in time order, at most `KEPT_TRADES`."""
        return list(self._pits[pair].trades)
