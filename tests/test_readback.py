"""Reading back from a real Redis, with the callbacks of the live client."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.sinks import RedisFeed, subscribe_from
from lbank_ws.storage_errors import SinkFailed
from tests.servers import RedisServer
from tests.test_collect_stores import BARS, BOOKS, TICKS, TRADES, bar, book, tick, trade
from tests.test_sink_engines import opened, redis_db, redis_server, sent  # noqa: F401 - fixtures
from tests.waiting import our_threads, wait_until


@contextmanager
def running(*feeds: RedisFeed) -> Iterator[None]:
    threads = [threading.Thread(target=feed.run) for feed in feeds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for feed in feeds:
            feed.stop()
        for thread in threads:
            thread.join(10)
    assert not our_threads()


@pytest.fixture
def send(redis_db: Any, redis_server: RedisServer, opened: Callable[..., Any]) -> Callable[..., None]:  # noqa: F811
    engine = opened(redis_server.url)

    def act(*items: Any) -> None:
        engine.open()
        engine.send([sent(number, *item) for number, item in enumerate(items)])

    return act


@pytest.fixture
def url(redis_server: RedisServer) -> str:  # noqa: F811
    return redis_server.url


def test_callbacks_get_the_events_that_were_sent(send, url):
    """The same values as on the collector, in order; other pairs and intervals are not called back with."""
    send((TRADES, trade(0)), (TRADES, trade(1)), (BARS, bar(2, 1)), (BOOKS, book(3)), (TICKS, tick(4)))
    feed = subscribe_from(url, from_start=True)
    heard: list[Any] = []
    others: list[Any] = []
    feed.on_trade("btc_usdt")(heard.append)
    feed.on_kline("btc_usdt")(heard.append)
    feed.on_depth("btc_usdt", levels=20)(heard.append)
    feed.on_ticker(heard.append)
    feed.on_kline("btc_usdt", interval="5min")(others.append)
    feed.on_trade("eth_usdt")(others.append)

    with running(feed):
        wait_until(lambda: len(heard) == 5)

    assert [event for event in heard if event.channel == "trade"] == [trade(0), trade(1)]
    assert {event.channel: event for event in heard if event.channel != "trade"} == {
        "kline": bar(2, 1),
        "depth": book(3),
        "ticker": tick(4),
    }
    assert others == []


def test_without_a_group_reading_begins_with_what_comes_next(send, url):
    """A screen wants the present, and finds a pair that is collected only later."""
    send((TRADES, trade(0)))
    feed = subscribe_from(url)
    heard: list[Any] = []
    feed.on_trade("btc_usdt")(heard.append)
    feed.on_ticker(heard.append)

    with running(feed):
        wait_until(lambda: feed._last)
        send((TRADES, trade(5)))
        wait_until(lambda: heard == [trade(5)])
        send((TICKS, tick(6)), (TICKS, tick(7)))
        wait_until(lambda: heard == [trade(5), tick(6), tick(7)], 10)


def test_readers_of_a_group_share_what_comes(send, url):
    """Each event is worked on once, by one of them."""
    heard: dict[str, list[Any]] = {"a": [], "b": []}
    feeds = [subscribe_from(url, group="bots", consumer=name, from_start=True) for name in heard]
    for feed, own in zip(feeds, heard.values(), strict=True):
        feed.on_trade("btc_usdt")(own.append)

    with running(*feeds):
        for second in range(60):
            send((TRADES, trade(second)))
        wait_until(lambda: len(heard["a"]) + len(heard["b"]) >= 60)

    assert sorted(event.traded_at for event in heard["a"] + heard["b"]) == [trade(s).traded_at for s in range(60)]


def test_what_a_reader_did_not_get_to_the_end_of_comes_again(send, url, redis_db):  # noqa: F811
    """It was killed with entries in its hands; its next life gets them, or another reader does after a while."""
    send(*((TRADES, trade(second)) for second in range(4)))
    redis_db.xgroup_create("lbank:trade:btc_usdt", "bots", id="0")
    redis_db.xreadgroup("bots", "a", {"lbank:trade:btc_usdt": ">"}, count=3)
    heard: list[Any] = []
    feed = subscribe_from(url, group="bots", consumer="a")
    feed.on_trade("btc_usdt")(heard.append)

    with running(feed):
        wait_until(lambda: len(heard) == 4)

    assert heard == [trade(second) for second in range(4)]
    assert redis_db.xpending("lbank:trade:btc_usdt", "bots")["pending"] == 0


def test_another_reader_takes_over_from_one_that_is_gone(send, url, redis_db, monkeypatch):  # noqa: F811
    """Else its entries would wait for a name that never comes back."""
    monkeypatch.setattr("lbank_ws.sinks.readback._ABANDONED_S", 0.2)
    send(*((TRADES, trade(second)) for second in range(4)))
    redis_db.xgroup_create("lbank:trade:btc_usdt", "bots", id="0")
    redis_db.xreadgroup("bots", "gone", {"lbank:trade:btc_usdt": ">"}, count=3)
    heard: list[Any] = []
    feed = subscribe_from(url, group="bots", consumer="a")
    feed.on_trade("btc_usdt")(heard.append)

    with running(feed):
        wait_until(lambda: len(heard) == 4)

    assert redis_db.xpending("lbank:trade:btc_usdt", "bots")["pending"] == 0


def test_a_server_that_went_away_is_told_and_read_on(send, url, redis_server):  # noqa: F811
    """A restart of Redis must not end every program that reads it."""
    feed = subscribe_from(url, group="bots")
    heard: list[Any] = []
    faults: list[Any] = []
    feed.on_trade("btc_usdt")(heard.append)
    feed.on_error(faults.append)
    with running(feed):
        wait_until(lambda: feed._last == {"lbank:trade:btc_usdt": ">"})
        send((TRADES, trade(0)))
        wait_until(lambda: len(heard) == 1)
        redis_server.kill()
        try:
            wait_until(lambda: faults, 10)
        finally:
            redis_server.start()
        send((TRADES, trade(1)))
        wait_until(lambda: len(heard) == 2, 10)

    assert all(isinstance(fault, SinkFailed) for fault in faults)


def test_an_entry_that_is_none_of_ours_is_a_fault(send, url, redis_db):  # noqa: F811
    """Somebody else's entry must not stop the reader, nor be passed over in silence."""
    send((TRADES, trade(0)))
    redis_db.xadd("lbank:trade:btc_usdt", {"what": "this"})
    redis_db.xadd("lbank:trade:btc_usdt", {"dialect": "v2", "parameter": "", "line": "{"})
    feed = subscribe_from(url, from_start=True)
    faults: list[Any] = []
    feed.on_error(faults.append)
    feed.on_trade("btc_usdt")(lambda event: None)

    with running(feed):
        wait_until(lambda: len(faults) == 2)

    assert all(isinstance(fault, DecodeError) for fault in faults)


def test_only_redis_is_read_back():
    """Of the others the engine's own clients read."""
    importlib.import_module("lbank_ws.sinks")
    with pytest.raises(UsageError, match="redis:// can"):
        subscribe_from("postgresql://host/market")
