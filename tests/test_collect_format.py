"""What a collector keeps on the disk: lines, packs, segments, the ledger, the manifest; all without a feed."""

from __future__ import annotations

import gzip
import io
import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.causes import Flaw, GapCause
from lbank_ws.channels import Topic, topic
from lbank_ws.collect import ledger, manifest, naming
from lbank_ws.collect.coverage import coverage
from lbank_ws.collect.identity import Kept, Numbers, content_key, trade_key
from lbank_ws.collect.lines import BadLineError, Head, head_of, head_text, line_text, reader
from lbank_ws.collect.packs import TornError, packer, packs
from lbank_ws.collect.segments import (
    SegmentWriter,
    records,
    salvage,
    segment_paths,
    summary_of,
)
from lbank_ws.errors import UsageError
from lbank_ws.events import Depth, Event, Gap, Kline, Level, Receipt, Ticker, Trade
from lbank_ws.feed.merging import Identity
from lbank_ws.storage_errors import StoreDamaged
from lbank_ws.wire import Push, dialect_named

ROOT = Path(__file__).parent.parent
AT = datetime(2026, 11, 22, 10, 15, tzinfo=timezone.utc)
NS = int(AT.timestamp()) * 10**9
RUN = "20261122T101500.000Z-host-4711"
BTC = topic("trade", "btc_usdt")
TICK = topic("ticker", "btc_usdt")
SUFFIXES = ("zst", "gz")


def head(of: Topic = BTC, ns: int = NS, dialect: str = "v2") -> Head:
    return Head(RUN, of, dialect, "0.1.0", ns)


def trade(number: int = 0, *, ns: int | None = None, source: str = "live", **fields: Any) -> Trade:
    """Give a trade as the client hands it out, one a second."""
    moment = AT + timedelta(seconds=number)
    made: dict[str, Any] = {
        "pair": "btc_usdt",
        "price": Decimal("19.0"),
        "amount": Decimal(number + 1),
        "value": None,
        "side": "buy",
        "traded_at": moment,
        "exchange_at": moment,
        "receipt": Receipt(NS + number * 10**9 if ns is None else ns, 0.0, line=3),
        "source": source,
    }
    return Trade(**{**made, **fields})


