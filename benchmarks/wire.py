"""The generator's end of a WebSocket: handshake by hand, frames as they are, plain or TLS."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import threading

SEND_S = 30.0
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Wire:
    """One client's connection: handshake done, one thread that reads, anybody may send.

    Over TLS each message becomes a record of its own, as servers send them; the records of a batch leave together.
    """

    def __init__(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SEND_S)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._in, self._out, server_side=True) if tls else None
        self._lock = threading.Lock()  # guards _tls and _out; the two directions of a TLS line share state
        self._unread = b""

    def send(self, frames: list[bytes]) -> None:
        """Send whole frames."""
        if self._tls is None:
            self._socket.sendall(b"".join(frames) if len(frames) > 1 else frames[0])
            return
        with self._lock:
            for frame in frames:
                self._tls.write(frame)
            packed = self._out.read()
        self._socket.sendall(packed)

    def read(self) -> bytes:
        """Give what has come next; empty at the end."""
        if self._tls is None:
            return self._received()
        while True:
            with self._lock:
                try:
                    return self._tls.read(65536)
                except ssl.SSLWantReadError:
                    packed = self._out.read()
            if packed:
                self._socket.sendall(packed)
            packed = self._received()
            if not packed:
                return packed
            with self._lock:
                self._in.write(packed)

    def _received(self) -> bytes:
        """Wait for as long as it takes: a client that is sent all it wants has nothing to say."""
        while True:
            try:
                return self._socket.recv(65536)
            except TimeoutError:
                continue

    def handshake(self) -> str:
        """Do both handshakes; give the path that was asked for."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.read()
            if not part or len(head) > 65536:
                raise ConnectionError("no request came")
            head += part
        lines = head.decode("latin-1").split("\r\n")
        key = next(line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()  # noqa: S324  # RFC 6455
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        answer += f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        self.send([answer.encode()])
        return lines[0].split(" ")[1]

    def frame(self) -> bytes | None:
        """Give the payload of the next frame; None at the end."""
        while True:
            size, start = self._size()
            if size is not None and len(self._unread) >= start + 4 + size:
                mask, masked = self._unread[start : start + 4], self._unread[start + 4 : start + 4 + size]
                self._unread = self._unread[start + 4 + size :]
                return bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
            part = self.read()
            if not part:
                return None
            self._unread += part

    def _size(self) -> tuple[int | None, int]:
        if len(self._unread) < 2:
            return None, 2
        size = self._unread[1] & 127
        if size < 126:
            return size, 2
        return (struct.unpack("!H", self._unread[2:4])[0], 4) if len(self._unread) >= 4 else (None, 4)

    def close(self) -> None:
        """End it."""
        self._socket.close()
