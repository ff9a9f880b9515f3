"""The private stream of V2 and the orders of the simple dialect, held against LBank's captures where there are some."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from lbank_ws.sandbox import Sandbox, signing
from lbank_ws.sandbox.simple import SimpleVisitor
from lbank_ws.sandbox.v2 import V2Visitor
from tests.trading_floor import KEY, SECRET, TradingFloor, signed

D = Decimal
SAMPLES = Path(__file__).parent / "samples" / "v2"
HOUR_MS = 3_600_000
GET_KEY, REFRESH, DESTROY = (f"/v2/subscribe/{verb}_key.do" for verb in ("get", "refresh", "destroy"))
DEADLINE_S = 10.0


@pytest.fixture
def floor() -> TradingFloor:
    floor = TradingFloor("btc_usdt", "lbk_usdt")
    floor.open_account(balances={"usdt": "100000", "btc": "2", "lbk": "5000"})
    return floor


def on_v2(floor: TradingFloor) -> V2Visitor:
    visitor = V2Visitor(1, floor.market, now_ms=0, desk=floor.desk)
    floor.visitors.append(visitor)
    return visitor


def says(visitor: V2Visitor | SimpleVisitor, floor: TradingFloor, **said: Any) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in visitor.received(json.dumps(said), floor.now_ms)]


def subscribe(visitor: V2Visitor, floor: TradingFloor, channel: str, key: str, **more: Any) -> list[dict[str, Any]]:
    return says(visitor, floor, action="subscribe", subscribe=channel, subscribeKey=key, **more)


def listening(floor: TradingFloor, *, pair: str = "all") -> tuple[V2Visitor, str]:
    """Give a visitor that hears of orders and balances, and its key."""
    visitor = on_v2(floor)
    key = floor.post(GET_KEY)["data"]
    assert subscribe(visitor, floor, "orderUpdate", key, pair=pair) == []
    assert subscribe(visitor, floor, "assetUpdate", key) == []
    return visitor, key


def orders(floor: TradingFloor) -> list[dict[str, Any]]:
    return [frame["orderUpdate"] for frame in floor.heard if frame["type"] == "orderUpdate"]


def assets(floor: TradingFloor) -> list[dict[str, Any]]:
    return [frame["data"] for frame in floor.heard if frame["type"] == "assetUpdate"]


def shape(value: Any) -> Any:
    return {key: shape(each) for key, each in value.items()} if isinstance(value, dict) else type(value)


def sample(name: str) -> Any:
    return json.loads(json.loads((SAMPLES / f"{name}.json").read_text())["frame"])


# --- shapes


@pytest.mark.parametrize("name", ["order_update_lbk_usdt_2024", "order_update_coinalpha_hbot_2022"])
def test_a_placed_order_is_told_in_the_shape_of_the_captures(floor, name):
    """Text for amounts, a number for the status, no txUuid."""
    listening(floor)

    floor.order("buy", "50000", "0.01")

    assert shape(floor.heard[0]) == shape(sample(name))


def test_a_fill_is_told_in_the_shape_of_the_documentation(floor):
    """No fill was ever captured whole; customerID is in every capture, and not in the older example."""
    listening(floor)

    floor.order("sell_market", amount="0.00002")

    fill = next(
        frame for frame in floor.heard if frame["type"] == "orderUpdate" and frame["orderUpdate"]["amount"] != "0"
    )
    expected = shape(sample("order_update_eth_btc_docs"))
    expected["orderUpdate"]["customerID"] = str
    assert shape(fill) == expected


@pytest.mark.parametrize("name", ["asset_update_hbot_2022", "asset_update_usdt_2021"])
def test_a_balance_is_told_in_the_shape_of_the_captures(floor, name):
    """The payload is under `data`, and there is no pair."""
    listening(floor)

    floor.order("buy", "50000", "0.01")

    assert shape(floor.heard[1]) == shape(sample(name))


# --- figures


def test_a_limit_buy_is_told_as_it_was_seen_live(floor):
    """`remainAmt` is quote value, `price` is 0, and `role` is taker although nothing was taken."""
    listening(floor)

    placed = floor.order("buy", "20000", "0.0012", custom_id="mine")["data"]

    assert orders(floor) == [
        {
            "accAmt": "0",
            "amount": "0",
            "avgPrice": "0",
            "customerID": "mine",
            "orderAmt": "0.0012",
            "orderPrice": "20000",
            "orderStatus": 0,
            "price": "0",
            "remainAmt": "24",
            "role": "taker",
            "symbol": "btc_usdt",
            "type": "buy",
            "updateTime": floor.now_ms,
            "uuid": placed["order_id"],
            "volumePrice": "0",
        }
    ]
    assert assets(floor) == [
        {
            "asset": "100000",
            "assetCode": "usdt",
            "free": "99976",
            "freeze": "24",
            "time": floor.now_ms,
            "type": "ORDER_CREATE",
        }
    ]
    assert [frame["type"] for frame in floor.heard] == ["orderUpdate", "assetUpdate"]
    assert {frame["TS"] for frame in floor.heard} == {"2026-11-23T10:04:07.031"}


def test_a_market_buy_is_told_by_its_value(floor):
    """As captured in 2024: orderAmt and remainAmt are the quote amount, and the price is where the market stood."""
    listening(floor)
    latest = floor.market.listing("lbk_usdt").price_of(floor.market.tick("lbk_usdt").latest)

    floor.order("buy_market", price="5", symbol="lbk_usdt")

    placed, *fills = orders(floor)
    assert (placed["orderAmt"], placed["remainAmt"], placed["type"]) == ("5", "5", "buy_market")
    assert D(placed["price"]) == D(placed["orderPrice"]) == latest
    assert fills[-1]["orderStatus"] == 2
    assert fills[-1]["remainAmt"] == "0"


def test_fills_add_up(floor):
    """Amounts of the single fills to the amount so far, values to the average price."""
    listening(floor)

    floor.order("sell_market", amount="2")

    placed, *fills = orders(floor)
    assert len(fills) > 1
    assert (placed["orderStatus"], placed["remainAmt"]) == (0, "2")
    amount = value = D(0)
    for number, fill in enumerate(fills, start=1):
        amount += D(fill["amount"])
        value += D(fill["volumePrice"])
        assert D(fill["volumePrice"]) == D(fill["price"]) * D(fill["amount"])
        assert D(fill["accAmt"]) == amount
        assert abs(D(fill["avgPrice"]) - value / amount) < D("1e-15")
        assert D(fill["remainAmt"]) == 2 - amount
        assert fill["orderStatus"] == (2 if number == len(fills) else 1)
        assert fill["role"] == "taker"
    assert len({fill["txUuid"] for fill in fills}) == len(fills)


def test_a_maker_hears_of_the_flow_that_meets_it(floor):
    """Nobody asked for anything, and still there is a push."""
    listing = floor.market.listing("btc_usdt")
    floor.order("buy", floor.best("bids") + listing.price_of(1), "0.001")
    listening(floor)
    for _ in range(600):
        floor.play(1)
        if not floor.view().open_orders:
            break

    assert orders(floor)[-1]["role"] == "maker"
    assert orders(floor)[-1]["orderStatus"] == 2
    assert assets(floor)[-1]["type"] == "ORDER_DEAL"
    assert {push["assetCode"] for push in assets(floor)} == {"usdt", "btc"}


@pytest.mark.parametrize(
    ("direction", "amount", "rest_status"), [("buy", "0.5", -1), ("buy_ioc", "200", 3)], ids=["open", "partly filled"]
)
def test_a_cancelled_order_has_one_status_here_and_another_over_rest(direction, amount, rest_status):
    """3 is listed for REST alone."""
    floor = TradingFloor()
    floor.open_account(balances={"usdt": "100000000"})
    listening(floor)
    price = floor.best("asks") if direction == "buy_ioc" else D(50000)
    placed = floor.order(direction, price, amount)["data"]
    named = {"symbol": "btc_usdt", "orderId": placed["order_id"]}

    floor.post("/v2/supplement/cancel_order.do", **named)

    last = orders(floor)[-1]
    assert (last["orderStatus"], last["amount"], D(last["price"])) == (-1, "0", price)
    assert "txUuid" not in last
    assert D(last["remainAmt"]) == price * (D(amount) - D(last["accAmt"]))
    assert floor.post("/v2/spot/trade/orders_info.do", **named)["data"]["status"] == rest_status
    assert (assets(floor)[-1]["type"], assets(floor)[-1]["freeze"]) == ("ORDER_CANCEL", "0")


def test_a_post_only_order_that_would_take_is_placed_then_cancelled(floor):
    """As seen live; the documentation says that it is rejected."""
    listening(floor)

    placed = floor.order("buy_maker", floor.best("asks") + 1, "0.01")

    assert placed["result"] is True
    assert [(push["orderStatus"], push["type"]) for push in orders(floor)] == [(0, "buy_maker"), (-1, "buy_maker")]


# --- who hears what


def test_one_pair_is_heard_alone(floor):
    """`pair` may name one instead of all; balances have none."""
    visitor, _ = listening(floor, pair="lbk_usdt")

    floor.order("buy", "50000", "0.01")
    floor.order("sell", "0.02", "1000", symbol="lbk_usdt")

    assert [push["symbol"] for push in orders(floor)] == ["lbk_usdt"]
    assert [push["assetCode"] for push in assets(floor)] == ["usdt", "lbk"]
    assert visitor.subscriptions == {"orderUpdate/lbk_usdt", "assetUpdate"}


def test_a_pair_and_all_pairs_bring_one_push(floor):
    """Two subscriptions that overlap must not double an order."""
    visitor, key = listening(floor)
    subscribe(visitor, floor, "orderUpdate", key, pair="btc_usdt")

    floor.order("buy", "50000", "0.01")

    assert len(orders(floor)) == 1


def test_nobody_hears_of_another_account(floor):
    """Whatever key is used."""
    floor.open_account("bob", "of-bob")
    visitor = on_v2(floor)
    key = floor.post(GET_KEY, "bob", "of-bob")["data"]
    for channel in ("orderUpdate", "assetUpdate"):
        subscribe(visitor, floor, channel, key, pair="all")

    floor.order("buy", "50000", "0.01")
    assert floor.heard == []

    floor.order("buy", "50000", "0.01", key="bob", secret="of-bob")
    assert len(floor.heard) == 2


def test_unsubscribing_ends_the_pushes(floor):
    """With the same frame but its action, and no acknowledgement."""
    visitor, key = listening(floor)

    assert says(visitor, floor, action="unsubscribe", subscribe="orderUpdate", subscribeKey=key, pair="all") == []
    assert says(visitor, floor, action="unsubscribe", subscribe="assetUpdate", subscribeKey=key, pair="all") == []
    floor.order("buy", "50000", "0.01")

    assert floor.heard == []
    assert visitor.subscriptions == frozenset()


# --- subscribe keys


def test_a_key_has_64_hex_digits_and_is_another_each_time(floor):
    """Two processes of one user must not share one by accident."""
    keys = [floor.post(GET_KEY)["data"] for _ in range(3)]

    assert len(set(keys)) == 3
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"subscribe": "orderUpdate", "pair": "all", "subscribeKey": "0" * 64}, "key"),
        ({"subscribe": "assetUpdate", "subscribeKey": ["x"]}, "key"),
        ({"subscribe": "assetUpdate"}, "Missing parameter ['subscribeKey']"),
        ({"subscribe": "orderUpdate", "pair": "all"}, "Missing parameter ['subscribeKey']"),
        ({"subscribe": "orderUpdate", "subscribeKey": "0" * 64}, "Missing parameter ['pair']"),
        ({"subscribe": "orderUpdate", "pair": "no_such", "subscribeKey": "0" * 64}, "Invalid order pairs:[no_such]"),
    ],
)
def test_a_bad_key_gets_an_error_that_names_no_key(floor, frame, words):
    """The words have "key" in them, which clients look for, and never the key itself."""
    visitor = on_v2(floor)

    (error,) = says(visitor, floor, action="subscribe", **frame)

    assert error["status"] == "error"
    assert words in error["message"]
    assert "000" not in error["message"]
    assert visitor.subscriptions == frozenset()


def test_a_key_lives_an_hour_from_its_last_refresh(floor):
    """Then the pushes end, without a word."""
    visitor, key = listening(floor)
    floor.now_ms += HOUR_MS - 1
    assert floor.post(REFRESH, subscribeKey=key) == {"result": "true"}
    floor.now_ms += HOUR_MS - 1
    floor.order("buy", "50000", "0.01")
    assert len(floor.heard) == 2

    floor.now_ms += 1
    floor.order("buy", "50000", "0.01")

    assert len(floor.heard) == 2
    assert visitor.subscriptions == frozenset()
    assert floor.post(REFRESH, subscribeKey=key)["error_code"] == 10003
    assert "key" in subscribe(visitor, floor, "assetUpdate", key)[0]["message"]


def test_a_destroyed_key_is_at_its_end(floor):
    """A client destroys it when it stops."""
    _, key = listening(floor)

    assert floor.post(DESTROY, subscribeKey=key) == {"result": "true"}
    floor.order("buy", "50000", "0.01")

    assert floor.heard == []
    assert floor.post(DESTROY, subscribeKey=key)["error_code"] == 10003


def test_the_key_of_another_can_neither_be_refreshed_nor_destroyed(floor):
    """Only its owner may."""
    _, key = listening(floor)
    floor.open_account("bob", "of-bob")

    for path in (REFRESH, DESTROY):
        assert floor.post(path, "bob", "of-bob", subscribeKey=key)["error_code"] == 10003
    floor.order("buy", "50000", "0.01")

    assert len(floor.heard) == 2


def test_without_accounts_the_private_channels_are_unknown(floor):
    """An unknown channel gets silence."""
    visitor = V2Visitor(1, floor.market, now_ms=0)

    assert says(visitor, floor, action="subscribe", subscribe="orderUpdate", subscribeKey="x", pair="all") == []


# --- the simple dialect


def on_simple(floor: TradingFloor) -> SimpleVisitor:
    return SimpleVisitor(1, floor.market, now_ms=0, desk=floor.desk)


def log_in(visitor: SimpleVisitor, floor: TradingFloor) -> list[dict[str, Any]]:
    signature = signing.log_in_signature(str(floor.now_ms), SECRET)
    return says(visitor, floor, op="auth", args=[KEY, str(floor.now_ms), signature])


def test_simple_log_in_then_order(floor):
    """The guide's two frames, in its order."""
    visitor = on_simple(floor)

    assert log_in(visitor, floor) == [{"op": "auth", "success": True, "ts": floor.now_ms}]
    order = {"symbol": "btcusdt", "type": "buy", "price": "30000", "amount": "0.01"}
    (reply,) = says(visitor, floor, op="order", args=[order], id="7")

    (placed,) = floor.view().open_orders
    assert reply == {
        "op": "order",
        "success": True,
        "data": {"order_id": placed.id, "symbol": "btcusdt", "custom_id": ""},
        "id": "7",
        "ts": floor.now_ms,
    }
    assert floor.view().locked["usdt"] == 300


