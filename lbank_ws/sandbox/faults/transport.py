"""Faults of how frames travel: late, in pieces, glued together, or not as frames at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from lbank_ws.sandbox.faults.fault import Fault, Memory, OnLines, OnPushes, Stage
from lbank_ws.sandbox.faults.frames import CONTINUATION, PING, TEXT, Frame, Out, Raw, bytes_of, cut_into, framed
from lbank_ws.sandbox.frames import simple_ping, v2_ping

_GARBAGE = (
    "{not json",
    '{"tick":{"latest":',
    "",
    "<html><body>502 Bad Gateway</body></html>",
    '{"type":"tick","pair":"btc_usdt","tick":{"latest":NaN}}',
    "[]",
    "null",
    '"\\ud800"',
    "[" * 2000,
)
_BROKEN_UTF8 = b'{"SERVER":"V2","message":"\xff\xfe\xc3(","status":"error"}'


@dataclass(frozen=True, kw_only=True)
class Late(Fault):
    """Everything said on a line waits in a queue that drains slowly; times inside stay true, the line looks alive.

    Source: docs/reference/wire.md, "Limits": some 14 kB/s a socket. When the fault ends, what waits leaves at once.

    Args:
        bytes_a_second: How much a line takes.
        delay_s: How old a frame is at least when it leaves.
    """

    bytes_a_second: float = field(default=14_000.0, metadata={"least": 1})
    delay_s: float = field(default=0.0, metadata={"least": 0})

    def lateness_s(self, size: int) -> tuple[float, float]:
        """Tell how long a frame of so many bytes waits, and keeps the line busy."""
        return self.delay_s, size / self.bytes_a_second


@dataclass(frozen=True, kw_only=True)
class SplitFrames(OnPushes):
    """Pushes dribble in as small TCP segments, the header alone in two of them.

    Source: a network.

    Args:
        size: Bytes in a segment.
        gap_s: Time between two.
    """

    stage: ClassVar[Stage] = Stage.PACKETS
    size: int = field(default=64, metadata={"least": 1})
    gap_s: float = field(default=0.001, metadata={"least": 0})

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Cut it into small pieces."""
        return self._dribbled(bytes_of(frame))

    def raw(self, raw: Raw, memory: Memory) -> list[Out]:
        """Cut what another fault has framed."""
        return self._dribbled(bytes_of(raw))

    def _dribbled(self, whole: bytes) -> list[Out]:
        return [Raw(cut_into(whole, (1, 1, self.size)), self.gap_s)]


