"""One socket of the practice exchange: frames out in order, and the ways it ends.

Decided here: what happens to a client that does not read. What it is sent is decided in `visitor.py`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from lbank_ws.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from aiohttp import web

WAITING_FRAMES = 10_000  # how many a client that does not read may have waiting; one more, and its line is reset
ANSWER_WITHIN_S = 0.2  # how long a client has to answer a close frame; then its line is closed without
CLOSE_WITHIN_S = 0.5  # how long it has to take what waits before the close frame; then its line is reset

# On, and no time to linger: closing the socket then sends a reset at once.
_LINGER_NOT = struct.pack("hh" if hasattr(socket, "WSAStartup") else "ii", 1, 0)


class Line:
    """A visitor's socket. Everything here runs on the loop of the box.

    Attributes:
        visitor: Who is at the other end.
    """

    def __init__(self, visitor: Visitor, response: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.visitor = visitor
        self._response = response
        self._transport = transport
        self._is_ending = False  # nothing more is sent but what already waits
        self._waiting: asyncio.Queue[str | int] = asyncio.Queue()  # frames, and at the end perhaps a close code
        self._ended = asyncio.Event()

    def send(self, frames: Iterable[str]) -> None:
        """Send frames behind those that wait; reset the line of a client that lets too many wait."""
        if self._is_ending:
            return
        for frame in frames:
            if self._waiting.qsize() >= WAITING_FRAMES:
                self.reset()
                return
            self._waiting.put_nowait(frame)

    def close(self, code: int) -> None:
        """Close politely, behind the frames that wait; a client that takes too long is reset."""
        if self._is_ending:
            return
        self._is_ending = True
        self._waiting.put_nowait(code)
        asyncio.get_running_loop().call_later(CLOSE_WITHIN_S, self.reset)

    def reset(self) -> None:
        """End the line at once with a TCP reset; what waits is lost."""
        self._is_ending = True
        with suppress(OSError):  # it may be closed already
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    async def serve(self, answer: Callable[[str], list[str]]) -> None:
        """Read and write until the line ends, in whichever way.

        Args:
            answer: Gives the frames that answer a text frame of the client.
        """
        reading = asyncio.create_task(self._read(answer))
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return
            # Closing from here, and not while somebody reads, makes aiohttp wait for the client's own close frame.
            # Without that, a client that is just sending gets a reset, and may never see the code.
            reading.cancel()
            await asyncio.wait({reading})
            code = writing.result()
            if code is not None:
                await self._response.close(code=code)
        finally:
            self._is_ending = True
            reading.cancel()
            writing.cancel()
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the line has ended."""
        await self._ended.wait()

    async def _read(self, answer: Callable[[str], list[str]]) -> None:
        async for message in self._response:
            if isinstance(message.data, str):
                self.send(answer(message.data))

    async def _write(self) -> int | None:
        """Send what waits; give the close code behind it, or None when the line breaks."""
        try:
            while isinstance(waiting := await self._waiting.get(), str):
                await self._response.send_str(waiting)
        except ConnectionError:
            return None
        return waiting
