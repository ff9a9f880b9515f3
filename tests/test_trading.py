"""A client that trades: on paper, in tests of orders, live; over REST and over the socket of the simple dialect."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws import Credentials, LBankClient, OrderRefused, OrdersHalted, OrderUnknown, Paper, Stale, UsageError
from lbank_ws.events import OrderStatus, OrderUpdate
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.fates import Fate
from lbank_ws.trading.ticket import order_request
from lbank_ws.trading_errors import JournalBusy
from tests.waiting import our_threads, wait_until

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"
CREATE = "/v2/supplement/create_order.do"


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000", "btc": "2"})
        yield box


@pytest.fixture
def client_of(box, tmp_path, monkeypatch):
    """Give a maker of clients of the box; each is stopped, and its threads must be gone, when the test ends."""
    for name in ("LBANK_API_KEY", "LBANK_API_SECRET", "LBANK_API_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made = []

    def make(account: str | None = None, **options: Any) -> LBankClient:
        if account in ("live", "test"):
            options.setdefault("credentials", Credentials(KEY, SECRET))
        client = LBankClient(
            url=box.url, rest_url=box.rest_url, account=account, backoff_first_s=0.05, backoff_cap_s=0.2, **options
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.stop()
    wait_until(lambda: not our_threads(), what="the end of every thread")


def known(box: Sandbox) -> list[str]:
    return sorted(order.custom_id for order in box.account(KEY).orders)


# Paper.


def test_paper_is_where_orders_go_when_no_account_is_named(box, client_of):
    """A beginner's first order must cost nothing; and it needs no key."""
    with client_of() as client:
        placed = client.orders.buy("btc_usdt", value="1000")

        order = client.orders.get("btc_usdt", placed.client_id)
        ask = client.book("btc_usdt").best_ask
        assert order.status is OrderStatus.FILLED
        assert abs(order.average_price / ask.price - 1) < Decimal("0.01")
        assert {each.asset for each in client.orders.balances()} == {"usdt", "btc"}
    assert known(box) == []


def test_paper_tells_its_events_to_the_same_callbacks(client_of):
    """A program is moved from paper to live by one word."""
    client = client_of("paper", paper=Paper(balances={"usdt": "500"}, fee="0"))
    orders, balances = [], []
    client.on_order(orders.append)
    client.on_balance(balances.append)
    with client:
        placed = client.orders.buy("btc_usdt", value="100")
        wait_until(lambda: orders and orders[-1].status is OrderStatus.FILLED)

    assert {order.client_id for order in orders} == {placed.client_id}
    assert {order.source for order in orders} == {"paper"}
    assert min(each.total for each in balances if each.asset == "usdt") >= 400


def test_an_order_that_rests_on_paper_is_filled_by_the_live_market(box, client_of):
    """The books that the client receives come to it."""
    client = client_of("paper")
    with client:
        client.subscribe("depth", "btc_usdt").wait(5)
        wait_until(lambda: client_has_book(client))
        bid = (client.book("btc_usdt").best_bid.price * Decimal("0.98")).quantize(Decimal("0.01"))
        placed = client.orders.place("btc_usdt", "buy", "maker", price=bid, amount="0.001")
        box.add_account("whale", "whale", balances={"btc": "100000"})
        sell_into(box, "whale", bid * Decimal("0.99"))
        wait_until(lambda: client.orders.get("btc_usdt", placed.client_id).status.is_final, timeout_s=10)

        assert client.orders.get("btc_usdt", placed.client_id).average_price == bid


def client_has_book(client: LBankClient) -> bool:
    try:
        return bool(client.book("btc_usdt"))
    except Stale:
        return False


def sell_into(box: Sandbox, who: str, price: Decimal) -> None:
    """Let somebody offer so much that the best ask is below every earlier bid."""
    from lbank_ws.trading.account import AccountRest

    rest = AccountRest(box.rest_url, Credentials(who, who))
    price = price.quantize(Decimal("0.01"))
    rest.create(order_request("btc_usdt", "sell", "limit", price=price, amount="9999", client_id="huge"))
    rest.close()


def test_paper_keeps_to_the_rules_of_the_exchange(client_of):
    """Else the first live order would be the first that is refused."""
    with client_of() as client, pytest.raises(UsageError, match="at most 2 decimal places"):
        client.orders.buy("btc_usdt", price="100.123", amount="1")


def test_paper_needs_a_client_that_runs_or_says_so(client_of):
    """There is no live book without one."""
    with pytest.raises(UsageError, match="call start"):
        client_of().orders.buy("btc_usdt", value="10")


def test_a_paper_account_survives_its_client_in_a_file(client_of, tmp_path):
    """A strategy is tried for longer than one run."""
    file = tmp_path / "paper.json"
    with client_of("paper", paper=Paper(file=file)) as client:
        placed = client.orders.buy("btc_usdt", price="1000", amount="0.01")
    with client_of("paper", paper=Paper(file=file)) as client:
        assert [each.order_id for each in client.orders.open("btc_usdt")] == [placed.order_id]


def test_nobody_trades_on_paper_and_listens_to_the_exchange(client_of):
    """He would wait for a fill that nobody tells."""
    client = client_of(credentials=Credentials(KEY, SECRET))
    client.on_order(lambda _: None)

    with pytest.raises(UsageError, match="account='paper'"):
        _ = client.orders

    client = client_of(credentials=Credentials(KEY, SECRET))
    _ = client.orders
    with pytest.raises(UsageError, match="account='paper'"):
        client.on_balance(lambda _: None)


