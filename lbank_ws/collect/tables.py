"""The tables of a database that a collector fills: what a row says, what is unique, and how a question is asked.

Decided here: the schema, and which version of a bar stays. When something is written, and by whom, is decided in
`sqlite.py`. The columns are explained for readers in docs/reference/sqlite.md.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from lbank_ws.channels import Channel, Topic
from lbank_ws.collect import ledger
from lbank_ws.collect.identity import KEPT_CONTENTS, kline_key
from lbank_ws.collect.summary import Summary
from lbank_ws.events import Depth, Event, Gap, Kline
from lbank_ws.feed.merging import REMEMBERED, Identity
from lbank_ws.feed.resume import Mark
from lbank_ws.wire.masking import masked

APPLICATION = 0x4C42_4B57  # SQLite's application_id: "LBKW"
VERSION = 1

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHARED = (
    "exchange_at TEXT, received_at TEXT NOT NULL, received_ns INTEGER NOT NULL, age_s REAL, late INTEGER NOT NULL, "
    "line INTEGER NOT NULL, source TEXT NOT NULL, run TEXT NOT NULL, raw TEXT NOT NULL"
)
_SHARED_COLUMNS = ("exchange_at", "received_at", "received_ns", "age_s", "late", "line", "source", "run", "raw")
_COLUMNS: Mapping[Channel, tuple[str, ...]] = {
    Channel.TICKER: ("last", "high", "low", "volume", "turnover", "change_pct", "side"),
    Channel.DEPTH: ("asked", "levels", "node", "fault", "best_bid", "best_ask", "bids", "asks"),
    Channel.TRADE: ("price", "amount", "value", "side", "order_type", "traded_at"),
    Channel.KLINE: (
        *("interval", "opened_at", "open", "high", "low", "close", "volume", "turnover", "trades", "closed", "fault"),
    ),
}
_INTEGERS = ("asked", "levels", "trades", "closed")
SCHEMA = (
    *(
        f"CREATE TABLE {channel} (pair TEXT NOT NULL, identity TEXT NOT NULL, "
        + ", ".join(f"{name} {'INTEGER' if name in _INTEGERS else 'TEXT'}" for name in columns)
        + f", {_SHARED}, UNIQUE (pair, identity))"
        for channel, columns in _COLUMNS.items()
    ),
    *(f"CREATE INDEX {channel}_by_time ON {channel} (pair, received_ns)" for channel in _COLUMNS),
    "CREATE TABLE gap (run TEXT NOT NULL, channel TEXT NOT NULL, pair TEXT NOT NULL, levels INTEGER, interval TEXT, "
    "started_at TEXT NOT NULL, ended_at TEXT, cause TEXT NOT NULL, missed INTEGER, filled INTEGER, "
    "missing_before TEXT)",
    "CREATE UNIQUE INDEX gap_is_one ON gap (run, channel, pair, ifnull(levels, 0), ifnull(interval, ''), started_at, "
    "cause)",
    "CREATE TABLE run (run TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, manifest TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_SUMS = (
    "count(*), ifnull(sum(late), 0), ifnull(sum(source = 'backfill'), 0), ifnull(min(received_ns), 0), "
    "ifnull(max(received_ns), 0)"
)
_GAP_COLUMNS = (
    *("run", "channel", "pair", "levels", "interval", "started_at", "ended_at", "cause", "missed", "filled"),
    "missing_before",
)


def row_of(topic: Topic, event: Event, key: str, run: str) -> dict[str, Any]:
    """Give an event as its table has it; the columns are ours, never the exchange's."""
    row: dict[str, Any] = {
        "pair": event.pair,
        "identity": kline_key(event) if isinstance(event, Kline) else key,
        "exchange_at": None if event.exchange_at is None else event.exchange_at.isoformat(),
        "received_at": event.received_at.isoformat(),
        "received_ns": event.received_ns,
        "age_s": event.age_s,
        "late": event.late,
        "line": event.receipt.line,
        "source": event.source,
        "run": run,
        "raw": masked(event.raw) if event.source == "live" else "",
    }
    if isinstance(event, Depth):
        sides = {side: [[str(at), str(of)] for at, of in getattr(event, side)] for side in ("bids", "asks")}
        row |= {side: json.dumps(levels, separators=(",", ":")) for side, levels in sides.items()}
        row |= {f"best_{side[:-1]}": levels[0][0] if levels else None for side, levels in sides.items()}
        row |= {"asked": topic.levels, "levels": event.levels, "node": event.node, "fault": _text(event.fault)}
        return row
    for name in _COLUMNS[topic.channel]:
        row[name] = _text(getattr(event, name))
    return row


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, int) else str(value)


