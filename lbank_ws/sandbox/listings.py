"""Which pairs the practice exchange lists, on which grids they trade, and how lively they are.

Every price and amount in this package is a whole number of steps on its pair's grid, so that price x volume = value
holds exactly; `frames.py` turns steps into text. How prices move is decided in `market.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_PAIR = re.compile(r"[a-z0-9]+_[a-z0-9]+")


@dataclass(frozen=True)
class Listing:
    """A pair and its habits.

    Attributes:
        pair: For example `btc_usdt`.
        price: Where the walk begins and what it drifts back to, in price steps.
        price_places: Decimal places of the price grid: 2 means that a step is 0.01.
        amount_places: The same for amounts.
        lot: A usual amount of a trade, in amount steps.
        trade_gap: Shortest and longest time between two takers, in slots of the market.
        quote_gap: The same between two moves of the best prices.
        tick_gap: The same between two ticks when nobody trades.
    """

    pair: str
    price: int
    price_places: int
    amount_places: int
    lot: int
    trade_gap: tuple[int, int]
    quote_gap: tuple[int, int]
    tick_gap: tuple[int, int]

    def __hash__(self) -> int:
        return hash(self.pair)  # every look-up of a rendered frame asks for it

    @property
    def value_places(self) -> int:
        """Decimal places of price x amount."""
        return self.price_places + self.amount_places

    @property
    def quote(self) -> str:
        """The currency that prices are given in."""
        return self.pair.partition("_")[2]

    def price_of(self, steps: int) -> Decimal:
        """A price as a number, in the quote currency."""
        return Decimal(steps).scaleb(-self.price_places)

    def amount_of(self, steps: int) -> Decimal:
        """An amount as a number, in the base currency."""
        return Decimal(steps).scaleb(-self.amount_places)

    def value_of(self, steps: int) -> Decimal:
        """A price x amount as a number, in the quote currency."""
        return Decimal(steps).scaleb(-self.value_places)


_BUSY = ((1, 4), (2, 8), (5, 16))  # quote, tick and trade gaps as shortest and longest, in slots
_FAIR = ((3, 8), (4, 12), (10, 40))
_THIN = ((6, 14), (8, 15), (100, 400))


def _listing(
    pair: str,
    price: str,
    amount_places: int,
    lot: str,
    gaps: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = _FAIR,
) -> Listing:
    start = Decimal(price)
    price_places = max(0, -int(start.as_tuple().exponent))
    quote_gap, tick_gap, trade_gap = gaps
    return Listing(
        pair=pair,
        price=int(start.scaleb(price_places)),
        price_places=price_places,
        amount_places=amount_places,
        lot=int(Decimal(lot).scaleb(amount_places)),
        trade_gap=trade_gap,
        quote_gap=quote_gap,
        tick_gap=tick_gap,
    )


_LISTED = (
    _listing("btc_usdt", "74016.25", 5, "0.025", ((1, 2), (1, 3), (2, 8))),
    _listing("eth_usdt", "2204.18", 4, "0.6", ((1, 3), (1, 4), (3, 11))),
    _listing("sol_usdt", "152.377", 3, "5", _BUSY),
    _listing("xrp_usdt", "1.39214", 2, "400", _BUSY),
    _listing("bnb_usdt", "611.42", 3, "0.8"),
    _listing("doge_usdt", "0.118340", 1, "4000"),
    _listing("sui_usdt", "0.9054", 1, "300"),
    _listing("pepe_usdt", "0.0000041375", 0, "20000000"),
    _listing("eth_btc", "0.029781", 4, "0.2", _THIN),
    _listing("lbk_usdt", "0.009834", 1, "2500", ((6, 14), (8, 15), (20, 480))),
)
LISTINGS = {listing.pair: listing for listing in _LISTED}

# What one unit of a quote currency is worth in USD. Fixed, so that no pair's walk depends on another pair.
USD_RATES = {"usdt": 1, "usdc": 1, "usd": 1, "btc": 74000, "eth": 2200}
CNY_PER_USD = Decimal("7.2894")


def listing_of(pair: str) -> Listing:
    """Give the listing of a pair; a pair that is not in the table becomes a middling one around 1.

    Raises:
        ValueError: The pair is not written `base_quote` in lower case.
    """
    if not _PAIR.fullmatch(pair):
        raise ValueError(f"a pair is written base_quote in lower case, like btc_usdt, not {pair!r}")
    return LISTINGS.get(pair) or _listing(pair, "1.0150", 2, "50")
