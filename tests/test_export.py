"""What a collector has kept comes out again: as events, as tables, as candles; exactly, and whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lbank_ws.causes import GapCause
from lbank_ws.channels import Topic, topic
from lbank_ws.cli import main
from lbank_ws.collect import candles, ledger, load
from lbank_ws.collect.columns import COLUMNS, as_text, row_of
from lbank_ws.collect.exporting import export
from lbank_ws.collect.lines import Head, line_text
from lbank_ws.collect.naming import segment_path
from lbank_ws.collect.packs import packer
from lbank_ws.collect.segments import SegmentWriter
from lbank_ws.errors import MissingExtra, UsageError
from lbank_ws.events import Depth, Event, Gap, Kline, Level, Receipt, Ticker, Trade
from lbank_ws.storage_errors import StoreDamaged

AT = datetime(2026, 11, 22, 10, 15, tzinfo=timezone.utc)
NS = int(AT.timestamp()) * 10**9
DAY_NS = 86_400 * 10**9
RUN = "20261122T101500.000Z-host-4711"


class Store:
    """A store of files, filled by hand; one segment a call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "raw").mkdir(parents=True)
        self._seq = 0
        self._number = 0

    def add(self, of: Topic, events: Sequence[Event], *, close: bool = True) -> None:
        """Write events into a segment of their own; all are of one day."""
        self._number += 1
        ns = events[0].received_ns
        path = segment_path(of, ns, "host", 4711, self._number, "gz")
        writer = SegmentWriter(self.root, path, Head(RUN, of, "v2", "0.1.0", ns), packer("gz"))
        lines = []
        for event in events:
            self._seq += 1
            lines.append(line_text(event, self._seq))
        writer.write(lines)
        if close:
            writer.close()


def trade(number: int = 0, **fields: Any) -> Trade:
    moment = AT + timedelta(seconds=number)
    made: dict[str, Any] = {
        "pair": "btc_usdt",
        "price": Decimal("19.0"),
        "amount": Decimal(number + 1),
        "value": None,
        "side": "buy",
        "traded_at": moment,
        "exchange_at": moment,
        "receipt": Receipt(NS + number * 10**9, 0.0, line=3),
    }
    return Trade(**{**made, **fields})


def bar(minute: int, close: int, *, ns: int, closed: bool = False) -> Kline:
    prices = (Decimal(n) for n in (1, 9, 1, close, 7))
    return Kline("btc_usdt", "1min", AT + timedelta(minutes=minute), *prices, closed=closed, receipt=Receipt(ns))


def book(number: int = 0) -> Depth:
    bids = (Level(Decimal("19.00"), Decimal("1.5")), Level(Decimal("18.99"), Decimal(2)))
    return Depth("btc_usdt", bids, (Level(Decimal("19.01"), Decimal("0.10")),), receipt=Receipt(NS + number * 10**9))


@pytest.fixture
def store(tmp_path) -> Store:
    """A store with something of everything, over two days and two pairs."""
    made = Store(tmp_path / "data")
    made.add(topic("trade", "btc_usdt"), [trade(0), trade(1), trade(1)])
    made.add(topic("trade", "btc_usdt"), [trade(2, receipt=Receipt(NS + DAY_NS))])
    made.add(topic("trade", "eth_usdt"), [trade(3, pair="eth_usdt")])
    made.add(topic("depth", "btc_usdt", levels=20), [book(0), book(1)])
    made.add(topic("ticker", "btc_usdt"), [Ticker("btc_usdt", Decimal("0.30"), receipt=Receipt(NS))])
    made.add(topic("kline", "btc_usdt"), [bar(0, 2, ns=NS), bar(0, 3, ns=NS + 1), bar(1, 4, ns=NS + 2)])
    made.add(topic("kline", "btc_usdt"), [bar(1, 5, ns=NS + DAY_NS, closed=True)])
    return made


# Events.


def test_the_events_of_a_store_are_those_that_were_written(store):
    """By channel, pair and day, equal trades counted."""
    read = load(store.root, "trade")

    assert [(each.pair, each.amount) for each in read] == [
        ("btc_usdt", 1),
        ("btc_usdt", 2),
        ("btc_usdt", 2),
        ("btc_usdt", 3),
        ("eth_usdt", 4),
    ]
    assert list(read) == list(read)


def test_of_a_bar_the_version_counts_that_stands_last(store):
    """A bar is told of again and again; also on the next day."""
    read = list(load(store.root, "kline"))

    assert [(each.opened_at, each.close, each.closed) for each in read] == [
        (AT, 3, False),
        (AT + timedelta(minutes=1), 5, True),
    ]


def test_what_is_written_just_now_is_read_too(store):
    """A collector runs for weeks; nobody wants to wait for the end of its hour."""
    store.add(topic("trade", "sol_usdt"), [trade(4, pair="sol_usdt")], close=False)

    assert [each.amount for each in load(store.root, "trade", pairs="sol_usdt")] == [5]


