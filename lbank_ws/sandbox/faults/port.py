"""The listening socket of the box: open, or closed while a fault refuses every dial.

Decided here: nothing. It runs on the loop of the box.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_ACCEPTING_TURNS = 4  # of the loop, from the acceptance of a connection until its protocol knows it


class Port:
    """The box's port.

    Args:
        listening: The socket that listens.
        greet: Makes a protocol for every new connection.
        backlog: How many connections may wait to be accepted.
    """

    def __init__(
        self, listening: socket.socket, greet: Callable[[], asyncio.BaseProtocol], *, backlog: int = 128
    ) -> None:
        self._listening = listening
        self._address = listening.getsockname()[:2]
        self._family = listening.family
        self._greet = greet
        self._backlog = backlog
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._is_shut = False

    async def open(self) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._greet, sock=self._listening, backlog=self._backlog)

    def mind(self, is_shut: bool) -> None:
        """Close the port, or open it again; tried again later when somebody has taken it meanwhile."""
        if is_shut == self._is_shut:
            return
        if is_shut:
            self.close()
        else:
            with suppress(OSError):
                self._listening = socket.create_server(self._address, family=self._family, backlog=self._backlog)
                self._opening = asyncio.create_task(self.open())
                self._is_shut = False
            return
        self._is_shut = True

    async def end(self) -> None:
        """Close the port for good; who was just accepted is let in first, to be sent away like everybody else.

        asyncio loses the socket of a connection whose server is closed between its acceptance and its first turn.
        """
        if not self._is_shut:
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().remove_reader(self._listening)
            for _ in range(_ACCEPTING_TURNS):
                await asyncio.sleep(0)
        self.close()

    def close(self) -> None:
        """Accept nobody any more; connections that are open stay."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._listening.close()
