"""Clients that other people wrote trade on the practice exchange, unchanged; only their addresses are set.

They know LBank from their own users' reports, and nothing of this package: where they work, the box is believable.
`make check-peers` installs them and runs this.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from lbank_ws.sandbox import Sandbox
from tests.trading_floor import signed
from tests.waiting import wait_until

DEADLINE_S = 15.0
KEY, SECRET = "key-of-ann", "secret-of-ann"
PAIR = "BTC/USDT"

try:
    import ccxt.pro as ccxt_pro
except ImportError:
    ccxt_pro = None
try:
    import lbank.api
    import lbank.old_api
    import lbank.websocket.websocket_client
except ImportError:
    lbank = None

# The connector pins a websocket-client that is older than ours needs to be; it works with the newer one.
CONNECTOR = "pip install --no-deps lbank-connector-python pycryptodome"
needs_ccxt = pytest.mark.skipif(ccxt_pro is None, reason="ccxt is not installed: pip install 'lbank-ws[peers]'")
needs_connector = pytest.mark.skipif(lbank is None, reason=f"LBank's own connector is not installed: {CONNECTOR}")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt", "eth_usdt"]) as running:
        running.add_account(KEY, SECRET, balances={"usdt": 10_000, "btc": 1})
        yield running


# --- ccxt


@pytest.fixture
def ask(box) -> Callable[..., Any]:
    """Give `ask(call)`: run a coroutine on a ccxt exchange that speaks to the box, and give what it gives."""

    def run(call: Callable[[Any], Awaitable[Any]]) -> Any:
        return asyncio.run(asyncio.wait_for(_with_ccxt(box, call), DEADLINE_S))

    return run


async def _with_ccxt(box: Sandbox, call: Callable[[Any], Awaitable[Any]]) -> Any:
    addresses = {"rest": box.rest_url, "contract": box.rest_url, "ws": box.v2_url}
    exchange = ccxt_pro.lbank({"apiKey": KEY, "secret": SECRET, "urls": {"api": addresses}})
    try:
        return await call(exchange)
    finally:
        await exchange.close()


def is_book(book: Any) -> bool:
    bids, asks = book["bids"], book["asks"]
    return len(bids) == len(asks) == 5 and bids[0][0] < asks[0][0] and bids[4][0] < bids[0][0]


def is_ticker(ticker: Any) -> bool:
    return ticker["low"] <= ticker["last"] <= ticker["high"] and ticker["baseVolume"] > 0


def are_trades(trades: Any) -> bool:
    return bool(trades) and all(each["side"] in ("buy", "sell") and each["cost"] > 0 for each in trades)


def are_bars(bars: Any) -> bool:
    return bool(bars) and all(low <= opened <= high for _, opened, high, low, _, _ in bars)


MARKET_DATA = {
    "fetch_time": (lambda ccxt: ccxt.fetch_time(), lambda at_ms: at_ms > 1_700_000_000_000),
    "fetch_currencies": (lambda ccxt: ccxt.fetch_currencies(), lambda known: set(known) == {"BTC", "ETH", "USDT"}),
    "fetch_ticker": (lambda ccxt: ccxt.fetch_ticker(PAIR), is_ticker),
    "fetch_tickers": (lambda ccxt: ccxt.fetch_tickers(), lambda tickers: all(map(is_ticker, tickers.values()))),
    "fetch_order_book": (lambda ccxt: ccxt.fetch_order_book(PAIR, 5), is_book),
    "fetch_ohlcv": (lambda ccxt: ccxt.fetch_ohlcv(PAIR, "1m", limit=5), are_bars),
    "watch_ticker": (lambda ccxt: ccxt.watch_ticker(PAIR), is_ticker),
    "watch_order_book": (lambda ccxt: ccxt.watch_order_book(PAIR, 5), is_book),
    "watch_trades": (lambda ccxt: ccxt.watch_trades(PAIR), are_trades),
    "watch_ohlcv": (lambda ccxt: ccxt.watch_ohlcv(PAIR, "1m"), are_bars),
    "fetch_ticker_ws": (lambda ccxt: ccxt.fetch_ticker_ws(PAIR), is_ticker),
    "fetch_order_book_ws": (lambda ccxt: ccxt.fetch_order_book_ws(PAIR, 5), is_book),
    "fetch_ohlcv_ws": (lambda ccxt: ccxt.fetch_ohlcv_ws(PAIR, "1m", limit=5), are_bars),
}


@needs_ccxt
@pytest.mark.parametrize("name", MARKET_DATA)
def test_ccxt_reads_the_market(ask, name):
    """Most people meet LBank through ccxt."""
    call, is_good = MARKET_DATA[name]

    answer = ask(call)

    assert is_good(answer), answer


@needs_ccxt
def test_ccxt_reads_trades_over_rest_with_their_ids(ask):
    """The socket sends none; whoever fills a hole needs them."""

    async def call(ccxt: Any) -> Any:
        await ccxt.watch_trades(PAIR)  # one was made
        return await ccxt.fetch_trades(PAIR, limit=5)

    trades = ask(call)

    assert are_trades(trades)
    assert all(len(each["id"]) == 32 for each in trades)


@needs_ccxt
def test_ccxt_sees_the_book_move(ask):
    """It resets its book at each push; a box that sent differences would leave it wrong."""

    async def call(ccxt: Any) -> Any:
        return [copy.deepcopy(dict(await ccxt.watch_order_book(PAIR, 5))) for _ in range(4)]

    books = ask(call)

    assert all(map(is_book, books))
    assert len({str(book["bids"]) + str(book["asks"]) for book in books}) > 1


@needs_ccxt
def test_ccxt_trades_and_hears_of_it(ask, box):
    """The whole life of an order: signed requests, the subscribe key, both private channels."""

    async def call(ccxt: Any) -> None:
        await ccxt.load_markets()
        heard, balance = asyncio.create_task(ccxt.watch_orders(PAIR)), asyncio.create_task(ccxt.watch_balance())
        while not any("assetUpdate" in view.subscriptions for view in box.visitors()):
            await asyncio.sleep(0.01)

        placed = await ccxt.create_order(PAIR, "limit", "buy", 0.001, 50_000, {"clientOrderId": "mine"})
        (push,) = await heard
        (waiting,) = await ccxt.fetch_open_orders(PAIR)
        await ccxt.cancel_order(placed["id"], PAIR)

        assert push["id"] == waiting["id"] == placed["id"]
        assert (waiting["status"], waiting["clientOrderId"], waiting["price"]) == ("open", "mine", 50_000)
        assert (await balance)["USDT"] == {"free": 9_950, "used": 50, "total": 10_000}
        assert await ccxt.fetch_open_orders(PAIR) == []
        assert (await ccxt.fetch_order(placed["id"], PAIR))["status"] == "canceled"

    ask(call)

    assert box.account(KEY).locked["usdt"] == 0


@needs_ccxt
def test_ccxt_buys_at_the_market_and_owns_what_it_bought(ask, box):
    """LBank's market buy gives what to spend as its price, which few clients get right."""

    async def call(ccxt: Any) -> Any:
        await ccxt.create_market_buy_order_with_cost(PAIR, 100)
        fills = await ccxt.fetch_my_trades(PAIR)
        done = await ccxt.fetch_orders(PAIR)
        # By its default, ccxt asks user_info and takes the list that it gets for no balance at all, LBank's as well.
        return fills, done, await ccxt.fetch_balance({"method": "spotPrivatePostSupplementUserInfoAccount"})

    fills, (order,), balance = ask(call)

    assert order["status"] == "closed"
    assert 99 < sum(each["cost"] for each in fills) <= 100
    assert balance["BTC"]["total"] == pytest.approx(1 + 0.999 * sum(each["amount"] for each in fills))
    assert balance["BTC"]["total"] == float(box.account(KEY).free["btc"])


