"""What is decided about sinks, without an engine: addresses, identities, what waits and what is left on the disk."""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import LBankClient
from lbank_ws.cli.sinks import shard, shared
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.lines import line_text
from lbank_ws.errors import UsageError
from lbank_ws.events import Receipt
from lbank_ws.sandbox import Sandbox
from lbank_ws.sinks import engine_of
from lbank_ws.sinks.addresses import address_of
from lbank_ws.sinks.course import Course
from lbank_ws.sinks.cursor import SENT, Cursor
from lbank_ws.sinks.direct import Direct
from lbank_ws.sinks.engine import Engine, Taken
from lbank_ws.sinks.kafka_topics import Distinct, settings_of
from lbank_ws.sinks.parcels import Parcel, parcel, shard_of
from lbank_ws.sinks.shipping import Shipper
from lbank_ws.sinks.streaming import Streaming
from lbank_ws.storage_errors import SinkFailed, StoreBusy, StoreDamaged
from tests.test_collect_stores import ALL, AT, BARS, BOOKS, TICKS, TRADES, Room, bar, book, killed, tick, trade
from tests.waiting import our_threads, wait_until

SECRET = "s3cr3t/pass"
SPELT = "s3cr3t%2Fpass"


# Addresses.


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host"),
        ("redis://host:6379/0?window=60", "redis://host:6379/0"),
        (f"redis://:{SPELT}@host:6379/0", "redis://:***@host:6379/0"),
        (f"rediss://me:{SPELT}@host", "rediss://me:***@host"),
        (f"postgresql://me:{SPELT}@host/market", "postgresql://me:***@host/market"),
        (f"postgresql://me@host/market?password={SPELT}", "postgresql://me@host/market"),
        ("postgresql:///market", "postgresql:///market"),
        (f"kafka://me:{SPELT}@one:9092,two:9092", "kafka://me:***@one:9092,two:9092"),
        ("redis://192.0.2.7:6379/0", "redis://x.x.x.x:6379/0"),
    ],
)
def test_an_address_is_shown_without_password_and_ip_address(url, shown):
    """Logs are kept for years and sent to strangers."""
    address = address_of(url, ("window",))

    assert (str(address), address.shown) == (shown, shown)
    assert SECRET not in repr(address)
    assert SPELT not in repr(address)


@pytest.mark.parametrize(
    "url", ["http://host", "host:6379", "", "redis://", "kafka:///", f"redis:{SPELT}@host", f"redis://{SPELT}@[host"]
)
def test_what_is_no_address_of_a_sink_is_told_without_showing_it(url):
    """It may be a password in the wrong place."""
    with pytest.raises(UsageError, match="sink") as told:
        address_of(url)

    assert SPELT not in str(told.value)


def test_what_a_driver_says_is_told_without_the_password():
    """libpq quotes what it cannot read."""
    address = address_of(f"postgresql://me:{SPELT}@host/market")

    for said in (f'invalid "{address.url}"', f"no {SECRET} here\nsecond line", f"no {SPELT} at 192.0.2.7"):
        told = address.scrubbed(said)
        assert not any(secret in told for secret in (SECRET, SPELT, "192.0.2", "second"))


def test_our_own_options_do_not_reach_the_driver():
    """redis-py refuses what it does not know."""
    address = address_of("redis://host?window=60&health_check_interval=5", ("window", "maxlen"))

    assert address.url == "redis://host?health_check_interval=5"
    assert (address.number("window", 1), address.number("maxlen", 7)) == (60, 7)
    with pytest.raises(UsageError, match="no whole number"):
        address_of("redis://host?window=soon", ("window",)).number("window", 1)


