"""Whatever bytes come behind the handshake: a connection ends with a named loss, and both ways of reading agree."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import websocket
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import Moment, Waker
from lbank_ws.feed.connection import Connection
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.stream import Limits, Stream
from tests.fuzzing import TIMES
from tests.raw_server import frame

LIMITS = Limits(message_bytes=4096, message_reads=200, message_s=1.0, handshake_s=1.0)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

SIZES = [0, 1, 50, 77, 125]
PAYLOAD = st.sampled_from([bytes([65 + size % 26]) * size for size in (*SIZES, 126, 300, 4000, 4096, 4097, 5000)])
SOUND = st.builds(
    frame, PAYLOAD, opcode=st.sampled_from([0, 1, 1, 1, 2, 9, 10]), fin=st.sampled_from([True, True, False])
)
ODD = st.builds(
    frame,
    PAYLOAD | st.binary(max_size=20),
    opcode=st.integers(0, 15),
    fin=st.booleans(),
    rsv=st.integers(0, 7),
    claims=st.sampled_from([None, 0, 1, 125, 126, 130, 2**16, 2**62]),
)
TEXTS = st.builds(frame, PAYLOAD)
BYTES = st.lists(TEXTS | SOUND | TEXTS | SOUND | ODD | st.binary(max_size=20), max_size=8).map(b"".join)
CUTS = st.just([]) | st.lists(st.integers(1, 300), max_size=5) | st.lists(st.integers(300, 5000), max_size=5)


class Pieces:
    """A clock and a socket in one: it hands out a stream in pieces, and then says nothing or ends."""

    def __init__(self, stream: bytes, sizes: list[int], *, ends: bool) -> None:
        self._stream = stream
        self._sizes = sizes or [65536]
        self._ends = ends
        self._said = b""
        self._has_shaken = False
        self._now_s = 0.0

    def recv(self, size: int, /) -> bytes:
        if not self._has_shaken:
            raise BlockingIOError
        if not self._stream:
            if self._ends:
                return b""
            raise BlockingIOError
        size = min(size, self._sizes[0])
        self._sizes = [*self._sizes[1:], self._sizes[0]]
        piece, self._stream = self._stream[:size], self._stream[size:]
        return piece

    def send(self, payload: bytes, /) -> int:
        self._said += bytes(payload)
        if not self._has_shaken and b"\r\n\r\n" in self._said:
            self._has_shaken = True
            lines = self._said.split(b"\r\n")
            key = next(line.split(b": ")[1] for line in lines if line.startswith(b"Sec-WebSocket-Key"))
            accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            head = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            self._stream = head + accept + b"\r\n\r\n" + self._stream
        return len(payload)

    def now(self) -> Moment:
        return Moment(self._now_s, round(self._now_s * 1e9))

    def wait(self, reading: Sequence[Any], writing: Sequence[Any], timeout_s: float) -> list[Any]:
        if writing:
            return list(writing)
        if self._has_shaken and self._stream:
            return [self]
        self._now_s += max(0.01, timeout_s)
        return []

    def setblocking(self, flag: bool, /) -> None: ...

    def fileno(self) -> int:
        return -1

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class Owner:
    """A line that keeps what it is told, and leaves after ten seconds of silence."""

    close_s = 0.1

    def __init__(self, clock: Pieces) -> None:
        self.texts: list[bytes] = []
        self._clock = clock

    def opened(self) -> Reaction:
        return Reaction()

    def received(self, texts: Sequence[bytes], /) -> Reaction:
        self.texts += texts
        return Reaction()

    def sent(self, frame: str, /) -> None: ...

    def ticked(self) -> Reaction:
        lost = ConnectionLost(Cause.SILENT, "nothing came")
        return Reaction(hang_up=lost if self._clock.now().s > 10 else None)

    def until_s(self) -> float:
        return self._clock.now().s + 5.0

    def is_open(self) -> bool:
        return True


def read(stream: bytes, sizes: list[int], *, ends: bool) -> tuple[list[bytes], Cause]:
    """Give what comes out of a connection that brings these bytes, and how it ends."""
    pieces = Pieces(stream, sizes, ends=ends)
    owner = Owner(pieces)
    ours = Stream(pieces, pieces, Waker(), LIMITS, lambda: False)
    loss = Connection("ws://localhost/", ours, owner).live()
    return owner.texts, loss.cause


@settings(max_examples=500 * TIMES, deadline=None, database=None)
@given(stream=BYTES, sizes=CUTS, ends=st.booleans())
def test_any_bytes_end_in_a_named_loss_and_mean_the_same_both_ways(stream: bytes, sizes: list[int], ends: bool):
    """What is read in bulk must not be more, or less, than what the library would have read."""
    known = websocket.__version__
    bulk = read(stream, sizes, ends=ends)
    try:
        websocket.__version__ = "0.0"
        plain = read(stream, sizes, ends=ends)
    finally:
        websocket.__version__ = known

    assert bulk == plain
    assert all(len(text) <= LIMITS.message_bytes for text in bulk[0])
