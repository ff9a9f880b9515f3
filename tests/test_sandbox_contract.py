"""The practice exchange says what LBank was seen to say: every inbound sample beside what the box answers.

Held alike are keys, JSON types, how text is formed, how large prices are, and what numbers say of each other. A sample
is a capture or an example of LBank's own; what differs on purpose stands in the tables here, with its reason.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import websocket

from lbank_ws.sandbox import Sandbox
from tests.samples import Sample, samples
from tests.trading_floor import signed

DEADLINE_S = 10.0
KEY, SECRET = "contract-key", "contract-secret"
POOR_KEY = "ordinary-key"
CUSTOM_ID = "4b11c4ac-d54a-4bb5-86f9-06322174a036"

# Samples that the box does not follow.
UNFOLLOWED = {
    "v2/depth_eth_btc_2019": "levels are text in every capture since 2022; numbers stand in the documentation alone",
    "v2/order_update_eth_btc_2019": "the fields of 2019; order_update_eth_btc_docs has those since 2021",
    "simple/depth_strings": "one of two readings of the guide; the box sends numbers, depth_numbers",
    "simple/trade_list": "one of two readings of the guide; the box sends single trades, trade_single",
    "simple/ping_v2": "V2's heartbeat on the simple path is a guess; the box sends its own, ping",
}
# Keys that one side has and the other need not, by dialect.
OPTIONAL = {
    "v2": {
        "s": "the publishing node, in pushes since 2026",
        "customerID": "in every capture, but not in the example of the documentation",
    },
    "simple": {
        "ts": "the guide shows no time; protocols of its family have one, here or there",
        **dict.fromkeys(("open", "high", "low", "amount", "bid", "ask"), "the guide shows close and vol alone"),
    },
    "rest": {"msg": "since 2024-06; captures before have none"},
}
# Text and numbers that have another form on purpose, by dialect and path; their JSON type is held alike all the same.
OTHER_FORM = {
    ("v2", "ping"): "ids were UUIDs to 2024; frames of 2026 have room for about 13 characters",
    ("v2", "message"): "the address of the client is masked in the sample",
    ("v2", "orderUpdate.uuid"): "LBank masked its ids",
    ("v2", "orderUpdate.txUuid"): "LBank masked its ids",
    ("v2", "orderUpdate.customerID"): "empty when the order was given none",
    ("simple", "ping"): "nobody has a capture; the box counts its own clock, not the time of day",
    ("rest", "data"): "the subscribe key is masked in the sample; test_ids_have_the_form_of_lbanks has it",
}
PRICES = {
    *("latest", "high", "low", "usd", "price", "orderPrice", "avgPrice", "h", "l", "c", "o"),
    *("askPrice", "bidPrice", "close", "open", "bid", "ask"),
}
TRADED = {"vol", "turnover"}  # of 24 hours

FORMS = {
    "a moment": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}",
    "a number": r"-?\d+(\.\d+)?",
    "a UUID": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "32 hex digits": r"[0-9a-f]{32}",
    "a direction": r"(buy|sell)(_(market|maker|ioc|fok))?",
    "a pair": r"[a-z0-9]+_[a-z0-9]+",
    "words": r".*",
}

Told = dict[str, Any]


def read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


# --- what the box says


class Talk:
    """Everything that the box answers to a client who asks it for each kind of message once.

    Attributes:
        told: The answer for each sample, by `dialect/name`.
    """

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self.told: Told = {}
        self._talk_v2()
        self._talk_simple()
        self._talk_rest()

    def _talk_v2(self) -> None:
        with closing(websocket.create_connection(self._box.v2_url, timeout=DEADLINE_S)) as line:

            def say(name: str, frame: Told, is_it: Callable[[Told], object]) -> None:
                line.send(json.dumps(frame))
                self.told[f"v2/{name}"] = _first(line, is_it)

            def push(name: str, channel: str, pair: str, **more: object) -> None:
                frame = {"action": "subscribe", "subscribe": channel, "pair": pair, **more}
                say(name, frame, lambda told: told.get("type") == channel and told["pair"] == pair)

            def reply(name: str, channel: str, key: str, **more: object) -> None:
                frame = {"action": "request", "request": channel, "pair": "btc_usdt", **more}
                say(name, frame, lambda told: key in told)

            for pair in ("btc_usdt", "eth_usdt", "sui_usdt"):
                line.send(json.dumps({"action": "subscribe", "subscribe": "trade", "pair": pair}))
            for name, pair in [("btc_usdt_2019", "btc"), ("coinalpha_hbot_2022", "eth"), ("sui_usdt_2026", "sui")]:
                self.told[f"v2/trade_{name}"] = _first(line, lambda told, pair=pair: told.get("pair") == f"{pair}_usdt")
            for pair in ("btc_usdt", "eth_usdt", "sui_usdt"):
                line.send(json.dumps({"action": "unsubscribe", "subscribe": "trade", "pair": pair}))
            push("tick_eth_btc_2019", "tick", "eth_btc")
            push("depth_coinalpha_hbot_2022", "depth", "eth_usdt", depth="100")
            push("kbar_btc_usdt_2026", "kbar", "btc_usdt", kbar="1min")
            push("kbar_eth_btc_2019", "kbar", "eth_btc", kbar="5min")
            reply("reply_depth_btc_usdt_2024", "depth", "asks", depth="100")
            reply("reply_kbar_btc_usdt_2024", "kbar", "records", kbar="5min", size=1)
            reply("reply_trade_btc_usdt_2024", "trade", "trades", size=100)
            say("error_missing_parameter_2024", _subscribe("kbar", "btc_usdt"), lambda told: "message" in told)
            say(
                "error_unknown_pair_2025",
                _subscribe("tick", "aiausdt"),
                lambda told: "pairs" in told.get("message", ""),
            )
            for name in ("ping_2019", "ping_2024_11", "ping_hummingbot"):
                self.told[f"v2/{name}"] = _first(line, lambda told: told.get("action") == "ping")

    def _talk_simple(self) -> None:
        with closing(websocket.create_connection(self._box.simple_url, timeout=DEADLINE_S)) as line:

            def say(frame: Told, **wanted: Callable[[Told], object]) -> None:
                line.send(json.dumps(frame))
                for name, is_it in wanted.items():
                    self.told[f"simple/{name}"] = _first(line, is_it)

            def is_push(channel: str) -> Callable[[Told], object]:
                return lambda told: told.get("ch") == f"market.btcusdt.{channel}"

            topic = "market.btcusdt."
            say(
                {"sub": f"{topic}ticker", "id": "12345"},
                ack_sub=lambda told: "subbed" in told,
                ticker_full=is_push("ticker"),
                ticker_guide=is_push("ticker"),
            )
            say({"sub": f"{topic}depth", "id": "12346"}, depth_numbers=is_push("depth"))
            say({"sub": f"{topic}trade", "id": "12347"}, trade_single=is_push("trade"))
            say({"unsub": f"{topic}depth", "id": "12346"}, ack_unsub=lambda told: "unsubbed" in told)
            say({"sub": f"{topic}trades", "id": "12347"}, refusal=lambda told: told.get("status") == "error")
            say({"ping": 7}, pong=lambda told: "pong" in told)
            say({}, ping=lambda told: "ping" in told)

    def _talk_rest(self) -> None:
        get, post = self._get, self._post
        told = {
            "accuracy": get("accuracy", symbol="btc_usdt"),
            "book_ticker": get("supplement/ticker/bookTicker", symbol="btc_usdt"),
            "currency_pairs": get("currencyPairs"),
            "depth": get("depth", symbol="btc_usdt", size=5),
            "kline": get("kline", symbol="btc_usdt", size=3, type="day1", time=0),
            "ticker_24hr": get("ticker/24hr", symbol="btc_usdt"),
            "ticker_price": get("supplement/ticker/price", symbol="btc_usdt"),
            "timestamp": get("timestamp"),
            "trades": get("supplement/trades", symbol="btc_usdt", size=3),
            "system_status": read(_answer(f"{self._box.rest_url}/v2/supplement/system_status.do", b"")),
            "user_info_account": post("supplement/user_info_account"),
            "get_key_2024": post("subscribe/get_key"),
        }
        subscribe_key = told["get_key_2024"]["data"]
        told["refresh_key"] = post("subscribe/refresh_key", subscribeKey=subscribe_key)
        order = {"symbol": "eth_usdt", "type": "buy", "price": "1500", "amount": "0.01"}
        told["create_order_refused_2025"] = post("supplement/create_order", POOR_KEY, **order)
        with closing(websocket.create_connection(self._box.v2_url, timeout=DEADLINE_S)) as line:
            for channel in ("orderUpdate", "assetUpdate"):
                line.send(json.dumps({**_subscribe(channel, "all"), "subscribeKey": subscribe_key}))
            told["create_order"] = post("supplement/create_order", custom_id=CUSTOM_ID, **order)
            self._note(line, "order_update_coinalpha_hbot_2022", "asset_update_usdt_2021", "asset_update_hbot_2022")
            told["orders_info_no_deal"] = post(
                "supplement/orders_info_no_deal", symbol="eth_usdt", current_page=1, page_length=10
            )
            order_id = told["create_order"]["data"]["order_id"]
            told["cancel_order"] = post("supplement/cancel_order", symbol="eth_usdt", orderId=order_id)
            told["orders_info"] = post("spot/trade/orders_info", symbol="eth_usdt", orderId=order_id)
            post("supplement/create_order", symbol="lbk_usdt", type="buy_market", price="5")
            self._note(line, "order_update_lbk_usdt_2024")
            post("supplement/create_order", symbol="eth_btc", type="buy", price="0.06", amount="0.3")
            self._note(line, "order_update_eth_btc_docs")
        self.told |= {f"rest/{name}": answer for name, answer in told.items()}

    def _note(self, line: websocket.WebSocket, order_update: str, *asset_updates: str) -> None:
        """Note the push of an order as the sample has it, placed or filled, and of the balance behind it."""
        status = {sample.name: sample for sample in samples("v2")}[order_update].frame
        wanted = read(status)["orderUpdate"]["orderStatus"], order_update.split("_")[2]

        def is_it(told: Told) -> bool:
            order = told.get("orderUpdate", {})
            is_pair = wanted[1] == "coinalpha" or str(order.get("symbol", "")).startswith(wanted[1])
            return is_pair and order.get("orderStatus") == wanted[0]

        self.told[f"v2/{order_update}"] = _first(line, is_it)
        for name in asset_updates:
            if f"v2/{asset_updates[0]}" not in self.told:
                self.told[f"v2/{name}"] = _first(line, lambda told: told.get("type") == "assetUpdate")
            self.told[f"v2/{name}"] = self.told[f"v2/{asset_updates[0]}"]

    def _get(self, path: str, **asked: object) -> Told:
        return read(_answer(f"{self._box.rest_url}/v2/{path}.do?{urllib.parse.urlencode(asked)}"))

    def _post(self, path: str, key: str = KEY, **asked: object) -> Told:
        now_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
        body, headers = signed(key, SECRET, now_ms, {name: str(value) for name, value in asked.items()})
        return read(_answer(f"{self._box.rest_url}/v2/{path}.do", urllib.parse.urlencode(body).encode(), headers))


def _subscribe(channel: str, pair: str) -> Told:
    return {"action": "subscribe", "subscribe": channel, "pair": pair}


def _first(line: websocket.WebSocket, is_it: Callable[[Told], object]) -> Told:
    """Read until a wanted message comes; the timeout of the line ends it."""
    for _ in range(10_000):
        told = read(line.recv())
        if is_it(told):
            return told
    raise AssertionError("no such message came")


def _answer(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=DEADLINE_S) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def told() -> Told:
    """Everything that the box says, by the name of the sample that it is held against."""
    with Sandbox(speed=10, ping_every_s=0.2, rate_limits=False) as box:
        box.add_account(KEY, SECRET, balances={"usdt": 100_000, "btc": 1, "eth": "0.1"})
        box.add_account(POOR_KEY, SECRET, balances={"usdt": 100_000}, can_trade=False)
        return Talk(box).told


# --- what is compared


def differences(dialect: str, seen: Any, told: Any, path: str = "") -> Iterator[str]:
    """Give what the box says otherwise than a sample: keys, JSON types, forms of text."""
    if isinstance(seen, dict) and isinstance(told, dict):
        for key in sorted((seen.keys() ^ told.keys()) - OPTIONAL[dialect].keys()):
            yield f"{path}.{key} is in {'the sample' if key in seen else 'the box'} alone"
        for key in seen.keys() & told.keys():
            yield from differences(dialect, seen[key], told[key], f"{path}.{key}".lstrip("."))
    elif isinstance(seen, list) and isinstance(told, list):
        is_row = len(seen) == len(told) and not any(isinstance(part, list | dict) for part in seen)
        pairs = zip(seen, told, strict=True) if is_row else ((seen[0], each) for each in told if seen)
        for before, now in pairs:
            yield from differences(dialect, before, now, f"{path}[]")
    elif (dialect, path) in OTHER_FORM and type(seen) is type(told):
        return
    elif kind(seen, dialect) != kind(told, dialect):
        yield f"{path} is {told!r}, where the sample has {seen!r}"
    elif kind(seen, dialect) == str(str) and form(seen) != form(told):
        yield f"{path} is {told!r}, which is {form(told)}; the sample has {seen!r}, {form(seen)}"


def kind(part: Any, dialect: str) -> str:
    """Give the JSON type; in the simple dialect, of which nobody has a capture, a number may be text."""
    if isinstance(part, bool) or part is None:
        return str(type(part))
    if isinstance(part, int | Decimal) or (dialect == "simple" and form(str(part)) == "a number"):
        digits = len(str(part)) if isinstance(part, int) else 0
        return f"a moment of {digits} digits" if digits in (10, 13) else "a number"
    return str(type(part))


def form(text: str) -> str:
    """Give how a text is formed."""
    return next(name for name, pattern in FORMS.items() if re.fullmatch(pattern, text))


def numbers(part: Any, key: str = "") -> Iterator[tuple[str, Decimal]]:
    """Give every number with the key that it stands under; of a book's levels the prices."""
    if isinstance(part, dict):
        for name, content in part.items():
            yield from numbers(content, name)
    elif isinstance(part, list):
        if key in ("asks", "bids"):
            yield from (("price", Decimal(level[0])) for level in part)
        else:
            for each in part:
                yield from numbers(each, key)
    elif not isinstance(part, bool) and re.fullmatch(r"-?[\d.]+(E-?\d+)?", str(part)):
        yield key, Decimal(str(part))


