"""The REST interface of the practice exchange, held against LBank's own answers in tests/samples/rest."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox import Sandbox
from lbank_ws.sandbox.rest import ADDRESSES
from tests.trading_floor import ECHO, KEY, OPENED_AT_MS, SECRET, TradingFloor, signed

D = Decimal
SAMPLES = Path(__file__).parent / "samples" / "rest"
CREATE = "/v2/supplement/create_order.do"
CANCEL = "/v2/supplement/cancel_order.do"
CANCEL_ALL = "/v2/supplement/cancel_order_by_symbol.do"
ORDER = "/v2/spot/trade/orders_info.do"
OPEN = "/v2/supplement/orders_info_no_deal.do"
HISTORY = "/v2/spot/trade/orders_info_history.do"
FILLS = "/v2/supplement/transaction_history.do"
TIMESTAMP = "/v2/timestamp.do"


@pytest.fixture
def floor() -> TradingFloor:
    """An exchange that has traded for half a minute, with one account."""
    floor = TradingFloor("btc_usdt", "lbk_usdt")
    floor.open_account()
    floor.play(30)
    return floor


def sample(name: str) -> dict[str, Any]:
    frame = json.loads((SAMPLES / f"{name}.json").read_text())["frame"]
    read: dict[str, Any] = json.loads(frame, parse_float=Decimal)
    return read


def shape(value: Any) -> Any:
    """Give the keys and JSON types of an answer; of a list those of its first element."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict | list) else [shape(each) for each in value[:1]]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def code(answer: dict[str, Any]) -> int:
    found = answer["error_code"]
    assert isinstance(found, int)
    return found


# --- held against LBank's answers


PUBLIC = [
    ("timestamp", "timestamp", {}),
    ("currency_pairs", "currencyPairs", {}),
    ("accuracy", "accuracy", {}),
    ("depth", "depth", {"symbol": "btc_usdt", "size": 5}),
    ("ticker_24hr", "ticker/24hr", {"symbol": "btc_usdt"}),
    ("ticker_price", "supplement/ticker/price", {"symbol": "btc_usdt"}),
    ("book_ticker", "supplement/ticker/bookTicker", {"symbol": "btc_usdt"}),
    ("trades", "supplement/trades", {"symbol": "btc_usdt", "size": 3}),
    ("kline", "kline", {"symbol": "btc_usdt", "size": 3, "type": "day1", "time": 1769875200}),
]


@pytest.mark.parametrize(("name", "path", "asked"), PUBLIC, ids=[name for name, _, _ in PUBLIC])
def test_public_answers_have_the_keys_and_types_of_lbank(floor, name, path, asked):
    """A client that reads the box reads LBank."""
    answer = floor.get(f"/v2/{path}.do", **asked)

    assert shape(answer) == shape(sample(name))
    assert answer["result"] == sample(name)["result"]


SIGNED = [
    "create_order",
    "orders_info",
    "orders_info_no_deal",
    "cancel_order",
    "user_info_account",
    "create_order_refused_2025",
    "get_key_2024",
    "refresh_key",
]


def signed_answers(floor: TradingFloor) -> dict[str, dict[str, Any]]:
    created = floor.order("buy", "50000", "0.01", custom_id="mine")
    named = {"symbol": "btc_usdt", "orderId": created["data"]["order_id"]}
    return {
        "create_order": created,
        "orders_info": floor.post(ORDER, **named),
        "orders_info_no_deal": floor.post(OPEN, symbol="btc_usdt", current_page=1, page_length=10),
        "cancel_order": floor.post(CANCEL, **named),
        "user_info_account": floor.post("/v2/supplement/user_info_account.do"),
        "create_order_refused_2025": floor.order("buy", "50000", "0.01", symbol="no_such"),
        "get_key_2024": (given_key := floor.post("/v2/subscribe/get_key.do")),
        "refresh_key": floor.post("/v2/subscribe/refresh_key.do", subscribeKey=given_key["data"]),
    }


