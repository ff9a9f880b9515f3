"""The paper account: its fills come from the live book, its money adds up, and it survives its client."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.causes import Flaw
from lbank_ws.errors import Stale, StaleBook, UsageError
from lbank_ws.events import BalanceUpdate, Depth, Level, OrderStatus, OrderUpdate, Receipt
from lbank_ws.trading.fates import Fate
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.orders import Orders
from lbank_ws.trading.paper import PaperAccount
from lbank_ws.trading.paper_desk import PaperDesk
from lbank_ws.trading.ticket import PairRules, order_request
from lbank_ws.trading_errors import JournalBusy, OrderRefused, RestRefused

RULES = PairRules("btc_usdt", 2, 5, Decimal("0.00001"), Decimal(1))


def level(price: str, amount: str) -> Level:
    return Level(Decimal(price), Decimal(amount))


class Market:
    """A book that the test moves by hand, and everything that the account told."""

    def __init__(self) -> None:
        self.moves = 0
        self.told: list = []
        self.set([("100", "1"), ("99", "2")], [("101", "1"), ("102", "2")])

    def set(self, bids, asks) -> Depth:
        self.moves += 1
        self.depth = Depth(
            pair="btc_usdt",
            bids=tuple(level(*each) for each in bids),
            asks=tuple(level(*each) for each in asks),
            receipt=Receipt(self.moves),
        )
        return self.depth

    def book(self, pair: str) -> Depth:
        if self.depth is None:
            raise StaleBook(pair, Flaw.LINE_DOWN, None)
        return self.depth

    def desk(self, file=None, balances=None, fee="0.001") -> PaperDesk:
        return PaperDesk(
            balances or {"usdt": "1000", "btc": "5"},
            fee,
            file,
            book=self.book,
            rules=lambda _: RULES,
            tell=self.told.extend,
        )


@pytest.fixture
def market():
    return Market()


@pytest.fixture
def desk(market):
    return market.desk()


@pytest.fixture
def orders(desk):
    return Orders(desk, Journal(None, "paper"))


def money(desk: PaperDesk) -> dict[str, tuple[Decimal, Decimal]]:
    return {each.asset: (each.free, each.locked) for each in desk.balances()}


# Taking.


def test_a_market_buy_takes_from_the_best_level_on_and_pays_the_fee_in_what_it_buys(market, desk, orders):
    """As LBank does; and whoever tries a strategy on paper must not find it cheaper than it is."""
    placed = orders.buy("btc_usdt", value="203")

    order = orders.get("btc_usdt", placed.client_id)
    assert (order.status, order.filled, order.average_price) == (OrderStatus.FILLED, 2, Decimal("101.5"))
    assert money(desk) == {"usdt": (797, 0), "btc": (Decimal("6.998"), 0)}
    updates = [event for event in market.told if isinstance(event, OrderUpdate)]
    assert [each.status for each in updates] == [OrderStatus.OPEN, OrderStatus.PARTLY_FILLED, OrderStatus.FILLED]
    assert [each.fill and (each.fill.price, each.fill.amount, each.fill.role) for each in updates] == [
        None,
        (101, 1, "taker"),
        (102, 1, "taker"),
    ]
    assert {event.source for event in market.told} == {"paper"}
    assert {event.asset for event in market.told if isinstance(event, BalanceUpdate)} == {"usdt", "btc"}


def test_what_was_taken_from_a_book_is_gone_until_a_newer_one_comes(market, orders):
    """Else one level would fill any number of orders."""
    first = orders.place("btc_usdt", "buy", "ioc", price="101", amount="1")
    second = orders.place("btc_usdt", "buy", "ioc", price="101", amount="1")
    market.set([("100", "1")], [("101", "1")])
    third = orders.place("btc_usdt", "buy", "ioc", price="101", amount="1")

    assert [orders.get("btc_usdt", each.client_id).filled for each in (first, second, third)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("kind", "price", "amount", "status", "filled"),
    [
        ("limit", "102", "2", OrderStatus.FILLED, 2),
        ("limit", "101", "3", OrderStatus.PARTLY_FILLED, 1),
        ("limit", "100.5", "1", OrderStatus.OPEN, 0),
        ("maker", "101", "1", OrderStatus.CANCELLED, 0),
        ("maker", "100.5", "1", OrderStatus.OPEN, 0),
        ("ioc", "101", "3", OrderStatus.PARTLY_CANCELLED, 1),
        ("fok", "101", "3", OrderStatus.CANCELLED, 0),
        ("fok", "102", "3", OrderStatus.FILLED, 3),
    ],
)
def test_every_kind_of_order_does_what_it_is_for(desk, orders, kind, price, amount, status, filled):
    """The rules are those of the practice exchange, by the same code."""
    placed = orders.place("btc_usdt", "buy", kind, price=price, amount=amount)

    order = orders.get("btc_usdt", placed.client_id)
    assert (order.status, order.filled) == (status, filled)
    held = money(desk)["usdt"][1]
    assert held == (0 if status.is_final else Decimal(price) * (Decimal(amount) - filled))


# Resting.


def test_an_order_that_rests_is_filled_at_its_own_price_when_the_book_comes_to_it(market, desk, orders):
    """Never before somebody would have taken it."""
    placed = orders.buy("btc_usdt", price="100.5", amount="3")
    desk.met(market.set([("100.4", "1")], [("100.6", "9")]))
    assert orders.get("btc_usdt", placed.client_id).filled == 0

    desk.met(market.set([("100", "1")], [("100.2", "1"), ("100.5", "1"), ("100.6", "9")]))

    order = orders.get("btc_usdt", placed.client_id)
    assert (order.status, order.filled, order.average_price) == (OrderStatus.PARTLY_FILLED, 2, Decimal("100.5"))
    assert [each.fill.role for each in market.told if isinstance(each, OrderUpdate) and each.fill] == ["maker", "maker"]
    desk.met(market.set([("99", "1")], [("100", "9")]))
    assert orders.get("btc_usdt", placed.client_id).status is OrderStatus.FILLED
    assert money(desk) == {"usdt": (Decimal("698.5"), 0), "btc": (Decimal("7.997"), 0)}


def test_a_sell_rests_until_somebody_bids_so_much(market, desk, orders):
    """The other side, the other way round."""
    placed = orders.sell("btc_usdt", price="105", amount="1")
    desk.met(market.set([("104.99", "5")], [("106", "1")]))
    desk.met(market.set([("105.01", "5")], [("106", "1")]))

    assert orders.get("btc_usdt", placed.client_id).average_price == 105
    assert money(desk)["usdt"][0] == Decimal("1104.895")


def test_a_bad_book_fills_nothing(market, desk, orders):
    """A crossed or late one would fill what nobody would have taken."""
    placed = orders.buy("btc_usdt", price="100.5", amount="1")
    bad = market.set([("100", "1")], [("90", "9")])
    object.__setattr__(bad, "fault", Flaw.CROSSED)

    desk.met(bad)

    assert orders.get("btc_usdt", placed.client_id).filled == 0


def test_a_cancelled_order_gives_back_what_it_held(market, desk, orders):
    """And the second time there is nothing to cancel."""
    placed = orders.buy("btc_usdt", price="50", amount="2")
    assert money(desk)["usdt"] == (900, 100)

    assert orders.cancel("btc_usdt", placed.client_id).status is OrderStatus.CANCELLED

    assert money(desk)["usdt"] == (1000, 0)
    assert orders.cancel("btc_usdt", placed.client_id).status is OrderStatus.CANCELLED
    assert orders.open("btc_usdt") == []
    assert [each.order_id for each in orders.history("btc_usdt")] == [placed.order_id]


# What is refused.


def test_what_cannot_be_paid_is_refused_as_at_the_exchange(desk, orders):
    """With its number, so that a program finds the same on both."""
    with pytest.raises(OrderRefused) as refused:
        orders.buy("btc_usdt", price="100", amount="11")

    assert refused.value.code == 10014
    assert money(desk) == {"usdt": (1000, 0), "btc": (5, 0)}


def test_without_a_good_book_nothing_is_placed(market, orders):
    """A price of yesterday is no price."""
    market.depth = None

    with pytest.raises(Stale):
        orders.buy("btc_usdt", value="10")

    assert orders.journal.entries() == []


def test_an_order_that_does_not_exist_has_the_exchanges_number(orders):
    """As over REST."""
    with pytest.raises(RestRefused) as refused:
        orders.get("btc_usdt", "never-was")

    assert refused.value.code == 10032


def test_halt_ends_everything(desk, orders):
    """The same call as on a live account."""
    orders.buy("btc_usdt", price="50", amount="2")

    orders.halt()

    assert money(desk)["usdt"] == (1000, 0)


@pytest.mark.parametrize(
    ("balances", "fee"), [({"usdt": -1}, "0.001"), ({"usdt": 0.5}, 0), ({"usdt": "1"}, "1"), ({"usdt": "x"}, 0)]
)
def test_terms_that_cannot_be_are_refused(market, balances, fee):
    """When the client is made, and not at the first order."""
    with pytest.raises(UsageError):
        market.desk(balances=balances, fee=fee)


# The file.


def test_the_account_survives_its_client(market, tmp_path):
    """Open orders, balances, ids; and what the terms say counts only the first time."""
    file = tmp_path / "paper.json"
    first = market.desk(file)
    orders = Orders(first, Journal(None, "paper"))
    resting = orders.buy("btc_usdt", price="100.5", amount="1", client_id="mine")
    orders.buy("btc_usdt", value="101")
    before, listed = money(first), [each.order_id for each in orders.history("btc_usdt")]
    first.close()

    second = market.desk(file, balances={"usdt": "5"})
    again = Orders(second, Journal(None, "paper"))

    assert money(second) == before
    assert [each.order_id for each in again.open("btc_usdt")] == [resting.order_id]
    assert [each.order_id for each in again.history("btc_usdt")] == listed
    assert again.buy("btc_usdt", price="100.5", amount="1", client_id="mine").order_id == resting.order_id
    second.met(market.set([("99", "1")], [("100", "9")]))
    assert again.get("btc_usdt", "mine").status is OrderStatus.FILLED
    assert again.buy("btc_usdt", value="10").order_id not in {resting.order_id, *listed}
    second.close()


def test_two_clients_do_not_share_an_account(market, tmp_path):
    """Each would undo what the other did."""
    first = market.desk(tmp_path / "paper.json")

    with pytest.raises(JournalBusy):
        market.desk(tmp_path / "paper.json")

    first.close()
    market.desk(tmp_path / "paper.json").close()


@pytest.mark.parametrize("content", ["my notes", "{}", '{"file":"lbank_ws paper account","version":1,"state":{}}'])
def test_a_file_that_is_no_account_stays_as_it_is(market, tmp_path, content):
    """A typing error in a name must not cost a file."""
    file = tmp_path / "paper.json"
    file.write_text(content)

    for _ in range(2):  # and the lock is free again
        with pytest.raises(UsageError):
            market.desk(file)

    assert file.read_text() == content


def test_a_kill_leaves_the_account_whole(market, tmp_path):
    """It was killed in the middle of writing."""
    file = tmp_path / "paper.json"
    program = f"""