INBOUND = [(dialect, sample) for dialect in ("v2", "simple", "rest") for sample in samples(dialect)]
INBOUND = [(dialect, sample) for dialect, sample in INBOUND if sample.direction == "in"]
FOLLOWED = [(dialect, sample) for dialect, sample in INBOUND if f"{dialect}/{sample.name}" not in UNFOLLOWED]
QUOTES = [(dialect, sample) for dialect, sample in FOLLOWED if "order" not in sample.name]  # whose prices are the box's
each_sample = pytest.mark.parametrize(("dialect", "sample"), FOLLOWED, ids=str)
each_quote = pytest.mark.parametrize(("dialect", "sample"), QUOTES, ids=str)


def test_every_sample_is_held_against_the_box_or_has_a_reason(told):
    """A sample that nobody compares is a promise that nobody keeps."""
    assert {f"{dialect}/{sample.name}" for dialect, sample in INBOUND} == told.keys() | UNFOLLOWED.keys()


@each_sample
def test_keys_types_and_forms_are_those_of_the_sample(told, dialect, sample: Sample):
    """A client that was written against the box must read LBank, and the other way round."""
    assert list(differences(dialect, read(sample.frame), told[f"{dialect}/{sample.name}"])) == []


@each_quote
def test_prices_and_volumes_are_as_large_as_on_the_sample(told, dialect, sample: Sample):
    """Code that looks right with prices around 1 fails with those of LBank: widths, rounding, exponents."""
    seen = dict(numbers(read(sample.frame)))
    for key, number in numbers(told[f"{dialect}/{sample.name}"]):
        most = 10 if key in PRICES else 1000 if key in TRADED else None
        if most is not None and number and seen.get(key):
            assert 1 / Decimal(most) <= number / seen[key] <= most, f"{key} is {number}, in the sample {seen[key]}"


