"""TLS is verified, whatever the environment says; another authority can be named."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme

from lbank_ws import Cause, LBankClient
from tests.plain_exchange import PlainExchange
from tests.waiting import line_kinds, wait_until

pytestmark = pytest.mark.usefixtures("reader")

AUTHORITY = trustme.CA()


def server_context(certificate: trustme.LeafCert, *, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Give a server's context; `newest` limits what it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if newest is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = newest
        context.maximum_version = newest
    return context


@pytest.fixture
def ca_file(tmp_path):
    """Give a file that names our own authority."""
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


def test_named_authority_is_trusted(ca_file, make_client):
    """A company's own gateway can be reached, and prices flow over TLS with drops as over plain TCP."""
    with PlainExchange(tls=server_context(AUTHORITY.issue_cert("localhost"))) as exchange:
        client = make_client(exchange.url, ca_file=ca_file)
        prices = []
        client.on_ticker("btc_usdt", "eth_usdt")(prices.append)
        client.start()
        wait_until(lambda: len(prices) == 2)

        exchange.each(lambda line: line.close(1000))

        wait_until(lambda: len(prices) == 4)


def test_many_messages_from_both_sides_survive_tls(ca_file, make_client):
    """Reading and writing one TLS socket from two threads loses connections; here one thread does both."""
    with PlainExchange(tls=server_context(AUTHORITY.issue_cert("localhost"))) as exchange:
        client = make_client(exchange.url, ca_file=ca_file, policies={"ticker": "keep"})
        prices, statuses = [], []
        client.on_ticker("btc_usdt")(prices.append)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: prices)

        for number in range(500):
            exchange.say({"action": "ping", "ping": number})
            exchange.say({"type": "tick", "pair": "btc_usdt", "tick": {"latest": number}, "pad": "x" * 20_000})

        wait_until(lambda: len(prices) == 501)
        wait_until(lambda: {"action": "pong", "pong": 499} in exchange.heard)
        assert [int(ticker.last) for ticker in prices[1:]] == list(range(500))
        assert line_kinds(statuses) == ["opened"]


YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
REFUSED = {
    "unknown authority": (lambda: server_context(trustme.CA().issue_cert("localhost")), "not trusted"),
    "wrong host": (lambda: server_context(AUTHORITY.issue_cert("example.org")), "not trusted"),
    "expired": (lambda: server_context(AUTHORITY.issue_cert("localhost", not_after=YESTERDAY)), "not trusted"),
    "TLS 1.1": (
        lambda: server_context(AUTHORITY.issue_cert("localhost"), newest=ssl.TLSVersion.TLSv1_1),
        "TLS handshake failed",
    ),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_untrusted_server_is_refused_with_words(case, ca_file, make_client):
    """Prices from a stranger are worse than none."""
    make_context, words = REFUSED[case]
    with PlainExchange(tls=make_context()) as exchange:
        client = make_client(exchange.url, ca_file=ca_file)
        statuses, prices = [], []
        client.on_status(statuses.append)
        client.on_ticker("btc_usdt")(prices.append)
        client.start()

        wait_until(lambda: statuses)

        assert statuses[0].kind == "failed"
        assert statuses[0].cause.cause is Cause.TLS
        assert words in str(statuses[0].cause)
        assert not prices
        client.stop()


def test_environment_cannot_weaken_tls(ca_file, make_client, monkeypatch, tmp_path):
    """These variables add authorities or write keys for other programs; they must not do so here by accident."""
    keys = tmp_path / "keys"
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", ca_file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    with PlainExchange(tls=server_context(AUTHORITY.issue_cert("localhost"))) as exchange:
        client = make_client(exchange.url)
        statuses = []
        client.on_status(statuses.append)
        client.on_ticker("btc_usdt")(lambda ticker: None)
        client.start()

        wait_until(lambda: statuses)

        assert statuses[0].cause.cause is Cause.TLS
        assert not keys.exists()
        client.stop()


def test_no_option_switches_verification_off():
    """What does not exist cannot be copied from a forum."""
    options = LBankClient.__init__.__annotations__

    assert not [name for name in options if "verify" in name or "insecure" in name or "ssl" in name]
