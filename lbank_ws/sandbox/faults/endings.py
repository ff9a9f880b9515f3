"""Faults that end a line, politely or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from lbank_ws.sandbox.faults.fault import Fault, Memory, OnLines, OnPushes, Stage
from lbank_ws.sandbox.faults.frames import Close, Cut, Frame, Out, Raw, bytes_of

_CODE = {"least": 0, "most": 65535}


@dataclass(frozen=True, kw_only=True)
class PoliteClose(OnLines):
    """Lines are closed with a close frame, behind what was sent before.

    LBank ends healthy lines with 1000. Source: docs/reference/wire.md, "What goes wrong in practice".

    Args:
        code: Any number, also one that RFC 6455 forbids.
        reason: At most 123 bytes go out.
    """

    is_once: ClassVar[bool] = True
    code: int = field(default=1000, metadata=_CODE)
    reason: str = ""

    def hit(self, memory: Memory) -> list[Out]:
        """Close the line."""
        return [Close(self.code, self.reason)]


@dataclass(frozen=True, kw_only=True)
class Reset(OnLines):
    """Lines end with a TCP reset; what waits is sent first.

    Source: a network: a firewall or a balancer that forgot the connection.
    """

    is_once: ClassVar[bool] = True

    def hit(self, memory: Memory) -> list[Out]:
        """Reset the line."""
        return [Cut("reset")]


@dataclass(frozen=True, kw_only=True)
class HalfClose(OnLines):
    """The exchange ends its sending half without a close frame, and goes on listening.

    Source: a network: a server process that dies behind a proxy.
    """

    is_once: ClassVar[bool] = True

    def hit(self, memory: Memory) -> list[Out]:
        """Shut the sending half."""
        return [Cut("half")]


@dataclass(frozen=True, kw_only=True)
class CutFrame(OnPushes):
    """A line ends in the middle of a push: its first half came, the rest never does.

    Source: a network.

    Args:
        at: Which part of the frame still comes; small values end inside its header.
        how: `close` in good order, `reset` with an RST.
    """

    stage: ClassVar[Stage] = Stage.PACKETS
    at: float = field(default=0.5, metadata={"least": 0, "most": 1})
    how: Literal["close", "reset"] = "close"

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Send a part of it, and end."""
        whole = bytes_of(frame)
        return [Raw((whole[: min(len(whole) - 1, max(1, int(len(whole) * self.at)))],)), Cut(self.how)]


@dataclass(frozen=True, kw_only=True)
class CloseAfterPong(Fault):
    """A line is closed a few ms after the client answered a ping.

    Seen on the second or third ping, with 1000. Source: docs/reference/wire.md, "What goes wrong in practice".

    Args:
        pongs: After how many answers on the same line.
        after_s: How much later.
        code: Any number.
        reason: At most 123 bytes go out.
    """

    pongs: int = field(default=1, metadata={"least": 1})
    after_s: float = field(default=0.005, metadata={"least": 0})
    code: int = field(default=1000, metadata=_CODE)
    reason: str = ""

    def answered(self, said: dict[str, Any], memory: Memory) -> list[Out]:
        """Count pongs, and close."""
        if "pong" not in said:
            return []
        memory.count += 1
        return [Close(self.code, self.reason, self.after_s)] if memory.count == self.pongs else []
