"""The practice exchange on real sockets: addresses, endings, restarts, slow clients, and the age of what it sends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from urllib.error import HTTPError

import pytest
import websocket

from lbank_ws.sandbox import Sandbox, VisitorView
from lbank_ws.sandbox import line as line_module

DEADLINE_S = 10.0
PAIRS = ("btc_usdt", "lbk_usdt")
THREAD = "lbank-ws-sandbox"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=PAIRS) as opened:
        yield opened


@contextmanager
def client(url: str, *said: dict[str, object]) -> Iterator[websocket.WebSocket]:
    line = websocket.create_connection(url, timeout=DEADLINE_S, skip_utf8_validation=True)
    try:
        for each in said:
            line.send(json.dumps(each))
        yield line
    finally:
        line.shutdown()


def eventually(is_so: Callable[[], object]) -> None:
    """Wait until something is so, or fail at the deadline."""
    until = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < until, "it never became so"
        threading.Event().wait(0.005)


def first(line: websocket.WebSocket, is_wanted: Callable[[dict], bool]) -> dict:
    """Read until a wanted frame comes."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        message = json.loads(line.recv())
        if is_wanted(message):
            return message
    raise AssertionError("no such frame came")


def close_code(line: websocket.WebSocket) -> int:
    """Read until the close frame comes, and give its code."""
    while True:
        opcode, payload = line.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(payload[:2], "big")


def subscribe(channel: str, pair: str = "btc_usdt", **more: object) -> dict[str, object]:
    return {"action": "subscribe", "subscribe": channel, "pair": pair, **more}


def box_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


# --- addresses


@pytest.mark.parametrize("path", ["", "/", "/ws/V2/"])
def test_v2_answers_on_its_path_and_without_one(box, path):
    """A beginner may leave the path out."""
    with client(box.url + path, subscribe("tick")) as line:
        assert json.loads(line.recv())["SERVER"] == "V2"


def test_the_simple_dialect_answers_on_its_own_path(box):
    """One port serves both."""
    with client(box.simple_url, {"sub": "market.btcusdt.ticker", "id": "1"}) as line:
        assert json.loads(line.recv())["subbed"] == "market.btcusdt.ticker"
        assert json.loads(line.recv())["ch"] == "market.btcusdt.ticker"


def test_addresses_are_on_the_loopback(box):
    """A practice exchange is nobody else's business."""
    port = box.url.rpartition(":")[2]

    assert box.url == f"ws://127.0.0.1:{port}"
    assert box.v2_url == f"ws://127.0.0.1:{port}/ws/V2/"
    assert box.simple_url == f"ws://127.0.0.1:{port}/ws"
    assert box.rest_url == f"http://127.0.0.1:{port}"


def test_there_is_no_address_before_the_start():
    """A URL with port 0 would fail far from the mistake."""
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        _ = Sandbox().url


def test_other_paths_are_not_found(box):
    """A misspelt path must not look like a working one."""
    with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
        websocket.create_connection(box.url + "/ws/V3/", timeout=DEADLINE_S)


def test_plain_http_is_refused_politely(box):
    """Somebody will open it in a browser."""
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(box.rest_url, timeout=DEADLINE_S)

    with refused.value:
        assert refused.value.code == 400


def test_compression_is_declined(box):
    """LBank declines every offer of it."""
    offer = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]

    with closing(websocket.create_connection(box.v2_url, header=offer, timeout=DEADLINE_S)) as line:
        assert "sec-websocket-extensions" not in line.getheaders()


# --- what flows


def test_pushes_flow_on_all_channels(box):
    """The one test that has no other promise but that it works."""
    wanted = [subscribe("tick"), subscribe("depth", depth=5), subscribe("trade"), subscribe("kbar", kbar="1min")]

    with client(box.v2_url, *wanted) as line:
        for channel in ("tick", "depth", "kbar", "trade", "tick", "depth"):
            assert first(line, lambda message, channel=channel: message["type"] == channel)


def test_a_push_is_a_few_ms_old(box):
    """The client measures ages; the box must not be the cause of what it measures."""
    ages = []
    with client(box.v2_url, subscribe("tick"), subscribe("depth", depth=5)) as line:
        line.recv()
        for _ in range(20):
            message = json.loads(line.recv())
            ages.append(time.time() - datetime.fromisoformat(message["TS"] + "+08:00").timestamp())

    assert min(ages) > -0.002
    assert sorted(ages)[10] < 0.09


def test_speed_makes_the_market_faster():
    """A tutorial must not wait minutes for a bar to end."""
    with Sandbox(pairs=PAIRS, speed=60) as box, client(box.v2_url, subscribe("kbar", kbar="1min")) as line:
        began = json.loads(line.recv())["kbar"]["t"]
        first(line, lambda message: message["kbar"]["t"] > began)
        assert box.visitors()