@pytest.mark.parametrize(
    ("args", "refused"),
    [
        ([], 10003),
        ([KEY, "1700000000000"], 10003),
        ([KEY, "now", "x"], 10003),
        ([KEY, ["x"], "x"], 10003),
        (["nobody", "1700000000000", "x"], 10005),
        ([KEY, "1700000000000", "x"], 10007),
        ([KEY, "1700000000000", signing.log_in_signature("1700000000001", SECRET)], 10007),
    ],
)
def test_simple_log_in_is_refused_with_a_code_and_words(floor, args, refused):
    """And an order behind it does nothing: the guide's own code sends it without waiting."""
    visitor = on_simple(floor)

    (denied,) = says(visitor, floor, op="auth", args=args)
    (order,) = says(
        visitor, floor, op="order", args=[{"symbol": "btcusdt", "type": "buy", "price": "1", "amount": "1"}]
    )

    assert (denied["op"], denied["success"], denied["code"]) == ("auth", False, refused)
    assert denied["msg"]
    assert (order["op"], order["success"], order["msg"]) == ("order", False, "not logged in")
    assert floor.view().orders == ()


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"symbol": "nosuch"}, 10008),
        ({"type": "hold"}, 10015),
        ({"price": ""}, 10009),
        ({"amount": "10"}, 10014),
    ],
)
def test_simple_orders_are_judged_as_those_of_rest(floor, change, refused):
    """One desk serves both."""
    visitor = on_simple(floor)
    log_in(visitor, floor)
    order = {"symbol": "btcusdt", "type": "buy", "price": 30000, "amount": "0.01", **change}

    replies = says(visitor, floor, op="order", args=[order, "nonsense"])

    assert [(reply["success"], reply["code"]) for reply in replies] == [(False, refused), (False, 10003)]


