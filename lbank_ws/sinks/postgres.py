"""PostgreSQL: tables in a schema of their own, filled with COPY; works on Timescale, too.

Decided here: the tables, what is unique in them, which version of a bar stays. A batch is one transaction: COPY into
temporary tables, from there into the lasting ones, where a row of the same identity stays as it is. The columns are
explained for readers in docs/howto/scale.md.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lbank_ws.channels import Channel
from lbank_ws.errors import DecodeError, MissingExtra
from lbank_ws.events import Depth
from lbank_ws.sinks.addresses import Address
from lbank_ws.sinks.engine import Engine, Taken
from lbank_ws.sinks.parcels import Parcel

CONNECT_S = 5
_DDL_LOCK = 0x4C42_4B57  # one makes the tables, the others wait
_ORDER = (
    Channel.TRADE,
    Channel.KLINE,
    Channel.TICKER,
    Channel.DEPTH,
)  # the same for all, so that none wait in a circle
_OWN: Mapping[Channel, Mapping[str, str]] = {
    Channel.TRADE: {"price": "numeric", "amount": "numeric", "value": "numeric", "side": "text", "order_type": "text"},
    Channel.KLINE: {
        "interval": "text",
        **dict.fromkeys(("open", "high", "low", "close", "volume", "turnover"), "numeric"),
        "trades": "bigint",
        "closed": "boolean",
        "fault": "text",
    },
    Channel.TICKER: {
        **dict.fromkeys(("last", "high", "low", "volume", "turnover", "change_pct"), "numeric"),
        "side": "text",
    },
    Channel.DEPTH: {"levels": "integer", "node": "text", "fault": "text", "bids": "jsonb", "asks": "jsonb"},
}
_SHARED = {
    "exchange_at": "timestamptz",
    "received_at": "timestamptz NOT NULL",
    "age_s": "double precision",
    "late": "boolean NOT NULL",
    "source": "text NOT NULL",
    "collector": "text NOT NULL",
}
_KEY = {"pair": "text NOT NULL", "identity": "text NOT NULL", "at": "timestamptz NOT NULL"}
# Without exchange_at it was fetched, and is as new as its answer.
_NEWNESS = "coalesce({0}.exchange_at, {0}.received_at), {0}.closed"


def schema() -> list[str]:
    """Give the statements that make what is missing."""
    made = ["CREATE SCHEMA IF NOT EXISTS lbank"]
    for channel in _ORDER:
        columns = {**_KEY, **_OWN[channel], **_SHARED}
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        made.append(f"CREATE TABLE IF NOT EXISTS lbank.{channel} ({listed}, PRIMARY KEY (pair, identity, at))")
    listed = ", ".join(f"{name} {kind}" for name, kind in {**_KEY, "collector": "text NOT NULL"}.items())
    made.append(
        f"CREATE TABLE IF NOT EXISTS lbank.again (channel text NOT NULL, {listed}, "
        "PRIMARY KEY (channel, pair, identity, at, collector))"
    )
    return made


def row_of(parcel: Parcel, collector: str) -> list[Any]:
    """Give an event as its table has it, in the order of the columns."""
    event = parcel.event
    row: list[Any] = [event.pair, parcel.key, parcel.at]
    if isinstance(event, Depth):
        row += [event.levels, event.node, event.fault and str(event.fault)]
        row += [_levels(event.bids), _levels(event.asks)]
    else:
        for name in _OWN[parcel.topic.channel]:
            value = getattr(event, name)
            row.append(str(value) if name == "fault" and value is not None else value)
    age_s = event.age_s
    row += [event.exchange_at, event.received_at, age_s, event.late, event.source, collector]
    return row


def _levels(side: Iterable[tuple[Any, Any]]) -> str | None:
    """Give a side of a book as JSON; None where a level is no level: the segments have the frame."""
    if (text := getattr(side, "plain_text", None)) is not None:
        return str(text)
    try:
        return json.dumps([[str(price), str(amount)] for price, amount in side], separators=(",", ":"))
    except DecodeError:
        return None


class Postgres(Engine):
    """A database of PostgreSQL 12 or newer; see docs/howto/scale.md.

    The password may stand in the URL, in PGPASSWORD, or in the file that PGPASSFILE names: libpq reads those.

    Args:
        address: Where it is; its query is libpq's.
        collector: Who sends.

    Raises:
        MissingExtra: psycopg is not installed.
    """

    batch_events = 5000

    def __init__(self, address: Address, collector: str | None = None) -> None:
        super().__init__(address, collector)
        try:
            self._library: Any = importlib.import_module("psycopg")
        except ImportError:
            raise MissingExtra("psycopg", "postgres") from None
        self._connection: Any = None

    def open(self) -> None:
        """Connect, and make the tables that are missing."""
        if self._connection is not None:
            return
        try:
            self._connection = connection = self._library.connect(self.address.url, connect_timeout=CONNECT_S)
            with connection.transaction():
                if connection.execute("SELECT to_regclass('lbank.again')").fetchone()[0] is None:
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
                    for statement in schema():
                        connection.execute(statement)
            for channel in _ORDER:
                connection.execute(
                    f"CREATE TEMPORARY TABLE stage_{channel} (LIKE lbank.{channel}) ON COMMIT DELETE ROWS"
                )
            connection.commit()
        except self._library.Error as error:
            self.close()
            raise self.failed(error) from None

    def send(self, parcels: Sequence[Parcel]) -> Taken:
        """Hand over a batch as one transaction."""
        rows: dict[Channel, list[list[Any]]] = {}
        for each in parcels:
            rows.setdefault(each.topic.channel, []).append(row_of(each, self.collector))
        new = 0
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                for channel in _ORDER:
                    if channel in rows:
                        new += _put(cursor, channel, rows[channel])
        except self._library.Error as error:
            self.close()
            raise self.failed(error) from None
        return Taken(new, len(parcels) - new)

    def asked(self, question: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Give the rows of an answer.

        Raises:
            SinkFailed: There is none.
        """
        try:
            with self._connection.transaction():
                rows: list[tuple[Any, ...]] = self._connection.execute(question, values).fetchall()
            return rows
        except self._library.Error as error:
            self.close()
            raise self.failed(error) from None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._library.Error):
                connection.close()