def test_an_error_leaves_the_line_open(box):
    """LBank keeps it open, too."""
    with client(box.v2_url, subscribe("tick", "no_such"), subscribe("tick")) as line:
        assert "Invalid order pairs:[no_such]" in json.loads(line.recv())["message"]
        assert json.loads(line.recv())["type"] == "tick"


def test_visitors_tell_what_is_subscribed(box):
    """Tests of clients assert on it."""
    with client(box.v2_url, subscribe("depth", depth=20), subscribe("kbar", kbar="1min"), subscribe("tick")) as line:
        for _ in range(3):
            line.recv()

        (view,) = box.visitors()

    assert view == VisitorView(
        1, "v2", frozenset({"depth/btc_usdt/20", "kline/btc_usdt/1min", "ticker/btc_usdt"}), pongs=0
    )
    eventually(lambda: box.visitors() == [])
    assert box.connections == 1


def test_a_broadcast_reaches_everybody_as_it_is(box):
    """Broken frames are injected with it."""
    with client(box.v2_url) as one, client(box.simple_url) as other:
        eventually(lambda: len(box.visitors()) == 2)

        box.broadcast("{not json")

        assert one.recv() == other.recv() == "{not json"


def test_rfc_pings_are_left_unanswered(box):
    """LBank's answers to them cannot be relied on, so a client must not need them."""
    with client(box.v2_url) as line:
        line.ping("are you there")
        line.send('{"action":"ping","ping":"json"}')

        assert line.recv_data(control_frame=True) == (
            websocket.ABNF.OPCODE_TEXT,
            b'{"action":"pong","pong":"json"}',
        )


# --- the heartbeat


def test_a_client_that_answers_pings_stays():
    """And the box counts its pongs."""
    with Sandbox(pairs=PAIRS, ping_every_s=0.1, pong_within_s=0.3) as box, client(box.v2_url) as line:
        for _ in range(6):
            ping = json.loads(line.recv())
            line.send(json.dumps({"action": "pong", "pong": ping["ping"]}))

        eventually(lambda: [view.pongs for view in box.visitors()] == [6])


def test_a_client_that_leaves_a_ping_unanswered_is_cut():
    """The most common mistake of all."""
    with Sandbox(pairs=PAIRS, ping_every_s=0.1, pong_within_s=0.2) as box, client(box.simple_url) as line:
        assert close_code(line) == 1000


def test_the_heartbeat_goes_in_real_time_at_every_speed():
    """No client answers faster because the market runs faster."""
    with Sandbox(pairs=PAIRS, speed=1000, ping_every_s=60) as box, client(box.v2_url, subscribe("tick")) as line:
        for _ in range(50):
            assert "ping" not in json.loads(line.recv())


# --- endings


def test_disconnect_closes_with_its_code_and_welcomes_new_lines(box):
    """LBank does so now and then, right after a pong."""
    with client(box.v2_url, subscribe("tick")) as line, client(box.simple_url) as other:
        eventually(lambda: len(box.visitors()) == 2)
        box.broadcast('"last words"')

        box.disconnect(1012)

        assert first(line, lambda message: message == "last words")
        assert close_code(line) == close_code(other) == 1012
    with client(box.v2_url, subscribe("tick")) as line:
        assert line.recv()
    assert box.connections == 3


def test_a_client_that_is_just_sending_still_sees_the_close_code(box):
    """A reset instead would make a polite close look like a broken line."""
    for _ in range(20):
        with client(box.v2_url) as line:
            eventually(box.visitors)
            box.disconnect(1001)
            for _ in range(20):
                line.send('{"action":"pong","pong":"x"}')
            assert close_code(line) == 1001
        eventually(lambda: not box.visitors())


def test_abort_resets_the_lines_and_welcomes_new_ones(box):
    """A cable pulled looks like this."""
    with client(box.v2_url) as line:
        eventually(box.visitors)

        box.abort()

        with pytest.raises(ConnectionResetError):
            line.recv()
    eventually(lambda: not box.visitors())
    with client(box.v2_url, subscribe("tick")) as line:
        assert line.recv()


def test_stop_is_quick_and_leaves_no_thread_and_no_port():
    """Test suites start hundreds of boxes."""
    box = Sandbox(pairs=PAIRS)
    box.start()
    with client(box.v2_url, subscribe("tick")) as line:
        eventually(box.visitors)

        began = time.monotonic()
        box.stop()
        took_s = time.monotonic() - began

        assert took_s < 2
        assert not box_threads()
        assert close_code(line) == 1001
    with pytest.raises(ConnectionRefusedError):
        websocket.create_connection(box.v2_url, timeout=DEADLINE_S)