@pytest.mark.parametrize("name", SIGNED)
def test_signed_answers_have_the_keys_and_types_of_lbank(floor, name):
    """`result` is a boolean here and text there, as with LBank."""
    answer = signed_answers(floor)[name]

    assert shape(answer) == shape(sample(name))
    assert answer["result"] == sample(name)["result"]


def test_system_status_has_the_keys_and_types_of_lbank(floor):
    """It is a POST without a signature."""
    status, text = floor.rest.answer("POST", "/v2/supplement/system_status.do", {}, {}, {}, floor.now_ms)

    assert status == 200
    assert shape(json.loads(text)) == shape(sample("system_status"))


def test_every_sample_is_held_against_the_box():
    """A new sample must not lie unused."""
    held = {name for name, _, _ in PUBLIC} | {"system_status", *SIGNED}

    assert {path.stem for path in SAMPLES.glob("*.json")} == held


def test_the_words_of_a_refusal_are_those_of_the_capture(floor):
    """Some clients look for them."""
    assert floor.order("buy", "1", "1", symbol="no_such")["msg"] == sample("create_order_refused_2025")["msg"]


# --- market data


def test_public_figures_are_those_of_the_market(floor):
    """The two interfaces must tell one story."""
    listing = floor.market.listing("btc_usdt")
    tick, book = floor.market.tick("btc_usdt"), floor.market.book("btc_usdt")

    day = floor.get("/v2/ticker/24hr.do", symbol="btc_usdt")["data"][0]["ticker"]
    depth = floor.get("/v2/depth.do", symbol="btc_usdt", size=200)["data"]
    best = floor.get("/v2/supplement/ticker/bookTicker.do", symbol="btc_usdt")["data"]

    assert D(day["latest"]) == listing.price_of(tick.latest)
    assert D(day["turnover"]) == listing.value_of(tick.turnover)
    assert abs(D(day["change"])) == D(abs(tick.change_hundredths)) / 100
    for side, levels in (("asks", book.asks), ("bids", book.bids)):
        assert [(D(price), D(amount)) for price, amount in depth[side]] == [
            (listing.price_of(price), listing.amount_of(amount)) for price, amount in levels
        ]
    assert [best["askPrice"], best["askQty"]] == depth["asks"][0]
    assert [best["bidPrice"], best["bidQty"]] == depth["bids"][0]


def test_all_pairs_are_told_when_none_is_named(floor):
    """`all` for the day's figures, nothing for prices and grids."""
    for path, asked in (("ticker/24hr", {"symbol": "all"}), ("supplement/ticker/price", {}), ("accuracy", {})):
        assert [row["symbol"] for row in floor.get(f"/v2/{path}.do", **asked)["data"]] == ["btc_usdt", "lbk_usdt"]


def test_trades_have_ids_times_and_sides_and_can_be_asked_from_a_moment_on(floor):
    """Holes are filled through them."""
    made = floor.market.trades("btc_usdt")
    path, asked = "/v2/supplement/trades.do", {"symbol": "btc_usdt"}

    last = floor.get(path, size=5, **asked)["data"]
    after = floor.get(path, size=3, time=made[2].traded_at_ms, **asked)["data"]

    assert [row["id"] for row in last] == [trade.id for trade in made[-5:]]
    assert [row["isBuyerMaker"] for row in last] == [trade.side == "sell" for trade in made[-5:]]
    assert all(row["quoteQty"] == row["price"] * row["qty"] for row in last)
    assert [row["id"] for row in after] == [t.id for t in made if t.traded_at_ms > made[2].traded_at_ms][:3]
    assert len({trade.id for trade in made}) == len(made)


def test_old_trades_have_the_old_shape(floor):
    """Old clients ask there."""
    (row,) = floor.get("/v2/trades.do", symbol="btc_usdt", size=1)["data"]

    assert shape(row) == {"date_ms": "number", "amount": "number", "price": "number", "type": "str", "tid": "str"}


