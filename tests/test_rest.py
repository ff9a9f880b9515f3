"""The calls of the REST interface that need no key: what they give, and what no server can do to them."""

from __future__ import annotations

import datetime
import gzip
import itertools
import json
import select
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import trustme

from lbank_ws.errors import MissingExtra, RestFailed, UsageError
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.calling import MAX_BYTES
from lbank_ws.trading.rest import DEFAULT_URLS, Rest
from tests.raw_server import RawServer
from tests.waiting import open_sockets, wait_until

SAMPLES = Path(__file__).parent / "samples" / "rest"
AUTHORITY = trustme.CA()
SHORT_S = 0.4
PATIENCE_S = 3.0  # how late a deadline may be kept on a busy machine
NOW = {"result": "true", "msg": "Success", "data": 1772335196000, "error_code": 0, "ts": 1772335196000}

Act = Callable[[socket.socket, RawServer], object]


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt", "lbk_usdt"]) as box:
        yield box


@pytest.fixture
def rest_of():
    """Give a maker of `Rest` objects that are closed when the test ends."""
    made = []

    def make(url: str, **options: Any) -> Rest:
        made.append(Rest(url, **options))
        return made[-1]

    yield make
    for rest in made:
        rest.close()


def http(server: RawServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def sample(name: str) -> str:
    frame: str = json.loads((SAMPLES / f"{name}.json").read_text())["frame"]
    return frame


def answer(body: str | bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Write a whole answer."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answering(*answers: bytes) -> Act:
    """Give a server that answers the requests of each connection one after the other, and the last one for ever."""

    def act(sock: socket.socket, server: RawServer) -> None:
        for each in itertools.chain(answers, itertools.repeat(answers[-1])):
            server.request(sock)
            sock.sendall(each)

    return act


def call(rest: Rest) -> RestFailed:
    """Make a call that fails."""
    with pytest.raises(RestFailed) as caught:
        rest.time_ms()
    return caught.value


# What comes.


def test_time_is_that_of_the_exchange(box, rest_of):
    """Every age of a push is measured against it."""
    assert abs(rest_of(box.rest_url).time_ms() / 1000 - time.time()) < PATIENCE_S


def test_pairs_are_those_that_are_listed(box, rest_of):
    """A refused subscription is explained with them."""
    assert rest_of(box.rest_url).pairs() == {"btc_usdt", "eth_usdt", "lbk_usdt"}


def test_delisted_pair_is_gone(box, rest_of):
    """The list is asked for anew each time."""
    rest = rest_of(box.rest_url)
    with box.fault("delisted", pair="eth_usdt"):
        assert rest.pairs() == {"btc_usdt", "lbk_usdt"}

    assert rest.pairs() == {"btc_usdt", "eth_usdt", "lbk_usdt"}


def test_samples_of_the_exchange_are_read(rest_of):
    """They are its own documentation's."""
    with RawServer(answering(answer(sample("timestamp")), answer(sample("currency_pairs")))) as server:
        rest = rest_of(http(server))

        assert rest.time_ms() == 1772335196000
        assert rest.pairs() == {"btc_usdt", "eth_usdt", "bnb_usdt", "sol_usdt", "xrp_usdt"}

        assert [head.split(b" HTTP")[0] for head in server.requests] == [
            b"GET /v2/timestamp.do",
            b"GET /v2/currencyPairs.do",
        ]


@pytest.mark.parametrize("result", [True, "true"])
@pytest.mark.parametrize("code", [0, "0"])
def test_success_is_told_in_several_ways(result: object, code: object, rest_of):
    """Depending on the call and its age, one is a boolean or text, the other a number or text."""
    with RawServer(answering(answer(json.dumps({**NOW, "result": result, "error_code": code})))) as server:
        assert rest_of(http(server)).time_ms() == 1772335196000


def test_answer_that_calls_itself_html_is_read(box, rest_of):
    """LBank's do at times."""
    with box.fault("rest_html", what="label"):
        assert "btc_usdt" in rest_of(box.rest_url).pairs()


def test_names_that_are_no_pairs_are_left_out(rest_of):
    """They would end up in advice, file names and frames."""
    listed = json.dumps(
        {**NOW, "data": ["btc_usdt", "BTC_USDT", "btcusdt", "a_b_c", "x_\u00e9", "\x1b[31m", 5, None, []]}
    )
    with RawServer(answering(answer(listed))) as server:
        assert rest_of(http(server)).pairs() == {"btc_usdt"}


def test_one_connection_serves_all_calls_until_it_is_closed(rest_of):
    """TLS takes three round trips, and the exchange counts dials."""
    with RawServer(answering(answer(json.dumps(NOW)))) as server:
        rest = rest_of(http(server))
        for _ in range(5):
            rest.time_ms()
        assert server.connections == 1

        rest.close()
        rest.time_ms()

        assert server.connections == 2


def test_a_call_after_a_failed_one_works(box, rest_of):
    """Nothing of the failure may stay in the connection."""
    rest = rest_of(box.rest_url, timeout_s=SHORT_S)
    for fault in ("rest_timeout", "rest_status", "rest_html"):
        with box.fault(fault):
            call(rest)

        assert rest.time_ms() > 0


def test_a_call_in_place_of_a_hung_up_connection_works(rest_of):
    """Servers close idle connections; that is no failure."""
    hung_up = []

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        sock.sendall(answer(json.dumps(NOW)))
        sock.close()
        hung_up.append(sock)

    with RawServer(act) as server:
        rest = rest_of(http(server))
        for count in range(1, 4):
            rest.time_ms()
            wait_until(lambda count=count: len(hung_up) == count)

            assert server.connections == count


# What is refused.


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        ({"result": "false", "error_code": 10004, "msg": "Request too frequent"}, 10004, "Request too frequent"),
        ({"result": False, "error_code": "10601", "msg": None}, 10601, "without a reason"),
        ({"result": "true", "error_code": 10000}, 10000, "without a reason"),
        ({"error_code": 10205, "msg": "from 203.0.113.77"}, 10205, "from x.x.x.x"),
        ({"error_code": 1, "msg": "\x1b[31m" + "x" * 500}, 1, r"\x1b[31m" + "x" * 172 + "... (505 characters)"),
    ],
)
def test_refusal_has_its_code_and_words(content: dict[str, object], code: int, reason: str, rest_of):
    """The code tells a ban from an outage; and nobody's address gets into a log."""
    with RawServer(answering(answer(json.dumps(content)))) as server:
        error = call(rest_of(http(server)))

    assert (error.path, error.code, error.reason) == ("/v2/timestamp.do", code, reason)
    assert error.sentence().startswith(f"the exchange refused the REST call /v2/timestamp.do (code {code}): {reason}")


