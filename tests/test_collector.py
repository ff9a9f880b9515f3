"""A collector on the practice exchange: what is kept, what is told of holes, how a run ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import LBankClient, StoreBusy, StoreFailed, SubscriptionRefused, UsageError
from lbank_ws.channels import topic
from lbank_ws.collect import ledger, manifest
from lbank_ws.collect.collector import Collected, Collector
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.collect.sqlite import SqliteStore
from lbank_ws.collect.verifying import verify
from lbank_ws.feed.resume import Mark, ResumeFile
from lbank_ws.sandbox import Sandbox
from tests.waiting import our_threads, wait_until

CHANNELS = ("ticker", "depth", "trade", "kline")
KEEP = {"ticker": "keep", "depth": "keep"}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt", "eth_usdt"], speed=3) as box:
        yield box


@pytest.fixture
def client(box: Sandbox, make_client: Callable[..., LBankClient]) -> LBankClient:
    made = make_client(box.url, rest_url=box.rest_url, policies=KEEP)
    for channel in CHANNELS:
        made.subscribe(channel, "btc_usdt")
    return made


def kept(root: Path, channel: str = "") -> list[Any]:
    paths = [path for path in segment_paths(root) if f"channel={channel}" in path]
    return sorted((record for path in paths for record in records(root, path)), key=lambda record: record.seq)


def has_all(store: FileStore) -> bool:
    return len(store.counts.events) == len(CHANNELS)


def test_everything_that_callbacks_get_is_kept(tmp_path, client):
    """The user's own callbacks run beside the collector's, and see the same."""
    heard: dict[str, list[Any]] = {channel: [] for channel in CHANNELS}
    for channel in CHANNELS:
        getattr(client, f"on_{channel}")(heard[channel].append)
    store = FileStore(tmp_path / "data")

    done = Collector(client, store, flush_s=0.1).run(for_s=20, until=lambda: has_all(store))

    assert done.end == "stopped"
    for channel in ("ticker", "depth"):  # one that says the same of the same moment once more is no other one
        once: dict[str, Any] = {}
        for event in heard[channel]:
            once.setdefault(event.raw, event)
        heard[channel] = list(once.values())
    for channel in CHANNELS:
        assert [record.event for record in kept(tmp_path / "data", channel)] == heard[channel]
    assert all(record.line >= 1 for record in kept(tmp_path / "data"))
    assert verify(tmp_path / "data").problems == []
    assert {row["channel"]: row["events"] for row in done.manifest["topics"]} == {
        channel: len(events) for channel, events in heard.items()
    }
    assert not our_threads()


def test_a_drop_is_a_hole_in_the_ledger_and_is_filled(tmp_path, box, client):
    """What the client tells of a hole reaches the disk, opened and closed."""
    store = FileStore(tmp_path / "data")
    collector = Collector(client, store, flush_s=0.1)
    closed: list[Any] = []
    client.on_gap(lambda gap: closed.append(gap) if gap.ended_at is not None else None)

    def until() -> bool:
        if has_all(store) and not collector.gaps:
            box.fault("reset")
            wait_until(lambda: len(collector.gaps) == len(CHANNELS))
        return len(closed) == len(CHANNELS)

    done = collector.run(for_s=30, until=until)

    holes = ledger.gap_rows(ledger.entries(tmp_path / "data"))
    assert sorted(row["channel"] for row in holes) == sorted(CHANNELS)
    assert all(row["cause"] == "line lost" and row["ended_at"] is not None for row in holes)
    assert done.manifest["gaps"] == holes
    assert verify(tmp_path / "data").problems == []


def made(box: Sandbox) -> list[tuple[Any, ...]]:
    return [
        (each.traded_at_ms, each.listing.price_of(each.price), each.listing.amount_of(each.volume))
        for each in box.truth.trades("btc_usdt")
    ]


def known(trade: Any) -> tuple[Any, ...]:
    return round(trade.traded_at.timestamp() * 1000), trade.price, trade.amount


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FileStore, SqliteStore])
def test_run_after_run_is_as_good_as_one_run(tmp_path, box, make_client, kind):
    """Cron starts one an hour; between them trades go on."""
    path = tmp_path / "data"
    ends = []
    for _ in range(3):
        client = make_client(box.url, rest_url=box.rest_url)
        client.subscribe("trade", "btc_usdt")
        store = kind(path)
        came: list[Any] = []
        client.on_trade(came.append)
        done = Collector(client, store, flush_s=0.2).run(
            for_s=20, until=lambda client=client, came=came: len(came) > 5 and bool(client.stats()[0].pushes > 8)
        )
        ends.append(done)
        count = box.truth.trade_count
        wait_until(lambda count=count: box.truth.trade_count > count + 20, 10)

    if kind is FileStore:
        found = [known(record.event) for record in kept(path, "trade")]
        # Of the first moment some may have been made before anybody listened.
        first_ms, last_ms = min(found)[0], max(found)[0]
        truth = Counter(trade for trade in made(box) if first_ms < trade[0] <= last_ms)
        assert Counter(trade for trade in found if trade[0] > first_ms) == truth
        assert verify(path).problems == []
    assert [done.manifest["topics"][0]["coverage_pct"] for done in ends[1:]] == [100, 100]
    assert all(done.manifest["fetched"] for done in ends[1:])


def outage(box: Sandbox, minutes: int) -> None:
    """Wait until so many minutes of the market have gone by."""
    count = box.truth.trade_count
    assert count
    over_s = time.monotonic() + minutes
    wait_until(lambda: time.monotonic() >= over_s, minutes + 5)


@pytest.mark.slow
def test_bars_between_two_runs_are_fetched(tmp_path, make_client):
    """A chart with a hole in it is wrong for ever."""
    with Sandbox(pairs=["btc_usdt"], speed=60) as box:
        for is_first in (True, False):
            client = make_client(box.url, rest_url=box.rest_url)
            client.subscribe("kline", "btc_usdt")
            closed: list[Any] = []
            client.on_gap(lambda gap, closed=closed: closed.append(gap) if gap.ended_at else None)
            is_over = (lambda client=client: client.stats()[0].pushes > 12) if is_first else (lambda c=closed: bool(c))
            Collector(client, FileStore(tmp_path / "data"), flush_s=0.2).run(for_s=20, until=is_over)
            outage(box, 3 if is_first else 0)

    openings = sorted({record.event.opened_at for record in kept(tmp_path / "data", "kline")})
    assert {(late - early).total_seconds() for early, late in pairwise(openings)} == {60}
    assert any(record.event.source == "backfill" for record in kept(tmp_path / "data", "kline"))


@pytest.mark.slow
def test_resume_from_a_file_fills_bars_too(tmp_path, make_client):
    """Without the start of the newest bar there is nothing to fetch from, and the hole would never close."""
    gaps: list[Any] = []
    with Sandbox(pairs=["btc_usdt"], speed=60) as box:
        for is_first in (True, False):
            client = make_client(box.url, rest_url=box.rest_url, resume=tmp_path / "marks")
            client.subscribe("kline", "btc_usdt")
            client.on_gap(gaps.append)
            is_over = (lambda client=client: client.stats()[0].pushes > 12) if is_first else (lambda: len(gaps) == 2)
            client.run(for_s=20, until=is_over)
            outage(box, 3 if is_first else 0)

    assert [gap.ended_at is None for gap in gaps] == [True, False]
    assert gaps[1].filled
    assert gaps[1].missing_before is None


def test_a_hole_of_which_nothing_tells_where_it_begins_is_closed_as_it_is(tmp_path, box, make_client):
    """A file of an older version does not say which bar was the newest; the hole must not stay open for ever."""
    asked = topic("kline", "btc_usdt")
    ResumeFile(tmp_path / "marks").write({asked: Mark(datetime.now(timezone.utc))})
    client = make_client(box.url, rest_url=box.rest_url, resume=tmp_path / "marks")
    client.subscribe("kline", "btc_usdt")
    gaps: list[Any] = []
    client.on_gap(gaps.append)

    client.run(for_s=20, until=lambda: len(gaps) == 2)

    assert [gap.ended_at is None for gap in gaps] == [True, False]
    assert (gaps[1].filled, gaps[1].missing_before is None) == (0, False)


class SlowDisk(FileStore):
    """A store whose disk takes half a second for everything."""

    def flush(self) -> None:
        threading.Event().wait(0.5)
        super().flush()


@pytest.mark.slow
def test_a_slow_disk_costs_nothing_that_came(tmp_path, client):
    """It holds up neither reading nor callbacks; three writes take longer than the whole run of a quick one."""
    heard: list[Any] = []
    delays_s: list[float] = []

    @client.on_ticker
    def note(event: Any) -> None:
        heard.append(event)
        delays_s.append(time.time() - event.received_ns / 1e9)

    store = SlowDisk(tmp_path / "data")
    Collector(client, store, flush_s=0.06).run(for_s=2)

    assert [record.event for record in kept(tmp_path / "data", "ticker")] == heard
    assert len(heard) > 5
    assert sorted(delays_s)[len(delays_s) // 2] < 0.2


def run_with(tmp_path: Path, client: LBankClient, **options: Any) -> Collected:
    return Collector(client, FileStore(tmp_path / "data"), flush_s=0.1, **options).run(for_s=20)


def test_a_run_ends_when_enough_came(tmp_path, client):
    """`--count`."""
    assert run_with(tmp_path, client, count=3).end == "enough"


def test_a_run_ends_when_nothing_comes(tmp_path, box, client):
    """`--idle-exit`: a pair that is not traded any more."""
    with box.fault("mute"):
        done = run_with(tmp_path, client, idle_exit_s=0.5)

    assert done.end == "idle"
    assert done.events == 0
    assert all(row["live_at"] is None or row["channel"] == "trade" for row in done.manifest["topics"])


def test_a_run_ends_in_time(tmp_path, client):
    """Everything that came before is kept."""
    began_s = time.monotonic()

    done = Collector(client, FileStore(tmp_path / "data")).run(for_s=1)

    assert done.end == "time over"
    assert 1 <= time.monotonic() - began_s < 4
    assert done.events == len(kept(tmp_path / "data")) > 0


def test_stop_and_rotate_work_from_any_thread(tmp_path, client):
    """A handler of a signal calls them."""
    store = FileStore(tmp_path / "data")
    collector = Collector(client, store, flush_s=0.1)

    def act() -> None:
        wait_until(lambda: has_all(store), 20)
        collector.rotate()
        wait_until(lambda: segment_paths(tmp_path / "data"))
        collector.stop()

    thread = threading.Thread(target=act)
    thread.start()
    done = collector.run(for_s=30)
    thread.join(5)

    assert done.end == "stopped"
    assert verify(tmp_path / "data").problems == []


def test_a_client_without_subscriptions_is_a_mistake(tmp_path, box, make_client):
    """An empty store would look like a quiet market."""
    with pytest.raises(UsageError, match="subscribed to nothing"):
        Collector(make_client(box.url), FileStore(tmp_path / "data")).run(for_s=1)


def test_the_second_of_two_collectors_is_refused(tmp_path, box, make_client, client):
    """And the first one does not notice."""
    store = FileStore(tmp_path / "data")
    second = make_client(box.url)
    second.subscribe("trade", "btc_usdt")
    refused: list[Exception] = []

    def until() -> bool:
        try:
            Collector(second, FileStore(tmp_path / "data")).run(for_s=5)
        except StoreBusy as busy:
            refused.append(busy)
        return bool(refused)

    done = Collector(client, store).run(for_s=10, until=until)

    assert done.end == "stopped"
    assert len(refused) == 1
    assert len(manifest.runs(tmp_path / "data")) == 1


def test_a_refused_pair_does_not_end_the_others_and_all_refused_do(tmp_path, box, make_client):
    """A pair that was taken from the list must not cost the rest of the crontab line."""
    client = make_client(box.url, rest_url=box.rest_url)
    client.on_error(lambda _error: None)
    client.subscribe("ticker", "btc_usdt")
    client.subscribe("ticker", "no_pair")
    done = Collector(client, FileStore(tmp_path / "data"), flush_s=0.1, count=3).run(for_s=20)
    assert done.end == "enough"
    assert [row["live_at"] is None for row in done.manifest["topics"]] == [False, True]

    alone = make_client(box.url, rest_url=box.rest_url)
    alone.on_error(lambda _error: None)
    alone.subscribe("ticker", "no_pair")
    with pytest.raises(SubscriptionRefused):
        Collector(alone, FileStore(tmp_path / "data")).run(for_s=20)
    assert manifest.read(tmp_path / "data", manifest.runs(tmp_path / "data")[-1])["end"] == "refused"


def test_a_full_disk_ends_the_run_and_the_client(tmp_path, client):
    """A collector that goes on without a disk collects nothing."""
    store = FileStore(tmp_path / "data")

    def until() -> bool:
        if has_all(store):
            store._min_free_bytes = 10**18
        return False

    with pytest.raises(StoreFailed, match="are to stay free"):
        Collector(client, store, flush_s=0.1).run(for_s=20, until=until)

    assert manifest.read(tmp_path / "data", manifest.runs(tmp_path / "data")[0])["end"] == "disk"
    assert verify(tmp_path / "data").problems == []
    wait_until(lambda: not our_threads())


def test_the_simple_dialect_is_collected_too(tmp_path, box, make_client):
    """Its frames may hold several trades, so that these are kept one by one."""
    client = make_client(box.url, rest_url=box.rest_url, dialect="simple", policies=KEEP)
    heard: list[Any] = []
    for channel in ("ticker", "depth", "trade"):
        client.subscribe(channel, "btc_usdt")
    client.on_trade(heard.append)
    store = FileStore(tmp_path / "data")

    Collector(client, store, flush_s=0.1).run(for_s=20, until=lambda: len(store.counts.events) == 3)

    trades = [record.event for record in kept(tmp_path / "data", "trade")]
    assert [known(trade) for trade in trades] == [known(trade) for trade in heard]
    assert verify(tmp_path / "data").problems == []


@pytest.mark.parametrize("options", [{"flush_s": 0}, {"flush_s": -1}, {"idle_exit_s": 0}])
def test_lengths_that_are_none_are_refused(tmp_path, box, make_client, options):
    """A mistake of a unit should be told before a night is lost."""
    with pytest.raises(UsageError, match="above 0"):
        Collector(make_client(box.url), FileStore(tmp_path / "data"), **options)