def test_bars_begin_where_they_were_asked_for(floor):
    """`time` is in seconds, the others of the interface are in milliseconds."""
    from_s = OPENED_AT_MS // 1000 // 60 * 60 - 600

    rows = floor.get("/v2/kline.do", symbol="btc_usdt", size=4, type="minute1", time=from_s)["data"]

    assert [row[0] for row in rows] == [from_s + 60 * number for number in range(4)]


@pytest.mark.parametrize(
    ("path", "asked", "refused"),
    [
        ("depth", {"size": 5}, 10001),
        ("depth", {"symbol": "btc_usdt"}, 10001),
        ("depth", {"symbol": "BTC_USDT", "size": 5}, 10008),
        ("depth", {"symbol": "btc_usdt", "size": 201}, 10003),
        ("depth", {"symbol": "btc_usdt", "size": "x"}, 10003),
        ("supplement/trades", {"symbol": "btc_usdt", "size": 501}, 10003),
        ("supplement/trades", {"symbol": "btc_usdt", "size": 0}, 10003),
        ("trades", {"symbol": "btc_usdt", "size": 601}, 10003),
        ("kline", {"symbol": "btc_usdt", "size": 5, "type": "minute1"}, 10001),
        ("kline", {"symbol": "btc_usdt", "size": 2001, "type": "minute1", "time": 1}, 10003),
        ("kline", {"symbol": "btc_usdt", "size": 5, "type": "hour8", "time": 1}, 10003),
        ("ticker/24hr", {}, 10001),
        ("supplement/ticker/price", {"symbol": "no_such"}, 10008),
    ],
)
def test_a_public_request_that_cannot_be_is_refused_with_its_code(floor, path, asked, refused):
    """With HTTP status 200, so that a client must look at the code."""
    answer = floor.get(f"/v2/{path}.do", **asked)

    assert code(answer) == refused
    assert answer["result"] in (False, "false")
    assert set(answer) == {"msg", "result", "error_code", "ts"}


# --- who may ask


def ask(floor: TradingFloor, **change: Any) -> int:
    """Ask for the balances with something wrong; give the code."""
    body, headers = signed(
        KEY, change.pop("secret", SECRET), floor.now_ms + change.pop("off_ms", 0), change.pop("more", {})
    )
    for part in (body, headers):
        for name in set(part) & set(change):
            part[name] = change[name]
    _, text = floor.rest.answer("POST", "/v2/supplement/user_info_account.do", {}, body, headers, floor.now_ms)
    return int(json.loads(text)["error_code"])


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, 0),
        ({"api_key": ""}, 10201),
        ({"sign": ""}, 10201),
        ({"timestamp": ""}, 10202),
        ({"signature_method": ""}, 10202),
        ({"echostr": ""}, 10202),
        ({"signature_method": "MD5"}, 10203),
        ({"signature_method": "RSA"}, 10203),
        ({"echostr": "a" * 29}, 10031),
        ({"echostr": "a" * 41}, 10031),
        ({"echostr": "a" * 30 + "-"}, 10031),
        ({"timestamp": "now"}, 10003),
        ({"off_ms": -5001}, 10600),
        ({"off_ms": -5000}, 0),
        ({"off_ms": 1001}, 10600),
        ({"off_ms": 1000}, 0),
        ({"off_ms": -5001, "more": {"window": "6000"}}, 0),
        ({"off_ms": -150, "more": {"window": "100"}}, 10600),
        ({"off_ms": -90_000, "api_key": "nobody"}, 10600),
        ({"api_key": "nobody"}, 10005),
        ({"secret": "another"}, 10007),
        ({"sign": "0" * 64}, 10007),
        ({"more": {"note": "käse & Co = 1"}}, 0),
    ],
)
def test_a_request_is_judged_by_its_signature_and_its_time(floor, change, refused):
    """In LBank's order: the time before the key."""
    assert ask(floor, **change) == refused


