"""What a client hears from the practice exchange, in both dialects, without a socket.

The expected shapes are written down here by hand, from LBank's captures, so that the box is not its own judge.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox import frames
from lbank_ws.sandbox.bars import INTERVALS
from lbank_ws.sandbox.listings import LISTINGS
from lbank_ws.sandbox.market import Market
from lbank_ws.sandbox.simple import SimpleVisitor
from lbank_ws.sandbox.v2 import V2Visitor
from lbank_ws.sandbox.visitor import Visitor

OPENED_AT_MS = 1_795_399_447_031
NOW_MS = OPENED_AT_MS + 700
NOW_TS = "2026-11-23T10:04:07.731"  # the same on the clock of UTC+8
ENVELOPE = {"type": str, "pair": str, "SERVER": str, "TS": str}
TICK = dict.fromkeys(
    ("to_cny", "high", "vol", "low", "change", "usd", "to_usd", "turnover", "latest", "cny"), Decimal
) | {"dir": str}
TRADE = {"volume": Decimal, "amount": Decimal, "price": Decimal, "direction": str, "TS": str}
KBAR = dict.fromkeys(("a", "c", "v", "h", "l", "o"), Decimal) | {"t": str, "slot": str, "n": int}


def read(frame: str) -> dict[str, Any]:
    message = json.loads(frame, parse_float=Decimal)
    assert isinstance(message, dict)
    return message


def shape(message: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in message.items()}


def on_v2(*pairs: str, **how: Any) -> tuple[V2Visitor, Market]:
    market = Market(pairs or ("btc_usdt",), 1, OPENED_AT_MS)
    return V2Visitor(1, market, now_ms=0, **how), market


def on_simple(*pairs: str, **how: Any) -> tuple[SimpleVisitor, Market]:
    market = Market(pairs or ("btc_usdt",), 1, OPENED_AT_MS)
    return SimpleVisitor(1, market, now_ms=0, **how), market


def says(visitor: Visitor, **said: Any) -> list[dict[str, Any]]:
    return [read(frame) for frame in visitor.received(json.dumps(said), NOW_MS)]


def subscribes(visitor: Visitor, channel: str, pair: str = "btc_usdt", **more: Any) -> list[dict[str, Any]]:
    return says(visitor, action="subscribe", subscribe=channel, pair=pair, **more)


def pushes(visitor: Visitor, market: Market, seconds: float = 20) -> list[dict[str, Any]]:
    happened = market.advance(market.now_ms + int(seconds * 1000))
    return [read(frame) for each in happened for frame in visitor.frames(each)]


# --- V2: shapes


def test_v2_tick_has_the_shape_of_the_captures():
    """A client that reads the box reads LBank."""
    visitor, market = on_v2()

    (snapshot,) = subscribes(visitor, "tick")

    for message in [snapshot, *pushes(visitor, market)]:
        assert shape(message) == ENVELOPE | {"tick": dict}
        assert shape(message["tick"]) == TICK
        assert (message["type"], message["pair"], message["SERVER"]) == ("tick", "btc_usdt", "V2")
        assert message["tick"]["usd"] == message["tick"]["latest"] * message["tick"]["to_usd"]
    assert snapshot["TS"] == NOW_TS


def test_v2_depth_has_text_levels_a_count_and_a_node():
    """Live depth frames carry text, whatever the documentation says."""
    visitor, market = on_v2(node="t-07")

    (snapshot,) = subscribes(visitor, "depth", depth="7")

    for message in [snapshot, *pushes(visitor, market)]:
        assert shape(message) == ENVELOPE | {"depth": dict, "count": int, "s": str}
        assert shape(message["depth"]) == {"asks": list, "bids": list}
        assert (message["type"], message["count"], message["s"]) == ("depth", 7, "t-07")
        for side in ("asks", "bids"):
            assert len(message["depth"][side]) == 7
            assert all(type(word) is str for level in message["depth"][side] for word in level)
        assert Decimal(message["depth"]["bids"][0][0]) < Decimal(message["depth"]["asks"][0][0])
    assert snapshot["TS"] == NOW_TS


def test_v2_trade_is_one_object_without_a_snapshot():
    """LBank pushes a trade when one is made, and none before."""
    visitor, market = on_v2()

    assert subscribes(visitor, "trade") == []

    made = pushes(visitor, market)
    assert made
    for message in made:
        assert shape(message) == ENVELOPE | {"trade": dict}
        assert shape(message["trade"]) == TRADE
        assert message["trade"]["direction"] in ("buy", "sell", "buy_market", "sell_market")
        assert message["trade"]["TS"] < message["TS"]


@pytest.mark.parametrize("interval", INTERVALS)
def test_v2_kbar_has_the_shape_of_the_captures(interval):
    """All ten documented intervals are there."""
    visitor, market = on_v2()

    (snapshot,) = subscribes(visitor, "kbar", kbar=interval)

    for message in [snapshot, *pushes(visitor, market)]:
        assert shape(message) == ENVELOPE | {"kbar": dict}
        assert shape(message["kbar"]) == KBAR
        assert message["kbar"]["slot"] == interval
        assert message["kbar"]["t"] <= message["TS"]


def test_v2_times_are_wall_clock_of_utc_plus_8_without_an_offset():
    """The trap that most clients fall into."""
    # An order push of LBank: its updateTime, 16 ms later, against its TS.
    assert frames.clock(1705676718532 + 16) == "2024-01-19T23:05:18.548"
    assert frames.clock(1705676718000) == "2024-01-19T23:05:18.000"


# --- V2: numbers


@pytest.mark.parametrize(
    ("steps", "places", "text"),
    [
        (25046901191, 2, "2.5046901191E8"),  # LBank's own, of 2025
        (190, 1, "19.0"),
        (7054, 4, "0.7054"),
        (12129, 0, "12129.0"),
        (4, 5, "4.0E-5"),
        (1, 3, "0.001"),
        (9, 4, "9.0E-4"),
        (9999999, 0, "9999999.0"),
        (10000000, 0, "1.0E7"),
        (-1046, 2, "-10.46"),
        (-5, 2, "-0.05"),
        (0, 2, "0.0"),
        (3, 1, "0.3"),
        (99999999999999999999, 2, "1.0E18"),
    ],
)
def test_numbers_are_printed_as_java_prints_them(steps, places, text):
    """Scientific notation is what breaks naive clients; the box must show it."""
    assert frames.number(steps, places) == text


@given(steps=st.integers(-(10**17) + 1, 10**17 - 1), places=st.integers(0, 12))
def test_numbers_of_17_digits_are_printed_exactly(steps, places):
    """0.1 + 0.2 must never reach a price."""
    assert Decimal(frames.number(steps, places)) == Decimal(steps).scaleb(-places)


@given(steps=st.integers(0, 10**17 - 1), places=st.integers(0, 12))
def test_levels_are_printed_exactly_and_plainly(steps, places):
    """Text levels never carry an exponent or idle zeros."""
    text = frames.plain(steps, places)

    assert Decimal(text) == Decimal(steps).scaleb(-places)
    assert "E" not in text
    assert "." not in text or not text.endswith(("0", "."))


@settings(max_examples=10, deadline=None)
@given(pair=st.sampled_from(list(LISTINGS)))
def test_trades_and_levels_stay_on_their_grids_and_amount_is_price_times_volume(pair):
    """The relation holds exactly in every capture; collectors check it."""
    visitor, market = on_v2(pair)
    subscribes(visitor, "trade", pair)
    subscribes(visitor, "depth", pair, depth=50)
    listing = market.listing(pair)
    price_step, amount_step = listing.price_of(1), listing.amount_of(1)

    heard = pushes(visitor, market, 60)

    trades = [message["trade"] for message in heard if message["type"] == "trade"]
    levels = [
        level for message in heard if message["type"] == "depth" for side in message["depth"].values() for level in side
    ]
    assert trades
    assert levels
    assert all(trade["amount"] == trade["price"] * trade["volume"] for trade in trades)
    assert all(trade["price"] % price_step == trade["volume"] % amount_step == 0 for trade in trades)
    assert all(Decimal(price) % price_step == Decimal(amount) % amount_step == 0 for price, amount in levels)


# --- V2: what is answered, and what is not


def test_v2_subscribing_brings_no_acknowledgement():
    """The first push is the only confirmation there is."""
    visitor, _ = on_v2()

    answers = [
        *subscribes(visitor, "tick"),
        *subscribes(visitor, "depth", depth=5),
        *subscribes(visitor, "trade"),
        *subscribes(visitor, "kbar", kbar="1min"),
    ]

    assert [answer["type"] for answer in answers] == ["tick", "depth", "kbar"]
    assert visitor.subscriptions == {
        "ticker/btc_usdt",
        "depth/btc_usdt/5",
        "trade/btc_usdt",
        "kline/btc_usdt/1min",
    }


def test_v2_unsubscribing_ends_the_pushes_without_a_word():
    """The same object with another action; other subscriptions of the pair go on."""
    visitor, market = on_v2()
    subscribes(visitor, "tick")
    subscribes(visitor, "kbar", kbar="1min")
    subscribes(visitor, "kbar", kbar="5min")

    answers = [
        *says(visitor, action="unsubscribe", subscribe="tick", pair="btc_usdt"),
        *says(visitor, action="unsubscribe", subscribe="kbar", kbar="1min", pair="btc_usdt"),
        *says(visitor, action="unsubscribe", subscribe="trade", pair="btc_usdt"),
    ]

    assert answers == []
    assert visitor.subscriptions == {"kline/btc_usdt/5min"}
    assert {(message["type"], message["kbar"]["slot"]) for message in pushes(visitor, market)} == {("kbar", "5min")}


def test_v2_subscribing_twice_does_not_double_the_pushes():
    """A client that asks again after a doubt must not be punished."""
    once, market = on_v2()
    twice = V2Visitor(2, market, now_ms=0)
    subscribes(once, "tick")
    subscribes(twice, "tick")
    assert subscribes(twice, "tick")

    happened = market.advance(market.now_ms + 5000)

    assert [once.frames(each) for each in happened] == [twice.frames(each) for each in happened]


def test_v2_only_pushes_what_was_subscribed():
    """Frames of other pairs would hide routing mistakes, or cause false ones."""
    visitor, market = on_v2("btc_usdt", "eth_usdt")
    subscribes(visitor, "tick", "eth_usdt")

    assert {(message["type"], message["pair"]) for message in pushes(visitor, market)} == {("tick", "eth_usdt")}


def test_v2_pair_is_lowered_by_the_server():
    """So does LBank, in its errors too."""
    visitor, _ = on_v2(remote_ip="203.0.113.7")

    assert subscribes(visitor, "tick", "BTC_USDT")[0]["pair"] == "btc_usdt"
    assert subscribes(visitor, "tick", "BTCUSDT") == [
        {
            "SERVER": "V2",
            "message": "Invalid order pairs:[btcusdt],remoteIp is: [203.0.113.7]",
            "status": "error",
            "TS": NOW_TS,
        }
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"action":"subscribe","subscribe":"kbar","pair":"btc_usdt"}', "Missing parameter ['kbar']"),
        ('{"action":"request","request":"kbar","pair":"btc_usdt"}', "Missing parameter ['kbar']"),
        ('{"action":"subscribe","subscribe":"depth","pair":"btc_usdt"}', "Missing parameter ['depth']"),
        ('{"action":"request","request":"trade","pair":"btc_usdt"}', "Missing parameter ['size']"),
        ('{"action":"subscribe","subscribe":"tick"}', "Missing parameter ['pair']"),
        ('{"subscribe":"tick","pair":"btc_usdt"}', "Missing parameter ['action']"),
        ('{"action":"subscribe","subscribe":"kbar","kbar":"7min","pair":"btc_usdt"}', "Invalid parameter ['kbar']"),
        ('{"action":"subscribe","subscribe":"depth","depth":"many","pair":"btc_usdt"}', "Invalid parameter ['depth']"),
        ('{"action":"subscribe","subscribe":"depth","depth":true,"pair":"btc_usdt"}', "Invalid parameter ['depth']"),
        ('{"action":"subscribe","subscribe":"depth","depth":1.5,"pair":"btc_usdt"}', "Invalid parameter ['depth']"),
        ('{"action":"request","request":"kbar","kbar":"day","pair":"btc_usdt","end":"x"}', "Invalid parameter ['end']"),
        (
            '{"action":"request","request":"kbar","kbar":"day","pair":"btc_usdt","end":"2026-13-01"}',
            "Invalid parameter ['end']",
        ),
        ('{"action":"subscribe","subscribe":"tick","pair":7}', "Invalid order pairs:[7],remoteIp is: [127.0.0.1]"),
        ('{"action":"subscribe","subscribe":"tick","pair":[7]}', "Invalid order pairs:[[7]],remoteIp is: [127.0.0.1]"),
        ("subscribe btc", "Invalid type"),
        ("[]", "Invalid type"),
        ("", "Invalid type"),
        ('{"action":"ping","ping":NaN}', "Invalid type"),
        ("[" * 100_000, "Invalid type"),
    ],
)  # fmt: skip
def test_v2_refusal_is_an_error_frame_that_names_no_request(said, words):
    """Clients must find out what was refused from the words alone."""
    visitor, _ = on_v2()

    answers = [read(frame) for frame in visitor.received(said, NOW_MS)]

    assert answers == [{"SERVER": "V2", "message": words, "status": "error", "TS": NOW_TS}]
    assert visitor.subscriptions == frozenset()


@pytest.mark.parametrize("channel", ["bookTicker", "incrDepth", "ticker", "orderUpdate", None, 5, ["tick"]])
def test_v2_unknown_channel_gets_silence(channel):
    """Not an error: that is how LBank answered bookTicker and incrDepth."""
    visitor, market = on_v2()

    assert subscribes(visitor, channel) == []
    assert says(visitor, action="request", request=channel, pair="btc_usdt") == []
    assert pushes(visitor, market, 3) == []


@pytest.mark.parametrize("levels", [0, -5, "0", "-1"])
def test_v2_no_levels_are_an_empty_book_and_no_error(levels):
    """A client that divides by the best price finds out here rather than there."""
    visitor, market = on_v2()

    (snapshot,) = subscribes(visitor, "depth", depth=levels)

    for message in [snapshot, *pushes(visitor, market, 2)]:
        assert message["depth"] == {"asks": [], "bids": []}
        assert message["count"] == int(levels)


@pytest.mark.parametrize(("levels", "sent"), [(1, 1), ("20", 20), (200, 200), (5000, 200)])
def test_v2_levels_may_be_text_or_number_and_end_with_the_book(levels, sent):
    """Both spellings are in use."""
    visitor, _ = on_v2()

    (snapshot,) = subscribes(visitor, "depth", depth=levels)

    assert len(snapshot["depth"]["asks"]) == len(snapshot["depth"]["bids"]) == sent
    assert snapshot["count"] == int(levels)


@pytest.mark.parametrize("ping", ["0ca8f854-7ba7", 17, 1.5, None, True, ["a", {"b": 1}], "käse", 10**40])
def test_v2_ping_is_answered_with_its_id_unchanged(ping):
    """The id is the client's business, whatever its type."""
    visitor, _ = on_v2()

    assert says(visitor, action="ping", ping=ping) == [{"action": "pong", "pong": read(json.dumps({"p": ping}))["p"]}]


