"""How one address of the exchange is tried, step by step: name, connection, TLS, upgrade, first push.

Decided here: what each step does and how long it may take. Not decided here: what follows from it, which is
`advice.py`. The steps are made by hand, because a client dials anew where one should be told which step failed. What is
found holds no IP address.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lbank_ws.errors import LBankError, NoEvent, SubscriptionRefused
from lbank_ws.quoting import quoted
from lbank_ws.reach import verified_context

STEP_S = 3.0
PUSH_S = 6.0
_LEVELS = 10
_MOST_BYTES = 16 * 1024
_SWITCHING = 101


@dataclass(frozen=True)
class Step:
    """One step, and how it went.

    Attributes:
        name: `dns`, `tcp`, `tls`, `upgrade` or `push`; `clock` over REST.
        took_ms: How long it took, in milliseconds.
        problem: Why it failed, or empty.
        detail: What else is worth telling.
    """

    name: str
    took_ms: float
    problem: str = ""
    detail: str = ""


@dataclass
class Probe:
    """One address, and the steps so far; a later step is tried when the ones before it went well.

    Attributes:
        url: The address.
        dialect: What was spoken there, or `rest`.
        steps: In the order of trying.
        is_over: Whether it ended by itself.
    """

    url: str
    dialect: str
    steps: list[Step] = field(default_factory=list)
    is_over: bool = False

    @property
    def host(self) -> str:
        """Its host, and its port where that is named."""
        return urlsplit(self.url).netloc

    @property
    def problem(self) -> Step | None:
        """The step that failed, or None."""
        return next((step for step in self.steps if step.problem), None)

    @property
    def is_well(self) -> bool:
        """Whether every step went well."""
        return self.is_over and bool(self.steps) and self.problem is None


class _FailedStepError(Exception):
    """A step failed, for the reason given."""


def probe_line(probe: Probe, pair: str) -> None:
    """Try the address of a line, and put what came of it into the probe; never raises."""
    parts = urlsplit(probe.url)
    host, is_secure = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if is_secure else 80)
    sockets: list[socket.socket] = []
    try:
        _step(probe, "dns", lambda: _resolve(host, port))
        _step(probe, "tcp", lambda: _connect(host, port, sockets))
        if is_secure:
            _step(probe, "tls", lambda: _secure(host, sockets))
        _step(probe, "upgrade", lambda: _upgrade(probe.url, sockets[-1]))
        _step(probe, "push", lambda: _push(probe, pair))
    except _FailedStepError:
        pass
    finally:
        for sock in sockets:
            sock.close()
        probe.is_over = True


def probe_rest(probe: Probe, found: Callable[[float, float], None]) -> None:
    """Ask what the exchange's clock says; `found` gets by how many seconds ours is ahead, and how exact that is."""
    from lbank_ws.trading.rest import Rest

    def ask() -> str:
        rest = Rest(probe.url, timeout_s=STEP_S)
        try:
            rest.time_ms()  # connects
            sent_s, asked_s = time.time(), time.monotonic()
            theirs_s = rest.time_ms() / 1000
            round_s = time.monotonic() - asked_s
        finally:
            rest.close()
        found(sent_s + round_s / 2 - theirs_s, round_s / 2)
        return f"round trip {round_s * 1000:.0f} ms"

    try:
        _step(probe, "clock", ask)
    except _FailedStepError:
        pass
    finally:
        probe.is_over = True


def _step(probe: Probe, name: str, act: Callable[[], str]) -> None:
    began_s = time.monotonic()
    problem = detail = ""
    try:
        detail = act()
    except LBankError as error:
        problem = error.sentence()
    except TimeoutError:
        problem = f"no answer within {STEP_S:g} s"
    except ssl.SSLCertVerificationError as error:
        problem = f"the certificate is not trusted: {error.verify_message}"
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    except _FailedStepError as error:
        problem = str(error)
    probe.steps.append(Step(name, (time.monotonic() - began_s) * 1000, quoted(problem), quoted(detail)))
    if problem:
        raise _FailedStepError


def _resolve(host: str, port: int) -> str:
    count = len({entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    return f"{count} address{'' if count == 1 else 'es'}"


def _connect(host: str, port: int, sockets: list[socket.socket]) -> str:
    sockets.append(socket.create_connection((host, port), timeout=STEP_S))
    return ""


def _secure(host: str, sockets: list[socket.socket]) -> str:
    secured = verified_context(None).wrap_socket(sockets[-1], server_hostname=host)
    sockets.append(secured)
    return secured.version() or ""


def _upgrade(url: str, sock: socket.socket) -> str:
    """Ask for WebSocket and read the first line of the answer."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    nonce = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {nonce}",
        "Sec-WebSocket-Version: 13",
    )
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    over_s, came = time.monotonic() + STEP_S, b""
    while b"\r\n" not in came:
        if time.monotonic() > over_s or len(came) > _MOST_BYTES:
            raise _FailedStepError("the answer has no end")
        piece = sock.recv(4096)
        if not piece:
            raise _FailedStepError("the server hung up instead of an answer")
        came += piece
    words = came.partition(b"\r\n")[0].decode("ascii", "replace").split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise _FailedStepError("the answer is not HTTP")
    if words[1] != str(_SWITCHING):
        raise _FailedStepError(f"HTTP {' '.join(words[1:])}")
    return "HTTP 101"


def _push(probe: Probe, pair: str) -> str:
    """Wait for a book, which the exchange pushes at once; a refusal is an answer as well."""
    from lbank_ws.client import LBankClient

    client = LBankClient(url=probe.url, dialect=probe.dialect, backfill=False)
    client.on_error(lambda _fault: None)
    client.start()
    try:
        client.wait_for("depth", pair, levels=_LEVELS, timeout_s=PUSH_S)
    except SubscriptionRefused as refusal:
        return f"{pair} was refused: {refusal.advice}"
    except NoEvent:
        raise _FailedStepError(f"the line is open and no book of {pair} came within {PUSH_S:g} s") from None
    finally:
        client.stop(timeout_s=1.0)
    return f"a book of {pair}"
