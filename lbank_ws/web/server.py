"""The page's server, for browsers on this machine alone.

Decided here: who may look, and which files there are. It listens on 127.0.0.1; a request whose `Host` is another (a
name that a foreign page rebound to this machine) or whose `Origin` is another is refused, and the page may load nothing
from elsewhere. Not decided here: what is told (`view`).
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import BoundedSemaphore, Event, Thread
from types import TracebackType
from typing import Any

from lbank_ws.errors import UsageError
from lbank_ws.web.view import View

EVERY_S = 0.25
MOST_READERS = 16
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CHARTS = "collect/page/vendor/lightweight-charts.standalone.production.js"
_FILES = {
    "/": ("web/page/index.html", "text/html; charset=utf-8"),
    "/page.css": ("web/page/page.css", "text/css; charset=utf-8"),
    "/page.js": ("web/page/page.js", "text/javascript; charset=utf-8"),
    "/charts.js": (_CHARTS, "text/javascript; charset=utf-8"),
    "/charts.LICENSE": ("collect/page/vendor/lightweight-charts.LICENSE", "text/plain; charset=utf-8"),
}


class PageServer:
    """Serves the page from a thread of its own, inside `with`.

    Args:
        view: What is shown.
        port: 0 for any that is free.

    Raises:
        UsageError: At the start, when the port cannot be used.
    """

    def __init__(self, view: View, port: int = 8730) -> None:
        self._view = view
        self._port = port
        self._stopping = Event()

    def __enter__(self) -> PageServer:
        try:
            self._http = _Http(("127.0.0.1", self._port), self._view, self._stopping)
        except OSError as error:
            raise UsageError(
                f"port {self._port} cannot be used: {error.strerror}; choose another with --port"
            ) from error
        self._port = self._http.server_address[1]
        self._thread = Thread(target=self._http.serve_forever, args=(0.1,), name="lbank-ws-page", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(2)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._port


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser that does not read must not hold up the end

    def __init__(self, address: tuple[str, int], view: View, stopping: Event) -> None:
        super().__init__(address, _Handler)
        self.view = view
        self.stopping = stopping
        self.readers = BoundedSemaphore(MOST_READERS)
        port = self.server_address[1]
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = 10.0
    server_version = "lbank-ws"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request."""
        if not self._is_ours():
            self._answer(403, b"This page is for browsers on this machine.\n", "text/plain; charset=utf-8")
        elif self.path == "/events":
            self._tell()
        elif self.path in _FILES:
            name, kind = _FILES[self.path]
            self._answer(200, files("lbank_ws").joinpath(*name.split("/")).read_bytes(), kind)
        else:
            self._answer(404, b"There is no such page.\n", "text/plain; charset=utf-8")

    def log_message(self, *_: Any) -> None:
        """Keep the terminal quiet."""

    def _is_ours(self) -> bool:
        host, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        origins = [None, *("http:" + "//" + known for known in self.server.hosts)]
        return len(host) == 1 and host[0] in self.server.hosts and origin in origins

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self._head(code, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")

    def _tell(self) -> None:
        """Send what is new four times a second, until the browser goes away or the server ends."""
        if not self.server.readers.acquire(blocking=False):
            self._answer(503, b"Too many pages are open.\n", "text/plain; charset=utf-8")
            return
        try:
            self._head(200, "text/event-stream; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"retry: 1000\n\n")
            count = 0
            while not self.server.stopping.is_set():
                count, news = self.server.view.news(count)
                self.wfile.write(b"data: " + json.dumps(news).encode() + b"\n\n")
                self.server.stopping.wait(EVERY_S)
        finally:
            self.server.readers.release()
