"""An account's streams against the practice exchange: live, after drops, and as keys come and go."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import BalanceUpdate, LBankClient, OrderUpdate, SubscriptionRefused, UsageError
from lbank_ws.feed.clock import Moment, SystemClock
from lbank_ws.sandbox import Sandbox
from lbank_ws.signer import Credentials
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.ticket import order_request
from lbank_ws.trading_errors import RestRefused
from tests.waiting import our_threads, wait_until

KEY, SECRET = "key-of-ann-0123456789", "secret-of-ann-0123456789"
DEADLINE_S = 15.0


class WallClock(SystemClock):
    """The computer's clocks, with a wall clock that can be set."""

    ahead_s = 0.0

    def now(self) -> Moment:
        now = super().now()
        return Moment(now.s, now.ns + round(self.ahead_s * 1e9))


class Trader:
    """A client that listens to its account, and somebody who trades on it over REST.

    Attributes:
        orders: What `on_order` was told.
        balances: What `on_balance` was told.
        heard: Both, and all statuses, gaps and faults.
    """

    def __init__(self, box: Sandbox, **options: Any) -> None:
        self.box = box
        credentials = Credentials(KEY, SECRET)
        self.rest = AccountRest(box.rest_url, credentials)
        self.client = LBankClient(
            **{
                "url": box.url,
                "rest_url": box.rest_url,
                "credentials": credentials,
                "backoff_first_s": 0.05,
                "backoff_cap_s": 0.2,
                **options,
            }
        )
        self.orders: list[OrderUpdate] = []
        self.balances: list[BalanceUpdate] = []
        self.heard: list[Any] = []
        self.client.on_order(self._keep(self.orders))
        self.client.on_balance(self._keep(self.balances))
        for decorator in (self.client.on_status, self.client.on_gap, self.client.on_error):
            decorator(self.heard.append)
        self._number = 0

    def _keep(self, events: list[Any]) -> Callable[[Any], None]:
        def keep(event: Any) -> None:
            events.append(event)
            self.heard.append(event)

        return keep

    def is_on(self) -> bool:
        """Tell whether the exchange has both subscriptions."""
        return any({"orderUpdate/all", "assetUpdate"} <= view.subscriptions for view in self.box.visitors())

    def place(self, side: str, order_type: str, **numbers: str) -> str:
        """Place an order on btc_usdt; give its id."""
        self._number += 1
        client_id = f"order-{self._number}"
        return self.rest.create(
            order_request("btc_usdt", side, order_type, **numbers, client_id=client_id)  # type: ignore[arg-type]  # numbers
        ).order_id

    def kinds(self, kind: str) -> list[str]:
        """Give the topics of all statuses of a kind."""
        return [str(each.topic) for each in self.heard if getattr(each, "kind", None) == kind]

    def told(self, order_id: str) -> list[str]:
        """Give what was told of an order: `live filled 1`."""
        return [f"{each.source} {each.status}" for each in self.orders if each.order_id == order_id]

    def wait_told(self, order_id: str, what: str) -> None:
        wait_until(lambda: what in self.told(order_id), DEADLINE_S, f"{what} of an order")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    exchange = Sandbox(pairs=["btc_usdt", "eth_usdt"], seed=3)
    exchange.add_account(KEY, SECRET, balances={"usdt": "1000000", "btc": "20"})
    with exchange:
        yield exchange


@pytest.fixture
def trader(box: Sandbox) -> Iterator[Trader]:
    made = Trader(box)
    with made.client:
        yield made
    wait_until(lambda: not our_threads(), what="the end of every thread")


def subscribe_keys(box: Sandbox) -> list[str]:
    """Give the subscribe keys that the exchange knows."""
    return box._thread.call(lambda: list(box._floor.desk.keys._ends_ms))


def end_keys(box: Sandbox) -> None:
    """Let all of them end, of which the exchange says nothing."""

    def end() -> None:
        keys = box._floor.desk.keys
        for key in list(keys._ends_ms):
            keys._end(key)

    box._thread.call(end)


def test_orders_and_balances_are_told_as_they_change(trader: Trader):
    """The first change makes the streams live at once, and the state of the account comes before it."""
    wait_until(trader.is_on, DEADLINE_S, "both subscriptions")

    order_id = trader.place("buy", "limit", price="20000", amount="0.01")
    trader.wait_told(order_id, "live open")
    trader.rest.cancel("btc_usdt", order_id=order_id)
    trader.wait_told(order_id, "live cancelled")

    assert trader.told(order_id) == ["live open", "live cancelled"]
    placed = trader.orders[0]
    assert (placed.pair, placed.client_id, placed.side, placed.order_type) == ("btc_usdt", "order-1", "buy", "limit")
    assert (placed.price, placed.amount, placed.remaining_value) == (Decimal(20000), Decimal("0.01"), Decimal(200))
    wait_until(lambda: [each.asset for each in trader.balances].count("usdt") >= 2, DEADLINE_S, "the balances")
    assert [(each.source, each.free) for each in trader.balances if each.asset == "btc"] == [("resync", Decimal(20))]
    assert trader.balances[-1].free == Decimal(1000000)


