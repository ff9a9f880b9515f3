"""The trading floor: the clients that are connected, and the clock by which the market is played for them.

Decided here: when the market is played, and who hears of it. Everything here runs on the one loop of the box; which
thread that is, and on which port, is decided in `server.py`.

RFC 6455 pings are left unanswered: LBank's answers to them cannot be relied on, and the box takes the worst case.
Compression is declined, as LBank does.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbank_ws.sandbox.line import ANSWER_WITHIN_S, Line
from lbank_ws.sandbox.market import SLOT_MS, Market
from lbank_ws.sandbox.simple import SimpleVisitor
from lbank_ws.sandbox.v2 import V2Visitor
from lbank_ws.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from aiohttp import web

V2_PATH = "/ws/V2/"
SIMPLE_PATH = "/ws"

_PLAY_AT_MOST_EVERY_S = 0.05
_PLAY_AT_LEAST_EVERY_S = 0.1
_SAFELY_OVER_S = 0.001  # a timer that fires a little early must not find the slot still going on
_LARGEST_REQUEST = 64 * 1024  # bytes in one message of a client
_GOING_AWAY = 1001
NORMAL = 1000  # how LBank ends lines, also those that left a ping unanswered
_NODES = 4


@dataclass(frozen=True)
class VisitorView:
    """What a test sees of a connected client.

    Attributes:
        id: Counts up from 1 over the life of the box.
        dialect: `v2` or `simple`.
        subscriptions: For example `ticker/btc_usdt`, `trade/btc_usdt`, `depth/btc_usdt/20`, `kline/btc_usdt/1min`;
            depth in the simple dialect has no levels: `depth/btc_usdt`.
        pongs: How many pings it has answered.
    """

    id: int
    dialect: str
    subscriptions: frozenset[str]
    pongs: int


class Floor:
    """Everybody who is connected, and what they watch.

    The market begins when the floor first opens, and goes on while it is closed.

    Args:
        pairs: What is listed.
        seed: The same seed gives the same walk from the same moment on.
        speed: How much faster than real time the market goes.
        ping_every_s: How often a client is asked whether it is there, in real time; so is the next.
        pong_within_s: How long it may take to answer; then its line is closed.

    Attributes:
        connections: How many clients have ever connected.
    """

    def __init__(
        self, pairs: Sequence[str], seed: int, *, speed: float, ping_every_s: float, pong_within_s: float
    ) -> None:
        self.connections = 0
        self._pairs = pairs
        self._seed = seed
        self._speed = speed
        self._ping_every_s = ping_every_s
        self._pong_within_s = pong_within_s
        self._opened_at_s = 0.0
        self._market: Market | None = None
        self._lines: dict[int, Line] = {}

    def open(self) -> None:
        """Begin the market, or catch up with what nobody saw while the floor was closed."""
        if self._market is None:
            self._opened_at_s = time.time()
            self._market = Market(self._pairs, self._seed, int(self._market_ms()))
        self._market.advance(int(self._market_ms()))

    async def close(self) -> None:
        """Send everybody away, politely as far as they let us."""
        lines = list(self._lines.values())
        for line in lines:
            line.close(_GOING_AWAY)
        await asyncio.gather(*(line.ended() for line in lines))

    async def play(self) -> None:
        """Let the market go on, and tell everybody what happens to them."""
        market = self._opened_market()
        while True:
            for happening in market.advance(int(self._market_ms())):
                for line in self._lines.values():
                    line.send(line.visitor.frames(happening))
            now_ms = _line_ms()
            for line in self._lines.values():
                line.send(line.visitor.tick(now_ms))
                if line.visitor.should_cut(now_ms):
                    line.close(NORMAL)
            await asyncio.sleep(self._until_next_slot_s())

    def visitors(self) -> list[VisitorView]:
        """Tell who is connected, in the order of coming."""
        visitors = [line.visitor for line in self._lines.values()]
        return [VisitorView(each.number, each.dialect, each.subscriptions, each.pongs) for each in visitors]

    def on_every_line(self, act: Callable[[Line], None]) -> None:
        """Do something to the line of everybody who is connected now."""
        for line in list(self._lines.values()):
            act(line)

    def application(self) -> web.Application:
        """Give the routes of the exchange."""
        from aiohttp import web  # late, as in server.py

        async def v2(request: web.Request) -> web.WebSocketResponse:
            return await self._serve(request, V2Visitor)

        async def simple(request: web.Request) -> web.WebSocketResponse:
            return await self._serve(request, SimpleVisitor)

        application = web.Application()
        application.add_routes([web.get("/", v2), web.get(V2_PATH, v2), web.get(SIMPLE_PATH, simple)])
        return application

    async def _serve(self, request: web.Request, dialect: type[Visitor]) -> web.WebSocketResponse:
        """Serve one client from its handshake to its end."""
        from aiohttp import web  # late, as in server.py

        response = web.WebSocketResponse(
            timeout=ANSWER_WITHIN_S, autoping=False, compress=False, max_msg_size=_LARGEST_REQUEST
        )
        await response.prepare(request)
        if request.transport is None:  # gone again
            return response
        self.connections += 1
        visitor = dialect(
            self.connections,
            self._opened_market(),
            now_ms=_line_ms(),
            ping_every_s=self._ping_every_s,
            pong_within_s=self._pong_within_s,
            remote_ip=request.remote or "127.0.0.1",
            node=f"t-{self.connections % _NODES + 1:02d}",
        )
        line = self._lines[visitor.number] = Line(visitor, response, request.transport)
        try:
            await line.serve(lambda text: visitor.received(text, int(self._market_ms())))
        finally:
            del self._lines[visitor.number]
        return response

    def _opened_market(self) -> Market:
        if self._market is None:
            raise RuntimeError("the floor has not been opened")
        return self._market

    def _market_ms(self) -> float:
        """The market's clock: the wall clock when the speed is 1."""
        return (self._opened_at_s + (time.time() - self._opened_at_s) * self._speed) * 1000

    def _until_next_slot_s(self) -> float:
        """How long until a slot is over, so that what happened in it is sent while it is fresh."""
        slots = math.ceil(_PLAY_AT_MOST_EVERY_S * 1000 * self._speed / SLOT_MS)
        market_ms = self._market_ms()
        over_ms = (market_ms // SLOT_MS + slots) * SLOT_MS
        return min((over_ms - market_ms) / self._speed / 1000 + _SAFELY_OVER_S, _PLAY_AT_LEAST_EVERY_S)


def _line_ms() -> int:
    """The clock of the heartbeat: real time at every speed."""
    return time.monotonic_ns() // 1_000_000
