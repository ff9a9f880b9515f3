"""What happens on the practice exchange: values that the market gives and the visitors turn into frames.

Whole grid steps throughout, as in `listings.py`. One happening is looked up in the caches of `frames.py` for every
visitor, so each has a cheap hash.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbank_ws.sandbox.bars import Bar
from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.matching import Step
from lbank_ws.sandbox.orders import AssetChanged, OrderChanged


@dataclass(frozen=True, slots=True)
class Trade:
    """One deal.

    Attributes:
        listing: The pair.
        at_ms: When it was published, in UTC epoch ms; so on all happenings.
        traded_at_ms: When it was made, a few ms earlier.
        price: In price steps.
        volume: In amount steps.
        direction: `buy` or `sell`, the taker's side, at times with `_market` behind it.
        id: 32 hex digits.
        maker_id: The id of the order that rested.
        taker_id: The id of the order that came.
        maker: The owner of the order that rested: an account's key, or None for the synthetic flow.
        taker: The owner of the order that came.
    """

    listing: Listing
    at_ms: int
    traded_at_ms: int
    price: int
    volume: int
    direction: str
    id: str = ""
    maker_id: str = ""
    taker_id: str = ""
    maker: str | None = None
    taker: str | None = None

    def __hash__(self) -> int:
        return hash((self.at_ms, self.id))

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

    def __hash__(self) -> int:
        return hash((self.listing.pair, self.at_ms))

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


Happening = Trade | Tick | Book | Klines | OrderChanged | AssetChanged
