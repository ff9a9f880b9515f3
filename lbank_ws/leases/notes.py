"""What a worker notes of a pair in the engine, for whoever takes the pair next: how far each subscription had come.

Decided here: how that is written. There is no socket, no thread and no clock here.

    {"trade/btc_usdt":["2026-11-22T10:15:02.123+00:00","2026-11-22T10:15:01.000+00:00"]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lbank_ws.feed.resume import Mark, moment_of


def note_of(marks: Mapping[str, Mark]) -> str:
    """Give what is noted of a pair: when the last push came and when it happened, by subscription."""
    said = {
        name: [mark.received_at.isoformat(), None if mark.happened_at is None else mark.happened_at.isoformat()]
        for name, mark in marks.items()
    }
    return json.dumps(said, separators=(",", ":"))


def marks_of(note: str) -> dict[str, Mark]:
    """Read a note; what cannot be read is left out: then that begins as for the first time."""
    try:
        said = json.loads(note or "{}")
    except (ValueError, RecursionError):
        return {}
    found = {}
    for name, times in said.items() if isinstance(said, dict) else ():
        try:
            received_at, happened_at = times
            found[str(name)] = Mark(moment_of(received_at), None if happened_at is None else moment_of(happened_at))
        except (ValueError, TypeError):
            continue
    return found
