"""A second exchange for the tests, written with the library `websockets` and from the protocol page alone.

It shares no code with the practice exchange, so that the client cannot hold against one server's habits only.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

PAIRS = ("btc_usdt", "eth_usdt", "sol_usdt", "xrp_usdt")
TICK = {"latest": 80000.5, "high": 81000, "low": 79000.25, "vol": 12.5, "turnover": 1.0e6, "change": -1.2, "dir": "buy"}
BOOK = {"asks": [["80001", "0.5"], ["80002", "1"]], "bids": [["80000", "0.25"], ["79999.5", "2"]]}
KBAR = {"t": "2026-11-23T10:00:00.000", "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 10, "a": 12, "n": 3}
STAMP = "2026-11-23T10:00:01.000"


class PlainExchange:
    """Serves V2 and the simple dialect on one loopback port, each push once right after its subscription.

    Attributes:
        heard: Every frame that came, decoded, in order.
        connections: How many handshakes were made.
    """

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None, is_mute: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self._asked: dict[ServerConnection, list[str]] = {}
        self.connections = 0
        self.is_mute = is_mute
        self._lines: set[ServerConnection] = set()
        self._server: Server = serve(self._serve, "127.0.0.1", port, ssl=tls, compression=None)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"{'wss' if tls else 'ws'}://localhost:{self.port}" if tls else f"ws://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> PlainExchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every line and free the port."""
        self._server.shutdown()
        for line in list(self._lines):
            with contextlib.suppress(OSError):  # closing alone would not end a read that waits in another thread
                line.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def say(self, content: object) -> None:
        """Send a frame to every line; text goes as it is."""
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        self.each(lambda line: line.send(text))

    @property
    def asked(self) -> list[str]:
        """The subscriptions of every open connection, each connection's in the order in which they came."""
        return [name for asked in list(self._asked.values()) for name in asked]

    def each(self, act: Callable[[ServerConnection], object]) -> None:
        """Do something with every line."""
        for line in list(self._lines):
            with contextlib.suppress(ConnectionClosed, OSError):
                act(line)

    def _serve(self, line: ServerConnection) -> None:
        self.connections += 1
        self._asked[line] = []
        self._lines.add(line)
        try:
            for text in line:
                frame = json.loads(text)
                self.heard.append(frame)
                for answer in () if self.is_mute else self._answers(frame, self._asked[line]):
                    line.send(json.dumps(answer))
        except (ConnectionClosed, OSError):
            pass  # the tests cut lines
        finally:
            self._lines.discard(line)
            del self._asked[line]

    def _answers(self, frame: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
        if frame.get("action") == "ping":
            return [{"action": "pong", "pong": frame["ping"]}]
        if frame.get("action") == "subscribe":
            return self._v2(frame, asked)
        if "sub" in frame:
            return self._simple(frame, asked)
        if "ping" in frame:
            return [{"pong": frame["ping"]}]
        return []

    def _v2(self, frame: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
        kind, pair = frame["subscribe"], frame["pair"]
        if pair not in PAIRS:
            message = f"Invalid order pairs:[{pair}],remoteIp is: [203.0.113.7]"
            return [{"SERVER": "V2", "message": message, "status": "error", "TS": STAMP}]
        asked.append(f"{kind}/{pair}")
        bodies: dict[str, dict[str, Any]] = {
            "tick": {"tick": TICK},
            "depth": {"depth": BOOK, "count": int(frame.get("depth", 0))},
            "trade": {
                "trade": {"volume": 0.5, "amount": 40000.25, "price": 80000.5, "direction": "sell", "TS": STAMP},
            },
            "kbar": {"kbar": {**KBAR, "slot": frame.get("kbar")}},
        }
        return [{**bodies[kind], "type": kind, "pair": pair, "SERVER": "V2", "TS": STAMP}]

    def _simple(self, frame: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
        spelling = frame["sub"]
        _, pair, kind = spelling.split(".")
        if pair not in {known.replace("_", "") for known in PAIRS}:
            return [{"id": frame["id"], "status": "error", "err-code": "bad-topic", "err-msg": f"unknown {pair}"}]
        asked.append(spelling)
        ticks: dict[str, dict[str, Any]] = {
            "ticker": {"close": 80000.5, "vol": 12.5},
            "depth": {side: [[float(price), amount] for price, amount in levels] for side, levels in BOOK.items()},
            "trade": {"price": 80000.5, "amount": "0.5", "direction": "sell", "ts": 1_795_000_000_000},
        }
        ack = {"id": frame["id"], "status": "ok", "subbed": spelling}
        return [ack, {"ch": spelling, "ts": 1_795_000_000_001, "tick": ticks[kind]}]
