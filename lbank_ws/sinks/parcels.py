"""What is sent to an engine: an event with its identity.

Decided here: what tells an event from others over all collectors, how it is cut short where an engine keeps many, and
to which minute it belongs. What tells trades, bars, tickers and books apart is decided in `collect/identity.py`. There
is no socket, no thread and no clock here.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime
from typing import NamedTuple

from lbank_ws.channels import Topic
from lbank_ws.collect.identity import event_key, kline_key
from lbank_ws.events import Event, Kline, Trade


class Parcel(NamedTuple):
    """An event on its way to an engine.

    Attributes:
        seq: Its number in its run.
        topic: What it belongs to.
        dialect: What its frame speaks.
        key: What tells it from others of its channel and pair; all versions of a bar share one.
        version: Which version of a bar; empty on all else.
        event: The event.
        line: The same as a line of a segment; see docs/reference/segments.md, "A line".
    """

    seq: int
    topic: Topic
    dialect: str
    key: str
    version: str
    event: Event
    line: str

    @property
    def at(self) -> datetime:
        """When it happened, by the exchange, the same for every collector; else when it came."""
        event = self.event
        if isinstance(event, Trade) and event.traded_at is not None:
            return event.traded_at
        if isinstance(event, Kline):
            return event.opened_at
        return event.exchange_at or event.received_at

    @property
    def digest(self) -> str:
        """What tells it from every other event, in 24 letters."""
        whole = f"{self.topic.channel}|{self.topic.pair}|{self.key}|{self.version}"
        return hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()

    @property
    def parameter(self) -> str:
        """How many levels, or which interval, was subscribed; empty where there is none."""
        more = self.topic.levels or self.topic.interval
        return "" if more is None else str(more)


def parcel(seq: int, topic: Topic, dialect: str, event: Event, line: str, *, nth: int = 1) -> Parcel:
    """Make a parcel.

    Args:
        seq: Its number in its run.
        topic: What it belongs to.
        dialect: What its frame speaks.
        event: The event.
        line: The same as a line of a segment.
        nth: Of trades: which of its equals it is.
    """
    known = event_key(event, nth)
    if isinstance(event, Kline):
        return Parcel(seq, topic, dialect, kline_key(event), known, event, line)
    return Parcel(seq, topic, dialect, known, "", event, line)


def shard_of(pair: str, count: int) -> int:
    """Give which of so many shards, or partitions, a pair belongs to, from 0; the same on every machine, for ever."""
    return zlib.crc32(pair.encode()) % count
