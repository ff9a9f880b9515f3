"""Where in a server's stream of bytes a fault begins, and what it makes of the bytes behind; no socket, no clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["cut", "reset", "half_close", "stall", "delay", "throttle", "split", "truncate", "corrupt"]
Phase = Literal["dial", "head", "first", "frame", "stream", "at once"]

ENDING: tuple[Kind, ...] = ("cut", "reset", "half_close")  # the connection is over
LASTING: tuple[Kind, ...] = ("stall", "delay", "throttle", "split")  # bytes come whole, but in another rhythm
DAMAGING: tuple[Kind, ...] = ("truncate", "corrupt")  # bytes are missing, or are others
KINDS: tuple[Kind, ...] = (*ENDING, *LASTING, *DAMAGING)

_HEAD_AT = 4  # inside the word HTTP/1.1
_LONG = 126


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong on the way from the server to the client.

    Attributes:
        kind: What.
        phase: Where it begins: on accepting, inside the answer to the handshake, behind it, in the middle of a frame,
            between two frames, or wherever the stream stands.
        for_s: How long one that lasts lasts; None until the client leaves.
        of: How many bytes are swallowed, or damaged; bytes a second of a throttle.
        after_frames: How many whole frames pass before it begins.
    """

    kind: Kind
    phase: Phase
    for_s: float | None = None
    of: int = 7
    after_frames: int = 0


class Places:
    """Tells where something begins in the stream of a WebSocket server, however it is cut into chunks."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._is_in_head = False
        self._header = b""
        self._left = 0  # of the payload
        self._half = 0  # how much is left in its middle

    def of(self, chunk: bytes) -> list[tuple[int, Phase]]:
        """Give the places in a chunk, in order: at which of its bytes, and what begins there."""
        found: list[tuple[int, Phase]] = []
        at = 0
        if self._head is not None:
            before = len(self._head)
            self._head += chunk
            if before < _HEAD_AT <= len(self._head):
                found.append((_HEAD_AT - before, "head"))
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return found
            at, self._head = end + 4 - before, None
            found.append((at, "first"))
        while at < len(chunk):
            at = self._payload(chunk, at, found) if self._left else self._begin(chunk, at, found)
        return found

    def _begin(self, chunk: bytes, at: int, found: list[tuple[int, Phase]]) -> int:
        self._header += chunk[at : at + 1]
        code = self._header[1] & 0x7F if len(self._header) > 1 else 0
        size = 2 + (2 if code == _LONG else 8 if code > _LONG else 0)
        if len(self._header) == size:
            self._left = code if code < _LONG else int.from_bytes(self._header[2:], "big")
            self._half = self._left // 2
            self._header = b""
            if not self._left:
                found.append((at + 1, "stream"))
        return at + 1

    def _payload(self, chunk: bytes, at: int, found: list[tuple[int, Phase]]) -> int:
        taken = min(self._left, len(chunk) - at)
        if self._left > self._half >= self._left - taken:
            found.append((at + self._left - self._half, "frame"))
        self._left -= taken
        if not self._left:
            found.append((at + taken, "stream"))
        return at + taken


def begins(fault: Fault, places: list[tuple[int, Phase]], passed: int) -> int | None:
    """Tell at which byte of a chunk a fault begins, or None; `passed` whole frames came before the chunk."""
    for at, phase in places:
        passed += phase == "stream"
        if fault.phase == "at once" or (phase == fault.phase and passed >= fault.after_frames):
            return 0 if fault.phase == "at once" else at
    return 0 if fault.phase == "at once" else None


class Damage:
    """What a damaging fault makes of the bytes behind its place."""

    def __init__(self, fault: Fault, chance: random.Random) -> None:
        self._fault = fault
        self._left = fault.of
        self._chance = chance

    @property
    def is_over(self) -> bool:
        """Whether the bytes that follow are sound."""
        return self._left <= 0

    def done_to(self, chunk: bytes) -> bytes:
        """Give what is left of a chunk."""
        hit, rest = chunk[: self._left], chunk[self._left :]
        self._left -= len(hit)
        if self._fault.kind == "truncate":
            return rest
        return bytes(byte ^ self._chance.randrange(1, 256) for byte in hit) + rest


def pieces(chunk: bytes, fault: Fault) -> Iterator[tuple[bytes, float]]:
    """Cut a chunk as a lasting fault does: pieces, and how long to wait before each, in seconds."""
    if fault.kind == "split":
        yield from ((chunk[at : at + 1], 0.0) for at in range(len(chunk)))
    elif fault.kind == "throttle":
        step = max(1, fault.of // 20)
        yield from ((chunk[at : at + step], 0.05) for at in range(0, len(chunk), step))
    else:
        yield chunk, 0.2
