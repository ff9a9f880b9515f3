"""Frames as they were seen, each beside what it means; tests, docs and benchmarks read the same files.

A file is one frame, `tests/samples/<dialect>/<name>.json`, an object of four members:

- `seen`: where, when, and what was changed since.
- `direction`: `in` came from the exchange, `out` went to it.
- `frame`: the text of the frame, its numbers printed as in the source.
- `means`: worked out by hand from the protocol, never by running the code; null while the package cannot say it.
  One event is `{"event": "Ticker", ...}` with the fields that are not None, numbers as text, moments in UTC; any other
  message is `{"message": "Denial", ...}`; what we send is `{"call": "subscribe", "topic": "ticker/eth_btc"}`.
  `after` lists the topics that were asked for before, in order, where the dialect needs to know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from lbank_ws.channels import Channel, Topic
from lbank_ws.events import Event

_HERE = Path(__file__).parent
_OURS = ("raw", "receipt", "source", "closed")  # what no frame says


class Sample(NamedTuple):
    """One frame; the module says what the fields hold. It prints as its name, which names its test."""

    name: str
    seen: str
    direction: str
    frame: str
    means: Mapping[str, Any] | None

    def __str__(self) -> str:
        return self.name


def samples(dialect: str) -> list[Sample]:
    """Give the samples of `v2`, `simple` or `rest`, by name."""
    return [_read(path) for path in sorted((_HERE / dialect).glob("*.json"))]


def sample(dialect: str, name: str) -> Sample:
    """Give one sample."""
    return _read(_HERE / dialect / f"{name}.json")


def topic_named(text: str) -> Topic:
    """Read what `str(topic)` prints."""
    name, pair, *rest = text.split("/")
    channel = Channel(name)
    return Topic(
        channel,
        pair,
        levels=int(rest[0]) if channel is Channel.DEPTH else None,
        interval=rest[0] if channel is Channel.KLINE else None,
    )


def moment(text: str) -> datetime:
    """Read a moment of `means`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def described(event: Event) -> dict[str, object]:
    """Give an event in the words of `means`; what every event carries of this machine is left out."""
    told = {one.name: _described(getattr(event, one.name)) for one in fields(event)}
    return {
        "event": type(event).__name__,
        **{name: value for name, value in told.items() if value is not None and name not in _OURS},
    }


def _described(value: object) -> object:
    if isinstance(value, datetime):
        assert value.utcoffset() == timezone.utc.utcoffset(None), f"{value} is not UTC"
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_described(one) for one in value]
    return value


def _read(path: Path) -> Sample:
    return Sample(path.stem, **json.loads(path.read_text(encoding="utf-8")))
