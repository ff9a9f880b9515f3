"""The practice exchange on a port: addresses, and the thread that everything else runs in.

Decided here: when the port is open, and what a test may do to the lines. LBank has no testnet, which is why this
exists.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from types import TracebackType
from typing import TypeVar

from lbank_ws.sandbox.floor import NORMAL, SIMPLE_PATH, V2_PATH, Floor, VisitorView
from lbank_ws.sandbox.line import CLOSE_WITHIN_S, Line
from lbank_ws.sandbox.listings import LISTINGS, listing_of

_STOP_WITHIN_S = 2.0
_BACKLOG = 128

_T = TypeVar("_T")


class Sandbox:
    """The practice exchange, in a thread of its own: `with Sandbox() as box: ...`.

    The market begins at the first `start()` and goes on while the box is stopped. All methods may be called from any
    thread but the box's own; what they touch is touched on the box's loop, and `_lock` lets one of them in at a time.

    Args:
        pairs: What is listed; None for a table of ten pairs, busy and thin.
        seed: The same seed gives the same walk from the same moment on.
        port: 0 takes a free one, and keeps it over `stop()` and `start()`.
        host: Where to listen; only this machine can reach the default.
        speed: How much faster than real time the market goes; up to about 100.
        ping_every_s: How often a client is asked whether it is there, in real time; so is the next.
        pong_within_s: How long it may take to answer; then its line is closed.

    Attributes:
        pairs: What is listed.

    Raises:
        ValueError: A pair is not written as one, or a number is not above zero.
    """

    def __init__(
        self,
        *,
        pairs: Iterable[str] | None = None,
        seed: int = 1,
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float = 1.0,
        ping_every_s: float = 60.0,
        pong_within_s: float = 60.0,
    ) -> None:
        if min(speed, ping_every_s, pong_within_s) <= 0:
            raise ValueError("speed, ping_every_s and pong_within_s are above zero")
        self.pairs = tuple(listing_of(pair).pair for pair in dict.fromkeys(LISTINGS if pairs is None else pairs))
        self._host = host
        self._port = port
        self._floor = Floor(self.pairs, seed, speed=speed, ping_every_s=ping_every_s, pong_within_s=pong_within_s)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

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
        return f"ws://{self._address}"

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
        return f"http://{self._address}"

    @property
    def _address(self) -> str:
        if not self._port:
            raise RuntimeError("the practice exchange has no port before start()")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

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
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            try:
                from aiohttp import web  # noqa: F401 - here, so that importing the package does not need it
            except ImportError as missing:
                raise ImportError(
                    "the practice exchange needs the package aiohttp: pip install 'lbank-ws[sandbox]'"
                ) from missing
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            # Sets SO_REUSEADDR, so that a restart does not wait for the old lines to fade.
            listening = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
            self._port = listening.getsockname()[1]
            opened: Future[None] = Future()
            self._thread = Thread(
                target=lambda: asyncio.run(self._main(listening, opened)), name="lbank-ws-sandbox", daemon=True
            )
            self._thread.start()
            opened.result()

    def stop(self) -> None:
        """Close all lines with code 1001, then the port, and end the thread; does nothing when it is stopped."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._loop is None or self._stopping is None:
                return
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join(_STOP_WITHIN_S)

    def visitors(self) -> list[VisitorView]:
        """Tell who is connected, in the order of coming; nobody when the box is stopped."""
        return self._on_loop(self._floor.visitors, when_stopped=[])

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
        self._on_loop(lambda: self._floor.on_every_line(act), when_stopped=None)

    def _on_loop(self, act: Callable[[], _T], *, when_stopped: _T) -> _T:
        """Do something on the loop and wait for its result."""

        async def acting() -> _T:
            return act()

        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                return when_stopped
            return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(_STOP_WITHIN_S)

    async def _main(self, listening: socket.socket, opened: Future[None]) -> None:
        """Serve until `stop()`; an error in playing the market ends the thread, loudly."""
        from aiohttp import web

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self._floor.application(), access_log=None, shutdown_timeout=CLOSE_WITHIN_S)
        try:
            self._floor.open()
            await runner.setup()
            site = web.SockSite(runner, listening)
            await site.start()
        except Exception as error:  # whatever it is, it belongs to the caller of start()
            listening.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        playing = asyncio.create_task(self._floor.play())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await site.stop()
        await self._floor.close()
        await runner.cleanup()
        if playing.done():
            playing.result()
