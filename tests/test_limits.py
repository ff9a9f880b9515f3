"""How much of a hostile server a client puts up with: bytes are counted before they are memory."""

from __future__ import annotations

import json
import socket
import tracemalloc
import zlib

import pytest

from lbank_ws import Cause, DecodeError
from tests.plain_exchange import TICK, PlainExchange
from tests.raw_server import RawServer, frame
from tests.waiting import line_kinds, wait_until

pytestmark = pytest.mark.usefixtures("reader")

LIMIT = 100_000


def padded(size: int) -> str:
    """Give a push of a price, of so many bytes."""
    push = {"type": "tick", "pair": "btc_usdt", "tick": TICK, "pad": ""}
    return json.dumps({**push, "pad": "x" * (size - len(json.dumps(push)))})


def test_longest_message_is_the_callers_to_say(make_client):
    """Whoever has little memory, or one gateway that sends much, is not bound to our guess."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url, max_message_bytes=LIMIT)
        prices, statuses = [], []
        client.on_ticker("btc_usdt")(prices.append)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: len(prices) == 1)

        exchange.say(padded(LIMIT - 20))  # the frame's header counts too
        wait_until(lambda: len(prices) == 2)
        exchange.say(padded(LIMIT + 1))
        wait_until(lambda: len(prices) == 3, what="the first price of the next line")

        assert line_kinds(statuses) == ["opened", "lost", "reconnected"]
        assert [status.cause.cause for status in statuses if status.kind == "lost"] == [Cause.TOO_LARGE]


def test_large_messages_within_the_usual_limit_pass(make_client):
    """Four MiB are a thousand books."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url)
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()
        wait_until(lambda: len(prices) == 1)

        exchange.say(padded(4 * 1024 * 1024 - 100))

        wait_until(lambda: len(prices) == 2)


def test_nothing_is_unpacked(make_client):
    """Compression was not asked for; a kilobyte that unpacks to a gigabyte is a protocol error and no gigabyte."""
    packer = zlib.compressobj(wbits=-15)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()

    def act(sock: socket.socket, server: RawServer) -> None:
        server.handshake(sock, "Sec-WebSocket-Extensions: permessage-deflate")
        sock.sendall(frame(bomb, rsv=4))
        server.ended.wait(10)

    with RawServer(act) as server:
        tracemalloc.start()
        client = make_client(server.url)
        statuses = []
        client.on_ticker("btc_usdt")(lambda ticker: None)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: any(status.kind in ("lost", "failed") for status in statuses))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        client.stop()

    assert peak < 16 * 1024 * 1024
    assert next(status for status in statuses if status.cause).cause.cause in (Cause.BROKEN, Cause.HANDSHAKE)
    assert b"sec-websocket-extensions" not in server.requests[0].lower()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"type":"tick","pair":"btc_usdt","tick":' + "9" * 10**5]
)
def test_message_that_is_a_trap_for_readers_costs_itself_alone(text, make_client):
    """A hundred thousand brackets overflow a reader that calls itself; digits without end take it hours."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url)
        prices, errors, statuses = [], [], []
        client.on_ticker("btc_usdt")(prices.append)
        client.on_error(errors.append)
        client.on_status(statuses.append)
        client.start()
        wait_until(lambda: len(prices) == 1)

        exchange.say(text)
        exchange.say(padded(500))

        wait_until(lambda: len(prices) == 2)
        assert [type(error) for error in errors] == [DecodeError]
        assert line_kinds(statuses) == ["opened"]
