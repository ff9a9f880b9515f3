"""What V2's frames mean, and what we send."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.events import Depth, Level, Receipt
from lbank_ws.wire import V2, Denial, Ignored, Message, Ping, Pong, Push, Reply, dialect_named
from lbank_ws.wire.levels import Levels
from tests.samples import Sample, described, moment, sample, samples, topic_named

NOW_NS = 1_790_000_000_123_456_789

RECEIVED = [one for one in samples("v2") if one.direction == "in" and one.means]
SENT = [one for one in samples("v2") if one.direction == "out" and one.means and one.means["call"] != "pong"]
PONGS = [one for one in samples("v2") if one.direction == "out" and one.means and one.means["call"] == "pong"]

TICK = json.loads(sample("v2", "tick_eth_btc_2019").frame)
DEPTH = json.loads(sample("v2", "depth_coinalpha_hbot_2022").frame)
TRADE = json.loads(sample("v2", "trade_btc_usdt_2019").frame)
KBAR = json.loads(sample("v2", "kbar_eth_btc_2019").frame)
KBAR_REPLY = json.loads(sample("v2", "reply_kbar_btc_usdt_2024").frame)
TRADE_REPLY = json.loads(sample("v2", "reply_trade_btc_usdt_2024").frame)
FRAMES = {
    "tick": TICK,
    "depth": DEPTH,
    "trade": TRADE,
    "kbar": KBAR,
    "kbar reply": KBAR_REPLY,
    "trade reply": TRADE_REPLY,
}


def read(frame: str | dict[str, Any]) -> Message:
    return V2().decode(frame if isinstance(frame, str) else json.dumps(frame), Receipt(NOW_NS))


def event(frame: str | dict[str, Any]) -> Any:
    message = read(frame)
    assert isinstance(message, Push | Reply)
    return message.events[0]


def changed(frame: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Give a copy in which one member, named like `tick.latest`, holds something else."""
    copy: dict[str, Any] = json.loads(json.dumps(frame))
    *parents, last = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return copy


def without(frame: dict[str, Any], path: str) -> dict[str, Any]:
    parent, _, last = path.rpartition(".")
    copy: dict[str, Any] = json.loads(json.dumps(frame))
    del (copy[parent] if parent else copy)[last]
    return copy


def tick_frame(number: str) -> str:
    """Give a ticker whose last price is printed just so."""
    return f'{{"tick":{{"latest":{number}}},"type":"tick","pair":"eth_btc"}}'


def depth_frame(*bids: object) -> dict[str, Any]:
    return changed(DEPTH, "depth.bids", list(bids))


@pytest.mark.parametrize("seen", RECEIVED, ids=str)
def test_sample_means_what_the_protocol_says(seen: Sample):
    """The samples are all we know of the live exchange; their meanings were worked out by hand."""
    message = read(seen.frame)

    expected = dict(seen.means or {})
    if "event" in expected:
        assert isinstance(message, Push)
        assert [described(one) for one in message.events] == [expected]
    else:
        assert type(message).__name__ == expected.pop("message")
        assert [described(one) for one in getattr(message, "events", ())] == expected.pop("events", [])
        if isinstance(message, Ping):
            assert json.loads(message.answer) == expected.pop("answer")
        if isinstance(message, Denial):
            assert message == Denial(expected.pop("reason"), pairs=tuple(expected.pop("pairs")))
        assert expected == {}


@pytest.mark.parametrize("seen", SENT, ids=str)
def test_we_send_what_working_clients_send(seen: Sample):
    """V2 acknowledges nothing, so a frame spelt in another way would fail in silence."""
    means = dict(seen.means or {})
    call = getattr(V2(), means.pop("call"))
    topic = topic_named(means.pop("topic"))
    told = {name: moment(value) if name.endswith("_at") else value for name, value in means.items()}

    frame = call(topic, **told)

    assert json.loads(frame) == json.loads(seen.frame)


@pytest.mark.parametrize("seen", PONGS, ids=str)
def test_pong_is_the_one_that_clients_were_seen_to_send(seen: Sample):
    """The exchange hangs up a minute after a ping that nobody answered."""
    means = seen.means or {}

    message = read({"action": "ping", "ping": means["answers"]})

    assert isinstance(message, Ping)
    assert json.loads(message.answer) == json.loads(seen.frame)


