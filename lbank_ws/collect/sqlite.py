"""The store of one SQLite database: for small jobs, and for people who ask in SQL.

Decided here: when something is committed, which file is ours, how it is held against itself. What the tables hold is
decided in `tables.py`. What comes is committed with each flush; the database is in WAL mode, so that others read it
while it is written.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lbank_ws.channels import Channel, Topic
from lbank_ws.collect import manifest, tables
from lbank_ws.collect.identity import Numbers, content_key
from lbank_ws.collect.lock import StoreLock
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.collect.segments import MODE
from lbank_ws.collect.store import MIN_FREE_BYTES, WAITING_BYTES, Store, check_room
from lbank_ws.collect.summary import Summary
from lbank_ws.collect.verifying import Verdict, differences
from lbank_ws.errors import UsageError
from lbank_ws.events import Gap, Trade
from lbank_ws.quoting import quoted
from lbank_ws.storage_errors import StoreDamaged, StoreFailed

_PREFIX = "sqlite:///"


def sqlite_path(store: str) -> str | None:
    """Give the file that `sqlite:///FILE` names; None for what names a folder.

    Raises:
        UsageError: It begins like one, and names no file.
    """
    if not store.startswith("sqlite:"):
        return None
    path = store.removeprefix(_PREFIX)
    if path == store or not path or "?" in path:
        raise UsageError(f"{quoted(store)} names no database; write sqlite:///data.db, or sqlite:////home/me/data.db")
    return path


class SqliteStore(Store):
    """A database; see docs/reference/sqlite.md.

    Args:
        path: The file; it is made when it is missing.
        min_free_bytes: The collection ends when the disk has less room than this.
        waiting_bytes: How much may wait for the disk before callbacks have to.
        resumes: Whether a run goes on where the one before it ended.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_free_bytes: int = MIN_FREE_BYTES,
        waiting_bytes: int = WAITING_BYTES,
        resumes: bool = True,
    ) -> None:
        super().__init__(os.fspath(path), waiting_bytes=waiting_bytes, resumes=resumes)
        self._path = Path(path)
        self._min_free_bytes = min_free_bytes
        self._lock = StoreLock(f"{self.name}.lock", self.name)
        self._database: sqlite3.Connection | None = None
        self._facts: RunFacts | None = None
        self._numbers: dict[Topic, Numbers] = {}

    def lock(self, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Become the one who writes; see `Store.lock`."""
        with self._refusals(has_begun=False):
            self._lock.take(wait_s=wait_s, until=until)

    def open(self, facts: RunFacts, topics: Sequence[Topic]) -> None:
        """Begin a run; see `Store.open`."""
        if not self._lock.is_ours:
            self.lock()
        try:
            with self._refusals(has_begun=False):
                check_room(self._path.parent, self._min_free_bytes)
                database = self._database = _opened(self._path)
                for run, said in database.execute("SELECT run, manifest FROM run WHERE ended_at IS NULL").fetchall():
                    left = manifest.facts_of(json.loads(said))
                    summaries = tables.summaries(database, run, list(left.live_at))
                    self._keep_manifest(manifest.killed(left, summaries), summaries)
                for topic in topics:
                    mark, contents = tables.past_of(database, topic)
                    self._remember(topic, mark, contents)
                    self._numbers[topic] = Numbers(() if mark is None else mark.trades)
                self._facts = facts
                self._keep_manifest(facts, [])
        except BaseException:  # whatever it was, the lock must not stay
            self._let_go()
            raise

    def flush(self) -> None:
        """Commit what came so far."""
        with self._refusals():
            self._flush()
            check_room(self._path.parent, self._min_free_bytes)

    def note(self) -> None:
        """Commit the manifest as it stands; see `Store.note`."""
        if self._facts is not None:
            with self._refusals():
                self._keep_manifest(self._facts, [])

    def rotate(self) -> None:
        """Move what the write-ahead log holds into the database; there are no files to begin anew."""
        with self._refusals():
            self._flush()
            if self._database is not None:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> dict[str, Any]:
        """Commit everything and end the run."""
        facts, database = self._facts, self._database
        if facts is None or database is None:
            raise UsageError("the store was not opened")
        try:
            with self._refusals():
                self._flush()
                facts.duplicates = self.counts.duplicates
                said = self._keep_manifest(facts, tables.summaries(database, facts.run, list(facts.live_at)))
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                return said
        finally:
            self._let_go()

    # How it is done.

    def _flush(self) -> None:
        facts, database = self._facts, self._database
        if facts is None or database is None:
            return
        with database:  # one transaction: all of it, or nothing
            for item in self._intake.take():
                if isinstance(item, Gap):
                    tables.put_gap(database, item, facts.run)
                    continue
                topic, event = item
                if self._has(topic, event):
                    continue
                numbers = self._numbers.setdefault(topic, Numbers())
                key = numbers.key(event) if isinstance(event, Trade) else content_key(event)
                if tables.put(database, topic.channel, tables.row_of(topic, event, key, facts.run)):
                    self.counts.events[topic] += 1
                    self.counts.bytes[topic] += len(event.raw)
                else:
                    self.counts.duplicates += 1

    def _keep_manifest(self, facts: RunFacts, summaries: Sequence[Summary]) -> dict[str, Any]:
        database = self._database
        if database is None:
            raise UsageError("the store was not opened")
        said = manifest.manifest(facts, _lasting(summaries), tables.gap_rows(database, facts.run))
        with database:
            database.execute(
                "INSERT OR REPLACE INTO run (run, started_at, ended_at, manifest) VALUES (?, ?, ?, ?)",
                (facts.run, said["started_at"], said["ended_at"], json.dumps(said)),
            )
        return said

    def _let_go(self) -> None:
        database, self._database, self._facts = self._database, None, None
        if database is not None:
            database.close()
        self._lock.free()

    @contextmanager
    def _refusals(self, *, has_begun: bool = True) -> Iterator[None]:
        try:
            with self._failures(has_begun=has_begun):
                yield
        except sqlite3.DatabaseError as error:
            raise StoreFailed(self.name, str(error), has_begun=has_begun) from error


def verify(path: str | os.PathLike[str]) -> Verdict:
    """Check a database: its own integrity, and the manifests against its rows.

    Raises:
        UsageError: There is no such database of ours.
    """
    if not Path(path).is_file():
        raise UsageError(f"there is no database {quoted(os.fspath(path))}")
    verdict = Verdict()
    try:
        with closing(_opened(Path(path), makes=False)) as database:
            verdict.problems += [
                str(words) for (words,) in database.execute("PRAGMA integrity_check") if str(words) != "ok"
            ]
            for run, text in database.execute("SELECT run, manifest FROM run ORDER BY run").fetchall():
                verdict.runs += 1
                said = json.loads(text)
                facts = manifest.facts_of(said)
                if facts.ended_at is None:
                    verdict.notes.append(f"run {run} is not over, or was killed; the next run completes its manifest")
                    continue
                summaries = tables.summaries(database, run, list(facts.live_at))
                verdict.events += sum(summary.events for summary in summaries)
                again = manifest.manifest(facts, _lasting(summaries), tables.gap_rows(database, run))
                verdict.problems += [f"run {run}: {words}" for words in differences(said, again)]
    except (sqlite3.DatabaseError, StoreDamaged, ValueError) as error:
        verdict.problems.append(str(error))
    return verdict


def _opened(path: Path, *, makes: bool = True) -> sqlite3.Connection:
    """Open a database of ours, or make one; raises `UsageError` for a file that is none."""
    if path.is_symlink():
        raise UsageError(f"{quoted(str(path))} is a link; name the file itself")
    if makes and not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
    # Used by one thread at a time, and not always by the one that made it.
    database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        try:
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            (count,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise UsageError(
                    f"{quoted(str(path))} is no database, and is left as it is; name another one"
                ) from None
            raise
        if not count and not application and makes:
            with database:
                for statement in tables.SCHEMA:
                    database.execute(statement)
        elif application != tables.APPLICATION:
            raise UsageError(f"{quoted(str(path))} is a database of another program, and is left as it is")
        elif version != tables.VERSION:
            raise UsageError(
                f"{quoted(str(path))} was made by another version of lbank_ws (its schema is {version}, this one "
                f"writes {tables.VERSION}); name another file, or use that version"
            )
        if makes:
            database.execute("PRAGMA journal_mode = WAL").fetchall()
            database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:  # whatever it was, the file must not stay open
        database.close()
        raise
    return database


def _lasting(summaries: Sequence[Summary]) -> list[Summary]:
    """Leave out bars: a later run replaces those of an earlier one, so that no sum over them would hold."""
    return [summary for summary in summaries if summary.topic.channel is not Channel.KLINE]
