"""A TCP server whose every byte a test decides, for what no well-behaved server does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawServer:
    """Accepts on loopback and gives each connection to `act`, on a thread of its own.

    Attributes:
        requests: The head of every request that `handshake` read.
        connections: How many were accepted.
    """

    def __init__(self, act: Callable[[socket.socket, RawServer], object]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._act = act
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def request(self, sock: socket.socket) -> bytes:
        """Read the head of a request."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(4096)
            if not piece:
                raise ConnectionError("the client left")
            head += piece
        self.requests.append(head)
        return head

    def handshake(self, sock: socket.socket, *headers: str) -> None:
        """Answer a WebSocket handshake as it should be."""
        head = self.request(sock)
        key = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "upgrade: WebSocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *headers,
        ]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                self._threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            self._act(sock, self)


def frame(payload: bytes, *, opcode: int = 1, fin: bool = True, rsv: int = 0, claims: int | None = None) -> bytes:
    """Build a frame as a server sends it; `claims` writes another length than the payload's."""
    length = len(payload) if claims is None else claims
    first = bytes([(fin << 7) | (rsv << 4) | opcode])
    if length < 126:
        return first + bytes([length]) + payload
    if length < 65536:
        return first + b"\x7e" + struct.pack("!H", length) + payload
    return first + b"\x7f" + struct.pack("!Q", length) + payload