# --- what numbers say of each other


@pytest.mark.parametrize("name", ["trade_btc_usdt_2019", "trade_coinalpha_hbot_2022", "trade_sui_usdt_2026"])
def test_the_value_of_a_trade_is_price_times_volume(told, name):
    """Exact in every capture."""
    trade = told[f"v2/{name}"]["trade"]

    assert trade["amount"] == trade["price"] * trade["volume"]


def test_a_tick_agrees_with_itself(told):
    """As in the captures: the mean price lies in the range, and one unit costs its price times the rate."""
    tick = told["v2/tick_eth_btc_2019"]["tick"]

    assert tick["low"] <= tick["turnover"] / tick["vol"] <= tick["high"]
    assert tick["low"] <= tick["latest"] <= tick["high"]
    assert abs(tick["usd"] - tick["latest"] * tick["to_usd"]) <= Decimal("0.01")
    assert abs(tick["cny"] / tick["usd"] - tick["to_cny"] / tick["to_usd"]) < Decimal("0.01")


@pytest.mark.parametrize("name", ["kbar_btc_usdt_2026", "kbar_eth_btc_2019"])
def test_a_bar_agrees_with_itself(told, name):
    """As in the captures; and `t` is where the bar starts."""
    bar = told[f"v2/{name}"]["kbar"]

    assert bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]
    assert not bar["v"] or bar["l"] <= bar["a"] / bar["v"] <= bar["h"]
    assert bar["t"].endswith(":00.000")


