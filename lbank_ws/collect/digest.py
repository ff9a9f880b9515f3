"""Sums a store up for a report: series in pieces of time, and what is missing.

Decided here: what a report shows, and how finely. Not decided here: how it looks (`report.py`, and the files of
`page/`).
The figures are for looking at: prices are exact, sums of a picture are floats.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from lbank_ws.channels import Topic
from lbank_ws.collect import manifest
from lbank_ws.collect.candles import Making
from lbank_ws.collect.coverage import missing_part
from lbank_ws.collect.lines import Head, Record
from lbank_ws.collect.loading import Loaded
from lbank_ws.events import Depth, Gap, Trade
from lbank_ws.storage_errors import StoreDamaged

PIECES = 400  # at most, of the time of a report
COLUMNS = 96  # at most, of the map of holes
PAIRS_SHOWN = 12  # that have charts; the table has all of them
HOLES_SHOWN = 200

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
_BINS = 8  # of ages, each time they double


@dataclass
class Ages:
    """How old events were when they came, to within a tenth."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, age_s: float) -> None:
        """Count one."""
        self.counts[math.floor(math.log2(max(age_s, 1e-4)) * _BINS)] += 1

    def at(self, part: float) -> float | None:
        """Give the age in seconds that this part of all stayed below or reached; None without any."""
        left = math.ceil(sum(self.counts.values()) * part)
        for bin_, count in sorted(self.counts.items()):
            left -= count
            if left <= 0:
                return float(f"{2 ** ((bin_ + 0.5) / _BINS):.3g}")
        return None


@dataclass
class _Sum:
    """What came of one subscription."""

    events: int = 0
    late: int = 0
    fetched: int = 0
    ages: Ages = field(default_factory=Ages)
    late_at: Counter[int] = field(default_factory=Counter)
    events_at: Counter[int] = field(default_factory=Counter)


class _Series:
    """What is drawn of one pair."""

    def __init__(self) -> None:
        self.rate: Counter[int] = Counter()
        self.ages: dict[int, Ages] = {}
        self.books: dict[int, Depth] = {}


def digest(loaded: Loaded, *, on_bytes: Callable[[int], object] | None = None) -> dict[str, Any]:
    """Give what a report shows, as JSON has it; times are seconds of Unix time.

    Args:
        loaded: From `load`.
        on_bytes: Called behind each segment with its size.

    Raises:
        StoreDamaged: A segment does not hold what was written.
    """
    manifests = _manifests(loaded)
    begin_s, end_s = _span(loaded, manifests)
    step_s = _step((end_s - begin_s) / PIECES)
    sums: dict[Topic, _Sum] = {}
    series: dict[str, _Series] = {}
    making = Making(timedelta(seconds=step_s))
    for _, records in loaded.by_day(on_bytes, every_version=True):
        for head, record in records:
            _count(head, record, step_s, sums, series, making)
    gaps = loaded.gaps()
    for gap in gaps:
        sums.setdefault(gap.topic, _Sum())
    chosen = _busiest(sums)
    candles = making.made(gaps)
    return {
        "store": loaded.root.resolve().name,
        "made_s": int(datetime.now(timezone.utc).timestamp()),
        "begin_s": begin_s,
        "end_s": end_s,
        "step_s": step_s,
        "summary": [_row(of, sums[of], gaps, manifests) for of in sorted(sums, key=str)],
        "pairs": [
            {
                "pair": pair,
                "candles": [
                    [int(one.opened_at.timestamp()), *map(float, (one.open, one.high, one.low, one.close, one.volume))]
                    for one in candles
                    if one.pair == pair
                ],
                **_drawn(series.get(pair, _Series()), begin_s, end_s, step_s),
            }
            for pair in chosen
        ],
        "pairs_left_out": len({of.pair for of in sums}) - len(chosen),
        "map": _map(sums, gaps, begin_s, end_s, step_s, chosen),
        "runs": [_run(said, end_s) for said in manifests],
        "holes": [_hole(gap, end_s) for gap in sorted(gaps, key=lambda one: one.started_at)[:HOLES_SHOWN]],
        "holes_left_out": max(0, len(gaps) - HOLES_SHOWN),
    }


def _count(
    head: Head,
    record: Record,
    step_s: int,
    sums: dict[Topic, _Sum],
    series: dict[str, _Series],
    making: Making,
) -> None:
    event, piece = record.event, record.ns // 10**9 // step_s
    one = sums.setdefault(head.topic, _Sum())
    one.events += 1
    one.late += record.late
    one.fetched += event.source == "backfill"
    one.events_at[piece] += 1
    one.late_at[piece] += record.late
    drawn = series.setdefault(event.pair, _Series())
    drawn.rate[piece] += 1
    if record.age_s is not None and event.source == "live":
        one.ages.add(record.age_s)
        drawn.ages.setdefault(piece, Ages()).add(record.age_s)
    if isinstance(event, Depth) and event.fault is None:
        drawn.books[piece] = event
    if isinstance(event, Trade) and (event.traded_at or event.exchange_at) is not None:
        making.add(event)


