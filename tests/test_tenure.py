"""A collector whose pairs come and go: what it keeps, what it says is missing, what it tells the lease."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import LBankClient, Topic
from lbank_ws.causes import GapCause
from lbank_ws.channels import topic
from lbank_ws.collect import ledger, manifest
from lbank_ws.collect.collector import Collected, Collector
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.manifest import RunFacts, Span
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.collect.sqlite import SqliteStore
from lbank_ws.collect.store import Store
from lbank_ws.collect.summary import Summary
from lbank_ws.collect.verifying import verify
from lbank_ws.errors import UsageError
from lbank_ws.events import Gap
from lbank_ws.feed.resume import Mark
from lbank_ws.sandbox import Sandbox
from tests.waiting import our_threads, wait_until

AT = datetime(2026, 11, 22, 10, 0, tzinfo=timezone.utc)
TRADE = topic("trade", "btc_usdt")


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def row(spans: list[Span], gaps: list[Gap], live_at: datetime | None = None) -> dict[str, Any]:
    facts = RunFacts("20261122T100000.000Z-host-1", AT, after(100), "stopped", live_at={TRADE: live_at})
    facts.spans = {TRADE: spans}
    said = manifest.manifest(facts, [], [ledger.gap_row(gap, facts.run) for gap in gaps])
    assert manifest.facts_of(said) == facts, "it is read as it was written"
    (found,) = said["topics"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("spans", "gaps", "missing_s", "percent"),
    [
        ([Span(after(10), after(30), after(10)), Span(after(60), None, after(60))], [], 0, 100.0),
        ([Span(after(10), after(30), after(15)), Span(after(60), None, after(60))], [], 5, 91.666),
        ([Span(after(10), after(30), None)], [], 20, 0.0),
        # Taken over, and filled; then taken over again, and not filled before second 62.
        (
            [Span(after(10), after(30), after(12)), Span(after(60), None, after(61))],
            [
                Gap(TRADE, after(5), after(12), GapCause.STOPPED, filled=3),
                Gap(TRADE, after(30), after(62), GapCause.STOPPED, filled=0, missing_before=after(62)),
            ],
            2,
            96.666,
        ),
        # The first hole says nothing of the second time.
        (
            [Span(after(10), after(30), after(12)), Span(after(60), None, after(65))],
            [Gap(TRADE, after(5), after(12), GapCause.STOPPED, filled=3)],
            5,
            91.666,
        ),
    ],
)
def test_only_the_time_counts_in_which_a_pair_was_ours(spans, gaps, missing_s, percent):
    """A pair that was given up is no hole."""
    said = row(spans, gaps)

    assert (said["missing_s"], said["coverage_pct"]) == (missing_s, percent)


def test_a_killed_run_had_its_pairs_until_its_last_event():
    """Nobody wrote down when it lost them."""
    facts = RunFacts("20261122T100000.000Z-host-1", AT, live_at={TRADE: None}, spans={TRADE: [Span(after(10))]})
    kept = Summary("raw/x", TRADE)
    for second in (20, 50):
        kept.count(int(after(second).timestamp() * 1e9), late=False, fetched=False)

    complete = manifest.killed(facts, [kept])

    assert complete.ended_at == after(50)
    assert complete.spans == {TRADE: [Span(after(10), None, after(20))]}


class Told:
    """A lease that says what the test says."""

    def __init__(self, *topics: Topic) -> None:
        self.topics = topics
        self.own: dict[str, int] = {}
        self.mine: set[str] = set()
        self.found: dict[str, Mapping[str, Mark]] = {}
        self.notes: dict[Topic, Mark] = {}
        self.gone: list[tuple[str, int]] = []
        self.has_ended = False

    def start(self) -> None:
        pass

    def give(self, pair: str, epoch: int) -> None:
        self.mine.add(pair)
        self.own = {**self.own, pair: epoch}

    def take(self, pair: str) -> None:
        self.own = {known: epoch for known, epoch in self.own.items() if known != pair}

    def wanted(self) -> Mapping[str, int]:
        return self.own

    def may_write(self, pair: str) -> bool:
        return pair in self.mine

    def marks(self, pair: str) -> Mapping[str, Mark]:
        return self.found.get(pair, {})

    def kept(self, marks: Mapping[Topic, Mark]) -> None:
        self.notes |= marks

    def left(self, pair: str, epoch: int) -> None:
        self.mine.discard(pair)
        self.gone.append((pair, epoch))

    def end(self) -> None:
        self.has_ended = True


@pytest.fixture(params=["files", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FileStore(tmp_path / "data") if request.param == "files" else SqliteStore(tmp_path / "data.db")


@contextmanager
def collecting(box: Sandbox, store: Store, lease: Told) -> Iterator[Callable[[], Collected]]:
    """Collect meanwhile; what is given ends it, and says what it brought."""
    client = LBankClient(url=box.url, rest_url=box.rest_url, backoff_first_s=0.05)
    collector = Collector(client, store, flush_s=0.1, lease=lease)
    done: list[Collected] = []
    thread = threading.Thread(target=lambda: done.append(collector.run()))
    thread.start()

    def end() -> Collected:
        collector.stop()
        thread.join(15)
        return done[0]

    try:
        yield end
    finally:
        end()


def rows(done: Collected, channel: str) -> dict[str, Any]:
    return {row["pair"]: row for row in done.manifest["topics"] if row["channel"] == channel}


@pytest.mark.slow
def test_a_pair_comes_goes_and_comes_again_within_a_run(store):
    """Its notes are behind its events on the disk; what was made in between is fetched, and is no hole in the end."""
    lease = Told(*(topic(channel, pair) for pair in ("btc_usdt", "eth_usdt") for channel in ("trade", "ticker")))
    with Sandbox(pairs=["btc_usdt", "eth_usdt"]) as box, collecting(box, store, lease) as end:
        lease.give("btc_usdt", 1)
        wait_until(lambda: TRADE in lease.notes, 15, "the first note of a trade")
        assert store.counts.events[TRADE] > 0
        lease.give("eth_usdt", 2)
        lease.take("btc_usdt")
        wait_until(lambda: lease.gone == [("btc_usdt", 1)], 10, "the end of a pair")
        kept, told = store.counts.events[TRADE], lease.notes[TRADE]
        wait_until(lambda: topic("trade", "eth_usdt") in lease.notes, 15, "a trade of the other pair")
        assert store.counts.events[TRADE] == kept
        assert not any("btc_usdt" in known for view in box.visitors() for known in view.subscriptions)
        made = box.truth.trade_count
        wait_until(lambda: box.truth.trade_count > made + 4, 15, "trades that nobody hears")
        lease.give("btc_usdt", 3)
        wait_until(lambda: lease.notes[TRADE].received_at > told.received_at, 15, "news of the first pair")
        wait_until(lambda: store.counts.events[TRADE] > kept + 2, 15)
        done = end()
        truth = Counter(each.listing.pair for each in box.truth.trades())

    said = rows(done, "trade")["btc_usdt"]
    assert len(said["spans"]) == 2
    assert said["spans"][0][1] <= said["spans"][1][0]
    (gap,) = [each for each in done.manifest["gaps"] if each["pair"] == "btc_usdt" and each["channel"] == "trade"]
    assert (gap["cause"], gap["missing_before"]) == ("stopped", None)
    assert gap["ended_at"] is not None
    assert said["fetched"] >= 1
    assert store.counts.events[TRADE] <= truth["btc_usdt"]
    assert lease.has_ended
    assert not our_threads()


def test_what_another_worker_has_noted_is_where_a_pair_begins(store):
    """A pair that is taken over has a hole since then, and not since this worker had it last."""
    lease = Told(TRADE)
    since = datetime.now(timezone.utc) - timedelta(seconds=20)
    lease.found["btc_usdt"] = {"trade/btc_usdt": Mark(since, since)}
    with Sandbox(pairs=["btc_usdt"]) as box, collecting(box, store, lease) as end:
        lease.give("btc_usdt", 1)
        wait_until(lambda: store.counts.events[TRADE] > 2, 15, "trades")
        done = end()

    (gap,) = done.manifest["gaps"]
    assert gap["started_at"] == since.isoformat()
    assert gap["cause"] == "stopped"


@pytest.mark.slow
def test_nothing_of_a_pair_is_taken_when_its_lock_has_ended(store):
    """Another one may have it: what still comes is his."""
    lease = Told(TRADE)
    with Sandbox(pairs=["btc_usdt"]) as box, collecting(box, store, lease) as end:
        lease.give("btc_usdt", 1)
        wait_until(lambda: store.counts.events[TRADE] > 0, 15, "a trade")
        lease.mine.clear()
        wait_until(lambda: not store._intake._items, 5)
        kept, made = store.counts.events[TRADE], box.truth.trade_count
        wait_until(lambda: box.truth.trade_count > made + 3, 15)
        assert store.counts.events[TRADE] == kept
        end()


@pytest.mark.slow
def test_a_pair_that_goes_while_its_line_is_away_leaves_no_open_hole(tmp_path):
    """It is the next owner's; an open hole would last until the end of this run."""
    store, lease = FileStore(tmp_path / "data"), Told(TRADE)
    with Sandbox(pairs=["btc_usdt"]) as box, collecting(box, store, lease) as end:
        lease.give("btc_usdt", 1)
        wait_until(lambda: store.counts.events[TRADE] > 0, 15, "a trade")
        box.stop()
        wait_until(lambda: ledger.gap_rows(ledger.entries(tmp_path / "data")), 10, "a hole")
        lease.take("btc_usdt")
        wait_until(lambda: lease.gone, 10, "the end of the pair")
        done = end()

    (gap,) = done.manifest["gaps"]
    assert gap["ended_at"] is not None
    assert verify(tmp_path / "data").problems == []
    assert sum(1 for path in segment_paths(tmp_path / "data") for _ in records(tmp_path / "data", path)) == done.events


def test_a_client_with_a_lease_is_subscribed_to_nothing():
    """Else two would say what is collected."""
    client = LBankClient(url="ws://127.0.0.1:1")
    client.subscribe("trade", "btc_usdt")

    with pytest.raises(UsageError, match="the lease says"):
        Collector(client, FileStore("nowhere"), lease=Told(TRADE)).run()