@pytest.mark.parametrize(
    "printed",
    [
        '"0ca8f854-7ba7"',
        '"with \\"quotes\\" and \\u00e9, \\ud800"',
        "1700000000000",
        "-0",
        "1.50",
        "1E5",
        "1e-400",
        "123456789012345678901234567890",
        "null",
        "true",
        "[]",
        '{"a": 1.50, "b": [1E5, {"}": "{,:"}]}',
    ],
)
@pytest.mark.parametrize(
    "frame", ['{"action":"ping","ping":ID}', ' {\n"ping" : ID ,"action" : "ping", "x": {"ping": 1}}']
)
def test_pong_echoes_the_id_verbatim(printed: str, frame: str):
    """Nobody promised that an id is a UUID; one that comes back altered counts as no answer."""
    message = read(frame.replace("ID", printed))

    assert message == Ping(f'{{"action":"pong","pong":{printed}}}')


def test_last_of_two_ids_is_echoed():
    """A JSON reader keeps the last of two equal names, so the answer must agree with it."""
    message = read('{"ping":1,"action":"ping","ping":2}')

    assert message == Ping('{"action":"pong","pong":2}')


def test_our_own_ping_and_its_answer_are_understood():
    """A quiet line is asked before it is cut; the answer is the proof of life."""
    dialect = V2()

    sent = json.loads(dialect.ping(7))

    assert sent == {"action": "ping", "ping": "7"}
    assert dialect.decode('{"action":"pong","pong":"7"}', Receipt(NOW_NS)) == Pong()


@pytest.mark.parametrize(
    ("frame", "moments"),
    [
        (TICK, {"exchange_at": "2019-07-01T03:33:55.188Z"}),
        (changed(TICK, "TS", "2026-01-01T07:59:59.999"), {"exchange_at": "2025-12-31T23:59:59.999Z"}),
        (changed(TICK, "TS", "2024-03-01T00:00:00.000"), {"exchange_at": "2024-02-29T16:00:00.000Z"}),
        (TRADE, {"traded_at": "2019-06-28T11:55:49.460Z"}),
        (KBAR, {"opened_at": "2019-06-28T09:45:00.000Z"}),
        (KBAR_REPLY, {"opened_at": "2024-01-16T00:20:00.000Z", "exchange_at": "2024-01-16T00:29:41.718Z"}),
    ],
)
def test_wall_clock_of_utc8_becomes_utc(frame: dict[str, Any], moments: dict[str, str]):
    """Clients that took these times for UTC, or for their own zone, were eight hours off for years."""
    read_event = event(frame)

    for name, expected in moments.items():
        assert getattr(read_event, name) == moment(expected)
        assert getattr(read_event, name).utcoffset() == timedelta(0)


def test_frame_without_a_time_has_none():
    """A made-up time would make the age of a push a lie."""
    assert event(without(TICK, "TS")).exchange_at is None


@pytest.mark.parametrize(
    "moment_text",
    [
        "2019-07-01T03:33:55.188Z",
        "2019-07-01T11:33:55+08:00",
        "0001-01-01T00:00:00",
        "yesterday",
        "",
        5,
        None,
        True,
        [],
    ],
)
def test_other_clock_is_an_error(moment_text: object):
    """A time with an offset would mean that the exchange changed its clock: guessing would be wrong in silence."""
    with pytest.raises(DecodeError, match=r"t (is|has)"):
        read(changed(KBAR, "kbar.t", moment_text))


@pytest.mark.parametrize(
    ("asked_from", "sent"),
    [
        (datetime(2018, 8, 3, 9, 32, tzinfo=timezone.utc), "2018-08-03T17:32:00"),
        (datetime(2018, 8, 3, 11, 32, tzinfo=timezone(timedelta(hours=2))), "2018-08-03T17:32:00"),
        (datetime(999, 12, 31, 20, tzinfo=timezone.utc), "1000-01-01T04:00:00"),
    ],
)
def test_request_is_sent_in_the_clock_of_the_exchange(asked_from: datetime, sent: str):
    """The exchange reads a time without an offset as Beijing time."""
    frame = V2().request(Topic(Channel.KLINE, "eth_btc", interval="5min"), start_at=asked_from)

    assert json.loads(frame)["start"] == sent


def test_request_from_a_moment_without_zone_is_refused():
    """It would be read in the zone of whatever machine the script runs on."""
    naive = datetime(2018, 8, 3, 9, 32)  # noqa: DTZ001  # that it is naive is the point

    with pytest.raises(UsageError, match="no time zone; write"):
        V2().request(Topic(Channel.KLINE, "eth_btc", interval="5min"), end_at=naive)


