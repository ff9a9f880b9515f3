"""One connected client, seen from the exchange: what it may say, what it is answered, what it is sent.

Decided here: subscriptions, snapshots, refusals, the heartbeat. A visitor is pure: text and times come in, frames go
out; `server.py` owns the socket. What frames look like is decided in `frames.py`, what the two dialects demand in
`v2.py` and `simple.py`.

Two clocks come in as arguments. `at_ms` is the market's, in UTC epoch ms, and ends up in frames. `now_ms` is any clock
that only goes forward and runs in real time at every speed of the market, because no client answers faster just
because the market runs faster; the heartbeat goes by it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn

from lbank_ws.sandbox.desk import Desk
from lbank_ws.sandbox.market import Book, Happening, Klines, Market, Tick, Trade

Subscription = tuple[str, str]
"""Channel and pair, the channel in this package's words: `ticker`, `depth`, `trade`, `kline`."""


class NotJson(ValueError):
    """A client sent something that is not a JSON object."""


def read_object(text: str) -> dict[str, Any]:
    """Read a frame of a client.

    Raises:
        NotJson: It is not a JSON object.
    """
    try:
        said = json.loads(text, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as problem:
        raise NotJson(str(problem)) from problem
    if not isinstance(said, dict):
        raise NotJson("not an object")
    return said


def _refused_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")  # Python's reader would take NaN and Infinity


class Visitor(ABC):
    """One connected client; the dialects are its two subclasses.

    Args:
        number: Tells it from the other visitors of the same box.
        market: What it looks at.
        now_ms: When it came, on the clock of the heartbeat.
        ping_every_s: How often it is asked whether it is there.
        pong_within_s: How long it may leave such a question unanswered.
        remote_ip: Its address, which errors echo.
        node: The name of the publishing node, which V2's depth pushes carry.
        desk: Where accounts are; None for an exchange without them.

    Attributes:
        pongs: How many pings it has answered.
        watches: Called with a subscription that it wants, or has left altogether.
    """

    dialect: str

    def __init__(
        self,
        number: int,
        market: Market,
        *,
        now_ms: int,
        ping_every_s: float = 60.0,
        pong_within_s: float = 60.0,
        remote_ip: str = "127.0.0.1",
        node: str = "t-03",
        desk: Desk | None = None,
    ) -> None:
        self.number = number
        self.pongs = 0
        self.watches: Callable[[Subscription, bool], object] = lambda subscription, is_wanted: None
        self._market = market
        self._remote_ip = remote_ip
        self._node = node
        self._desk = desk
        self._ping_every_ms = ping_every_s * 1000
        self._pong_within_ms = pong_within_s * 1000
        self._ping_ms = now_ms + self._ping_every_ms
        self._pings = 0
        self._unanswered: dict[object, int] = {}  # id of a ping -> when it was sent, oldest first
        # What it wants, each with the details it wants it in: levels of depth, intervals of bars, else "".
        self._wanted: dict[Subscription, dict[int | str, None]] = {}

    @abstractmethod
    def received(self, text: str, at_ms: int) -> list[str]:
        """Give the answers to a text frame of the client."""

    @property
    def subscriptions(self) -> frozenset[str]:
        """What it is subscribed to: `ticker/btc_usdt`, `depth/btc_usdt/20`, `kline/btc_usdt/1min`."""
        return frozenset(
            "/".join(str(part) for part in (*wanted, detail) if part != "")
            for wanted, details in self._wanted.items()
            for detail in details
        )

    def frames(self, happening: Happening) -> list[str]:
        """Give the pushes that it gets because of something that happened."""
        pair = happening.listing.pair
        if isinstance(happening, Trade):
            return [self._trade_push(happening)] if ("trade", pair) in self._wanted else []
        if isinstance(happening, Tick):
            return [self._tick_push(happening, happening.at_ms)] if ("ticker", pair) in self._wanted else []
        if isinstance(happening, Book):
            wanted = self._wanted.get(("depth", pair), {})
            return [self._depth_push(happening, detail, happening.at_ms) for detail in wanted]
        if isinstance(happening, Klines):
            return self._kline_pushes(happening, self._wanted.get(("kline", pair), {}))
        return self._private_pushes(happening)

    def tick(self, now_ms: int) -> list[str]:
        """Give the ping that is due, if one is."""
        if now_ms < self._ping_ms:
            return []
        self._ping_ms = now_ms + self._ping_every_ms
        self._pings += 1
        asked, frame = self._ping(now_ms)
        self._unanswered[asked] = now_ms
        return [frame]

    def should_cut(self, now_ms: int) -> bool:
        """Tell whether a ping has gone unanswered for too long."""
        return any(now_ms - sent_ms >= self._pong_within_ms for sent_ms in self._unanswered.values())

    def _ponged(self, answered: object) -> None:
        """Note an answer to a ping; it answers the pings before it too. An id that was never asked is no answer."""
        if not isinstance(answered, str | int) or answered not in self._unanswered:
            return
        self.pongs += 1
        for asked in list(self._unanswered):
            del self._unanswered[asked]
            if asked == answered:
                return

    def _subscribe(self, wanted: Subscription, detail: int | str = "") -> None:
        self.watches(wanted, True)
        self._wanted.setdefault(wanted, {})[detail] = None

    def _unsubscribe(self, wanted: Subscription, detail: int | str = "") -> None:
        details = self._wanted.get(wanted, {})
        details.pop(detail, None)
        if not details:
            self._wanted.pop(wanted, None)
            self.watches(wanted, False)

    @abstractmethod
    def _ping(self, now_ms: int) -> tuple[str | int, str]:
        """Give the id of a new ping and its frame."""

    @abstractmethod
    def _tick_push(self, tick: Tick, at_ms: int) -> str: ...

    @abstractmethod
    def _depth_push(self, book: Book, detail: int | str, at_ms: int) -> str: ...

    @abstractmethod
    def _trade_push(self, trade: Trade) -> str: ...

    def _kline_pushes(self, klines: Klines, intervals: dict[int | str, None]) -> list[str]:
        """Give nothing: only V2 has bars."""
        return []

    def _private_pushes(self, happening: Happening) -> list[str]:
        """Give nothing: only V2 tells of orders and balances."""
        return []
