"""TLS is verified, whatever the environment says; another authority can be named."""

from __future__ import annotations

import datetime
import socket
import ssl
import tempfile

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lbank_ws import Cause, LBankClient
from lbank_ws.errors import RestFailed
from lbank_ws.trading.rest import Rest
from tests.faults.passage import Fault
from tests.faults.proxy import ChaosProxy
from tests.plain_exchange import PlainExchange
from tests.raw_server import RawServer
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


NOW = datetime.datetime.now(datetime.timezone.utc)
YESTERDAY, TOMORROW = NOW - datetime.timedelta(days=1), NOW + datetime.timedelta(days=1)


def lone_context(*, names: list[x509.GeneralName], common_name: str = "nobody") -> ssl.SSLContext:
    """Give the context of a server whose certificate is signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(YESTERDAY).not_valid_after(TOMORROW)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return loaded(made.sign(key, hashes.SHA256()), key)


def issued_context(*, common_name: str, names: list[x509.GeneralName], usage: x509.ObjectIdentifier) -> ssl.SSLContext:
    """Give the context of a server whose certificate our authority signed, with odd contents."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    signer = serialization.load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(authority.subject).public_key(key.public_key())
    made = made.serial_number(2).not_valid_before(YESTERDAY).not_valid_after(TOMORROW)
    made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return loaded(made.sign(signer, hashes.SHA256()), key)


def loaded(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """Give a server's context with a certificate."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the standard library reads files alone
        file.write(certificate.public_bytes(serialization.Encoding.PEM) + pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


LOCALHOST = x509.DNSName("localhost")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def server_context_without_chain() -> ssl.SSLContext:
    """Give the context of a server that does not send the authority between its own certificate and the root."""
    leaf = AUTHORITY.create_child_ca().issue_cert("localhost")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return loaded(x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()), key)


REFUSED = {
    "unknown authority": (lambda: server_context(trustme.CA().issue_cert("localhost")), "not trusted"),
    "wrong host": (lambda: server_context(AUTHORITY.issue_cert("example.org")), "not trusted"),
    "signed by itself": (lambda: lone_context(names=[LOCALHOST]), "not trusted"),
    "name in the common name alone": (
        lambda: issued_context(common_name="localhost", names=[], usage=SERVER),
        "not trusted",
    ),
    "name with a star for all": (
        lambda: issued_context(common_name="x", names=[x509.DNSName("*")], usage=SERVER),
        "not trusted",
    ),
    "name of another length": (lambda: server_context(AUTHORITY.issue_cert("localhost.localdomain")), "not trusted"),
    "made for a client": (lambda: issued_context(common_name="x", names=[LOCALHOST], usage=CLIENT), "not trusted"),
    "not yet valid": (
        lambda: server_context(
            AUTHORITY.issue_cert("localhost", not_before=TOMORROW, not_after=TOMORROW + datetime.timedelta(days=9))
        ),
        "not trusted",
    ),
    "intermediate authority missing": (lambda: server_context_without_chain(), "not trusted"),
    "expired": (lambda: server_context(AUTHORITY.issue_cert("localhost", not_after=YESTERDAY)), "not trusted"),
    "TLS 1.0": (
        lambda: server_context(AUTHORITY.issue_cert("localhost"), newest=ssl.TLSVersion.TLSv1),
        "TLS handshake failed",
    ),
    "TLS 1.1": (
        lambda: server_context(AUTHORITY.issue_cert("localhost"), newest=ssl.TLSVersion.TLSv1_1),
        "TLS handshake failed",
    ),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
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


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_rest_trusts_nobody_that_the_feed_does_not(case, ca_file):
    """A stranger's clock would make old pushes look fresh, and a stranger's trades would fill gaps."""
    make_context, words = REFUSED[case]
    with PlainExchange(tls=make_context()) as exchange:
        rest = Rest(exchange.url.replace("wss:", "https:"), ca_file=ca_file, timeout_s=3)

        with pytest.raises(RestFailed, match=f"{words}|TLS failed"):
            rest.time_ms()

        rest.close()
        assert exchange.connections == 0


def test_authority_between_is_followed_to_the_root(ca_file, make_client):
    """As most servers of the world have it; without this, the missing one above would prove nothing."""
    with PlainExchange(tls=server_context(AUTHORITY.create_child_ca().issue_cert("localhost"))) as exchange:
        client = make_client(exchange.url, ca_file=ca_file)
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()

        wait_until(lambda: prices)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
@pytest.mark.parametrize("is_by_number", [False, True], ids=["by name", "by number"])
def test_versions_and_names_that_are_sound_are_taken(version, is_by_number, ca_file, make_client):
    """LBank's hosts were seen with 1.2 and 1.3; somebody's own gateway may have a number alone."""
    context = server_context(AUTHORITY.issue_cert("localhost", "127.0.0.1"))
    context.minimum_version = context.maximum_version = version
    with PlainExchange(tls=context) as exchange:
        host = "127.0.0.1" if is_by_number else "localhost"
        client = make_client(f"wss://{host}:{exchange.port}", ca_file=ca_file)
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()

        wait_until(lambda: prices)


def plain(sock: socket.socket, server: RawServer) -> None:
    """Speak HTTP where TLS is expected."""
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def mute(sock: socket.socket, server: RawServer) -> None:
    """Say nothing until the client leaves."""
    while sock.recv(4096):
        pass


@pytest.mark.parametrize(
    ("act", "cause"), [(plain, Cause.TLS), pytest.param(mute, Cause.STALLED, marks=pytest.mark.slow)]
)
def test_server_without_tls_is_refused(act, cause, make_client):
    """`wss://` in front of a port that speaks something else must neither hang nor be spoken to in clear."""
    with RawServer(act) as server:
        client = make_client(server.url.replace("ws:", "wss:").replace("127.0.0.1", "localhost"))
        statuses = []
        client.on_status(statuses.append)
        client.on_ticker("btc_usdt")(lambda ticker: None)
        client.start()

        wait_until(lambda: statuses, 8)

        assert (statuses[0].kind, statuses[0].cause.cause) == ("failed", cause)
        client.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["corrupt", "truncate"])
def test_damaged_bytes_are_never_taken_for_prices(kind, ca_file, make_client):
    """Over TLS damage ends the line; what comes out is what was sent, without a single wrong price."""
    context = server_context(AUTHORITY.issue_cert("localhost"))
    with PlainExchange(tls=context) as exchange, ChaosProxy(exchange.port, seed=3) as proxy:
        client = make_client(f"wss://localhost:{proxy.port}", ca_file=ca_file, policies={"ticker": "keep"})
        prices, statuses = [], []
        client.on_ticker("btc_usdt")(prices.append)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: prices)

        for number in range(15):
            losses = line_kinds(statuses).count("lost")
            proxy.strike(Fault(kind, "at once", of=1 + number % 5))
            exchange.say({"type": "tick", "pair": "btc_usdt", "tick": {"latest": 10_000 + number}})
            exchange.say({"action": "ping", "ping": "x" * 2000})  # so that what was swallowed is missed
            wait_until(lambda losses=losses: line_kinds(statuses).count("lost") > losses, what="the loss")
            wait_until(lambda losses=losses: line_kinds(statuses).count("reconnected") > losses, what="the return")

        wait_until(lambda: exchange.asked == ["tick/btc_usdt"])
        assert {str(ticker.last) for ticker in prices} <= {"80000.5", *(str(10_000 + number) for number in range(15))}
        assert {status.cause.cause for status in statuses if status.kind == "lost"} == {Cause.BROKEN}


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
