"""Which events are the same, over the runs of one store.

Decided here: what tells one event from another, and which event a store has already. How what was fetched cancels with
what was seen inside one client is decided in `feed/merging.py`. There is no file, no thread and no clock here.

- A trade is told by its moment, price, amount and taker, and equal ones are counted: the second of two is one of its
  own. What a client pushes is counted anew in every run; so the k-th push of a run is the k-th of its equals, and is
  known when an earlier run kept as many. What was fetched, the client has held against everything that was kept.
  One without a moment cannot be told from its equals, and is never known.
- A bar is told by its interval and where it starts; of its versions the newest counts. A store of segments keeps every
  version that differs.
- A ticker and a book are told by the exchange's moment and by what they say.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal

from lbank_ws.events import Event, Kline, Trade
from lbank_ws.feed.merging import REMEMBERED, Identity, identity

KEPT_CONTENTS = 64  # how many tickers, books and bars of a subscription are remembered

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def trade_key(known: Identity, nth: int) -> str:
    """Give the key of a trade, the same for equal numbers however they are written: 19.0 and 19.

    Args:
        known: What tells it from others of its pair.
        nth: Which of its equals it is, from 1.
    """
    return f"{_ms(known.traded_at)}|{_plain(known.price)}|{_plain(known.amount)}|{known.taker}|{nth}"


def kline_key(bar: Kline) -> str:
    """Give the key of a bar of a pair; all versions of it have the same."""
    return f"{bar.interval}|{_ms(bar.opened_at)}"


def content_key(event: Event) -> str:
    """Give the key of a ticker, a book, or a version of a bar: when it was sent, and a digest of what it says."""
    moment = "" if event.exchange_at is None else str(_ms(event.exchange_at))
    said = event.raw if event.raw and event.source == "live" else repr(event)  # an answer holds many
    digest = hashlib.blake2b(said.encode(errors="replace"), digest_size=12).hexdigest()
    return f"{moment}|{digest}|closed" if isinstance(event, Kline) and event.closed else f"{moment}|{digest}"


class Kept:
    """What a store has of one subscription, as far back as an event may come again.

    Args:
        trades: The last trades that earlier runs kept, the oldest first.
        contents: The keys of the last tickers, books or bars that they kept.
    """

    def __init__(self, trades: Iterable[Identity] = (), contents: Iterable[str] = ()) -> None:
        self._earlier = Counter(trades)
        self._pushed: Counter[Identity] = Counter()  # by this run, of those that earlier runs kept
        self._contents: dict[str, None] = dict.fromkeys(contents)

    def has(self, event: Event) -> bool:
        """Take an event, and tell whether the store has it already."""
        if isinstance(event, Trade):
            known = identity(event) if self._earlier and event.source == "live" else None
            if known is None or self._pushed[known] >= self._earlier[known]:
                return False
            self._pushed[known] += 1
            return True
        key = content_key(event)
        if key in self._contents:
            return True
        self._contents[key] = None
        if len(self._contents) > KEPT_CONTENTS:
            del self._contents[next(iter(self._contents))]
        return False


class Numbers:
    """Gives the trades of one pair keys of their own, equal ones by number.

    Args:
        trades: The last trades that earlier runs kept, the oldest first.
    """

    def __init__(self, trades: Iterable[Identity] = ()) -> None:
        self._order = deque(trades)
        self._counts = Counter(self._order)
        self._untimed = 0

    def key(self, trade: Trade) -> str:
        """Give the key of a trade that is to be kept."""
        known = identity(trade)
        if known is None:
            self._untimed += 1
            return f"{content_key(trade)}|{trade.received_ns}|{self._untimed}"
        self._counts[known] += 1
        self._order.append(known)
        nth = self._counts[known]
        while len(self._order) > REMEMBERED:
            oldest = self._order.popleft()
            self._counts[oldest] -= 1
            if self._counts[oldest] <= 0:
                del self._counts[oldest]
        return trade_key(known, nth)


def _ms(moment: datetime) -> int:
    return round((moment - _EPOCH).total_seconds() * 1000)


def _plain(number: Decimal) -> str:
    """Give a number in one spelling, all digits kept; `normalize` would round to 28 of them."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    if not kept or not isinstance(exponent, int):
        return "0"
    return f"{'-' if sign else ''}{kept}E{exponent + len(text) - len(kept)}"
