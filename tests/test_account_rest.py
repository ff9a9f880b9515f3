"""The signed calls of the REST interface: what they give, what they refuse to do, and that none shows a secret."""

from __future__ import annotations

import dataclasses
import logging
import socket
import time
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import OrderStatus
from lbank_ws.sandbox import Sandbox
from lbank_ws.signer import Credentials
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.ticket import order_request
from lbank_ws.trading_errors import CredentialsRefused, RestRefused
from tests.raw_server import RawServer
from tests.test_rest import answer, answering, http
from tests.waiting import wait_until

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"
ME = Credentials(KEY, SECRET)


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000", "btc": "2"})
        yield box


@pytest.fixture
def rest_of():
    """Give a maker of signed calls that are closed when the test ends."""
    made = []

    def make(url: str, credentials: Credentials = ME, **options: Any) -> AccountRest:
        made.append(AccountRest(url, credentials, **options))
        return made[-1]

    yield make
    for rest in made:
        rest.close()


@pytest.fixture
def rest(box, rest_of):
    return rest_of(box.rest_url)


def limit(client_id: str, side: str = "buy", price: str = "1000", amount: str = "0.01"):
    return order_request("btc_usdt", side, "limit", price=price, amount=amount, client_id=client_id)


# Orders.


def test_an_order_is_placed_found_and_cancelled(box, rest):
    """By each of its two ids."""
    placed = rest.create(limit("mine-1"))

    assert placed.client_id == "mine-1"
    found = rest.order("btc_usdt", client_id="mine-1")
    again = rest.order("btc_usdt", order_id=placed.order_id)
    assert dataclasses.replace(again, receipt=found.receipt, exchange_at=found.exchange_at) == found
    assert (found.order_id, found.client_id, found.status) == (placed.order_id, "mine-1", OrderStatus.OPEN)
    assert (found.side, found.order_type, found.price, found.amount) == ("buy", "limit", 1000, Decimal("0.01"))
    assert (found.filled, found.remaining, found.source) == (0, Decimal("0.01"), "resync")
    assert [order.client_id for order in rest.open_orders("btc_usdt")] == ["mine-1"]

    rest.cancel("btc_usdt", client_id="mine-1")

    assert rest.open_orders("btc_usdt") == []
    assert rest.order("btc_usdt", client_id="mine-1").status is OrderStatus.CANCELLED
    assert [order.order_id for order in rest.history("btc_usdt")] == [placed.order_id]
    with pytest.raises(RestRefused) as refused:
        rest.cancel("btc_usdt", order_id=placed.order_id)
    assert refused.value.code == 10026


def test_a_market_buy_spends_a_value_and_its_deals_have_their_commission_in_what_was_bought(box, rest):
    """The documentation's English says otherwise."""
    order = order_request("btc_usdt", "buy", "market", value="500", client_id="spend")
    placed = rest.create(order)

    found = rest.order("btc_usdt", order_id=placed.order_id)
    deals = rest.fills("btc_usdt")

    assert (found.value, found.amount, found.price, found.status) == (500, None, None, OrderStatus.FILLED)
    assert {deal.order_id for deal in deals} == {placed.order_id}
    assert sum(deal.fill.amount for deal in deals) == found.filled
    assert sum(deal.fill.value or 0 for deal in deals) == pytest.approx(found.average_price * found.filled)
    assert {(deal.commission_asset, deal.fill.role, deal.side) for deal in deals} == {("btc", "taker", "buy")}
    assert all(deal.commission == deal.fill.amount / 1000 for deal in deals)


def test_open_orders_of_several_pages_all_come(box, rest):
    """An order on the second page that was left out would be taken for one that does not exist."""
    for number in range(203):
        rest.create(limit(f"n-{number}", amount="0.001"))

    assert {order.client_id for order in rest.open_orders("btc_usdt")} == {f"n-{number}" for number in range(203)}

    rest.cancel_pair("btc_usdt")
    assert rest.open_orders("btc_usdt") == []


def test_a_test_order_is_checked_and_not_placed(box, rest):
    """Its id stays free."""
    rest.create(limit("trial"), is_test=True)

    assert box.account(KEY).orders == ()
    with pytest.raises(RestRefused) as refused:
        rest.create(limit("trial", amount="1000"), is_test=True)
    assert refused.value.code == 10014