def test_one_server_has_one_cursor_whatever_the_password():
    """Two servers whose addresses are masked alike have two."""
    names = [
        address_of(f"redis://{where}").file_name
        for where in (":one@host/0", ":two@host/0", "host/1", "192.0.2.7/0", "192.0.2.8/0")
    ]

    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_settings_of_kafka_come_from_the_address():
    """A broker with an account is spoken to over TLS."""
    plain = settings_of(address_of("kafka://one:9092,two:9092?client.id=mine"))
    account = settings_of(address_of(f"kafka://me:{SPELT}@one:9092"))

    assert plain == {"bootstrap.servers": "one:9092,two:9092", "client.id": "mine"}
    assert (account["security.protocol"], account["sasl.password"]) == ("SASL_SSL", SECRET)


# Identity.


def sent(seq: int, topic: Any, event: Any, nth: int = 1) -> Parcel:
    return parcel(seq, topic, "v2", event, line_text(event, seq, nth=nth), nth=nth)


def test_two_collectors_give_the_same_event_the_same_identity():
    """Number, line, age and receive moment differ; another event differs in the identity, too."""
    events = [(TRADES, trade(0)), (TICKS, tick(0)), (BARS, bar(0, 1)), (BOOKS, book(0))]
    others = [(TRADES, trade(1)), (TICKS, tick(1)), (BARS, bar(0, 2)), (BOOKS, book(1))]

    mine = [sent(1, *each).digest for each in events]
    theirs = [
        sent(9, topic, replace(event, receipt=Receipt(event.received_ns + 10**9, 0.5, line=7))).digest
        for topic, event in events
    ]

    assert mine == theirs
    assert len({*mine, *(sent(1, *each).digest for each in others), sent(1, TRADES, trade(0), 2).digest}) == 9


def test_the_identity_in_memory_is_that_of_the_segment(tmp_path):
    """What is sent from the segments later must be known as what was sent at once; equal trades have numbers there."""
    heard: list[Any] = []
    tap = Heard(heard)
    store = FileStore(tmp_path / "data")
    store.tap(tap)
    Room("files", tmp_path).run(
        (TRADES, trade(0)), (TRADES, trade(0)), (TICKS, tick(1)), (BARS, bar(2, 1)), (BOOKS, book(3)), store=store
    )
    engine = Listed()

    shipped = Shipper(tmp_path / "data", engine)
    shipped.cursor.open()
    shipped.older(lambda: False, everything=True)

    at_once = {each.seq: parcel(each.seq, each.topic, "v2", each.event, each.line, nth=each.nth) for each in heard}
    assert {each.seq: each.digest for each in engine.got} == {seq: each.digest for seq, each in at_once.items()}
    assert {each.seq: each.line for each in engine.got} == {each.seq: each.line for each in heard}
    assert len({each.digest for each in engine.got}) == 5


def test_an_event_belongs_to_the_minute_in_which_it_happened():
    """Two collectors count it in the same one."""
    assert sent(1, TRADES, trade(3)).at == AT + timedelta(seconds=3)
    assert sent(1, BARS, bar(3, 1)).at == AT.replace(second=0)
    assert sent(1, TICKS, tick(4)).at == AT + timedelta(seconds=4)


def test_shares_are_the_same_everywhere_and_have_each_pair_once():
    """A share that depended on the list would move pairs whenever one is listed."""
    pairs = [f"a{number}_usdt" for number in range(500)]

    shares = [shared(pairs, (number, 5)) for number in range(1, 6)]

    assert sorted(pair for share in shares for pair in share) == sorted(pairs)
    assert all(70 < len(share) < 130 for share in shares)
    assert [shard_of(pair, 5) for pair in ("btc_usdt", "eth_usdt", "doge_usdt")] == [1, 0, 0]
    assert shared(pairs, None) == pairs


@pytest.mark.parametrize("text", ["0/5", "6/5", "2", "2/", "/5", "a/b", "-1/5", "1/0"])
def test_what_is_no_share_is_told(text):
    """`--shard 0/5` would leave out a fifth."""
    with pytest.raises(argparse.ArgumentTypeError, match="no share"):
        shard(text)