def samples() -> list[Any]:
    """Give every sample of a push that means one event, with what it is subscribed to."""
    found = []
    for path in sorted((ROOT / "tests" / "samples").glob("*/*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        means = said.get("means")
        kind = means.get("event") if isinstance(means, dict) else None
        if said["direction"] == "in" and kind in ("Ticker", "Depth", "Trade", "Kline"):
            found.append(pytest.param(path.parent.name, said["frame"], id=path.stem))
    return found


def topic_of(event: Event) -> Topic:
    if isinstance(event, Kline):
        return topic("kline", event.pair, interval=event.interval)
    return topic(event.channel, event.pair)


# Lines.


@pytest.mark.parametrize(("dialect", "frame"), samples())
def test_what_came_is_read_again_as_it_was(dialect, frame):
    """Every known frame survives the disk, typed event, age and all."""
    spoken = dialect_named(dialect)
    if dialect == "simple":
        for channel in ("ticker", "depth", "trade"):
            spoken.subscribe(topic(channel, "btc_usdt"))
    message = spoken.decode(frame, Receipt(NS, 0.0, line=2))
    if not isinstance(message, Push):
        return  # an answer to a request is not collected
    (event,) = message.events
    read = reader(head(topic_of(event), dialect=dialect))
    record = read(line_text(event, 7))

    assert (record.ns, record.line, record.seq) == (NS, 2, 7)
    assert record.event == event
    assert record.event.raw == frame
    assert record.age_s == (None if event.age_s is None else pytest.approx(event.age_s, abs=1e-6))
    assert record.late == event.late
    assert record.event.age_s == (None if event.age_s is None else pytest.approx(event.age_s, abs=1e-5))


EVENTS: list[Event] = [
    trade(
        source="backfill", price=Decimal("1E-8"), amount=Decimal("0.123456789012345678901234567890"), order_type="ioc"
    ),
    trade(traded_at=None, exchange_at=None, value=Decimal("0.10")),
    Ticker("btc_usdt", Decimal("0.3"), change_pct=Decimal("-10.46"), side="sell", receipt=Receipt(NS)),
    Depth(
        "btc_usdt",
        (Level(Decimal("2.50"), Decimal(1)),),
        (),
        levels=20,
        node="t-3",
        fault=Flaw.CROSSED,
        receipt=Receipt(NS),
    ),
    Kline(
        "btc_usdt",
        "1min",
        AT,
        *(Decimal(n) for n in ("1.0", "3", "0.5", "2", "7")),
        trades=3,
        closed=True,
        source="backfill",
        receipt=Receipt(NS),
    ),
    Kline("btc_usdt", "1min", AT, *(Decimal(n) for n in "13027"), fault=Flaw.IMPOSSIBLE, receipt=Receipt(NS)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_was_fetched_is_read_again_as_it_was(event):
    """There is no frame of it; not a digit may be lost all the same."""
    record = reader(head(topic_of(event)))(line_text(event, 1))

    assert record.event == event
    assert str(record.event) == str(event)


def test_an_answer_with_many_bars_is_written_bar_by_bar():
    """It would stand in every line else, and nobody could tell whose it is."""
    bars = [
        Kline("btc_usdt", "1min", seconds(60 * n), *(Decimal(1) for _ in range(5)), source="backfill", raw='{"all":1}')
        for n in range(2)
    ]
    kept = Kept()

    assert not any(kept.has(bar) for bar in bars)
    read = reader(head(topic("kline", "btc_usdt")))
    assert [read(line_text(bar, 1)).event for bar in bars] == [replace(bar, raw="") for bar in bars]


def test_a_frame_with_several_trades_is_written_trade_by_trade():
    """Whoever reads a line must not guess which of them it is."""
    several = trade(raw='{"ch":"market.btcusdt.trade"}')

    text = line_text(several, 1, has_one=False)

    assert reader(head(dialect="simple"))(text).event == replace(several, raw="")


def test_an_ip_address_in_a_frame_does_not_reach_the_disk():
    """LBank was seen to echo it; a recording is given away."""
    text = line_text(trade(raw='{"type":"trade","ip":"203.0.113.7"}'), 1)

    assert "203.0.113.7" not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"ns":1,"line":1,"seq":1}',
        '{"ns":1,"line":1,"seq":1,"text":"{}"}',
        '{"ns":1,"line":1,"seq":1,"text":"x"}',
        '{"ns":1,"line":1,"seq":1,"event":{}}',
        '{"ns":null,"line":1,"seq":1,"event":{}}',
        line_text(trade(pair="eth_usdt"), 1).replace('"event"', '"no"'),
        "[" * 100_000,
    ],
)
def test_a_line_that_is_none_is_told(text):
    """Damage must not become data."""
    with pytest.raises(BadLineError):
        reader(head())(text)


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"lbank_ws_segment":2}', '{"lbank_ws_segment":1}', head_text(head()).replace("btc_usdt", "../x")],
)
def test_a_head_that_is_none_is_told(text):
    """A file of another program, or of a newer lbank_ws, is not guessed at."""
    with pytest.raises(BadLineError):
        head_of(text)


def test_a_head_is_read_again():
    """All its fields, for every kind of subscription."""
    for of in (BTC, topic("depth", "btc_usdt", levels=50), topic("kline", "btc_usdt", interval="1hr")):
        assert head_of(head_text(head(of))) == head(of)


