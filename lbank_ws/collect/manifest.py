"""The manifest of a run: what it brought, how much of its time that covers, and what everything must hash to.

Decided here: what a manifest says, given what happened. Nothing in it comes from elsewhere than the segments, the
ledger and the few facts of `RunFacts`; so `verifying.py` makes it a second time from the disk, and the two must be
equal.

The fields are explained in docs/reference/segments.md, "The manifest".
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lbank_ws.causes import GapCause
from lbank_ws.channels import Topic
from lbank_ws.collect import ledger
from lbank_ws.collect.coverage import Coverage, coverage
from lbank_ws.collect.naming import MANIFEST, RUNS, is_run
from lbank_ws.collect.segments import FOLDER_MODE, MODE, sync_folder
from lbank_ws.collect.summary import Summary
from lbank_ws.events import Gap
from lbank_ws.storage_errors import StoreDamaged

FORMAT = 1

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass
class Span:
    """A time in which a run was to collect a subscription; one that shares its pairs with others has several.

    Attributes:
        since: When it began, in UTC.
        until: When it was given up; None while it lasts, or when it lasted until the end of the run.
        live_at: When the subscription was live in it for the first time; None when it was not.
    """

    since: datetime
    until: datetime | None = None
    live_at: datetime | None = None


@dataclass
class RunFacts:
    """What the segments and the ledger do not say of a run.

    Attributes:
        run: Its name.
        started_at: When it began, in UTC.
        ended_at: When it ended; None while it runs.
        end: Why it ended: `time over`, `stopped`, `disk`, `killed` and so on; empty while it runs.
        dialect: What it spoke.
        host: Who was at the other end.
        versions: Of what it ran on, by name.
        live_at: When each subscription was live for the first time; None for one that never was.
        duplicates: How many events came that the store had already.
        spans: When it was to collect a subscription, of a run that shares its pairs; what is not here: all along.
    """

    run: str
    started_at: datetime
    ended_at: datetime | None = None
    end: str = ""
    dialect: str = "v2"
    host: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    live_at: dict[Topic, datetime | None] = field(default_factory=dict)
    duplicates: int = 0
    spans: dict[Topic, list[Span]] = field(default_factory=dict)


def manifest(facts: RunFacts, segments: Iterable[Summary], gap_rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give what a manifest says.

    Args:
        facts: Of the run.
        segments: Those that the run wrote.
        gap_rows: The entries of the ledger about holes of this run, one a hole.
    """
    known = sorted(segments, key=lambda summary: summary.path)
    gaps = [ledger.gap_of(row) for row in gap_rows]
    until = facts.ended_at or facts.started_at
    topics = []
    for of, live_at in sorted(facts.live_at.items(), key=lambda item: _order(item[0])):
        own = [summary for summary in known if summary.topic == of and summary.events]
        holes = [gap for gap in gaps if gap.topic == of]
        spans = facts.spans.get(of)
        covered = coverage(facts.started_at, until, live_at, holes) if spans is None else _covered(spans, until, holes)
        topics.append(
            {
                "channel": str(of.channel),
                "pair": of.pair,
                "levels": of.levels,
                "interval": of.interval,
                "live_at": None if live_at is None else live_at.isoformat(),
                "events": sum(summary.events for summary in own),
                "late": sum(summary.late for summary in own),
                "fetched": sum(summary.fetched for summary in own),
                "first_ns": min((summary.first_ns for summary in own), default=None),
                "last_ns": max((summary.last_ns for summary in own), default=None),
                "gaps": len(holes),
                "missing_s": round(covered.missing_s, 6),
                "coverage_pct": covered.percent,
                **({} if spans is None else {"spans": [_span_row(span) for span in spans]}),
            }
        )
    return {
        "lbank_ws_manifest": FORMAT,
        "run": facts.run,
        "started_at": facts.started_at.isoformat(),
        "ended_at": None if facts.ended_at is None else facts.ended_at.isoformat(),
        "end": facts.end,
        "dialect": facts.dialect,
        "host": facts.host,
        "versions": dict(facts.versions),
        "events": sum(summary.events for summary in known),
        "late": sum(summary.late for summary in known),
        "fetched": sum(summary.fetched for summary in known),
        "duplicates": facts.duplicates,
        "dropped": sum(gap.missed or 0 for gap in gaps if gap.cause is GapCause.SLOW_CALLBACK),
        "topics": topics,
        "gaps": [dict(row) for row in gap_rows],
        "segments": [summary.row() for summary in known],
    }


