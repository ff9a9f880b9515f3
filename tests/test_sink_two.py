"""Two collectors, each with troubles of its own, feed Redis, PostgreSQL and Kafka; the first two are killed meanwhile.

Kafka is librdkafka's mock of a cluster, inside this process; its events are told apart where they are read.
"""

from __future__ import annotations

import importlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import Channel, LBankClient, Topic
from lbank_ws.causes import Cause
from lbank_ws.collect.collector import Collector
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.lines import Head, reader
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.dial import Dialler
from lbank_ws.sandbox import Sandbox
from lbank_ws.sinks import engine_of
from lbank_ws.sinks.kafka_topics import Distinct
from lbank_ws.sinks.seen import seen_in
from lbank_ws.sinks.streaming import Streaming
from tests.servers import PostgresServer, RedisServer, Server
from tests.waiting import our_threads, wait_until

PAIRS = ["btc_usdt", "eth_usdt", "doge_usdt"]
TRADES = 2000
AWAY_S = 20.0


class One:
    """A collector whose line can be cut, and kept from coming back."""

    def __init__(self, name: str, box: Sandbox, root: Path, urls: list[str]) -> None:
        self.came: Counter[str] = Counter()
        self._newest_ms: Counter[str] = Counter()  # of each pair, by the exchange's clock
        self._is_cut = False
        self._dials = 0
        self._lock = threading.Lock()  # a dial that is under way is cut, too
        self._sockets: list[Any] = []
        self._is_over = False
        self._dial = Dialler().dial
        self._client = LBankClient(
            url=box.url, connect=self._connect, backfill=False, backoff_first_s=0.05, backoff_cap_s=0.2
        )
        for pair in PAIRS:
            self._client.subscribe("trade", pair)
        self._client.on_trade(self._count)
        store = FileStore(root / name)
        self.sinks = [Streaming(root / name, engine_of(url, name), waiting_events=300) for url in urls]
        for sink in self.sinks:
            store.tap(sink)
        collector = Collector(self._client, store, flush_s=0.2)
        self._thread = threading.Thread(target=collector.run, kwargs={"until": lambda: self._is_over})
        self._thread.start()

    def _connect(self, url: str, **options: Any) -> Any:
        found = self._dial(url, **options)
        with self._lock:
            if self._is_cut:
                found.close()
                raise ConnectionLost(Cause.UNREACHABLE, "cut by the test")
            self._sockets.append(found)
            self._dials += 1
        return found

    def _count(self, trade: Any) -> None:
        self._newest_ms[trade.pair] = round(trade.traded_at.timestamp() * 1000)
        self.came[trade.pair] += 1

    def has_seen(self, until_ms: int) -> bool:
        """Tell whether all that was made until then has come, for something of each pair that is newer has."""
        return all(self._newest_ms[pair] > until_ms for pair in PAIRS)

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for line in self._sockets:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()

    def mend(self) -> None:
        """Let it come back, and wait until trades of each pair come on it again: they are asked for one by one."""
        with self._lock:
            dials, self._is_cut = self._dials, False
        wait_until(lambda: self._dials > dials, 15, "another line")
        before = self.came.copy()
        wait_until(lambda: all(self.came[pair] > before[pair] for pair in PAIRS), 15, "trades behind a cut")

    def end(self) -> None:
        self._is_over = True
        self._thread.join(25)
        assert not self._thread.is_alive()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    for module, extra in (("redis", "redis"), ("psycopg", "postgres")):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install 'lbank-ws[{extra}]'")
    made: list[Server] = []
    try:
        for kind in (RedisServer, PostgresServer):
            made.append(kind())
            made[-1].start()
        yield made
    finally:
        for server in made:
            server.end()


@pytest.fixture
def cluster() -> Iterator[str]:
    """Give the address of a mocked cluster, which lives as long as its producer."""
    kafka = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is not installed: pip install 'lbank-ws[kafka]'"
    )
    host = kafka.Producer({"test.mock.num.brokers": 2, "bootstrap.servers": "unused"})
    brokers = host.list_topics(timeout=10).brokers.values()
    yield "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    host.flush(1)


def in_kafka(url: str) -> tuple[Counter[Any], int]:
    """Give the trades that a reader of Kafka finds, and how many messages there are."""
    kafka = importlib.import_module("confluent_kafka")
    consumer = kafka.Consumer({"bootstrap.servers": url.removeprefix("kafka://"), "group.id": "test"})
    known = consumer.list_topics("lbank.trade", timeout=10).topics["lbank.trade"].partitions
    places = [kafka.TopicPartition("lbank.trade", number, kafka.OFFSET_BEGINNING) for number in known]
    left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.assign(places)
    distinct, found, count = Distinct(), Counter[Any](), 0
    over_s = time.monotonic() + 30
    while count < left and time.monotonic() < over_s:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        count += 1
        if not distinct.is_new(message.topic(), message.key()):
            continue
        said = dict(message.headers())
        topic = Topic(Channel.TRADE, said["pair"].decode())
        event: Any = reader(Head("", topic, "v2", "", 0))(message.value().decode()).event
        found[topic.pair, round(event.traded_at.timestamp() * 1000), event.price, event.amount] += 1
    consumer.close()
    assert count == left, "the mock gives back everything"
    return found, count


