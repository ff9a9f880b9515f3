"""Doing what faults say to the lines and the port of the box; HTTP is disturbed in `calls.py`.

Decided here: nothing but when the faults are asked. What they do is decided in the kinds, which are active in
`active.py`. Everything here runs on the one loop of the box. While no fault is active, a frame costs one `if`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lbank_ws.sandbox.faults.active import Active, Faults, Planned, Torment
from lbank_ws.sandbox.faults.frames import Cut, Frame, Out, Raw, bytes_of
from lbank_ws.sandbox.faults.hangups import Refusing, Silent, cut, hang_up
from lbank_ws.sandbox.faults.parameters import check_reach, make_fault

_LOOK_EVERY_S = 0.02


class Bench(Protocol):
    """What a line lets be done to it."""

    @property
    def trouble(self) -> Trouble:
        """The faults of this line."""

    def act(self, outs: Iterable[Shaped]) -> None:
        """Put these behind what waits."""


@dataclass(frozen=True)
class Shaped:
    """What leaves in place of a frame, and since when it waits."""

    out: Out
    since_s: float


class Trouble:
    """The faults of one line.

    Args:
        mischief: Those of the box.
        torment: What they do to this line.

    Attributes:
        faults: Tell by `is_on` whether there are any.
    """

    def __init__(self, mischief: Mischief, torment: Torment) -> None:
        self.faults = mischief.faults
        self._mischief = mischief
        self._torment = torment
        self._free_s = 0.0  # until when the line is busy with what was sent

    def shape(self, frames: Iterable[str]) -> list[Shaped]:
        """Give what leaves in place of frames."""
        now_s, at_ms = self._mischief.clocks()
        return [Shaped(out, now_s) for text in frames for out in self._torment.shape(text, now_s, at_ms)]

    def play(self) -> list[Shaped]:
        """Give what is sent by the clock."""
        now_s, at_ms = self._mischief.clocks()
        return [Shaped(out, now_s) for out in self._torment.play(now_s, at_ms)]

    def hear(self, text: str, answer: Callable[[str], list[str]]) -> list[Shaped]:
        """Give what leaves in place of the answers to a client, and what follows them."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            return self.shape(answer(text))
        now_s, at_ms = self._mischief.clocks()
        answers = self._torment.heard(said, now_s, at_ms)
        if answers is None:
            answers = answer(text)
        is_asked = said.get("action") == "request"
        outs = [out for each in answers for out in self._torment.shape(each, now_s, at_ms, is_asked=is_asked)]
        outs += self._torment.answered(said, now_s, at_ms)
        return [Shaped(out, now_s) for out in outs]

    async def deliver(
        self, shaped: Shaped, write: Callable[[bytes], Awaitable[bool]], transport: asyncio.Transport
    ) -> bool:
        """Send one; False when the line is broken or ended by it."""
        out = shaped.out
        if isinstance(out, Frame | Raw):
            whole = (bytes_of(out),) if isinstance(out, Frame) else out.pieces
            await self._turn(sum(map(len, whole)), shaped.since_s)
            for at, piece in enumerate(whole):
                if at and isinstance(out, Raw) and out.gap_s and self.faults.is_on:
                    await asyncio.sleep(out.gap_s)
                if not await write(piece):
                    return False
            return True
        if isinstance(out, Cut):
            await cut(out, transport)
        return False

    async def _turn(self, size: int, since_s: float) -> None:
        """Wait as long as the frame is late."""
        busy_s = 0.0
        while active := self._mischief.active():
            lateness = [each.fault.lateness_s(size) for each in active]
            busy_s = max(busy for _, busy in lateness)
            now_s, _ = self._mischief.clocks()
            left_s = max(self._free_s, since_s + max(delay for delay, _ in lateness)) - now_s
            if left_s <= 0:
                break
            await asyncio.sleep(min(left_s, _LOOK_EVERY_S))
        now_s, _ = self._mischief.clocks()
        self._free_s = max(now_s - _LOOK_EVERY_S, self._free_s) + busy_s if self.faults.is_on else 0.0


