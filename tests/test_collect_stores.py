"""The stores of a collector, fed by hand: files and a database, what is in them afterwards, and what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lbank_ws.causes import GapCause
from lbank_ws.channels import Topic, topic
from lbank_ws.collect import ledger, manifest, sqlite, verifying
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.collect.past import past_of
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.collect.sqlite import SqliteStore
from lbank_ws.collect.store import Store
from lbank_ws.errors import UsageError
from lbank_ws.events import Depth, Gap, Kline, Level, Receipt, Ticker, Trade
from lbank_ws.feed.merging import identity
from lbank_ws.storage_errors import StoreBusy, StoreFailed
from tests.waiting import wait_until

AT = datetime(2020, 11, 22, 23, 59, 50, tzinfo=timezone.utc)
NS = int(AT.timestamp()) * 10**9
TRADES = topic("trade", "btc_usdt")
TICKS = topic("ticker", "btc_usdt")
BARS = topic("kline", "btc_usdt", interval="1min")
BOOKS = topic("depth", "btc_usdt", levels=20)
ALL = [TRADES, TICKS, BARS, BOOKS]
Make = Callable[..., Store]


def receipt(second: float) -> Receipt:
    return Receipt(NS + int(second * 10**9), 0.0, line=1)


def trade(second: float, **fields: Any) -> Trade:
    at = AT + timedelta(seconds=second)
    known = Trade(
        "btc_usdt", Decimal("19.0"), Decimal(1), None, "buy", traded_at=at, exchange_at=at, receipt=receipt(second)
    )
    return replace(known, **fields)


def tick(second: float) -> Ticker:
    at = AT + timedelta(seconds=second)
    return Ticker("btc_usdt", Decimal(5), volume=Decimal("1E-8"), exchange_at=at, receipt=receipt(second))


def bar(second: float, volume: int, **fields: Any) -> Kline:
    numbers = (Decimal(n) for n in ("1", "3", "0.5", "2"))
    at = AT + timedelta(seconds=second)
    opened_at = AT.replace(second=0)
    known = Kline(
        "btc_usdt", "1min", opened_at, *numbers, volume=Decimal(volume), exchange_at=at, receipt=receipt(second)
    )
    return replace(known, **fields)


def book(second: float) -> Depth:
    levels = (Level(Decimal("5.10"), Decimal(2)), Level(Decimal(6), Decimal(1)))
    at = AT + timedelta(seconds=second)
    return Depth("btc_usdt", levels[::-1][:1], levels, levels=20, exchange_at=at, receipt=receipt(second))


class Room:
    """A store of one kind, again and again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / ("data" if kind == "files" else "data.db")
        self.runs = 0

    def store(self, **options: Any) -> Store:
        return FileStore(self.path, **options) if self.kind == "files" else SqliteStore(self.path, **options)

    def facts(self, topics: list[Topic] | None = None) -> RunFacts:
        self.runs += 1
        return RunFacts(
            f"20201122T0000{self.runs:02d}.000Z-host-1",
            AT + timedelta(seconds=self.runs),
            live_at=dict.fromkeys(topics or ALL),
        )

    def run(self, *items: tuple[Topic, Any] | Gap, store: Store | None = None, **options: Any) -> dict[str, Any]:
        """Let one run keep these, and give its manifest."""
        store = store or self.store(**options)
        facts = self.facts()
        store.open(facts, ALL)
        for item in items:
            if isinstance(item, Gap):
                store.put_gap(item)
            else:
                store.put(*item)
        facts.ended_at = facts.started_at + timedelta(seconds=60)
        facts.end = "time over"
        return store.close()

    def verify(self) -> verifying.Verdict:
        return verifying.verify(self.path) if self.kind == "files" else sqlite.verify(self.path)

    def trades(self) -> list[Any]:
        """Give when each kept trade was made, in order."""
        if self.kind == "files":
            paths = [path for path in segment_paths(self.path) if "channel=trade" in path]
            return sorted(record.event.traded_at for path in paths for record in records(self.path, path))
        with sqlite3.connect(self.path) as database:
            rows = database.execute("SELECT traded_at FROM trade ORDER BY traded_at").fetchall()
        database.close()
        return [datetime.fromisoformat(at) for (at,) in rows]