def test_balances_are_those_of_the_exchange_without_the_empty_ones(box, rest):
    """LBank sends thousands of zeros."""
    rest.create(limit("mine"))

    balances = {balance.asset: balance for balance in rest.balances()}

    assert set(balances) == {"usdt", "btc"}
    assert (balances["usdt"].free, balances["usdt"].locked, balances["usdt"].total) == (99990, 10, 100000)
    assert balances["usdt"].source == "resync"
    assert {balance.asset for balance in rest.balances(with_empty=True)} > {"eth"}


def test_rules_and_state_of_the_exchange(rest):
    """They need no key, and an order is checked against them before it leaves."""
    rules = rest.rules("btc_usdt")["btc_usdt"]

    assert (rules.price_places, rules.amount_places) == (2, 5)
    assert rules.least_amount == Decimal("0.00001")
    assert set(rest.rules()) == {"btc_usdt", "eth_usdt"}
    assert rest.is_up()


# Subscribe keys.


def test_a_subscribe_key_is_made_refreshed_and_closed(rest):
    """Three spellings of `result` and `data` on the way."""
    key = rest.new_key()

    assert len(key) == 64
    rest.refresh_key(key)
    rest.close_key(key)
    with pytest.raises(RestRefused):
        rest.refresh_key(key)


@pytest.mark.parametrize(
    "said",
    [
        '{"result":true,"data":"KEY","error_code":0,"ts":1772335196000}',
        '{"result":"true","data":{"key":"KEY"},"error_code":"0"}',
        '{"result":"true","subscribeKey":"KEY","error_code":0}',
    ],
)
def test_every_documented_answer_with_a_key_is_read(rest_of, said):
    """The documentation contradicts itself, and the live exchange."""
    key = "0123456789abcdef" * 4
    with RawServer(answering(answer(said.replace("KEY", key)))) as server:
        assert rest_of(http(server), exchange_ms=lambda: 1).new_key() == key


def test_an_answer_that_cannot_be_read_is_quoted_without_what_is_secret(rest_of):
    """It may echo everything that was sent."""

    def echo(sock: socket.socket, server: RawServer) -> None:
        request = server.request(sock)
        sock.sendall(answer(b"not JSON: " + request + b" subscribeKey=" + b"f0" * 32))

    with RawServer(echo) as server, pytest.raises(RestFailed) as failed:
        rest_of(http(server), exchange_ms=lambda: 1).refresh_key("key-to-refresh-77")

    for secret in (KEY, SECRET, "key-to-refresh-77", "f0f0f0"):
        assert secret not in str(failed.value)


# Who is at fault.


@pytest.mark.parametrize(
    ("credentials", "code", "words"),
    [
        (Credentials("another-key-0123", SECRET), 10005, "LBANK_API_KEY"),
        (Credentials(KEY, "another-secret"), 10007, "LBANK_API_SECRET"),
    ],
)
def test_wrong_credentials_are_told_from_everything_else(box, rest_of, credentials, code, words):
    """To call again does not help, and the text says what does."""
    with pytest.raises(CredentialsRefused, match=words) as refused:
        rest_of(box.rest_url, credentials).balances()

    assert refused.value.code == code


def test_a_key_without_the_permission_is_told(box, rest_of):
    """The exchange has one number for that and for a foreign IP address."""
    box.add_account("reader-key-0123", SECRET, permissions=("read",))
    rest = rest_of(box.rest_url, Credentials("reader-key-0123", SECRET))
    rest.balances()

    with pytest.raises(CredentialsRefused, match="permissions and addresses"):
        rest.create(limit("mine"))


def test_an_account_that_may_not_trade_is_told_the_real_cause(box, rest_of):
    """LBank says "currency pair nonsupport", and means that ordinary accounts may not trade."""
    box.add_account("closed-key-0123", SECRET, can_trade=False, balances={"usdt": "100"})
    rest = rest_of(box.rest_url, Credentials("closed-key-0123", SECRET))

    with pytest.raises(RestRefused, match="ordinary accounts place no orders") as refused:
        rest.create(limit("mine"))

    assert refused.value.code == 10008


def test_a_wrong_clock_is_measured_anew_and_the_read_repeated(box, rest_of):
    """A clock that was set, or a computer that slept, must not refuse every call."""
    told = []

    def wrong() -> float:
        told.append(1)
        return (time.time() - 3600) * 1000

    rest = rest_of(box.rest_url, exchange_ms=wrong)

    assert rest.balances()
    assert rest.create(limit("after")).order_id
    assert len(told) == 1