def _put(cursor: Any, channel: Channel, rows: Sequence[Sequence[Any]]) -> int:
    """Insert rows of a channel; give how many were new."""
    names = ", ".join(f'"{name}"' for name in (*_KEY, *_OWN[channel], *_SHARED))
    with cursor.copy(f"COPY stage_{channel} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    insert = f"INSERT INTO lbank.{channel} AS held ({names}) SELECT {names} FROM stage_{channel} AS came"  # noqa: S608 - the names are ours
    if channel is Channel.KLINE:
        newest = (
            f"SELECT DISTINCT ON (pair, identity, at) {names} FROM stage_kline AS came ORDER BY pair, identity, at, "  # noqa: S608 - as above
        )
        newest += "coalesce(came.exchange_at, came.received_at) DESC, came.closed DESC"
        rest = ", ".join(f'"{name}" = excluded."{name}"' for name in (*_OWN[channel], *_SHARED))
        cursor.execute(
            f"INSERT INTO lbank.kline AS held ({names}) {newest} ON CONFLICT (pair, identity, at) "
            f"DO UPDATE SET {rest} WHERE ({_NEWNESS.format('excluded')}) > ({_NEWNESS.format('held')})"
        )
        new = int(cursor.rowcount)
        # A newer version takes the place of the one before, whoever sent that; so it is noted here who has sent any.
        cursor.execute(
            "INSERT INTO lbank.again (channel, pair, identity, at, collector) "
            "SELECT DISTINCT 'kline', pair, identity, at, collector FROM stage_kline "
            "ORDER BY pair, identity, at, collector ON CONFLICT DO NOTHING"
        )
        return new
    # Sorted, so that two collectors never wait for each other in a circle.
    cursor.execute(f"{insert} ORDER BY pair, identity, at ON CONFLICT DO NOTHING")
    new = int(cursor.rowcount)
    if new < len(rows):
        cursor.execute(
            "INSERT INTO lbank.again (channel, pair, identity, at, collector) "  # noqa: S608 - the names are ours
            f"SELECT DISTINCT '{channel}', pair, identity, at, came.collector FROM stage_{channel} AS came "
            f"JOIN lbank.{channel} AS held USING (pair, identity, at) WHERE held.collector <> came.collector "
            "ORDER BY pair, identity, at ON CONFLICT DO NOTHING"
        )
    return new
