"""TLS over a non-blocking socket, through memory.

A server sends one TLS record for each message. `ssl.SSLSocket` makes two receives for every record; here one receive
takes all that has come, and every record in it is opened. Used by the socket thread alone, so there is no lock.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

_CHUNK = 65536


class Secured:
    """A socket like any other to whoever reads and writes it; every call tells by an error that it would block.

    Args:
        sock: Connected and non-blocking.
        context: Whom to trust.
        host: Whose certificate is expected.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._leaving = memoryview(b"")  # encrypted, and not taken by the socket yet
        self._has_ended = False
        self._promised = 0  # bytes of the last `send` that are encrypted, while not all of them have left

    def do_handshake(self) -> None:
        """Go on with the handshake; raises `ssl.SSLWantReadError` or `BlockingIOError` while it must wait."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                try:
                    self._fill()
                except BlockingIOError:
                    raise ssl.SSLWantReadError from None
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert that says why; the peer may be gone
                    self._flush()
                raise
            else:
                self._flush()
                return

    def recv(self, size: int) -> bytes:
        """Give what has come, about `size` bytes at most; empty when the peer has ended."""
        pieces: list[bytes] = []
        while not self._has_ended and (piece := self._opened(size, wait=not pieces)) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def send(self, payload: bytes) -> int:
        """Send all of it; after `BlockingIOError` it must be called again with the same."""
        if not self._promised:
            self._promised = self._tls.write(payload)
        self._flush()
        sent, self._promised = self._promised, 0
        return sent

    def setblocking(self, flag: bool) -> None:
        """Ignore it: nothing here blocks."""

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """End both directions, without a word of TLS."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Free the descriptor."""
        self._sock.close()

    def _opened(self, size: int, *, wait: bool) -> bytes | None:
        """Give what the next record holds; None where no whole one has come, and none is to be waited for.

        At the end it is empty. Raises `BlockingIOError` when one is to be waited for, and nothing has come.
        """
        while not self._has_ended:
            # A read of nothing would tell so by an exception, which takes longer than to open a record.
            if self._in.pending or self._tls.pending():
                try:
                    piece = self._tls.read(size)
                except ssl.SSLWantReadError:
                    pass  # not all of a record
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    self._has_ended = True
                else:
                    self._has_ended = not piece
                    return piece
            if self._out.pending:  # an answer of TLS itself, such as new keys
                with contextlib.suppress(BlockingIOError):
                    self._flush()
            if not wait:
                return None
            if not self._has_ended:
                self._fill()
        return b""

    def _fill(self) -> None:
        """Take what has come; raises `BlockingIOError` when nothing has."""
        chunk = self._sock.recv(_CHUNK)
        if chunk:
            self._in.write(chunk)
        else:
            self._in.write_eof()
            self._has_ended = True

    def _flush(self) -> None:
        """Hand all that is encrypted to the socket; raises `BlockingIOError` when it takes no more."""
        while self._leaving or self._out.pending:
            if not self._leaving:
                self._leaving = memoryview(self._out.read())
            self._leaving = self._leaving[self._sock.send(self._leaving) :]
