"""Measure this library beside the others: messages a second, processor time, latency, memory.

    python benchmarks/feed.py --quick
    python benchmarks/feed.py --only lbank_ws,picows+orjson --rounds 5 --out feed.json

Every subject runs in a process of its own on one core, the generator on the other, and the subjects take turns. One
that is not installed is left out; `pip install 'lbank-ws[bench]'` brings all. Decided here: who runs when, and what is
printed. What the figures mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from runs import Bench, FailedError, bench
from subjects import REFERENCE, SUBJECTS
from tables import table

PACKAGES = (
    "lbank-ws msgspec picows orjson uvloop aiohttp websockets websocket-client ccxt pybit cryptofeed python-binance"
)
BUSY = ("lbank_ws", "lbank_ws+fast", "websocket-client")
WORKLOADS = ("tick", "trade", "depth", "mix")
FLOOD = {"tick": 20_000, "trade": 20_000, "depth": 5_000, "mix": 10_000}
_TRY_S = 60.0  # for --quick: what is not begun by then is left out


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        workload: `tick`, `trade`, `depth`, `mix`.
        is_tls: Whether the line is encrypted.
        is_busy: Whether another thread of the subject computes all the time.
    """

    workload: str
    is_tls: bool = False
    is_busy: bool = False

    def __str__(self) -> str:
        return f"{self.workload}, {'TLS' if self.is_tls else 'plain'}{', a busy second thread' if self.is_busy else ''}"

    def takes(self, name: str) -> bool:
        """Tell whether a subject takes part."""
        return (name in BUSY or not self.is_busy) and (self.is_tls or not SUBJECTS[name].is_tls_only)

    def phases(self, name: str, scale: float) -> list[tuple[str, int]]:
        """Give what is sent."""
        if self.is_busy:
            return [("warm", 20), ("flood", 400_000)]
        flood = int(FLOOD[self.workload] * SUBJECTS[name].haste * scale)
        return [("warm", 500), ("pace", 1_000 if scale < 1 else 10_000), ("flood", flood)]


def measured(
    running: Bench, names: Sequence[str], cases: Sequence[Case], rounds: int, scale: float
) -> Iterator[dict[str, Any]]:
    """Run everything in turns; give a record of each run."""
    began_s = time.monotonic()
    for round_ in range(rounds):
        for case in cases:
            for at in range(len(names)):
                name = names[(at + round_) % len(names)]  # nobody comes first, or after the same one, every time
                if not case.takes(name):
                    continue
                record: dict[str, Any] = {"case": str(case), "subject": name, "round": round_ + 1}
                if scale < 1 and time.monotonic() - began_s > _TRY_S - 4:
                    yield {**record, "failed": "no time left"}
                    continue
                try:
                    found = running.run(
                        name, case.workload, case.phases(name, scale), tls=case.is_tls, busy=case.is_busy
                    )
                except FailedError as error:
                    yield {**record, "failed": str(error)}
                else:
                    yield {**record, **found}


def machine() -> dict[str, Any]:
    """Give what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions: dict[str, str | None] = {}
    for package in PACKAGES.split():
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
    }


def chosen(only: str | None) -> list[str]:
    """Give the subjects that can run, and say which cannot."""
    names = []
    for name in only.split(",") if only else SUBJECTS:
        if name not in SUBJECTS:
            raise SystemExit(f"{name} is none of {', '.join(SUBJECTS)}")
        missing = SUBJECTS[name].missing()
        if missing:
            print(
                f"{name} is left out, for {', '.join(missing)} is missing: pip install 'lbank-ws[bench]'",
                file=sys.stderr,
            )
        else:
            names.append(name)
    return names


def main() -> None:
    """Run the benchmark."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--quick", action="store_true", help="the mix only, short, at most a minute")
    command.add_argument("--only", help="some subjects, with commas; beside them the reference")
    command.add_argument("--cases", help="some workloads, with commas: tick, trade, depth, mix, busy")
    command.add_argument("--rounds", type=int, help="how often everybody runs; 3, and 1 with --quick")
    command.add_argument("--out", type=Path, help="write all records there, as JSON")
    args = command.parse_args()
    names = chosen(args.only and ",".join(dict.fromkeys([*args.only.split(","), REFERENCE])))
    wanted = args.cases.split(",") if args.cases else ["mix", "busy"] if args.quick else [*WORKLOADS, "busy"]
    if not set(wanted) <= {*WORKLOADS, "busy"}:
        raise SystemExit(f"--cases takes {', '.join(WORKLOADS)}, busy")
    cases = [Case(workload, is_tls) for workload in wanted if workload != "busy" for is_tls in (False, True)]
    cases += [Case("trade", is_busy=True)] if "busy" in wanted else []
    records = []
    with bench() as running:
        rounds = args.rounds or (1 if args.quick else 3)
        for record in measured(running, names, cases, rounds, 0.5 if args.quick else 2):
            records.append(record)
            if "failed" in record:
                print(f"{record['case']}: {record['subject']} failed: {record['failed']}", file=sys.stderr)
            elif sys.stderr.isatty():
                print(f"{record['case']}: {record['subject']}, round {record['round']}", file=sys.stderr)
    if args.out:
        args.out.write_text(json.dumps({"feed": records, "machine": machine()}, indent=1), encoding="utf-8")
    for case in dict.fromkeys(record["case"] for record in records):
        print(f"\n{case}\n\n{table([record for record in records if record['case'] == case])}")
    if any("failed" in record and record["failed"] != "no time left" for record in records):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
