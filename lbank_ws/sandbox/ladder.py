"""The resting orders of one pair: price levels on two sides that never cross.

Decided here: how the book looks around the best prices it is given and how a taker eats into it. When and where the
best prices move is decided in `market.py`. Prices and amounts are steps on the pair's grids.
"""

from __future__ import annotations

from random import Random

from lbank_ws.sandbox.listings import Listing

LEVELS = 200

Step = tuple[int, int]
"""Price and amount of one level, or of one fill."""

_SPREAD_PARTS = 100_000  # the widest spread, and the widest hole between two levels, as parts of the price
_STIRRED = 6  # levels whose amount changes at a move; they lie near the top, where people trade
_NEAR = 30


class Ladder:
    """Both sides of a book, best level first.

    Attributes:
        bids: Levels with falling prices.
        asks: Levels with rising prices, all above the bids.
    """

    def __init__(self, listing: Listing, rng: Random) -> None:
        self._rng = rng
        self._lot = listing.lot
        self._hole = max(2, listing.price // _SPREAD_PARTS)
        self.bids: list[Step] = []
        self.asks: list[Step] = []
        self.quote(listing.price)

    def quote(self, price: int) -> None:
        """Move the best bid to a price and the best ask to just above it; what stands in the way is gone."""
        ask = price + 1 + int(self._rng.random() ** 3 * self._hole)
        while self.bids and self.bids[0][0] > price:
            del self.bids[0]
        while self.asks and self.asks[0][0] < ask:
            del self.asks[0]
        if not self.bids or self.bids[0][0] < price:
            self.bids.insert(0, (price, self._amount()))
        if not self.asks or self.asks[0][0] > ask:
            self.asks.insert(0, (ask, self._amount()))
        self._refill()
        for side in (self.bids, self.asks):
            for _ in range(_STIRRED):
                at = int(self._rng.random() * min(_NEAR, len(side)))
                side[at] = (side[at][0], self._amount())

    def take(self, side: str, amount: int, *, most: int) -> list[Step]:
        """Let a taker buy (from the asks) or sell (to the bids); give the fills, one a level, best first.

        Args:
            side: `buy` or `sell`.
            amount: What the taker wants.
            most: How many levels the taker goes into; the rest of the amount is let go.
        """
        levels = self.asks if side == "buy" else self.bids
        fills: list[Step] = []
        while amount and len(fills) < most:
            price, resting = levels[0]
            filled = min(amount, resting)
            fills.append((price, filled))
            amount -= filled
            if filled == resting:
                del levels[0]
            else:
                levels[0] = (price, resting - filled)
        self._refill()
        return fills

    def _refill(self) -> None:
        """Keep both sides `LEVELS` deep: new levels come at the far end, surplus ones fall off it."""
        for side, away in ((self.bids, -1), (self.asks, 1)):
            del side[LEVELS:]
            price = side[-1][0]
            while len(side) < LEVELS:
                price += away * (1 + int(self._rng.random() * self._hole))
                side.append((price, self._amount()))

    def _amount(self) -> int:
        """A level holds a few usual trades, now and then many."""
        return max(1, int(self._lot * (0.05 + 8 * self._rng.random() ** 3)))