# --- V2: one-shot requests


def test_v2_request_for_bars_answers_records_in_epoch_seconds():
    """`records` and `columns`, as captured."""
    visitor, _ = on_v2()

    (reply,) = says(visitor, action="request", request="kbar", kbar="5min", pair="btc_usdt", size="3")

    assert shape(reply) == ENVELOPE | {"records": list, "columns": list, "count": int, "kbar": str}
    assert reply["columns"] == ["timestamp", "open", "high", "low", "close", "volume", "turnover", "count"]
    assert (reply["count"], reply["kbar"], reply["type"]) == (3, "5min", "kbar")
    assert [[type(value) for value in record] for record in reply["records"]] == [[int, *[Decimal] * 6, int]] * 3
    assert [record[0] for record in reply["records"]] == [1795398600, 1795398900, 1795399200]


@pytest.mark.parametrize(
    ("window", "starts"),
    [
        ({}, [1795399440]),
        ({"size": 2}, [1795399380, 1795399440]),
        ({"start": 1795399320}, [1795399320, 1795399380, 1795399440]),
        ({"start": "2026-11-23T10:02:00", "size": 2}, [1795399320, 1795399380]),
        ({"start": "1795399320", "end": "1795399380"}, [1795399320, 1795399380]),
        ({"end": "2026-11-23T02:03:00.000Z", "size": 2}, [1795399320, 1795399380]),
        ({"start": "2026-11-23", "size": 1}, [1795363200]),
        ({"start": 1795399500}, []),
        ({"size": 0}, []),
    ],
)
def test_v2_request_for_bars_keeps_to_its_window(window, starts):
    """Holes are filled through it. Times without a zone are UTC+8."""
    visitor, _ = on_v2()

    (reply,) = says(visitor, action="request", request="kbar", kbar="1min", pair="btc_usdt", **window)

    assert [record[0] for record in reply["records"]] == starts
    assert reply["count"] == len(starts)


