"""What one can subscribe to, and how a pair is spelt in this package.

Decided here: the channels, a subscription's name (`Topic`), what a well-formed pair, depth and interval are.
How the wire spells them is decided in `wire/`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted

DEFAULT_LEVELS = 20
MAX_LEVELS = 200
DEFAULT_INTERVAL = "1min"
EVERY_PAIR = "all"  # an account's streams bring what belongs to every pair
# Source: docs/reference/wire.md, "Kline intervals". These ten are documented; no other was seen to work.
INTERVALS = ("1min", "5min", "15min", "30min", "1hr", "4hr", "day", "week", "month", "year")
QUOTES = ("usdt", "usdc", "usd1", "busd", "btc", "eth", "usd", "eur", "try")  # what pairs are usually priced in

_PAIR = re.compile(r"[a-z0-9]+_[a-z0-9]+")


class Channel(str, Enum):
    """A kind of data that the exchange sends."""

    TICKER = "ticker"
    DEPTH = "depth"
    TRADE = "trade"
    KLINE = "kline"
    ORDER = "order"
    BALANCE = "balance"

    __hash__ = str.__hash__  # an enum's own is written in Python, and a topic is looked up for every event

    def __str__(self) -> str:
        return str(self.value)

    @property
    def is_private(self) -> bool:
        """Whether it tells of an account, and so needs credentials."""
        return self in _PRIVATE


_PRIVATE = frozenset({Channel.ORDER, Channel.BALANCE})
MARKET = tuple(channel for channel in Channel if not channel.is_private)


class Topic(NamedTuple):
    """One thing to subscribe to.

    Attributes:
        channel: The kind of data.
        pair: For example `btc_usdt`; `all` on `order` and `balance`.
        levels: How many price levels a side; None on every channel but depth.
        interval: The length of a bar; None on every channel but kline.
    """

    channel: Channel
    pair: str
    levels: int | None = None
    interval: str | None = None

    def __str__(self) -> str:
        parts = [str(self.channel), self.pair, self.levels, self.interval]
        return "/".join(str(part) for part in parts if part is not None)


def topic(channel: str, pair: str, *, levels: int | None = None, interval: str | None = None) -> Topic:
    """Check what a caller asks for and give its name.

    Args:
        channel: `ticker`, `depth`, `trade`, `kline`, `order` or `balance`.
        pair: `base_quote` in lower case; `all` for the two of an account.
        levels: Depth only; 20 when None.
        interval: Kline only, one of `INTERVALS`; `1min` when None.

    Raises:
        UsageError: One of them is not understood; the text says what to write instead.
    """
    known = checked_channel(channel)
    if levels is not None and known is not Channel.DEPTH:
        raise UsageError(f"levels belongs to depth, not to {known}; leave it out")
    if interval is not None and known is not Channel.KLINE:
        raise UsageError(f"interval belongs to kline, not to {known}; leave it out")
    if known.is_private:
        return Topic(known, _every_pair(known, pair))
    return Topic(
        known,
        checked_pair(pair),
        checked_levels(DEFAULT_LEVELS if levels is None else levels) if known is Channel.DEPTH else None,
        checked_interval(DEFAULT_INTERVAL if interval is None else interval) if known is Channel.KLINE else None,
    )


def checked_channel(channel: str) -> Channel:
    """Give the channel of that name, or raise `UsageError` with the names there are."""
    try:
        return Channel(channel)
    except ValueError:
        names = ", ".join(str(known) for known in Channel)
        raise UsageError(f"there is no channel {channel!r}; write one of: {names}") from None


def _every_pair(channel: Channel, pair: str) -> str:
    if pair != EVERY_PAIR:
        hint = "; on_order('btc_usdt') hears those of one pair" if channel is Channel.ORDER else ""
        raise UsageError(f"{channel} comes for all pairs at once: write 'all', not {quoted(repr(pair))}{hint}")
    return EVERY_PAIR


def is_pair(text: str) -> bool:
    """Tell whether a text is a pair as this package spells it."""
    return _PAIR.fullmatch(text) is not None


def checked_pair(pair: str) -> str:
    """Give the pair unchanged, or raise `UsageError` with the likely spelling."""
    if isinstance(pair, str) and is_pair(pair):
        return pair
    hint = respelt(pair) if isinstance(pair, str) else None
    raise UsageError(
        f"a pair is written base_quote in lower case, like btc_usdt, not {quoted(repr(pair))}"
        + (f"; did you mean {hint}?" if hint else "")
    )


def checked_levels(levels: int) -> int:
    """Give the number of depth levels unchanged, or raise `UsageError`.

    The exchange answers zero and less with empty books and no error.
    Source: docs/reference/wire.md, "V2 depth".
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= MAX_LEVELS:
        raise UsageError(
            f"levels is a whole number from 1 to {MAX_LEVELS}, not {levels!r}; 10, 50 and 100 are documented"
        )
    return levels


def checked_interval(interval: str) -> str:
    """Give the interval unchanged, or raise `UsageError` with the ones there are."""
    if interval not in INTERVALS:
        raise UsageError(f"there is no interval {interval!r}; write one of: {', '.join(INTERVALS)}")
    return interval


def respelt(pair: str) -> str | None:
    """Guess the pair that was meant: `BTC/USDT`, `btc-usdt` and `btcusdt` become `btc_usdt`; None without a guess."""
    joined = "_".join(re.findall(r"[a-z0-9]+", pair.lower()))
    if is_pair(joined):
        return joined
    for quote in QUOTES:
        if joined.endswith(quote) and len(joined) > len(quote) and "_" not in joined:
            return f"{joined.removesuffix(quote)}_{quote}"
    return None