@pytest.mark.parametrize("quote", ["", '"'], ids=["number", "text"])
@pytest.mark.parametrize(
    ("printed", "exactly"),
    [
        ("0.1", (0, (1,), -1)),
        ("12129", (0, (1, 2, 1, 2, 9), 0)),
        ("19.0", (0, (1, 9, 0), -1)),
        ("2.5046901191E8", (0, (2, 5, 0, 4, 6, 9, 0, 1, 1, 9, 1), -2)),
        ("4.0E-5", (0, (4, 0), -6)),
        ("1e-8", (0, (1,), -8)),
        ("0", (0, (0,), 0)),
        ("0.123456789012345678901234567891", (0, tuple(map(int, "123456789012345678901234567891")), -30)),
        ("123456789012345678901234567891", (0, tuple(map(int, "123456789012345678901234567891")), 0)),
    ],
)
def test_number_is_kept_exactly_as_printed(printed: str, exactly: tuple[int, tuple[int, ...], int], quote: str):
    """A price that went through a float is another price: 0.1 + 0.2 is not 0.3 there."""
    last = event(tick_frame(f"{quote}{printed}{quote}")).last

    assert isinstance(last, Decimal)
    assert last.as_tuple() == exactly


def test_numbers_of_a_ticker_add_up_as_on_paper():
    """This is what exactness is for."""
    frame = '{"tick":{"latest":0.1,"high":0.2},"type":"tick","pair":"eth_btc"}'

    ticker = event(frame)

    assert ticker.last + ticker.high == Decimal("0.3")


@pytest.mark.parametrize(
    ("printed", "came"),
    [
        ('"12a"', "'12a'"),
        ('"0x10"', "'0x10'"),
        ('"1_000"', "'1_000'"),
        ('" 1"', "' 1'"),
        ('"1\\n"', r"'1\n'"),
        ('"\u0661\u0662"', r"'\u0661\u0662'"),
        ('"\\ud800"', r"'\ud800'"),
        ('""', "''"),
        ('"NaN"', "'NaN'"),
        ('"-Infinity"', "'-Infinity'"),
        ("true", "true or false"),
        ("null", "null"),
        ("[1]", "a list"),
        ("{}", "an object"),
        ("-1", "-1, below zero"),
        ("1e61", "1E+61, far from"),
        ('"1e-61"', "1e-61, far from"),
        ("1e999999999", "1E+999999999"),
        ("0." + "1" * 1250, "(1252 characters), far from"),
    ],
)
def test_price_that_is_no_number_is_an_error_that_shows_it(printed: str, came: str):
    """Whoever reads the log must see what came, without digging in a frame."""
    with pytest.raises(DecodeError) as caught:
        read(tick_frame(printed))

    assert caught.value.problem.startswith("latest is ")
    assert came in caught.value.problem


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_json_that_is_not_finite_is_an_error(constant: str):
    """Python's reader takes them by itself, and one NaN spoils every sum that it enters."""
    with pytest.raises(DecodeError, match=f"{constant} is not a number"):
        read(tick_frame(constant))


@pytest.mark.parametrize(
    ("said", "side", "order_type"),
    [
        ("buy", "buy", None),
        ("sell", "sell", None),
        ("buy_market", "buy", "market"),
        ("sell_market", "sell", "market"),
        ("buy_maker", "buy", "maker"),
        ("sell_maker", "sell", "maker"),
        ("buy_ioc", "buy", "ioc"),
        ("sell_fok", "sell", "fok"),
        ("SELL", "sell", None),
    ],
)
def test_direction_is_split_into_side_and_order_type(said: str, side: str, order_type: str | None):
    """One trade in a thousand is not just buy or sell, and broke the strict clients."""
    trade = event(changed(TRADE, "trade.direction", said))

    assert (trade.side, trade.order_type) == (side, order_type)


OTHER_DIRECTIONS = [("hold", "'hold'"), ("", "''"), (1, "a number"), ("buyer", "'buyer'")]


@pytest.mark.parametrize(("said", "came"), OTHER_DIRECTIONS)
def test_other_direction_of_a_trade_is_an_error(said: object, came: str):
    """A guessed side would turn a sale into a purchase."""
    with pytest.raises(DecodeError, match=f"direction is {came}, neither buy nor sell"):
        read(changed(TRADE, "trade.direction", said))


