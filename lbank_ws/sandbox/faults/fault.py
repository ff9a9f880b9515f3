"""What a fault is: what it may do to a dial, a handshake, a frame, a REST call.

Decided here: what all kinds have in common. The kinds stand in the files beside this one; how one is chosen by name is
decided in `parameters.py`, which are active at a moment in `active.py`. Faults are pure: time, luck and what came
before come in with a `Memory`, what is to be done goes out as values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random
from typing import Any, ClassVar, Literal

from lbank_ws.sandbox.faults.frames import Frame, Out, Raw

FAULTS: dict[str, type[Fault]] = {}
"""Every kind of fault by its name."""


class Stage(IntEnum):
    """In which order active faults work on a frame; within a stage the older fault is first."""

    CONTENT = 0  # what a push says
    DAMAGE = 1  # what makes it unreadable
    FRAMING = 2  # how a message becomes WebSocket frames
    PACKETS = 3  # how frames become TCP segments


@dataclass
class Memory:
    """What a fault keeps about one line.

    Attributes:
        line: The number of the line's visitor.
        dialect: `v2` or `simple`.
        remote_ip: The client's address, which V2's errors echo.
        rng: Its luck, from the box's seed, the fault's number and the line's.
        now_s: The clock of the faults.
        at_ms: The market's clock, for frames.
        shared: Kept for all lines together.
        held: What is kept back, to be sent when the fault ends.
        held_since_s: Since when.
        count: For the fault's own use.
        next_s: When it is due again, or None.
    """

    line: int
    dialect: str
    remote_ip: str
    rng: Random
    now_s: float
    at_ms: int
    shared: dict[object, Any]
    held: list[Out] = field(default_factory=list)
    held_since_s: float = 0.0
    count: int = 0
    next_s: float | None = None
    is_hit: bool | None = None

    def draw(self, chance: float) -> bool:
        """Tell whether something with this chance happens now."""
        return chance >= 1 or self.rng.random() < chance

    def draw_once(self, chance: float) -> bool:
        """Tell the same, once and for all for this line."""
        if self.is_hit is None:
            self.is_hit = self.draw(chance)
        return self.is_hit


@dataclass(frozen=True)
class Answer:
    """An HTTP answer in place of the exchange's own."""

    status: int
    body: str = ""
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Call:
    """A REST call, as faults see it.

    Attributes:
        path: `/v2/depth.do`.
        pair: Its `symbol`, or an empty text.
        at_ms: The exchange's clock.
    """

    path: str
    pair: str = ""
    at_ms: int = 0


@dataclass(frozen=True)
class Plan:
    """What becomes of a REST call.

    Attributes:
        wait_s: How long it waits first; infinite: until the fault ends, and then its connection is reset.
        is_carried_out: Whether the exchange does what it was asked before the wait; otherwise behind it, if it answers.
        answer: What is answered in place of the exchange's own answer.
        content_type: What the exchange's own answer calls itself.
        cut: The connection ends without an answer, `close` in good order or `reset` with an RST.
    """

    wait_s: float = 0.0
    is_carried_out: bool = True
    answer: Answer | None = None
    content_type: str | None = None
    cut: Literal["close", "reset"] | None = None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The base of all kinds. A kind overrides what it disturbs; the rest does nothing."""

    name: ClassVar[str] = ""
    stage: ClassVar[Stage] = Stage.CONTENT
    is_once: ClassVar[bool] = False
    """It happens when it begins, and is over then unless `every_s` is given."""
    is_shut: ClassVar[bool] = False
    """Nobody comes in while it lasts, not even who wants to end it over HTTP."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("On"):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            FAULTS[cls.name] = cls

    def dial(self, rng: Random) -> Literal["reset", "silence", "closed"] | None:
        """Tell what becomes of a client that connects; `closed`: it cannot even connect."""
        return None

    def handshake(self, rng: Random) -> Answer | None:
        """Give what is answered to a WebSocket handshake."""
        return None

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Give what leaves in place of a frame."""
        return [frame]

    def raw(self, raw: Raw, memory: Memory) -> list[Out]:
        """Give what leaves in place of bytes, into which another fault has made a frame."""
        return [raw]

    def due(self, memory: Memory) -> list[Out]:
        """Give what is sent by the clock: when the fault begins, and every `every_s` if it has that."""
        return []

    def overdue(self, memory: Memory) -> list[Out]:
        """Give what has been held back for long enough."""
        return []

    def heard(self, said: dict[str, Any], memory: Memory) -> list[str] | None:
        """Give what is answered to a client in place of the exchange's answers, or None."""
        return None

    def answered(self, said: dict[str, Any], memory: Memory) -> list[Out]:
        """Give what follows when the exchange has answered a client."""
        return []

    def drops_pings(self) -> bool:
        """Tell whether the exchange asks nobody whether he is there."""
        return False

    def lateness_s(self, size: int) -> tuple[float, float]:
        """Tell how long a frame of so many bytes waits at least, and how long it keeps the line busy."""
        return 0.0, 0.0

    def skew_s(self) -> float:
        """Tell how far the exchange's clock is ahead of the true one."""
        return 0.0

    def rest(self, call: Call, rng: Random) -> Plan | None:
        """Give what becomes of a REST call."""
        return None

    def rest_said(self, call: Call, said: dict[str, Any]) -> None:
        """Change the exchange's own answer to a REST call."""


@dataclass(frozen=True, kw_only=True)
class OnPushes(Fault):
    """The base of faults that concern pushes, snapshots among them; replies to one-shot requests stay whole.

    Args:
        pair: Which pair; left out, all.
        channel: `ticker`, `depth`, `trade`, `kline`, or V2's names of the private channels; left out, all.
        chance: Which share of the pushes.
    """

    pair: str | None = None
    channel: str | None = None
    chance: float = field(default=1.0, metadata={"least": 0, "most": 1})

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Give what leaves in place of a frame."""
        if frame.is_about(self.pair, self.channel) and memory.draw(self.chance):
            return self.push(frame, memory)
        return [frame]

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Give what leaves in place of a push that is concerned."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class OnLines(Fault):
    """The base of faults that hit lines by the clock.

    Args:
        every_s: How often again; left out, once, on the lines that are there.
        chance: Which share of the lines, each time.
    """

    every_s: float | None = field(default=None, metadata={"least": 0.001})
    chance: float = field(default=1.0, metadata={"least": 0, "most": 1})

    def due(self, memory: Memory) -> list[Out]:
        """Give what is sent by the clock."""
        return self.hit(memory) if memory.draw(self.chance) else []

    def hit(self, memory: Memory) -> list[Out]:
        """Give what is sent to a line that is hit."""
        raise NotImplementedError