def test_segments_of_one_second_are_read_in_their_order(tmp_path):
    """Their names sort otherwise: 10 before 9."""
    made = Store(tmp_path / "data")
    for number in range(12):
        made.add(topic("trade", "btc_usdt"), [trade(0, amount=Decimal(number))])

    assert [each.amount for each in load(made.root)] == list(range(12))


def test_a_part_of_the_time_and_of_the_pairs_can_be_chosen(store):
    """From a moment on, before a moment; by when it was received."""
    later = load(store.root, "trade", from_at=AT + timedelta(seconds=1), to_at=AT + timedelta(seconds=3))
    of_eth = load(store.root, pairs=["eth_usdt"])

    assert [each.amount for each in later] == [2, 2]
    assert {each.pair for each in of_eth} == {"eth_usdt"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channel": "trades"}, "no channel"),
        ({"pairs": "BTC"}, "base_quote"),
        ({"from_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the mistake
    ],
)
def test_what_is_not_understood_is_told(store, arguments, words):
    """Nobody must take an empty answer for an empty market."""
    with pytest.raises(UsageError, match=words):
        load(store.root, **arguments)


@pytest.mark.parametrize("name", ["nothing", "sqlite:///x.db"])
def test_what_is_no_store_is_told(tmp_path, name):
    """As above."""
    with pytest.raises(UsageError, match="has filled"):
        load(name if ":" in name else tmp_path / name)


# Tables.


def test_tables_are_exact_and_in_utc(store):
    """Floats would be wrong in the seventeenth digit, and local times an hour a year."""
    pa = pytest.importorskip("pyarrow")
    table = load(store.root, "trade").arrow()

    assert table.schema.field("price").type == pa.decimal128(38, 18)
    assert table.schema.field("traded_at").type == pa.timestamp("us", tz="UTC")
    assert table["amount"].to_pylist() == [1, 2, 2, 3, 4]
    assert table["received_ns"].to_pylist()[0] == NS
    assert table["traded_at"].to_pylist()[0] == AT


def test_pandas_and_polars_get_the_same(store):
    """Numbers of money stay Decimal in both."""
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    read = load(store.root, "trade", pairs="btc_usdt")

    assert read.df()["price"].tolist() == [Decimal("19.0")] * 4
    assert read.pl()["price"].to_list() == [Decimal("19.0")] * 4


def test_a_table_of_several_channels_is_refused(store):
    """They have other columns each."""
    with pytest.raises(UsageError, match="channel='trade'"):
        load(store.root).arrow()


@pytest.mark.parametrize("package", ["pyarrow", "duckdb"])
def test_a_missing_package_is_named(store, monkeypatch, package, tmp_path):
    """One line, and what to type."""
    monkeypatch.setitem(__import__("sys").modules, package, None)
    if package == "pyarrow":
        monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)

    with pytest.raises(MissingExtra, match=r"lbank-ws\[data\]"):
        export(load(store.root), tmp_path / "out.duckdb")
    assert [name.name for name in tmp_path.iterdir()] == ["data"]


def test_a_number_that_fits_no_decimal_makes_its_column_text(store, tmp_path):
    """Not a digit may be lost, and a column has one type over all files."""
    pq = pytest.importorskip("pyarrow.parquet")
    long = Decimal("0.12345678901234567890123")
    store.add(topic("trade", "xrp_usdt"), [trade(9, pair="xrp_usdt", price=long)])

    done = export(load(store.root, "trade"), tmp_path / "out.parquet")

    assert done.texts == ["trade.price"]
    read = pq.read_table(tmp_path / "out.parquet")
    assert sorted(read["price"].to_pylist()) == [str(long), "19.0", "19.0", "19.0", "19.0", "19.0"]
    assert str(read.schema.field("amount").type) == "decimal128(38, 18)"


# Exports.


