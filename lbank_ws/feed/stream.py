"""The socket that websocket-client reads and writes: never blocking without end, never reading without limit.

websocket-client waits for ever in a handshake, in half a frame and in a send, and believes any length that a frame
claims. So it gets this object in place of a socket: each wait has a deadline and ends at once when the line is to
stop; each message has a budget of bytes. Everything here runs on the line's socket thread.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import Clock, Lasting, Waker
from lbank_ws.feed.fastread import Reader
from lbank_ws.quoting import quoted

MESSAGE_BYTES = 4 * 1024 * 1024

_CHUNK = 65536
_MUCH = _CHUNK // 4
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_RETRY_AFTER = re.compile(rb"(?im)^retry-after:[ \t]*([0-9]{1,6})[ \t]*\r?$")
_COOKIE = re.compile(rb"(?im)^set-cookie2?:[^\n]*\n")
_SWITCHING = 101
_STAY_AWAY = (1008, 1013)  # policy violation, try again later


@dataclass(frozen=True)
class Limits:
    """What a line puts up with.

    Attributes:
        connect_s: How long TCP may take to connect.
        handshake_s: How long TLS may take, and the WebSocket handshake again.
        message_s: How long one frame may take from its first byte to its last.
        send_s: How long one send may take.
        head_bytes: How long the answer to the handshake may be.
        message_bytes: How long a message may be, frames and headers included.
        message_reads: Into how many pieces it may be cut; many small fragments cost quadratic time.
    """

    connect_s: float = 5.0
    handshake_s: float = 5.0
    message_s: float = 5.0
    send_s: float = 5.0
    head_bytes: int = 16 * 1024
    message_bytes: int = MESSAGE_BYTES
    message_reads: int = 20_000


class Socket(Protocol):
    """What a line needs of a connected socket; the `connect=` seam returns one."""

    def recv(self, size: int, /) -> bytes:
        """Give what has come, at most `size` bytes, or raise BlockingIOError; empty when the peer has ended."""

    def send(self, payload: bytes, /) -> int:
        """Send some of it and tell how much, or raise BlockingIOError."""

    def setblocking(self, flag: bool, /) -> None:
        """Called once with False."""

    def fileno(self) -> int:
        """Give the descriptor to wait on."""

    def shutdown(self, how: int, /) -> None:
        """End both directions."""

    def close(self) -> None:
        """Free the descriptor."""


class Stream:
    """A connected socket with deadlines and budgets.

    Args:
        sock: Connected, TLS included.
        clock: Where waits are made.
        waker: Ends a wait early.
        limits: The deadlines and budgets.
        is_stopping: Tells after each wake whether the line is to end.
    """

    def __init__(
        self, sock: Socket, clock: Clock, waker: Waker, limits: Limits, is_stopping: Callable[[], bool]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._clock = clock
        self._waker = waker
        self._limits = limits
        self._is_stopping = is_stopping
        self._waking = Lasting((sock, waker))
        self._buffer = b""
        self._read_to = 0
        self._is_more_likely = True  # so much came last time that more may have come meanwhile
        self._reader = Reader(limits.message_bytes)
        self._is_open = False
        self._has_begun = True  # the frame that is read now, or the handshake; its deadline is set
        self._is_broken = False
        self._deadline_s = clock.now().s + limits.handshake_s
        self._bytes = self._bytes_before = 0
        self._reads = self._reads_before = 0

    # What the line calls.

    def ready(self, until_s: float) -> bool:
        """Wait until a frame begins; False when the time is over or somebody woke the line.

        Raises:
            ConnectionLost: The peer ended TCP.
        """
        if self._read_to == len(self._buffer) and not (self._is_more_likely and self._take()):
            ready = self._clock.wait(self._waking, (), until_s - self._clock.now().s)
            if self._waker in ready:
                self._waker.calm()
            if not self._take():
                return False
        self._has_begun = False
        return True

    def texts(self) -> list[bytes]:
        """Give the whole text messages that stand next in what has come; none when another kind of frame is next."""
        reader = self._reader
        found = reader.texts(self._buffer, self._read_to)
        self._read_to = reader.at
        if not found and reader.is_short:
            rest = self._buffer[reader.at :]
            if self._take():
                self._buffer = rest + self._buffer
                found = reader.texts(self._buffer, 0)
                self._read_to = reader.at
        return found

    def message_ended(self) -> None:
        """Start a new budget: a whole message was read."""
        self._bytes = self._reads = 0
        self._reader.message_ended()

    def control_ended(self) -> None:
        """Take back what a ping or a pong took of the budget: it is no part of a message, which may go on behind it."""
        self._bytes, self._reads = self._bytes_before, self._reads_before

    def closing(self, within_s: float) -> None:
        """Let a polite close go on although the line is stopping, until its time is over."""
        self._is_stopping = lambda: False
        self._has_begun = True
        self._deadline_s = self._clock.now().s + within_s

    def break_off(self) -> None:
        """Let every later read and send fail at once."""
        self._is_broken = True

    def close(self) -> None:
        """Free the socket; what is waiting in it is lost. May be called twice."""
        self._is_broken = True
        with contextlib.suppress(OSError):  # the peer was faster
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    # What websocket-client calls.

    def recv(self, size: int) -> bytes:
        """Give at least one and at most `size` bytes."""
        if not self._has_begun:
            self._begin()
        self._reads += 1
        if not self._is_open:
            self._read_head()
        while self._read_to == len(self._buffer):
            if not self._take():
                self._pause(writing=False, deadline_s=self._deadline_s, doing="a frame of the exchange")
        piece = self._buffer[self._read_to : self._read_to + size]
        self._read_to += len(piece)
        self._bytes += len(piece)
        if self._bytes > self._limits.message_bytes:
            raise self._lost(Cause.TOO_LARGE, f"a message of more than {self._limits.message_bytes} bytes")
        if self._reads > self._limits.message_reads:
            raise self._lost(Cause.TOO_LARGE, f"a message in more than {self._limits.message_reads} pieces")
        return piece

    def send(self, payload: bytes) -> int:
        """Send all of it."""
        if self._is_broken:
            raise ConnectionLost(Cause.BROKEN, "the line is gone")
        rest = memoryview(payload)
        deadline_s = self._clock.now().s + self._limits.send_s
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]  # type: ignore[arg-type]  # sockets take any buffer
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._pause(writing=True, deadline_s=deadline_s, doing="a send")
            except OSError:
                # The peer is gone, but what it said before, perhaps why, is still to be read; so reading finds the end.
                break
        return len(payload)

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._sock.fileno()

    def gettimeout(self) -> None:
        """Say that reads block; their deadlines are kept here."""

    def settimeout(self, timeout_s: float | None) -> None:
        """Ignore it: deadlines are kept here."""

    def shutdown(self, how: int) -> None:
        """Ignore it: `close` does it."""

    # How it is done.

    def _begin(self) -> None:
        """Begin a frame that websocket-client reads."""
        self._has_begun = True
        self._deadline_s = self._clock.now().s + self._limits.message_s
        self._bytes_before, self._reads_before = self._bytes, self._reads

    def _take(self) -> bool:
        """Take what has come; False when nothing has."""
        if self._is_broken:
            raise ConnectionLost(Cause.BROKEN, "the line is gone")
        try:
            chunk = self._sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise self._lost(Cause.BROKEN, f"reading failed: {_words(error)}") from error
        if not chunk:
            raise self._lost(Cause.BROKEN, "the exchange ended the connection without a close frame")
        self._buffer = chunk
        self._read_to = 0
        self._is_more_likely = len(chunk) > _MUCH
        return True

    def _pause(self, *, writing: bool, deadline_s: float, doing: str) -> None:
        if self._is_stopping():
            raise self._lost(Cause.CLOSED, "stopped")
        left_s = deadline_s - self._clock.now().s
        if left_s <= 0:
            raise self._lost(Cause.STALLED, f"{doing} did not finish in time")
        self._clock.wait([self._waker] if writing else self._waking, [self._sock] if writing else (), left_s)
        self._waker.calm()

    def _read_head(self) -> None:
        """Read the whole answer to the handshake before websocket-client sees it.

        It would follow a redirect with all headers, keep cookies for the whole process, and quote the answer's body.
        """
        head = b""
        while not (end := _HEAD_END.search(head)):
            if len(head) > self._limits.head_bytes:
                raise self._lost(Cause.TOO_LARGE, f"an answer of more than {self._limits.head_bytes} bytes")
            if not self._take():
                self._pause(writing=False, deadline_s=self._deadline_s, doing="the WebSocket handshake")
                continue
            head += self._buffer
        status = _STATUS.match(head)
        if status is None:
            raise self._lost(Cause.HANDSHAKE, "the answer is not HTTP; is this the address of a WebSocket?")
        if int(status[1]) != _SWITCHING:
            # The phrase is the server's text: enough to name the status, none of the body.
            phrase = quoted((status[2] or b"").decode("latin-1")[:40])
            after = _RETRY_AFTER.search(head[: end.end()])
            raise self._lost(
                Cause.REFUSED,
                f"HTTP {int(status[1])} {phrase}".rstrip(),
                retry_after_s=float(after[1]) if after else None,
            )
        answer = _COOKIE.sub(b"", head[: end.end()])
        self._buffer = answer + head[end.end() :]
        self._read_to = 0
        # The library reads it byte by byte, and none of that is part of the first message.
        self._bytes = self._reads = -len(answer)
        self._is_open = True

    def _lost(self, cause: Cause, detail: str, *, retry_after_s: float | None = None) -> ConnectionLost:
        self._is_broken = True
        return ConnectionLost(cause, detail, retry_after_s=retry_after_s)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def closed_by_peer(code: int | None, reason: str | None) -> ConnectionLost:
    """Give the loss that a close frame means."""
    cause = Cause.REFUSED if code in _STAY_AWAY else Cause.CLOSED
    words = f"code {code}" if code is not None else "no code"
    return ConnectionLost(cause, f"the exchange closed the line ({words}{': ' + quoted(reason) if reason else ''})")