def test_orders_of_one_pair_can_be_heard_alone(box: Sandbox):
    """A bot for one pair need not sort out the orders of another."""
    trader = Trader(box)
    alone: list[OrderUpdate] = []
    trader.client.on_order("eth_usdt")(alone.append)
    with trader.client:
        wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
        btc = trader.place("buy", "limit", price="20000", amount="0.01")
        eth = trader.rest.create(
            order_request("eth_usdt", "buy", "limit", price="100", amount="0.1", client_id="eth")
        ).order_id
        trader.wait_told(btc, "live open")
        trader.wait_told(eth, "live open")
        wait_until(lambda: alone, DEADLINE_S, "the order of eth_usdt")

    assert {each.order_id for each in alone} == {eth}


def test_the_subscribe_key_ends_with_the_client(box: Sandbox):
    """Nobody else should hear of the account with it."""
    trader = Trader(box)
    with trader.client:
        wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
        assert len(subscribe_keys(box)) == 1

    assert subscribe_keys(box) == []


@pytest.mark.slow
def test_a_stop_waits_for_no_call_that_hangs(box: Sandbox):
    """Key and state are fetched over REST, and REST may be dead."""
    trader = Trader(box)
    trader.client.start()
    wait_until(trader.is_on, DEADLINE_S, "both subscriptions")

    with box.fault("rest_timeout"):
        box.abort()
        wait_until(lambda: any(isinstance(each, Exception) for each in trader.heard), DEADLINE_S, "the fault")
        began_s = time.monotonic()
        assert trader.client.stop() is True

    assert time.monotonic() - began_s < 5
    assert not our_threads()


def test_wrong_credentials_refuse_the_streams_and_end_the_run(box: Sandbox):
    """They would be refused again; with nothing else wanted there is nothing to run for."""
    wrong = Credentials(KEY, "another-secret-than-that")
    client = LBankClient(url=box.url, rest_url=box.rest_url, credentials=wrong)
    faults: list[Any] = []
    client.on_error(faults.append)
    client.on_balance(lambda _: None)

    with pytest.raises(SubscriptionRefused, match="LBANK_API_SECRET"):
        client.run(for_s=DEADLINE_S)

    assert [type(fault) for fault in faults] == [SubscriptionRefused]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ws://192.0.2.1:9/ws/V2/", "rest_url": "https://192.0.2.1:9"}, "wss:// alone"),
        ({"hosts": ["wss://192.0.2.1", "ws://192.0.2.1"], "rest_url": "https://192.0.2.1"}, "wss:// alone"),
        ({"url": "wss://192.0.2.1", "rest_url": "http://192.0.2.1"}, "https:// alone"),
        ({"url": "wss://192.0.2.1"}, "name rest_url"),
        ({"dialect": "simple", "url": "ws://192.0.2.1"}, "wss:// alone"),
    ],
)
def test_an_account_over_an_open_line_is_refused_before_anything_is_dialled(options: dict[str, Any], words: str):
    """A subscribe key, or a signature, that crosses a network in clear belongs to whoever listens."""
    dialled: list[str] = []

    def connect(url: str, **_: object) -> Any:
        dialled.append(url)
        raise AssertionError

    def listen() -> None:
        client = LBankClient(credentials=Credentials(KEY, SECRET), connect=connect, **options)
        client.on_order(lambda _: None)

    with pytest.raises(UsageError, match=words):
        listen()

    assert dialled == []