@needs_ccxt
def test_ccxt_knows_why_an_order_is_refused(ask):
    """It goes by LBank's codes."""

    async def call(ccxt: Any) -> None:
        with pytest.raises(ccxt_pro.InsufficientFunds):
            await ccxt.create_order(PAIR, "limit", "buy", 10, 50_000)
        await ccxt.create_order(PAIR, "limit", "buy", 0.001, 50_000, {"clientOrderId": "mine"})
        with pytest.raises(ccxt_pro.DuplicateOrderId):
            await ccxt.create_order(PAIR, "limit", "buy", 0.001, 50_000, {"clientOrderId": "mine"})

    ask(call)


@needs_ccxt
def test_ccxt_finds_wrong_keys_refused(box):
    """A box that took any signature would hide the most common mistake."""

    async def call(ccxt: Any) -> None:
        ccxt.secret = "another"
        with pytest.raises(ccxt_pro.AuthenticationError):
            await ccxt.fetch_balance()

    asyncio.run(_with_ccxt(box, call))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v2/withdrawConfigs.do?assetCode=btc", [{"assetCode": "btc", "canWithDraw": True, "fee": "0"}]),
        ("/cfd/openApi/v1/pub/instrument?productGroup=SwapU", []),
    ],
)
def test_what_ccxt_asks_before_anything_else_is_answered(box, path, content):
    """Without ccxt at hand, these two addresses would rot unseen: nobody else asks for them."""
    with urllib.request.urlopen(box.rest_url + path, timeout=DEADLINE_S) as answer:
        told = json.load(answer)

    assert told["result"] == "true"
    assert [{name: row[name] for name in wanted} for row, wanted in zip(told["data"], content, strict=True)] == content