def _drawn(series: _Series, begin_s: int, end_s: int, step_s: int) -> dict[str, Any]:
    pieces = range(begin_s // step_s, end_s // step_s + 1)
    bids, asks, spreads = [], [], []
    for piece in pieces:
        book = series.books.get(piece)
        is_whole = book is not None and bool(book.bids) and bool(book.asks)
        bids.append(_worth(book.bids) if book is not None and is_whole else None)
        asks.append(_worth(book.asks) if book is not None and is_whole else None)
        mid, spread = (book.mid, book.spread) if book is not None and is_whole else (None, None)
        spreads.append(None if not mid or spread is None else _short(float(spread / mid) * 1e4))
    ages = [series.ages.get(piece, Ages()) for piece in pieces]
    return {
        "times": [piece * step_s for piece in pieces],
        "bids": bids,
        "asks": asks,
        "spread_bp": spreads,
        "rate": [_short(series.rate[piece] / step_s) for piece in pieces],
        "ages": [[one.at(part) for one in ages] for part in (0.5, 0.95, 0.99)],
    }


def _worth(levels: Sequence[Any]) -> float:
    return _short(float(sum(level.price * level.amount for level in levels)))


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _row(of: Topic, one: _Sum, gaps: Sequence[Gap], manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [gap for gap in gaps if gap.topic == of]
    window_s = missing_s = 0.0
    for said in manifests:
        for row in said["topics"]:
            if said["ended_at"] is not None and _is_of(row, of):
                window_s += manifest.held_s(row, said)
                missing_s += row["missing_s"]
    return {
        "topic": str(of),
        "events": one.events,
        "late": one.late,
        "fetched": one.fetched,
        "gaps": len(own),
        "missing_s": round(missing_s, 1),
        "coverage_pct": math.floor((1 - missing_s / window_s) * 1e5) / 1e3 if window_s > 0 else None,
        "ages": [one.ages.at(part) for part in (0.5, 0.95, 0.99)],
    }


def _is_of(row: Mapping[str, Any], of: Topic) -> bool:
    return (row["channel"], row["pair"], row["levels"], row["interval"]) == (
        *(str(of.channel), of.pair),
        *(of.levels, of.interval),
    )


def _map(
    sums: Mapping[Topic, _Sum], gaps: Sequence[Gap], begin_s: int, end_s: int, step_s: int, chosen: Sequence[str]
) -> dict[str, Any]:
    """Give how much of each column of time is missing, and how much of what came was late, a row a subscription."""
    begin_s = begin_s // step_s * step_s
    width = step_s * max(1, math.ceil((end_s - begin_s) / step_s / COLUMNS))
    columns = list(range(begin_s, max(end_s, begin_s + 1), width))
    rows = []
    for of in sorted((of for of in sums if of.pair in chosen), key=str):
        one = sums[of]
        missing, late = [0.0] * len(columns), [0.0] * len(columns)
        for gap in gaps:
            part = missing_part(gap, datetime.fromtimestamp(end_s, timezone.utc)) if gap.topic == of else None
            if part is None:
                continue
            for number, at in enumerate(columns):
                both = min(part[1].timestamp(), at + width) - max(part[0].timestamp(), at)
                missing[number] = min(1.0, round(missing[number] + max(0.0, both) / width, 4))
        for number, at in enumerate(columns):
            pieces = range(at // step_s, (at + width) // step_s)
            came = sum(one.events_at[piece] for piece in pieces)
            late[number] = round(sum(one.late_at[piece] for piece in pieces) / came, 4) if came else 0.0
        rows.append({"topic": str(of), "missing": missing, "late": late})
    return {"width_s": width, "columns": columns, "rows": rows}


def _busiest(sums: Mapping[Topic, _Sum]) -> list[str]:
    counts: Counter[str] = Counter()
    for of, one in sums.items():
        counts[of.pair] += one.events
    return sorted(pair for pair, _ in counts.most_common(PAIRS_SHOWN))


def _run(said: Mapping[str, Any], end_s: int) -> dict[str, Any]:
    return {
        "run": said["run"],
        "begin_s": _seconds(said["started_at"]),
        "end_s": end_s if said["ended_at"] is None else _seconds(said["ended_at"]),
        "end": said["end"] or "not over",
        "events": said["events"],
    }


def _hole(gap: Gap, end_s: int) -> dict[str, Any]:
    return {
        "topic": str(gap.topic),
        "begin_s": round(gap.started_at.timestamp(), 3),
        "end_s": round(gap.ended_at.timestamp(), 3) if gap.ended_at is not None else end_s,
        "is_open": gap.ended_at is None,
        "cause": str(gap.cause),
        "missed": gap.missed,
        "filled": gap.filled,
        "is_missing": missing_part(gap, datetime.fromtimestamp(end_s, timezone.utc)) is not None,
    }


def _manifests(loaded: Loaded) -> list[Mapping[str, Any]]:
    """Give the manifests of all runs; one that cannot be read raises `StoreDamaged`."""
    found: list[Mapping[str, Any]] = []
    for run in manifest.runs(loaded.root):
        said = manifest.read(loaded.root, run)
        try:
            manifest.facts_of(said)
        except StoreDamaged as damage:
            raise StoreDamaged(run, damage.problem) from None
        found.append(said)
    return found


def _span(loaded: Loaded, manifests: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Give when the first event came and the last one; as few segments as possible are read for it."""
    segments = [segment for day in loaded.days() for segment in day.segments]
    begins = [segment.head.opened_ns // 10**9 for segment in segments]
    if not begins:
        return 0, 0
    ends = [row["last_ns"] / 1e9 for said in manifests for row in said["segments"] if row["last_ns"]]
    told = {row["path"] for said in manifests for row in said["segments"]}
    newest = {one.head.topic: one for one in segments if one.path not in told}  # of a run that is not over
    ends += [loaded.last_ns(one) / 1e9 for one in newest.values()]
    return min(begins), max(math.ceil(max(ends)), min(begins) + 1)


def _step(least_s: float) -> int:
    return next((step for step in _STEPS_S if step >= least_s), math.ceil(least_s / 86400) * 86400)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
