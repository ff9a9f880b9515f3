"""A TCP proxy that cuts a connection where a test says so: before, during or after a request, or in its answer."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType

CUTS = ("before", "during", "after", "answer lost", "half an answer")
Choose = Callable[[bytes], str | None]

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class CuttingProxy:
    """Forwards connections to a port of this machine.

    Args:
        port: Where to.
        choose: Called with each whole request, on a thread of the proxy; gives one of `CUTS`, or None to let it pass.

    Attributes:
        cuts: How often each was made.
    """

    def __init__(self, port: int, choose: Choose) -> None:
        self.cuts = dict.fromkeys(CUTS, 0)
        self._target = ("127.0.0.1", port)
        self._choose = choose
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._accepting.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        """Forward one connection, a request and its answer at a time, until somebody goes or it is cut."""
        with contextlib.suppress(OSError), near, socket.create_connection(self._target) as far:
            with self._lock:
                self._open |= {near, far}
            try:
                while self._exchange(near, far):
                    pass
            finally:
                with self._lock:
                    self._open -= {near, far}

    def _exchange(self, near: socket.socket, far: socket.socket) -> bool:
        request = _whole(near)
        if not request:
            return False
        cut = self._choose(request)
        if cut is not None:
            self.cuts[cut] += 1
        if cut == "before":
            return False
        far.sendall(request[: len(request) // 2] if cut == "during" else request)
        if cut in ("during", "after"):
            return False
        answer = _whole(far)
        if cut == "answer lost" or not answer:
            return False
        near.sendall(answer[: len(answer) // 2] if cut == "half an answer" else answer)
        return cut is None


def _whole(sock: socket.socket) -> bytes:
    """Read a whole request or answer of HTTP with a length; nothing where the other side has gone."""
    text = b""
    while True:
        head, found, body = text.partition(b"\r\n\r\n")
        if found:
            length = _LENGTH.search(head)
            if len(body) >= (int(length[1]) if length else 0):
                return text
        piece = sock.recv(65536)
        if not piece:
            return b""
        text += piece