def test_refusal_under_a_bad_status_has_its_code(rest_of):
    """A gateway in between may add a status of its own."""
    body = json.dumps({"result": "false", "error_code": 10004, "msg": "Request too frequent"})
    with RawServer(answering(answer(body, status="429 Too Many Requests"))) as server:
        assert call(rest_of(http(server))).code == 10004


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>login</html>", "the answer is no JSON object: <html>login</html>"),
        ("", "the answer is no JSON object: "),
        ("[1]", "the answer is no JSON object: [1]"),
        ("null", "the answer is no JSON object: null"),
        (b'{"msg":"\xff"}', r'the answer is no JSON object: {"msg":"\xff"}'),
        ('{"a":' * 100_000, "the answer is no JSON object: "),
        ("{}", "the answer has no error_code: {}"),
        ('{"error_code":true,"result":true}', "the answer has no error_code: "),
        ('{"error_code":null,"result":true,"data":1772335196000}', "the answer has no error_code: "),
        ('{"error_code":"","result":true}', "the answer has no error_code: "),
        (json.dumps({"error_code": "1" * 5000}), "the answer has no error_code: "),
        ('{"error_code":0}', "the answer is no success: "),
        ('{"error_code":0,"result":false}', "the answer is no success: "),
        ('{"error_code":0,"result":"false","data":1772335196000}', "the answer is no success: "),
        ('{"error_code":0,"result":[]}', "the answer is no success: "),
        ('{"error_code":0,"result":true}', "the answer is no time in epoch milliseconds"),
        ('{"error_code":0,"result":true,"data":true}', "the answer is no time in epoch milliseconds"),
        ('{"error_code":0,"result":true,"data":"1772335196000"}', "the answer is no time in epoch milliseconds"),
        ('{"error_code":0,"result":true,"data":1772335196}', "the answer is no time in epoch milliseconds"),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_answer_that_is_none_is_a_failure(body: str | bytes, reason: str, rest_of):
    """A clock that is wrong by years would make every push stale."""
    with RawServer(answering(answer(body))) as server:
        error = call(rest_of(http(server)))

    assert error.code is None
    assert error.reason.startswith(reason)
    assert len(str(error)) < 300
    assert str(error).isprintable()