def test_a_clock_that_is_off_is_told_and_does_not_matter(rest_of, caplog):
    """The exchange refuses what is five seconds old by its own clock."""
    theirs_ms = round(time.time() * 1000) + 90_000
    with RawServer(answering(answer(f'{{"result":"true","error_code":0,"data":{theirs_ms}}}'))) as server:
        told_ms = rest_of(http(server)).exchange_ms()

    assert abs(told_ms - theirs_ms) < 5_000
    assert "behind the exchange's" in caplog.text


# The line.


def test_a_read_is_repeated_and_signed_anew_when_the_connection_breaks(rest_of):
    """A used nonce may be refused."""
    seen = []

    def act(sock: socket.socket, server: RawServer) -> None:
        seen.append(server.request(sock))
        if len(seen) < 3:
            return
        sock.sendall(answer('{"result":"true","data":{"balances":[]},"error_code":0}'))

    with RawServer(act) as server:
        assert rest_of(http(server), exchange_ms=lambda: 1).balances() == []

    echoes = {line for request in seen for line in request.split(b"\r\n") if line.startswith(b"echostr")}
    assert (len(seen), len(echoes)) == (3, 3)


@pytest.mark.parametrize("write", ["create", "cancel", "cancel_pair", "close_key"])
def test_a_write_leaves_once_whatever_happens(rest_of, write):
    """A second order is the one thing that must never be."""
    seen = []

    def act(sock: socket.socket, server: RawServer) -> None:
        seen.append(server.request(sock))

    calls = {
        "create": lambda rest: rest.create(limit("mine")),
        "cancel": lambda rest: rest.cancel("btc_usdt", order_id="1"),
        "cancel_pair": lambda rest: rest.cancel_pair("btc_usdt"),
        "close_key": lambda rest: rest.close_key("0123456789"),
    }
    with RawServer(act) as server, pytest.raises(RestFailed) as failed:
        calls[write](rest_of(http(server), exchange_ms=lambda: 1))

    assert len(seen) == 1
    assert failed.value.was_sent
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None  # what it came from holds the request, and that its signature


def test_what_never_left_is_told_apart(rest_of):
    """It is the one failure after which an order may be placed anew."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

        for exchange_ms in (None, lambda: 1):
            with pytest.raises(RestFailed) as failed:
                rest_of(url, exchange_ms=exchange_ms).create(limit("mine"))
            assert not failed.value.was_sent


def test_a_redirect_is_not_followed(rest_of):
    """Key and signature would go wherever it points."""
    elsewhere = []
    with RawServer(lambda sock, server: elsewhere.append(server.request(sock))) as other:
        hop = answer("", f"Location: {http(other)}/", status="307 Temporary Redirect")
        with RawServer(answering(hop)) as server, pytest.raises(RestFailed, match="redirects are not followed"):
            rest_of(http(server), exchange_ms=lambda: 1).create(limit("mine"))

    assert elsewhere == []


def test_credentials_do_not_travel_in_the_open():
    """Whoever sits on the way would trade with them."""
    for url in ("http://api.lbkex.com", "http://10.0.0.1:80", "http://localhost.example"):
        with pytest.raises(UsageError, match="https:// alone"):
            AccountRest(url, ME)
    for url in ("https://api.lbkex.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"):
        AccountRest(url, ME).close()


def test_a_connection_that_rested_is_not_used_for_a_write(box, rest_of, monkeypatch):
    """The exchange may just be closing it: then nobody knows whether the order was heard."""
    rest = rest_of(box.rest_url)
    rest.balances()
    closed = []
    monkeypatch.setattr(rest, "close", lambda: closed.append(1))

    rest.create(limit("soon"))
    assert closed == []
    monkeypatch.setattr(rest, "_used_s", rest._used_s - 60)
    rest.create(limit("later"))
    assert closed == [1]


def test_nothing_secret_reaches_the_log(box, rest_of, caplog):
    """At the lowest level, with every library talking."""
    caplog.set_level(logging.DEBUG)
    rest = rest_of(box.rest_url)
    key = rest.new_key()
    rest.create(limit("mine"))
    with pytest.raises(CredentialsRefused):
        rest_of(box.rest_url, Credentials(KEY, "wrong-secret-99")).balances()

    wait_until(lambda: "create_order" in caplog.text, what="the log of the libraries")
    for secret in (KEY, SECRET, key, "wrong-secret-99", "sign="):
        assert secret not in caplog.text
