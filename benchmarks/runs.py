"""One run: the generator on one core, one subject on the other, phase by phase; and what is made of what they tell.

A run fails when a message did not reach its callback, or the last price seen is not the last one sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from frames import kinds_of
from subjects import SUBJECTS

HERE = Path(__file__).parent
RATE = 2_000.0
BUSY_S = 4.0
DEADLINE_S = 25.0


class FailedError(Exception):
    """A run has no figures, and why."""


class Child:
    """A process that speaks lines of JSON."""

    def __init__(self, command: Sequence[str], variables: dict[str, str] | None = None) -> None:
        plain = {name: text for name, text in os.environ.items() if not name.startswith("LBANK_")}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in end()
        self._process = subprocess.Popen(
            [sys.executable, *command],
            env={**plain, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def tell(self, **order: object) -> None:
        """Send a line."""
        if self._process.stdin:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def hear(self, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        """Give the next line, or raise `FailedError`."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise FailedError(f"nothing came within {timeout_s:.0f} s; {self.complaint()}") from None
        if line is None:
            raise FailedError(f"it ended; {self.complaint()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def complaint(self) -> str:
        """Give the last line of what it wrote to stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        self._errors.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


class Bench:
    """The generator, and a place for subjects beside it."""

    def __init__(self, folder: Path) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[-1]
        self._ca_file = folder / "ca.pem"
        core = ("--core", str(cores[0]))
        self._load = Child([str(HERE / "load.py"), "--ca-file", str(self._ca_file), *core])
        self._ports = self._load.hear()

    def run(
        self,
        name: str,
        workload: str,
        phases: Sequence[tuple[str, int]],
        *,
        tls: bool = False,
        busy: bool = False,
        levels: int = 100,
        rate: float = RATE,
        phase_s: float = DEADLINE_S,
    ) -> dict[str, Any]:
        """Give the figures of each phase by its name, or raise `FailedError`; a busy one may be cut short.

        No phase may take longer than `phase_s`.
        """
        subject, kinds = SUBJECTS[name], tuple(dict.fromkeys(kinds_of(workload)))
        phases = [(phase, count - count % len(kinds_of(workload))) for phase, count in phases]
        self._load.tell(protocol=subject.protocol, workload=workload, want=len(kinds), levels=levels)
        while "ready" not in self._load.hear():
            pass  # what it had still to say of a run that failed
        scheme, port = ("wss", self._ports["tls"]) if tls else ("ws", self._ports["plain"])
        command = [str(HERE / "subject.py"), name, "--url", f"{scheme}://127.0.0.1:{port}", "--kinds", ",".join(kinds)]
        command += [
            "--phases",
            ",".join(f"{phase}:{count}" for phase, count in phases),
            "--ca-file",
            str(self._ca_file),
        ]
        # On one core, a thread that lets go of the interpreter in a read has it back before the busy one wakes up,
        # which hides what is to be measured.
        command += ["--busy", "--for", str(BUSY_S)] if busy else ["--core", str(self._core)]
        command += [] if busy else ["--for", str(phase_s * len(phases))]
        child = Child(command, subject.variables)
        try:
            if not self._load.hear()["subscribed"]:
                raise FailedError(f"it did not subscribe; {child.complaint()}")
            return {phase: self._phase(child, phase, count, rate, busy, phase_s) for phase, count in phases}
        finally:
            child.end()

    def _phase(self, child: Child, phase: str, count: int, rate: float, busy: bool, phase_s: float) -> dict[str, Any]:
        self._load.tell(**({"pace": count, "rate": rate} if phase == "pace" else {"flood": count}))
        if busy and phase == "flood":  # the generator hears that the subject has ended before it is done
            told = child.hear()
            child.end()
            with contextlib.suppress(FailedError):  # it was cut
                self._load.hear()
            return figures(told, {})
        sent = self._load.hear(phase_s)
        if "error" in sent:
            raise FailedError(f"{sent['error']}; {child.complaint()}")
        try:
            told = child.hear(phase_s)
        except FailedError as error:
            raise FailedError(f"not all of {count} messages reached a callback: {error}") from None
        if told["count"] != count or sent["sent"] != count:
            raise FailedError(f"{told['count']} of {sent['sent']} messages reached a callback")
        for kind, price in sent["last"].items():
            if Decimal(told["last"][kind]) != Decimal(price):
                raise FailedError(f"the last {kind} was {told['last'][kind]}, and {price} was sent")
        return figures(told, sent)

    def end(self) -> None:
        """End the generator."""
        self._load.end()


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Give a bench that ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        running = Bench(Path(folder))
        try:
            yield running
        finally:
            running.end()


def figures(told: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Make figures of what both sides told of a phase."""
    found = {
        "messages": told["count"],
        "per_s": round(told["count"] / told["wall_s"]) if told["wall_s"] else 0,
        "cpu_us": round(told["cpu_s"] / told["count"] * 1e6, 2),
        "memory_mb": told["memory_mb"],
        "peak_mb": told["peak_mb"],
    }
    # Of the time that the subject took: one that is done early was not the limit, however busy it was till then.
    found |= {"generator_cpu": round(sent["cpu_s"] / told["wall_s"], 3), "sent_per_s": sent["rate"]} if sent else {}
    if "at_ns" in told and "left_ns" in sent:
        pairs = [zip(sent["left_ns"][kind], told["at_ns"][kind], strict=True) for kind in sent["left_ns"]]
        late_us = sorted((at - left) / 1000 for each in pairs for left, at in each)
        for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
            found[name] = round(late_us[min(len(late_us) - 1, int(len(late_us) * share))], 1)
    return found