def test_parameters_may_come_in_the_query(floor):
    """LBank's Java connector sends them there, with an empty body."""
    body, headers = signed(KEY, SECRET, floor.now_ms, {})

    _, text = floor.rest.answer("POST", "/v2/supplement/user_info_account.do", body, {}, headers, floor.now_ms)

    assert json.loads(text)["error_code"] == 0


@pytest.mark.parametrize(
    ("permissions", "allowed"), [(["read"], {"user_info_account"}), (["trade"], {"create_order_test"}), ([], set())]
)
def test_a_key_is_for_what_it_is_for(permissions, allowed):
    """A collector's key should be for reading alone."""
    floor = TradingFloor()
    floor.open_account(permissions=permissions)
    order = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.01"}

    codes = {
        "user_info_account": code(floor.post("/v2/supplement/user_info_account.do")),
        "create_order_test": code(floor.post("/v2/supplement/create_order_test.do", **order)),
    }

    assert codes == {name: 0 if name in allowed else 10022 for name in codes}


@pytest.mark.parametrize("path", ["/v2/nothing.do", "/v2/", "/v1/ticker.do", "/v2/timestamp.do/"])
def test_an_unknown_address_gets_a_page(floor, path):
    """HTML, from LBank's gateway: a client that reads JSON at once falls over it."""
    status, text = floor.rest.answer("GET", path, {}, {}, {}, floor.now_ms)

    assert status == 404
    assert text.startswith("<html>")


def test_a_wrong_method_is_not_allowed(floor):
    """Nobody reads secrets out of a GET."""
    assert floor.rest.answer("GET", CREATE, {}, {}, {}, floor.now_ms)[0] == 405


# --- how often


def test_too_many_requests_are_refused_until_the_window_has_moved_on():
    """10004, counted by address, and by key where there is one; orders have a limit of their own."""
    floor = TradingFloor(rate_limits=True)
    floor.open_account()

    codes = [code(floor.get(TIMESTAMP)) for _ in range(201)]
    balances = [code(floor.post("/v2/supplement/user_info_account.do")) for _ in range(201)]
    orders = [code(floor.order("buy", "1", "1", symbol="no_such")) for _ in range(501)]
    elsewhere = floor.rest.answer("GET", TIMESTAMP, {}, {}, {}, floor.now_ms, asker="10.0.0.9")[1]

    assert codes == balances == [0] * 200 + [10004]
    assert orders == [10008] * 500 + [10004]
    assert json.loads(elsewhere)["error_code"] == 0
    floor.now_ms += 9_999
    assert code(floor.get(TIMESTAMP)) == 10004
    floor.now_ms += 1
    assert code(floor.get(TIMESTAMP)) == 0


# --- orders


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"symbol": ""}, 10001),
        ({"type": ""}, 10001),
        ({"symbol": "no_such"}, 10008),
        ({"symbol": "BTC_USDT"}, 10008),
        ({"type": "buy_stop"}, 10015),
        ({"price": ""}, 10009),
        ({"amount": ""}, 10009),
        ({"price": "cheap"}, 10003),
        ({"price": "-1"}, 10003),
        ({"amount": "NaN"}, 10003),
        ({"amount": "1e999999999"}, 10003),
        ({"price": "0.001"}, 10010),
        ({"amount": "0.000009"}, 10013),
        ({"amount": "0.00001"}, 10010),
        ({"type": "buy_market", "price": ""}, 10011),
        ({"type": "buy_market", "price": "0.5"}, 10020),
        ({"type": "buy_market", "price": "0"}, 10020),
        ({"type": "sell_market", "amount": ""}, 10012),
        ({"type": "sell_market", "amount": "0.00001"}, 10020),
        ({"amount": "3"}, 10014),
        ({"type": "sell", "amount": "3"}, 10014),
    ],
)
@pytest.mark.parametrize("path", [CREATE, "/v2/supplement/create_order_test.do"])
def test_an_order_that_cannot_be_is_refused_with_its_code(floor, path, asked, refused):
    """And nothing of it happens; its own id is still free."""
    before = floor.view()
    wanted = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.01", "custom_id": "once", **asked}

    assert code(floor.post(path, **wanted)) == refused

    assert floor.view() == before
    assert code(floor.order("buy", "50000", "0.01", custom_id="once")) == 0


