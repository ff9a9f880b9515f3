"""Lines of the simple dialect that log in and carry orders, against the practice exchange and one that is silent."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lbank_ws import LBankClient, LoginRefused, UsageError
from lbank_ws.feed.submissions import Fate, Outcome, Submission
from lbank_ws.sandbox import Sandbox
from lbank_ws.signer import Credentials
from lbank_ws.wire import OrderRequest
from tests.plain_exchange import PlainExchange
from tests.waiting import line_kinds, wait_until

KEY, SECRET = "key-of-ann-0123456789", "secret-of-ann-0123456789"
DEADLINE_S = 15.0


@pytest.fixture
def box() -> Iterator[Sandbox]:
    exchange = Sandbox(pairs=["btc_usdt"], seed=3)
    exchange.add_account(KEY, SECRET, balances={"usdt": "10000"})
    with exchange:
        yield exchange


class Desk:
    """A client of the simple dialect, and orders over its line.

    Attributes:
        statuses: What happened to its lines.
    """

    def __init__(self, url: str, secret: str = SECRET, **options: Any) -> None:
        self.client = LBankClient(
            dialect="simple",
            url=url,
            credentials=Credentials(KEY, secret),
            backoff_first_s=0.05,
            backoff_cap_s=0.2,
            **options,
        )
        self.statuses: list[Any] = []
        self.client.on_status(self.statuses.append)
        self._number = 0

    def place(self, price: str, amount: str = "0.001", *, within_s: float = DEADLINE_S) -> queue.SimpleQueue[Outcome]:
        """Hand an order over; give where its outcome comes."""
        self._number += 1
        came: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        order = OrderRequest("btc_usdt", "buy", "limit", Decimal(price), Decimal(amount), None, f"order-{self._number}")
        self.client._pool.submit(Submission(order, within_s, came.put))
        return came

    def settled(self, price: str, amount: str = "0.001", *, within_s: float = DEADLINE_S) -> Outcome:
        return self.place(price, amount, within_s=within_s).get(timeout=DEADLINE_S)


def placed(box: Sandbox) -> list[str]:
    """Give the ids that orders were placed with, as the exchange has them."""
    return [order.custom_id for order in box.account(KEY).orders]


def test_an_order_over_the_socket_is_one_at_the_exchange(box: Sandbox):
    """Handed over before the line is there: it waits for the log-in."""
    desk = Desk(box.url)
    with desk.client:
        outcome = desk.settled("20000")

        (order,) = box.account(KEY).orders
        assert outcome == Outcome(Fate.ACCEPTED, order.id)
        assert order.custom_id == "order-1"


def test_an_order_that_cannot_be_paid_is_refused_with_the_exchange_s_number(box: Sandbox):
    """What the number proves is decided where orders are kept."""
    desk = Desk(box.url)
    with desk.client:
        outcome = desk.settled("20000", "100")

    assert (outcome.fate, outcome.code) == (Fate.REFUSED, 10014)
    assert placed(box) == []


def test_a_refused_log_in_ends_the_run(box: Sandbox):
    """With the same credentials it would be refused again; so it is not tried again."""
    desk = Desk(box.url, "another-secret-than-that")
    faults: list[Any] = []
    desk.client.on_error(faults.append)
    waiting = desk.place("20000")

    with pytest.raises(LoginRefused) as caught:
        desk.client.run(for_s=DEADLINE_S)

    assert caught.value.code == 10007
    assert [type(fault) for fault in faults] == [LoginRefused]
    assert waiting.get(timeout=DEADLINE_S).fate is Fate.UNSENT
    assert line_kinds(desk.statuses, line=2) == ["opened"]
    assert placed(box) == []


def test_after_a_drop_it_logs_in_again_and_places_nothing_again(box: Sandbox):
    """Only subscriptions are replayed."""
    desk = Desk(box.url)
    desk.client.subscribe("ticker", "btc_usdt")
    with desk.client:
        assert desk.settled("20000").fate is Fate.ACCEPTED
        box.abort()
        wait_until(lambda: line_kinds(desk.statuses, line=2)[-1:] == ["reconnected"], DEADLINE_S)
        assert desk.settled("20001").fate is Fate.ACCEPTED
        wait_until(lambda: any("ticker/btc_usdt" in view.subscriptions for view in box.visitors()), DEADLINE_S)

    assert placed(box) == ["order-1", "order-2"]


@pytest.mark.slow
def test_of_orders_over_lines_that_are_killed_none_is_placed_twice_and_no_outcome_is_false(box: Sandbox):
    """Killed right behind the hand-over, again and again: what is told is what the exchange's own log says."""
    desk = Desk(box.url)
    outcomes: dict[str, Outcome] = {}
    with desk.client:
        for number in range(60):
            waiting = desk.place("20000", within_s=5)
            if number % 3:
                time.sleep(0.01 * (number % 7))
                box.abort()
            outcomes[f"order-{number + 1}"] = waiting.get(timeout=DEADLINE_S)

    there = placed(box)
    assert len(there) == len(set(there))
    for client_id, outcome in outcomes.items():
        if outcome.fate is Fate.ACCEPTED:
            assert client_id in there
        elif outcome.fate in (Fate.UNSENT, Fate.REFUSED):
            assert client_id not in there
    assert {outcome.fate for outcome in outcomes.values()} >= {Fate.ACCEPTED, Fate.UNSENT}


