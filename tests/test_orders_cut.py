"""Orders over a line that is cut at random moments: none doubled, none forgotten, each believed for what it is."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from lbank_ws import Credentials, LBankClient, OrderRefused, OrderUnknown, RestFailed
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.desks import ExchangeDesk
from lbank_ws.trading.fates import Fate
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.orders import Orders
from tests.cutting_proxy import CUTS, CuttingProxy
from tests.waiting import wait_until

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"
SENT = re.compile(rb"custom_id=([A-Za-z0-9_-]+)")
# With the 5 s that a signature lives; a loopback delays nothing by so much.
SETTLE_S = -3.5


class CutLine:
    """The practice exchange behind a line that is cut in most of the calls, and everything that was sent over it."""

    def __init__(self, seed: int, chance: float) -> None:
        self.sent: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._chance = chance

    def choose(self, request: bytes) -> str | None:
        path = request.split(b" ", 2)[1]
        if b"create_order" in path:
            self.sent.update(each.decode() for each in SENT.findall(request))
        chance = self._chance if b"create_order" in path else self._chance / 3 if b"order" in path else 0.0
        return self._rng.choice(CUTS) if self._rng.random() < chance else None


def placed_over(tmp_path: Path, count: int, seed: int, chance: float = 0.6) -> tuple[CutLine, CuttingProxy]:
    """Place orders over a line that is cut, look up what is not known, and compare with the exchange's own log."""
    line = CutLine(seed, chance)
    with Sandbox(seed=seed, pairs=["btc_usdt"], rate_limits=False) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000000000", "btc": "2"})
        port = int(box.rest_url.rpartition(":")[2])
        with CuttingProxy(port, line.choose) as proxy:
            rest = AccountRest(f"http://127.0.0.1:{proxy.port}", Credentials(KEY, SECRET), timeout_s=2.0)
            for pacing in (rest._pacing, rest._ordering):  # the box counts none, and a thousand would take a minute
                pacing.wait_s = lambda _: 0.0  # type: ignore[method-assign]
            orders = Orders(ExchangeDesk(rest), Journal(tmp_path / "orders.jsonl", "live"), settle_s=SETTLE_S)
            believed: dict[str, Fate] = {}
            for number in range(count):
                client_id = f"n-{number}"
                # Each tenth is one that the exchange refuses.
                amount = "100000000" if number % 10 == 9 else "0.001"
                try:
                    orders.buy("btc_usdt", price="1000", amount=amount, client_id=client_id)
                    believed[client_id] = Fate.PLACED
                except OrderRefused as refused:
                    believed[client_id] = Fate.REFUSED if refused.code is not None else Fate.UNSENT
                except OrderUnknown:
                    believed[client_id] = Fate.UNKNOWN
                except RestFailed:  # the rules of the pair, before the first order
                    continue
            unknown = [client_id for client_id, fate in believed.items() if fate is Fate.UNKNOWN]
            wait_until(lambda: looked(orders), timeout_s=200, what="the end of every doubt")
            for client_id in unknown:
                believed[client_id] = orders.resolve(client_id).fate
            assert orders.unresolved() == []
            orders.close()
            rest.close()
        exchange = Counter(order.custom_id for order in box.account(KEY).orders)

    assert max(exchange.values()) == 1, "an order was placed twice"
    assert max(line.sent.values()) == 1, "an order was sent twice"
    assert {each for each, fate in believed.items() if fate is Fate.PLACED} == set(exchange)
    assert set(believed.values()) <= {Fate.PLACED, Fate.REFUSED, Fate.NOT_PLACED, Fate.UNSENT}
    assert unknown
    again = Journal(tmp_path / "orders.jsonl", "live")
    assert {entry.order.client_id: entry.fate for entry in again.entries()} == believed
    again.close()
    return line, proxy


def looked(orders: Orders) -> bool:
    """Ask on without a pause, and tell whether everything is known."""
    orders.resolver.hurry()
    while orders.resolver.step():
        pass
    return not orders.unresolved()


def test_orders_over_a_line_that_is_cut_are_each_believed_for_what_they_are(tmp_path):
    """A short round of the long test below."""
    placed_over(tmp_path, 15, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_thousand_orders_over_a_line_that_is_cut(tmp_path):
    """0 doubled, 0 forgotten, 0 false beliefs: every one ends as the exchange's own log has it."""
    line, proxy = placed_over(tmp_path, 1000, seed=7)

    assert len(line.sent) >= 950
    assert min(proxy.cuts.values()) > 50


def test_a_thread_that_looks_and_one_that_places_do_not_disturb_each_other(tmp_path):
    """The caretaker asks about old orders while new ones are placed."""
    line = CutLine(3, 0.5)
    with Sandbox(seed=3, pairs=["btc_usdt"], rate_limits=False) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000000"})
        with CuttingProxy(int(box.rest_url.rpartition(":")[2]), line.choose) as proxy:
            rest = AccountRest(f"http://127.0.0.1:{proxy.port}", Credentials(KEY, SECRET), timeout_s=2.0)
            orders = Orders(ExchangeDesk(rest), Journal(tmp_path / "orders.jsonl", "live"), settle_s=SETTLE_S)
            ended = threading.Event()

            def look() -> None:
                while not ended.wait(0.01):
                    looked(orders)

            looking = threading.Thread(target=look)
            looking.start()
            for number in range(20):
                try:
                    orders.buy("btc_usdt", price="1000", amount="0.001", client_id=f"n-{number}")
                except (OrderUnknown, OrderRefused, RestFailed):
                    continue
            wait_until(lambda: not orders.unresolved(), timeout_s=40, what="the end of every doubt")
            ended.set()
            looking.join(20)
            fates = {entry.order.client_id: entry.fate for entry in orders.journal.entries()}
            orders.close()
            rest.close()
        there = [order.custom_id for order in box.account(KEY).orders]

    assert sorted(there) == sorted(each for each, fate in fates.items() if fate is Fate.PLACED)


def test_an_order_over_a_socket_that_breaks_is_unknown_and_is_found(tmp_path, monkeypatch):
    """The simple dialect: a new line logs in again, and replays subscriptions alone."""
    monkeypatch.chdir(tmp_path)
    with Sandbox(seed=1, pairs=["btc_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000"})
        with LBankClient(
            dialect="simple",
            url=box.url,
            rest_url=box.rest_url,
            account="live",
            credentials=Credentials(KEY, SECRET),
            backoff_first_s=0.05,
        ) as client:
            client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id="first")
            stopping = threading.Thread(target=lambda: (wait_until(lambda: len(there(box)) > 1, 10), box.disconnect()))
            with box.fault("late", delay_s=2.0):
                stopping.start()
                with pytest.raises(OrderUnknown):
                    client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id="second")
                stopping.join(15)
            wait_until(lambda: not client.orders.unresolved(), timeout_s=20)

            assert client.orders.resolve("second").fate is Fate.PLACED
            assert there(box) == ["first", "second"]


def there(box: Sandbox) -> list[str]:
    return sorted(order.custom_id for order in box.account(KEY).orders)