def facts_of(said: Mapping[str, Any]) -> RunFacts:
    """Read the facts out of a manifest.

    Raises:
        StoreDamaged: It is none, or of a format that is not known.
    """
    try:
        if said["lbank_ws_manifest"] != FORMAT:
            raise ValueError(f"its format is {said['lbank_ws_manifest']!r}, and this lbank_ws reads {FORMAT}")
        return RunFacts(
            run=str(said["run"]),
            started_at=_moment(said["started_at"]),
            ended_at=None if said["ended_at"] is None else _moment(said["ended_at"]),
            end=str(said["end"]),
            dialect=str(said["dialect"]),
            host=str(said["host"]),
            versions={str(name): str(version) for name, version in said["versions"].items()},
            live_at={
                ledger.topic_of(row): None if row["live_at"] is None else _moment(row["live_at"])
                for row in said["topics"]
            },
            duplicates=int(said["duplicates"]),
            spans={
                ledger.topic_of(row): [Span(*map(_moment_or_none, span)) for span in row["spans"]]  # type: ignore[arg-type]  # since is never None
                for row in said["topics"]
                if "spans" in row
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as bad:
        raise StoreDamaged(MANIFEST, f"it cannot be read ({bad!r})") from None


def killed(facts: RunFacts, segments: Sequence[Summary]) -> RunFacts:
    """Complete the facts of a run that was killed, from what it had kept: it lasted until its last event."""
    ended_at = max([facts.started_at, *(_at(summary.last_ns) for summary in segments if summary.events)])
    live_at: dict[Topic, datetime | None] = dict(facts.live_at)
    for of, known_at in live_at.items():
        firsts = [_at(summary.first_ns) for summary in segments if summary.topic == of and summary.events]
        if known_at is None and firsts:
            live_at[of] = max(facts.started_at, min(firsts))
    spans = {of: [replace(span) for span in known] for of, known in facts.spans.items()}
    for of, known in spans.items():
        last = known[-1]
        if last.until is None and last.live_at is None:
            own = [summary for summary in segments if summary.topic == of and summary.events]
            firsts = [max(last.since, _at(one.first_ns)) for one in own if _at(one.last_ns) >= last.since]
            last.live_at = min(firsts, default=None)
    return RunFacts(
        facts.run,
        facts.started_at,
        ended_at,
        "killed",
        facts.dialect,
        facts.host,
        facts.versions,
        live_at,
        facts.duplicates,
        spans,
    )


def write(root: str | os.PathLike[str], said: Mapping[str, Any]) -> None:
    """Put a manifest in the place of the one that the run had.

    Raises:
        OSError: The disk refuses; the old one is as it was.
    """
    path = Path(root) / RUNS / said["run"] / MANIFEST
    os.makedirs(path.parent, FOLDER_MODE, exist_ok=True)
    beside = path.with_suffix(".tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), MODE)
    try:
        with open(fd, "wb") as file:
            file.write(json.dumps(said, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:  # whatever it was, the half of a file must not stay
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    sync_folder(path.parent)


def read(root: str | os.PathLike[str], run: str) -> dict[str, Any]:
    """Read the manifest of a run as it stands.

    Raises:
        StoreDamaged: There is none, or it is no JSON.
    """
    path = f"{RUNS}/{run}/{MANIFEST}"
    try:
        said = json.loads((Path(root) / path).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreDamaged(path, getattr(error, "strerror", None) or str(error)) from None
    if not isinstance(said, dict):
        raise StoreDamaged(path, "it is no JSON object")
    return said


def runs(root: str | os.PathLike[str]) -> list[str]:
    """Give the names of all runs of a store, sorted; those of one host are in the order of time.

    A run begins with its manifest, before all that it keeps; a folder without one is of a run that was killed before.
    """
    return sorted(path.parent.name for path in Path(root, RUNS).glob(f"*/{MANIFEST}") if is_run(path.parent.name))


def held_s(row: Mapping[str, Any], said: Mapping[str, Any]) -> float:
    """Give for how long a run that is over was to collect a subscription, from its row in the manifest, in seconds."""
    begin, end = said["started_at"], said["ended_at"]
    times = [(begin, end)] if "spans" not in row else [(since, until or end) for since, until, _ in row["spans"]]
    return sum(max(0.0, (_moment(until) - _moment(since)).total_seconds()) for since, until in times)


def _covered(spans: Sequence[Span], ended_at: datetime, gaps: Sequence[Gap]) -> Coverage:
    """Tell how much of several times is covered; a hole counts where it lies."""
    window_s = missing_s = 0.0
    for span in spans:
        until = max(span.since, span.until or ended_at)
        # One that was closed before is of an earlier span, also when its time reaches into this one.
        own = [gap for gap in gaps if gap.ended_at is None or gap.ended_at > span.since]
        part = coverage(span.since, until, span.live_at, own)
        window_s, missing_s = window_s + part.window_s, missing_s + part.missing_s
    return Coverage(window_s, missing_s)


def _span_row(span: Span) -> list[str | None]:
    return [None if at is None else at.isoformat() for at in (span.since, span.until, span.live_at)]


def _order(of: Topic) -> tuple[str, str, int, str]:
    return str(of.channel), of.pair, of.levels or 0, of.interval or ""


def _at(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)
