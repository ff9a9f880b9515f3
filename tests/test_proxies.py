"""A proxy that was named is used, for TLS as well; what it does wrong is told without its password, and in time."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme

from lbank_ws import Cause, GaveUp
from tests.plain_exchange import PlainExchange
from tests.raw_server import RawServer
from tests.test_tls import server_context
from tests.waiting import our_threads, wait_until

SCHEMES = ["http", "socks4", "socks5", "socks5h"]
AUTHORITY = trustme.CA()
SECRET = "canary-71c2"  # the proxy's password


def exactly(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    got = b""
    while len(got) < size:
        piece = sock.recv(size - len(got))
        if not piece:
            raise ConnectionError("the client left")
        got += piece
    return got


def until_zero(sock: socket.socket) -> bytes:
    """Read a text that ends with a zero byte."""
    got = b""
    while not got.endswith(b"\0"):
        got += exactly(sock, 1)
    return got[:-1]


def port_asked_http(sock: socket.socket, server: RawServer) -> int:
    """Take a CONNECT and say yes."""
    head = server.request(sock)
    sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    return int(head.split()[1].rpartition(b":")[2])


def port_asked_socks4(sock: socket.socket, server: RawServer) -> int:
    """Take a SOCKS4 request, with a name in place of an address or without, and say yes."""
    asked = exactly(sock, 8)
    server.requests.append(until_zero(sock))
    if asked[4:7] == b"\0\0\0":
        until_zero(sock)
    sock.sendall(b"\0\x5a" + bytes(6))
    return int.from_bytes(asked[2:4], "big")


def port_asked_socks5(sock: socket.socket, server: RawServer) -> int:
    """Ask for a password, take a SOCKS5 request and say yes."""
    exactly(sock, exactly(sock, 2)[1])
    sock.sendall(b"\x05\x02")
    user = exactly(sock, exactly(sock, 2)[1])
    server.requests.append(user + b":" + exactly(sock, exactly(sock, 1)[0]))
    sock.sendall(b"\x01\x00")
    kind = exactly(sock, 4)[3]
    exactly(sock, {1: 4, 3: 0, 4: 16}[kind] or exactly(sock, 1)[0])
    port = int.from_bytes(exactly(sock, 2), "big")
    sock.sendall(b"\x05\0\0\x01" + bytes(6))
    return port


TALKS = {
    "http": port_asked_http,
    "socks4": port_asked_socks4,
    "socks5": port_asked_socks5,
    "socks5h": port_asked_socks5,
}


def relays(talk: Callable[[socket.socket, RawServer], int]) -> Callable[[socket.socket, RawServer], None]:
    """Let a client through to a port of this machine."""

    def act(sock: socket.socket, server: RawServer) -> None:
        with socket.create_connection(("127.0.0.1", talk(sock, server)), timeout=5) as far:
            far.settimeout(None)
            back = threading.Thread(target=pour, args=(far, sock), daemon=True)
            back.start()
            pour(sock, far)
            back.join(5)

    return act


def pour(near: socket.socket, far: socket.socket) -> None:
    """Hand on what comes until there is no more."""
    with contextlib.suppress(OSError):
        while piece := near.recv(65536):
            far.sendall(piece)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """Give a kind of proxy."""
    return str(request.param)


@pytest.fixture
def proxy(scheme: str) -> Iterator[RawServer]:
    """Give a proxy of that kind that works."""
    with RawServer(relays(TALKS[scheme])) as server:
        yield server


def test_prices_flow_over_tls_through_a_named_proxy(scheme, proxy, tmp_path, make_client, caplog):
    """Some networks let nothing else out; drops are healed there as elsewhere."""
    caplog.set_level(logging.DEBUG)
    authority = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    with PlainExchange(tls=server_context(AUTHORITY.issue_cert("localhost"))) as exchange:
        client = make_client(
            exchange.url, ca_file=str(authority), proxy=f"{scheme}://somebody:{SECRET}@127.0.0.1:{proxy.port}"
        )
        prices, statuses = [], []
        client.on_ticker("btc_usdt")(prices.append)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: prices)

        exchange.each(lambda line: line.close(1000))

        wait_until(lambda: len(prices) >= 2)
        assert proxy.connections == 2
        assert SECRET not in caplog.text + repr(statuses) + repr(client.lines()) + repr(client)


def refuses(sock: socket.socket, server: RawServer) -> None:
    """Say no in words that hold what must not come out."""
    sock.recv(4096)
    sock.sendall(f"HTTP/1.1 407 {SECRET}\r\n\r\n".encode())


def leaves(sock: socket.socket, server: RawServer) -> None:
    """Hang up."""
    sock.recv(4096)


def never_answers(sock: socket.socket, server: RawServer) -> None:
    """Say nothing until the client leaves."""
    while sock.recv(4096):
        pass


@pytest.mark.parametrize("act", [refuses, leaves])
def test_proxy_that_does_not_connect_is_named_without_its_password(act, scheme, make_client, caplog):
    """It stands in the proxy's address, and in what some proxies answer."""
    caplog.set_level(logging.DEBUG)
    with RawServer(act) as server:
        client = make_client(
            "ws://localhost:1", proxy=f"{scheme}://somebody:{SECRET}@127.0.0.1:{server.port}", give_up_after_s=0
        )
        client.on_ticker("btc_usdt")(lambda ticker: None)

        with pytest.raises(GaveUp) as caught:
            client.run(for_s=10)

    assert caught.value.last.cause is Cause.UNREACHABLE
    assert "the proxy did not connect" in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.last) + caplog.text


def test_proxy_that_is_away_is_told_apart_from_the_exchange(scheme, make_client):
    """Whoever reads the log must know which of the two to look after."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = make_client("ws://localhost:1", proxy=f"{scheme}://127.0.0.1:{port}", give_up_after_s=0)
    client.on_ticker("btc_usdt")(lambda ticker: None)

    with pytest.raises(GaveUp) as caught:
        client.run(for_s=10)

    assert caught.value.last.cause is Cause.UNREACHABLE
    assert "the proxy did not connect" in str(caught.value)


def test_stop_does_not_wait_for_a_proxy_that_says_nothing(scheme, make_client):
    """Ctrl-C works at once behind a proxy too."""
    with RawServer(never_answers) as server:
        client = make_client("ws://localhost:1", proxy=f"{scheme}://127.0.0.1:{server.port}")
        client.on_ticker("btc_usdt")(lambda ticker: None)
        client.start()
        wait_until(lambda: server.connections)

        began_s = time.monotonic()
        assert client.stop()

        assert time.monotonic() - began_s < 1
        assert not our_threads()


def test_proxies_of_the_environment_are_not_used(make_client, monkeypatch):
    """A variable that was set for another program must not lead prices through a stranger."""
    with RawServer(never_answers) as proxy, PlainExchange() as exchange:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        client = make_client(exchange.url)
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()

        wait_until(lambda: prices)

        assert proxy.connections == 0
