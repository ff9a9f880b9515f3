"""What the files of a store are called.

Decided here: the path of a segment, the name of a run, what in a store's folder is ours. Names are made of checked
pairs, of digits and of the letters of a host's name alone, so that nothing from outside leads out of the folder. There
is no file, no thread and no clock here.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import NamedTuple

from lbank_ws.channels import Channel, Topic, is_pair
from lbank_ws.collect.packs import SUFFIXES

RAW = "raw"
RUNS = "runs"
LEDGER = "gaps.jsonl"
LOCK = "lock"
MANIFEST = "manifest.json"
PART = ".part"  # behind the name of a segment that is still written

_SEGMENT = re.compile(
    r"raw/channel=(?P<channel>\w+)/date=(?P<date>\d{4}-\d\d-\d\d)/pair=(?P<pair>[a-z0-9_]+)/"
    r"(?P<clock>\d{6})-(?P<host>\w+)-(?P<pid>\d+)-(?P<number>\d+)\.jsonl\.(?P<suffix>" + "|".join(SUFFIXES) + r")"
    r"(?P<part>\.part)?"
)
_RUN = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\w+-\d+")
_LONGEST_HOST = 32


class SegmentName(NamedTuple):
    """What the path of a segment says.

    Attributes:
        channel: Which one.
        date: The day in UTC on which everything in it was received: `2026-11-22`.
        pair: Which one.
        suffix: How it is packed: `zst` or `gz`.
        is_part: It is still written, or was when the program was killed.
    """

    channel: Channel
    date: str
    pair: str
    suffix: str
    is_part: bool


def run_name(started_at: datetime, host: str, pid: int) -> str:
    """Give the name of a run: `20261122T101500.123Z-host-4711`; names of one host sort by time."""
    moment = started_at.astimezone(timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{safe_host(host)}-{pid}"


def is_run(name: str) -> bool:
    """Tell whether a folder is called like a run."""
    return _RUN.fullmatch(name) is not None


def safe_host(host: str) -> str:
    """Give a host's name as letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", host.lower()).strip("_")[:_LONGEST_HOST] or "host"


def date_of(ns: int) -> str:
    """Give the day in UTC of a moment in nanoseconds of Unix time."""
    return f"{_moment(ns):%Y-%m-%d}"


def segment_path(topic: Topic, ns: int, host: str, pid: int, number: int, suffix: str) -> str:
    """Give the path of a segment inside its store, with slashes.

    Args:
        topic: What it holds.
        ns: When its first event was received, in nanoseconds of Unix time.
        host: Who writes it; see `safe_host`.
        pid: Which process.
        number: Which segment of this run.
        suffix: How it is packed.
    """
    folder = f"{RAW}/channel={topic.channel}/date={date_of(ns)}/pair={topic.pair}"
    return f"{folder}/{_moment(ns):%H%M%S}-{host}-{pid}-{number}.jsonl.{suffix}"


def segment_name(path: str) -> SegmentName | None:
    """Read the path of a segment inside its store; None for what is none."""
    found = _SEGMENT.fullmatch(path)
    if found is None or not is_pair(found["pair"]):
        return None
    try:
        channel = Channel(found["channel"])
    except ValueError:
        return None
    return SegmentName(channel, found["date"], found["pair"], found["suffix"], found["part"] is not None)


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // 10**9, timezone.utc)