def test_v2_request_for_depth_answers_numbers_without_a_wrapper():
    """That is how it is told from a push."""
    visitor, _ = on_v2()

    (reply,) = says(visitor, action="request", request="depth", depth="4", pair="btc_usdt")

    assert shape(reply) == ENVELOPE | {"asks": list, "bids": list, "count": int}
    assert [[type(word) for word in level] for level in reply["asks"] + reply["bids"]] == [[Decimal, Decimal]] * 8
    assert visitor.subscriptions == frozenset()


def test_v2_request_for_trades_answers_the_newest():
    """The times are epoch ms, as ccxt reads them."""
    visitor, market = on_v2()
    made = [trade.traded_at_ms for each in [market.advance(NOW_MS + 30_000)] for trade in market.trades("btc_usdt")]

    (reply,) = says(visitor, action="request", request="trade", pair="btc_usdt", size="5")

    assert shape(reply) == ENVELOPE | {"columns": list, "trades": list, "count": int}
    assert reply["columns"] == ["timestamp", "price", "volume", "direction"]
    assert reply["count"] == 5
    assert [row[0] for row in reply["trades"]] == made[-5:]
    assert [[type(value) for value in row] for row in reply["trades"]] == [[int, Decimal, Decimal, str]] * 5


def test_v2_request_for_a_tick_answers_the_shape_of_a_push():
    """To judge by what clients do with it."""
    visitor, _ = on_v2()

    (reply,) = says(visitor, action="request", request="tick", pair="btc_usdt")

    assert shape(reply) == ENVELOPE | {"tick": dict}
    assert shape(reply["tick"]) == TICK