@pytest.mark.parametrize("listed", [None, "btc_usdt", {"btc_usdt": 1}, 5])
def test_list_that_is_none_is_a_failure(listed: object, rest_of):
    """Taken as empty, it would tell everybody that his pair is gone."""
    with (
        RawServer(answering(answer(json.dumps({**NOW, "data": listed})))) as server,
        pytest.raises(RestFailed) as caught,
    ):
        rest_of(http(server)).pairs()

    assert (caught.value.path, caught.value.reason) == ("/v2/currencyPairs.do", "the answer is no list of pairs")


@pytest.mark.parametrize(("status", "words"), [(502, "HTTP 502 Bad Gateway"), (429, "HTTP 429 Too Many Requests")])
def test_http_error_is_named(status: int, words: str, box, rest_of):
    """It tells a broken exchange from a broken network."""
    with box.fault("rest_status", status=status):
        error = call(rest_of(box.rest_url))

    assert (error.code, error.reason) == (None, words)


def test_unknown_address_is_named(box, rest_of):
    """`LBANK_REST_URL` may have a path too many."""
    assert call(rest_of(f"{box.rest_url}/nowhere")).reason == "HTTP 404 Not Found"


def test_success_under_a_bad_status_is_none(rest_of):
    """Some cache may have kept it."""
    with RawServer(answering(answer(json.dumps(NOW), status="503 Service\x1b[31m Unavailable"))) as server:
        assert call(rest_of(http(server))).reason == r"HTTP 503 Service\x1b[31m Unavailable"


def test_page_in_place_of_an_answer_is_quoted(box, rest_of):
    """A login page or a browser check, with status 200."""
    with box.fault("rest_html"):
        error = call(rest_of(box.rest_url))

    assert "the answer is no JSON object: <!DOCTYPE html>" in error.reason


# What cannot be done to a call.


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirect_is_not_followed(status: str, rest_of):
    """It could lead anywhere, later with a signature."""
    with RawServer(answering(answer(json.dumps(NOW)))) as elsewhere:
        moved = answer("", f"Location: {http(elsewhere)}/v2/timestamp.do", status=status)
        with RawServer(answering(moved)) as server:
            error = call(rest_of(http(server)))

        assert error.reason.startswith(f"HTTP {status} points to http://x.x.x.x:{elsewhere.port}/v2/timestamp.do, and ")
        assert elsewhere.connections == 0


