"""An exchange, a network and a clock in one thread, so that a day with its faults takes seconds, by seed.

The line that is tried calls all of it: it waits through `World.wait`, where time goes by, and dials through
`World.connect`. Nothing here imports the client's own reading of frames.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import Moment
from tests.raw_server import frame

PUSH_EVERY_S = 1.0
PING_EVERY_S = 60.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BEGAN = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)  # the day after, Europe's clocks change

NOT_CONNECTED = {
    "refused": (Cause.UNREACHABLE, 0.0),
    "black hole": (Cause.UNREACHABLE, 5.0),
    "no such name": (Cause.NO_ADDRESS, 0.1),
    "bad certificate": (Cause.TLS, 0.2),
}
ANSWERS = {
    "200": b"HTTP/1.1 200 OK\r\n\r\n<html>",
    "404": b"HTTP/1.1 404 Not Found\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow down\r\nRetry-After: 20\r\n\r\n",
    "502": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "endless head": b"x" * 20_000,
    "wrong accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
    "silent handshake": b"",
    "half a head": b"HTTP/1.1 101 Switching",
}
# What ends an open line: bytes, and whether TCP ends behind them, with an error or without one.
LAST_WORDS: dict[str, tuple[bytes, str]] = {
    "cut": (b"", "end"),
    "reset": (b"", "reset"),
    "cut in a header": (b"\x81", "end"),
    "cut in a frame": (frame(b'{"type"', claims=900), "end"),
    "reset in a frame": (frame(b'{"type"', claims=900), "reset"),
    "stalled in a header": (b"\x81", ""),
    "stalled in a frame": (frame(b'{"type"', claims=900), ""),
    "stalled": (b"", ""),
    "polite close": (frame(b"\x03\xe8", opcode=8), "end"),
    "going away": (frame(b"\x03\xe9later", opcode=8), "end"),
    "try again later": (frame(b"\x03\xf5", opcode=8), "end"),
    "policy": (frame(b"\x03\xf0", opcode=8), "end"),
    "reserved bits": (frame(b"{}", rsv=4), ""),
    "unknown opcode": (frame(b"{}", opcode=5), ""),
    "huge frame": (frame(b"x" * 70_000, claims=2**62), ""),
    "twenty megabytes": (frame(b"x" * 5_000_000, claims=20_000_000), ""),
}
# What a line lives through.
ODD = {
    "garbage": frame(b"<html>"),
    "no UTF-8": frame(b'{"a":"\xff"}'),
    "binary": frame(b"\x00\x01", opcode=2),
    "deep nesting": frame(b"[" * 50_000),
    "ping frame": frame(b"hi", opcode=9),
    "in fragments": frame(b'{"action":', fin=False) + frame(b"", opcode=9) + frame(b'"nothing"}', opcode=0),
    "error status": frame(b'{"status":"error","message":"busy","SERVER":"V2"}'),
}
KINDS = (*NOT_CONNECTED, *ANSWERS, *LAST_WORDS, *ODD)


class World:
    """Time, a network with one exchange, and the log of what happened in it.

    Args:
        seed: Of all that is drawn.
        until_s: When it ends.
        mean_s: How long a connection lives on average before a fault ends it.
        on_end: Called once, when time is over.

    Attributes:
        faults: How often, by kind.
        pushed: The number of each price that was sent whole, in order.
        opened: How many handshakes succeeded; `failed`: how many dials did not.
        asked: What each open connection was asked for.
        returns_s: How long each return took from the moment at which the network was well again.
    """

    def __init__(self, seed: int, *, until_s: float, mean_s: float, on_end: Callable[[], object]) -> None:
        self.chance = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.pushed: list[int] = []
        self.asked: list[list[str]] = []
        self.returns_s: list[float] = []
        self.opened = self.failed = 0
        self.price = 0
        self.mean_s = mean_s
        self.ill_until_s = 0.0  # until when dials fail
        self._now_s = self.well_s = 1000.0
        self._end_s = self._now_s + until_s
        self._on_end: Callable[[], object] | None = on_end

    # What a line calls.

    def now(self) -> Moment:
        """Give the present moment."""
        return Moment(self._now_s, round(_BEGAN.timestamp() * 1e9 + self._now_s * 1e9))

    def wait(self, reading: Sequence[Any], writing: Sequence[Any], timeout_s: float) -> list[Any]:
        """Let time go by until a socket has something, or the time is over."""
        if writing:
            return list(writing)
        sockets = [each for each in reading if isinstance(each, Socket)]
        until_s = self._now_s + max(0.0, timeout_s)
        due_s = min([until_s, *(sock.due_s for sock in sockets)])
        self._now_s = max(self._now_s, due_s)
        if self._now_s >= self._end_s and self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()
        return [sock for sock in sockets if sock.due_s <= self._now_s]

    def connect(self, url: str, **_: Any) -> Socket:
        """Dial."""
        if self._now_s < self.ill_until_s:
            kind = self.chance.choice([*NOT_CONNECTED, *ANSWERS])
            self.failed += 1
            self.faults[kind] += 1
            if kind in NOT_CONNECTED:
                cause, takes_s = NOT_CONNECTED[kind]
                self._now_s += takes_s
                raise ConnectionLost(cause, kind)
            return Socket(self, answer=ANSWERS[kind])
        return Socket(self, answer=None)

    # What a socket calls.

    def stamp(self) -> str:
        """Give the exchange's clock, as it prints it."""
        return (_BEGAN + timedelta(seconds=self._now_s, hours=8)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]

    def ended(self, kind: str) -> None:
        """Note a fault that ended a line, and let the network be ill for a while."""
        self.faults[kind] += 1
        if self.chance.random() < 0.4:
            self.ill_until_s = self._now_s + self.chance.expovariate(1 / 4.0)
        self.well_s = max(self._now_s, self.ill_until_s)


