"""The market of the practice exchange: a seeded walk of every pair, in slots of 100 ms.

Decided here: when a pair's best prices move, when somebody trades, when a tick, a book and bars are published. Time
comes in as an argument, and because the walk goes by slots, what happens does not depend on how often one asks. Each
pair has random numbers of its own, so that it walks the same whichever other pairs are listed. What it all looks like
on the wire is decided in `frames.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from lbank_ws.sandbox.bars import INTERVALS, MINUTE_MS, Bar
from lbank_ws.sandbox.ladder import Ladder, Step
from lbank_ws.sandbox.listings import Listing, listing_of
from lbank_ws.sandbox.past import invented_past

SLOT_MS = 100
LONGEST_STEP_MS = 10 * MINUTE_MS
KEPT_TRADES = 500

_DEPTH_SLOTS = 6  # LBank was seen to publish depth on a tick of roughly 600 ms
_MOVE_PARTS = 25_000  # the widest move of the best prices, as a part of the price
_PULL = 20_000  # an n-th of the way back to the listing's price in each move
_MARKET_ORDERS = 0.005  # how many takers' direction is `buy_market` or `sell_market`


@dataclass(frozen=True)
class Trade:
    """One deal.

    Attributes:
        listing: The pair.
        at_ms: When it was published, in UTC epoch ms; so on all happenings.
        traded_at_ms: When it was made, a few ms earlier.
        price: In price steps.
        volume: In amount steps.
        direction: `buy` or `sell`, the taker's side, at times with `_market` behind it.
    """

    listing: Listing
    at_ms: int
    traded_at_ms: int
    price: int
    volume: int
    direction: str

    @property
    def value(self) -> int:
        """Price x volume, in value steps."""
        return self.price * self.volume

    @property
    def side(self) -> str:
        """`buy` or `sell`."""
        return self.direction.partition("_")[0]


@dataclass(frozen=True)
class Tick:
    """The last price and the last 24 hours.

    Attributes:
        latest: The price of the last trade; this and `open`, `high`, `low` in price steps.
        open: The price 24 hours ago.
        high: The highest of 24 hours.
        low: The lowest.
        volume: In amount steps.
        turnover: In value steps.
        bid: The best bid, in price steps.
        ask: The best ask.
        side: Which side the last trade took.
    """

    listing: Listing
    at_ms: int
    latest: int
    open: int
    high: int
    low: int
    volume: int
    turnover: int
    bid: int
    ask: int
    side: str

    @property
    def change_hundredths(self) -> int:
        """The change since `open` in hundredths of a percent."""
        return round((self.latest - self.open) * 10_000 / self.open)


@dataclass(frozen=True)
class Book:
    """A snapshot of the book.

    Attributes:
        bids: Price and amount of each level in steps, the highest price first.
        asks: The same, the lowest price first.
    """

    listing: Listing
    at_ms: int
    bids: tuple[Step, ...]
    asks: tuple[Step, ...]

    def __hash__(self) -> int:
        return hash((self.listing.pair, self.at_ms))  # four hundred levels would make every look-up slow


@dataclass(frozen=True)
class Klines:
    """Bars in progress that have changed.

    Attributes:
        bars: Interval and bar.
    """

    listing: Listing
    at_ms: int
    bars: tuple[tuple[str, Bar], ...]


Happening = Trade | Tick | Book | Klines


class Pit:
    """Where one pair is traded."""

    def __init__(self, listing: Listing, rng: Random, opened_at_ms: int) -> None:
        slot = opened_at_ms // SLOT_MS
        self.listing = listing
        self.bars = invented_past(listing, rng, opened_at_ms, slots_a_minute=MINUTE_MS // SLOT_MS)
        self.trades: deque[Trade] = deque(maxlen=KEPT_TRADES)
        self._rng = rng
        self._price = listing.price
        self._ladder = Ladder(listing, rng)
        self._side = "buy"
        self._moved = False
        self._quote_slot = slot + self._within(listing.quote_gap)
        self._trade_slot = slot + self._within(listing.trade_gap)
        self._tick_slot = slot + self._within(listing.tick_gap)
        self._depth_slot = slot + self._within((0, _DEPTH_SLOTS - 1))

    def play(self, slot: int) -> list[Happening]:
        """Give what happens in one slot, in time order, and is published at its end."""
        at_ms = (slot + 1) * SLOT_MS
        happened: list[Happening] = []
        changed = self.bars.roll(slot * SLOT_MS)
        if slot >= self._quote_slot:
            self._move()
            self._quote_slot = slot + self._within(self.listing.quote_gap)
        if slot >= self._trade_slot:
            happened += self._deal(at_ms)
            changed = list(INTERVALS)
            self._trade_slot = slot + self._within(self.listing.trade_gap)
        if happened or slot >= self._tick_slot:
            happened.append(self.tick(at_ms))
            self._tick_slot = slot + self._within(self.listing.tick_gap)
        if self._moved and slot >= self._depth_slot:
            happened.append(self.book(at_ms))
            self._depth_slot = slot + _DEPTH_SLOTS
            self._moved = False
        if changed:
            bars = tuple((interval, self.bars.current(interval)) for interval in changed)
            happened.append(Klines(self.listing, at_ms, bars))
        return happened

    def tick(self, at_ms: int) -> Tick:
        """Give the tick as it stands."""
        return Tick(
            self.listing,
            at_ms,
            self.bars.price,
            *self.bars.last_day(),
            bid=self._ladder.bids[0][0],
            ask=self._ladder.asks[0][0],
            side=self._side,
        )

    def book(self, at_ms: int) -> Book:
        """Give the book as it stands."""
        return Book(self.listing, at_ms, tuple(self._ladder.bids), tuple(self._ladder.asks))

    def _move(self) -> None:
        """Move the best prices a little, with a weak pull to where the walk began."""
        reach = max(1, self._price // _MOVE_PARTS)
        step = int((2 * self._rng.random() - 1) * (reach + 1)) + (self.listing.price - self._price) // _PULL
        # A book of 200 levels below half the price still lies above zero.
        self._price = max(self.listing.price // 2, min(self.listing.price * 2, self._price + step))
        self._ladder.quote(self._price)
        self._moved = True

    def _deal(self, at_ms: int) -> list[Happening]:
        """Let one taker come; give a trade for each level that was taken from."""
        draw = self._rng.random
        self._side = "buy" if draw() < 0.5 else "sell"
        direction = f"{self._side}_market" if draw() < _MARKET_ORDERS else self._side
        wanted = max(1, int(self.listing.lot * 4 * draw() ** 2))
        traded_at_ms = at_ms - 3 - int(28 * draw())  # LBank's trades are 3 to 30 ms older than their frames
        made: list[Happening] = []
        for price, volume in self._ladder.take(self._side, wanted, most=3):
            trade = Trade(self.listing, at_ms, traded_at_ms, price, volume, direction)
            self.bars.trade(price, volume)
            self.trades.append(trade)
            made.append(trade)
        self._moved = True
        return made

    def _within(self, gap: tuple[int, int]) -> int:
        shortest, longest = gap
        return shortest + int(self._rng.random() * (longest - shortest + 1))


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
            self._pits[pair] = Pit(listing_of(pair), rng, self.now_ms)

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
        last = now_ms // SLOT_MS
        self._slot = max(self._slot, last - LONGEST_STEP_MS // SLOT_MS)
        happened: list[Happening] = []
        while self._slot < last:
            for pit in self._pits.values():
                happened += pit.play(self._slot)
            self._slot += 1
        return happened

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
