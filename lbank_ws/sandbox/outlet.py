"""The socket of one client of a replay: frames out at the pace at which they are taken, and the ways it ends.

A line of the practice exchange (`line.py`) drops who does not read; a recording waits for its reader.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lbank_ws.sandbox.line import framed

if TYPE_CHECKING:
    from aiohttp import web

ANSWER_WITHIN_S = 1.0  # how long a client has to answer a close frame; then its line is closed without

_MOST_WAITING_BYTES = 256 * 1024
_LOOK_EVERY_S = 0.005
_STUCK_AFTER_S = 60.0  # a client that takes nothing for so long is gone
_LINGER_NOT = struct.pack("hh" if hasattr(socket, "WSAStartup") else "ii", 1, 0)


class Outlet:
    """One client's socket. Everything here runs on the loop of the replayer."""

    def __init__(self, response: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._response = response
        self._transport = transport
        self._code: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()

    def send(self, frames: Iterable[str]) -> None:
        """Send frames behind those that wait; nothing when the line is ending."""
        for frame in frames:
            if self._code.done() or self._transport.is_closing():
                return
            self._transport.write(framed(frame))

    async def room(self, most: int = _MOST_WAITING_BYTES) -> None:
        """Wait until at most so many bytes wait; a client that takes none for long is reset."""
        waiting, since_s = self._transport.get_write_buffer_size(), time.monotonic()
        while waiting > most and not self._transport.is_closing():
            # The transport tells nobody but aiohttp that it has room again, so it is asked.
            await asyncio.sleep(_LOOK_EVERY_S)
            left = self._transport.get_write_buffer_size()
            if left < waiting:
                waiting, since_s = left, time.monotonic()
            elif time.monotonic() - since_s > _STUCK_AFTER_S:
                self.reset()

    def close(self, code: int) -> None:
        """Close politely, behind what was sent."""
        if not self._code.done():
            self._code.set_result(code)

    def reset(self) -> None:
        """End the line at once with a TCP reset; what waits is lost."""
        if not self._code.done():
            self._code.set_result(None)
        with suppress(OSError):  # it may be closed already
            # On, and no time to linger: closing the socket then sends a reset at once.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    async def serve(self, answer: Callable[[str], list[str]]) -> None:
        """Read until the line ends, in whichever way; `answer` gives the frames that answer one of the client."""
        reading = asyncio.create_task(self._read(answer))
        try:
            ends: set[asyncio.Future[Any]] = {reading, self._code}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return
            # Closing while somebody reads, aiohttp would not wait for the client's own close frame.
            reading.cancel()
            await asyncio.wait({reading})
            code = self._code.result()
            if code is not None:
                await self._response.close(code=code)
        finally:
            self.close(0)
            reading.cancel()
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the line has ended."""
        await self._ended.wait()

    async def _read(self, answer: Callable[[str], list[str]]) -> None:
        async for message in self._response:
            if isinstance(message.data, str):
                self.send(answer(message.data))
