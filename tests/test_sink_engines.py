"""The engines themselves: Redis and PostgreSQL as servers of their own, Kafka as librdkafka's mock of a cluster."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.collect.lines import line_text
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.errors import MissingExtra
from lbank_ws.events import Trade
from lbank_ws.sandbox import Sandbox
from lbank_ws.sinks import engine_of
from lbank_ws.sinks.engine import Engine, Taken
from lbank_ws.sinks.kafka_topics import Distinct
from lbank_ws.sinks.parcels import Parcel, parcel, shard_of
from lbank_ws.sinks.seen import seen_in
from lbank_ws.storage_errors import SinkFailed
from lbank_ws.wire.levels import Levels
from tests.servers import PostgresServer, RedisServer, Server
from tests.test_collect_stores import AT, BARS, BOOKS, TICKS, TRADES, bar, book, tick, trade


def sent(seq: int, topic: Any, event: Any, nth: int = 1) -> Parcel:
    return parcel(seq, topic, "v2", event, line_text(event, seq, nth=nth), nth=nth)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    pytest.importorskip("redis", reason="redis is not installed: pip install 'lbank-ws[redis]'")
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'lbank-ws[postgres]'")
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture
def redis_db(redis_server: RedisServer) -> Any:
    """Give an empty server, as redis-py sees it."""
    database = importlib.import_module("redis").Redis.from_url(redis_server.url)
    database.flushall()
    yield database
    database.close()


@pytest.fixture
def tables(postgres_server: PostgresServer) -> Iterator[Callable[..., list[Any]]]:
    """Give what asks an empty database."""
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS lbank CASCADE")
        yield lambda question: connection.execute(question).fetchall()


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


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    """Give an empty server of either kind."""
    if request.param == "redis":
        request.getfixturevalue("redis_db")
    else:
        request.getfixturevalue("tables")
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def opened() -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(url: str, collector: str = "a") -> Engine:
        made.append(engine_of(url, collector))
        made[-1].open()
        return made[-1]

    yield make
    for engine in made:
        engine.close()


# Both.


def test_an_event_that_is_there_is_not_kept_twice(server, opened):
    """From the same collector after a lost answer, from another one, and twice in one batch."""
    batch = [
        *(sent(1, TRADES, trade(0)), sent(2, TRADES, trade(0), nth=2), sent(3, TICKS, tick(1))),
        *(sent(4, BARS, bar(2, 1)), sent(5, BOOKS, book(3))),
    ]

    assert opened(server.url, "a").send(batch) == Taken(5, 0)
    assert opened(server.url, "a").send(batch) == Taken(0, 5)
    assert opened(server.url, "b").send([*batch, sent(6, TRADES, trade(9)), sent(6, TRADES, trade(9))]) == Taken(1, 6)


def test_who_has_seen_what_is_told_by_the_minute(server, opened):
    """Two collectors are there because one may miss something; how much that is shows whether both are needed."""
    both = [sent(seq, TRADES, trade(seq)) for seq in range(4)]
    later = [sent(90, TICKS, tick(90)), sent(91, BOOKS, book(91))]
    opened(server.url, "a").send([*both, sent(5, TRADES, trade(5)), *later])
    opened(server.url, "b").send([sent(6, TRADES, trade(6)), *both, sent(7, TRADES, trade(7)), *later[:1]])
    opened(server.url, "b").send(both)

    found = seen_in(engine_of(server.url), 3600, now=AT + timedelta(minutes=5))

    first = AT.replace(second=0)
    assert found == {first: {"a": 1, "b": 2, "a+b": 4}, first + timedelta(minutes=2): {"a": 1, "a+b": 1}}


def test_a_bar_counts_once_for_whoever_has_sent_any_version_of_it(server, opened):
    """Versions differ between two lines, and that says nothing of who has missed a bar."""
    opened(server.url, "a").send([sent(1, BARS, bar(2, 1)), sent(2, BARS, bar(5, 5))])
    opened(server.url, "b").send([sent(1, BARS, bar(4, 4))])
    opened(server.url, "a").send([sent(3, BARS, bar(6, 6)), sent(1, BARS, bar(2, 1))])

    found = seen_in(engine_of(server.url), 3600 * 24, now=AT + timedelta(minutes=5))

    assert list(found.values()) == [{"a+b": 1}]


def test_a_server_that_is_killed_and_comes_back_has_what_it_confirmed(server, opened):
    """A batch is confirmed when it is as safe as the engine keeps anything."""
    engine = opened(server.url)
    batch = [sent(seq, TRADES, trade(seq)) for seq in range(100)]
    engine.send(batch[:50])
    server.kill()
    try:
        with pytest.raises(SinkFailed) as told:
            engine.send(batch)
        with pytest.raises(SinkFailed):
            engine.open()
    finally:
        server.start()

    assert "takes no events" in str(told.value)
    engine.open()
    assert engine.send(batch) == Taken(50, 50)


def test_a_wrong_password_is_told_without_it(postgres_server, redis_server):
    """It is the first mistake of whoever tries this."""
    urls = [
        redis_server.url.replace("//", "//nobody:hush-hush@"),
        postgres_server.url.replace("lbank@", "nobody:hush-hush@"),
    ]
    for url in urls:
        with pytest.raises(SinkFailed) as told:
            engine_of(url).open()
        assert "hush-hush" not in str(told.value) + repr(told.value)
        assert told.value.__cause__ is None


# Redis.


def test_an_entry_of_a_stream_says_what_a_segment_says(redis_db, redis_server, opened):
    """Whoever reads it needs nothing of this package but the page that explains it."""
    event = bar(2, 1)
    opened(redis_server.url).send([sent(1, TRADES, trade(0)), sent(2, BARS, event)])

    assert redis_db.smembers("lbank:streams") == {b"lbank:trade:btc_usdt", b"lbank:kline:btc_usdt"}
    ((_, said),) = redis_db.xrange("lbank:kline:btc_usdt")
    assert said.pop(b"key").startswith(b"1min|")
    assert said == {
        b"dialect": b"v2",
        b"parameter": b"1min",
        b"collector": b"a",
        b"line": line_text(event, 2).encode(),
    }


def test_redis_forgets_what_is_older_than_its_window(redis_db, redis_server, opened):
    """Its memory is bounded: streams are cut, and keys end."""
    engine = opened(f"{redis_server.url}?window=60&maxlen=100")
    engine.send([sent(seq, TRADES, trade(seq)) for seq in range(1000)])

    assert redis_db.xlen("lbank:trade:btc_usdt") < 300
    keys = list(redis_db.scan_iter("lbank:k:*"))
    assert len(keys) == 1000
    assert 50 < redis_db.ttl(keys[0]) <= 60


# PostgreSQL.


def test_rows_hold_money_exactly_and_moments_in_utc(tables, postgres_server, opened):
    """A float would lose what the exchange said."""
    event = trade(0, price=Decimal("0.000000012345678901234567890"), amount=Decimal("1E+3"), exchange_at=None)
    opened(postgres_server.url).send([sent(1, TRADES, event), sent(2, BOOKS, book(3)), sent(3, TICKS, tick(1))])

    ((price, amount, at, exchange_at, collector),) = tables(
        "SELECT price, amount, traded_at, exchange_at, collector FROM (SELECT *, at AS traded_at FROM lbank.trade) t"
    )
    assert (price, amount, at, exchange_at, collector) == (event.price, 1000, AT, None, "a")
    assert tables("SELECT bids->0->>0, asks->1->>1 FROM lbank.depth") == [("6", "1")]
    assert tables("SELECT last, volume, late FROM lbank.ticker") == [(5, Decimal("1E-8"), False)]


def test_of_a_bar_the_newest_version_stays_whoever_sends_it(tables, postgres_server, opened):
    """One collector may be minutes behind; its older versions must not win because they come later."""
    a, b = opened(postgres_server.url, "a"), opened(postgres_server.url, "b")
    closed = bar(9, 9, closed=True)
    a.send([sent(1, BARS, bar(2, 1)), sent(2, BARS, bar(5, 5)), sent(3, BARS, bar(3, 3))])
    assert tables("SELECT volume, collector FROM lbank.kline") == [(5, "a")]
    b.send([sent(1, BARS, bar(4, 4))])
    assert tables("SELECT volume, collector FROM lbank.kline") == [(5, "a")]
    b.send([sent(2, BARS, bar(9, 9)), sent(3, BARS, closed)])
    a.send([sent(4, BARS, bar(8, 8, closed=True))])

    assert tables("SELECT volume, closed, collector FROM lbank.kline") == [(9, True, "b")]


def test_a_book_is_the_same_in_its_table_whether_it_was_read_before_or_not(tables, postgres_server, opened):
    """Its levels go there as text where they came so; a callback that looked at them changes nothing."""
    one, two = '[["5.10","3"],["5.00","0.0000001"]]', '[["5.20",1],["5.30","1e-3"]]'
    fresh = replace(book(3), bids=Levels(one, "frame"), asks=Levels(two, "frame"), raw="frame 1")
    read = replace(book(4), bids=Levels(one, "frame"), asks=Levels(two, "frame"), raw="frame 2")
    list(read.bids), list(read.asks)
    opened(postgres_server.url).send([sent(1, BOOKS, fresh), sent(2, BOOKS, read)])

    rows = tables("SELECT DISTINCT bids, asks FROM lbank.depth")
    assert rows == [([["5.10", "3"], ["5.00", "0.0000001"]], [["5.20", "1"], ["5.30", "0.001"]])]


def test_a_book_whose_levels_cannot_be_read_does_not_stop_the_others(tables, postgres_server, opened):
    """One bad frame of the exchange must not hold up everything behind it for ever."""
    bad = replace(book(3), bids=Levels('[["x","y"]]', "frame"), raw="frame")
    opened(postgres_server.url).send([sent(1, BOOKS, bad), sent(2, TRADES, trade(0))])

    assert tables("SELECT bids, asks->0->>0 FROM lbank.depth") == [(None, "5.10")]


def test_two_collectors_that_begin_together_make_the_tables_once(tables, postgres_server, opened):
    """Both start with the machine."""
    first, second = opened(postgres_server.url, "a"), opened(postgres_server.url, "b")
    first.send([sent(1, TRADES, trade(0))])
    second.send([sent(1, TRADES, trade(0))])

    assert tables("SELECT count(*) FROM lbank.trade") == [(1,)]
    assert tables("SELECT collector FROM lbank.again") == [("b",)]


# Kafka.


def consumed(cluster: str, count: int, name: str = "lbank.trade") -> list[Any]:
    kafka = importlib.import_module("confluent_kafka")
    brokers = cluster.removeprefix("kafka://")
    consumer = kafka.Consumer({"bootstrap.servers": brokers, "group.id": "test"})
    partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
    consumer.assign([kafka.TopicPartition(name, partition, kafka.OFFSET_BEGINNING) for partition in partitions])
    found: list[Any] = []
    over_s = time.monotonic() + 30
    try:
        while len(found) < count and time.monotonic() < over_s:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                found.append(message)
    finally:
        consumer.close()
    return found


def test_messages_of_a_pair_are_in_order_and_told_apart_by_their_key(cluster, opened):
    """Kafka keeps what both collectors send; the key is the same on both."""
    batch = [sent(seq, TRADES, trade(seq)) for seq in range(20)]
    assert opened(cluster, "a").send(batch) == Taken(20, 0)
    opened(cluster, "b").send(batch)

    found = consumed(cluster, 40)

    assert len(found) == 40
    assert len({message.partition() for message in found}) == 1
    distinct = Distinct()
    own = [message for message in found if distinct.is_new(message.topic(), message.key())]
    assert [message.value().decode() for message in own] == [each.line for each in batch]
    assert dict(own[0].headers()) == {"pair": b"btc_usdt", "dialect": b"v2", "parameter": b"", "collector": b"a"}


def test_a_pair_has_its_partition(cluster, opened):
    """The same one from every collector, whatever the driver would choose."""
    eth = TRADES._replace(pair="eth_usdt")
    engine = opened(cluster)
    engine.send([sent(1, TRADES, trade(0)), sent(2, eth, trade(0, pair="eth_usdt"))])

    found = {message.key().decode().partition("|")[0]: message.partition() for message in consumed(cluster, 2)}

    assert found == {pair: shard_of(pair, engine._partitions["lbank.trade"]) for pair in ("btc_usdt", "eth_usdt")}


@pytest.mark.slow
def test_brokers_that_are_away_are_told(opened):
    """Within seconds, and nothing is taken for sent."""
    pytest.importorskip("confluent_kafka")
    engine = engine_of("kafka://127.0.0.1:9?message.timeout.ms=500&socket.timeout.ms=500")
    engine.open()
    began_s = time.monotonic()
    with pytest.raises(SinkFailed):
        engine.send([sent(1, TRADES, trade(0))])
    assert time.monotonic() - began_s < 15


# On the command line.


def run_cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lbank_ws", *words], capture_output=True, text=True, timeout=50)


@pytest.mark.slow
def test_what_is_collected_goes_to_both_engines_as_well(tmp_path, redis_db, tables, redis_server, postgres_server):
    """`--also` beside the store; then `ship` finds nothing left, and `seen` counts."""
    store = tmp_path / "data"
    with Sandbox(pairs=["btc_usdt", "eth_usdt"], speed=5) as box:
        words = ["collect", "all", "--channels", "ticker,depth,trade,kline:1min", "--to", str(store), "--for", "3s"]
        words += ["--url", box.url, "--rest-url", box.rest_url, "--flush", "200ms", "--name", "me"]
        words += ["--metrics-textfile", str(tmp_path / "metrics.prom")]
        done = run_cli(*words, "--also", redis_server.url, "--also", postgres_server.url)
    assert done.returncode == 0, done.stderr

    kept = [record.event for path in segment_paths(store) for record in records(store, path)]
    metrics = (tmp_path / "metrics.prom").read_text()
    assert len(re.findall(r'^lbank_ws_sink_up\{sink="(?:redis|postgresql)://[^"]+"\} 1$', metrics, re.M)) == 2
    assert re.findall(r"^lbank_ws_sink_left\{.*\} (\d+)$", metrics, re.M) == ["0", "0"]
    trades = [event for event in kept if isinstance(event, Trade)]
    assert len(trades) > 5
    assert tables("SELECT count(*) FROM lbank.trade") == [(len(trades),)]
    assert sum(redis_db.xlen(name) for name in redis_db.smembers("lbank:streams")) == len(kept)
    for url in (redis_server.url, postgres_server.url):
        shipped = run_cli("ship", str(store), "--to", url, "--name", "me")
        assert (shipped.returncode, shipped.stderr.partition(" sent")[0]) == (0, "0 events")
        again = run_cli("ship", str(store), "--to", url, "--name", "other", "--again")
        assert f"{len(kept)} events sent" in again.stderr
        assert "0 new" in again.stderr
        seen = run_cli("seen", url, "--since", "1d")
        assert seen.returncode == 0
        assert "me+other" in seen.stdout.splitlines()[0]
    assert "0 differences" in run_cli("verify", str(store)).stdout


@pytest.mark.slow
def test_an_engine_that_is_away_ends_ship_and_not_collect(tmp_path):
    """69 tells cron to try again; the collection has its store."""
    away = "redis://127.0.0.1:9"
    store = tmp_path / "data"
    done = run_cli("collect", "btc_usdt", "--sandbox", "--for", "1s", "--to", str(store), "--also", away)
    shipped = run_cli("ship", str(store), "--to", away)

    assert done.returncode == 0
    assert "events were not sent" in done.stderr
    assert (shipped.returncode, shipped.stdout) == (69, "")
    assert run_cli("collect", "btc_usdt", "--to", "sqlite:///x.db", "--also", away).returncode == 2
    assert run_cli("ship", str(tmp_path), "--to", away).returncode == 2


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch):
    """One line says what to install."""
    for url, extra in (("redis://host", "redis"), ("postgresql://host", "postgres"), ("kafka://host", "kafka")):
        module = {"redis": "redis", "postgres": "psycopg", "kafka": "confluent_kafka"}[extra]
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingExtra, match=rf"pip install 'lbank-ws\[{extra}\]'"):
            engine_of(url)


def test_who_has_seen_what_is_read_out_of_kafka(cluster, opened):
    """It does not count itself; and all versions of a bar are one."""
    both = [sent(seq, TRADES, trade(seq)) for seq in range(4)]
    opened(cluster, "a").send([*both, sent(5, TRADES, trade(5)), sent(6, BARS, bar(2, 1)), sent(7, BARS, bar(5, 5))])
    opened(cluster, "b").send([*both, sent(7, TRADES, trade(7)), sent(8, BARS, bar(4, 4)), sent(9, TICKS, tick(90))])
    opened(cluster, "b").send(both)

    found = seen_in(engine_of(cluster), 3600 * 24, now=AT + timedelta(minutes=5))

    whole = Counter[str]()
    for counts in found.values():
        whole.update(counts)
    assert whole == {"a": 1, "b": 2, "a+b": 5}
    assert seen_in(engine_of(cluster), 60, now=AT + timedelta(days=2)) == {}