class Mischief:
    """The faults of a box, and what they get hold of.

    Args:
        seed: The box's.
        pairs: What is listed.
        script: What begins by itself.
        clock_s: Seconds since the box was first started.
        at_ms: The market's clock.
        benches: Gives the lines that are open.

    Attributes:
        faults: Which are active.
        mind_port: Is told at every change whether the port is shut.
    """

    def __init__(
        self,
        seed: int,
        pairs: Sequence[str],
        script: Iterable[Planned],
        *,
        clock_s: Callable[[], float],
        at_ms: Callable[[], int],
        benches: Callable[[], Iterable[Bench]],
    ) -> None:
        self._pairs = pairs
        self.faults = Faults(seed, script)
        self._clock_s = clock_s
        self._at_ms = at_ms
        self._benches = benches
        self._was_on = False
        self._silenced: set[asyncio.Transport] = set()
        self.mind_port: Callable[[bool], None] = lambda is_shut: None

    @property
    def is_on(self) -> bool:
        """Tell whether any fault is active."""
        return self.faults.is_on

    @property
    def drops_pings(self) -> bool:
        """Tell whether nobody is asked whether he is there."""
        return self.is_on and any(each.fault.drops_pings() for each in self.active())

    @property
    def skew_ms(self) -> int:
        """How far the exchange's clock is ahead of the true one."""
        return round(1000 * sum(each.fault.skew_s() for each in self.active())) if self.is_on else 0

    def clocks(self) -> tuple[float, int]:
        """Give the clock of the faults and the market's."""
        return self._clock_s(), self._at_ms()

    def active(self) -> Sequence[Active]:
        """Give what is active."""
        return self.faults.at(self._clock_s())

    def left_s(self, active: Active) -> float | None:
        """Tell how long a fault still lasts; None: until it is ended."""
        return None if active.until_s is None else max(0.0, active.until_s - self._clock_s())

    def begin(self, name: str, parameters: Mapping[str, object], for_s: float | None) -> Active:
        """Let a fault begin.

        Raises:
            ValueError: There is no such fault, or it cannot be like this; it says what to write.
        """
        fault = make_fault(name, parameters)
        check_reach(fault, self._pairs)
        if for_s is not None and not 0 < for_s < math.inf:
            raise ValueError(f"for_s is above zero, or left out, not {for_s!r}")
        active = self.faults.begin(fault, for_s, self._clock_s())
        self.play()
        return active

    def end(self, number: int) -> bool:
        """End a fault; False when it is over."""
        was_active = self.faults.end(number)
        self.play()
        return was_active

    def heal(self) -> None:
        """End all faults, and the script."""
        self.faults.heal()
        self.play()

    def trouble(self, number: int, dialect: str, remote_ip: str) -> Trouble:
        """Give the faults of a new line."""
        return Trouble(self, Torment(self.faults, number, dialect, remote_ip, self._clock_s()))

    def play(self) -> None:
        """Do what is due by the clock; asked ten times a second and more."""
        if not (self.is_on or self._was_on or self.faults.is_waiting):
            return
        active = self.active()
        for bench in list(self._benches()):
            bench.act(bench.trouble.play())
        for each in active:
            if each.fault.is_once and each.every_s is None:
                self.faults.end(each.number)
        if not any(each.fault.name == "accept_silence" for each in active):
            self._let_go()
        self.mind_port(any(each.fault.dial(each.rng) == "closed" for each in active if each.fault.is_shut))
        self._was_on = self.is_on

    def stop(self) -> None:
        """Let go of the port, and of connections that no line holds."""
        self.mind_port = lambda is_shut: None
        self._let_go()

    def greeter(self, serve: Callable[[], asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
        """Give what makes a protocol for every new connection; `serve` makes that of the exchange."""

        def greet() -> asyncio.BaseProtocol:
            if not self.is_on:
                return serve()
            verdicts = [each.fault.dial(each.rng) for each in self.active()]
            if "reset" in verdicts or "closed" in verdicts:
                return Refusing()
            return Silent(self._silenced) if "silence" in verdicts else serve()

        return greet

    def _let_go(self) -> None:
        for transport in list(self._silenced):
            hang_up(transport, how="reset")