@pytest.fixture(params=["files", "database"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    return Room(request.param, tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Room:
    return Room("files", tmp_path)


def killed(store: Store) -> None:
    """Let go of what the system takes back when a process is killed, and of nothing else."""
    if isinstance(store, SqliteStore) and store._database is not None:
        store._database.close()
    store._lock.free()  # type: ignore[attr-defined]  # both have one


# What both do.


def test_what_was_put_is_kept_and_holds_against_the_manifest(room):
    """All four channels; the sums are those of what was put."""
    said = room.run((TRADES, trade(0)), (TICKS, tick(1)), (BARS, bar(2, 1)), (BOOKS, book(3)))

    assert room.verify().problems == []
    rows = {row["channel"]: row["events"] for row in said["topics"]}
    assert rows == {"trade": 1, "ticker": 1, "depth": 1, "kline": 1 if room.kind == "files" else 0}


def test_the_next_run_knows_how_far_this_one_had_come(room):
    """The client fetches what was missed behind it; a moment too late is a hole, one too early a double."""
    room.run((TRADES, trade(0)), (TRADES, trade(4, amount=Decimal("2.50"))), (BARS, bar(2, 1)), (TICKS, tick(7)))
    store = room.store()
    store.open(room.facts(), ALL)
    marks = store.read()
    store.close()

    assert marks[TRADES].trades == (identity(trade(0)), identity(trade(4, amount=Decimal("2.5"))))
    assert marks[TRADES].happened_at == AT + timedelta(seconds=4)
    assert marks[BARS].happened_at == AT.replace(second=0)
    assert marks[TICKS].received_at == AT + timedelta(seconds=7)
    assert BOOKS not in marks


def test_a_run_that_does_not_resume_has_no_marks(room):
    """`--no-resume` begins anew, and still writes no trade twice."""
    room.run((TRADES, trade(0)))
    store = room.store(resumes=False)
    said = room.run((TRADES, trade(0)), store=store)

    assert store.read() == {}
    assert said["duplicates"] == 1
    assert len(room.trades()) == 1


def test_runs_that_overlap_in_time_write_no_trade_twice(room):
    """Two lines of a crontab do; equal trades count by number."""
    room.run((TRADES, trade(0)), (TRADES, trade(0)), (TRADES, trade(1)))
    said = room.run((TRADES, trade(0)), (TRADES, trade(0)), (TRADES, trade(1)), (TRADES, trade(1)), (TRADES, trade(2)))

    assert said["duplicates"] == 3
    assert room.trades() == [AT + timedelta(seconds=second) for second in (0, 0, 1, 1, 2)]
    assert room.verify().problems == []


def test_a_second_writer_is_told_who_writes(room):
    """At once: cron starts the next one in an hour."""
    store = room.store()
    store.open(room.facts(), ALL)
    began_s = time.monotonic()

    with pytest.raises(StoreBusy, match=rf"is being written by process {os.getpid()} on .* since 20"):
        room.store().open(room.facts(), ALL)

    assert time.monotonic() - began_s < 0.5
    store.close()
    room.run((TRADES, trade(0)))


def test_waiting_for_another_writer_ends_with_him(room):
    """`--lock-wait` lets two runs follow each other without a hole between them."""
    store = room.store()
    store.open(room.facts(), ALL)
    ends = threading.Timer(0.3, lambda: killed(store))
    ends.start()

    second = room.store()
    second.lock(wait_s=10)
    second.open(room.facts(), ALL)

    assert not ends.is_alive()
    second.close()


def test_waiting_for_another_writer_can_be_broken_off(room):
    """A signal must not have to wait for a whole run of somebody else."""
    store = room.store()
    store.open(room.facts(), ALL)

    with pytest.raises(StoreBusy):
        room.store().lock(wait_s=60, until=lambda: True)
    store.close()


def test_what_was_flushed_survives_a_kill_and_is_put_in_order(room):
    """The next run completes the manifest of the one that was killed, which lasted until its last event."""
    now_ns = time.time_ns() // 10**9 * 10**9
    store = room.store()
    facts = replace(room.facts(), started_at=datetime.fromtimestamp(now_ns // 10**9 - 1, timezone.utc))
    store.open(facts, ALL)
    store.put(TRADES, trade(3, receipt=Receipt(now_ns)))
    store.put(TICKS, replace(tick(4), receipt=Receipt(now_ns + 10**9)))
    store.put_gap(Gap(TRADES, AT, None, GapCause.LINE_LOST))
    store.flush()
    store.put(TRADES, trade(5))
    killed(store)

    room.run((TRADES, trade(6)))

    assert room.trades() == [AT + timedelta(seconds=second) for second in (3, 6)]
    verdict = room.verify()
    assert (verdict.problems, verdict.runs) == ([], 2)
    if room.kind == "files":
        said = manifest.read(room.path, facts.run)
        assert said["end"] == "killed"
        assert said["ended_at"] == datetime.fromtimestamp(now_ns // 10**9 + 1, timezone.utc).isoformat()
        kinds = [row["kind"] for row in ledger.entries(room.path)]
        assert kinds == ["gap", "salvaged", "salvaged"]


def test_a_disk_with_too_little_room_ends_the_run_and_keeps_what_there_is(room):
    """Other programs need the rest of the disk."""
    store = room.store()
    store.open(room.facts(), ALL)
    store.put(TRADES, trade(0))
    store._min_free_bytes = 10**18

    with pytest.raises(StoreFailed, match="MiB are to stay free") as told:
        store.flush()
    assert told.value.has_begun
    store._facts.ended_at, store._facts.end = AT + timedelta(seconds=9), "disk"
    store.close()

    assert len(room.trades()) == 1
    assert room.verify().problems == []
    with pytest.raises(StoreFailed, match="cannot write into") as told:
        room.store(min_free_bytes=10**18).open(room.facts(), ALL)
    assert not told.value.has_begun


def test_a_callback_waits_while_the_disk_is_far_behind(room):
    """Memory stays bounded, and the client's own queue tells what found no room."""
    store = room.store(waiting_bytes=1000)
    store.open(room.facts(), ALL)
    put: list[int] = []

    def many() -> None:
        for second in range(10):
            store.put(TRADES, trade(second))
            put.append(second)

    thread = threading.Thread(target=many, daemon=True)  # should it wait for ever
    thread.start()
    wait_until(lambda: len(put) >= 2)
    assert len(put) < 6
    store.flush()
    wait_until(lambda: len(put) >= 5)
    store.ending()
    thread.join(5)
    store.close()

    assert len(put) == len(room.trades()) == 10


# Files.


def test_a_segment_holds_one_day(files):
    """Also when its events come behind midnight, because they were held back for a fetch."""
    files.run((TRADES, trade(9)), (TRADES, trade(11)), (TRADES, trade(9.5)), (TRADES, trade(12)))

    days = {path.split("/")[2]: len(list(records(files.path, path, verify=True))) for path in segment_paths(files.path)}
    assert days == {"date=2020-11-22": 2, "date=2020-11-23": 2}


@pytest.mark.parametrize("options", [{"rotate_bytes": 1}, {"rotate_s": 1e-9}])
def test_a_segment_is_closed_by_size_and_by_time(files, options):
    """A file that is closed can be copied."""
    store = files.store(**options)
    facts = files.facts()
    store.open(facts, ALL)
    for second in range(3):
        store.put(TRADES, trade(second))
        store.flush()
    closed = len(segment_paths(files.path))
    facts.ended_at = AT + timedelta(seconds=9)
    store.close()

    assert closed == 3
    assert files.verify().problems == []


def test_rotating_closes_everything_and_goes_on(files):
    """SIGHUP does that."""
    store = files.store()
    facts = files.facts()
    store.open(facts, ALL)
    store.put(TRADES, trade(0))
    store.put(TICKS, tick(0))
    store.rotate()
    assert (len(segment_paths(files.path)), segment_paths(files.path, parts=True)) == (2, [])
    store.put(TRADES, trade(1))
    facts.ended_at = AT + timedelta(seconds=9)
    said = store.close()

    assert [row["events"] for row in said["segments"]] == [1, 1, 1]
    assert files.verify().problems == []


def test_yesterdays_segments_are_closed_soon_after_midnight(files):
    """A quiet pair would keep its part of yesterday open all day."""
    store = files.store()
    store.open(files.facts(), ALL)
    store.put(TRADES, trade(0))
    store.flush()

    assert len(segment_paths(files.path)) == 1
    store.close()


def test_the_end_of_a_large_segment_is_read_without_its_beginning(files):
    """A start must not take as long as the run before it."""
    files.run(*((TRADES, trade(second / 1000, amount=Decimal(second * 7919 % 10**6))) for second in range(9000)))
    (path,) = segment_paths(files.path)
    assert (files.path / path).stat().st_size > 1 << 16

    mark, _ = past_of(files.path, TRADES)

    assert mark is not None
    assert len(mark.trades) == 1000
    assert mark.trades[0].traded_at == AT + timedelta(seconds=8)


def test_marks_reach_back_over_several_segments(files):
    """Runs of a minute have few trades each."""
    for second in range(5):
        files.run((TRADES, trade(second)))

    mark, _ = past_of(files.path, TRADES)

    assert [known.traded_at for known in mark.trades] == [AT + timedelta(seconds=second) for second in range(5)]


def test_marks_do_not_reach_back_further_than_anything_comes_again(files):
    """Two hundred pairs with a file an hour would take minutes to begin."""
    for second in (0, 1, 200, 201):
        files.run((TRADES, trade(second)))

    mark, _ = past_of(files.path, TRADES)

    assert [known.traded_at for known in mark.trades] == [AT + timedelta(seconds=second) for second in (1, 200, 201)]


def test_bars_of_another_interval_are_another_subscription(files):
    """They lie in one folder."""
    hour = topic("kline", "btc_usdt", interval="1hr")
    files.run((BARS, bar(0, 1)), (hour, bar(1, 1, interval="1hr", opened_at=AT.replace(minute=0, second=0))))

    assert past_of(files.path, hour)[0].happened_at == AT.replace(minute=0, second=0)
    assert past_of(files.path, BARS)[0].happened_at == AT.replace(second=0)


def test_a_folder_that_cannot_be_made_is_told(files):
    """The path of a typing mistake."""
    files.path.write_text("mine")

    with pytest.raises((StoreFailed, UsageError)):
        files.run((TRADES, trade(0)))
    assert files.path.read_text() == "mine"


@pytest.mark.parametrize("name", ["gaps.jsonl", "lock"])
def test_files_of_somebody_else_in_our_place_are_left_alone(files, name):
    """The folder of a typing mistake may have anything in it; `kind` at its beginning is what tells ours."""
    files.path.mkdir()
    (files.path / name).write_text("my own\nand torn")

    with pytest.raises(UsageError, match="is left as it is"):
        files.run((TRADES, trade(0)))

    assert (files.path / name).read_text() == "my own\nand torn"


def test_strange_files_in_the_store_stay_and_are_noted(files):
    """Whoever keeps a README there loses nothing."""
    files.run((TRADES, trade(0)))
    (files.path / "raw" / "README").write_text("mine")
    (files.path / "notes").write_text("mine")
    files.run((TRADES, trade(1)))

    verdict = files.verify()
    assert (verdict.problems, verdict.notes) == ([], ["raw/README is none of ours"])


@pytest.mark.parametrize("left", [[], ["manifest.tmp"]], ids=["nothing", "half a manifest"])
def test_a_run_that_was_killed_before_its_manifest_is_none(files, left):
    """A kill may come at any moment, between the making of a folder and its first file too."""
    files.run((TRADES, trade(0)))
    folder = files.path / "runs" / "20261127T061824.785Z-vm-16238"
    folder.mkdir()
    for name in left:
        (folder / name).write_text("{")
    files.run((TRADES, trade(1)))

    verdict = files.verify()
    assert (verdict.problems, verdict.notes, verdict.runs) == ([], [], 2)


# What `verify` sees.


def of_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        path = next((root / "runs").glob("*/manifest.json"))
        said = json.loads(path.read_text())
        change(said)
        path.write_text(json.dumps(said))

    return act


def flip(root: Path) -> None:
    path = root / segment_paths(root)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def swap(root: Path) -> None:
    first, second = segment_paths(root)[-2:]
    (root / first).write_bytes((root / second).read_bytes())


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (flip, "is damaged"),
    "a file is gone": (lambda root: (root / segment_paths(root)[0]).unlink(), "strange to this version|missing|says"),
    "a file is another one": (swap, "is damaged|says"),
    "the ledger is shorter": (lambda root: (root / "gaps.jsonl").write_text(""), "gaps has 1 rows, and there are 0"),
    "the ledger is damaged": (lambda root: (root / "gaps.jsonl").write_text("x\n"), "gaps.jsonl is damaged"),
    "a count": (of_manifest(lambda said: said.update(events=5)), "events says 5, and there is 3"),
    "a coverage": (of_manifest(lambda said: said["topics"][0].update(coverage_pct=100.0)), "coverage_pct says 100.0"),
    "a hash": (of_manifest(lambda said: said["segments"][0].update(sha256="0")), "sha256 says"),
    "a hole": (of_manifest(lambda said: said["gaps"].clear()), "gaps has 0 rows, and there are 1"),
    "a manifest is gone": (lambda root: next((root / "runs").glob("*/manifest.json")).unlink(), "has no manifest"),
    "another run": (of_manifest(lambda said: said.update(run="x")), "its manifest is that of x"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_verify_fails_on_any_difference(files, name):
    """A check that passes over something is worse than none."""
    act, words = TAMPERINGS[name]
    files.run((TRADES, trade(0)), (TICKS, tick(1)), (BOOKS, book(2)), Gap(TRADES, AT, None, GapCause.LINE_LOST))
    assert files.verify().problems == []

    act(files.path)

    problems = files.verify().problems
    assert any(re.search(words, problem) for problem in problems), problems


def test_verify_sees_that_a_manifest_is_missing_of_a_run_that_kept_nothing_but_a_hole(files):
    """There is no segment that would tell of it."""
    files.run(Gap(TRADES, AT, None, GapCause.LINE_LOST))
    (run,) = manifest.runs(files.path)
    (files.path / "runs" / run / "manifest.json").unlink()

    assert files.verify().problems == [f"the ledger tells of holes of run {run}, which has no manifest"]


def test_verify_sees_that_a_number_is_missing(files):
    """A file and its row may both be taken away, and the sums with them; the numbers of the others tell."""
    files.run((TRADES, trade(0)), (TICKS, tick(1)), (BOOKS, book(2)))
    (files.path / segment_paths(files.path)[1]).unlink()
    run = manifest.runs(files.path)[0]
    facts = manifest.facts_of(manifest.read(files.path, run))
    left = [verifying.summary_of(files.path, path) for path in segment_paths(files.path)]
    manifest.write(files.path, manifest.manifest(facts, left, []))

    assert files.verify().problems == [f"run {run}: of 3 events 2 are there"]


def test_verify_of_no_store_is_a_mistake(tmp_path):
    """An empty folder must not pass for a store that is in order."""
    with pytest.raises(UsageError, match="no folder that `lbank-ws collect` has written"):
        verifying.verify(tmp_path)
    with pytest.raises(UsageError, match="there is no database"):
        sqlite.verify(tmp_path / "data.db")


# The database.


def test_of_a_bar_the_newest_version_stays(tmp_path):
    """A table with every version is of no use."""
    room = Room("database", tmp_path)
    room.run((BARS, bar(0, 1)), (BARS, bar(2, 5)), (BARS, bar(2, 5, closed=True)), (BARS, bar(1, 3)))

    with sqlite3.connect(room.path) as database:
        rows = database.execute("SELECT volume, closed FROM kline").fetchall()
    database.close()
    assert rows == [("5", 1)]


def test_numbers_are_the_text_that_was_sent(tmp_path):
    """A float would lose the eleventh digit."""
    room = Room("database", tmp_path)
    room.run((TRADES, trade(0, price=Decimal("0.123456789012345678901234567890"))), (TICKS, tick(0)), (BOOKS, book(0)))

    with sqlite3.connect(room.path) as database:
        assert database.execute("SELECT price FROM trade").fetchone() == ("0.123456789012345678901234567890",)
        assert database.execute("SELECT volume FROM ticker").fetchone() == ("1E-8",)
        assert database.execute("SELECT best_ask, asks FROM depth").fetchone() == ("5.10", '[["5.10","2"],["6","1"]]')
    database.close()


def test_others_read_while_it_is_written(tmp_path):
    """A notebook beside the collector is what a database is for."""
    room = Room("database", tmp_path)
    store = room.store()
    store.open(room.facts(), ALL)
    store.put(TRADES, trade(0))
    store.flush()

    with sqlite3.connect(f"file:{room.path}?mode=ro", uri=True) as database:
        assert database.execute("SELECT count(*) FROM trade").fetchone() == (1,)
    database.close()
    store.close()


def test_files_of_somebody_else_are_left_alone(tmp_path):
    """A typing mistake must not cost anybody his data."""
    with sqlite3.connect(tmp_path / "photos.db") as database:
        database.execute("CREATE TABLE photo (name TEXT)")
    database.close()
    (tmp_path / "thesis.txt").write_text("mine " * 200)
    (tmp_path / "link.db").symlink_to(tmp_path / "thesis.txt")

    for name, words in {
        "photos.db": "database of another program",
        "thesis.txt": "no database",
        "link.db": "is a link",
    }.items():
        with pytest.raises(UsageError, match=words):
            SqliteStore(tmp_path / name).open(RunFacts("20201122T000001.000Z-host-1", AT), ALL)
    assert (tmp_path / "thesis.txt").read_text() == "mine " * 200


def test_a_database_of_another_version_is_refused(tmp_path):
    """Older rows are not read as if they were newer ones."""
    room = Room("database", tmp_path)
    room.run((TRADES, trade(0)))
    with sqlite3.connect(room.path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()

    with pytest.raises(UsageError, match="made by another version"):
        room.run((TRADES, trade(1)))


@pytest.mark.parametrize(
    ("text", "path"),
    [("lbank-data", None), ("sqlite:///data.db", "data.db"), ("sqlite:////home/me/data.db", "/home/me/data.db")],
)
def test_a_store_is_named_by_its_address(text, path):
    """As SQLAlchemy writes it."""
    assert sqlite.sqlite_path(text) == path


@pytest.mark.parametrize("text", ["sqlite:data.db", "sqlite://data.db", "sqlite:///", "sqlite:///x?mode=ro"])
def test_an_address_that_is_none_is_told(text):
    """Else a folder of that name would appear."""
    with pytest.raises(UsageError, match="write sqlite:///data"):
        sqlite.sqlite_path(text)
