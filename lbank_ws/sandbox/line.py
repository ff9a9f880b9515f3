"""One socket of the practice exchange: frames out in order, and the ways it ends.

Decided here: what happens to a client that does not read. What it is sent is decided in `visitor.py`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from lbank_ws.sandbox.faults.frames import Close, Cut
from lbank_ws.sandbox.faults.mischief import Shaped, Trouble
from lbank_ws.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from aiohttp import web

WAITING_FRAMES = 10_000  # how many a client that does not read may have waiting; one more, and its line is reset
ANSWER_WITHIN_S = 0.2  # how long a client has to answer a close frame; then its line is closed without
CLOSE_WITHIN_S = 0.5  # how long it has to take what waits before the close frame; then its line is reset

_REASON_BYTES = 123  # what RFC 6455 leaves for the reason of a close frame
_BATCH_BYTES = 256 * 1024
_LOOK_EVERY_S = 0.005
_FEW_FRAMES = 1000
_STUCK_AFTER_S = 1.0

# On, and no time to linger: closing the socket then sends a reset at once.
_LINGER_NOT = struct.pack("hh" if hasattr(socket, "WSAStartup") else "ii", 1, 0)


async def hands_shaken(response: web.WebSocketResponse, request: web.Request) -> asyncio.Transport | None:
    """Shake hands with a client; give its transport, or None when it is gone again."""
    with suppress(ConnectionResetError):
        await response.prepare(request)
        return request.transport
    return None


class Line:
    """A visitor's socket. Everything here runs on the loop of the box.

    Attributes:
        visitor: Who is at the other end.
        trouble: The faults that it has.
    """

    def __init__(
        self,
        visitor: Visitor,
        response: web.WebSocketResponse,
        transport: asyncio.Transport,
        trouble: Trouble,
    ) -> None:
        self.visitor = visitor
        self.trouble = trouble
        self._faults = trouble.faults
        self._response = response
        self._transport = transport
        self._is_ending = False  # nothing more is sent but what already waits
        # Frames, what faults made of frames, and at the end perhaps a close code.
        self._waiting: asyncio.Queue[str | Shaped | Close] = asyncio.Queue()
        self._ended = asyncio.Event()

    def send(self, frames: Iterable[str]) -> None:
        """Send frames behind those that wait; reset the line of a client that lets too many wait."""
        if self._is_ending:
            return
        if self._faults.is_on:
            self.act(self.trouble.shape(frames))
            return
        for frame in frames:
            if self._waiting.qsize() >= WAITING_FRAMES:
                self.reset()
                return
            self._waiting.put_nowait(frame)

    def act(self, outs: Iterable[Shaped]) -> None:
        """Do what faults want: frames, bytes and ends take their turn behind what waits."""
        for shaped in outs:
            if self._is_ending:
                return
            if isinstance(shaped.out, Close):
                close = shaped.out
                asyncio.get_running_loop().call_later(close.after_s, self.close, close.code, close.reason)
                continue
            if self._waiting.qsize() >= WAITING_FRAMES:
                self.reset()
                return
            self._waiting.put_nowait(shaped)
            self._is_ending = isinstance(shaped.out, Cut)

    def close(self, code: int, reason: str = "") -> None:
        """Close politely, behind the frames that wait; a client that takes too long is reset."""
        asyncio.get_running_loop().call_later(CLOSE_WITHIN_S, self.reset)
        if self._is_ending:
            return
        self._is_ending = True
        self._waiting.put_nowait(Close(code, reason))

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
            close = writing.result()
            if close is not None:
                await self._response.close(code=close.code, message=close.reason.encode()[:_REASON_BYTES])
        finally:
            self._is_ending = True
            reading.cancel()
            writing.cancel()
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the line has ended."""
        await self._ended.wait()

    async def room(self) -> None:
        """Wait until few frames wait, or until the client has taken none for a while."""
        waiting, since_s = self._waiting.qsize(), time.monotonic()
        while waiting > _FEW_FRAMES and not self._is_ending and time.monotonic() - since_s < _STUCK_AFTER_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._waiting.qsize() < waiting:
                waiting, since_s = self._waiting.qsize(), time.monotonic()

    async def _read(self, answer: Callable[[str], list[str]]) -> None:
        async for message in self._response:
            if isinstance(message.data, str):
                if self._faults.is_on:
                    self.act(self.trouble.hear(message.data, answer))
                else:
                    self.send(answer(message.data))

    async def _write(self) -> Close | None:
        """Send what waits; give the close frame behind it, or None when the line breaks.

        Everything that waits is written at once, past aiohttp, which would make a system call for each frame.
        """
        while True:
            batch: list[bytes] = []
            size = 0
            waiting = await self._waiting.get()
            while isinstance(waiting, str):
                batch.append(framed(waiting))
                size += len(batch[-1])
                if size >= _BATCH_BYTES or self._waiting.empty():
                    break
                waiting = self._waiting.get_nowait()
            if not await self._written(b"".join(batch)):
                return None
            if isinstance(waiting, Close):
                return waiting
            if isinstance(waiting, Shaped) and not await self.trouble.deliver(waiting, self._written, self._transport):
                return None

    async def _written(self, batch: bytes) -> bool:
        """Hand bytes to the socket and wait until it has taken most of them; False when the line breaks."""
        if self._transport.is_closing():
            return False
        self._transport.write(batch)
        while self._transport.get_write_buffer_size() > _BATCH_BYTES:
            # The transport tells nobody but aiohttp that it has room again, so it is asked.
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._transport.is_closing():
                return False
        return True


def framed(text: str) -> bytes:
    """Give a whole text message as the server's frame of RFC 6455: not masked, not compressed."""
    payload = text.encode(errors="surrogateescape")  # a recorded frame may hold bytes that are no UTF-8
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
