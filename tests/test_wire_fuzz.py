"""No frame, however broken, gets past `decode` as anything but a clean message or a `DecodeError`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lbank_ws.errors import DecodeError
from lbank_ws.events import Level, Receipt
from lbank_ws.wire import DIALECTS, Dialect, Message, Push, Reply
from lbank_ws.wire.levels import Levels
from tests.fuzzing import IS_LONG, TIMES
from tests.samples import sample, samples, topic_named

NOW_NS = 1_790_000_000_123_456_789
DEEP = 100_000
LONG = "9" * 100_000

# Written into a frame as they stand, since json.dumps would not print them.
PRINTED = (
    "1e999999999",
    "-1e999999999",
    "1e-999999999",
    "1e99999999999999999999",
    LONG,
    f"0.{LONG}",
    f'"{LONG}"',
    f'"0.{LONG}"',
    "NaN",
    "-Infinity",
    "-0",
    "-0.0",
    "[" * DEEP,
    "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
    "[" * 800 + "]" * 800,
    r'"\ud800"',
    r'"\u0000\u001b[31m"',
)
TEXTS = (
    "",
    "NaN",
    "1e9999",
    "-1",
    "1.5",
    "0001-01-01T00:00:00.000",
    "0001-01-01T08:00:00.000",
    "9999-12-31T23:59:59.999",
    "9999-12-31T23:59:59.999999+23:59",
    "btc_usdt",
    "BTC/USDT",
    "btc_usdt\n",
    "buy",
    "sell_maker",
    "tick",
    "depth",
    "trade",
    "kbar",
    "ping",
    "error",
    "ok",
    "market.btcusdt.depth",
    "market.btcusdt.trade",
    "5min",
    "__class__",
    "\ud800",
)
NUMBERS = (0, -1, 1e300, 10**18, -(10**18), -62135596800, 253402300799, 253402300800, 1705364400000, True, None)
PAIR = re.compile(r"^[a-z0-9]+_[a-z0-9]+\Z")

quick = settings(
    max_examples=100 * TIMES,
    deadline=None,
    database=None,
    derandomize=not IS_LONG,
    suppress_health_check=[HealthCheck.too_slow],
)

json_values = st.recursive(
    st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TEXTS) | st.text(max_size=9), inner),
    max_leaves=8,
)


def line(dialect: str) -> Dialect:
    """Give a line of a dialect on which everything that the samples hold was asked for."""
    made: Dialect = DIALECTS[dialect]()
    for topic in ("ticker/btc_usdt", "depth/btc_usdt/20", "trade/btc_usdt"):
        made.subscribe(topic_named(topic))
    return made


LINES = {name: line(name) for name in DIALECTS}
FRAMES = {name: [json.loads(one.frame) for one in samples(name) if one.direction == "in"] for name in DIALECTS}


def survives(dialect: str, frame: str) -> bool:
    """Decode a frame, check all that came of it, and tell whether it was readable; nothing else may be raised."""
    try:
        message = LINES[dialect].decode(frame, Receipt(NOW_NS))
        check(message)
    except DecodeError as error:
        sentence = str(error)
    else:
        return True
    assert sentence.isascii()
    assert len(sentence) < 1000
    return False


def check(value: object, name: str = "") -> None:
    """Check that a decoded value is clean, through and through."""
    if isinstance(value, str):
        value.encode()
        assert name != "pair" or PAIR.match(value)
    elif isinstance(value, Decimal):
        assert value.is_finite()
        assert len(f"{value:f}") < 2000
    elif isinstance(value, datetime):
        assert value.utcoffset() == timedelta(0)
    elif isinstance(value, Levels | Level | tuple):
        for one in value:
            check(one)
    elif is_dataclass(value):
        for one in fields(value):
            if one.name != "receipt":  # ours, not the frame's
                check(getattr(value, one.name), one.name)
        value.age_s, value.received_at, value.channel  # noqa: B018  # type: ignore[attr-defined]  # they must not raise
    else:
        assert value is None or isinstance(value, bool | int | Enum), value


def paths(content: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the way to every member at every depth."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [found for key in keys for found in [(*path, key), *paths(content[key], (*path, key))]]  # type: ignore[index]


def mutated(content: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """Give a copy in which the member at the end of a path was changed."""
    copy = json.loads(json.dumps(content))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    change(inner, path[-1])
    return copy


def drop(inner: Any, key: Any) -> None:
    del inner[key]


def put(value: object) -> Callable[[Any, Any], None]:
    def change(inner: Any, key: Any) -> None:
        inner[key] = value

    return change


def retyped(value: object) -> list[object]:
    """Give the same value as other types."""
    return [str(value), [value], {"0": value}, None, True, 0]


BROKEN_PLACES = [
    (dialect, number, path)
    for dialect, contents in FRAMES.items()
    for number, content in enumerate(contents)
    for path in paths(content)
]


@pytest.mark.parametrize("dialect", DIALECTS)
@quick
@given(frame=st.text())
def test_any_text_is_survived(dialect: str, frame: str):
    """One bad frame must not cost the line."""
    survives(dialect, frame)


@pytest.mark.parametrize("dialect", DIALECTS)
@quick
@given(content=json_values)
def test_any_json_is_survived(dialect: str, content: object):
    """It need not even be an object."""
    survives(dialect, json.dumps(content))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sample_without_any_one_member_is_survived(dialect: str):
    """A field that was always there goes missing one day."""
    for name, number, path in BROKEN_PLACES:
        if name == dialect:
            survives(dialect, json.dumps(mutated(FRAMES[name][number], path, drop)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sample_with_any_one_member_of_another_type_is_survived(dialect: str):
    """Depth levels went from numbers to text without a word."""
    for name, number, path in BROKEN_PLACES:
        if name != dialect:
            continue
        value = FRAMES[name][number]
        for key in path:
            value = value[key]
        for other in retyped(value):
            survives(dialect, json.dumps(mutated(FRAMES[name][number], path, put(other))))


@settings(quick, max_examples=400 * TIMES)
@given(place=st.sampled_from(BROKEN_PLACES), value=json_values, second=st.sampled_from(TEXTS))
def test_sample_with_any_value_in_any_place_is_survived(
    place: tuple[str, int, tuple[Any, ...]], value: object, second: str
):
    """Two changes at once reach what one does not, such as another type with a broken body."""
    dialect, number, path = place
    content = mutated(FRAMES[dialect][number], path, put(value))
    content["type" if dialect == "v2" else "ch"] = second

    survives(dialect, json.dumps(mutated(FRAMES[dialect][number], path, put(value))))
    survives(dialect, json.dumps(content))


@pytest.mark.parametrize("printed", PRINTED, ids=[f"{text[:12]}-{len(text)}" for text in PRINTED])
@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("v2", "tick_eth_btc_2019"),
        ("v2", "depth_coinalpha_hbot_2022"),
        ("v2", "trade_sui_usdt_2026"),
        ("v2", "kbar_btc_usdt_2026"),
        ("v2", "reply_kbar_btc_usdt_2024"),
        ("v2", "ping_2019"),
        ("v2", "error_unknown_pair_2025"),
        ("simple", "ticker_full"),
        ("simple", "depth_numbers"),
        ("simple", "trade_list"),
        ("simple", "refusal"),
        ("simple", "ping"),
    ],
)
def test_monstrous_value_in_any_place_is_survived(dialect: str, name: str, printed: str):
    """Deep nesting crashes careless readers, huge exponents eat the memory of whoever prints them."""
    content = json.loads(sample(dialect, name).frame)

    for path in paths(content):
        frame = json.dumps(mutated(content, path, put("@here@"))).replace('"@here@"', printed)
        survives(dialect, frame)


@pytest.mark.parametrize("printed", PRINTED[:10], ids=[f"{text[:12]}-{len(text)}" for text in PRINTED[:10]])
@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("v2", '{"tick":{"latest":HERE},"type":"tick","pair":"eth_btc"}'),
        ("v2", '{"depth":{"bids":[["1",HERE]],"asks":[]},"type":"depth","pair":"eth_btc"}'),
        ("simple", '{"ch":"market.btcusdt.ticker","tick":{"close":HERE}}'),
        ("simple", '{"ch":"market.btcusdt.ticker","ts":HERE,"tick":{"close":1}}'),
    ],
)
def test_monstrous_number_is_refused_where_a_number_counts(dialect: str, frame: str, printed: str):
    """It would be stored, and fail whoever reads the store."""
    assert not survives(dialect, frame.replace("HERE", printed))


@pytest.mark.parametrize("printed", ["[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, LONG])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_monstrous_frame_is_refused(dialect: str, printed: str):
    """A message of nothing but brackets is the cheapest attack there is."""
    assert not survives(dialect, printed)


def deepest() -> int:
    """Give how deep a list the JSON reader takes from here, which depends on the version of Python."""
    taken, refused = 0, DEEP
    while refused - taken > 1:
        depth = (taken + refused) // 2
        try:
            json.loads("[" * depth + "]" * depth)
            taken = depth
        except RecursionError:
            refused = depth
    return taken


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("v2", '{"action":"ping","ping":HERE}'),
        ("v2", '{"action":HERE,"status":"error","message":HERE}'),
        ("v2", '{"type":"trade","pair":"a_b","columns":[HERE],"trades":[[1]]}'),
        ("v2", '{"type":"tick","pair":HERE,"tick":{"latest":1}}'),
        ("v2", '{"type":"tick","pair":"a_b","tick":{"latest":HERE}}'),
        ("v2", '{"type":"depth","pair":"a_b","depth":{"bids":[HERE],"asks":[]},"s":HERE}'),
        ("simple", '{"ping":HERE}'),
        ("simple", '{"status":"ok","id":HERE,"subbed":HERE}'),
        ("simple", '{"status":"error","err-code":HERE,"err-msg":HERE}'),
        ("simple", '{"ch":"market.btcusdt.trade","tick":{"data":[HERE]}}'),
    ],
)
def test_nesting_just_below_the_limit_of_the_reader_is_survived(dialect: str, frame: str):
    """Whatever else walks a value must not hit the limit that the reader just missed."""
    limit = deepest()

    for depth in range(limit - 40, limit + 1):
        survives(dialect, frame.replace("HERE", "[" * depth + "]" * depth))


@pytest.mark.parametrize(
    ("moment", "is_read"),
    [
        ("0001-01-01T00:00:00.000", False),
        ("0001-01-01T07:59:59.999", False),
        ("0001-01-01T08:00:00.000", True),
        ("9999-12-31T23:59:59.999", True),
        ("10000-01-01T00:00:00.000", False),
    ],
)
def test_time_at_the_ends_of_the_calendar_is_survived(moment: str, is_read: bool):
    """Eight hours less than the first moment is no moment."""
    frame = f'{{"tick":{{"latest":1}},"type":"tick","pair":"eth_btc","TS":"{moment}"}}'

    assert survives("v2", frame) is is_read


@pytest.mark.parametrize(
    ("printed", "is_read"),
    [
        ("253402300799999", True),
        ("253402300800000", False),
        ("-62135596800", True),
        ("-62135596801", False),
        ("1705364400", True),
        ("1e17", False),
        ("1e59", False),
    ],
)
def test_unix_time_at_the_ends_of_the_calendar_is_survived(printed: str, is_read: bool):
    """A unit that we did not expect, such as nanoseconds, lands far outside."""
    frame = f'{{"ch":"market.btcusdt.ticker","ts":{printed},"tick":{{"close":1}}}}'

    assert survives("simple", frame) is is_read


def test_samples_themselves_are_read():
    """Should the checks above ever refuse everything, they would prove nothing."""
    messages: list[Message] = [
        LINES[name].decode(one.frame, Receipt(NOW_NS))
        for name in DIALECTS
        for one in samples(name)
        if one.direction == "in"
    ]

    assert all(survives(name, one.frame) for name in DIALECTS for one in samples(name) if one.direction == "in")
    assert sum(isinstance(message, Push | Reply) and bool(message.events) for message in messages) > 10
