"""Ending: in every state, from every place, at once, with nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from lbank_ws import Ended, GaveUp, LBankClient, UsageError
from tests.plain_exchange import PlainExchange
from tests.raw_server import RawServer, frame
from tests.waiting import open_sockets, our_threads, wait_until


def mute(sock: socket.socket, server: RawServer) -> None:
    """Accept, and say nothing until the client leaves."""
    while sock.recv(4096):
        pass


def half_frame(sock: socket.socket, server: RawServer) -> None:
    """Shake hands, and stop inside a frame."""
    server.handshake(sock)
    sock.sendall(frame(b"{", claims=500))
    mute(sock, server)


def no_goodbye(sock: socket.socket, server: RawServer) -> None:
    """Shake hands, and answer nothing, not even a close."""
    server.handshake(sock)
    mute(sock, server)


@contextmanager
def black_hole() -> Iterator[str]:
    """Give an address that answers no dial: a full backlog swallows it."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(full.getsockname())
        yield f"ws://127.0.0.1:{full.getsockname()[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """Give an address that refuses every dial."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"ws://127.0.0.1:{port}"


@contextmanager
def raw(act: Callable[[socket.socket, RawServer], object], scheme: str = "ws") -> Iterator[str]:
    """Give the address of a raw server."""
    with RawServer(act) as server:
        yield server.url.replace("ws:", f"{scheme}:")


@contextmanager
def good() -> Iterator[str]:
    """Give the address of an exchange that is well."""
    with PlainExchange() as exchange:
        yield exchange.url


PLACES: dict[str, tuple[Callable[[], object], str]] = {
    "while it dials": (black_hole, "connecting"),
    "in a TLS handshake that hangs": (lambda: raw(mute, "wss"), "connecting"),
    "in a WebSocket handshake that hangs": (lambda: raw(mute), "connecting"),
    "on a line that is well": (good, "open"),
    "inside a frame": (lambda: raw(half_frame), "open"),
    "on a line that never says goodbye": (lambda: raw(no_goodbye), "open"),
    "between two dials": (nobody, "waiting"),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Give an address, and the state in which a client stays there."""
    address, state = PLACES[request.param]
    with address() as url:  # type: ignore[attr-defined]  # every one is a context manager
        yield url, state


def client_at(url: str) -> LBankClient:
    """Give a client with waits as long as users have."""
    client = LBankClient(url=url, backoff_first_s=30, backoff_cap_s=30)
    client.on_ticker("btc_usdt")(lambda ticker: None)
    return client


def test_stop_ends_at_once_and_leaves_nothing(place):
    """websocket-client's own close takes up to ten seconds, or never returns."""
    url, state = place
    before = open_sockets()
    client = client_at(url)
    client.start()
    wait_until(lambda: str(client.state) == state)

    began_s = time.monotonic()
    has_ended = client.stop()

    assert has_ended
    assert time.monotonic() - began_s < 1
    assert str(client.state) == "closed"
    assert not our_threads()
    wait_until(lambda: open_sockets() <= before, what="freed sockets")


def test_ctrl_c_ends_run_at_once(place):
    """Whatever the line is doing, the person at the keyboard is not kept waiting."""
    url, state = place
    client = client_at(url)
    pressed_s = []

    def press() -> None:
        wait_until(lambda: str(client.state) == state)
        pressed_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()

    ended = client.run()

    assert ended is Ended.STOPPED
    assert time.monotonic() - pressed_s[0] < 1
    assert not our_threads()
    presser.join()


@pytest.mark.parametrize("kind", ["ticker", "status", "error"])
def test_stop_inside_a_callback_ends_run(kind):
    """A script that has seen enough says so where it sees it."""
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        results = []

        def enough(_: object) -> None:
            results.append(client.stop())

        {"ticker": client.on_ticker, "status": client.on_status, "error": client.on_error}[kind](enough)
        client.subscribe("ticker", "nosuch_usdt")

        assert client.run(for_s=10) is Ended.STOPPED
        assert results
        assert not our_threads()


def test_stop_twice_and_from_many_threads():
    """A finally block and a signal handler may both call it."""
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        client.start()
        threads = [threading.Thread(target=client.stop) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

        assert client.stop()
        assert not our_threads()


def test_stop_before_the_start_opens_nothing():
    """websocket-client forgets such a close and dials all the same."""
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        client.stop()

        assert client.run(for_s=5) is Ended.STOPPED
        assert exchange.connections == 0


def test_stop_says_goodbye():
    """The exchange should see a polite close with code 1000."""
    codes = []

    class Exchange(PlainExchange):
        def _serve(self, line):
            super()._serve(line)
            codes.append(line.close_code)

    with Exchange() as exchange:
        client = client_at(exchange.url)
        client.start()
        wait_until(lambda: exchange.asked)
        client.stop()
        wait_until(lambda: codes)

    assert codes == [1000]


def test_events_that_came_before_the_stop_are_handed_over():
    """What was received is not thrown away."""
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        prices = []
        client.on_ticker("eth_usdt")(prices.append)
        client.on_ticker("btc_usdt")(lambda ticker: wait_until(lambda: str(client.state) == "closed"))
        client.start()
        wait_until(lambda: len(exchange.asked) == 2)
        wait_until(lambda: client._dispatch.waiting >= 1)

        client.stop()

    assert len(prices) == 1


def test_callback_that_never_returns_does_not_hold_up_stop():
    """Its thread is a daemon, so that the program can end as well."""
    release = threading.Event()
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        began = threading.Event()
        client.on_ticker("btc_usdt")(lambda ticker: (began.set(), release.wait(30)))
        client.start()
        assert began.wait(5)

        began_s = time.monotonic()
        has_ended = client.stop(timeout_s=0.3)

        assert not has_ended
        assert time.monotonic() - began_s < 1
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("lbank-ws"))
    release.set()
    wait_until(lambda: not our_threads())


def test_run_gives_up_when_told_to():
    """A cron job must not wait for a dead exchange until the next one starts."""
    with nobody() as url:
        client = LBankClient(url=url, backoff_first_s=0.05, backoff_cap_s=0.1, give_up_after_s=0.3)
        client.on_ticker("btc_usdt")(lambda ticker: None)

        with pytest.raises(GaveUp, match=r"gave up after 0\.\d s") as caught:
            client.run(for_s=20)

    assert caught.value.attempts >= 2
    assert caught.value is client.error
    assert not our_threads()


def test_run_inside_a_callback_is_refused():
    """It would wait for itself."""
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        errors = []

        @client.on_ticker
        def again(ticker):
            with pytest.raises(UsageError) as caught:
                client.run()
            errors.append(caught.value)

        client.run(for_s=10, until=lambda: errors)

    assert "callback" in str(errors[0])


def test_random_stops_leave_nothing_behind():
    """Two hundred stops at random moments: no thread, no socket, no hang."""
    chance = random.Random(7)
    before = open_sockets()
    with PlainExchange() as exchange, nobody() as gone:
        for _ in range(200):
            client = client_at(chance.choice([exchange.url, exchange.url, gone]))
            client.start()
            if chance.random() < 0.8:
                threading.Event().wait(chance.random() * 0.02)

            began_s = time.monotonic()
            assert client.stop()
            assert time.monotonic() - began_s < 1
        assert not our_threads()
    wait_until(lambda: open_sockets() <= before + 2, what="freed sockets")