@dataclass(frozen=True, kw_only=True)
class MergedFrames(OnPushes):
    """Pushes come several at once in one TCP segment; what else is said waits its turn among them.

    Source: a network: segments are merged on the way.

    Args:
        of: How many frames.
        hold_s: After how long they are sent although fewer came.
    """

    stage: ClassVar[Stage] = Stage.PACKETS
    of: int = field(default=5, metadata={"least": 2, "most": 10_000})
    hold_s: float = field(default=1.0, metadata={"least": 0})

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Hold it back until enough came; what is no push goes behind those at once."""
        if frame.is_about(self.pair, self.channel) and memory.draw(self.chance):
            return self._held(frame, memory)
        return [*self._merged(memory), frame]

    def raw(self, raw: Raw, memory: Memory) -> list[Out]:
        """Hold back what another fault has framed."""
        return self._held(raw, memory)

    def overdue(self, memory: Memory) -> list[Out]:
        """Let go what was held long enough."""
        return self._merged(memory) if memory.now_s >= memory.held_since_s + self.hold_s else []

    def _held(self, out: Frame | Raw, memory: Memory) -> list[Out]:
        if not memory.held:
            memory.held_since_s = memory.now_s
        memory.held.append(out)
        return self._merged(memory) if len(memory.held) >= self.of else []

    def _merged(self, memory: Memory) -> list[Out]:
        held, memory.held = memory.held, []
        whole = b"".join(bytes_of(out) for out in held if isinstance(out, Frame | Raw))
        return [Raw((whole,))] if whole else []


@dataclass(frozen=True, kw_only=True)
class FragmentedMessage(OnPushes):
    """A push comes as several WebSocket frames: a text frame that is not the last, and continuations.

    Source: a network: RFC 6455 allows it to every proxy on the way.

    Args:
        into: How many frames.
        with_pings: Whether WebSocket ping frames come between them, which RFC 6455 allows too.
    """

    stage: ClassVar[Stage] = Stage.FRAMING
    into: int = field(default=3, metadata={"least": 2, "most": 10_000})
    with_pings: bool = False

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Send it in fragments."""
        payload = frame.text.encode()
        parts = cut_into(payload, (-(-len(payload) // self.into),))
        pieces: list[bytes] = []
        for at, part in enumerate(parts):
            pieces.append(framed(part, opcode=CONTINUATION if at else TEXT, is_last=at == len(parts) - 1))
            if self.with_pings and at < len(parts) - 1:
                pieces.append(framed(b"between", opcode=PING))
        return [Raw((b"".join(pieces),))]


@dataclass(frozen=True, kw_only=True)
class PingStorm(OnLines):
    """The client is asked over and over whether it is there, with JSON pings or ping frames.

    Source: a network: a server that lost its timers. LBank asks once a minute: docs/reference/wire.md, "V2 heartbeat".

    Args:
        kind: `json` in the dialect's own words, or `rfc` for ping frames of RFC 6455.
    """

    every_s: float | None = field(default=0.01, metadata={"least": 0.0005})
    kind: Literal["json", "rfc"] = "json"

    def hit(self, memory: Memory) -> list[Out]:
        """Ask once more."""
        memory.count += 1
        if self.kind == "rfc":
            return [Raw((framed(str(memory.count).encode(), opcode=PING),))]
        asked = v2_ping(f"storm-{memory.count}") if memory.dialect == "v2" else simple_ping(memory.count)
        return [Frame(asked, "ping")]


@dataclass(frozen=True, kw_only=True)
class NoPings(Fault):
    """The exchange asks nobody whether he is there, and cuts nobody for not answering.

    Source: docs/reference/wire.md, "V2 heartbeat": in a run of four minutes one host sent none.
    """

    def drops_pings(self) -> bool:
        """Ask nobody."""
        return True


@dataclass(frozen=True, kw_only=True)
class Garbage(OnLines):
    """Text frames come that are no JSON objects, among the good ones.

    Source: a network: proxies that answer with a page of their own; no capture of LBank shows it.

    Args:
        text: What it says; left out, one of several kinds in turn: half an object, a page, NaN, a list, deep nesting.
    """

    every_s: float | None = field(default=1.0, metadata={"least": 0.001})
    text: str | None = None

    def hit(self, memory: Memory) -> list[Out]:
        """Say nonsense."""
        memory.count += 1
        text = _GARBAGE[(memory.count - 1) % len(_GARBAGE)] if self.text is None else self.text
        return [Frame(text)]


@dataclass(frozen=True, kw_only=True)
class InvalidUtf8(OnLines):
    """Text frames come whose bytes are no UTF-8, among the good ones.

    Source: a network: damaged bytes; RFC 6455 makes a client fail the line, a patient one reports it and goes on.
    """

    every_s: float | None = field(default=1.0, metadata={"least": 0.001})

    def hit(self, memory: Memory) -> list[Out]:
        """Say something unreadable."""
        return [Raw((framed(_BROKEN_UTF8),))]


@dataclass(frozen=True, kw_only=True)
class HugeFrame(OnLines):
    """A text frame comes that is very long, or claims to be.

    Source: a network: damaged bytes in a header; none of LBank's messages is longer than some ten kB.

    Args:
        size: How many bytes come.
        claims: What its header claims, up to 2^63; everything after it then counts as its content. Left out, `size`.
    """

    is_once: ClassVar[bool] = True
    size: int = field(default=5_000_000, metadata={"least": 0, "most": 1 << 30})
    claims: int | None = field(default=None, metadata={"least": 0, "most": 1 << 63})

    def hit(self, memory: Memory) -> list[Out]:
        """Send it."""
        claims = self.size if self.claims is None else self.claims
        return [Raw((framed(b"", claims=claims), *_filling(self.size)))]


def _filling(size: int) -> Sequence[bytes]:
    """Give so many bytes in pieces, all of them the same object."""
    piece = b"x" * 65_536
    return [piece] * (size // len(piece)) + [piece[: size % len(piece)]]