# --- the heartbeat


def test_v2_is_pinged_and_stays_when_it_answers():
    """Ping and pong are JSON text; RFC 6455 frames play no part."""
    visitor, _ = on_v2(ping_every_s=60, pong_within_s=60)

    assert visitor.tick(59_999) == []
    (ping,) = (read(frame) for frame in visitor.tick(60_000))
    assert shape(ping) == {"action": str, "ping": str}
    assert ping["action"] == "ping"
    assert visitor.tick(60_100) == []
    says(visitor, action="pong", pong=ping["ping"])

    assert visitor.pongs == 1
    assert not visitor.should_cut(10_000_000)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"action": "pong", "pong": "another"},
        {"action": "pong"},
        {"action": "pong", "pong": ["x"]},
        {"pong": "{ping}"},
    ],
)
def test_v2_is_cut_when_its_answer_is_wrong_or_missing(answer):
    """LBank hangs up a minute after an unanswered ping; a client must find out here."""
    visitor, _ = on_v2(ping_every_s=60, pong_within_s=60)
    (ping,) = (read(frame) for frame in visitor.tick(60_000))
    if answer is not None:
        says(visitor, **json.loads(json.dumps(answer).replace("{ping}", ping["ping"])))

    assert visitor.pongs == 0
    assert not visitor.should_cut(119_999)
    assert visitor.should_cut(120_000)


