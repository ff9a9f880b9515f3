"""Checks a store of files against itself: everything that its manifests say is made again from its segments and ledger.

Decided here: what counts as a difference, and what is only worth a note. Nothing is changed, and a store that is being
written can be checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbank_ws.collect import ledger, manifest
from lbank_ws.collect.naming import RAW, RUNS
from lbank_ws.collect.segments import read_head, segment_paths, summary_of
from lbank_ws.collect.summary import Summary
from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted
from lbank_ws.storage_errors import StoreDamaged

_CUT_SHORT = ("killed", "disk", "failed")  # of such a run some numbers may be missing
_MOST_SHOWN = 60  # characters of a value


@dataclass
class Verdict:
    """What a check has found.

    Attributes:
        problems: What differs, in words; empty where everything is as it was written.
        notes: What is worth knowing, and no difference.
        runs: How many runs were checked.
        segments: How many segments.
        events: How many events.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: int = 0
    segments: int = 0
    events: int = 0


class _Numbers:
    """The numbers of the events of a run: none is missing when their count and sum are those of 1 to the last."""

    def __init__(self) -> None:
        self.count = self.sum = self.last = 0

    def add(self, seq: int) -> None:
        self.count += 1
        self.sum += seq
        self.last = max(self.last, seq)

    @property
    def is_whole(self) -> bool:
        return self.count == self.last and self.sum == self.last * (self.last + 1) // 2


def verify(root: str | os.PathLike[str], on_segment: Callable[[int, int], object] | None = None) -> Verdict:
    """Check a store.

    Args:
        root: Its folder.
        on_segment: Called behind each segment with how many were checked, of how many.

    Raises:
        UsageError: It is no store of files.
        MissingExtra: There are `.zst` segments, and zstandard is not installed.
    """
    folder = Path(root)
    if not (folder / RUNS).is_dir():
        raise UsageError(f"{quoted(os.fspath(root))} is no folder that `lbank-ws collect` has written")
    verdict = Verdict()
    of_run: dict[str, list[Summary]] = {}
    numbers: dict[str, _Numbers] = {}
    damaged = _read_segments(root, of_run, numbers, verdict, on_segment)
    try:
        rows: Sequence[Mapping[str, Any]] = ledger.entries(root)
    except StoreDamaged as damage:
        verdict.problems.append(str(damage))
        rows = []
    known = manifest.runs(root)
    for run in known:
        verdict.runs += 1
        segments = of_run.pop(run, [])
        _check_run(root, run, segments, numbers.get(run, _Numbers()), rows, damaged, verdict)
    for run, segments in of_run.items():
        verdict.problems += [f"{summary.path} is of run {run}, which has no manifest" for summary in segments]
    for run in sorted({row["run"] for row in ledger.gap_rows(rows) if "run" in row} - {*known, *of_run}):
        verdict.problems.append(f"the ledger tells of holes of run {run}, which has no manifest")
    for path in segment_paths(root, parts=True):
        verdict.notes.append(
            f"{path} is being written, or was left by a run that was killed; the next run completes it"
        )
    strangers = [path for path in (folder / RAW).rglob("*") if path.is_file() and ".jsonl" not in path.name]
    verdict.notes += [f"{path.relative_to(folder).as_posix()} is none of ours" for path in strangers]
    return verdict


def _read_segments(
    root: str | os.PathLike[str],
    of_run: dict[str, list[Summary]],
    numbers: dict[str, _Numbers],
    verdict: Verdict,
    on_segment: Callable[[int, int], object] | None,
) -> set[str]:
    """Read every segment to its end; give those that are damaged."""
    damaged = set()
    paths = segment_paths(root)
    for count, path in enumerate(paths, 1):
        verdict.segments += 1
        try:
            run = read_head(root, path).run
            summary = summary_of(root, path, numbers.setdefault(run, _Numbers()).add)
        except StoreDamaged as damage:
            verdict.problems.append(str(damage))
            damaged.add(path)
        else:
            verdict.events += summary.events
            of_run.setdefault(run, []).append(summary)
        if on_segment is not None:
            on_segment(count, len(paths))
    return damaged


def _check_run(
    root: str | os.PathLike[str],
    run: str,
    segments: Sequence[Summary],
    numbers: _Numbers,
    rows: Sequence[Mapping[str, Any]],
    damaged: set[str],
    verdict: Verdict,
) -> None:
    try:
        said = manifest.read(root, run)
        facts = manifest.facts_of(said)
        if facts.run != run:
            raise StoreDamaged(f"{RUNS}/{run}", f"its manifest is that of {facts.run}")
        if facts.ended_at is None:
            verdict.notes.append(f"run {run} is not over, or was killed; the next run completes its manifest")
            return
        again = manifest.manifest(facts, segments, ledger.gap_rows(rows, run))
    except StoreDamaged as damage:
        verdict.problems.append(f"run {run}: {damage}")
        return
    told = {row.get("path") for row in said.get("segments", []) if isinstance(row, dict)}
    # What a damaged segment held is told once, by its name.
    if told & damaged:
        verdict.problems.append(
            f"run {run}: {len(told & damaged)} of its segments are damaged, so its sums are not held"
        )
        return
    verdict.problems += [f"run {run}: {words}" for words in differences(said, again)]
    if facts.end not in _CUT_SHORT and not numbers.is_whole:
        verdict.problems.append(f"run {run}: of {numbers.last} events {numbers.count} are there")


def differences(said: Any, again: Any, where: str = "") -> list[str]:
    """Give what differs between what is said and what is found, in words."""
    if isinstance(said, dict) and isinstance(again, dict):
        found = []
        for name in [*said, *(name for name in again if name not in said)]:
            place = f"{where}.{name}".lstrip(".")
            if name not in said or name not in again:
                found.append(f"{place} is {'missing' if name not in said else 'strange to this version'}")
            else:
                found += differences(said[name], again[name], place)
        return found
    if isinstance(said, list) and isinstance(again, list):
        if all(isinstance(row, dict) and "path" in row for row in [*said, *again]):
            return differences({row["path"]: row for row in said}, {row["path"]: row for row in again}, where)
        if len(said) != len(again):
            return [f"{where} has {len(said)} rows, and there are {len(again)}"]
        return [
            each
            for number, (one, other) in enumerate(zip(said, again, strict=True))
            for each in differences(one, other, f"{where}[{number}]")
        ]
    return [] if said == again else [f"{where} says {_shown(said)}, and there is {_shown(again)}"]


def _shown(value: Any) -> str:
    return quoted(repr(value))[:_MOST_SHOWN]