def test_digits_beyond_the_grid_are_cut_off_without_a_word(floor):
    """LBank does so; a client that does not look gets another order than it wanted."""
    placed = floor.order("buy", "50000.019", "0.0100099")["data"]

    row = floor.post(ORDER, symbol="btc_usdt", orderId=placed["order_id"])["data"]

    assert (row["price"], row["origQty"]) == (D("50000.01"), D("0.01"))


def test_an_own_id_is_used_once(floor):
    """10036 tells that an order with this id exists, also when it is done."""
    first = floor.order("buy", "50000", "0.01", custom_id="mine")["data"]
    floor.post(CANCEL, symbol="btc_usdt", origClientOrderId="mine")

    assert code(floor.order("buy", "50000", "0.01", custom_id="mine")) == 10036
    assert [order.id for order in floor.view().orders] == [first["order_id"]]


def test_a_test_order_is_checked_but_not_placed(floor):
    """It is how one tries one's own code without money."""
    before = floor.view()
    wanted = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.01", "custom_id": "mine"}

    answer = floor.post("/v2/supplement/create_order_test.do", **wanted)

    assert shape(answer) == shape(sample("create_order"))
    assert floor.view() == before
    assert code(floor.order("buy", "50000", "0.01", custom_id="mine")) == 0


@pytest.mark.parametrize("path", [CREATE, "/v2/supplement/create_order_test.do", CANCEL, CANCEL_ALL])
def test_ordinary_accounts_are_told_that_there_is_no_such_pair(path):
    """Balances and the private stream work; LBank has done so since 2022."""
    floor = TradingFloor("btc_usdt", "lbk_usdt")
    floor.open_account(can_trade=False)
    asked = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.01", "orderId": "x"}

    answer = floor.post(path, **asked)

    assert (answer["result"], code(answer), answer["msg"]) == (False, 10008, "currency pair nonsupport")
    assert floor.post("/v2/supplement/user_info_account.do")["data"]["canTrade"] is True


def test_an_account_may_be_let_into_a_few_pairs():
    """Fifty-one were tradable in 2025."""
    floor = TradingFloor("btc_usdt", "lbk_usdt")
    floor.open_account(can_trade=["lbk_usdt"])

    assert code(floor.order("buy", "50000", "0.01")) == 10008
    assert code(floor.order("buy", "0.005", "1000", symbol="lbk_usdt")) == 0


def test_cancelling_tells_how_things_stood(floor):
    """Status 0 although it is cancelled, as LBank's own example has it."""
    placed = floor.order("sell", "99000", "0.5", custom_id="mine")["data"]

    answer = floor.post(CANCEL, symbol="btc_usdt", origClientOrderId="mine")

    assert answer["data"] == {
        "executedQty": 0,
        "price": 99000,
        "origQty": D("0.5"),
        "tradeType": "sell",
        "status": 0,
    }
    assert floor.post(ORDER, symbol="btc_usdt", orderId=placed["order_id"])["data"]["status"] == -1


@pytest.mark.parametrize(
    ("direction", "price", "amount", "refused"),
    [("sell_market", None, "0.001", 10025), ("sell_fok", "150000", "0.001", 10026), ("buy_ioc", "{ask}", "100", 10037)],
)
def test_what_is_done_cannot_be_cancelled(direction, price, amount, refused):
    """Each way of being done has its code; a filled order is no error but a fill."""
    floor = TradingFloor()
    floor.open_account(balances={"usdt": "100000000", "btc": "1"})
    price = price and price.replace("{ask}", str(floor.best("asks")))

    placed = floor.order(direction, price, amount)["data"]

    assert code(floor.post(CANCEL, symbol="btc_usdt", orderId=placed["order_id"])) == refused


