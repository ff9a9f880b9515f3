"""One connection's life over websocket-client, from the handshake to its end.

The only home of websocket-client, whose own reconnect, ping and close are never used: the first hides drops and
cannot be stopped, the second cuts healthy LBank lines, the third waits for ten seconds. One `WebSocketApp` serves one
connection. Everything here runs on the line's own thread, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import websocket

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.fastread import is_known
from lbank_ws.feed.logbook import silence
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.stream import Stream, closed_by_peer
from lbank_ws.quoting import quoted

THREADS = "lbank-ws-socket"  # how the threads of lines are named

_NORMAL = 1000


class Owner(Protocol):
    """Whom a connection tells what happens, and asks what to do: its line."""

    def opened(self) -> Reaction:
        """Hands are shaken."""

    def received(self, texts: Sequence[bytes], /) -> Reaction:
        """Whole messages came, together."""

    def sent(self, frame: str, /) -> None:
        """A frame has left."""

    def ticked(self) -> Reaction:
        """Time went by."""

    def until_s(self) -> float:
        """Tell until when to wait for a frame, on the monotonic clock, as `ticked` found out."""

    def is_open(self) -> bool:
        """Tell whether this connection is still wanted."""

    @property
    def close_s(self) -> float:
        """How long a polite close may take."""


class _App(websocket.WebSocketApp):
    """A `WebSocketApp` that waits for frames the way its connection does.

    The library asks `create_dispatcher` for the object that reads and sends; it would make one that cannot be woken.
    """

    def __init__(self, connection: Connection, url: str, stream: Stream) -> None:
        super().__init__(
            url,
            on_data=connection.note_frame,
            on_ping=connection.note_control,
            on_pong=connection.note_control,
            on_error=connection.note_error,
            socket=stream,  # type: ignore[arg-type]  # all of a socket that it uses
        )
        self._connection = connection

    def create_dispatcher(self, *_: object) -> Connection:  # type: ignore[override]  # it is what the library calls a dispatcher
        """Give the object that reads and sends."""
        return self._connection


class Connection:
    """One connection's life, from the handshake to its end.

    The library's callbacks only note what came, because it swallows what they raise.
    """

    def __init__(self, url: str, stream: Stream, owner: Owner) -> None:
        self._stream = stream
        self._owner = owner
        self._app = _App(self, url, stream)
        self._is_bulky = is_known(websocket.__version__)
        self._frame: bytes | None = None
        self._has_opened = False
        self._loss: ConnectionLost | None = None

    def live(self) -> ConnectionLost:
        """Shake hands and read until the end; give the reason for it."""
        # The library would send the origin of a browser page; the exchange asks for none.
        self._app.run_forever(skip_utf8_validation=True, suppress_origin=True)
        return self._loss or ConnectionLost(Cause.BROKEN, "the connection ended without a reason")

    # What the library calls.

    def read(self, _sock: object, read_frame: Callable[[], bool], _check: object) -> None:
        """Read frames until the line ends; called once hands are shaken."""
        self._has_opened = True
        try:
            self._act(self._owner.opened())
            while self._owner.is_open():
                self._act(self._owner.ticked())
                if self._stream.ready(self._owner.until_s()):
                    texts = self._stream.texts() if self._is_bulky else ()
                    if texts:
                        self._act(self._owner.received(texts))
                    elif read_frame():
                        self._hand_in()
                    else:
                        return
            self._say_goodbye()
        except ConnectionLost as loss:
            self._end(loss)

    def send(self, _sock: object, payload: bytes) -> int:
        """Send the bytes of a frame."""
        return self._stream.send(payload)

    def note_frame(self, _app: object, payload: bytes, opcode: int, _fin: object) -> None:
        """Keep a whole message until the library has returned."""
        self._stream.message_ended()
        # A message in fragments comes with the opcode of its last one, which says neither text nor binary.
        self._frame = payload if opcode != websocket.ABNF.OPCODE_BINARY else b"(a binary frame)"

    def note_control(self, _app: object, _payload: object) -> None:
        """Note that a ping or a pong was read, which the library answers."""
        self._stream.control_ended()

    def note_error(self, _app: object, error: object) -> None:
        """Keep the reason for the end; the first one counts."""
        if isinstance(error, ConnectionLost):
            self._end(error)
        elif hasattr(error, "status_code") and hasattr(error, "reason"):
            self._end(closed_by_peer(error.status_code, error.reason))
        elif self._has_opened:
            self._end(ConnectionLost(Cause.BROKEN, f"not WebSocket: {quoted(str(error))}"))
        else:
            self._end(ConnectionLost(Cause.HANDSHAKE, f"not WebSocket: {quoted(str(error))}"))

    # How it is done.

    def _hand_in(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            self._act(self._owner.received((frame,)))

    def _act(self, reaction: Reaction) -> None:
        for frame in reaction.send:
            self._app.send_text(frame)
            self._owner.sent(frame)
        if reaction.hang_up is not None:
            raise reaction.hang_up

    def _say_goodbye(self) -> None:
        self._loss = ConnectionLost(Cause.CLOSED, "stopped")
        within_s = self._owner.close_s
        self._stream.closing(within_s)
        self._app.close(status=_NORMAL, timeout=within_s)

    def _end(self, loss: ConnectionLost) -> None:
        self._loss = self._loss or loss
        # Else the library would wait three seconds for an answer to its own goodbye.
        self._stream.break_off()


# The library logs every end of a line as an error, with the answer's body; our own log says it once, masked.
silence("websocket", THREADS)