@pytest.mark.parametrize(("said", "came"), OTHER_DIRECTIONS)
def test_other_direction_of_a_ticker_is_unknown(said: object, came: str):
    """The side of the last trade is an extra; the price beside it must not be lost for it."""
    assert event(changed(TICK, "tick.dir", said)).side is None


@pytest.mark.parametrize(
    ("moment_sent", "expected"),
    [
        (1705364400, "2024-01-16T00:20:00.000Z"),
        (1705364400123, "2024-01-16T00:20:00.123Z"),
        ("1705364400", "2024-01-16T00:20:00.000Z"),
        ("2024-01-16T08:20:00.123", "2024-01-16T00:20:00.123Z"),
    ],
)
def test_row_of_a_trade_reply_is_a_trade(moment_sent: object, expected: str):
    """A hole is filled from such rows; no capture shows how their time is printed, so every likely way is read."""
    message = read(changed(TRADE_REPLY, "trades", [[moment_sent, 42585.84, "0.10", "sell_market"]]))

    assert isinstance(message, Reply)
    assert [described(one) for one in message.events] == [
        {
            "event": "Trade",
            "pair": "btc_usdt",
            "price": "42585.84",
            "amount": "0.10",
            "side": "sell",
            "order_type": "market",
            "traded_at": expected,
            "exchange_at": "2024-01-16T00:48:24.470Z",
        }
    ]


def test_columns_of_a_reply_may_change_places():
    """The exchange names its columns, so their order is no promise."""
    frame = changed(TRADE_REPLY, "columns", ["direction", "price", "new", "volume", "timestamp"])

    trade = event(changed(frame, "trades", [["buy", 2, None, 3, 1705364400]]))

    assert (trade.side, trade.price, trade.amount) == ("buy", 2, 3)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (changed(KBAR_REPLY, "records", [[1705364400, 1, 2]]), "a row of records does not have 8 columns"),
        (changed(KBAR_REPLY, "records", [5]), "records is a number, not a list"),
        (changed(KBAR_REPLY, "records", None), "records is null, not a list"),
        (changed(KBAR_REPLY, "columns", "timestamp"), "columns is 'timestamp', not a list"),
        (changed(KBAR_REPLY, "records", [[1e17] * 8]), "timestamp is out of range"),
        (changed(KBAR_REPLY, "records", [[1.5] * 8]), "timestamp is 1.5, not a whole number"),
        (changed(KBAR_REPLY, "kbar", {"slot": "5min"}), "the interval is not a word"),
    ],
)
def test_broken_reply_is_an_error_that_says_where(frame: dict[str, Any], problem: str):
    """A reply fills holes in what was recorded, so half of one is worse than none."""
    with pytest.raises(DecodeError) as caught:
        read(frame)

    assert caught.value.problem == problem


def test_reply_to_a_ticker_request_is_its_push():
    """The exchange answers with the frame of a push and no request id."""
    message = read(sample("v2", "tick_eth_btc_2019").frame)

    assert isinstance(message, Push)


@pytest.mark.parametrize(
    ("said", "shown", "pairs"),
    [
        ("Invalid order pairs:[btcusdt]", "Invalid order pairs:[btcusdt]", ("btcusdt",)),
        (
            "Invalid order pairs:[aiausdt],remoteIp is: [203.0.113.77]",
            "Invalid order pairs:[aiausdt],remoteIp is: [x.x.x.x]",
            ("aiausdt",),
        ),
        (
            "Invalid order pairs:[a_b, c_d],remoteIp is: [2001:db8:85a3::8a2e:370:7334]",
            "Invalid order pairs:[a_b, c_d],remoteIp is: [x.x.x.x]",
            ("a_b", "c_d"),
        ),
        ("blocked 2001:db8::1 for now", "blocked x.x.x.x for now", ()),
        ("Missing parameter ['kbar']", "Missing parameter ['kbar']", ()),
        ("line\nfeed \ud800", r"line\x0afeed \ud800", ()),
        (None, "no reason was given", ()),
        ({"text": "x"}, "no reason was given", ()),
    ],
)
def test_error_frame_names_the_pair_and_hides_our_address(said: object, shown: str, pairs: tuple[str, ...]):
    """The exchange prints the client's IP address into its errors, and logs get shared."""
    message = read({"SERVER": "V2", "message": said, "status": "error", "TS": "2025-09-19T01:19:17.534"})

    assert message == Denial(shown, pairs=pairs)


