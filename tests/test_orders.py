"""Orders at the practice exchange: placed once, never twice, none forgotten, whatever is lost on the way."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import OrderStatus, OrderUpdate
from lbank_ws.sandbox import Sandbox
from lbank_ws.signer import Credentials
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.desks import ExchangeDesk, TestDesk
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.orders import Orders
from lbank_ws.trading_errors import (
    JournalFailed,
    OrderRefused,
    OrdersHalted,
    OrdersStillOpen,
    OrderUnknown,
    RestRefused,
)
from tests.waiting import wait_until

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"
CREATE = "/v2/supplement/create_order.do"
LOOK_UP = "/v2/spot/trade/orders_info.do"
AT_ONCE_S = -4.9  # with the 5 s that a signature lives, an order may appear for 0.1 s


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000", "btc": "2"})
        yield box


@pytest.fixture
def orders_at(box, tmp_path):
    """Give a maker of orders on one journal; each is closed when the test ends."""
    made = []

    def make(desk: type[ExchangeDesk] = ExchangeDesk, journal: str = "orders.jsonl", **options: Any) -> Orders:
        rest = AccountRest(box.rest_url, Credentials(KEY, SECRET), timeout_s=1.0)
        made.append((rest, Orders(desk(rest), Journal(tmp_path / journal, "live"), **options)))
        return made[-1][1]

    yield make
    for rest, orders in made:
        orders.close()
        rest.close()


@pytest.fixture
def orders(orders_at):
    return orders_at()


def rest(orders: Orders, client_id: str | None = None):
    """Place an order that rests far from the market."""
    return orders.buy("btc_usdt", price="1000", amount="0.01", client_id=client_id)


def known(box: Sandbox) -> list[str]:
    """Give the ids of all orders that the exchange has, each as often as it has it."""
    return sorted(order.custom_id for order in box.account(KEY).orders)


# What is usual.


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (lambda orders: orders.buy("btc_usdt", price="1000", amount="0.01"), "limit"),
        (lambda orders: orders.buy("btc_usdt", value="500"), "market"),
        (lambda orders: orders.sell("btc_usdt", amount="0.01"), "market"),
        (lambda orders: orders.sell("btc_usdt", price="900000", amount="0.01"), "limit"),
        (lambda orders: orders.place("btc_usdt", "buy", "maker", price="1000", amount="0.01"), "maker"),
        (lambda orders: orders.place("btc_usdt", "buy", "ioc", price="1000", amount="0.01"), "ioc"),
        (lambda orders: orders.place("btc_usdt", "buy", "fok", price="1000", amount="0.01"), "fok"),
    ],
)
def test_an_order_of_every_kind_is_placed_and_found(box, orders, place, kind):
    """The exchange's own books say so."""
    placed = place(orders)

    (there,) = box.account(KEY).orders
    assert (there.id, there.custom_id, there.kind.value) == (placed.order_id, placed.client_id, kind)
    assert orders.get("btc_usdt", placed.client_id).order_id == placed.order_id
    assert orders.unresolved() == []


def test_a_cancelled_order_is_proved_to_be(box, orders):
    """The answer to a cancellation says status 0, whatever became of the order."""
    placed = rest(orders)

    assert orders.cancel("btc_usdt", placed.client_id).status is OrderStatus.CANCELLED
    assert orders.open("btc_usdt") == []
    assert [order.order_id for order in orders.history("btc_usdt")] == [placed.order_id]


def test_cancelling_what_was_filled_gives_the_filled_order(orders):
    """It is no error but a fill."""
    placed = orders.buy("btc_usdt", value="500")

    assert orders.cancel("btc_usdt", order_id=placed.order_id).status is OrderStatus.FILLED
    with pytest.raises(RestRefused):
        orders.cancel("btc_usdt", "never-was")


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_cancellation_whose_answer_is_lost_is_asked_about(box, orders, is_carried_out):
    """It may have come through, or not; only the order itself tells."""
    placed = rest(orders)

    with box.fault("rest_status", path="/v2/supplement/cancel_order.do", is_carried_out=is_carried_out):
        told = orders.cancel("btc_usdt", placed.client_id, timeout_s=0.5)

    assert told.status is (OrderStatus.CANCELLED if is_carried_out else OrderStatus.OPEN)


def test_balances_are_those_of_the_account(orders):
    """The same call on every kind of account."""
    assert {each.asset: each.free for each in orders.balances()} == {"usdt": 100000, "btc": 2}


# What is refused before it leaves.


@pytest.mark.parametrize(
    "numbers",
    [
        {"price": "1000.123", "amount": "0.01"},
        {"price": "1000", "amount": "0.0100001"},
        {"price": "1000", "amount": "0.000001"},
        {"price": 1000.5, "amount": "0.01"},
        {"price": "1", "amount": "0.01"},
    ],
)
def test_what_the_pair_does_not_take_is_neither_written_down_nor_sent(box, orders, numbers):
    """No id is used up, and no number is rounded."""
    with pytest.raises(UsageError):
        orders.buy("btc_usdt", **numbers)

    assert known(box) == []
    assert orders.journal.entries() == []