def endless(*lines: str, piece: bytes) -> Act:
    """Give a server that never ends what it says."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        sock.sendall(("\r\n".join(lines) + "\r\n").encode())
        while True:
            sock.sendall(piece)

    return act


OK = "HTTP/1.1 200 OK"
CHUNK = b"1000\r\n" + b" " * 4096 + b"\r\n"
ENDLESS = {
    "body": endless(OK, "", piece=b" " * 4096),
    "chunks": endless(OK, "Transfer-Encoding: chunked", "", piece=CHUNK),
    "large": endless(OK, "Content-Length: 99999999999", "", piece=b" " * 4096),
    "error": endless("HTTP/1.1 500 Broken", "", piece=b" " * 4096),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_answer_is_cut(case: str, rest_of):
    """Four megabytes are enough for every call, and no answer may fill the memory."""
    with RawServer(ENDLESS[case]) as server:
        error = call(rest_of(http(server), timeout_s=20))

    assert error.reason == f"the answer has more than {MAX_BYTES} bytes"


ENDLESS_HEADS = {
    "redirect": (endless("HTTP/1.1 302 Found", "Location: /", "", piece=b" " * 4096), "points to /"),
    "header": (endless(OK, "X-Long: ", piece=b" " * 4096), "the connection broke: LineTooLong"),
    "headers": (endless(OK, piece=b"X-Many: 1\r\n" * 500), "the connection broke: HTTPException"),
    "status": (endless("", piece=b"x" * 4096), "the connection broke: "),
}


@pytest.mark.parametrize("case", ENDLESS_HEADS)
def test_endless_head_is_cut(case: str, rest_of):
    """The body of a redirect is not even read."""
    act, words = ENDLESS_HEADS[case]
    with RawServer(act) as server:
        assert words in call(rest_of(http(server), timeout_s=20)).reason


def test_packed_answer_is_not_unpacked(rest_of):
    """A few kilobytes could become gigabytes; so it is asked for as it is, and taken as it comes."""
    packed = gzip.compress(json.dumps(NOW).encode())
    with RawServer(answering(answer(packed, "Content-Encoding: gzip"))) as server:
        error = call(rest_of(http(server)))

        assert b"Accept-Encoding: identity\r\n" in server.requests[0]
    assert error.reason.startswith("the answer is no JSON object: ")


def dribbling(start: bytes, piece: bytes) -> Act:
    """Give a server that always says a little more, well before a timeout for one byte would end."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        sock.sendall(start)
        while not server.ended.wait(0.02):
            sock.sendall(piece)

    return act


def mute(sock: socket.socket, server: RawServer) -> None:
    server.ended.wait()


SLOW: dict[str, tuple[Act, str]] = {
    "mute": (mute, "http"),
    "mute TLS": (mute, "https"),
    "status": (dribbling(b"HTTP/1.1 200 ", b"x"), "http"),
    "header": (dribbling(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), "http"),
    "headers": (dribbling(b"HTTP/1.1 200 OK\r\n", b"X-Slow: x\r\n"), "http"),
    "body": (dribbling(b"HTTP/1.1 200 OK\r\n\r\n", b" "), "http"),
    "chunks": (dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), "http"),
    "error": (dribbling(b"HTTP/1.1 500 Broken\r\n\r\n", b" "), "http"),
}


@pytest.mark.parametrize("case", SLOW)
def test_deadline_is_for_the_whole_call(case: str, rest_of):
    """A timeout for each byte would let a server hold a thread for ever."""
    act, scheme = SLOW[case]
    with RawServer(act) as server:
        rest = rest_of(f"{scheme}://127.0.0.1:{server.port}", timeout_s=SHORT_S)
        began_s = time.monotonic()

        error = call(rest)

        assert SHORT_S * 0.9 <= time.monotonic() - began_s < SHORT_S + PATIENCE_S
    assert error.reason == f"no whole answer within {SHORT_S} s"


def test_time_that_is_over_at_once_is_no_mistake_of_ours(box, rest_of):
    """A deadline may pass between two bytes, and a socket takes no time below zero."""
    rest = rest_of(box.rest_url, timeout_s=1e-9)

    assert call(rest).reason.endswith(": no answer within 1e-09 s")


def test_each_call_has_a_deadline_of_its_own(box, rest_of):
    """Also on a connection that an earlier call has opened."""
    rest = rest_of(box.rest_url, timeout_s=SHORT_S)
    rest.time_ms()
    with box.fault("rest_timeout"):
        began_s = time.monotonic()

        error = call(rest)

        assert SHORT_S * 0.9 <= time.monotonic() - began_s < SHORT_S + PATIENCE_S
    assert error.reason == f"no whole answer within {SHORT_S} s"