def test_times_are_on_the_clock_of_utc_plus_8(told):
    """No frame says so; a box on another clock would teach clients to be eight hours wrong."""
    order = told["v2/order_update_lbk_usdt_2024"]
    wall = datetime.fromisoformat(order["TS"]).replace(tzinfo=timezone.utc)
    at = datetime.fromtimestamp(order["orderUpdate"]["updateTime"] / 1000, tz=timezone.utc)

    assert timedelta(hours=8) <= wall - at < timedelta(hours=8, seconds=1)


@pytest.mark.parametrize("name", ["order_update_coinalpha_hbot_2022", "order_update_lbk_usdt_2024"])
def test_what_is_left_of_a_buy_is_quote_value(told, name):
    """0.0012 x 20000 is "24", and of a market order for 5 it is "5": the trap of this push."""
    order = told[f"v2/{name}"]["orderUpdate"]
    value = Decimal(order["orderAmt"]) * (1 if order["type"] == "buy_market" else Decimal(order["orderPrice"]))

    assert Decimal(order["remainAmt"]) == value


def test_a_balance_is_what_is_free_and_what_is_held_back(told):
    """So in all three samples."""
    balance = told["v2/asset_update_usdt_2021"]["data"]

    assert Decimal(balance["asset"]) == Decimal(balance["free"]) + Decimal(balance["freeze"])


def test_ids_have_the_form_of_lbanks(told):
    """Columns in people's databases are as wide as these."""
    filled = told["v2/order_update_eth_btc_docs"]["orderUpdate"]

    assert re.fullmatch(r"[0-9a-f]{64}", told["rest/get_key_2024"]["data"])
    assert form(filled["uuid"]) == "a UUID"
    assert form(filled["txUuid"]) == "32 hex digits"
    assert re.fullmatch(r"[0-9a-f]{13}", told["v2/ping_2019"]["ping"])


def test_a_refusal_is_lbanks_to_the_letter(told):
    """What ordinary accounts get to read."""
    (seen,) = (read(sample.frame) for sample in samples("rest") if sample.name == "create_order_refused_2025")
    answer = told["rest/create_order_refused_2025"]

    assert {**answer, "ts": 0} == {**seen, "ts": 0}