NUMBERS = st.decimals(min_value=0, max_value=10**15, places=None, allow_nan=False, allow_infinity=False)
TRADES = st.lists(
    st.tuples(
        st.sampled_from(["btc_usdt", "eth_usdt"]),
        NUMBERS,
        NUMBERS,
        st.sampled_from(["buy", "sell"]),
        st.integers(0, 3 * 86_400_000),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(TRADES)
def test_every_form_holds_exactly_what_the_segments_hold(tmp_path_factory, rows):
    """The promise of an export, in every form, whatever was traded."""
    duckdb = pytest.importorskip("duckdb")
    folder = tmp_path_factory.mktemp("one")
    made = Store(folder / "data")
    for pair, price, amount, side, ms in rows:
        at = AT + timedelta(milliseconds=ms)
        fields = {"pair": pair, "price": price, "amount": amount, "side": side, "traded_at": at, "exchange_at": at}
        made.add(topic("trade", pair), [trade(0, receipt=Receipt(NS + ms * 10**6), **fields)])
    events = list(load(made.root))
    wanted = sorted((each.pair, each.price, each.amount, each.side, each.traded_at) for each in events)
    assert len(wanted) == len(rows)

    for form in ("parquet", "csv", "duckdb"):
        export(load(made.root), folder / f"out.{form}")

    with (folder / "out.csv").open(newline="") as file:
        from_csv = [
            (
                row["pair"],
                Decimal(row["price"]),
                Decimal(row["amount"]),
                row["side"],
                datetime.fromisoformat(row["traded_at"].replace("Z", "+00:00")),
            )
            for row in csv.DictReader(file)
        ]
    question = "SELECT pair, price::VARCHAR, amount::VARCHAR, side, traded_at FROM "
    with duckdb.connect(str(folder / "out.duckdb"), read_only=True) as db:
        from_duckdb = db.execute(question + "trade").fetchall()
    with duckdb.connect() as db:
        glob = f"read_parquet('{folder}/out.parquet/**/*.parquet', hive_partitioning = true)"
        from_parquet = db.execute(question + glob).fetchall()
    for found in (from_duckdb, from_parquet):
        exact = sorted((pair, Decimal(price), Decimal(amount), *rest) for pair, price, amount, *rest in found)
        assert exact == wanted
    assert sorted(from_csv) == wanted


def test_parquet_is_one_file_a_pair_and_day(store, tmp_path):
    """So that a day of a pair is read without the others."""
    pq = pytest.importorskip("pyarrow.parquet")

    done = export(load(store.root), tmp_path / "out.parquet")

    out = tmp_path / "out.parquet"
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.parquet"))
    assert files == [
        "channel=depth/date=2026-11-22/pair=btc_usdt/data.parquet",
        "channel=kline/date=2026-11-22/pair=btc_usdt/data.parquet",
        "channel=kline/date=2026-11-23/pair=btc_usdt/data.parquet",
        "channel=ticker/date=2026-11-22/pair=btc_usdt/data.parquet",
        "channel=trade/date=2026-11-22/pair=btc_usdt/data.parquet",
        "channel=trade/date=2026-11-22/pair=eth_usdt/data.parquet",
        "channel=trade/date=2026-11-23/pair=btc_usdt/data.parquet",
    ]
    read = pq.read_table(out / files[0])
    assert read["bid_prices"].to_pylist()[0] == [Decimal("19.00"), Decimal("18.99")]
    assert read["ask_amounts"].to_pylist()[0] == [Decimal("0.10")]
    assert {str(name): count for name, count in done.rows.items()} == {"ticker": 1, "depth": 2, "trade": 5, "kline": 2}


def test_a_csv_says_what_the_columns_say(store, tmp_path):
    """Digits as the exchange printed them, zeros at the end included; one file a channel."""
    done = export(load(store.root), tmp_path / "out.csv")

    assert [path.name for path in done.paths] == ["out-ticker.csv", "out-depth.csv", "out-trade.csv", "out-kline.csv"]
    with (tmp_path / "out-depth.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    columns = COLUMNS[book().channel]
    assert rows[0] == [column.name for column in columns]
    assert rows[1:] == [
        [as_text(column.kind, value) for column, value in zip(columns, row_of(columns, *each), strict=True)]
        for each in load(store.root, "depth").records()
    ]
    assert json.loads(rows[1][1], parse_float=str) == ["19.00", "18.99"]


def test_the_gaps_go_along(store, tmp_path):
    """Data whose holes are left behind looks complete."""
    duckdb = pytest.importorskip("duckdb")
    gap = Gap(topic("trade", "btc_usdt"), AT, AT + timedelta(seconds=3), GapCause.LINE_LOST, missing_before=AT)
    ledger.append(store.root, [ledger.gap_row(gap, RUN)])

    export(load(store.root), tmp_path / "out.duckdb")
    export(load(store.root), tmp_path / "out.parquet")

    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as db:
        assert db.execute("SELECT pair, cause, started_at, missed FROM gap").fetchall() == [
            ("btc_usdt", "line lost", AT, None)
        ]
    assert json.loads((tmp_path / "out.parquet" / "_gaps.jsonl").read_text()) == ledger.gap_row(gap, RUN)


@pytest.mark.parametrize("form", ["parquet", "csv", "duckdb"])
def test_an_export_that_is_interrupted_leaves_nothing(store, tmp_path, form):
    """Half a file under a good name is taken for the whole; and what was there before must stay."""
    target = tmp_path / f"out.{form}"
    target.write_text("before")

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(load(store.root, "trade"), target, replace=True, on_progress=stop)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", target.name]
    assert target.read_text() == "before"


def test_damage_ends_an_export_and_leaves_nothing(store, tmp_path):
    """A table with a silent hole in it is worse than none."""
    (path,) = (store.root / "raw/channel=trade/date=2026-11-22/pair=eth_usdt").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(StoreDamaged):
        export(load(store.root, "trade"), tmp_path / "out.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_what_is_there_is_replaced_only_when_asked(store, tmp_path):
    """Yesterday's export is not lost to a habit."""
    target = tmp_path / "out.csv"
    target.write_text("before")

    with pytest.raises(UsageError, match="--replace"):
        export(load(store.root, "trade"), target)
    assert target.read_text() == "before"
    export(load(store.root, "trade"), target, replace=True)
    assert target.read_text().startswith("pair,")


# The command.


def test_the_command_exports_what_it_is_asked_for(store, tmp_path, capsys):
    """Channels, pairs and times together."""
    target = tmp_path / "out.csv"
    wanted = ["--channels", "trade", "--pairs", "btc_usdt", "--from", "2026-11-23"]

    code = main(["export", str(store.root), "--to", str(target), *wanted])

    assert code == 0
    assert capsys.readouterr().out == f"1 trade in {target}\n"
    assert target.read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "out.xls"], "must end in"),
        (["--to", "out.csv", "--channels", "tickers"], "no channel"),
        (["--to", "out.csv", "--pairs", "ltc_usdt"], "nothing to export"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(store, tmp_path, capsys, monkeypatch, arguments, words):
    """In one line, with the exit code of a wrong command line."""
    monkeypatch.chdir(tmp_path)

    assert main(["export", str(store.root), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["data"]


# Candles.


def test_candles_are_exact_and_none_is_invented():
    """A minute without a trade has no candle; the sums have every digit."""
    tiny = Decimal("0.000000000000000000000000000000000001")
    trades = [
        trade(65, price=Decimal(3), amount=tiny),
        trade(1, price=Decimal(2), amount=Decimal(10**20)),
        trade(59, price=Decimal(1), amount=tiny),
        trade(200, price=Decimal(5)),
    ]

    first, second, third = candles(trades, "1min")

    assert (first.opened_at, first.open, first.high, first.low, first.close, first.trades) == (AT, 2, 2, 1, 1, 2)
    assert str(first.volume) == "100000000000000000000.000000000000000000000000000000000001"
    assert second.opened_at == AT + timedelta(minutes=1)
    assert third.opened_at == AT + timedelta(minutes=3)
    assert third.ended_at == AT + timedelta(minutes=4)


def test_a_candle_that_a_hole_touches_is_not_whole():
    """What is missing must not pass for a quiet minute."""
    hole = Gap(
        topic("trade", "btc_usdt"),
        AT + timedelta(seconds=50),
        AT + timedelta(seconds=70),
        GapCause.LINE_LOST,
        missing_before=AT + timedelta(seconds=55),
    )
    still = Gap(topic("trade", "btc_usdt"), AT + timedelta(seconds=170), None, GapCause.LINE_LOST)

    made = candles([trade(0), trade(61), trade(130), trade(190)], "1min", gaps=[hole, still])

    assert [one.is_whole for one in made] == [False, True, False, False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), NUMBERS, NUMBERS), max_size=30), st.randoms())
def test_candles_do_not_depend_on_the_order_in_which_trades_come(rows, shuffled):
    """Trades come late and fetched; open and close are those of the exchange's clock."""
    seconds = {}
    for second, price, amount in rows:
        seconds[second] = trade(second, price=price, amount=amount)
    trades = list(seconds.values())
    in_order = sorted(trades, key=lambda one: one.traded_at)
    shuffled.shuffle(trades)

    made = candles(trades, "1min")

    assert made == candles(in_order, "1min")
    assert sum(one.trades for one in made) == len(trades)


@pytest.mark.parametrize(
    ("interval", "begin", "end"),
    [
        ("4hr", datetime(2026, 11, 22, 8), datetime(2026, 11, 22, 12)),  # noqa: DTZ001 - the zone is set below
        ("week", datetime(2026, 11, 16), datetime(2026, 11, 23)),  # noqa: DTZ001
        ("month", datetime(2026, 11, 1), datetime(2026, 12, 1)),  # noqa: DTZ001
        ("year", datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
        (timedelta(seconds=90), datetime(2026, 11, 22, 10, 15), datetime(2026, 11, 22, 10, 16, 30)),  # noqa: DTZ001
    ],
)
def test_intervals_begin_where_the_page_says(interval, begin, end):
    """In UTC, weeks on Monday."""
    (one,) = candles([trade(0)], interval)

    assert (one.opened_at, one.ended_at) == (begin.replace(tzinfo=timezone.utc), end.replace(tzinfo=timezone.utc))