def test_stop_does_not_wait_for_a_client_that_is_stuck(box):
    """It may be the very thing under test."""
    with client(box.v2_url):
        eventually(box.visitors)
        for _ in range(100):
            box.broadcast("x" * 100_000)

        began = time.monotonic()
        box.stop()

        assert time.monotonic() - began < 2
        assert not box_threads()


def test_disconnect_gets_rid_of_a_client_that_is_stuck(box):
    """It cannot even be told, so its line is reset."""
    with client(box.v2_url):
        eventually(box.visitors)
        for _ in range(100):
            box.broadcast("x" * 100_000)

        box.disconnect()

        eventually(lambda: not box.visitors())


def test_start_and_stop_may_be_called_twice(box):
    """Teardown code does."""
    address = box.url
    box.start()
    assert len(box_threads()) == 1
    box.stop()
    box.stop()

    assert box.url == address
    assert box.visitors() == []
    box.broadcast("nobody hears it")


def test_a_box_restarts_on_its_port_twenty_times_in_a_row(box):
    """Reconnecting is tested like that."""
    address = box.url
    for turn in range(20):
        with client(box.v2_url, subscribe("tick")) as line:
            assert line.recv()
            if turn % 2:
                box.abort()
            box.stop()
        box.start()

    assert box.url == address
    assert box.connections == 20


def test_the_market_goes_on_while_the_box_is_stopped():
    """What was missed can be asked for afterwards; filling holes is tested like that."""
    with Sandbox(pairs=PAIRS, speed=100) as box:
        with client(box.v2_url, {"action": "request", "request": "tick", "pair": "btc_usdt"}) as line:
            before = json.loads(line.recv())
        box.stop()
        box.start()
        with client(box.v2_url, {"action": "request", "request": "trade", "pair": "btc_usdt", "size": 100}) as line:
            after = json.loads(line.recv())

    assert after["trades"]
    assert after["TS"] > before["TS"]


def test_a_taken_port_raises_where_start_is_called(box):
    """In a thread of the box nobody would see it."""
    taken = int(box.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        Sandbox(port=taken).start()


# --- many clients, slow clients


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(box, monkeypatch):
    """Its frames would fill the memory of the box."""
    monkeypatch.setattr(line_module, "WAITING_FRAMES", 50)
    with client(box.v2_url) as slow, client(box.v2_url) as quick:
        eventually(lambda: len(box.visitors()) == 2)
        for _ in range(200):
            box.broadcast("x" * 100_000)
            assert quick.recv() == "x" * 100_000

        eventually(lambda: [view.id for view in box.visitors()] == [2])
        with pytest.raises(ConnectionError):
            slow.send("are you there")


def test_twenty_clients_see_the_same_trades(box):
    """One rendering serves all; nobody is left out."""
    lines = [websocket.create_connection(box.v2_url, timeout=DEADLINE_S) for _ in range(20)]
    try:
        for line in lines:
            line.send(json.dumps(subscribe("trade")))
        eventually(lambda: sum(len(view.subscriptions) for view in box.visitors()) == 20)
        box.broadcast("{}")

        heard = []
        for line in lines:
            while line.recv() != "{}":
                pass
            heard.append([line.recv() for _ in range(5)])
    finally:
        for line in lines:
            line.shutdown()

    assert all(each == heard[0] for each in heard)


def test_clients_that_hang_up_in_the_handshake_are_no_error(box, caplog):
    """A program that ends at once is no fault of the exchange, and its user should not read a traceback about it."""
    address = box.v2_url.removeprefix("ws://").partition("/")[0]
    host, _, port = address.rpartition(":")
    handshake = (
        f"GET /ws/V2/ HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    for _ in range(100):
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as hasty:
            hasty.sendall(handshake.encode())
    with client(box.v2_url, subscribe("trade")) as line:
        assert first(line, lambda message: message.get("type") == "trade")

    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


# --- the package


def test_importing_the_sandbox_does_not_need_aiohttp_but_starting_does():
    """It is an extra; the error names it."""
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from lbank_ws.sandbox import Sandbox\n"
        "try: Sandbox().start()\n"
        "except ImportError as missing: print(missing)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    ).stdout

    assert said == "the practice exchange needs the package aiohttp: pip install 'lbank-ws[sandbox]'\n"


@pytest.mark.parametrize("wrong", [{"speed": -1}, {"ping_every_s": -1}, {"pong_within_s": 0}, {"pairs": ["BTC/USDT"]}])
def test_a_box_that_cannot_work_is_refused_at_once(wrong):
    """Not in its thread, later."""
    with pytest.raises(ValueError, match=r"above zero|base_quote"):
        Sandbox(**wrong)