def test_simple_orders_are_refused_to_ordinary_accounts():
    """They get 10008 here too."""
    floor = TradingFloor()
    floor.open_account(can_trade=False)
    visitor = on_simple(floor)
    log_in(visitor, floor)

    (reply,) = says(
        visitor, floor, op="order", args=[{"symbol": "btcusdt", "type": "buy", "price": "30000", "amount": "0.01"}]
    )

    assert (reply["success"], reply["code"]) == (False, 10008)


def test_simple_op_that_is_not_understood_is_a_bad_request(floor):
    """As everything else that is not."""
    (refusal,) = says(on_simple(floor), floor, op="cancel", args=["x"], id="3")

    assert (refusal["id"], refusal["err-code"]) == ("3", "bad-request")


# --- over sockets


def test_an_order_over_http_is_heard_on_the_socket():
    """The two interfaces are one exchange."""
    with Sandbox(pairs=["btc_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000"})

        def post(path: str, **asked: str) -> Any:
            now = requests.get(box.rest_url + "/v2/timestamp.do", timeout=5).json()["data"]
            body, headers = signed(KEY, SECRET, now, asked)
            return requests.post(box.rest_url + path, data=body, headers=headers, timeout=5).json()

        key = post(GET_KEY)["data"]
        with closing(websocket.create_connection(box.v2_url, timeout=DEADLINE_S)) as line:
            for channel in ("orderUpdate", "assetUpdate"):
                line.send(json.dumps({"action": "subscribe", "subscribe": channel, "subscribeKey": key, "pair": "all"}))
            line.send('{"action":"ping","ping":"here"}')
            assert json.loads(line.recv()) == {"action": "pong", "pong": "here"}

            placed = post("/v2/supplement/create_order.do", symbol="btc_usdt", type="buy", price="50000", amount="0.01")

            order, balance = json.loads(line.recv()), json.loads(line.recv())
        assert order["orderUpdate"]["uuid"] == placed["data"]["order_id"]
        assert (balance["data"]["assetCode"], balance["data"]["freeze"]) == ("usdt", "500")


def test_the_simple_dialect_trades_over_its_socket():
    """Log in, order, and the account has changed."""
    with Sandbox(pairs=["btc_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"btc": "1"})
        with closing(websocket.create_connection(box.simple_url, timeout=DEADLINE_S)) as line:
            line.send(
                json.dumps(
                    {"op": "auth", "args": [KEY, "1700000000000", signing.log_in_signature("1700000000000", SECRET)]}
                )
            )
            assert json.loads(line.recv())["success"] is True
            line.send(
                json.dumps({"op": "order", "args": [{"symbol": "btcusdt", "type": "sell_market", "amount": "0.001"}]})
            )
            assert json.loads(line.recv())["success"] is True

        assert box.account(KEY).free["btc"] == D("0.999")
        assert [change.order.owner for change in box.truth.orders(owner=KEY)][:1] == [KEY]