@pytest.mark.parametrize(
    "options", [{"account": "real"}, {"account": "live", "paper": Paper()}, {"account": "paper", "journal": "x"}]
)
def test_accounts_that_do_not_go_together_are_refused(client_of, options):
    """When the client is made."""
    with pytest.raises(UsageError):
        client_of(options.pop("account"), **options)


# Live.


def test_a_live_order_is_placed_told_and_cancelled(box, client_of, tmp_path):
    """The same calls and callbacks as on paper; and the journal has it."""
    client = client_of("live")
    updates: list[OrderUpdate] = []
    client.on_order(updates.append)
    with client:
        wait_until(lambda: any(view.subscriptions for view in box.visitors()))
        wait_until(lambda: any("orderUpdate/all" in view.subscriptions for view in box.visitors()))
        placed = client.orders.buy("btc_usdt", price="1000", amount="0.01")
        wait_until(lambda: any(each.client_id == placed.client_id for each in updates))
        assert client.orders.cancel("btc_usdt", placed.client_id).status is OrderStatus.CANCELLED
        wait_until(lambda: updates[-1].status is OrderStatus.CANCELLED)

    lines = (tmp_path / "lbank-orders-live.jsonl").read_text().splitlines()
    assert [json.loads(line).get("is") for line in lines] == [None, "intent", "placed"]


def test_a_live_account_needs_credentials(client_of):
    """And says which variables hold them."""
    client = LBankClient(account="live")
    with pytest.raises(UsageError, match="LBANK_API_KEY"):
        _ = client.orders
    client.stop()


def test_credentials_do_not_travel_in_the_open(client_of):
    """Neither over REST nor, in the simple dialect, over the socket."""
    credentials = Credentials(KEY, SECRET)
    client = LBankClient(
        url="wss://127.0.0.1:1", rest_url="http://api.lbkex.com", account="live", credentials=credentials
    )
    with pytest.raises(UsageError, match="https:// alone"):
        _ = client.orders
    client.stop()
    with pytest.raises(UsageError, match="wss:// alone"):
        LBankClient(dialect="simple", url="ws://api.lbkex.com/ws", account="live", credentials=credentials)


def test_a_client_that_runs_looks_up_what_it_does_not_know_by_itself(box, client_of):
    """Nobody has to call resolve()."""
    client = client_of("live")
    told: list[OrderUpdate] = []
    client.on_order(told.append)
    with client:
        client.orders.rules("btc_usdt")
        with box.fault("rest_status", path=CREATE, is_carried_out=True), pytest.raises(OrderUnknown):
            client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id="mine")
        wait_until(lambda: not client.orders.unresolved(), timeout_s=8)
        wait_until(lambda: any(each.client_id == "mine" for each in told))

        assert client.orders.resolve("mine").fate is Fate.PLACED
    assert known(box) == ["mine"]


def test_the_next_start_looks_up_what_the_last_run_left(box, client_of, tmp_path):
    """It was killed behind the send; the next run places nothing and forgets nothing."""
    program = f"""
import os
from lbank_ws import Credentials, LBankClient
me = Credentials({KEY!r}, {SECRET!r})
client = LBankClient(url={box.url!r}, rest_url={box.rest_url!r}, account="live", credentials=me)
send = client.orders.desk.send
client.orders.desk.send = lambda order: (send(order), os._exit(9))
client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id="mine")
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 9
    assert known(box) == ["mine"]

    with client_of("live") as client:
        wait_until(lambda: not client.orders.unresolved(), timeout_s=8)
        assert client.orders.resolve("mine").fate is Fate.PLACED

    assert known(box) == ["mine"]


def test_a_second_client_on_one_journal_is_refused_at_its_start(client_of):
    """Two would not know of each other's orders."""
    with client_of("live") as client:
        _ = client.orders
        second = client_of("live")
        with pytest.raises(JournalBusy):
            second.start()


def test_stop_ends_open_orders_when_asked(box, client_of):
    """Before the client goes; without the word they stay, because LBank keeps them."""
    with client_of("live") as client:
        client.orders.buy("btc_usdt", price="1000", amount="0.01")
    assert len(box.account(KEY).open_orders) == 1

    client = client_of("live")
    client.start()
    assert client.stop(cancel_open=True)

    assert box.account(KEY).open_orders == ()
    with pytest.raises(OrdersHalted):
        client.orders.buy("btc_usdt", price="1000", amount="0.01")


def test_test_orders_are_checked_by_the_exchange_and_placed_nowhere(box, client_of):
    """`account="test"`."""
    client = client_of("test")

    assert client.orders.buy("btc_usdt", price="1000", amount="0.01").order_id
    with pytest.raises(OrderRefused):
        client.orders.buy("btc_usdt", price="1000", amount="1000")
    assert known(box) == []


# The simple dialect.


def test_orders_of_the_simple_dialect_go_over_the_socket(box, client_of):
    """The same calls; cancelling and looking up goes over REST, since the guide has no frame for it."""
    with client_of("live", dialect="simple") as client:
        placed = client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id="mine")
        assert client.orders.get("btc_usdt", "mine").order_id == placed.order_id
        with pytest.raises(OrderRefused) as refused:
            client.orders.buy("btc_usdt", price="1000", amount="1000")
        assert refused.value.code == 10014
        client.orders.cancel_all("btc_usdt")

    assert known(box) == ["mine"]