def in_store(folder: Path) -> Counter[Any]:
    """Give the trades that a collector has kept."""
    found: Counter[Any] = Counter()
    for path in segment_paths(folder):
        if path.startswith("raw/channel=trade/"):
            for each in records(folder, path, verify=True):
                event: Any = each.event
                found[event.pair, round(event.traded_at.timestamp() * 1000), event.price, event.amount] += 1
    return found


def in_redis(url: str) -> Counter[Any]:
    database = importlib.import_module("redis").Redis.from_url(url, decode_responses=True)
    found: Counter[Any] = Counter()
    for pair in PAIRS:
        read = reader(Head("", Topic(Channel.TRADE, pair), "v2", "", 0))
        for _, said in database.xrange(f"lbank:trade:{pair}"):
            event: Any = read(said["line"]).event
            found[pair, round(event.traded_at.timestamp() * 1000), event.price, event.amount] += 1
    database.close()
    return found


def in_postgres(url: str) -> Counter[Any]:
    with importlib.import_module("psycopg").connect(url) as connection:
        rows = connection.execute("SELECT pair, at, price, amount FROM lbank.trade").fetchall()
    return Counter((pair, round(at.timestamp() * 1000), price, amount) for pair, at, price, amount in rows)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_two_collectors_are_one_truth_and_a_killed_engine_costs_nothing(tmp_path, servers, cluster):
    """Each line drops at random; wherever one of them was up, the engines have every trade once."""
    dice = random.Random(10)
    with Sandbox(pairs=PAIRS, speed=20) as box:
        both = [One(name, box, tmp_path, [*(server.url for server in servers), cluster]) for name in ("a", "b")]
        try:
            for one in both:
                wait_until(lambda one=one: len(one.came) == len(PAIRS), 15, "the first trades")
            first = box.truth.trade_count
            wait_until(lambda: all(sink.tally.sent for one in both for sink in one.sinks), 15, "what is sent first")
            for server in servers:
                server.kill()
            over_s = time.monotonic() + AWAY_S
            dark: list[tuple[int, int]] = []
            while time.monotonic() < over_s or box.truth.trade_count < first + TRADES:
                victims = both if not dark else [dice.choice(both)]
                since, since_ms = box.truth.trade_count, box.truth.trades()[-1].traded_at_ms
                if len(victims) > 1:  # nobody sees what is under way now
                    wait_until(lambda ms=since_ms: all(one.has_seen(ms) for one in both), 15, "all that was made")
                for one in victims:
                    one.cut()
                wait_s = time.monotonic() + dice.uniform(0.2, 1.5)
                wait_until(lambda wait_s=wait_s: time.monotonic() > wait_s)
                for one in victims:
                    one.mend()
                if len(victims) > 1:
                    dark.append((since, box.truth.trade_count))
            for server in servers:
                server.start()
            last = box.truth.trade_count
            wait_until(lambda: box.truth.trade_count > last + 30, 10)
            wait_until(lambda: all(sink.left < 300 for one in both for sink in one.sinks), 30, "catching up")
        finally:
            for one in both:
                one.end()
        truth = [
            (
                each.listing.pair,
                each.traded_at_ms,
                each.listing.price_of(each.price),
                each.listing.amount_of(each.volume),
            )
            for each in box.truth.trades()
        ]

    assert [sink.left for one in both for sink in one.sinks] == [0] * 6
    ((dark_from, dark_to),) = dark
    due = Counter(truth[first:dark_from] + truth[dark_to:last])
    assert due.total() > TRADES * 0.8
    kept = in_store(tmp_path / "a") | in_store(tmp_path / "b")
    assert due - kept == Counter(), "trades that nobody kept: both were cut, and the test does not know it"
    kafka, messages = in_kafka(cluster)
    assert messages > kafka.total(), "both have sent what both have seen"
    for found in (in_redis(servers[0].url), in_postgres(servers[1].url), kafka):
        assert found - Counter(truth) == Counter(), "trades that nobody made, or twice"
        assert due - found == Counter(), "trades are missing"
    for server in servers:
        whole = Counter[str]()
        for counts in seen_in(engine_of(server.url), 10**7).values():
            whole.update(counts)
        assert whole.keys() == {"a", "b", "a+b"}
        assert whole.total() == in_postgres(servers[1].url).total()
    assert not our_threads()