def test_endless_reason_is_cut():
    """A log line must stay a line."""
    message = read({"status": "error", "message": "x" * 100_000})

    assert isinstance(message, Denial)
    assert len(message.reason) == 200
    assert message.reason.endswith("... (100000 characters)")


@pytest.mark.parametrize(
    "levels",
    [
        [["1161.47", "0.8194"], ["1161.4", "2"]],
        [[1161.47, 0.8194], [1161.4, 2]],
        [["1161.47", 0.8194], [1161.4, "2"]],
    ],
    ids=["text", "numbers", "mixed"],
)
def test_level_is_read_from_text_and_from_numbers(levels: list[list[object]]):
    """The docs print numbers, the live exchange sends text."""
    depth = event(depth_frame(*levels))

    assert depth.bids == (
        Level(Decimal("1161.47"), Decimal("0.8194")),
        Level(Decimal("1161.4"), Decimal("2")),
    )


@pytest.mark.parametrize(
    ("key", "sent", "name", "expected"),
    [
        ("count", 100, "levels", 100),
        ("count", "50", "levels", 50),
        ("count", None, "levels", None),
        ("s", "t-12", "node", "t-12"),
        ("s", "m-3", "node", "m-3"),
        ("s", None, "node", None),
        ("s", 5, "node", None),
        ("s", "x" * 1000, "node", None),
    ],
)
def test_depth_says_how_many_levels_and_from_which_node(key: str, sent: object, name: str, expected: object):
    """Two kinds of node serve different books for one market; only this name tells them apart."""
    depth = event(changed(DEPTH, key, sent))

    assert getattr(depth, name) == expected


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+1", "-1", "=cmd|' /C calc'!A1", "-x"])
def test_no_text_of_an_event_begins_like_a_formula(text: str):
    """Every text that the exchange chooses, but for the pair, may become a cell of a CSV that somebody opens."""
    book = event(changed(DEPTH, "s", text))
    deal = event(changed(TRADE, "trade.direction", "buy"))
    with pytest.raises(DecodeError):
        read(changed(KBAR, "kbar.slot", text))
    with contextlib.suppress(DecodeError):  # it is no word at all
        deal = event(changed(TRADE, "trade.direction", f"buy_{text}"))

    assert (book.node, deal.order_type) == (None, None)


def test_empty_side_is_an_empty_book_not_an_error():
    """Thin markets have one."""
    depth = event(depth_frame())

    assert list(depth.bids) == []
    assert depth.best_bid is None
    assert depth.best_ask == Level(Decimal("1161.58"), Decimal("3.7754"))


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ({"type": "bookTicker", "bookTicker": {}}, "bookTicker"),
        ({"type": "__class__", "pair": "btc_usdt"}, "__class__"),
        ({"type": ["tick"]}, "None"),
        ({"type": None}, "None"),
        ({"action": "subscribe", "type": "x" * 1000}, "subscribe"),
        ({"action": "\ud800\n"}, "None"),
        ({}, "None"),
    ],
)
def test_unknown_type_is_passed_over(frame: dict[str, Any], why: str):
    """The exchange adds types without notice, and nothing it says may choose what code runs."""
    message = read(frame)

    assert isinstance(message, Ignored)
    assert why in message.why
    assert len(message.why) < 100


@pytest.mark.parametrize("path", ["tick.high", "tick.low", "tick.vol", "tick.turnover", "tick.change", "tick.dir"])
def test_ticker_needs_only_its_price(path: str):
    """A new pair has no last 24 hours."""
    missing, null = event(without(TICK, path)), event(changed(TICK, path, None))

    names = {"vol": "volume", "change": "change_pct", "dir": "side"}
    name = path.removeprefix("tick.")
    assert getattr(missing, names.get(name, name)) is None
    assert getattr(null, names.get(name, name)) is None


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("tick", "tick"),
        ("tick", "tick.latest"),
        ("tick", "pair"),
        ("depth", "depth.asks"),
        ("depth", "depth.bids"),
        ("depth", "pair"),
        ("trade", "trade"),
        ("trade", "trade.price"),
        ("trade", "trade.volume"),
        ("trade", "trade.direction"),
        ("trade", "trade.TS"),
        ("trade", "pair"),
        ("kbar", "kbar"),
        ("kbar", "kbar.slot"),
        ("kbar", "kbar.t"),
        *(("kbar", f"kbar.{name}") for name in "ohlcv"),
        ("kbar", "pair"),
        ("kbar reply", "columns"),
        ("kbar reply", "kbar"),
    ],
)
def test_what_an_event_needs_cannot_be_missing_or_null(kind: str, path: str):
    """An event with a hole in it would fail later, in the user's own code."""
    with pytest.raises(DecodeError, match=f"'{path.rpartition('.')[2]}' is missing"):
        read(without(FRAMES[kind], path))

    with pytest.raises(DecodeError, match=r"is null|is not a word"):
        read(changed(FRAMES[kind], path, None))


