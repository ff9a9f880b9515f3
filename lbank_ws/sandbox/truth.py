"""The exchange's own log: every trade and every change of a user's order, as it was, whatever was sent of it.

A test compares what its client saw with this. Pushes may be dropped, held up or broken on purpose; the log is written
before any of that.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

from lbank_ws.sandbox.market import Trade
from lbank_ws.sandbox.orders import OrderChanged

KEPT = 200_000


class Truth:
    """What happened, oldest first; the newest `KEPT` are kept and all are counted.

    May be read from any thread while the box runs; `_lock` guards everything.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = Lock()
        self._log: deque[Trade | OrderChanged] = deque(maxlen=kept)
        self._trades = 0
        self._orders = 0

    @property
    def trade_count(self) -> int:
        """How many trades there ever were."""
        with self._lock:
            return self._trades

    @property
    def order_count(self) -> int:
        """How many changes of orders there ever were."""
        with self._lock:
            return self._orders

    def log(self) -> list[Trade | OrderChanged]:
        """Give everything that is kept, in the order in which it happened."""
        with self._lock:
            return list(self._log)

    def trades(self, pair: str | None = None) -> list[Trade]:
        """Give the trades of one pair, or of all: with ids, both times, and who made and who took."""
        return [each for each in self.log() if isinstance(each, Trade) and pair in (None, each.listing.pair)]

    def orders(self, pair: str | None = None, *, owner: str | None = None) -> list[OrderChanged]:
        """Give the changes of users' orders, of one pair or all, of one account or all.

        Every change has a copy of the order as it then stood, with its ids and owner.
        """
        return [
            each
            for each in self.log()
            if isinstance(each, OrderChanged)
            and pair in (None, each.listing.pair)
            and owner in (None, each.order.owner)
        ]

    def note(self, happening: object) -> None:
        """Write down what happened, when it is a trade or a change of an order."""
        if not isinstance(happening, Trade | OrderChanged):
            return
        with self._lock:
            self._log.append(happening)
            if isinstance(happening, Trade):
                self._trades += 1
            else:
                self._orders += 1