def test_dead_address_leaves_time_for_the_next(box, rest_of, monkeypatch):
    """A host with IPv6 that leads nowhere is common."""
    # A listener whose queue is full answers nobody, as a black hole does.
    hole = socket.create_server(("127.0.0.1", 0), backlog=0)
    crowd = [socket.socket() for _ in range(4)]
    try:
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(hole.getsockname())
        there = ("127.0.0.1", int(box.rest_url.rpartition(":")[2]))
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (hole.getsockname(), there)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: entries)

        assert rest_of("http://localhost:1", timeout_s=2 * SHORT_S).time_ms() > 0
    finally:
        for sock in (hole, *crowd):
            sock.close()


def test_connection_that_came_too_late_is_closed(box, rest_of, monkeypatch):
    """A client that asks every minute for weeks must not collect sockets."""
    times = iter([0.0, 0.0])
    rest = rest_of(box.rest_url)
    monkeypatch.setattr("lbank_ws.trading.transport.time", SimpleNamespace(monotonic=lambda: next(times, 5.0)))
    before = open_sockets()

    error = call(rest)

    assert error.reason.endswith(": no answer within 5 s")
    wait_until(lambda: open_sockets() <= before, what="the end of both ends")


def test_dead_addresses_share_one_deadline(rest_of, monkeypatch):
    """Five black holes must not take five times as long."""
    hole = socket.create_server(("127.0.0.1", 0), backlog=0)
    crowd = [socket.socket() for _ in range(4)]
    try:
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(hole.getsockname())
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", hole.getsockname())] * 5
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: entries)
        began_s = time.monotonic()

        error = call(rest_of("http://localhost:1", timeout_s=SHORT_S))

        assert time.monotonic() - began_s < SHORT_S + PATIENCE_S
        assert error.reason == f"localhost port 1: no answer within {SHORT_S} s"
    finally:
        for sock in (hole, *crowd):
            sock.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_refused_connection_is_named_without_the_address(rest_of):
    """The place is the caller's own, but logs get shared."""
    port = closed_port()

    assert call(rest_of(f"http://127.0.0.1:{port}")).reason == f"x.x.x.x port {port}: Connection refused"


def test_unknown_host_is_named(rest_of, monkeypatch):
    """A typing mistake, or no network at all."""

    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert call(rest_of("https://api.lbkex.example")).reason == (
        "api.lbkex.example port 443: Name or service not known"
    )


def test_ipv6_address_is_dialled(rest_of):
    """`[::1]` is written with brackets in an address, and without them everywhere else."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        listener.settimeout(0.1)
        rest = rest_of(f"http://[::1]:{listener.getsockname()[1]}", timeout_s=SHORT_S)

        assert call(rest).reason == f"no whole answer within {SHORT_S} s"
        listener.accept()[0].close()


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half a status": b"HTTP/1.1 2",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"error_code":0',
    "half a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{"error_code":0',
    "no HTTP": b"220 smtp.example.org ESMTP\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_answer_is_a_failure(case: str, rest_of):
    """What libraries raise then is not ours to pass on."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        sock.sendall(BROKEN[case])

    with RawServer(act) as server:
        error = call(rest_of(http(server)))

    assert error.reason.startswith("the connection broke: ")


# Whom a call trusts.


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def secured(context: ssl.SSLContext, act: Act) -> Act:
    def wrapped(sock: socket.socket, server: RawServer) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            act(tls, server)

    return wrapped


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


def test_named_authority_is_trusted(ca_file, rest_of):
    """A company's own gateway can be reached."""
    context = server_context(AUTHORITY.issue_cert("localhost"))
    with RawServer(secured(context, answering(answer(json.dumps(NOW))))) as server:
        rest = rest_of(f"https://localhost:{server.port}", ca_file=ca_file)

        assert [rest.time_ms() for _ in range(3)] == [1772335196000] * 3
        assert server.connections == 1
        rest.close()  # so that the server's thread ends


