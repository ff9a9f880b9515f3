"""Which faults are active at a moment, and what they make together of a frame, a dial, a call.

Decided here: beginnings, ends, order, luck. Pure: time comes in as seconds of any clock that only goes forward. With
the same seed, the same faults begun at the same moments do the same to the same frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from lbank_ws.sandbox.faults.fault import Fault, Memory
from lbank_ws.sandbox.faults.frames import Frame, Out, Raw, read_frame

_AT_ONCE = 2000  # how often a fault may be due in one round; the rest of a long pause is let go


@dataclass(frozen=True)
class Planned:
    """One line of a script.

    Attributes:
        at_s: When it begins, in seconds since the box was first started.
        fault: What.
        for_s: How long it lasts; None: until somebody ends it, or at once when it happens once.
    """

    at_s: float
    fault: Fault
    for_s: float | None = None


@dataclass(frozen=True)
class Active:
    """A fault that has begun.

    Attributes:
        number: Counts up from 1 over the life of the box.
        fault: What.
        began_s: When.
        until_s: When it ends by itself, or None.
        rng: The luck of what belongs to no line: dials, handshakes, REST.
        shared: What it keeps for all lines together.
    """

    number: int
    fault: Fault
    began_s: float
    until_s: float | None
    rng: Random
    shared: dict[object, Any] = field(default_factory=dict)

    @property
    def every_s(self) -> float | None:
        """How often it happens again by the clock, or None."""
        every_s = getattr(self.fault, "every_s", None)
        return every_s if isinstance(every_s, float) else None


class Faults:
    """All faults of a box.

    Args:
        seed: The box's.
        script: What begins by itself.

    Attributes:
        is_on: Whether any fault is active. A plain attribute, because the hot path asks for it, and for nothing else.
    """

    def __init__(self, seed: int, script: Iterable[Planned] = ()) -> None:
        self.is_on = False
        self._seed = seed
        self._script = sorted(script, key=lambda planned: planned.at_s)
        self._begun = 0
        self._active: list[Active] = []

    @property
    def is_waiting(self) -> bool:
        """Tell whether the script has not ended."""
        return bool(self._script)

    def begin(self, fault: Fault, for_s: float | None, now_s: float) -> Active:
        """Let a fault begin."""
        self._begun += 1
        until_s = None if for_s is None else now_s + for_s
        rng = Random(f"{self._seed}/{self._begun}/{fault.name}")  # noqa: S311 - repeatable is what is wanted
        active = Active(self._begun, fault, now_s, until_s, rng)
        # Python's sort keeps the order of equals, so that within a stage the older one comes first.
        self._keep(sorted([*self._active, active], key=lambda each: each.fault.stage))
        return active

    def end(self, number: int) -> bool:
        """End one; False when it is over."""
        before = len(self._active)
        self._keep([each for each in self._active if each.number != number])
        return len(self._active) < before

    def heal(self) -> None:
        """End all, and forget what is left of the script."""
        self._script = []
        self._keep([])

    def at(self, now_s: float) -> Sequence[Active]:
        """Give what is active at a moment, in the order in which it works on a frame."""
        while self._script and self._script[0].at_s <= now_s:
            planned = self._script.pop(0)
            self.begin(planned.fault, planned.for_s, planned.at_s)
        if any(each.until_s is not None and now_s >= each.until_s for each in self._active):
            self._keep([each for each in self._active if each.until_s is None or now_s < each.until_s])
        return self._active

    def _keep(self, active: list[Active]) -> None:
        self._active, self.is_on = active, bool(active)

    def luck(self, active: Active, line: int) -> Random:
        """Give a fault's luck on one line; it does not hang on what other lines do."""
        return Random(f"{self._seed}/{active.number}/{active.fault.name}/{line}")  # noqa: S311 - as above


class Torment:
    """What all faults together do to one line.

    Args:
        faults: All faults of the box.
        line: The number of the line's visitor.
        dialect: `v2` or `simple`.
        remote_ip: The client's address.
        now_s: When the line was opened.
    """

    def __init__(self, faults: Faults, line: int, dialect: str, remote_ip: str, now_s: float) -> None:
        self._faults = faults
        self._line = line
        self._dialect = dialect
        self._remote_ip = remote_ip
        self._opened_s = now_s
        self._memories: dict[int, Memory] = {}

    def shape(self, text: str, now_s: float, at_ms: int, *, is_asked: bool = False) -> list[Out]:
        """Give what leaves in place of a text frame.

        Args:
            text: The frame.
            now_s: When, on the clock of the faults.
            at_ms: When, on the market's.
            is_asked: Whether it answers a one-shot request, which a ticker does not show.
        """
        frame = read_frame(text)
        if is_asked and frame.kind == "push":
            frame = replace(frame, kind="reply")
        return self._through([frame], list(self._known(now_s, at_ms)))

    def play(self, now_s: float, at_ms: int) -> list[Out]:
        """Give what is sent by the clock, and what was held back by faults that are over."""
        known = list(self._known(now_s, at_ms))
        outs: list[Out] = []
        for number in self._memories.keys() - {active.number for active, _ in known}:
            outs += self._memories.pop(number).held
        for at, (active, memory) in enumerate(known):
            made = active.fault.overdue(memory) if memory.held else []
            for _ in range(_AT_ONCE):
                if memory.next_s is None or memory.next_s > now_s:
                    break
                memory.next_s = None if active.every_s is None else memory.next_s + active.every_s
                made += active.fault.due(memory)
            else:
                memory.next_s = now_s
            outs += self._through(made, known[at + 1 :])
        return outs

    def heard(self, said: dict[str, Any], now_s: float, at_ms: int) -> list[str] | None:
        """Give what is answered in place of the exchange's answers, or None."""
        for active, memory in self._known(now_s, at_ms):
            answers = active.fault.heard(said, memory)
            if answers is not None:
                return answers
        return None

    def answered(self, said: dict[str, Any], now_s: float, at_ms: int) -> list[Out]:
        """Give what follows when the exchange has answered."""
        return [out for active, memory in self._known(now_s, at_ms) for out in active.fault.answered(said, memory)]

    def _known(self, now_s: float, at_ms: int) -> Iterator[tuple[Active, Memory]]:
        for active in self._faults.at(now_s):
            memory = self._memories.get(active.number)
            if memory is None:
                luck = self._faults.luck(active, self._line)
                memory = Memory(self._line, self._dialect, self._remote_ip, luck, now_s, at_ms, active.shared)
                memory.next_s = self._first_s(active)
                self._memories[active.number] = memory
            memory.now_s, memory.at_ms = now_s, at_ms
            yield active, memory

    def _first_s(self, active: Active) -> float | None:
        """Give when a fault is first due on this line: at once, or for a line that came later when it is due again."""
        if active.began_s >= self._opened_s:
            return active.began_s
        if active.every_s is None:
            return None
        rounds = int((self._opened_s - active.began_s) / active.every_s) + 1
        return active.began_s + rounds * active.every_s

    @staticmethod
    def _through(outs: list[Out], known: Sequence[tuple[Active, Memory]]) -> list[Out]:
        """Hand what leaves from one fault to the next."""
        for active, memory in known:
            shaped: list[Out] = []
            for out in outs:
                if isinstance(out, Frame):
                    try:
                        shaped += active.fault.frame(out, memory)
                    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                        # A test may broadcast anything; what a fault cannot make sense of leaves as it is.
                        shaped.append(out)
                elif isinstance(out, Raw):
                    shaped += active.fault.raw(out, memory)
                else:
                    shaped.append(out)
            outs = shaped
        return outs