def test_fills_are_told_under_their_old_names_too(box):
    """ccxt asks the address of before 2022; what it tells is what the new one tells."""

    def ask(path: str, **asked: str) -> Any:
        body, headers = signed(KEY, SECRET, time.time_ns() // 1_000_000, asked)
        sent = urllib.request.Request(box.rest_url + path, urllib.parse.urlencode(body).encode(), headers)
        with urllib.request.urlopen(sent, timeout=DEADLINE_S) as answer:
            return json.load(answer)["data"]

    order = ask("/v2/supplement/create_order.do", symbol="btc_usdt", type="buy_market", price="50")
    new = ask("/v2/supplement/transaction_history.do", symbol="btc_usdt")
    old = ask("/v2/transaction_history.do", symbol="btc_usdt", size="100")

    assert [row["orderUuid"] for row in old] == [order["order_id"]] * len(new)
    assert [(row["txUuid"], row["dealPrice"]) for row in old] == [(row["id"], float(row["price"])) for row in new]
    assert {(row["tradeType"], row["tradeFeeRate"]) for row in old} == {("buy_market", 0.001)}


# --- LBank's own connector


@needs_connector
def test_the_connector_hears_pushes_and_ends(box):
    """Its socket client passes text on as it is; pings are its user's business."""
    heard: list[dict[str, Any]] = []
    client = lbank.websocket.websocket_client.LbankWebsocketClient(
        base_url=box.v2_url, on_message=lambda _, text: heard.append(json.loads(text)), timeout=DEADLINE_S
    )

    client.send({"action": "subscribe", "subscribe": "tick", "pair": "btc_usdt"})
    client.send({"action": "ping", "ping": "0ca8f854"})

    wait_until(lambda: {"action": "pong", "pong": "0ca8f854"} in heard, DEADLINE_S, "a pong")
    client.stop()
    client.socket_manager.ws.shutdown()  # it leaves its socket open
    assert heard[0]["tick"]["latest"] > 0


@needs_connector
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "form"])
def test_the_connector_trades(box, is_json):
    """It can send parameters as JSON, which no page of LBank's documentation tells."""
    client = lbank.old_api.BlockHttpClient("HMACSHA256", KEY, SECRET, box.rest_url, is_json=is_json)
    order = {"symbol": "btc_usdt", "type": "buy", "price": "50000", "amount": "0.001"}

    placed = client.http_request("POST", "/v2/supplement/create_order.do", dict(order))
    asked = {"symbol": "btc_usdt", "current_page": "1", "page_length": "10"}
    waiting = client.http_request("POST", "/v2/supplement/orders_info_no_deal.do", asked)
    client.close()

    assert placed["result"] is True
    assert [each["orderId"] for each in waiting["data"]["orders"]] == [placed["data"]["order_id"]]


@needs_connector
def test_the_connector_reads_the_market(box):
    """It signs public requests, too; that must not hurt."""
    client = lbank.old_api.BlockHttpClient("HMACSHA256", KEY, SECRET, box.rest_url)

    pairs = client.http_request("GET", "/v2/currencyPairs.do")
    client.close()

    assert pairs["data"] == ["btc_usdt", "eth_usdt"]


@needs_connector
def test_the_connectors_async_client_signs_with_rsa(box):
    """Its default; the key goes in as LBank hands it out, base64 without line breaks."""
    from Crypto.PublicKey import RSA

    key = RSA.generate(2048)
    lines = key.export_key(pkcs=1).decode().splitlines()
    box.add_account("key-of-bob", key.public_key().export_key().decode(), method="RSA", balances={"usdt": 5})

    async def call() -> Any:
        client = lbank.api.HttpClient("RSA", "key-of-bob", private_key="".join(lines[1:-1]), base_url=box.rest_url)
        try:
            return await client.http_request("POST", "/v2/supplement/user_info_account.do")
        finally:
            await client.close()

    assert {"asset": "usdt", "free": "5", "locked": "0"} in asyncio.run(call())["data"]["balances"]
