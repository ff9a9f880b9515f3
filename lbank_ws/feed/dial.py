"""Makes the connected socket: every address of the host, TLS, a proxy when one was named.

websocket-client could dial, but gives up at the first dead address, follows proxies of the environment by itself and
cannot be stopped. Runs on the line's socket thread; a wake ends it at once, except inside the name look-up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Protocol
from urllib.parse import urlsplit

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import Clock, Waker
from lbank_ws.feed.secured import Secured
from lbank_ws.feed.stream import Limits, Socket
from lbank_ws.reach import proxy_at, verified_context

# RFC 8305 starts the next address while the first is still silent, so that a dead one costs a quarter of a second.
_STAGGER_S = 0.25
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 7000}


class Connect(Protocol):
    """The seam that makes a connected socket; `Dialler.dial` is the real one."""

    def __call__(
        self, url: str, *, clock: Clock, waker: Waker, limits: Limits, is_stopping: Callable[[], bool]
    ) -> Socket:
        """Give a connected socket, TLS included, or raise `ConnectionLost`."""


@dataclass(frozen=True)
class Dialler:
    """How to reach the exchange.

    Attributes:
        ca_file: A file of certificate authorities to trust in place of the system's, or None.
        proxy: The URL of a proxy, or None; proxies named in the environment are not used.
    """

    ca_file: str | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        """Refuse at once what could only fail later."""
        if self.ca_file is not None:
            _ = self._context
        if self.proxy is not None:
            proxy_at(self.proxy)

    def dial(self, url: str, *, clock: Clock, waker: Waker, limits: Limits, is_stopping: Callable[[], bool]) -> Socket:
        """Give a connected, non-blocking socket, TLS included.

        Raises:
            ConnectionLost: It could not be made, or `is_stopping` said so.
        """
        wait = _Wait(clock, waker, is_stopping)
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        sock = self._through_proxy(host, port, wait, limits) if self.proxy else _connected(host, port, wait, limits)
        try:
            return self._secured(sock, host, wait, limits) if parts.scheme == "wss" else sock
        except BaseException:  # whatever it was, the socket must not leak
            sock.close()
            raise

    def _through_proxy(self, host: str, port: int, wait: _Wait, limits: Limits) -> socket.socket:
        talk = _Talk(wait, limits)
        try:
            proxy_at(self.proxy or "", over=talk).connect(host, port)
        except ConnectionLost as loss:
            talk.close()
            if wait.is_stopping():
                raise
            raise ConnectionLost(loss.cause, f"the proxy did not connect ({loss.detail})") from None
        except Exception as error:  # the library has classes of its own for each proxy
            talk.close()
            # Their texts may hold the proxy's password.
            raise ConnectionLost(Cause.UNREACHABLE, f"the proxy did not connect ({type(error).__name__})") from None
        return talk.sock

    def _secured(self, sock: socket.socket, host: str, wait: _Wait, limits: Limits) -> Socket:
        """Shake hands; give the socket as one that encrypts."""
        secured = Secured(sock, self._context, host)
        deadline_s = wait.clock.now().s + limits.handshake_s
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                ready = wait.until([sock], [], deadline_s)
            except BlockingIOError:
                ready = wait.until([], [sock], deadline_s)
            except ssl.SSLCertVerificationError as error:
                raise ConnectionLost(Cause.TLS, f"the certificate is not trusted: {error.verify_message}") from None
            except OSError as error:
                reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
                raise ConnectionLost(Cause.TLS, f"the TLS handshake failed: {reason}") from None
            if not ready:
                raise ConnectionLost(Cause.STALLED, "the TLS handshake did not finish in time")

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return verified_context(self.ca_file)


@dataclass(frozen=True)
class _Wait:
    """One way to wait, for dialling and TLS."""

    clock: Clock
    waker: Waker
    is_stopping: Callable[[], bool]

    def until(
        self, reading: list[socket.socket], writing: list[socket.socket], deadline_s: float
    ) -> list[socket.socket]:
        """Give the sockets that are ready; empty when the time is over."""
        while (left_s := deadline_s - self.clock.now().s) > 0:
            if self.is_stopping():
                raise ConnectionLost(Cause.CLOSED, "stopped")
            ready = self.clock.wait([*reading, self.waker], writing, left_s)
            self.waker.calm()
            sockets = [sock for sock in (*reading, *writing) if sock in ready]
            if sockets:
                return sockets
        return []


class _Talk:
    """The way to a proxy and what is said there, as python-socks takes a way over another proxy, and its stream.

    Left to itself it would block, and a stop would wait for a proxy that says nothing.
    """

    sock: socket.socket

    def __init__(self, wait: _Wait, limits: Limits) -> None:
        self._wait = wait
        self._limits = limits
        self._deadline_s = 0.0

    def connect(self, dest_host: str, dest_port: int, **_: object) -> _Talk:
        """Connect to the proxy."""
        self.sock = _connected(dest_host, dest_port, self._wait, self._limits)
        self._deadline_s = self._wait.clock.now().s + self._limits.handshake_s
        return self

    def write_all(self, payload: bytes) -> None:
        """Send all of it."""
        rest = memoryview(payload)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                self._pause([], [self.sock])

    def read(self, size: int = 65536) -> bytes:
        """Give at least one byte, or none at the end."""
        while True:
            try:
                return self.sock.recv(size)
            except BlockingIOError:
                self._pause([self.sock], [])

    def read_exact(self, size: int) -> bytes:
        """Give so many bytes."""
        got = b""
        while len(got) < size:
            piece = self.read(size - len(got))
            if not piece:
                raise ConnectionLost(Cause.UNREACHABLE, "it hung up")
            got += piece
        return got

    def close(self) -> None:
        """Free the socket, if there is one."""
        if hasattr(self, "sock"):
            self.sock.close()

    def _pause(self, reading: list[socket.socket], writing: list[socket.socket]) -> None:
        if not self._wait.until(reading, writing, self._deadline_s):
            raise ConnectionLost(Cause.UNREACHABLE, f"no answer within {self._limits.handshake_s:g} s")


def _connected(host: str, port: int, wait: _Wait, limits: Limits) -> socket.socket:
    """Try every address, each a quarter of a second after the one before, and keep the first that answers."""
    waiting = _addresses(host, port)
    deadline_s = wait.clock.now().s + limits.connect_s
    reason = f"no answer within {limits.connect_s:g} s"
    dialling: list[socket.socket] = []
    try:
        while (waiting or dialling) and wait.clock.now().s < deadline_s:
            if waiting:
                try:
                    dialling.append(_begun(*waiting.pop(0)))
                except OSError as error:
                    reason = error.strerror or type(error).__name__
                    continue
            until_s = min(wait.clock.now().s + _STAGGER_S, deadline_s) if waiting else deadline_s
            for sock in wait.until([], dialling, until_s):
                dialling.remove(sock)
                failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure == 0:
                    _set_up(sock)
                    return sock
                sock.close()
                reason = os.strerror(failure)
    finally:
        for sock in dialling:
            sock.close()
    raise ConnectionLost(Cause.UNREACHABLE, f"{host} port {port}: {reason}")


def _addresses(host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    """Give the host's addresses, the two families in turn, in the order of the system's preference."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConnectionLost(Cause.NO_ADDRESS, f"{host}: {reason}") from None
    first = [entry for entry in found if entry[0] == found[0][0]]
    second = [entry for entry in found if entry[0] != found[0][0]]
    mixed = [entry for both in zip_longest(first, second) for entry in both if entry is not None]
    return [(entry[0], entry[4]) for entry in mixed]


def _begun(family: int, address: tuple[object, ...]) -> socket.socket:
    """Begin to connect; the socket becomes writable when that is decided."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)
    except BaseException:  # as above
        sock.close()
        raise
    return sock


def _set_up(sock: socket.socket) -> None:
    """Send small frames at once, and let the system notice a peer that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)
