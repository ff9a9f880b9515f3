"""What the simple dialect's frames mean, and what we send."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from lbank_ws.errors import DecodeError, UsageError
from lbank_ws.events import Receipt
from lbank_ws.wire import Ack, Denial, Ignored, Message, Ping, Pong, Push, Simple
from tests.samples import Sample, described, sample, samples, topic_named

NOW_NS = 1_790_000_000_123_456_789
ASKED = ("ticker/btc_usdt", "depth/btc_usdt/20", "trade/btc_usdt")

RECEIVED = [one for one in samples("simple") if one.direction == "in"]
SENT = [one for one in samples("simple") if one.direction == "out"]

TICKER = json.loads(sample("simple", "ticker_full").frame)
DEPTH = json.loads(sample("simple", "depth_strings").frame)
TRADE = json.loads(sample("simple", "trade_single").frame)
TRADES = json.loads(sample("simple", "trade_list").frame)


def line(*asked: str) -> Simple:
    """Give a line on which these topics were subscribed to, in this order."""
    dialect = Simple()
    for topic in asked:
        dialect.subscribe(topic_named(topic))
    return dialect


def read(frame: str | dict[str, Any]) -> Message:
    return line(*ASKED).decode(frame if isinstance(frame, str) else json.dumps(frame), Receipt(NOW_NS))


def events(frame: str | dict[str, Any]) -> list[dict[str, object]]:
    message = read(frame)
    assert isinstance(message, Push)
    return [described(one) for one in message.events]


def with_tick(frame: dict[str, Any], **members: object) -> dict[str, Any]:
    return {**frame, "tick": {**frame["tick"], **members}}


@pytest.mark.parametrize("seen", RECEIVED, ids=str)
def test_sample_means_what_the_guide_says(seen: Sample):
    """No capture of this dialect is known, so these frames are where its reading is written down."""
    means = dict(seen.means or {})
    dialect = line(*means.pop("after"))

    message = dialect.decode(seen.frame, Receipt(NOW_NS))

    if "event" in means:
        means = {"message": "Push", "events": [means]}
    assert type(message).__name__ == means.pop("message")
    assert [described(one) for one in getattr(message, "events", ())] == means.pop("events", [])
    if isinstance(message, Ping):
        assert json.loads(message.answer) == means.pop("answer")
    if isinstance(message, Ack):
        assert message == Ack(topic_named(means.pop("topic")), joined=means.pop("joined"))
    if isinstance(message, Denial):
        topic = topic_named(means.pop("topic"))
        assert message == Denial(means.pop("reason"), topic=topic, pairs=tuple(means.pop("pairs")))
    assert means == {}


@pytest.mark.parametrize("seen", SENT, ids=str)
def test_we_send_what_the_guide_spells_out(seen: Sample):
    """The guide is all there is to go by."""
    means = dict(seen.means or {})
    call = getattr(line(*means["after"]), means["call"])

    frame = call(topic_named(means["topic"]))

    assert json.loads(frame) == json.loads(seen.frame)


def test_topic_keeps_its_id_and_no_two_share_one():
    """An answer that names only an id must lead to one topic."""
    dialect = line(*ASKED)

    again = [json.loads(dialect.unsubscribe(topic_named(topic)))["id"] for topic in ASKED]

    assert again == ["12345", "12346", "12347"]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"status": "ok", "id": "12346"}, Ack(topic_named(ASKED[1]), joined=True)),
        ({"status": "ok", "id": 12346}, Ack(topic_named(ASKED[1]), joined=True)),
        ({"status": "ok", "unsubbed": "market.btcusdt.trade"}, Ack(topic_named(ASKED[2]), joined=False)),
        ({"status": "ok", "subbed": "market.dogeusdt.trade"}, Ack(None, joined=True)),
        ({"status": "ok", "subbed": ["x"], "id": [[]]}, Ack(None, joined=True)),
        ({"status": "ok"}, Ack(None, joined=True)),
    ],
)
def test_ack_is_traced_by_topic_or_id(frame: dict[str, Any], expected: Ack):
    """Which of the two an answer carries is open, and so is whether a number comes back as text."""
    assert read(frame) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"err-code": 429, "err-msg": "too many"}, Denial("429: too many", code=429)),
        ({"err-code": "429"}, Denial("429")),
        ({"err-msg": "go away", "id": "12345"}, Denial("go away", topic=topic_named(ASKED[0]))),
        ({"err-msg": "from 203.0.113.77 and [2001:db8::1]"}, Denial("from x.x.x.x and [x.x.x.x]")),
        ({"err-msg": "line\nfeed \ud800"}, Denial(r"line\x0afeed \ud800")),
        ({"err-code": None, "err-msg": {}}, Denial("no reason was given")),
        ({}, Denial("no reason was given")),
    ],
)
def test_refusal_is_told_in_the_words_of_the_exchange_without_our_address(frame: dict[str, Any], expected: Denial):
    """Logs get shared, and an error is what gets shared most."""
    assert read({"status": "error", **frame}) == expected


@pytest.mark.parametrize("printed", ['"abc \\u00e9"', "1700000000000", "1.50", "1E5", "null", '{"a": [1E5, "}"]}'])
@pytest.mark.parametrize(
    ("frame", "answer"),
    [('{"ping": ID}', '{"pong":ID}'), ('{"action":"ping", "ping" : ID }', '{"action":"pong","pong":ID}')],
    ids=["its own", "of V2"],
)
def test_pong_echoes_what_the_ping_held_verbatim(printed: str, frame: str, answer: str):
    """One that comes back altered counts as no answer."""
    message = read(frame.replace("ID", printed))

    assert message == Ping(answer.replace("ID", printed))


def test_our_own_ping_and_its_answer_are_understood():
    """A quiet line is asked before it is cut."""
    dialect = Simple()

    sent = json.loads(dialect.ping(7))

    assert sent == {"ping": 7}
    assert dialect.decode('{"action":"pong","pong":7}', Receipt(NOW_NS)) == Pong()


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (TICKER, "2025-04-29T10:00:00.123Z"),
        ({**TICKER, "ts": "1745920800123"}, "2025-04-29T10:00:00.123Z"),
        ({**TICKER, "ts": 1745920800}, "2025-04-29T10:00:00.000Z"),
        ({**TICKER, "ts": None}, None),
        (with_tick(DEPTH, ts=1745920800123), "2025-04-29T10:00:00.123Z"),
        (DEPTH, None),
    ],
)
def test_time_is_unix_time_beside_ch_or_inside_tick_or_unknown(frame: dict[str, Any], expected: str | None):
    """Where it stands is open; a made-up one would make the age of a push a lie."""
    [event] = events(frame)

    assert event.get("exchange_at") == expected


@pytest.mark.parametrize("missing", ["open", "high", "low", "vol", "amount", "bid", "ask"])
def test_ticker_needs_only_its_price(missing: str):
    """The guide promises close and vol, and shows no whole frame."""
    tick = {name: value for name, value in TICKER["tick"].items() if name != missing}

    [event] = events({**TICKER, "tick": tick})

    assert event["last"] == "94250.50"


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({**TICKER, "tick": None}, "tick is null, not an object"),
        ({"ch": TICKER["ch"]}, "'tick' is missing"),
        ({**TICKER, "ts": "now"}, "ts is 'now', not a number"),
        ({**TICKER, "ts": 1e20}, "ts is out of range"),
        (with_tick(TICKER, close=None), "close is null, not a number"),
        (with_tick(TICKER, close=-1), "close is -1, below zero"),
        (with_tick(TICKER, vol=True), "vol is true or false, not a number"),
        (with_tick(DEPTH, bids=5), "bids is a number, not a list"),
        (with_tick(DEPTH, asks=None), "asks is null, not a list"),
        (with_tick(TRADE, direction="up"), "the direction is 'up', neither buy nor sell"),
        (with_tick(TRADE, price="x"), "price is 'x', not a number"),
        (with_tick(TRADE, ts=1.5), "ts is 1.5, not a whole number"),
        (with_tick(TRADES, data=None), "data is null, not a list"),
        (with_tick(TRADES, data=[5]), "a trade is a number, not an object"),
        (with_tick(TRADES, data=[{}]), "'direction' is missing"),
    ],
)
def test_broken_push_is_an_error_that_says_what_came(frame: dict[str, Any], problem: str):
    """The sentence is all that a beginner sees."""
    with pytest.raises(DecodeError) as caught:
        read(frame)

    assert caught.value.problem == problem


@pytest.mark.parametrize(
    "frame",
    [
        {"ch": "market.dogeusdt.ticker", "tick": {"close": 1}},
        {"ch": "market.btcusdt.kline", "tick": {}},
        {"ch": ["market.btcusdt.ticker"], "tick": {"close": 1}},
        {"ch": None},
        {"op": "cancel", "success": True},
        {"status": "fine"},
        {},
    ],
)
def test_frame_that_answers_nothing_we_asked_is_passed_over(frame: dict[str, Any]):
    """A spelling without an underscore cannot be turned back into a pair: a guess could be another market."""
    assert isinstance(read(frame), Ignored)


def test_pair_of_a_push_is_the_one_that_was_asked_for():
    """`market.abusdt.ticker` may be ab_usdt or a_busdt; the one that was asked for is meant."""
    dialect = line("ticker/a_busdt")

    message = dialect.decode('{"ch": "market.abusdt.ticker", "tick": {"close": 1}}', Receipt(NOW_NS))

    assert isinstance(message, Push)
    assert message.events[0].pair == "a_busdt"


def test_two_books_of_one_pair_are_spelt_alike():
    """The session must see that they cannot be told apart."""
    dialect = Simple()

    spellings = {dialect.spelling(topic_named(f"depth/btc_usdt/{levels}")) for levels in (5, 20)}

    assert spellings == {"market.btcusdt.depth"}


def test_kline_is_refused_with_the_way_out():
    """The guide knows three streams."""
    with pytest.raises(UsageError, match=r"no kline; use .* V2"):
        Simple().subscribe(topic_named("kline/btc_usdt/1min"))


def test_one_shot_request_is_refused_with_the_way_out():
    """Sent all the same, it would wait for an answer for ever."""
    with pytest.raises(UsageError, match=r"no one-shot requests; use .* V2"):
        Simple().request(topic_named("trade/btc_usdt"), start_at=datetime.now(timezone.utc))


def test_event_keeps_the_whole_frame_and_when_it_came():
    """What we read wrongly today can be read again tomorrow."""
    frame = sample("simple", "trade_list").frame

    message = read(frame)

    assert isinstance(message, Push)
    assert {(one.raw, one.received_ns) for one in message.events} == {(frame, NOW_NS)}