def test_a_pair_that_is_not_listed_is_refused(orders):
    """Without rules nothing can be checked."""
    with pytest.raises((UsageError, RestFailed)):
        orders.buy("lbk_usdt", price="1", amount="10")


def test_without_a_journal_no_order_leaves(box, orders):
    """An order that nobody wrote down is one that nobody finds."""
    orders.journal.close()

    with pytest.raises(JournalFailed):
        rest(orders)

    assert known(box) == []


# What the exchange says.


def test_a_refusal_is_final_and_says_what_helps(box, orders):
    """The id is spent, and the order is nowhere."""
    with pytest.raises(OrderRefused, match="not enough of the currency") as refused:
        orders.buy("btc_usdt", price="1000", amount="1000", client_id="dear")

    assert (refused.value.code, refused.value.client_id) == (10014, "dear")
    assert orders.resolve("dear").fate is Fate.REFUSED
    with pytest.raises(OrderRefused):
        orders.buy("btc_usdt", price="1000", amount="1000", client_id="dear")


def test_an_exchange_that_is_out_of_reach_refuses_nothing_and_nothing_left(box, orders):
    """This alone may be placed anew."""
    orders.rules("btc_usdt")
    box.stop()

    with pytest.raises(OrderRefused, match="was not placed") as refused:
        rest(orders, "early")

    assert refused.value.code is None
    assert orders.resolve("early").fate is Fate.UNSENT


def test_an_id_that_is_given_again_tells_of_the_order_and_places_none(box, orders):
    """A program that runs its step once more gets the same order."""
    first = rest(orders, "mine")

    assert rest(orders, "mine") == first
    assert known(box) == ["mine"]
    with pytest.raises(UsageError, match="belongs to another order"):
        orders.buy("btc_usdt", price="1001", amount="0.01", client_id="mine")