def test_a_late_pong_counts_for_the_pings_before_it():
    """A client that was stuck and answers the newest ping is alive."""
    visitor, _ = on_v2(ping_every_s=1, pong_within_s=60)
    visitor.tick(1000)
    (newest,) = (read(frame) for frame in visitor.tick(2000))

    says(visitor, action="pong", pong=newest["ping"])

    assert not visitor.should_cut(10_000_000)


# --- the simple dialect


def test_simple_subscription_is_acknowledged_then_served():
    """`ch` and `tick`, `close` and `vol` are the guide's; the rest is the box's reading."""
    visitor, market = on_simple()

    ack, snapshot = says(visitor, sub="market.btcusdt.ticker", id="12345")

    assert ack == {"id": "12345", "status": "ok", "subbed": "market.btcusdt.ticker", "ts": NOW_MS}
    for message in [snapshot, *pushes(visitor, market)]:
        assert shape(message) == {"ch": str, "ts": int, "tick": dict}
        assert message["ch"] == "market.btcusdt.ticker"
        assert shape(message["tick"]) == dict.fromkeys(
            ("open", "high", "low", "close", "vol", "amount", "bid", "ask"), Decimal
        )
    assert visitor.subscriptions == {"ticker/btc_usdt"}


def test_simple_depth_holds_bids_and_asks_best_first():
    """Numbers here, text on V2: a client that reads both reads all."""
    visitor, market = on_simple()

    _, snapshot = says(visitor, sub="market.btcusdt.depth", id=7)

    for message in [snapshot, *pushes(visitor, market)]:
        bids, asks = ([price for price, _ in message["tick"][side]] for side in ("bids", "asks"))
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        assert len(bids) == len(asks) == 20
        assert {type(price) for price in bids + asks} == {Decimal}


