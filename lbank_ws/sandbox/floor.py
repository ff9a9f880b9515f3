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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbank_ws.sandbox.audience import Audience
from lbank_ws.sandbox.desk import Desk
from lbank_ws.sandbox.faults.active import Planned
from lbank_ws.sandbox.faults.calls import disturbing
from lbank_ws.sandbox.faults.control import control_routes
from lbank_ws.sandbox.faults.mischief import Mischief
from lbank_ws.sandbox.line import ANSWER_WITHIN_S, Line, hands_shaken
from lbank_ws.sandbox.market import SLOT_MS, Happening, Market
from lbank_ws.sandbox.orders import Order
from lbank_ws.sandbox.rest import Rest
from lbank_ws.sandbox.rest_routes import rest_routes
from lbank_ws.sandbox.simple import SimpleVisitor
from lbank_ws.sandbox.truth import Truth
from lbank_ws.sandbox.v2 import V2Visitor
from lbank_ws.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from aiohttp import web

V2_PATH = "/ws/V2/"
SIMPLE_PATH = "/ws"
STANDING_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, where a market that stands still begins

_STEP_MS = 1000
_SLOTS_AT_ONCE = 10
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
        speed: How much faster than real time the market goes; 0 lets it stand still but for `step()`.
        started_at_ms: When the market begins, in UTC epoch ms; None for now, or for `STANDING_MS` at speed 0.
        ping_every_s: How often a client is asked whether it is there, in real time; so is the next.
        pong_within_s: How long it may take to answer; then its line is closed.
        rate_limits: Whether those who ask REST too often are refused.
        faults: The script of what goes wrong.

    Attributes:
        connections: How many clients have ever connected.
        desk: The accounts, and where their orders are placed.
        mischief: What goes wrong.
        truth: What happened, whatever was sent of it.
    """

    def __init__(
        self,
        pairs: Sequence[str],
        seed: int,
        *,
        speed: float,
        ping_every_s: float,
        pong_within_s: float,
        started_at_ms: int | None = None,
        rate_limits: bool = True,
        faults: Iterable[Planned] = (),
    ) -> None:
        self.connections = 0
        self.truth = Truth()
        self.desk = Desk(seed, place=self.place, cancel=self.cancel)
        self._pairs = pairs
        self._seed = seed
        self._speed = speed
        self._ping_every_s = ping_every_s
        self._pong_within_s = pong_within_s
        self._started_at_ms: float | None = STANDING_MS if started_at_ms is None and not speed else started_at_ms
        self._stepped_ms = 0
        self._opened_at_s = 0.0
        self._rate_limits = rate_limits
        self._market: Market | None = None
        self._rest: Rest | None = None
        self._audience = Audience()
        self._first_opened_s: float | None = None
        self.mischief = Mischief(
            seed, pairs, faults, clock_s=self._fault_s, at_ms=self.now_ms, benches=lambda: self._audience
        )

    def open(self) -> None:
        """Begin the market, or catch up with what nobody saw while the floor was closed."""
        if self._market is None:
            self._first_opened_s = time.monotonic()
            self._opened_at_s = time.time()
            if self._started_at_ms is None:
                self._started_at_ms = self._opened_at_s * 1000
            self._market = Market(self._pairs, self._seed, self.now_ms())
            self._rest = Rest(self.desk, self._market, rate_limits=self._rate_limits)
        self._publish(self._market.advance(self.now_ms()))

    async def close(self) -> None:
        """Send everybody away, politely as far as they let us."""
        lines = list(self._audience)
        for line in lines:
            line.close(_GOING_AWAY)
        await asyncio.gather(*(line.ended() for line in lines))

    async def play(self) -> None:
        """Let the market go on, and tell everybody what happens to them."""
        market = self._opened_market()
        while True:
            self.mischief.play()
            for played, happenings in enumerate(market.slots(self.now_ms()), start=1):
                self._publish(happenings)
                if played % _SLOTS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # what waits is sent, and who asks is answered, while a fast market plays
            now_ms = _line_ms()
            for line in () if self.mischief.drops_pings else self._audience:
                line.send(line.visitor.tick(now_ms))
                if line.visitor.should_cut(now_ms):
                    line.close(NORMAL)
            await asyncio.sleep(self._until_next_slot_s())

    async def step(self, seconds: float) -> None:
        """Play some of the market's time at once; it is over when everybody's frames wait to be sent.

        A second at a time, between which clients that read are given the time to do so.
        """
        market = self._opened_market()
        left_ms = round(seconds * 1000)
        while left_ms > 0:
            played_ms = min(left_ms, _STEP_MS)
            left_ms -= played_ms
            self._stepped_ms += played_ms
            self.mischief.play()
            self._publish(market.advance(self.now_ms()))
            await asyncio.gather(*(line.room() for line in self._audience))

    def now_ms(self) -> int:
        """The market's clock in UTC epoch ms, by which orders and subscribe keys go too."""
        return int(self._market_ms())

    def place(self, order: Order) -> list[Happening]:
        """Put a user's order into its book now, publish what follows from it, and give that: the placing first."""
        market, now_ms = self._opened_market(), self.now_ms()
        self._publish(market.advance(now_ms))  # so that what happened before the order is heard before it
        happenings = market.place(order, now_ms)
        self._publish(happenings)
        return happenings

    def cancel(self, order_id: str) -> list[Happening]:
        """Take a user's order out of its book now, publish that, and give it; nothing when it is not open."""
        market, now_ms = self._opened_market(), self.now_ms()
        self._publish(market.advance(now_ms))
        happenings = market.cancel(order_id, now_ms)
        self._publish(happenings)
        return happenings

    def _publish(self, happenings: Iterable[Happening]) -> None:
        """Let everybody hear of what happened, in order; everything that happens goes through here."""
        for happening in happenings:
            self.truth.note(happening)
            for each in (happening, *self.desk.noticed(happening)):
                for line in self._audience.of(each):
                    line.send(line.visitor.frames(each))

    def visitors(self) -> list[VisitorView]:
        """Tell who is connected, in the order of coming."""
        visitors = [line.visitor for line in self._audience]
        return [VisitorView(each.number, each.dialect, each.subscriptions, each.pongs) for each in visitors]

    def on_every_line(self, act: Callable[[Line], None]) -> None:
        """Do something to the line of everybody who is connected now."""
        for line in self._audience:
            act(line)

    def application(self) -> web.Application:
        """Give the routes of the exchange."""
        from aiohttp import web  # late, as in `loop_thread.py`

        async def v2(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, V2Visitor)

        async def simple(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, SimpleVisitor)

        application = web.Application(middlewares=[disturbing(self.mischief)])
        application.add_routes([web.get("/", v2), web.get(V2_PATH, v2), web.get(SIMPLE_PATH, simple)])
        application.add_routes(rest_routes(self._opened_rest, self.now_ms, self._clock_ms))
        application.add_routes(control_routes(self.mischief))
        return application

    async def _serve(self, request: web.Request, dialect: type[Visitor]) -> web.StreamResponse:
        """Serve one client from its handshake to its end."""
        from aiohttp import web  # late, as in `loop_thread.py`

        response = web.WebSocketResponse(
            timeout=ANSWER_WITHIN_S, autoping=False, compress=False, max_msg_size=_LARGEST_REQUEST
        )
        transport = await hands_shaken(response, request)
        if transport is None:
            return web.Response()  # for nobody: the first one cannot be used any more
        self.connections += 1
        visitor = dialect(
            self.connections,
            self._opened_market(),
            now_ms=_line_ms(),
            ping_every_s=self._ping_every_s,
            pong_within_s=self._pong_within_s,
            remote_ip=request.remote or "127.0.0.1",
            node=f"t-{self.connections % _NODES + 1:02d}",
            desk=self.desk,
        )
        trouble = self.mischief.trouble(visitor.number, visitor.dialect, request.remote or "127.0.0.1")
        line = Line(visitor, response, transport, trouble)
        self._audience.enter(line)
        try:
            await line.serve(lambda text: visitor.received(text, self.now_ms()))
        finally:
            self._audience.leave(line)
        return response

    def _opened_rest(self) -> Rest:
        if self._rest is None:
            raise RuntimeError("the floor has not been opened")
        return self._rest

    def _opened_market(self) -> Market:
        if self._market is None:
            raise RuntimeError("the floor has not been opened")
        return self._market

    def _market_ms(self) -> float:
        """The market's clock: the wall clock when the speed is 1 and no beginning was named."""
        if self._started_at_ms is None:
            return time.time() * 1000
        return self._started_at_ms + self._stepped_ms + (time.time() - self._opened_at_s) * self._speed * 1000

    def _clock_ms(self) -> int:
        """The clock that requests are signed by: the machine's at every speed, unless a fault puts it wrong."""
        return int(time.time() * 1000) + self.mischief.skew_ms

    def _fault_s(self) -> float:
        """The clock of faults, in seconds since the floor first opened: real time, or what was stepped at speed 0."""
        if not self._speed:
            return self._stepped_ms / 1000
        return 0.0 if self._first_opened_s is None else time.monotonic() - self._first_opened_s

    def _until_next_slot_s(self) -> float:
        """How long until a slot is over, so that what happened in it is sent while it is fresh."""
        if not self._speed:
            return _PLAY_AT_LEAST_EVERY_S
        slots = math.ceil(_PLAY_AT_MOST_EVERY_S * 1000 * self._speed / SLOT_MS)
        market_ms = self._market_ms()
        over_ms = (market_ms // SLOT_MS + slots) * SLOT_MS
        return min((over_ms - market_ms) / self._speed / 1000 + _SAFELY_OVER_S, _PLAY_AT_LEAST_EVERY_S)


def _line_ms() -> int:
    """The clock of the heartbeat: real time at every speed."""
    return time.monotonic_ns() // 1_000_000
