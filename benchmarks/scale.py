"""Measure what grows: subscriptions, lines, size of messages, hours; and what an import costs.

    python benchmarks/scale.py --quick
    python benchmarks/scale.py --growth 10000000 --out scale.json

Decided here: which sizes are tried. Each is run in a process of its own against generators of feed.py's kind, or with
`lines.py`; what the figures mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from feed import machine
from runs import HERE, Bench, FailedError, bench
from tables import markdown

SUBSCRIPTIONS = (1, 10, 100, 1_000)
LINES = (1, 10, 100, 500)
LEVELS = (1, 10, 100, 1_000)
GROWTH = 10_000_000
LEAST_PER_S = 2_000
_STEPS = 10  # memory is read so often on the way
_MOST_A_STEP = 200_000
_BARE = "pass"
_STARTS = {
    "python -c pass": ("-c", _BARE),
    "import lbank_ws": ("-c", "import lbank_ws"),
    "from lbank_ws import LBankClient": ("-c", "from lbank_ws import LBankClient"),
    "lbank-ws --help": ("-m", "lbank_ws", "--help"),
}


def subscriptions(counts: Sequence[int]) -> list[dict[str, Any]]:
    """Give what so many tickers, trades and bars cost an idle client, ten on a line."""
    return [_lines(count, "--depths", "0", "--others", str(count)) for count in counts]


def lines(counts: Sequence[int]) -> list[dict[str, Any]]:
    """Give what so many books cost an idle client, each on a line of its own."""
    return [_lines(count, "--depths", str(count), "--others", "0") for count in counts]


def _lines(count: int, *options: str) -> dict[str, Any]:
    # 0.1 s between two dials, and the time until all are live.
    command = [sys.executable, str(HERE / "lines.py"), *options]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60 + count / 2, check=True)
    except subprocess.SubprocessError as error:
        return {"subscriptions": count, "failed": str(error)}
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def sizes(running: Bench, name: str, levels: Sequence[int], count: int) -> list[dict[str, Any]]:
    """Give what a book of so many levels a side costs."""
    found = []
    for many in levels:
        phases = [("warm", 200), ("flood", count)]
        record: dict[str, Any] = {"subject": name, "levels": many}
        try:
            found.append({**record, **running.run(name, "depth", phases, levels=many)["flood"]})
        except FailedError as error:
            found.append({**record, "failed": str(error)})
    return found


def growth(running: Bench, name: str, count: int) -> dict[str, Any]:
    """Send so many messages in steps, and give the memory after each; it says by how much the last nine tenths grew."""
    # One line of a mix is done before the other; in short steps it does not wait for long.
    steps = _STEPS * max(1, count // (_STEPS * _MOST_A_STEP))
    phases = [(f"flood{step}", count // steps) for step in range(steps)]
    began_s = time.monotonic()
    try:
        found = running.run(name, "mix", [("warm", 200), *phases], phase_s=60 + count / steps / LEAST_PER_S)
    except FailedError as error:
        return {"subject": name, "messages": count, "failed": str(error)}
    memory = [found[phase]["memory_mb"] for phase, _ in phases[steps // _STEPS - 1 :: steps // _STEPS]]
    return {
        "subject": name,
        "messages": sum(found[phase]["messages"] for phase, _ in phases),
        "took_s": round(time.monotonic() - began_s, 1),
        "memory_mb": memory,
        "peak_mb": found[phases[-1][0]]["peak_mb"],
        "growth_mb": round(memory[-1] - memory[0], 1),
    }


def starts(times: int) -> list[dict[str, Any]]:
    """Give how long importing and `--help` take, above a bare interpreter; whether they load `requests`."""
    took_ms: dict[str, list[float]] = {name: [] for name in _STARTS}
    for _ in range(times):
        for name, arguments in _STARTS.items():
            began_s = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, timeout=30, check=True)
            took_ms[name].append((time.perf_counter() - began_s) * 1000)
    bare = median(took_ms["python -c pass"])
    rows: list[dict[str, Any]] = [
        {"what": name, "ms": round(median(each), 1), "above_bare_ms": round(median(each) - bare, 1)}
        for name, each in took_ms.items()
    ]
    for row in rows:
        arguments = _STARTS[row["what"]]
        if arguments[0] == "-c":
            row |= _loaded(arguments[1])
    return rows


def _loaded(program: str) -> dict[str, Any]:
    count = "; import sys; print(int('requests' in sys.modules), len(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", program + count], capture_output=True, text=True, timeout=30, check=True
    ).stdout.split()
    return {"loads_requests": told[0] == "1", "modules": int(told[1])}


def table(records: Sequence[dict[str, Any]]) -> str:
    """Give records as a table, a column for each key."""
    titles = list(dict.fromkeys(key for record in records for key in record))
    return markdown([titles, *([_text(record.get(title, "")) for title in titles] for record in records)])


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main() -> None:
    """Run the benchmark."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--quick", action="store_true", help="small sizes only, about a minute and a half")
    command.add_argument("--growth", type=int, help=f"so many messages without growth; {GROWTH:,}, --quick 100,000")
    command.add_argument("--subject", default="lbank_ws", help="whose memory and sizes; see feed.py")
    command.add_argument("--only", help="with commas: starts, sizes, growth, subscriptions, lines")
    command.add_argument("--out", type=Path, help="write everything there, as JSON")
    args = command.parse_args()
    few = 2 if args.quick else 4
    with bench() as running:
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "starts": lambda: starts(5 if args.quick else 15),
            "sizes": lambda: sizes(running, args.subject, LEVELS, 2_000 if args.quick else 10_000),
            "growth": lambda: [growth(running, args.subject, args.growth or (100_000 if args.quick else GROWTH))],
            "subscriptions": lambda: subscriptions(SUBSCRIPTIONS[:few]),
            "lines": lambda: lines(LINES[:few]),
        }
        wanted = args.only.split(",") if args.only else list(parts)
        if not set(wanted) <= set(parts):
            raise SystemExit(f"--only takes {', '.join(parts)}")
        found: dict[str, list[dict[str, Any]]] = {}
        for name in wanted:
            found[name] = parts[name]()
            print(f"\n{name}\n\n{table(found[name])}", flush=True)
    if args.out:
        args.out.write_text(json.dumps({"scale": found, "machine": machine()}, indent=1), encoding="utf-8")
    if any("failed" in record for records in found.values() for record in records):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
