"""With the extra `fast` and without it, the same frames mean the same."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.errors import DecodeError
from lbank_ws.events import Depth, Receipt
from lbank_ws.wire import V2, v2
from lbank_ws.wire.levels import parsed_book
from tests.fuzzing import TIMES
from tests.samples import samples

quick = pytest.importorskip("lbank_ws.wire.quick", reason="msgspec is not installed: pip install 'lbank-ws[fast]'")

RECEIPT = Receipt(1, 0.0)
TICK = {"tick": {"latest": 1.5}, "type": "tick", "pair": "btc_usdt", "TS": "2026-11-26T15:00:00.123"}
BOOK = {
    "depth": {"asks": [["2", "1"]] * 100, "bids": [["1", "1"]] * 100},
    "count": 100,
    "type": "depth",
    "pair": "btc_usdt",
    "TS": "2026-11-26T15:00:00.123",
}
TRADE = {
    "trade": {"price": 1.5, "volume": 2, "direction": "buy", "TS": "2026-11-26T15:00:00.100"},
    "type": "trade",
    "pair": "btc_usdt",
    "TS": "2026-11-26T15:00:00.123",
}


def meaning(frame: str) -> object:
    """Give what a frame means, or what is wrong with it, down to the digits and the moments."""
    try:
        message = V2().decode(frame, RECEIPT)
    except DecodeError as error:
        return str(error)
    events = getattr(message, "events", ())
    if any(isinstance(event, Depth) for event in events):
        return [(event.pair, event.exchange_at, event.levels, event.node, *sides(event)) for event in events]
    return repr(message), [(event, event.exchange_at, getattr(event, "traded_at", None)) for event in events]


def sides(book: Depth) -> list[object]:
    """Give both sides of a book, or what is wrong with one: its levels are read when they are looked at."""
    read: list[object] = []
    for side in (book.bids, book.asks):
        try:
            read += [bool(side), side[0] if side else None, tuple(side)]
        except DecodeError as error:
            read.append(str(error))
    return read


def same(frame: str) -> None:
    """Check that both ways of reading give the same."""
    usual = v2._quick
    try:
        v2._quick = quick.read
        fast = meaning(frame)
        v2._quick = None
        assert fast == meaning(frame), frame
    finally:
        v2._quick = usual


NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-10, max_value=10**9).map(str),
    st.sampled_from(
        ["0", "-0", "0.0", "1E5", "2.5046901191E8", "4.0E-5", "1e61", "1e-61", "-1", "12345678901234567890.123456789"],
    ),
    st.sampled_from(
        ["1" * 40, "0." + "1" * 300, '"7.5"', '"1_0"', '" 1"', '"NaN"', '"x"', "null", "true", "[1]", "{}", "NaN"]
    ),
    st.sampled_from(["0." + "0" * 70, "0e-99", "0.0e99", "1.0e60", "9.9e60", "10.1e60", "1.1e-60", "0.9e-60"]),
)
WORDS = st.sampled_from(['"buy"', '"sell_market"', '"BUY"', '"hold"', "null", "1", '"b\\u0075y"', '"é"', "[]"])
MOMENTS = st.sampled_from(
    [
        '"2026-11-26T15:00:00.123"',
        '"2026-11-26T15:00:00"',
        '"2026-11-26 15:00:00.1"',
        '"2026-02-30T00:00:00.000"',
        '"2026-11-26T15:00:00.12x"',
        '"2026-11-26T15:00:00.123Z"',
        "1700000000",
        "null",
        '""',
    ]
)
EXTRAS = st.sampled_from(
    [
        "",
        ',"to_cny":7.1',
        ',"x":"y"',
        ',"latest":3',
        ',"price":3',
        ',"x":{"a":"b"}',
        ',"dir":"sell"',
        ',"dir":1',
        ',"\ud800":1',
    ]
)
LEVELS = st.sampled_from(
    [
        '["64000.10","2.2"]',
        '["63999","0"]',
        '["64000.10", "2.2"]',
        "[64000.10,2]",
        '["1E5","1"]',
        '["-1","1"]',
        '["1_0","1"]',
        '["1"]',
        '["1","2","3"]',
        '[{"a":"b"},"1"]',
        '["a]b","1"]',
        '["6\\u0034","1"]',
        "[]",
        "7",
        "null",
    ]
)
FORMS = st.sampled_from([lambda text: text, lambda text: text.replace(":", ": "), lambda text: f" {text}\n"])


@settings(max_examples=600 * TIMES)
@given(number=NUMBERS, high=NUMBERS, side=WORDS, moment=MOMENTS, extra=EXTRAS, form=FORMS)
def test_ticker_means_the_same_both_ways(number, high, side, moment, extra, form):
    """Whoever installs an extra for speed must not get other prices for it."""
    frame = (
        f'{{"SERVER":"V2","tick":{{"latest":{number},"high":{high},"dir":{side}{extra}}},'
        f'"type":"tick","pair":"btc_usdt","TS":{moment}}}'
    )

    same(form(frame))


@settings(max_examples=600 * TIMES)
@given(price=NUMBERS, volume=NUMBERS, side=WORDS, moment=MOMENTS, extra=EXTRAS, form=FORMS)
def test_trade_means_the_same_both_ways(price, volume, side, moment, extra, form):
    """As above."""
    frame = (
        f'{{"trade":{{"volume":{volume},"price":{price},"direction":{side},"TS":{moment}{extra}}},'
        f'"type":"trade","pair":"btc_usdt","TS":"2026-11-26T15:00:00.123"}}'
    )

    same(form(frame))


@settings(max_examples=600 * TIMES)
@given(
    bids=st.lists(LEVELS, max_size=30),
    asks=st.lists(LEVELS, max_size=30),
    count=st.sampled_from(["", ',"count":100', ',"count":"50"', ',"count":1.5', ',"count":null', ',"count":[]']),
    node=st.sampled_from(["", ',"s":"t-3"', ',"s":"a b"', ',"s":7']),
    moment=MOMENTS,
    form=FORMS,
)
def test_book_means_the_same_both_ways(bids, asks, count, node, moment, form):
    """As above; of a book most is read when it is looked at."""
    frame = (
        f'{{"depth":{{"asks":[{",".join(asks)}],"bids":[{",".join(bids)}]}}{count}{node},'
        f'"type":"depth","pair":"btc_usdt","TS":{moment}}}'
    )

    same(form(frame))


@pytest.mark.parametrize("seen", [seen for seen in samples("v2") if seen.direction == "in"], ids=str)
def test_sample_means_the_same_both_ways(seen):
    """All that is known of the live exchange."""
    same(seen.frame)


@pytest.mark.parametrize("content", [TICK, TRADE, BOOK], ids=["ticker", "trade", "book"])
def test_usual_push_is_read_quickly(content):
    """Else the extra would be of no use, and nobody would notice."""
    event = quick.read(json.dumps(content, separators=(",", ":")), RECEIPT)

    assert event is not None
    assert event.pair == "btc_usdt"


def test_book_is_equal_whichever_way_its_sides_were_read():
    """One of them is a view of its frame, and becomes text and numbers when somebody looks."""
    frame = json.dumps(BOOK, separators=(",", ":"))
    view, again = quick.read(frame, RECEIPT), quick.read(frame, RECEIPT)
    cut = parsed_book(frame)["depth"]["bids"]

    assert view.bids == again.bids == cut == view.bids
    assert view.bids.plain_text == cut.plain_text == frame[frame.index('"bids":') + 7 : frame.index("}")]
    assert view.bids == again.bids  # one has been read as text, the other has not
    assert hash(view.bids) == hash(cut) == hash(tuple(cut))
    assert pickle.loads(pickle.dumps(again.bids)) == cut
    other = quick.read(frame.replace('["1","1"]]', '["1","2"]]'), RECEIPT)
    assert other.bids[0] == cut[0]
    assert other.bids != again.bids
    assert other.bids != cut


@pytest.mark.parametrize("text", ['"1_0"', ' "1_0"', '"NaN"', ' "NaN"', '" 1"'], ids=repr)
def test_text_that_is_no_number_is_left_to_the_other_way(text):
    """msgspec takes all of these for a `Decimal`."""
    frame = json.dumps(TICK, separators=(",", ":")).replace('"latest":1.5', f'"latest":1.5,"high":{text}')

    assert quick.read(frame, RECEIPT) is None