@pytest.mark.parametrize("path", [CANCEL, ORDER, "/v2/supplement/orders_info.do"])
@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ({"symbol": "btc_usdt"}, 10001),
        ({"symbol": "btc_usdt", "orderId": "nobody"}, 10032),
        ({"symbol": "btc_usdt", "origClientOrderId": "nobody"}, 10032),
        ({"symbol": "lbk_usdt", "origClientOrderId": "mine"}, 10032),
        ({"symbol": "no_such", "origClientOrderId": "mine"}, 10008),
        ({"origClientOrderId": "mine"}, 10001),
    ],
)
def test_an_order_that_is_not_there_is_refused(floor, path, named, refused):
    """10032 proves little on the real exchange, but it is what one gets."""
    floor.order("buy", "50000", "0.01", custom_id="mine")

    assert code(floor.post(path, **named)) == refused


def test_nobody_sees_or_cancels_the_orders_of_another(floor):
    """By id, by own id, or by pair."""
    placed = floor.order("buy", "50000", "0.01", custom_id="mine")["data"]
    floor.open_account("bob", "of-bob")
    named = {"symbol": "btc_usdt", "orderId": placed["order_id"]}

    assert code(floor.post(ORDER, "bob", "of-bob", **named)) == 10032
    assert code(floor.post(CANCEL, "bob", "of-bob", **named)) == 10032
    assert floor.post(CANCEL_ALL, "bob", "of-bob", symbol="btc_usdt")["data"] == []
    assert len(floor.view().open_orders) == 1


def test_all_open_orders_of_a_pair_are_cancelled_at_once(floor):
    """With 20 decimal places in every number, as seen live. The kill switch of a client rests on it."""
    floor.order("buy", "50000", "0.01")
    floor.order("sell", "99000.5", "0.02", custom_id="mine")
    floor.order("buy", "0.005", "1000", symbol="lbk_usdt")
    asked = signed(KEY, SECRET, floor.now_ms, {"symbol": "btc_usdt"})

    _, text = floor.rest.answer("POST", CANCEL_ALL, {}, *asked, floor.now_ms)

    assert '"price":99000.50000000000000000000' in text
    rows = json.loads(text)["data"]
    assert [(row["tradeType"], row["origClientOrderId"]) for row in rows] == [("buy", ""), ("sell", "mine")]
    assert [order.listing.pair for order in floor.view().open_orders] == ["lbk_usdt"]


def test_open_orders_come_by_pages(floor):
    """The newest first; `total` counts pages, as documented."""
    placed = [floor.order("buy", 50000 + number, "0.01")["data"]["order_id"] for number in range(5)]
    floor.order("sell_market", amount="0.001")

    pages = [floor.post(OPEN, symbol="btc_usdt", current_page=page, page_length=2)["data"] for page in (1, 2, 3, 4)]

    assert [[row["orderId"] for row in page["orders"]] for page in pages] == [
        placed[:2:-1],
        placed[2:0:-1],
        placed[:1],
        [],
    ]
    assert {page["total"] for page in pages} == {3}
    assert code(floor.post(OPEN, symbol="btc_usdt", current_page=1, page_length=201)) == 10018


def test_the_history_has_what_is_done_or_a_status_of_choice(floor):
    """Of the last 24 hours, and without own ids."""
    floor.order("sell_market", amount="0.001")
    floor.order("buy", "50000", "0.01", custom_id="mine")
    asked = {"symbol": "btc_usdt", "current_page": 1, "page_length": 10}

    done = floor.post(HISTORY, **asked)["data"]["orders"]
    waiting = floor.post(HISTORY, status=0, **asked)["data"]["orders"]

    assert [row["type"] for row in done] == ["sell_market"]
    assert [row["type"] for row in waiting] == ["buy"]
    assert "clientOrderId" not in waiting[0]
    assert code(floor.post(HISTORY, status=9, **asked)) == 10003
    floor.now_ms += 24 * 3600 * 1000
    assert floor.post(HISTORY, **asked)["data"]["orders"] == []


