"""The sockets below a REST call: made here, and read up to one deadline.

`requests` has timeouts for single reads only, trusts certifi's list, and finds proxies in the environment. So it gets
sockets, and a context, of ours. `requests` is imported in functions only.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.reach import proxy_at, verified_context

if TYPE_CHECKING:
    import requests
    import urllib3

_LONGEST_PAUSE_S = 0.2  # between two tries of one call


class Route:
    """How the sockets of one `Rest` are made, and the deadline of the call that uses them."""

    def __init__(self, ca_file: str | None, proxy: str | None, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise UsageError(f"timeout_s is above 0, not {timeout_s!r}")
        self.timeout_s = timeout_s
        self.context = verified_context(ca_file)
        self._proxy: Any = None if proxy is None else proxy_at(proxy)
        self.has_sent = False  # whether anything of the call's request may have left
        self._path = ""
        self._ends_s = 0.0

    def start(self, path: str) -> None:
        """Begin a call."""
        self._path = path
        self.has_sent = False
        self._ends_s = time.monotonic() + self.timeout_s

    def left_s(self) -> float:
        """Tell how long the call may still take.

        Raises:
            TimeoutError: No longer.
        """
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def retries(self, repeats: int) -> urllib3.Retry:
        """Give how often a request is sent again when its connection breaks; only reads of the past are.

        What has a status is an answer, whichever it is: urllib3 would read the body of a bad one without end before it
        tried again. A dial that fails has tried every address. The deadline of the call is that of all its tries.
        """
        import urllib3

        return urllib3.Retry(
            repeats,
            read=repeats or False,
            redirect=0,
            status=0,
            allowed_methods={"GET"},
            backoff_factor=0.05,
            backoff_max=_LONGEST_PAUSE_S,
            respect_retry_after_header=False,
        )

    def connected(self, host: str, port: int) -> socket.socket:
        """Give a connected socket whose TLS handshake has what is left of the time."""
        try:
            sock = self._by_proxy(host, port) if self._proxy else self._direct(host, port)
            with contextlib.ExitStack() as undo:
                undo.callback(sock.close)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.left_s())
                undo.pop_all()
            return sock
        except TimeoutError:
            raise RestFailed(self._path, f"{host} port {port}: no answer within {self.timeout_s:g} s") from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise RestFailed(self._path, f"{host} port {port}: {reason}") from error

    def _direct(self, host: str, port: int) -> socket.socket:
        failure: OSError = TimeoutError()
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                # A dead address must leave time for the others.
                sock.settimeout(self.left_s() / (len(addresses) - number))
                sock.connect(address)
                return sock
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def _by_proxy(self, host: str, port: int) -> socket.socket:
        try:
            sock: socket.socket = self._proxy.connect(host, port, timeout=self.left_s())
        except Exception as error:  # the library has classes of its own for each proxy
            # Their texts may hold the proxy's password.
            raise RestFailed(self._path, f"the proxy did not connect ({type(error).__name__})") from None
        return sock


class _Reader(io.RawIOBase):
    """Reads a socket up to the deadline of the call; a timeout alone would begin anew with every byte."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, route: Route) -> None:
        self._raw = raw
        self._sock = sock
        self._route = route

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._route.left_s())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def session_by(route: Route) -> requests.Session:
    """Give a session whose sockets are made by the route."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Response(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, route))

    class Plain(HTTPConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return route.connected(self.host, self.port)

        def send(self, content: Any) -> None:
            if self.sock is None:
                self.connect()
            route.has_sent = True
            super().send(content)

    class Secured(HTTPSConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return route.connected(self.host, self.port)

        def send(self, content: Any) -> None:
            if self.sock is None:
                self.connect()
            route.has_sent = True
            super().send(content)

        def connect(self) -> None:
            # Whatever requests wants to trust, certifi's list say: only the route's authorities count.
            self.ssl_context = route.context
            self.cert_reqs = ssl.CERT_REQUIRED
            self.ca_certs = self.ca_cert_dir = self.ca_cert_data = None
            super().connect()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecuredPool(HTTPSConnectionPool):
        ConnectionCls = Secured

    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecuredPool}
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"  # what is packed may be of any size once it is unpacked
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
