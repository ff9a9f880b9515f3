"""The practice exchange on a port: addresses, and the thread that everything else runs in.

Decided here: when the port is open, and what a test may do to the lines. LBank has no testnet, which is why this
exists.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING

from lbank_ws.sandbox.accounts import AccountView, new_account
from lbank_ws.sandbox.faults.active import Active
from lbank_ws.sandbox.faults.handle import FaultHandle
from lbank_ws.sandbox.faults.parameters import parameters_of
from lbank_ws.sandbox.faults.port import Port
from lbank_ws.sandbox.faults.script import read_script
from lbank_ws.sandbox.floor import NORMAL, SIMPLE_PATH, V2_PATH, Floor, VisitorView
from lbank_ws.sandbox.line import CLOSE_WITHIN_S, Line
from lbank_ws.sandbox.listings import LISTINGS, listing_of
from lbank_ws.sandbox.loop_thread import LoopThread
from lbank_ws.sandbox.truth import Truth

if TYPE_CHECKING:
    from aiohttp import web


class Sandbox:
    """The practice exchange, in a thread of its own: `with Sandbox() as box: ...`.

    The market begins at the first `start()` and goes on while the box is stopped. All methods may be called from any
    thread but the box's own; what they touch is touched on the box's loop, one call at a time.

    Args:
        pairs: What is listed; None for a table of ten pairs, busy and thin.
        seed: The same seed gives the same walk from the same moment on.
        port: 0 takes a free one, and keeps it over `stop()` and `start()`.
        host: Where to listen; only this machine can reach the default.
        speed: How much faster than real time the market goes; up to about 100. At 0 it stands still but for `step()`,
            and the same seed and steps give the same frames.
        started_at: When the market begins, an aware datetime; None for now, or 2026-01-01T00:00:00Z at speed 0.
        ping_every_s: How often a client is asked whether it is there, in real time; so is the next.
        pong_within_s: How long it may take to answer; then its line is closed.
        rate_limits: Whether those who ask REST too often are refused, as LBank does.
        faults: A script of what goes wrong when: a path, or its lines, such as `["10 mute pair=btc_usdt for_s=5"]`.

    Attributes:
        pairs: What is listed.

    Raises:
        OSError: The script cannot be read.
        ValueError: A pair is not written as one, a number is out of bounds, `started_at` has no time zone, or a line of
            the script cannot be carried out.
    """

    def __init__(
        self,
        *,
        pairs: Iterable[str] | None = None,
        seed: int = 1,
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float = 1.0,
        started_at: datetime | None = None,
        ping_every_s: float = 60.0,
        pong_within_s: float = 60.0,
        rate_limits: bool = True,
        faults: str | os.PathLike[str] | Iterable[str] = (),
    ) -> None:
        if speed < 0 or min(ping_every_s, pong_within_s) <= 0:
            raise ValueError("ping_every_s and pong_within_s are above zero, and speed is not below it")
        if started_at is not None and started_at.tzinfo is None:
            raise ValueError("started_at has a time zone")
        self.pairs = tuple(listing_of(pair).pair for pair in dict.fromkeys(LISTINGS if pairs is None else pairs))
        self._speed = speed
        self._floor = Floor(
            self.pairs,
            seed,
            speed=speed,
            ping_every_s=ping_every_s,
            pong_within_s=pong_within_s,
            started_at_ms=None if started_at is None else round(started_at.timestamp() * 1000),
            rate_limits=rate_limits,
            faults=read_script(faults, self.pairs),
        )
        self._thread = LoopThread("lbank-ws-sandbox", host, port, self._serve)

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address without a path; V2 answers there."""
        return f"ws://{self._thread.address}"

    @property
    def v2_url(self) -> str:
        """The address of V2."""
        return self.url + V2_PATH

    @property
    def simple_url(self) -> str:
        """The address of the simple dialect."""
        return self.url + SIMPLE_PATH

    @property
    def rest_url(self) -> str:
        """The address of the REST interface, without a path."""
        return f"http://{self._thread.address}"

    @property
    def connections(self) -> int:
        """How many clients have ever connected."""
        return self._floor.connections

    def start(self) -> None:
        """Open the port; does nothing when it is open. After a stop the port is the same as before.

        Raises:
            ImportError: aiohttp is not installed.
            OSError: The port is taken.
        """
        self._thread.start()

    def stop(self) -> None:
        """Close all lines with code 1001, then the port, and end the thread; does nothing when it is stopped."""
        self._thread.stop()

    def visitors(self) -> list[VisitorView]:
        """Tell who is connected, in the order of coming; nobody when the box is stopped."""
        return self._thread.call(self._floor.visitors)

    def add_account(
        self,
        key: str,
        secret: str,
        *,
        method: str = "HmacSHA256",
        balances: Mapping[str, str | int | Decimal] | None = None,
        fee: str | Decimal = "0.001",
        can_trade: bool | Collection[str] = True,
        permissions: Collection[str] = ("read", "trade", "withdraw"),
    ) -> None:
        """Open an account, before the start or while the box runs.

        Args:
            key: Its API key.
            secret: What its requests are signed with; for RSA its private or public key, as PEM or base64.
            method: `HmacSHA256` or `RSA`, which needs the package cryptography.
            balances: What it owns, by asset: `{"usdt": "10000", "btc": "0.5"}`.
            fee: The commission, as a fraction of what it receives.
            can_trade: False lets orders be answered 10008 on every pair, as LBank does for ordinary accounts; a list
                names the pairs that can be traded.
            permissions: What the key is for; without one of them, what needs it is answered 10022.

        Raises:
            ImportError: The method is RSA and cryptography is not installed.
            ValueError: The key is taken, or something cannot be.
        """
        account = new_account(
            key,
            secret,
            method=method,
            balances=balances or {},
            fee=fee,
            can_trade=can_trade,
            permissions=permissions,
            created_ms=int(time.time() * 1000),
        )
        self._thread.call(lambda: self._floor.desk.accounts.add(account))

    def account(self, key: str) -> AccountView:
        """Give an account as it stands: balances, commission paid, orders.

        Raises:
            KeyError: There is none with that key.
        """

        def view() -> AccountView:
            account = self._floor.desk.accounts.get(key)
            if account is None:
                raise KeyError(key)
            return account.view()

        return self._thread.call(view)

    @property
    def truth(self) -> Truth:
        """The exchange's own log of trades and orders; any thread may read it."""
        return self._floor.truth

    def step(self, seconds: float) -> None:
        """Play some of the market's time at once; returns when everybody's frames wait to be sent.

        A client that does not read is dropped, as always, when `WAITING_FRAMES` wait for it.

        Raises:
            RuntimeError: The box is not started, or its market goes by itself: `speed` is not 0.
            ValueError: The time is below zero.
        """
        if self._speed:
            raise RuntimeError("step() is for a market that stands still: Sandbox(speed=0)")
        if seconds < 0:
            raise ValueError("time does not go back")
        self._thread.run(lambda: self._floor.step(seconds))

    def broadcast(self, text: str) -> None:
        """Send a text frame, as it is, to every client."""
        self._on_every_line(lambda line: line.send([text]))

    def disconnect(self, code: int = NORMAL) -> None:
        """Close every line politely with a close code, behind what was sent before; new ones are welcome."""
        self._on_every_line(lambda line: line.close(code))

    def abort(self) -> None:
        """End every line with a TCP reset; new ones are welcome."""
        self._on_every_line(lambda line: line.reset())

    def _on_every_line(self, act: Callable[[Line], None]) -> None:
        self._thread.call(lambda: self._floor.on_every_line(act))

    def fault(self, name: str, *, for_s: float | None = None, **parameters: object) -> FaultHandle:
        """Let something go wrong from now on; the names and parameters stand in docs/reference/faults.md.

        Args:
            name: For example `mute`.
            for_s: How long, in real time, or in the market's when `speed` is 0; None until it is ended.
            parameters: For example `pair="btc_usdt"`.

        Raises:
            ValueError: There is no such fault, or it cannot be like this.
        """
        return self._held(self._thread.call(lambda: self._floor.mischief.begin(name, parameters, for_s)))

    def faults(self) -> list[FaultHandle]:
        """Give what goes wrong now."""
        return [self._held(active) for active in self._thread.call(self._floor.mischief.active)]

    def heal(self) -> None:
        """End everything that goes wrong, and what is left of the script."""
        self._thread.call(self._floor.mischief.heal)

    def _held(self, active: Active) -> FaultHandle:
        mischief = self._floor.mischief
        return FaultHandle(
            active.number,
            active.fault.name,
            parameters_of(active.fault),
            lambda number: self._thread.call(lambda: mischief.end(number)),
            lambda number: self._thread.call(lambda: any(each.number == number for each in mischief.active())),
        )

    async def _serve(self, listening: socket.socket, opened: Future[None], stopping: asyncio.Event) -> None:
        """Serve until `stop()`; an error in playing the market ends the thread, loudly."""
        from aiohttp import web

        runner = web.AppRunner(self._floor.application(), access_log=None, shutdown_timeout=CLOSE_WITHIN_S)
        try:
            self._floor.open()
            await runner.setup()
            port = Port(listening, self._floor.mischief.greeter(_serving(runner)))
            await port.open()
            self._floor.mischief.mind_port = port.mind
        except Exception as error:  # whatever it is, it belongs to the caller of start()
            listening.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        playing = asyncio.create_task(self._floor.play())
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({playing, told}, return_when=asyncio.FIRST_COMPLETED)
        await port.end()
        self._floor.mischief.stop()
        await self._floor.close()
        await runner.cleanup()
        if playing.done():
            playing.result()


def _serving(runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
    """Give what makes a protocol of the exchange for a new connection."""
    if runner.server is None:
        raise RuntimeError("the runner has not been set up")
    return runner.server