def test_deadline_holds_over_tls_too(ca_file, rest_of):
    """TLS reads in records of its own."""
    context = server_context(AUTHORITY.issue_cert("localhost"))
    with RawServer(secured(context, dribbling(b"HTTP/1.1 200 OK\r\n\r\n", b" "))) as server:
        rest = rest_of(f"https://localhost:{server.port}", ca_file=ca_file, timeout_s=2 * SHORT_S)
        began_s = time.monotonic()

        error = call(rest)

        assert time.monotonic() - began_s < 2 * SHORT_S + PATIENCE_S
    assert error.reason == f"no whole answer within {2 * SHORT_S} s"


YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
UNTRUSTED = {
    "unknown authority": lambda: trustme.CA().issue_cert("localhost"),
    "wrong host": lambda: AUTHORITY.issue_cert("example.org"),
    "expired": lambda: AUTHORITY.issue_cert("localhost", not_after=YESTERDAY),
}


@pytest.mark.parametrize("case", UNTRUSTED)
def test_untrusted_server_is_refused(case: str, ca_file, rest_of):
    """A stranger's clock would make old pushes look fresh."""
    with RawServer(secured(server_context(UNTRUSTED[case]()), answering(answer(json.dumps(NOW))))) as server:
        error = call(rest_of(f"https://localhost:{server.port}", ca_file=ca_file))

    assert error.reason.startswith("the certificate is not trusted: ")
    assert not server.requests


def test_server_without_tls_is_refused(rest_of):
    """`https://` in front of a port that speaks plain HTTP is a common mistake."""
    with RawServer(lambda sock, _: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert call(rest_of(f"https://localhost:{server.port}")).reason.startswith("TLS failed: ")


def test_neither_environment_nor_certifi_adds_an_authority(ca_file, rest_of, monkeypatch, tmp_path):
    """Who is trusted is what the system or the caller says, and the feed and the calls trust the same."""
    keys = tmp_path / "keys"
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, ca_file)
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", ca_file)  # what certifi would name
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    context = server_context(AUTHORITY.issue_cert("localhost"))
    with RawServer(secured(context, answering(answer(json.dumps(NOW))))) as server:
        assert call(rest_of(f"https://localhost:{server.port}")).reason.startswith("the certificate is not trusted: ")

        monkeypatch.setenv("SSL_CERT_FILE", ca_file)  # adds it to the system's, which do not count where others do
        error = call(rest_of(f"https://localhost:{server.port}", ca_file=str(other)))
        assert error.reason.startswith("the certificate is not trusted: ")
    assert not keys.exists()