@pytest.mark.parametrize(
    ("kind", "path", "value", "problem"),
    [
        ("tick", "tick", [1], "tick is a list, not an object"),
        ("depth", "depth", "x", "depth is 'x', not an object"),
        ("depth", "depth.bids", {"0": 1}, "bids is an object, not a list"),
        ("depth", "count", 1.5, "count is 1.5, not a whole number"),
        ("depth", "count", True, "count is true or false, not a number"),
        ("depth", "count", "many", "count is 'many', not a number"),
        ("trade", "trade.price", False, "price is true or false, not a number"),
        ("trade", "trade.volume", -1, "volume is -1, below zero"),
        ("trade", "trade.amount", [], "amount is a list, not a number"),
        ("kbar", "kbar.n", 1.5, "trades is 1.5, not a whole number"),
        ("kbar", "kbar.h", "high", "high is 'high', not a number"),
    ],
)
def test_wrong_type_is_an_error_that_says_what_came(kind: str, path: str, value: object, problem: str):
    """The sentence is all that a beginner sees."""
    with pytest.raises(DecodeError) as caught:
        read(changed(FRAMES[kind], path, value))

    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ("", "not JSON"),
        ("pong", "not JSON"),
        ("{", "not JSON"),
        ('{"a":1} {"b":2}', "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[]", "it is a list, not an object"),
        ("null", "it is null, not an object"),
        ("true", "it is true or false, not an object"),
        ("1.5", "it is a number, not an object"),
        ('"text"', "it is 'text', not an object"),
        ('{"raw":"\ud800"}', "surrogates not allowed"),
    ],
)
def test_text_that_is_no_json_object_is_an_error(frame: str, problem: str):
    """A proxy or a captive portal answers with anything."""
    with pytest.raises(DecodeError) as caught:
        read(frame)

    assert problem in caught.value.problem


@pytest.mark.parametrize(
    "pair",
    [
        "BTC_USDT",
        "btcusdt",
        "btc-usdt",
        "btc_usdt\n",
        "../../x",
        "btc_usdt_x",
        "_usdt",
        "btc_",
        "btc\0_usdt",
        "\u0661_usdt",
        "\ud800",
        "",
        5,
        None,
        True,
        ["btc_usdt"],
        {},
    ],
)
@pytest.mark.parametrize("kind", ["tick", "depth", "trade", "kbar", "kbar reply", "trade reply"])
def test_pair_spelt_in_another_way_is_an_error(kind: str, pair: object):
    """A pair becomes a file name and a database key, so nothing else may pass for one."""
    with pytest.raises(DecodeError, match=r"the pair is .*, not spelt like btc_usdt"):
        read(changed(FRAMES[kind], "pair", pair))


def test_event_keeps_the_whole_frame_and_when_it_came():
    """What we read wrongly today can be read again tomorrow."""
    frame = sample("v2", "tick_eth_btc_2019").frame

    ticker = event(frame)

    assert ticker.raw == frame
    assert ticker.received_ns == NOW_NS


def test_new_fields_change_nothing():
    """The exchange adds fields without notice."""
    grown = changed(changed(TICK, "new", {"x": [1]}), "tick.newer", "y")

    old, new = described(event(TICK)), described(event(grown))

    assert new == old


SIDE = [["3", "1"], ["2", "0.50"], ["1", 0]]
LEVELS = tuple(Level(Decimal(str(price)), Decimal(str(amount))) for price, amount in SIDE)


def side_of_a_book() -> Levels:
    bids = event(depth_frame(*SIDE)).bids
    assert isinstance(bids, Levels)
    return bids