def test_transactions_add_up_to_the_order_and_the_balance(floor):
    """Commission in base units for a buy, in quote units for a sell."""
    floor.order("buy_market", price="9000")
    floor.order("sell_market", amount="0.01")
    rows = floor.post(FILLS, symbol="btc_usdt")["data"]
    bought, sold = ([row for row in rows if row["isBuyer"] is is_buyer] for is_buyer in (True, False))

    assert shape(rows[0]) == {
        **dict.fromkeys(("symbol", "id", "orderId", "price", "qty", "quoteQty", "commission"), "str"),
        "time": "number",
        "isBuyer": "bool",
        "isMaker": "bool",
    }
    assert all(D(row["quoteQty"]) == D(row["price"]) * D(row["qty"]) for row in rows)
    assert all(D(row["commission"]) == D(row["qty"]) / 1000 for row in bought)
    assert all(D(row["commission"]) == D(row["quoteQty"]) / 1000 for row in sold)
    assert sum(D(row["commission"]) for row in bought) == floor.view().fees["btc"]
    assert sum(D(row["commission"]) for row in sold) == floor.view().fees["usdt"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, 2),
        ({"symbol": "lbk_usdt"}, 0),
        ({"startTime": "2026-11-23", "endTime": "2026-11-23"}, 2),
        ({"startTime": "2026-11-22", "endTime": "2026-11-23"}, 2),
        ({"startTime": "2026-11-23 10:04:00", "endTime": "2026-11-23 10:05:00"}, 2),
        ({"startTime": "2026-11-23 02:04:00", "endTime": "2026-11-23 02:05:00"}, 0),
        ({"limit": 1}, 1),
        ({"startTime": "2026-11-20", "endTime": "2026-11-23"}, 10028),
        ({"startTime": "2026-11-24", "endTime": "2026-11-22"}, 10028),
        ({"startTime": "yesterday"}, 10003),
        ({"startTime": "2026-13-01"}, 10003),
        ({"limit": 101}, 10003),
        ({"fromId": "nobody"}, 10029),
    ],
)
def test_transactions_keep_to_their_window(asked, found):
    """Its times are text on the clock of UTC+8."""
    floor = TradingFloor("btc_usdt", "lbk_usdt")
    floor.open_account()
    for _ in range(2):
        floor.order("sell_market", amount="0.00002")

    answer = floor.post(FILLS, **asked)

    assert (len(answer["data"]) if code(answer) == 0 else code(answer)) == found


def test_transactions_go_on_from_an_id(floor):
    """That is how one pages through them."""
    for _ in range(3):
        floor.order("sell_market", amount="0.00002")
    ids = [row["id"] for row in floor.post(FILLS, symbol="btc_usdt")["data"]]

    assert [row["id"] for row in floor.post(FILLS, symbol="btc_usdt", fromId=ids[1])["data"]] == ids[1:]