# Packs.


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_torn_file_gives_its_whole_packs(suffix):
    """Cut at any byte, everything that was written before the last pack is there, and nothing else."""
    pack = packer(suffix)
    contents = [f"line {number}\n".encode() * 3 for number in range(4)]
    packed = [pack(content) for content in contents]
    whole = b"".join(packed)
    ends = [sum(map(len, packed[:count])) for count in range(5)]

    for length in range(len(whole) + 1):
        found = []
        torn: TornError | None = None
        try:
            found.extend(packs(io.BytesIO(whole[:length]).read, suffix))
        except TornError as error:
            torn = error
        count = max(number for number, end in enumerate(ends) if end <= length)

        assert [each.lines for each in found] == contents[:count]
        assert [each.end for each in found] == ends[1 : count + 1]
        assert (torn is None) == (length in ends)
        assert torn is None or (torn.at, torn.is_short) == (ends[count], True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_changed_byte_is_seen(suffix):
    """A disk that forgets must not change a price."""
    pack = packer(suffix)
    whole = bytearray(pack(b"first\n") + pack(b"price 19.0\n" * 50))
    at = len(whole) - 12
    whole[at] ^= 1

    with pytest.raises(TornError):
        list(packs(io.BytesIO(bytes(whole)).read, suffix))


# Names.


@pytest.mark.parametrize("of", [BTC, TICK, topic("depth", "btc_usdt"), topic("kline", "1inch_btc")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_path_of_a_segment_is_read_again(of, suffix):
    """A reader finds by the path what a writer put there."""
    path = naming.segment_path(of, NS, "host", 4711, 3, suffix)
    name = naming.segment_name(path)

    assert path == f"raw/channel={of.channel}/date=2026-11-22/pair={of.pair}/101500-host-4711-3.jsonl.{suffix}"
    assert name == (of.channel, "2026-11-22", of.pair, suffix, False)
    assert naming.segment_name(path + ".part") == (of.channel, "2026-11-22", of.pair, suffix, True)


@pytest.mark.parametrize(
    "path", ["raw/channel=trade/date=2026-11-22/pair=btc_usdt/x", "gaps.jsonl", "raw/channel=news/date=2026-11-22"]
)
def test_what_is_no_segment_is_left_alone(path):
    """A store may hold what its owner put there."""
    assert naming.segment_name(path) is None


@pytest.mark.parametrize("host", ["Host-1.example", "../../etc", "", "x" * 99, "=cmd|", "a\nb\0c"])
def test_a_host_of_any_name_stays_inside_the_folder(host):
    """The name of a machine is text from outside, too."""
    path = naming.segment_path(BTC, NS, naming.safe_host(host), 1, 1, "gz")

    assert naming.segment_name(path) is not None
    assert naming.is_run(naming.run_name(AT, host, 1))


# Segments.


def written(root: Path, of: Topic = BTC, suffix: str = "zst", *, close: bool = True) -> SegmentWriter:
    """Write a segment of six trades in three packs."""
    path = naming.segment_path(of, NS, "host", 4711, 1, suffix)
    writer = SegmentWriter(root, path, head(of), packer(suffix))
    for number in range(0, 6, 2):
        texts = []
        for each in (number, number + 1):
            event = trade(each)
            writer.summary.count(event.received_ns, late=False, fetched=False)
            texts.append(line_text(event, each + 1))
        writer.write(texts)
    if close:
        writer.close()
    return writer


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_segment_is_read_again_and_sums_up_to_what_its_writer_says(tmp_path, suffix):
    """`verify` compares the two."""
    writer = written(tmp_path, suffix=suffix)
    (path,) = segment_paths(tmp_path)

    assert [record.event for record in records(tmp_path, path, verify=True)] == [trade(n) for n in range(6)]
    assert summary_of(tmp_path, path) == writer.summary
    assert segment_paths(tmp_path, parts=True) == []
    assert (tmp_path / path).stat().st_mode & 0o777 == 0o640


def test_other_tools_read_a_segment(tmp_path):
    """It must be of use without this package."""
    written(tmp_path, suffix="gz")
    (path,) = segment_paths(tmp_path)

    lines = gzip.decompress((tmp_path / path).read_bytes()).splitlines()

    assert json.loads(lines[0])["pair"] == "btc_usdt"
    assert [json.loads(line)["seq"] for line in lines[1:]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_cut_at_any_byte_is_salvaged_to_its_last_whole_pack(tmp_path, suffix):
    """A kill may come at any moment of a write."""
    writer = written(tmp_path / "whole", suffix=suffix, close=False)
    part = writer.summary.path + ".part"
    content = (tmp_path / "whole" / part).read_bytes()

    for length in [*range(0, len(content), 7), len(content)]:
        root = tmp_path / str(length)
        (root / part).parent.mkdir(parents=True)
        (root / part).write_bytes(content[:length])
        done = salvage(root, part)
        kept = [record.event for path in segment_paths(root) for record in records(root, path, verify=True)]

        assert kept == [trade(number) for number in range(len(kept))]
        assert len(kept) % 2 == 0
        assert done.kept == bool(kept)
        assert segment_paths(root, parts=True) == []
        assert length - done.cut_bytes == sum((root / path).stat().st_size for path in segment_paths(root))
    assert len(kept) == 6


def test_zeros_behind_the_last_pack_are_cut_off(tmp_path):
    """That is what a power cut leaves on some file systems."""
    writer = written(tmp_path, close=False)
    part = writer.summary.path + ".part"
    with (tmp_path / part).open("ab") as file:
        file.write(bytes(4096))

    done = salvage(tmp_path, part)

    assert (done.kept, done.cut_bytes) == (True, 4096)
    assert summary_of(tmp_path, writer.summary.path) == writer.summary


def test_a_closed_segment_that_is_torn_or_damaged_is_told(tmp_path):
    """Only the end of a part may be missing."""
    writer = written(tmp_path)
    path = tmp_path / writer.summary.path
    content = path.read_bytes()

    path.write_bytes(content[:-5])
    with pytest.raises(StoreDamaged, match="ends inside a pack"):
        summary_of(tmp_path, writer.summary.path)
    path.write_bytes(content[:-50] + bytes(50))
    with pytest.raises(StoreDamaged):
        summary_of(tmp_path, writer.summary.path)


def test_an_event_of_another_day_in_a_segment_is_told(tmp_path):
    """A day's files must hold that day."""
    path = naming.segment_path(BTC, NS, "host", 1, 1, "gz")
    writer = SegmentWriter(tmp_path, path, head(), packer("gz"))
    writer.write([line_text(trade(ns=NS + 86400 * 10**9), 1)])
    writer.close()

    with pytest.raises(StoreDamaged, match="an event of 2026-11-23 stands in a segment of 2026-11-22"):
        summary_of(tmp_path, path)


def test_a_write_that_fails_is_taken_back(tmp_path, monkeypatch):
    """Half a pack on a full disk would cost the packs behind it."""
    writer = written(tmp_path, close=False)
    real = os.write

    def full(fd: int, content: bytes) -> int:
        real(fd, bytes(content[:10]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.write([line_text(trade(6), 7)])
    monkeypatch.undo()
    writer.write([line_text(trade(7), 8)])
    writer.close()

    assert [record.seq for record in records(tmp_path, writer.summary.path)] == [1, 2, 3, 4, 5, 6, 8]


def test_a_link_in_the_place_of_a_segment_is_not_followed(tmp_path):
    """Who writes into a shared folder must not be led to another file."""
    (tmp_path / "thesis").write_text("mine")
    path = naming.segment_path(BTC, NS, "host", 1, 1, "gz")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / (path + ".part")).symlink_to(tmp_path / "thesis")

    with pytest.raises(FileExistsError):
        SegmentWriter(tmp_path, path, head(), packer("gz"))
    with pytest.raises(UsageError):
        list(records(tmp_path, path + ".part"))
    assert (tmp_path / "thesis").read_text() == "mine"


# Identity.


def test_equal_numbers_make_equal_keys_and_others_do_not():
    """Push and REST do not spell numbers alike, and 30 digits count."""
    base = Identity(AT, Decimal("19.0"), Decimal("1E+2"), "buy")

    assert trade_key(base, 1) == trade_key(Identity(AT, Decimal(19), Decimal("100.00"), "buy"), 1)
    assert len({trade_key(base, 1), trade_key(base, 2), trade_key(base._replace(taker="sell"), 1)}) == 3
    long = base._replace(price=Decimal("0.123456789012345678901234567891"))
    assert trade_key(long, 1) != trade_key(long._replace(price=Decimal("0.123456789012345678901234567892")), 1)


@given(price=st.decimals(0, 10**12, allow_nan=False, allow_infinity=False), zeros=st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_key_depends_on_the_number_alone(price, zeros):
    """Whatever spelling a number has."""
    respelt = price * Decimal((0, (1,) + (0,) * zeros, -zeros)) if price.adjusted() < 15 else price
    first, second = (trade_key(Identity(AT, each, Decimal(1), "buy"), 1) for each in (price, respelt))

    assert (first == second) == (price == respelt)


def test_the_second_of_two_equal_trades_is_one_of_its_own():
    """Two people may buy the same at the same moment."""
    numbers = Numbers()

    assert not any(Kept().has(each) for each in (trade(), trade()))
    assert len({numbers.key(trade()), numbers.key(trade()), numbers.key(trade(1))}) == 3


def test_a_trade_that_an_earlier_run_kept_is_known_as_often_as_it_was_kept():
    """Overlapping runs must not write a trade twice, nor lose the one that is really new."""
    known = Identity(AT, Decimal(19), Decimal(1), "buy")
    kept = Kept([known, known])

    assert [kept.has(trade()) for _ in range(3)] == [True, True, False]
    assert Numbers([known, known]).key(trade()) == trade_key(known, 3)


def test_what_was_fetched_is_never_known():
    """The client has held it against everything that was kept; a second look would lose the second of two."""
    known = Identity(AT, Decimal(19), Decimal(1), "buy")

    assert not Kept([known]).has(trade(source="backfill"))


def test_numbers_of_long_ago_are_forgotten():
    """A collector runs for weeks."""
    numbers = Numbers()
    for number in range(3000):
        numbers.key(trade(number))

    assert len(numbers._counts) == len(numbers._order) == 1000


def test_a_trade_without_a_moment_is_never_known():
    """Two equal ones may be two, and a trade that is lost is worse than one that is there twice."""
    numbers = Numbers()
    untimed = trade(traded_at=None, raw="same")

    assert not any(Kept([Identity(AT, Decimal(19), Decimal(1), "buy")]).has(untimed) for _ in range(3))
    assert len({numbers.key(untimed) for _ in range(3)}) == 3


def test_a_ticker_that_comes_again_is_known_and_one_that_says_more_is_not():
    """A renewed line begins with what the old one ended with."""
    ticker = Ticker("btc_usdt", Decimal(1), exchange_at=AT, raw="a")
    kept = Kept(contents=[content_key(ticker)])

    assert [kept.has(each) for each in (ticker, replace(ticker, raw="b"), replace(ticker, raw="b"))] == [
        True,
        False,
        True,
    ]


def test_a_bar_that_is_told_of_again_as_closed_is_kept():
    """Its frame is the same, and it says more."""
    bar = Kline("btc_usdt", "1min", AT, *(Decimal(1) for _ in range(5)), raw="a", exchange_at=AT)
    kept = Kept()

    assert [kept.has(bar), kept.has(replace(bar, closed=True)), kept.has(replace(bar, closed=True))] == [
        False,
        False,
        True,
    ]


# The ledger.

OPEN = Gap(BTC, AT, None, GapCause.LINE_LOST)
CLOSED = replace(OPEN, ended_at=AT + timedelta(seconds=5), filled=3)


def test_a_hole_has_one_entry_when_it_is_read(tmp_path):
    """It is told when it opens, because the program may die before it closes."""
    ledger.append(tmp_path, [ledger.gap_row(OPEN, RUN)])
    assert [ledger.gap_of(row) for row in ledger.gap_rows(ledger.entries(tmp_path))] == [OPEN]
    ledger.append(tmp_path, [ledger.gap_row(CLOSED, RUN)])

    assert [ledger.gap_of(row) for row in ledger.gap_rows(ledger.entries(tmp_path), RUN)] == [CLOSED]
    assert ledger.gap_rows(ledger.entries(tmp_path), "another") == []


def test_a_torn_entry_is_cut_off(tmp_path):
    """Else the next one would be damaged with it."""
    ledger.append(tmp_path, [ledger.gap_row(OPEN, RUN)])
    with (tmp_path / "gaps.jsonl").open("a") as file:
        file.write('{"kind":"ga')

    assert len(ledger.entries(tmp_path)) == 1
    assert ledger.mend(tmp_path) == 11
    ledger.append(tmp_path, [ledger.gap_row(CLOSED, RUN)])
    assert len(ledger.entries(tmp_path)) == 2
    assert ledger.mend(tmp_path) == 0


def test_a_ledger_that_is_damaged_is_told(tmp_path):
    """A hole that cannot be read would pass for none."""
    (tmp_path / "gaps.jsonl").write_text("x\n")

    with pytest.raises(StoreDamaged, match="line 1"):
        ledger.entries(tmp_path)


# Coverage.


def seconds(number: float) -> datetime:
    return AT + timedelta(seconds=number)


@pytest.mark.parametrize(
    ("live", "gaps", "missing_s"),
    [
        (None, [], 100),
        (2, [], 2),
        (2, [Gap(BTC, seconds(-9), seconds(5), GapCause.STOPPED, filled=4)], 0),
        (2, [Gap(BTC, seconds(-9), seconds(5), GapCause.STOPPED, filled=0, missing_before=seconds(4))], 4),
        (2, [Gap(BTC, seconds(10), seconds(20), GapCause.LINE_LOST, filled=4)], 2),
        (2, [Gap(BTC, seconds(10), seconds(20), GapCause.LINE_LOST, filled=4, missing_before=seconds(13))], 5),
        (2, [Gap(BTC, seconds(10), seconds(20), GapCause.LINE_LOST, filled=0, missing_before=seconds(30))], 12),
        (2, [Gap(BTC, seconds(90), None, GapCause.LINE_LOST)], 12),
        (0, [Gap(BTC, seconds(10), seconds(20), GapCause.SLOW_CALLBACK, missed=3, filled=0)], 10),
        (
            0,
            [
                Gap(BTC, seconds(10), seconds(20), GapCause.SLOW_CALLBACK, missed=3, filled=0),
                Gap(BTC, seconds(15), None, GapCause.LINE_LOST),
            ],
            90,
        ),
    ],
)
def test_what_is_not_covered_is_what_is_missing(live, gaps, missing_s):
    """The percentage is what a user looks at first; it may not flatter."""
    found = coverage(AT, seconds(100), None if live is None else seconds(live), gaps)

    assert found.missing_s == missing_s
    assert found.percent == 100 - missing_s


def test_only_all_of_it_is_a_hundred_percent():
    """A second of a week is a second."""
    week_s = 7 * 86400

    assert coverage(AT, seconds(week_s), seconds(1), []).percent < 100
    assert coverage(AT, seconds(week_s), seconds(0), []).percent == 100


# The manifest.


def facts(**changes: Any) -> manifest.RunFacts:
    known = manifest.RunFacts(RUN, AT, seconds(60), "time over", live_at={BTC: seconds(0), TICK: None})
    return replace(known, **changes)


def test_a_manifest_is_made_again_from_itself_and_the_disk(tmp_path):
    """That is what `verify` does."""
    writer = written(tmp_path)
    ledger.append(tmp_path, [ledger.gap_row(OPEN, RUN), ledger.gap_row(CLOSED, RUN)])
    gaps = ledger.gap_rows(ledger.entries(tmp_path), RUN)
    said = manifest.manifest(facts(), [writer.summary], gaps)
    manifest.write(tmp_path, said)

    read = manifest.read(tmp_path, RUN)
    again = manifest.manifest(manifest.facts_of(read), [summary_of(tmp_path, p) for p in segment_paths(tmp_path)], gaps)

    assert read == said == again
    assert manifest.runs(tmp_path) == [RUN]
    assert [(row["channel"], row["events"], row["coverage_pct"]) for row in said["topics"]] == [
        ("ticker", 0, 0.0),
        ("trade", 6, 100.0),
    ]


def test_a_killed_run_lasted_until_its_last_event(tmp_path):
    """Nobody saw its end; what came later is not promised."""
    writer = written(tmp_path)
    known = manifest.killed(facts(ended_at=None, end="", live_at={BTC: None, TICK: None}), [writer.summary])

    assert known.end == "killed"
    assert known.ended_at == seconds(5)
    assert known.live_at == {BTC: seconds(0), TICK: None}


@pytest.mark.parametrize(
    "change", [{"lbank_ws_manifest": 2}, {"topics": 5}, {"started_at": "2026"}, {"versions": None}]
)
def test_a_manifest_that_cannot_be_read_is_told(tmp_path, change):
    """It is held against the data, so it must not be guessed at."""
    said = manifest.manifest(facts(), [], [])

    with pytest.raises(StoreDamaged):
        manifest.facts_of({**said, **change})
