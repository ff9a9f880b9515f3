"""What a person sees of a collection: a table while it runs, a summary at the end. In cron nobody sees it."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.table import Table

    from lbank_ws.client import LBankClient
    from lbank_ws.collect.collector import Collected, Collector

_RATE_S = 5.0  # over how long a rate is measured


class Progress(Protocol):
    """Shows how a collection does; called on the thread that runs it."""

    def begin(self) -> None:
        """The store is ours."""

    def turn(self) -> None:
        """Some time has passed."""

    def end(self) -> None:
        """It is over."""


class Silent:
    """Shows nothing."""

    def begin(self) -> None:
        """Do nothing."""

    def turn(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


def progress_of(collector: Collector, client: LBankClient, stack: ExitStack, *, is_quiet: bool) -> Progress:
    """Give a table where a person looks and rich is installed; else nothing."""
    if is_quiet or not sys.stderr.isatty():
        return Silent()
    try:
        from rich.live import Live  # noqa: F401 - whether it is there
    except ImportError:
        return Silent()
    board = Board(collector, client)
    stack.callback(board.end)
    return board


class Board:
    """A row a pair: how many events a second, how old the newest is, how many holes there were."""

    def __init__(self, collector: Collector, client: LBankClient) -> None:
        from rich.console import Console
        from rich.live import Live

        self._collector = collector
        self._client = client
        self._before: dict[str, int] = {}
        self._rates: dict[str, float] = {}
        self._rated_s = time.monotonic()
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._shown_s = 0.0
        self._is_on = False

    def begin(self) -> None:
        """Show the table."""
        self._live.start()
        self._is_on = True

    def turn(self) -> None:
        """Show it anew, once a second. Here and not on a thread of its own, so that nothing races with the end."""
        now_s = time.monotonic()
        if self._is_on and now_s - self._shown_s >= 1:
            self._shown_s = now_s
            self._live.update(self.table(now_s), refresh=True)

    def end(self) -> None:
        """Take it away."""
        if self._is_on:
            self._is_on = False
            self._live.stop()

    def table(self, now_s: float) -> Table:
        """Give the table as it stands."""
        from rich.table import Column, Table

        counts, gaps = self._collector.store.counts, self._collector.gaps
        rows: dict[str, _Row] = {}
        for known in self._client.stats():
            row = rows.setdefault(known.topic.pair, _Row())
            row.kept += counts.events[known.topic]
            row.bytes += counts.bytes[known.topic]
            row.gaps += gaps[known.topic]
            row.live += known.state == "live"
            row.wanted += 1
            if known.last_age_s is not None:
                row.age_s = max(known.last_age_s, row.age_s or 0.0)
        span_s = now_s - self._rated_s
        if span_s >= _RATE_S:
            self._rates = {pair: (row.kept - self._before.get(pair, 0)) / span_s for pair, row in rows.items()}
            self._before, self._rated_s = {pair: row.kept for pair, row in rows.items()}, now_s
        numbers = (Column(name, justify="right") for name in ("events/s", "age", "live", "gaps", "kept", "size"))
        table = Table("pair", *numbers, box=None)
        for pair, row in rows.items():
            rate = f"{self._rates[pair]:.1f}" if pair in self._rates else ""
            age = "" if row.age_s is None else f"{row.age_s:.2f} s"
            table.add_row(pair, rate, age, f"{row.live}/{row.wanted}", str(row.gaps), str(row.kept), size(row.bytes))
        return table


@dataclass
class _Row:
    kept: int = 0
    bytes: int = 0
    gaps: int = 0
    live: int = 0
    wanted: int = 0
    age_s: float | None = None


def summary(done: Collected) -> str:
    """Give what a run brought, in a few lines."""
    said = done.manifest
    covered = [row["coverage_pct"] for row in said["topics"]]
    whole = sum(percent == 100 for percent in covered)
    open_gaps = sum(row["ended_at"] is None for row in said["gaps"])
    files = [row["bytes"] for row in said["segments"] if row["bytes"]]
    place = f" in {len(files)} files, {size(sum(files))}" if files else ""
    lines = [
        f"{said['events']} events ({said['fetched']} fetched, {said['late']} late){place}; {said['end']}",
        f"coverage: {whole} of {len(covered)} subscriptions 100 %, the least {min(covered, default=0):.3f} %; "
        f"{len(said['gaps'])} gaps, {open_gaps} open",
    ]
    return "\n".join(lines)


def size(count: float) -> str:
    """Give a number of bytes for people: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.1f} TiB"