def test_equal_messages_are_told_apart_where_kafka_is_read():
    """Both collectors' messages stand there."""
    distinct = Distinct(window=2)

    assert [distinct.is_new("trade", key) for key in (b"a", b"a", b"b", b"c", b"b", b"a")] == [
        *(True, False, True, True, False, True)
    ]
    assert distinct.is_new("depth", b"a")


# What waits in memory, and what is left to the segments.


def numbered(first: int, last: int) -> list[Parcel]:
    return [sent(seq, TRADES, trade(seq)) for seq in range(first, last + 1)]


def test_what_has_room_is_sent_from_memory_in_order():
    """The usual case reads nothing twice."""
    course = Course(10)
    assert course.offer(numbered(1, 4))
    assert course.offer(numbered(5, 6))

    batch = course.batch(4)
    course.sent(batch)

    assert [each.seq for each in batch] == [1, 2, 3, 4]
    assert (course.through, course.known, course.left, len(course)) == (4, 6, 2, 2)
    assert course.due() is None


def test_what_finds_no_room_is_read_from_the_segments_behind_what_waits():
    """Nothing is left out in between, and the memory is used again only when nothing is left there."""
    course = Course(3)
    course.offer(numbered(1, 3))
    assert not course.offer(numbered(4, 4))
    assert not course.offer(numbered(5, 5))
    assert course.due() is None

    course.sent(course.batch(3))
    assert course.due() == 5
    assert not course.offer(numbered(6, 7))  # comes while the segments are read
    course.read(5)
    assert course.due() == 7
    course.read(7)
    assert course.is_behind
    assert course.due() is None
    assert not course.is_behind

    assert course.offer(numbered(8, 9))
    assert [each.seq for each in course.batch(9)] == [8, 9]
    assert course.left == 2


def test_a_batch_that_failed_is_given_again():
    """It is sent until the engine has it."""
    course = Course(9)
    course.offer(numbered(1, 3))

    assert course.batch(2) == course.batch(2)
    assert course.through == 0


# An engine in this process, beside a store.


class Heard:
    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    def began(self, _facts: Any) -> None: ...

    def wrote(self, written: Sequence[Any]) -> None:
        self.heard += written

    def ended(self) -> None: ...


class Listed(Engine):
    """Keeps what it gets in a list, when it is up; as an engine does, it knows what it has."""

    batch_events = 3

    def __init__(self) -> None:
        super().__init__(address_of(f"redis://:{SPELT}@host"), "here")
        self.got: list[Parcel] = []
        self._had: set[str] = set()
        self.is_up = True
        self.lets = threading.Event()
        self.lets.set()

    def open(self) -> None:
        if not self.is_up:
            raise self.failed(ConnectionError(f"cannot reach it with {SECRET}"))

    def send(self, parcels: Sequence[Parcel]) -> Taken:
        self.lets.wait(20)
        self.open()
        new = [each for each in parcels if each.digest not in self._had]
        self._had |= {each.digest for each in new}
        self.got += new
        return Taken(len(new), len(parcels) - len(new))

    def close(self) -> None: ...

    @property
    def seqs(self) -> list[int]:
        return [each.seq for each in self.got]


def began(store: FileStore, room: Room) -> Any:
    facts = room.facts()
    store.open(facts, ALL)
    return facts


def over(store: FileStore, facts: Any) -> None:
    facts.ended_at, facts.end = AT + timedelta(seconds=99), "time over"
    store.close()


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room("files", tmp_path)


def tapped(room: Room, engine: Engine, **options: Any) -> tuple[FileStore, Streaming]:
    store = FileStore(room.path)
    sink = Streaming(room.path, engine, **options)
    store.tap(sink)
    return store, sink


def cursor_of(room: Room, engine: Engine) -> Cursor:
    cursor = Cursor(room.path, engine.address)
    cursor.open()
    cursor.close()
    return cursor