class Socket:
    """A connected socket, with the exchange at its other end."""

    def __init__(self, world: World, *, answer: bytes | None) -> None:
        self._world = world
        self._answer = answer
        self._ready: deque[bytes | OSError | None] = deque()
        self._said = b""
        self._is_open = False
        self._is_dead = False
        self._topics: list[str] = []
        now_s = world.now().s
        self._push_s = self._fate_s = self._odd_s = float("inf")
        self._ping_s = now_s + PING_EVERY_S

    @property
    def due_s(self) -> float:
        """When there is something to read."""
        if self._ready:
            return 0.0
        return float("inf") if self._is_dead else min(self._push_s, self._fate_s, self._odd_s, self._next_ping_s)

    @property
    def _next_ping_s(self) -> float:
        return self._ping_s if self._is_open else float("inf")

    def recv(self, size: int, /) -> bytes:
        """Give what has come."""
        self._act(self._world.now().s)
        if not self._ready:
            raise BlockingIOError
        first = self._ready[0]
        if first is None:
            return b""
        if isinstance(first, OSError):
            raise first
        together = b""
        while self._ready and isinstance(piece := self._ready[0], bytes):
            together += piece
            self._ready.popleft()
        if len(together) > size:
            self._ready.appendleft(together[size:])
        return together[:size]

    def send(self, payload: bytes, /) -> int:
        """Take what the client says."""
        self._said += bytes(payload)
        if not self._is_open:
            self._shake_hands()
        while self._is_open and (content := self._next_frame()) is not None:
            self._heard(content)
        return len(payload)

    def setblocking(self, flag: bool, /) -> None:
        """Nothing blocks here."""

    def fileno(self) -> int:
        """Nobody waits for a descriptor."""
        return -1

    def shutdown(self, how: int, /) -> None:
        """The client leaves."""
        self._is_dead = True

    def close(self) -> None:
        """As above."""
        self._is_dead = True

    # How it is done.

    def _shake_hands(self) -> None:
        if b"\r\n\r\n" not in self._said or self._is_dead:
            return
        head, self._said = self._said, b""
        if self._answer is not None:
            self._is_dead = True
            if self._answer:
                self._ready.append(self._answer)
            return
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self._ready.append(
            b"HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        world, now_s = self._world, self._world.now().s
        self._is_open = True
        world.opened += 1
        world.returns_s.append(now_s - world.well_s)
        world.asked.append(self._topics)
        self._fate_s = now_s + world.chance.expovariate(1 / world.mean_s)
        self._odd_s = now_s + world.chance.expovariate(1 / world.mean_s)
        self._ping_s = now_s + PING_EVERY_S

    def _next_frame(self) -> bytes | None:
        """Take a masked frame of the client; None while it is not whole."""
        if len(self._said) < 6:
            return None
        length, at = self._said[1] & 0x7F, 2
        if length == 126:
            length, at = struct.unpack("!H", self._said[2:4])[0], 4
        if len(self._said) < at + 4 + length:
            return None
        mask, masked = self._said[at : at + 4], self._said[at + 4 : at + 4 + length]
        opcode, self._said = self._said[0] & 0xF, self._said[at + 4 + length :]
        if opcode == 8:
            self._ready += [frame(b"\x03\xe8", opcode=8), None]
            self._is_dead = True
        return bytes(byte ^ mask[number % 4] for number, byte in enumerate(masked)) if opcode == 1 else b"{}"

    def _heard(self, content: bytes) -> None:
        said = json.loads(content)
        if self._is_dead:
            return
        if said.get("action") == "subscribe":
            self._topics.append(f"{said['subscribe']}/{said['pair']}")
            self._push_s = min(self._push_s, self._world.now().s)
        elif said.get("action") == "ping":
            self._say({"action": "pong", "pong": said["ping"]})
        elif said.get("action") == "request" and said.get("request") == "tick":
            self._say(self._tick())

    def _act(self, now_s: float) -> None:
        """Let happen what is due."""
        world = self._world
        if self._is_dead:
            return
        if self._fate_s <= now_s:
            kind = world.chance.choice(list(LAST_WORDS))
            words, end = LAST_WORDS[kind]
            if words:
                self._ready.append(words)
            if end:
                self._ready.append(ConnectionResetError(104, "Connection reset by peer") if end == "reset" else None)
            self._is_dead = True
            world.ended(kind)
            return
        if self._odd_s <= now_s:
            kind = world.chance.choice(list(ODD))
            self._ready.append(ODD[kind])
            world.faults[kind] += 1
            self._odd_s = now_s + world.chance.expovariate(1 / world.mean_s)
        if self._next_ping_s <= now_s:
            self._say({"action": "ping", "ping": f"p{now_s:.0f}"})
            self._ping_s = now_s + PING_EVERY_S
        if self._push_s <= now_s:
            for _ in range(world.chance.choice((1, 1, 3))):
                world.price += 1
                world.pushed.append(world.price)
                self._say(self._tick())
            self._push_s = now_s + PUSH_EVERY_S

    def _tick(self) -> dict[str, Any]:
        price = self._world.price
        return {
            "tick": {"latest": price},
            "type": "tick",
            "pair": "btc_usdt",
            "SERVER": "V2",
            "TS": self._world.stamp(),
        }

    def _say(self, content: dict[str, Any]) -> None:
        self._ready.append(frame(json.dumps(content).encode()))
