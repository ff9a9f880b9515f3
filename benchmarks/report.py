"""Make docs/performance.md of what feed.py and scale.py wrote.

    python benchmarks/report.py build/bench/feed.json build/bench/scale.json

Decided here: the order of the page. Figures are those of the files, unchanged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scale
import tables
from subjects import REFERENCE

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"

_INTRODUCTION = f"""# Performance

How fast this package is beside other ways to read a feed, measured by `benchmarks/` on one machine. What is counted,
what each client has to do and how a run fails stands in `benchmarks/README.md`. Medians of all rounds; in round
brackets the ratio to `{REFERENCE}`, in square ones the lowest and the highest round. Figures of one machine tell little
about another one: run it on yours.
"""
_AGAIN = """## How to run it again

```sh
make bench
build/bench/bin/python benchmarks/scale.py --out build/bench/scale.json
build/bench/bin/python benchmarks/report.py build/bench/feed.json build/bench/scale.json
```
"""
_PARTS = {
    "starts": "Import and `--help`",
    "sizes": "Size of messages: levels of a book a side",
    "growth": "Memory over many messages, at each tenth",
    "subscriptions": "Subscriptions, idle: tickers, trades and bars, ten on a line",
    "lines": "Lines, idle: books, each on its own",
}


def page(files: Sequence[dict[str, Any]]) -> str:
    """Give the page; files of several machines are refused, for their figures do not compare."""
    machines = [each["machine"] for each in files]
    if len({(one["processor"], one["system"], one["python"]) for one in machines}) > 1:
        raise SystemExit("the files come from several machines, or several Pythons; measure all on one")
    parts = [_INTRODUCTION, _machine(machines)]
    feed = [record for each in files for record in each.get("feed", ())]
    for case in dict.fromkeys(record["case"] for record in feed):
        own = [record for record in feed if record["case"] == case]
        rounds = max(record["round"] for record in own)
        parts.append(f"## {case[0].upper()}{case[1:]}\n\nRounds: {rounds}.\n\n{tables.table(own)}\n")
    for name, title in _PARTS.items():
        records = [record for each in files for record in each.get("scale", {}).get(name, ())]
        if records:
            parts.append(f"## {title}\n\n{scale.table(records)}\n")
    return "\n".join([*parts, _AGAIN])


def _machine(machines: Sequence[dict[str, Any]]) -> str:
    """Tell where and with what it was measured."""
    one = machines[0]
    dates = sorted({each["date"] for each in machines})
    versions = {name: version for each in machines for name, version in each["versions"].items() if version}
    rows = [
        ["", ""],
        ["date", " and ".join(dates)],
        ["processor", f"{one['processor']}, {one['cores']} cores"],
        ["system", one["system"]],
        ["Python", one["python"]],
        ["packages", ", ".join(f"{name} {version}" for name, version in versions.items())],
    ]
    return f"## The machine\n\n{tables.markdown(rows)}\n"


def main() -> None:
    """Write the page."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("files", nargs="+", type=Path, help="what feed.py and scale.py wrote with --out")
    command.add_argument("--to", type=Path, default=PAGE, help="docs/performance.md")
    args = command.parse_args()
    args.to.write_text(page([json.loads(path.read_text(encoding="utf-8")) for path in args.files]), encoding="utf-8")


if __name__ == "__main__":
    main()
