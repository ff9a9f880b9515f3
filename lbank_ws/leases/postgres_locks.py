"""Locks in PostgreSQL: an advisory lock of the session a pair, and a row that says until when it is whose.

Decided here: the tables and the keys of the locks. An advisory lock ends with its session: with the worker, but also
with a restart of the server, of which the worker hears later. So a pair is ours when we have both, and nobody gets the
row before it has run out, or was given back. A session that is idle for `ttl_s`, as that of a worker which hangs, is
ended by the server (PostgreSQL 14 and newer).

    lbank.lease           group, pair, worker, until, and the note: how far the pair was collected
    lbank.lease_worker    group, worker, until
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lbank_ws.errors import MissingExtra
from lbank_ws.leases.keeper import Keeper, View
from lbank_ws.leases.sharing import Habits
from lbank_ws.sinks.addresses import Address

_DDL_LOCK = 0x4C42_4B57  # the same as of the tables of events: one makes them, the others wait
_SCHEMA = (
    "CREATE SCHEMA IF NOT EXISTS lbank",
    "CREATE TABLE IF NOT EXISTS lbank.lease (share text NOT NULL, pair text NOT NULL, worker text NOT NULL, "
    "until timestamptz NOT NULL, note text NOT NULL DEFAULT '', PRIMARY KEY (share, pair))",
    "CREATE TABLE IF NOT EXISTS lbank.lease_worker (share text NOT NULL, worker text NOT NULL, "
    "until timestamptz NOT NULL, PRIMARY KEY (share, worker))",
)
_TTL = "clock_timestamp() + make_interval(secs => %(ttl_s)s)"
_ANNOUNCE = (
    f"INSERT INTO lbank.lease_worker VALUES (%(share)s, %(worker)s, {_TTL}) "  # noqa: S608 - a constant of ours
    "ON CONFLICT (share, worker) DO UPDATE SET until = excluded.until"
)
_FORGET = "DELETE FROM lbank.lease_worker WHERE share = %(share)s AND until < clock_timestamp()"
_RENEW = (
    f"UPDATE lbank.lease SET until = {_TTL} "  # noqa: S608 - as above
    "WHERE share = %(share)s AND worker = %(worker)s AND pair = ANY(%(pairs)s) RETURNING pair"
)
_NOTE = (
    "UPDATE lbank.lease SET note = came.note FROM unnest(%(noted)s::text[], %(notes)s::text[]) AS came (pair, note) "
    "WHERE lease.share = %(share)s AND lease.worker = %(worker)s AND lease.pair = came.pair"
)
_WORKERS = "SELECT worker FROM lbank.lease_worker WHERE share = %(share)s AND until >= clock_timestamp()"
_OWNERS = "SELECT pair, worker FROM lbank.lease WHERE share = %(share)s AND until >= clock_timestamp()"
_LOCK = (
    "SELECT pair FROM unnest(%(pairs)s::text[], %(keys)s::bigint[]) AS came (pair, key) WHERE pg_try_advisory_lock(key)"
)
_UNLOCK = "SELECT pg_advisory_unlock(key) FROM unnest(%(keys)s::bigint[]) AS key"
_TAKE = (
    "INSERT INTO lbank.lease AS held (share, pair, worker, until) "  # noqa: S608 - as above
    f"SELECT %(share)s, pair, %(worker)s, {_TTL} FROM unnest(%(pairs)s::text[]) AS pair ORDER BY pair "
    "ON CONFLICT (share, pair) DO UPDATE SET worker = excluded.worker, until = excluded.until "
    "WHERE held.until < clock_timestamp() OR held.worker = excluded.worker RETURNING pair, note"
)
_GIVE = (
    "UPDATE lbank.lease SET until = '-infinity' "
    "WHERE share = %(share)s AND worker = %(worker)s AND pair = ANY(%(pairs)s)"
)


class PostgresLocks(Keeper):
    """Locks in a database of PostgreSQL 12 or newer. Between it and the worker no pool may lend sessions by the query.

    Raises:
        MissingExtra: psycopg is not installed.
    """

    def __init__(self, address: Address, group: str, worker: str, habits: Habits) -> None:
        super().__init__(address, group, worker, habits)
        try:
            self._library: Any = importlib.import_module("psycopg")
        except ImportError:
            raise MissingExtra("psycopg", "postgres") from None
        self._connection: Any = None
        self._locked: set[str] = set()  # in this session

    def open(self) -> None:
        """Connect, and make the tables that are missing."""
        if self._connection is not None:
            return
        self._locked = set()
        ttl_ms = int(self.habits.ttl_s * 1000)
        patience_s = max(1, int(self.habits.ttl_s / 4))
        with self._failures():
            self._connection = connection = self._library.connect(
                self.address.url,
                autocommit=True,
                connect_timeout=max(2, patience_s),
                keepalives_idle=patience_s,
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=ttl_ms // 2,
            )
            connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(ttl_ms // 4),))
            if connection.info.server_version >= 140000:
                connection.execute("SELECT set_config('idle_session_timeout', %s, false)", (str(ttl_ms),))
            if connection.execute("SELECT to_regclass('lbank.lease_worker')").fetchone()[0] is None:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
                    for statement in _SCHEMA:
                        connection.execute(statement)

    def renew(self, pairs: Sequence[str], notes: Mapping[str, str]) -> set[str]:
        """Announce this worker, and let its rows last; in a new session its locks are taken again first."""
        with self._failures():
            self._asked(_ANNOUNCE)
            self._asked(_FORGET)
            self._lock([pair for pair in pairs if pair not in self._locked])
            self._note(notes)
            return {pair for (pair,) in self._asked(_RENEW, pairs=[pair for pair in pairs if pair in self._locked])}

    def look(self, pairs: Sequence[str]) -> View:
        """Give who is there, and whose the rows are."""
        with self._failures():
            workers = frozenset(worker for (worker,) in self._asked(_WORKERS))
            return View(workers, dict(self._asked(_OWNERS)))

    def take(self, pairs: Sequence[str]) -> dict[str, str]:
        """Take advisory locks, and the rows of those that we got; the others are let go of."""
        with self._failures():
            self._lock(pairs)
            found = dict(self._asked(_TAKE, pairs=[pair for pair in pairs if pair in self._locked]))
            self._unlock([pair for pair in pairs if pair not in found])
            return found

    def give(self, pairs: Sequence[str], notes: Mapping[str, str]) -> None:
        """Give rows and locks back; what was noted comes first, for whoever takes them next."""
        with self._failures():
            self._note(notes)
            self._asked(_GIVE, pairs=list(pairs))
            self._unlock(pairs)

    def leave(self) -> None:
        """Take this worker off the list."""
        with self._failures():
            self._asked("DELETE FROM lbank.lease_worker WHERE share = %(share)s AND worker = %(worker)s")

    def close(self) -> None:
        """Let go of the connection, and of every lock of the session with it."""
        connection, self._connection = self._connection, None
        self._locked = set()
        if connection is not None:
            with contextlib.suppress(self._library.Error):
                connection.close()

    def _lock(self, pairs: Sequence[str]) -> None:
        new = [pair for pair in pairs if pair not in self._locked]
        if new:
            self._locked |= {pair for (pair,) in self._asked(_LOCK, pairs=new, keys=[self._key(pair) for pair in new])}

    def _unlock(self, pairs: Sequence[str]) -> None:
        ours = [pair for pair in pairs if pair in self._locked]
        if ours:
            self._asked(_UNLOCK, keys=[self._key(pair) for pair in ours])
            self._locked -= set(ours)

    def _note(self, notes: Mapping[str, str]) -> None:
        if notes:
            self._asked(_NOTE, noted=list(notes), notes=list(notes.values()))

    def _key(self, pair: str) -> int:
        said = f"lbank|{self.group}|{pair}"
        return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big", signed=True)

    def _asked(self, question: str, **values: Any) -> list[Any]:
        always = {"share": self.group, "worker": self.worker, "ttl_s": float(self.habits.ttl_s)}
        cursor = self._connection.execute(question, {**always, **values})
        return cursor.fetchall() if cursor.description is not None else []

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the driver says into `LeaseFailed`."""
        try:
            yield
        except self._library.Error as error:
            self.close()
            raise self.failed(error) from None