import os, itertools
from tests.test_paper import Market
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.orders import Orders
market = Market()
orders = Orders(market.desk({str(file)!r}), Journal(None, "paper"))
print("ready", flush=True)
for number in itertools.count():
    market.set([("100", "1")], [("101", "1")])
    side, price = ("buy", "101") if number % 2 else ("sell", "100")
    orders.place("btc_usdt", side, "ioc", price=price, amount="0.01")
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        for _ in range(200):
            json.loads(file.read_text())
    finally:
        child.kill()
        child.communicate(timeout=20)

    desk = market.desk(file)
    assert all(free >= 0 and locked == 0 for free, locked in money(desk).values())
    desk.close()


# The money.

PRICES = st.integers(90, 110).map(str)
AMOUNTS = st.decimals("0.01", "3", places=2).map(str)
BOOKS = st.tuples(st.integers(90, 110), st.integers(1, 5), AMOUNTS, AMOUNTS)
ACTS = st.one_of(
    st.tuples(
        st.just("place"),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["limit", "maker", "ioc", "fok"]),
        PRICES,
        AMOUNTS,
    ),
    st.tuples(st.just("spend"), st.sampled_from(["buy", "sell"]), AMOUNTS),
    st.tuples(st.just("book"), BOOKS),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_whatever_happens_the_money_adds_up_and_a_second_run_does_the_same(acts):
    """Nothing is made or lost but the commission; and paper is repeatable."""
    ends = []
    for _ in range(2):
        account = PaperAccount({"usdt": "1000", "btc": "5"})
        bids, asks, is_newer = [level("100", "1")], [level("101", "1")], True
        paid = got = Decimal(0)
        for at_ms, (what, *how) in enumerate(acts):
            changes = []
            if what == "book":
                price, gap, bid, ask = how[0]
                bids, asks, is_newer = [level(str(price), bid)], [level(str(price + gap), ask)], True
                changes = account.met("btc_usdt", bids, asks, at_ms)
            elif what == "cancel":
                changes = account.cancel(f"paper-{how[0]}", at_ms)
            else:
                side, kind = (how[0], "market") if what == "spend" else how[:2]
                numbers = (
                    {"price": how[2], "amount": how[3]}
                    if what == "place"
                    else {"value" if side == "buy" else "amount": how[1]}
                )
                order = order_request("btc_usdt", side, kind, **numbers, client_id=f"c-{at_ms}")
                _, changes = account.place(order, bids, asks, at_ms, is_newer=is_newer)
                is_newer = False
            for change in changes:
                fill = getattr(change, "fill", None)
                if fill is not None:
                    value = Decimal(fill.value).scaleb(-20)
                    paid, got = (
                        (paid + value, got + fill.amount)
                        if change.order.side == "buy"
                        else (paid - value, got - fill.amount)
                    )
        view = account.account.view()
        assert all(number >= 0 for number in (*view.free.values(), *view.locked.values()))
        assert view.free["usdt"] + view.locked["usdt"] + view.fees["usdt"] == 1000 - paid
        assert view.free["btc"] + view.locked["btc"] + view.fees["btc"] == 5 + Decimal(got).scaleb(-10)
        if not view.open_orders:
            assert set(view.locked.values()) <= {Decimal(0)}
        again = PaperAccount.restored(json.loads(json.dumps(account.state())))
        assert again.state() == account.state()
        ends.append(account.state())
    assert ends[0] == ends[1]


def test_the_fate_of_an_order_on_paper_is_never_unknown(orders, market):
    """Also when the book goes away between the check and the order."""
    real = market.book
    calls = []

    def once(pair):
        calls.append(pair)
        if len(calls) > 1:
            raise StaleBook(pair, Flaw.LINE_DOWN, None)
        return real(pair)

    orders.desk._book = once
    with pytest.raises(OrderRefused):
        orders.buy("btc_usdt", value="10", client_id="mine")

    assert orders.resolve("mine").fate is Fate.UNSENT