def test_the_account_tells_balances_fees_and_permissions(floor):
    """The fee is a fraction, as seen live."""
    floor.order("buy", "50000", "1")

    balances = floor.post("/v2/supplement/user_info_account.do")["data"]["balances"]
    coins = floor.post("/v2/supplement/user_info.do")["data"]
    fee = floor.post("/v2/supplement/customer_trade_fee.do", category="btc_usdt")["data"]
    rights = floor.post("/v2/supplement/api_Restrictions.do")["data"]

    assert {"asset": "usdt", "free": "50000", "locked": "50000"} in balances
    assert {"asset": "lbk", "free": "0", "locked": "0"} in balances
    assert {
        "usableAmt": "50000",
        "assetAmt": "100000",
        "freezeAmt": "50000",
        "networkList": [],
        "coin": "usdt",
    } in coins
    assert fee == [{"symbol": "btc_usdt", "makerCommission": "0.001", "takerCommission": "0.001"}]
    assert len(floor.post("/v2/supplement/customer_trade_fee.do")["data"]) == 2
    assert rights == {
        "enableSpotTrading": True,
        "createTime": OPENED_AT_MS,
        "enableReading": True,
        "ipRestrict": False,
        "enableWithdrawals": True,
    }


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(sorted(ADDRESSES)),
    asked=st.dictionaries(
        st.sampled_from(
            [
                "symbol",
                "size",
                "type",
                "time",
                "price",
                "amount",
                "orderId",
                "status",
                "startTime",
                "limit",
                "current_page",
                "page_length",
                "window",
                "custom_id",
                "subscribeKey",
                "category",
                "fromId",
            ]
        ),
        st.sampled_from(
            ["btc_usdt", "buy", "sell_market", "1", "0", "-1", "1e5", "200", "day1", "\ud800", "٣", "x" * 500]
        )
        | st.text(max_size=8),
    ),
)
def test_nothing_that_is_asked_breaks_the_exchange(path, asked):
    """Whatever a client sends, signed or not, it gets JSON and a code."""
    floor = TradingFloor()
    floor.open_account()
    try:
        body, headers = signed(KEY, SECRET, floor.now_ms, asked)
    except UnicodeEncodeError:
        body, headers = {**asked, "api_key": KEY, "sign": "x"}, {"timestamp": "1", "echostr": ECHO}

    for form in (body, asked):
        status, text = floor.rest.answer(ADDRESSES[path].method, path, {}, form, headers, floor.now_ms)
        assert status == 200
        assert set(json.loads(text)) >= {"result"}


# --- over a socket


def test_requests_speaks_to_the_box():
    """Forms, headers and content types as a real client sends and gets them."""
    with Sandbox(pairs=["btc_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000"})
        now = requests.get(box.rest_url + TIMESTAMP, timeout=5).json()["data"]
        asked = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.01", "custom_id": "mine"}
        body, headers = signed(KEY, SECRET, now, asked)

        form = requests.post(box.rest_url + CREATE, data=body, headers=headers, timeout=5)
        again = requests.post(box.rest_url + CREATE, json=body, headers=headers, timeout=5)
        unknown = requests.get(box.rest_url + "/v2/nothing.do", timeout=5)

        assert form.json()["result"] is True
        assert form.headers["content-type"].startswith("application/json")
        assert again.json()["error_code"] == 10036
        assert (unknown.status_code, unknown.headers["content-type"].split(";")[0]) == (404, "text/html")
        view = box.account(KEY)
        assert (view.free["usdt"], view.locked["usdt"]) == (500, 500)
    assert box.account(KEY) == view


@pytest.mark.parametrize("speed", [0, 60])
def test_requests_are_signed_by_the_machines_clock_at_every_speed(speed):
    """No client signs by the time of a market that stands still or runs."""
    with Sandbox(pairs=["btc_usdt"], speed=speed) as box:
        box.add_account(KEY, SECRET)
        now = requests.get(box.rest_url + TIMESTAMP, timeout=5).json()["data"]
        assert abs(now / 1000 - time.time()) < 2
        body, headers = signed(KEY, SECRET, int(time.time() * 1000), {})

        answer = requests.post(
            box.rest_url + "/v2/supplement/user_info_account.do", data=body, headers=headers, timeout=5
        )

        assert answer.json()["error_code"] == 0


def test_a_box_without_rate_limits_answers_everybody():
    """Tests ask faster than any client should."""
    with Sandbox(pairs=["btc_usdt"], rate_limits=False) as box, requests.Session() as session:
        codes = {session.get(box.rest_url + TIMESTAMP, timeout=5).json()["error_code"] for _ in range(210)}

    assert codes == {0}


def test_unknown_accounts_are_no_accounts():
    """A misspelt key in a test must not look like an empty account."""
    with pytest.raises(KeyError):
        Sandbox().account("nobody")