def put(database: sqlite3.Connection, channel: Channel, row: Mapping[str, Any]) -> bool:
    """Insert a row; False when there is one of its identity. Of a bar the newest version stays."""
    names = ("pair", "identity", *_COLUMNS[channel], *_SHARED_COLUMNS)
    clash = "DO NOTHING"
    if channel is Channel.KLINE:
        rest = (name for name in names if name not in ("pair", "identity"))
        clash = "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in rest)
        clash += " WHERE excluded.exchange_at IS NULL OR kline.exchange_at IS NULL"
        clash += " OR excluded.exchange_at >= kline.exchange_at"
    marks = ", ".join("?" for _ in names)
    statement = f"INSERT INTO {channel} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT (pair, identity) {clash}"  # noqa: S608 - the names are ours
    return database.execute(statement, [row[name] for name in names]).rowcount == 1


def put_gap(database: sqlite3.Connection, gap: Gap, run: str) -> None:
    row = ledger.gap_row(gap, run)
    marks = ", ".join("?" for _ in _GAP_COLUMNS)
    database.execute(
        f"INSERT OR REPLACE INTO gap ({', '.join(_GAP_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - the names are ours
        [row[name] for name in _GAP_COLUMNS],
    )


def gap_rows(database: sqlite3.Connection, run: str) -> list[dict[str, Any]]:
    found = database.execute(
        f"SELECT {', '.join(_GAP_COLUMNS)} FROM gap WHERE run = ? ORDER BY started_at, channel, pair, levels, interval",  # noqa: S608 - the names are ours
        (run,),
    )
    return [{"kind": "gap", **dict(zip(_GAP_COLUMNS, row, strict=True))} for row in found]


def _which(topic: Topic) -> tuple[str, list[Any]]:
    """Give the condition that finds the rows of a subscription."""
    if topic.channel is Channel.DEPTH:
        return "pair = ? AND asked = ?", [topic.pair, topic.levels]
    if topic.channel is Channel.KLINE:
        return "pair = ? AND interval = ?", [topic.pair, topic.interval]
    return "pair = ?", [topic.pair]


def summaries(database: sqlite3.Connection, run: str, topics: Sequence[Topic]) -> list[Summary]:
    """Give what a run has left in each table, in the place of segments.

    A bar is replaced by its newer version, whichever run brings that.
    """
    found = []
    for topic in topics:
        condition, values = _which(topic)
        events, late, fetched, first_ns, last_ns = database.execute(
            f"SELECT {_SUMS} FROM {topic.channel} WHERE run = ? AND {condition}",  # noqa: S608 - the names are ours
            [run, *values],
        ).fetchone()
        if events:
            found.append(Summary(str(topic), topic, events, late, fetched, first_ns, last_ns))
    return found


def past_of(database: sqlite3.Connection, topic: Topic) -> tuple[Mark | None, list[str]]:
    """Give how far a subscription had come, and the keys of its last tickers, books or bars."""
    condition, values = _which(topic)
    (last_ns,) = database.execute(
        f"SELECT max(received_ns) FROM {topic.channel} WHERE {condition}",  # noqa: S608 - the names are ours
        values,
    ).fetchone()
    if last_ns is None:
        return None, []
    received_at = _EPOCH + timedelta(microseconds=last_ns // 1000)
    if topic.channel is Channel.TRADE:
        rows = database.execute(
            "SELECT traded_at, price, amount, identity FROM trade WHERE pair = ? AND traded_at IS NOT NULL "
            "ORDER BY received_ns DESC, rowid DESC LIMIT ?",
            [topic.pair, REMEMBERED],
        ).fetchall()
        trades = tuple(
            Identity(datetime.fromisoformat(at), Decimal(price), Decimal(amount), key.split("|")[3])
            for at, price, amount, key in reversed(rows)
        )
        return Mark(received_at, max((known.traded_at for known in trades), default=None), trades), []
    if topic.channel is Channel.KLINE:
        (opened_at,) = database.execute(
            f"SELECT max(opened_at) FROM kline WHERE {condition}",  # noqa: S608 - the names are ours
            values,
        ).fetchone()
        return Mark(received_at, datetime.fromisoformat(opened_at)), []
    keys = database.execute(
        f"SELECT identity FROM {topic.channel} WHERE {condition} ORDER BY received_ns DESC LIMIT ?",  # noqa: S608 - the names are ours
        [*values, KEPT_CONTENTS],
    ).fetchall()
    return Mark(received_at), [key for (key,) in reversed(keys)]