@pytest.mark.parametrize("decorator", ["on_order", "on_balance"])
def test_without_credentials_the_variables_are_named(decorator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """It is said where the stream is asked for."""
    monkeypatch.chdir(tmp_path)
    for name in ("LBANK_API_KEY", "LBANK_API_SECRET", "LBANK_API_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    client = LBankClient()

    with pytest.raises(UsageError, match=r"LBANK_API_KEY and LBANK_API_SECRET"):
        getattr(client, decorator)(lambda _: None)

    assert client.subscriptions() == []


def test_the_simple_dialect_has_no_account_streams():
    """The guide knows of none."""
    with pytest.raises(UsageError, match="the simple dialect has no account streams"):
        LBankClient(dialect="simple").on_order(lambda _: None)


@pytest.mark.slow
def test_a_drop_is_made_good_before_what_follows(trader: Trader, box: Sandbox):
    """The exchange replays nothing: what ended meanwhile, and what was placed and ended, is fetched."""
    wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
    resting = trader.place("buy", "limit", price="20000", amount="0.01")
    trader.wait_told(resting, "live open")
    staying = trader.place("buy", "limit", price="20001", amount="0.01")
    trader.wait_told(staying, "live open")

    with box.fault("refuse_dial"):
        box.abort()
        wait_until(lambda: "lost" in [getattr(each, "kind", "") for each in trader.heard], DEADLINE_S, "the drop")
        trader.rest.cancel("btc_usdt", order_id=resting)
        bought = trader.place("buy", "market", value="100")
    trader.wait_told(bought, "resync filled")
    trader.wait_told(resting, "resync cancelled")
    later = trader.place("buy", "limit", price="20002", amount="0.01")
    trader.wait_told(later, "live open")

    assert trader.told(staying) == ["live open", "resync open"]
    assert trader.told(bought) == ["resync filled"]
    gaps = [each for each in trader.heard if type(each).__name__ == "Gap" and each.topic.channel == "order"]
    assert [(each.cause, each.filled) for each in gaps] == [("line lost", None), ("line lost", 3)]
    wait_until(lambda: trader.balances[-1].free == box.account(KEY).free[trader.balances[-1].asset], DEADLINE_S)


@pytest.mark.slow
def test_an_order_of_ones_own_is_asked_for_behind_a_drop_whatever_its_pair(box: Sandbox, tmp_path: Path):
    """Nobody named the pair, and an order that has ended holds nothing back that would show it."""
    trader = Trader(box, account="live", journal=tmp_path / "orders.jsonl")
    with trader.client:
        wait_until(lambda: len(trader.kinds("live")) == 2, DEADLINE_S, "both streams")
        with box.fault("refuse_dial"):
            box.abort()
            wait_until(lambda: trader.kinds("lost"), DEADLINE_S, "the drop")
            placed = trader.client.orders.place("eth_usdt", "buy", "market", value="100")
        trader.wait_told(placed.order_id, "resync filled")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_cut_the_end_of_every_order_is_what_the_exchange_says(trader: Trader, box: Sandbox, seed: int):
    """Lines are killed while orders fill: each fill is told live, or within the state that is told first behind a drop.

    That state is fetched, or a push that came meanwhile and tells as much.
    """
    chance = random.Random(seed)
    wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
    ids: list[str] = []
    until_s = time.monotonic() + 12
    while time.monotonic() < until_s:
        ids.append(trader.place(chance.choice(["buy", "sell"]), "limit", **_near(box, chance)))
        if chance.random() < 0.3:
            side = chance.choice(["buy", "sell"])
            numbers = {"value": "200"} if side == "buy" else {"amount": "0.002"}
            ids.append(trader.place(side, "market", **numbers))
        if chance.random() < 0.1:
            box.abort()
        if len(ids) > 5 and chance.random() < 0.3:
            _cancel(trader, chance.choice(ids))
        time.sleep(chance.uniform(0, 0.1))
    box.abort()
    for order_id in ids:
        _cancel(trader, order_id)

    truth = {each.order.id: each for each in box.truth.orders(owner=KEY)}
    assert set(truth) == set(ids)
    wait_until(lambda: _is_told(trader, truth), 30, "the end of every order")

    deals = [(each.order_id, each.fill.id) for each in trader.orders if each.fill is not None]
    assert len(deals) == len(set(deals))  # two orders of one account may meet in one deal
    for change in box.truth.orders(owner=KEY):
        if change.fill is not None:
            assert (change.order.id, change.fill.id) in deals or any(
                each.order_id == change.order.id and each.filled is not None and each.filled >= _amount(change)
                for each in _states_behind_drops(trader)
            )
    assert any(each.source == "resync" for each in trader.orders)
    account = box.account(KEY)
    wait_until(lambda: _last(trader.balances) == {"usdt": account.free["usdt"], "btc": account.free["btc"]}, 10)


def _near(box: Sandbox, chance: random.Random) -> dict[str, str]:
    """Give a limit near the market, which may be filled at once, soon, or never."""
    latest = box._thread.call(lambda: box._floor._market.tick("btc_usdt").latest)  # in price steps of a cent
    return {"price": f"{Decimal(latest) / 100 * Decimal(chance.uniform(0.999, 1.001)):.2f}", "amount": "0.001"}


def _cancel(trader: Trader, order_id: str) -> None:
    try:
        trader.rest.cancel("btc_usdt", order_id=order_id)
    except RestRefused as refused:  # what has ended cannot be cancelled
        if refused.code not in (10025, 10026, 10037):
            raise


def _states_behind_drops(trader: Trader) -> Iterator[OrderUpdate]:
    """Give what was fetched of orders, and of each order what was told of it first behind a drop."""
    told_since: set[str] = set()
    for each in trader.heard:
        if getattr(each, "kind", "") == "lost":
            told_since.clear()
        elif isinstance(each, OrderUpdate):
            if each.source == "resync" or each.order_id not in told_since:
                yield each
            told_since.add(each.order_id)


def _amount(change: Any) -> Decimal:
    return Decimal(change.order.filled).scaleb(-change.listing.amount_places)


def _is_told(trader: Trader, truth: dict[str, Any]) -> bool:
    last = {each.order_id: each for each in trader.orders}
    return all(
        order_id in last and last[order_id].status.is_final and last[order_id].filled == _amount(change)
        for order_id, change in truth.items()
    )


def _last(balances: list[BalanceUpdate]) -> dict[str, Decimal]:
    return {each.asset: each.free for each in balances}


@pytest.mark.slow
def test_a_key_that_has_ended_is_replaced_when_it_is_to_be_refreshed(box: Sandbox):
    """The exchange says nothing when a key ends, it only pushes no more; the refresh finds out."""
    clock = WallClock()
    trader = Trader(box, clock=clock)
    trader.client.on_order("btc_usdt")(lambda _: None)  # which pair to ask about
    with trader.client:
        wait_until(lambda: len(trader.kinds("live")) == 2, DEADLINE_S, "both streams live")
        first = subscribe_keys(box)
        end_keys(box)
        missed = trader.place("buy", "limit", price="20000", amount="0.01")

        clock.ahead_s = 1800
        wait_until(lambda: len(trader.kinds("live")) == 4, DEADLINE_S, "both streams live again")
        trader.wait_told(missed, "resync open")
        later = trader.place("buy", "limit", price="20001", amount="0.01")
        trader.wait_told(later, "live open")
        second = subscribe_keys(box)

    assert (len(first), len(second)) == (1, 1)
    assert first != second
    assert sorted(trader.kinds("stale")) == ["balance/all", "order/all"]
    assert trader.kinds("refused") == []


@pytest.mark.slow
def test_a_key_that_has_ended_is_replaced_when_the_socket_says_so(trader: Trader, box: Sandbox):
    """After a drop the streams are asked for with it, and the exchange objects, twice."""
    wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
    end_keys(box)

    box.abort()
    wait_until(lambda: subscribe_keys(box) and trader.is_on(), DEADLINE_S, "both subscriptions again")
    order_id = trader.place("buy", "limit", price="20000", amount="0.01")
    trader.wait_told(order_id, "live open")

    assert len(subscribe_keys(box)) == 1
    assert [type(each).__name__ for each in trader.heard if isinstance(each, Exception)] == []


@pytest.mark.slow
def test_a_refresh_without_an_answer_costs_nothing(box: Sandbox):
    """The key lives for half an hour more; it is asked for again."""
    clock = WallClock()
    trader = Trader(box, clock=clock)
    with trader.client:
        wait_until(lambda: len(trader.kinds("live")) == 2, DEADLINE_S, "both streams live")
        before = subscribe_keys(box)
        with box.fault("rest_status", path="refresh_key"):
            clock.ahead_s = 1800
            wait_until(lambda: any(isinstance(each, Exception) for each in trader.heard), DEADLINE_S, "the fault")
            order_id = trader.place("buy", "limit", price="20000", amount="0.01")
            trader.wait_told(order_id, "live open")

        assert subscribe_keys(box) == before
    assert trader.kinds("stale") == []
    assert [type(each).__name__ for each in trader.heard if isinstance(each, Exception)] == ["RestFailed"]


@pytest.mark.slow
def test_no_secret_is_seen_anywhere(box: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Key, secret, signatures and subscribe keys: not in the log at any level, a recording, an error, a repr."""
    caplog.set_level("DEBUG")
    record = tmp_path / "frames.jsonl"
    trader = Trader(box, record=record)
    keys: set[str] = set()
    with trader.client:
        wait_until(trader.is_on, DEADLINE_S, "both subscriptions")
        keys.update(subscribe_keys(box))
        box.broadcast(f'{{"status":"error","message":"what is {subscribe_keys(box)[0]}"}}')
        box.broadcast(f'{{"type":"tick","pair":"{subscribe_keys(box)[0]}","tick":{{}}}}')
        end_keys(box)
        box.abort()
        wait_until(lambda: subscribe_keys(box) and trader.is_on(), DEADLINE_S, "both subscriptions again")
        keys.update(subscribe_keys(box))
        order_id = trader.place("buy", "limit", price="20000", amount="0.01")
        trader.wait_told(order_id, "live open")
        seen = [repr(vars(trader.client)), repr(trader.client.lines()), repr(trader.client.stats())]

    seen += [caplog.text, record.read_text(), repr(trader.heard), " ".join(map(str, trader.heard))]
    assert len(keys) == 2
    assert "subscribeKey" in record.read_text()
    for secret in (*keys, KEY, SECRET):
        assert not [text for text in seen if secret in text or secret[::-1] in text]