def test_environment_has_no_say(box, rest_of, monkeypatch, tmp_path):
    """A proxy, or a password of a netrc file, would go to whoever the environment names."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(answering(answer(json.dumps(NOW)))) as server:
        assert rest_of(http(server)).time_ms() == 1772335196000

        assert b"authorization" not in server.requests[0].lower()


def test_cookies_are_not_kept(rest_of):
    """They are how a gateway tells users apart."""
    with RawServer(answering(answer(json.dumps(NOW), "Set-Cookie: who=me; Path=/"))) as server:
        rest = rest_of(http(server))
        rest.time_ms()
        rest.time_ms()

        assert b"cookie" not in server.requests[1].lower()


# Proxies.


def relay(near: socket.socket, server: RawServer) -> None:
    """Be an HTTP proxy for one connection."""
    host, _, port = server.request(near).split(b" ")[1].decode().rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as far:
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while not server.ended.is_set():
            for source in select.select([near, far], [], [], 0.05)[0]:
                said = source.recv(65536)
                if not said:
                    return
                (far if source is near else near).sendall(said)


def test_named_proxy_is_used(ca_file, rest_of):
    """Some networks let nothing else out; and it sees nothing of what is said over TLS."""
    context = server_context(AUTHORITY.issue_cert("localhost"))
    with (
        RawServer(secured(context, answering(answer(json.dumps(NOW))))) as server,
        RawServer(relay) as proxy,
    ):
        url = f"https://localhost:{server.port}"
        rest = rest_of(url, ca_file=ca_file, proxy=f"http://somebody:secret@127.0.0.1:{proxy.port}")

        assert [rest.time_ms(), rest.time_ms()] == [1772335196000] * 2
        assert proxy.connections == 1

        rest.close()
        assert rest.time_ms() == 1772335196000
        assert proxy.connections == 2
        assert proxy.requests[0].startswith(f"CONNECT localhost:{server.port} ".encode())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_deadline_holds_behind_a_proxy_too(scheme: str, rest_of):
    """The proxy has connected, and then nobody says anything."""
    with RawServer(mute) as server, RawServer(relay) as proxy:
        rest = rest_of(f"{scheme}://localhost:{server.port}", proxy=f"http://127.0.0.1:{proxy.port}", timeout_s=SHORT_S)
        began_s = time.monotonic()

        error = call(rest)

        assert time.monotonic() - began_s < SHORT_S + PATIENCE_S
    assert error.reason == f"no whole answer within {SHORT_S} s"


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
def test_mute_proxy_is_left_in_time(scheme: str, rest_of):
    """The libraries wait a minute for one, unless they are told."""
    with RawServer(mute) as proxy:
        rest = rest_of("http://localhost:1", proxy=f"{scheme}://127.0.0.1:{proxy.port}", timeout_s=SHORT_S)
        began_s = time.monotonic()

        error = call(rest)

        assert time.monotonic() - began_s < SHORT_S + PATIENCE_S
    assert error.reason == "the proxy did not connect (ProxyTimeoutError)"


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
def test_proxy_that_refuses_is_named_without_its_password(scheme: str, rest_of):
    """It stands in the proxy's address."""
    with RawServer(lambda sock, _: sock.sendall(b"HTTP/1.1 407 secret\r\n\r\n")) as proxy:
        error = call(rest_of("http://localhost:1", proxy=f"{scheme}://somebody:secret@127.0.0.1:{proxy.port}"))

    assert error.reason == "the proxy did not connect (ProxyError)"
    assert "secret" not in repr(error) + str(error)
    assert error.__cause__ is None


def test_proxy_needs_its_extra(rest_of, monkeypatch):
    """Said at once, and with the command that helps."""
    monkeypatch.setitem(sys.modules, "python_socks.sync", None)

    with pytest.raises(MissingExtra, match=r"lbank-ws\[proxy\]"):
        rest_of("https://localhost", proxy="socks5://127.0.0.1:1080")


# How it is made.


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("api.lbkex.com", {}, "https://host"),
        ("wss://api.lbkex.com", {}, "https://host"),
        ("https://somebody:secret@host", {}, "credentials"),
        ("https://host", {"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ("https://host", {"proxy": "https://127.0.0.1:3128"}, "socks5"),
        ("https://host", {"proxy": "socks5h://somebody:secret@127.0.0.1"}, "a host and a port"),
        ("https://host", {"proxy": "socks5://somebody:secret@127.0.0.1:x"}, "a host and a port"),
        ("https://host", {"timeout_s": 0}, "timeout_s"),
    ],
)
def test_what_cannot_work_is_refused_at_once(url: str, options: dict[str, Any], words: str):
    """Not at the first call, on another thread."""
    with pytest.raises(UsageError, match=words) as caught:
        Rest(url, **options)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", DEFAULT_URLS)
def test_default_addresses_can_be_used(url: str):
    """They are tried in this order, and none of them over plain HTTP."""
    assert Rest(url).url == url
    assert url.startswith("https://")


def test_slash_at_the_end_of_the_address_makes_no_difference(box, rest_of):
    """`LBANK_REST_URL` is typed by people."""
    assert rest_of(box.rest_url + "/").time_ms() > 0


@pytest.mark.parametrize(
    "line",
    [
        "import lbank_ws",
        "from lbank_ws.trading.rest import Rest; Rest('https://localhost').close()",
        "import lbank_ws; lbank_ws.LBankClient()",
    ],
)
def test_requests_is_imported_by_the_first_call(line: str):
    """It takes longer than all the rest of this package, and who only listens may never need it."""
    code = f"import sys; {line}; sys.exit('requests' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
