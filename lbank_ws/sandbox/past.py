"""What happened before the practice exchange opened, invented backwards from its first price.

Decided here: how far back each grain of bars reaches and how wild the past was. Nothing here runs after the opening.
"""

from __future__ import annotations

from random import Random

from lbank_ws.sandbox.bars import DAY_MS, HOUR_MS, MINUTE_MS, Bar, Bars, bar_start
from lbank_ws.sandbox.listings import Listing

_HOURS_REACH_MS = 14 * DAY_MS
_YEARS = 2
_PULL = 40  # an n-th of the way back to the listing's price in each bar

# How far a bar may move, in millionths of the price.
_MINUTE_SWING = 400
_HOUR_SWING = 3_000
_DAY_SWING = 20_000


def invented_past(listing: Listing, rng: Random, opened_at_ms: int, *, slots_a_minute: int) -> Bars:
    """Give bars that end at the minute of the opening with the listing's price.

    Args:
        listing: The pair.
        rng: Where the numbers come from.
        opened_at_ms: UTC epoch ms.
        slots_a_minute: How many slots of the market a minute has; the listing's gaps are counted in them.
    """
    now_ms = bar_start("1min", opened_at_ms)
    minutes_ms = bar_start("1hr", now_ms - DAY_MS)
    hours_ms = bar_start("day", minutes_ms - _HOURS_REACH_MS)
    days_ms = bar_start("year", bar_start("year", hours_ms) - _YEARS * 365 * DAY_MS)
    trades_a_minute = 2 * slots_a_minute / sum(listing.trade_gap)

    minutes = _walked_back(
        listing, rng, range(minutes_ms, now_ms, MINUTE_MS), listing.price, _MINUTE_SWING, trades_a_minute
    )
    hours = _walked_back(
        listing, rng, range(hours_ms, minutes_ms, HOUR_MS), minutes[0].open, _HOUR_SWING, 60 * trades_a_minute
    )
    days = _walked_back(
        listing, rng, range(days_ms, hours_ms, DAY_MS), hours[0].open, _DAY_SWING, 1440 * trades_a_minute
    )
    return Bars(days, hours, minutes)


def _walked_back(
    listing: Listing, rng: Random, starts_ms: range, close: int, swing_ppm: int, usual_trades: float
) -> list[Bar]:
    """Give one bar for each start, in time order, the last of them ending with the price `close`."""
    draw = rng.random
    bars = []
    for start_ms in reversed(starts_ms):
        swing = max(2, close * swing_ppm // 1_000_000)
        opened = max(1, close + int((2 * draw() - 1) * swing) + (listing.price - close) // _PULL)
        high = max(opened, close) + int(draw() * swing / 2)
        low = max(1, min(opened, close) - int(draw() * swing / 2))
        trades = 1 + int(usual_trades * (0.5 + draw()))
        volume = int(trades * listing.lot * (0.9 + draw()))
        mean = (opened + high + low + close) // 4  # lies between low and high, so turnover / volume does too
        bars.append(Bar(start_ms, opened, high, low, close, volume, volume * mean, trades))
        close = opened
    bars.reverse()
    return bars