def test_simple_trade_is_one_trade():
    """Side and time are in it."""
    visitor, market = on_simple()

    assert len(says(visitor, sub="market.btcusdt.trade", id=1)) == 1

    made = pushes(visitor, market)
    assert made
    for message in made:
        assert shape(message["tick"]) == {"price": Decimal, "amount": Decimal, "direction": str, "ts": int}
        assert message["tick"]["direction"] in ("buy", "sell")
        assert 3 <= message["ts"] - message["tick"]["ts"] <= 30


def test_simple_unsubscription_is_acknowledged_and_ends_the_pushes():
    """`unsubbed` instead of `subbed`."""
    visitor, market = on_simple()
    says(visitor, sub="market.btcusdt.ticker", id=1)

    assert says(visitor, unsub="market.btcusdt.ticker", id=2) == [
        {"id": 2, "status": "ok", "unsubbed": "market.btcusdt.ticker", "ts": NOW_MS}
    ]
    assert visitor.subscriptions == frozenset()
    assert pushes(visitor, market, 3) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"sub": "market.xyzusdt.ticker", "id": "9"}, "bad-symbol"),
        ({"sub": "market.btc_usdt.ticker", "id": "9"}, "bad-symbol"),
        ({"sub": "market.btcusdt.news", "id": "9"}, "bad-topic"),
        ({"sub": "btcusdt", "id": "9"}, "bad-topic"),
        ({"sub": ["market.btcusdt.ticker"], "id": "9"}, "bad-topic"),
        ({"op": "auth", "args": [], "id": "9"}, "bad-request"),
        ({"id": "9"}, "bad-request"),
    ],
)
def test_simple_refusal_names_the_request(said, code):
    """Unlike V2."""
    visitor, market = on_simple()

    (refusal,) = says(visitor, **said)

    assert shape(refusal) == {"id": str, "status": str, "err-code": str, "err-msg": str, "ts": int}
    assert (refusal["id"], refusal["status"], refusal["err-code"]) == ("9", "error", code)
    assert pushes(visitor, market, 2) == []


def test_simple_frame_that_is_no_json_is_refused():
    """There is no id to name then."""
    visitor, _ = on_simple()

    (refusal,) = (read(frame) for frame in visitor.received("{", NOW_MS))

    assert (refusal["id"], refusal["err-code"]) == (None, "bad-request")


def test_simple_heartbeat_is_a_number_echoed():
    """`{"ping": n}` is answered by `{"pong": n}`, both ways."""
    visitor, _ = on_simple(ping_every_s=5, pong_within_s=10)

    (ping,) = (read(frame) for frame in visitor.tick(5000))
    assert shape(ping) == {"ping": int}
    assert visitor.should_cut(15_000)
    assert says(visitor, pong=ping["ping"]) == []

    assert visitor.pongs == 1
    assert not visitor.should_cut(15_000)
    assert says(visitor, ping=99) == [{"pong": 99}]


@settings(max_examples=200, deadline=None)
@given(
    said=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.dictionaries(
            st.sampled_from(["action", "subscribe", "request", "pair", "depth", "kbar", "size", "sub", "id", "pong"]),
            inner | st.sampled_from(["subscribe", "request", "tick", "depth", "kbar", "trade", "btc_usdt", "1min"]),
        ),
    ),
    talkers=st.just((on_v2()[0], on_simple()[0])),
)
def test_nothing_a_client_says_breaks_the_exchange(said, talkers):
    """One careless client must not take the practice exchange down."""
    for visitor in talkers:
        for frame in visitor.received(json.dumps(said), NOW_MS):
            assert read(frame)