def test_what_is_written_is_sent_at_once_and_the_run_is_done(room):
    """The usual run: nothing is left for anybody."""
    engine = Listed()
    store, sink = tapped(room, engine)
    facts = began(store, room)
    store.put(TRADES, trade(0))
    store.flush()
    wait_until(lambda: engine.seqs == [1])
    for second in range(1, 9):
        store.put(TRADES, trade(second))
    over(store, facts)

    assert engine.seqs == list(range(1, 10))
    assert (sink.tally.new, sink.tally.known, sink.left) == (9, 0, 0)
    assert cursor_of(room, engine).runs[facts.run].is_done
    assert not [thread for thread in threading.enumerate() if "lbank-ws-sink" in thread.name]


def test_a_slow_engine_holds_up_nobody_and_loses_nothing(room):
    """What finds no room in memory is sent from the segments, in more than one piece."""
    engine = Listed()
    engine.lets.clear()
    store, sink = tapped(room, engine, waiting_events=4)
    facts = began(store, room)
    began_s = time.monotonic()
    for second in range(30):
        store.put(*((TRADES, trade(second)) if second % 2 else (TICKS, tick(second))))
        if second % 3 == 0:
            store.flush()
    store.rotate()
    for second in range(30, 40):
        store.put(TRADES, trade(second))
    store.flush()
    assert time.monotonic() - began_s < 5
    assert sink.is_behind
    engine.lets.set()
    wait_until(lambda: sink.left == 0 and not sink.is_behind)
    store.put(TRADES, trade(99))
    over(store, facts)

    assert sorted(engine.seqs) == list(range(1, 42))
    assert sink.tally.known == 0, "something was sent twice"


def test_an_engine_that_is_away_is_tried_again_and_told_without_its_password(room, caplog):
    """One line in the log, not one a try."""
    engine = Listed()
    engine.is_up = False
    store, sink = tapped(room, engine)
    with caplog.at_level(logging.INFO, "lbank_ws"):
        facts = began(store, room)
        store.put(TRADES, trade(0))
        store.flush()
        wait_until(lambda: sink.failure is not None)
        engine.is_up = True
        wait_until(lambda: engine.seqs == [1])
        over(store, facts)

    assert [record.message.partition(" takes")[0] for record in caplog.records] == ["the sink redis://:***@host"] * 2
    assert SECRET not in caplog.text


def test_what_an_engine_did_not_get_is_sent_by_the_next_run(room, caplog):
    """It was away until the end of the run, and the next one finds it again."""
    engine = Listed()
    engine.is_up = False
    store, _ = tapped(room, engine)
    facts = began(store, room)
    store.put(TRADES, trade(0))
    store.put(TICKS, tick(0))
    began_s = time.monotonic()
    over(store, facts)
    assert time.monotonic() - began_s < 3, "the end of a run must not wait for an engine that is away"
    assert "2 events were not sent" in caplog.text

    engine.is_up = True
    store, sink = tapped(room, engine)
    facts = began(store, room)
    store.put(TRADES, trade(5))
    wait_until(lambda: sink.tally.sent == 2)
    over(store, facts)

    assert sorted(each.event.received_ns for each in engine.got) == sorted(
        event.received_ns for event in (trade(0), tick(0), trade(5))
    )
    assert all(known.is_done for known in cursor_of(room, engine).runs.values())


def test_what_a_killed_run_had_not_sent_is_sent_by_ship(room):
    """Its thread is gone with it, and its part is put in order by the next run."""
    engine = Listed()
    engine.is_up = False
    store, sink = tapped(room, engine, end_s=0.1)
    began(store, room)
    store.put(TRADES, trade(0))
    store.flush()
    wait_until(lambda: sink.failure is not None)
    sink.ended()
    killed(store)
    room.run((TRADES, trade(1)))
    engine.is_up = True

    shipper = Shipper(room.path, engine)
    shipper.cursor.open()
    assert shipper.older(lambda: False, everything=True)
    shipper.close()

    assert sorted(each.event.traded_at for each in engine.got) == [AT, AT + timedelta(seconds=1)]