@pytest.mark.parametrize("read_before", [False, True], ids=["untouched", "read before"])
def test_levels_are_a_sequence(read_before: bool):
    """A user treats them as the tuple they stand for; that they are read late must not show."""
    levels = side_of_a_book()
    if read_before:
        list(levels)

    assert len(levels) == 3
    assert [levels[0], levels[1], levels[-1]] == [LEVELS[0], LEVELS[1], LEVELS[2]]
    assert levels[:2] == LEVELS[:2]
    assert levels[::-1] == LEVELS[::-1]
    assert list(levels) == list(LEVELS)
    assert list(reversed(levels)) == list(reversed(LEVELS))
    assert LEVELS[1] in levels
    assert levels.index(LEVELS[2]) == 2
    assert repr(levels) == repr(LEVELS)
    assert hash(levels) == hash(LEVELS)
    with pytest.raises(IndexError):
        levels[3]


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ('[["3","1"],["2.50","0.0000001"]]', True),
        ('[["3","0"]]', True),
        ("[[3,1]]", False),
        ('[["3","1"],[2,"1"]]', False),
        ('[["-3","1"]]', False),
        ('[["3","1e-7"]]', False),
        ('[["3","1","x"]]', False),
        ('[["3"]]', False),
        ('[["3", "1"]]', False),
        ('[["3.","1"]]', False),
        ('[["٣","1"]]', False),
        (f'[["{"9" * 41}","1"]]', False),
        ("[]", False),
    ],
)
def test_a_side_that_is_plain_needs_no_reading(text, is_plain):
    """A database of books takes its text as it is; whatever looks in any way different is read first."""
    levels = Levels(text, "frame")

    assert levels.plain_text == (text if is_plain else None)
    if is_plain:
        said = [tuple(map(Decimal, pair)) for pair in json.loads(levels.plain_text)]
        assert said == [(level.price, level.amount) for level in levels]


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [(LEVELS, True), (list(LEVELS), True), (side_of_a_book(), True), (LEVELS[:2], False), ((), False), ("321", False)],
)
def test_levels_are_equal_to_what_holds_the_same(other: object, is_equal: bool):
    """Two pushes of one book are the same book."""
    assert (side_of_a_book() == other) is is_equal


def test_levels_keep_the_digits_that_were_printed():
    """0.50 is what the exchange said, and what goes into a file."""
    assert [str(level.amount) for level in side_of_a_book()] == ["1", "0.50", "0"]


@pytest.mark.parametrize(
    ("level", "problem"),
    [
        (["1"], "this one has 1 members"),
        (["1", "2", "3"], "this one has 3 members"),
        ("12", "this one is '12', not a list"),
        ({"price": 1}, "this one is an object, not a list"),
        (["-1", "2"], "this price is -1, below zero"),
        (["1", True], "this amount is true or false, not a number"),
        (["1", None], "this amount is null, not a number"),
        (["1", "NaN"], "this amount is 'NaN', not a number"),
    ],
)
def test_bad_deep_level_is_an_error_only_when_looked_at(level: object, problem: str):
    """Who wants the best price must not pay for, nor fail at, the hundredth level."""
    depth: Depth = event(depth_frame(["2", "1"], level))

    assert depth.best_bid == Level(Decimal(2), Decimal(1))
    assert len(depth.bids) == 2
    with pytest.raises(DecodeError) as caught:
        depth.bids[1]
    assert caught.value.problem == f"a level is [price, amount], both 0 or more, but {problem}"
    with pytest.raises(DecodeError):
        list(depth.bids)


@pytest.mark.parametrize(
    ("topic", "spelling"),
    [
        ("ticker/eth_btc", "tick/eth_btc"),
        ("depth/eth_btc/10", "depth/eth_btc/10"),
        ("trade/eth_btc", "trade/eth_btc"),
        ("kline/eth_btc/1hr", "kbar/eth_btc/1hr"),
    ],
)
def test_topics_that_the_wire_tells_apart_are_spelt_apart(topic: str, spelling: str):
    """Two topics of one spelling would share a subscription without knowing."""
    assert V2().spelling(topic_named(topic)) == spelling


def test_dialect_is_found_by_its_name_and_a_wrong_name_is_told():
    """The name comes from a setting or the command line."""
    assert isinstance(dialect_named("V2"), V2)

    with pytest.raises(UsageError, match="no dialect 'v3'; write one of: v2, simple"):
        dialect_named("v3")
