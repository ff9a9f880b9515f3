"""What a subject counts in its callbacks, and how it tells.

Decided here: when the clock and the processor time are read. A phase is measured from its first callback to its last;
what happens between phases does not count. Each phase that ends is one line of JSON on stdout.
"""

from __future__ import annotations

import json
import threading
import time
from array import array
from pathlib import Path
from typing import Any


class Tally:
    """Counts callbacks; they come one at a time, from any thread.

    Args:
        phases: `pace:2000,flood:10000`: names and numbers of messages, in their order. The moments of the callbacks of
            `pace` are told, too; nothing is kept of the others, so that memory does not grow with them.
    """

    def __init__(self, phases: str) -> None:
        named = [phase.split(":") for phase in phases.split(",")]
        self._phases = [(name, int(count)) for name, count in named]
        self._at_ns: dict[str, array[int]] = {"tick": array("q"), "trade": array("q"), "depth": array("q")}
        self._ticks, self._trades, self._depths = self._at_ns.values()
        self._is_paced = self._phases[0][0] == "pace"
        self._last: dict[str, object] = {}
        self._count = self._base = 0
        self._mark = 1
        self._turn = 0
        self._began = (0, 0.0)
        self._lock = threading.Lock()  # guards the end of a phase, which a timer may bring, too
        self.is_over = threading.Event()

    def tick(self, last: object) -> None:
        """Count a ticker by its last price."""
        if self._is_paced:
            self._ticks.append(time.monotonic_ns())
        self._last["tick"] = last
        self._count += 1
        if self._count == self._mark:
            self._reached()

    def trade(self, price: object) -> None:
        """Count a trade by its price."""
        if self._is_paced:
            self._trades.append(time.monotonic_ns())
        self._last["trade"] = price
        self._count += 1
        if self._count == self._mark:
            self._reached()

    def depth(self, bid: object, ask: object) -> None:
        """Count a book by its best prices."""
        if self._is_paced:
            self._depths.append(time.monotonic_ns())
        self._last["depth"] = bid if ask else None
        self._count += 1
        if self._count == self._mark:
            self._reached()

    def cut(self) -> None:
        """End the present phase early."""
        with self._lock:
            if not self.is_over.is_set() and self._count > self._base:
                self._end(is_cut=True)
                self.is_over.set()

    def _reached(self) -> None:
        now = time.monotonic_ns(), time.process_time()
        with self._lock:
            if self._mark == self._base + 1:
                self._began = now
                self._mark = self._base + self._phases[self._turn][1]
                if self._mark > self._count:
                    return
            self._end(now, is_cut=False)

    def _end(self, now: tuple[int, float] | None = None, *, is_cut: bool) -> None:
        at_ns, cpu_s = now or (time.monotonic_ns(), time.process_time())
        name, _ = self._phases[self._turn]
        told: dict[str, Any] = {
            "phase": name,
            "count": self._count - self._base,
            "wall_s": (at_ns - self._began[0]) / 1e9,
            "cpu_s": cpu_s - self._began[1],
            "memory_mb": round(status_kb("VmRSS") / 1024, 1),
            "peak_mb": round(status_kb("VmHWM") / 1024, 1),
            "last": {kind: str(price) for kind, price in self._last.items()},
        }
        if is_cut:
            told["is_cut"] = True
        if name == "pace":
            told["at_ns"] = {kind: list(each) for kind, each in self._at_ns.items()}
            for each in self._at_ns.values():
                del each[:]
        self._base, self._turn = self._count, self._turn + 1
        self._mark = self._base + 1 if self._turn < len(self._phases) else -1
        self._is_paced = self._mark > 0 and self._phases[self._turn][0] == "pace"
        print(json.dumps(told), flush=True)
        if self._mark < 0:
            self.is_over.set()


def status_kb(key: str) -> int:
    """Give a figure of this process from /proc, in kB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0