def test_an_order_whose_answer_is_lost_is_unknown(box: Sandbox):
    """It is there, and nobody said so."""
    desk = Desk(box.url)
    with desk.client:
        assert desk.settled("20000").fate is Fate.ACCEPTED
        with box.fault("late", delay_s=60):
            outcome = desk.settled("20001", within_s=1)

    assert outcome.fate is Fate.UNKNOWN
    assert placed(box) == ["order-1", "order-2"]


@pytest.mark.slow
def test_a_log_in_that_nobody_answers_is_tried_on_another_line():
    """An exchange that is silent may be well again; the order that waited is not sent."""
    with PlainExchange() as exchange:
        desk = Desk(exchange.url)
        with desk.client:
            waiting = desk.place("20000")
            wait_until(lambda: "lost" in line_kinds(desk.statuses, line=2), DEADLINE_S, "the end of the line")
            wait_until(lambda: sum(said.get("op") == "auth" for said in exchange.heard) == 2, DEADLINE_S)

            assert waiting.get(timeout=DEADLINE_S).fate is Fate.UNSENT
    assert all(said.get("op") != "order" for said in exchange.heard)


def test_credentials_that_cannot_log_in_are_refused_where_they_are_named(monkeypatch: pytest.MonkeyPatch):
    """A line that finds it out would end in a traceback."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    with pytest.raises(UsageError, match="HmacSHA256"):
        LBankClient(dialect="simple", credentials=Credentials(KEY, pem.decode(), "RSA"))


def test_no_secret_of_a_log_in_is_seen_anywhere(box: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The guide's own code prints key and signature."""
    caplog.set_level("DEBUG")
    record = tmp_path / "frames.jsonl"
    desk = Desk(box.url, record=record)
    with desk.client:
        assert desk.settled("20000").fate is Fate.ACCEPTED
        box.broadcast(f'{{"op":"order","success":false,"msg":"{KEY} {SECRET}"}}')
        box.broadcast(f'{{"ch":5,"{SECRET}')
        wait_until(lambda: "cannot read a frame" in caplog.text, DEADLINE_S, "the fault")
        seen = [repr(vars(desk.client)), repr(desk.statuses)]

    seen += [caplog.text, record.read_text()]
    assert '\\"auth\\"' in record.read_text()
    for secret in (KEY, SECRET):
        assert not [text for text in seen if secret in text]