def test_shipping_that_broke_off_goes_on_where_it_was(room):
    """A year of data is not sent twice for one broken line."""
    room.run(*((TRADES, trade(second)) for second in range(20)), *((TICKS, tick(second)) for second in range(20)))
    engine = Listed()
    shipper = Shipper(room.path, engine)
    shipper.cursor.open()
    looks = iter([False] * 4 + [True] * 9)
    assert not shipper.older(lambda: next(looks), everything=True)
    shipper.note(now=True)
    shipper.close()
    assert len(engine.got) == 12

    again = Shipper(room.path, engine)
    again.cursor.open()
    assert again.older(lambda: False, everything=True)
    again.close()

    assert sorted(engine.seqs) == list(range(1, 41))
    assert (again.tally.new, again.tally.known) == (28, 0)


def test_an_engine_that_fails_in_the_middle_gets_everything_all_the_same(room):
    """What was read for a batch that failed is read again, also where it stood in several packs."""
    store = FileStore(room.path)
    facts = began(store, room)
    for second in range(20):
        store.put(TRADES, trade(second))
        store.flush()
    over(store, facts)
    engine = Listed()
    shipper = Shipper(room.path, engine)
    shipper.cursor.open()
    looks = iter([False, False, True])

    def breaks() -> bool:
        engine.is_up = not next(looks, False)
        return False

    with pytest.raises(SinkFailed):
        shipper.older(breaks, everything=True)
    assert len(engine.got) == 6
    assert shipper.older(breaks, everything=True)
    shipper.close()

    assert engine.seqs == list(range(1, 21))


def test_a_second_one_that_sends_the_same_is_told_so(room):
    """Two would send everything twice, and spoil the note of how far they came."""
    engine = Listed()
    store, _ = tapped(room, engine)
    facts = began(store, room)

    with pytest.raises(StoreBusy, match="is being written by process"):
        Shipper(room.path, engine).cursor.open()
    over(store, facts)

    (room.path / SENT / f"{engine.address.file_name}.json").write_text("{}")
    with pytest.raises(StoreDamaged, match="cannot be read"):
        Shipper(room.path, engine).cursor.open()


def test_a_store_with_a_sink_is_still_verified(room):
    """The note of what was sent is none of its data."""
    store, _ = tapped(room, Listed())
    facts = began(store, room)
    store.put(TRADES, trade(0))
    store.put(TRADES, trade(0))
    over(store, facts)

    assert (room.verify().problems, room.verify().notes) == ([], [])


# A client alone.


def test_a_client_sends_every_event_to_its_sink(make_client: Callable[..., LBankClient]):
    """In the order in which they came, and none behind the end of its threads."""
    with Sandbox(pairs=["btc_usdt"], speed=5) as box:
        engine = Listed()
        client = make_client(box.url)
        client.sink(Direct(engine))
        heard: list[Any] = []
        client.on_trade("btc_usdt")(heard.append)
        client.on_depth("btc_usdt")(heard.append)
        client.start()
        wait_until(lambda: len(heard) > 20, 20)
        assert client.stop(10)

    assert [each.event for each in engine.got] == heard
    assert not our_threads()
    with pytest.raises(UsageError, match="before the start"):
        client.sink(Direct(engine))


def test_what_a_client_cannot_send_is_counted_and_told():
    """There is no disk that keeps it."""
    engine = Listed()
    engine.is_up = False
    sink = Direct(engine, waiting_events=5)
    faults: list[Any] = []
    sink.start("v2", faults.append)
    for second in range(8):
        sink.put(trade(second))
    wait_until(lambda: faults)
    assert not sink.close(0.2) or sink.lost
    wait_until(lambda: len(faults) >= 2)

    assert sum(fault.lost for fault in faults) == sink.lost == 8
    assert "8 events found no room" in str(faults[-1]) or faults[0].lost


@pytest.mark.parametrize("url", ["redis://host?window=never", "ftp://host", "kafka://"])
def test_an_engine_that_cannot_be_is_told_when_it_is_made(url):
    """Before anything was collected."""
    with pytest.raises(UsageError):
        engine_of(url)
