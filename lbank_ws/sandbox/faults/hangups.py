"""Ways to end a connection, or not to answer it. Everything here runs on the loop of the box."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from lbank_ws.sandbox.faults.frames import Cut

_LOOK_EVERY_S = 0.02

# On, and no time to linger: closing the socket then sends a reset at once.
_LINGER_NOT = struct.pack("hh" if hasattr(socket, "WSAStartup") else "ii", 1, 0)


class Refusing(asyncio.Protocol):
    """Resets whoever connects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reset it."""
        if isinstance(transport, asyncio.Transport):
            hang_up(transport, how="reset")


class Silent(asyncio.Protocol):
    """Takes what comes and says nothing."""

    def __init__(self, silenced: set[asyncio.Transport]) -> None:
        self._silenced = silenced
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it, so that it can be let go."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._silenced.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._transport is not None:
            self._silenced.discard(self._transport)


async def cut(cut: Cut, transport: asyncio.Transport) -> None:
    """End a line in the way that the cut says; what was written before still leaves."""
    if cut.how == "half":
        with suppress(OSError, RuntimeError):
            transport.write_eof()
        await asyncio.Event().wait()  # the line ends when the client does, or when the box stops
    while cut.how == "reset" and transport.get_write_buffer_size() and not transport.is_closing():
        await asyncio.sleep(_LOOK_EVERY_S)
    hang_up(transport, how=cut.how)


def hang_up(transport: asyncio.Transport | None, *, how: str) -> None:
    """End a connection: `close` in good order, `reset` with an RST."""
    if transport is None:
        return
    if how == "close":
        transport.close()
        return
    with suppress(OSError):  # it may be closed already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
