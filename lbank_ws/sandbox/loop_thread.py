"""An asyncio loop on a thread of its own, and how other threads reach it.

What is served there is decided in `server.py` and `replay.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import TypeVar

_STOP_WITHIN_S = 2.0
_BACKLOG = 128

_T = TypeVar("_T")

Serve = Callable[[socket.socket, "Future[None]", asyncio.Event], Coroutine[None, None, None]]
"""Serves a listening socket until the event is set; resolves the future once it does, or gives it the error."""


class LoopThread:
    """A loop that serves one port. Every method may be called from any thread but its own; `_lock` lets one in.

    Args:
        name: The thread's.
        host: Where to listen.
        port: 0 takes a free one, and keeps it over `stop()` and `start()`.
        serve: What runs on the loop.
    """

    def __init__(self, name: str, host: str, port: int, serve: Serve) -> None:
        self.port = port
        self._name = name
        self._host = host
        self._serve = serve
        self._lock = Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def address(self) -> str:
        """Host and port, as they stand in an address.

        Raises:
            RuntimeError: The port is not known yet.
        """
        if not self.port:
            raise RuntimeError("there is no port before start()")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def start(self) -> None:
        """Open the port and serve it; does nothing when it is served.

        Raises:
            ImportError: aiohttp is not installed.
            OSError: The port is taken.
        """
        with self._lock:
            if self._is_running():
                return
            try:
                import aiohttp  # noqa: F401 - here, so that importing the package does not need it
            except ImportError as missing:
                raise ImportError(
                    "the practice exchange needs the package aiohttp: pip install 'lbank-ws[sandbox]'"
                ) from missing
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            # Sets SO_REUSEADDR, so that a restart does not wait for the old lines to fade.
            listening = socket.create_server((self._host, self.port), family=family, backlog=_BACKLOG)
            self.port = listening.getsockname()[1]
            opened: Future[None] = Future()
            self._thread = Thread(
                target=lambda: asyncio.run(self._main(listening, opened)), name=self._name, daemon=True
            )
            self._thread.start()
            opened.result()

    def stop(self) -> None:
        """End the serving and the thread; does nothing when it is stopped."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._loop is None or self._stopping is None:
                return
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join(_STOP_WITHIN_S)

    def call(self, act: Callable[[], _T]) -> _T:
        """Do something on the loop and give its result; while nothing is served, do it here."""

        async def acting() -> _T:
            return act()

        with self._lock:
            if self._loop is None or not self._is_running():
                return act()
            return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(_STOP_WITHIN_S)

    def run(self, acting: Callable[[], Coroutine[None, None, _T]]) -> _T:
        """Run a coroutine on the loop, however long it takes, and give its result.

        Raises:
            RuntimeError: Nothing is served.
        """
        with self._lock:
            if self._loop is None or not self._is_running():
                raise RuntimeError("this needs a box that is started")
            return asyncio.run_coroutine_threadsafe(acting(), self._loop).result()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    async def _main(self, listening: socket.socket, opened: Future[None]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._serve(listening, opened, self._stopping)
