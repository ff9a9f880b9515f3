"""A collector that is killed again and again: nothing closed is damaged, and nothing is missing in the end.

Six kills in the slow tests; `make check-kills` makes 300 of them, which takes some twenty minutes.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lbank_ws.collect import ledger, manifest
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.collect.verifying import verify
from lbank_ws.events import Trade
from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

PAIRS = ["btc_usdt", "eth_usdt"]
KILLS = int(os.environ.get("LBANK_KILLS", "6"))
FLUSH_S = 1.0
SLACK_S = 1.5  # what two busy cores may add to a flush, and the time between two pushes


def started(box: Sandbox, store: Path) -> subprocess.Popen[str]:
    words = ["collect", *PAIRS, "--channels", "ticker,depth,trade,kline:1min", "--to", str(store)]
    words += ["--url", box.url, "--rest-url", box.rest_url, "--flush", f"{FLUSH_S}s", "-v"]
    return subprocess.Popen([sys.executable, "-m", "lbank_ws", *words], stderr=subprocess.PIPE, text=True)


def closed(store: Path) -> dict[str, str]:
    """Give the hash of every closed segment."""
    return {path: hashlib.sha256((store / path).read_bytes()).hexdigest() for path in segment_paths(store)}


def events(store: Path, channel: str) -> Iterator[Any]:
    for path in segment_paths(store):
        if path.startswith(f"raw/channel={channel}/"):
            yield from records(store, path, verify=True)


def known(trade: Trade) -> tuple[Any, ...]:
    assert trade.traded_at is not None
    return trade.pair, round(trade.traded_at.timestamp() * 1000), trade.price, trade.amount


def made(box: Sandbox) -> list[tuple[Any, ...]]:
    return [
        (
            each.listing.pair,
            each.traded_at_ms,
            each.listing.price_of(each.price),
            each.listing.amount_of(each.volume),
        )
        for each in box.truth.trades()
    ]


def has_written(store: Path, run: str | None) -> bool:
    """Tell whether a run after that one has begun to write."""
    newest = manifest.runs(store)[-1:]
    return newest != [] and newest != [run] and bool(segment_paths(store, parts=True))


@pytest.mark.slow
@pytest.mark.timeout(120 + 8 * KILLS)
def test_kills_cost_a_flush_and_nothing_else(tmp_path):
    """Machines crash, and systems that run out of memory kill; whoever comes back wants to know what he has."""
    store = tmp_path / "data"
    dice = random.Random(8)
    before: dict[str, str] = {}
    kills: list[tuple[float, float]] = []
    run: str | None = None
    with Sandbox(pairs=PAIRS) as box:
        for number in range(KILLS):
            process = started(box, store)
            try:
                # Some are killed while they start, and put in order what the one before them left.
                if number % 5 == 4:
                    wait_s = dice.uniform(0.1, 1.0)
                else:
                    wait_until(lambda run=run: has_written(store, run), 30, "the first write")
                    wait_s = dice.uniform(0.0, 3.0)
                began_s = time.time()
                over_s = time.monotonic() + wait_s
                wait_until(lambda over_s=over_s: time.monotonic() >= over_s, wait_s + 5)
                process.send_signal(signal.SIGKILL)
                kills.append((began_s, time.time()))
            finally:
                process.kill()
                process.communicate()
            after = closed(store)
            assert {path: after.get(path) for path in before} == before, "a closed segment has changed"
            before = after
            run = manifest.runs(store)[-1] if manifest.runs(store) else None
        process = started(box, store)
        try:
            wait_until(lambda: has_written(store, run), 30, "the first write")
            over_s = time.monotonic() + 8
            wait_until(lambda: time.monotonic() >= over_s, 20)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
        ended_ms = time.time() * 1000
        truth = made(box)

    assert process.returncode == 0, err
    after = closed(store)
    assert {path: after.get(path) for path in before} == before, "a closed segment has changed"
    verdict = verify(store)
    assert verdict.problems == []
    assert segment_paths(store, parts=True) == []

    # No trade is missing, none is there twice.
    kept = Counter(known(record.event) for record in events(store, "trade"))
    first_ms = {pair: min(key[1] for key in kept if key[0] == pair) for pair in PAIRS}
    due = Counter(key for key in truth if first_ms[key[0]] < key[1] < ended_ms - 3000)
    assert kept - Counter(truth) == Counter(), "trades that nobody made, or twice"
    assert due - kept == Counter(), "trades are missing"
    assert len(due) > 10 * KILLS

    # At most a flush is lost, and every hole is told.
    gaps = [ledger.gap_of(row) for row in ledger.gap_rows(ledger.entries(store))]
    for pair in PAIRS:
        times = sorted(record.ns / 1e9 for record in events(store, "ticker") if record.event.pair == pair)
        lost_s = sorted(
            killed_s - max(at for at in times if at <= killed_s)
            for began_s, killed_s in kills
            if killed_s - began_s > FLUSH_S
        )
        print(f"{pair}: {len(lost_s)} kills, lost {lost_s[len(lost_s) // 2]:.2f} s, at most {lost_s[-1]:.2f} s")  # noqa: T201 - for whoever runs it
        assert lost_s[-1] <= FLUSH_S + SLACK_S
        assert len(lost_s) < 50 or lost_s[len(lost_s) // 2] <= FLUSH_S  # of a few, chance decides
        holes = [
            (gap.started_at.timestamp(), (gap.ended_at or datetime.now(timezone.utc)).timestamp())
            for gap in gaps
            if gap.pair == pair and gap.channel == "ticker"
        ]
        for early, late in pairwise(times):
            if late - early > 2.5:
                assert any(begin <= early + 0.01 and end >= late - 0.01 for begin, end in holes), (early, late)
