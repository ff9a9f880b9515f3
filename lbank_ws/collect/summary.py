"""What there is to say of a segment without its lines. There is no file, no thread and no clock here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lbank_ws.channels import Topic


@dataclass
class Summary:
    """What there is to say of a segment without its lines.

    Attributes:
        path: Inside the store, with slashes; without `.part`.
        topic: What it holds.
        events: How many.
        late: How many of them came late.
        fetched: How many of them were fetched, not pushed.
        first_ns: The earliest receive moment, in nanoseconds of Unix time; 0 without events.
        last_ns: The latest.
        bytes: How large the file is.
        sha256: Of the whole file, in hex.
    """

    path: str
    topic: Topic
    events: int = 0
    late: int = 0
    fetched: int = 0
    first_ns: int = 0
    last_ns: int = 0
    bytes: int = 0
    sha256: str = ""

    def count(self, ns: int, *, late: bool, fetched: bool) -> None:
        """Count one event."""
        self.first_ns = ns if not self.events else min(self.first_ns, ns)
        self.last_ns = max(self.last_ns, ns)
        self.events += 1
        self.late += late
        self.fetched += fetched

    def row(self) -> dict[str, Any]:
        """Give it as the manifest has it."""
        return {
            "path": self.path,
            "channel": str(self.topic.channel),
            "pair": self.topic.pair,
            "levels": self.topic.levels,
            "interval": self.topic.interval,
            "events": self.events,
            "late": self.late,
            "fetched": self.fetched,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "bytes": self.bytes,
            "sha256": self.sha256,
        }