# What is lost.


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "rest_status", "status": 502},
        {"kind": "rest_status", "status": 429},
        {"kind": "rest_timeout", "after_s": 30},
        {"kind": "rest_html"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_an_order_whose_answer_is_lost_is_unknown_and_then_found(box, orders, fault):
    """It is there; whoever places it again has it twice."""
    kind = fault.pop("kind")
    if kind != "rest_html":
        fault["is_carried_out"] = True
    with box.fault(kind, path=CREATE, **fault), pytest.raises(OrderUnknown, match=r"orders\.resolve") as unknown:
        rest(orders, "mine")
    assert (unknown.value.client_id, unknown.value.pair) == ("mine", "btc_usdt")
    with pytest.raises(OrderUnknown):
        rest(orders, "mine")

    found = orders.resolve("mine")

    if known(box):
        assert found.fate is Fate.PLACED
        assert found.order is not None
        assert found.order.client_id == "mine"
        assert orders.unresolved() == []
    assert len(known(box)) <= 1


def test_an_order_that_never_came_is_not_placed_only_when_it_could_not_come_any_more(box, orders_at):
    """The first "no such order" proves nothing: it may still be on its way."""
    orders = orders_at(settle_s=-3.5)
    with box.fault("rest_status", path=CREATE), pytest.raises(OrderUnknown):
        rest(orders, "mine")

    assert orders.resolve("mine").fate is Fate.UNKNOWN
    assert orders.resolve("mine", wait_s=10).fate is Fate.NOT_PLACED
    assert known(box) == []


def test_an_order_that_appears_late_is_found(box, orders_at):
    """The exchange says "no such order", and then it is there."""
    told: list[OrderUpdate] = []
    orders = orders_at(settle_s=10, found=told.append)
    with box.fault("rest_status", path=CREATE), pytest.raises(OrderUnknown):
        rest(orders, "mine")
    assert orders.resolve("mine").fate is Fate.UNKNOWN

    # What was on its way arrives now.
    late = AccountRest(box.rest_url, Credentials(KEY, SECRET))
    late.create(orders.unresolved()[0])
    late.close()

    wait_until(lambda: (orders.resolver.step() and False) or told, what="the order")
    assert orders.resolve("mine").fate is Fate.PLACED
    assert told[0].client_id == "mine"
    assert known(box) == ["mine"]


def test_what_the_stream_tells_counts_at_once(box, orders):
    """A fill may come before the answer to the call; one order, and no doubt."""
    orders.rules("btc_usdt")
    with box.fault("rest_status", path=CREATE, is_carried_out=True), pytest.raises(OrderUnknown):
        rest(orders, "mine")
    (there,) = box.account(KEY).orders

    orders.resolver.notice(OrderUpdate(pair="btc_usdt", order_id=there.id, status=OrderStatus.OPEN, client_id="mine"))

    assert orders.unresolved() == []
    assert rest(orders, "mine").order_id == there.id


def test_a_look_up_that_fails_proves_nothing(box, orders_at):
    """An outage must not turn into "there is no such order"."""
    orders = orders_at(settle_s=AT_ONCE_S)
    with box.fault("rest_status", path=CREATE, is_carried_out=True), pytest.raises(OrderUnknown):
        rest(orders, "mine")

    with box.fault("rest_status", path=LOOK_UP):
        assert orders.resolve("mine", wait_s=1.0).fate is Fate.UNKNOWN

    assert orders.resolve("mine", wait_s=2.0).fate is Fate.PLACED


# The next run.


def test_the_next_run_looks_up_what_the_last_one_left_and_sends_nothing(box, orders_at):
    """It was killed between any two steps: before it sent, after it sent, before it wrote the answer down."""
    first = orders_at()
    rest(first, "whole")
    first.journal.intend(request := first.journal.get("whole").order._replace(client_id="never-left"))
    first.journal.intend(request._replace(client_id="left"))
    first.desk.send(request._replace(client_id="left"))
    first.close()

    second = orders_at(settle_s=AT_ONCE_S)

    assert {order.client_id for order in second.unresolved()} == {"never-left", "left"}
    assert second.resolve("left", wait_s=5).fate is Fate.PLACED
    assert second.resolve("never-left", wait_s=5).fate is Fate.NOT_PLACED
    assert known(box) == ["left", "whole"]


def test_a_call_that_is_cut_short_leaves_an_order_that_is_looked_up(box, orders, monkeypatch):
    """Ctrl-C in the middle of a call."""
    real = orders.desk.send

    def interrupted(order):
        real(order)
        raise KeyboardInterrupt

    monkeypatch.setattr(orders.desk, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rest(orders, "mine")

    assert orders.resolve("mine").fate is Fate.PLACED


# Stopping everything.


def test_halt_ends_what_is_open_and_takes_no_more(box, orders):
    """Also what others placed on those pairs; and the proof is an empty list."""
    rest(orders)
    orders.desk.rest.create(orders.journal.entries()[0].order._replace(client_id="by-hand"))

    orders.halt()

    assert box.account(KEY).open_orders == ()
    with pytest.raises(OrdersHalted):
        rest(orders)
    orders.resume()
    rest(orders)


def test_halt_waits_for_an_order_that_is_on_its_way(box, orders, monkeypatch):
    """It would be placed behind the cancellation, and stay."""
    orders.rules("btc_usdt")
    real, go, on_the_way = orders.desk.send, threading.Event(), threading.Event()

    def slow(order):
        on_the_way.set()
        go.wait(10)
        return real(order)

    monkeypatch.setattr(orders.desk, "send", slow)
    placing = threading.Thread(target=lambda: rest(orders, "mine"))
    halting = threading.Thread(target=orders.halt)
    placing.start()
    on_the_way.wait(5)
    halting.start()
    wait_until(lambda: orders.is_halted)
    go.set()
    placing.join(10)
    halting.join(10)

    assert known(box) == ["mine"]
    assert box.account(KEY).open_orders == ()


def test_halt_that_cannot_prove_it_says_so(box, orders):
    """Silence would be taken for success."""
    placed = rest(orders)

    lost = box.fault("rest_status", path="/v2/supplement/cancel_order_by_symbol.do")
    with lost, pytest.raises(OrdersStillOpen) as still:
        orders.halt(timeout_s=0.6)

    assert [order.order_id for order in still.value.orders] in ([placed.order_id], [])
    assert orders.is_halted
    orders.cancel_all("btc_usdt")
    assert box.account(KEY).open_orders == ()


def test_an_order_that_appears_after_halt_is_cancelled(box, orders_at):
    """It was on its way when everything was stopped."""
    orders = orders_at(settle_s=10)
    with box.fault("rest_status", path=CREATE), pytest.raises(OrderUnknown):
        rest(orders, "mine")
    orders.halt()
    orders.desk.rest.create(orders.unresolved()[0])

    wait_until(lambda: (orders.resolver.step() and False) or not orders.unresolved(), what="the order")

    assert box.account(KEY).open_orders == ()


# Tests of orders.


def test_a_test_order_is_checked_by_the_exchange_and_placed_nowhere(box, orders_at):
    """`account="test"`."""
    orders = orders_at(TestDesk)

    assert rest(orders).order_id
    with pytest.raises(OrderRefused) as refused:
        orders.buy("btc_usdt", price="1000", amount="1000")
    with box.fault("rest_status", path="/v2/supplement/create_order_test.do"), pytest.raises(OrderRefused):
        rest(orders)

    assert refused.value.code == 10014
    assert known(box) == []
    assert orders.unresolved() == []
    assert orders.open("btc_usdt") == []
    assert {each.asset: each.free for each in orders.balances()}["usdt"] == Decimal(100000)


def test_a_yes_for_another_order_is_no_yes(box, orders, monkeypatch):
    """An answer to another request may come on a connection that was used before."""
    orders.rules("btc_usdt")
    real = orders.desk.rest.create

    def mixed(order, **how):
        return real(order, **how)._replace(client_id="yours")

    monkeypatch.setattr(orders.desk.rest, "create", mixed)
    with pytest.raises(OrderUnknown):
        rest(orders, "mine")

    assert orders.resolve("mine").fate is Fate.PLACED
    assert orders.journal.settle("mine", Verdict(Fate.REFUSED)).fate is Fate.PLACED
