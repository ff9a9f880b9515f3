"""Every fault of the practice exchange, seen by clients that know nothing of this package: raw lines, plain sockets."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import websocket

from lbank_ws.cli import main
from lbank_ws.cli import sandbox as sandbox_verb
from lbank_ws.cli.box import running_box
from lbank_ws.cli.exits import Exit
from lbank_ws.sandbox import Sandbox
from lbank_ws.sandbox.faults.active import Faults, Torment
from lbank_ws.sandbox.faults.fault import FAULTS
from lbank_ws.sandbox.faults.frames import Frame, Raw, parsed, printed, read_frame
from lbank_ws.sandbox.faults.parameters import make_fault, signature_of, summary_of
from lbank_ws.sandbox.faults.script import read_script
from tests.trading_floor import KEY, SECRET, signed
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
PAIRS = ("btc_usdt", "eth_usdt")
WITHIN_S = 5.0
BOOK = '{"depth":{"asks":[["101","1"]],"bids":[["99.5","2"]]},"count":1,"type":"depth","pair":"btc_usdt","TS":"%s"}'
TRADE = '{"trade":{"price":4.0E-5,"n":%d},"type":"trade","pair":"btc_usdt","TS":"2026-01-01T00:00:00.000"}'


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(pairs=PAIRS, speed=20, rate_limits=False) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000"})
        yield box


@pytest.fixture
def box(running: Sandbox) -> Iterator[Sandbox]:
    """One box for all; each test finds it sound."""
    yield running
    running.heal()
    wait_until(lambda: not running.visitors(), what="the end of every line")


@contextmanager
def line_to(box: Sandbox, *said: dict[str, object], url: str | None = None) -> Iterator[websocket.WebSocket]:
    line = websocket.create_connection(url or box.v2_url, timeout=WITHIN_S, skip_utf8_validation=True)
    try:
        for each in said:
            line.send(json.dumps(each))
        yield line
    finally:
        line.shutdown()


def subscribe(channel: str, pair: str = "btc_usdt", **more: object) -> dict[str, object]:
    return {"action": "subscribe", "subscribe": channel, "pair": pair, **more}


DEPTH, TICK, TRADES = subscribe("depth", depth=5), subscribe("tick"), subscribe("trade")
REQUEST = {"action": "request", "request": "tick", "pair": "btc_usdt"}


def pushes(line: websocket.WebSocket, count: int, *, of: str = "", pair: str = "") -> list[dict[str, Any]]:
    """Read until so many pushes of a channel came; what cannot be read is skipped."""
    found: list[dict[str, Any]] = []
    until_s = time.monotonic() + WITHIN_S
    while len(found) < count:
        assert time.monotonic() < until_s, f"only {len(found)} came"
        with contextlib.suppress(ValueError):
            said = json.loads(line.recv())
            if isinstance(said, dict) and said.get("type", "") != "" and of in said["type"] and pair in said["pair"]:
                found.append(said)
    return found


def end_of(line: websocket.WebSocket) -> int | str:
    """Read until the line ends, and tell how: the close code, `eof` or `reset`."""
    try:
        while True:
            opcode, payload = line.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(payload[:2], "big")
    except ConnectionResetError:
        return "reset"
    except websocket.WebSocketConnectionClosedException:
        return "eof"


def top(push: dict[str, Any]) -> tuple[float, float]:
    """Give the best ask and bid."""
    book = push["depth"]
    return float(book["asks"][0][0]), float(book["bids"][0][0])


def age_s(push: dict[str, Any]) -> float:
    return time.time() - datetime.fromisoformat(push["TS"] + "+08:00").timestamp()


def rest(box: Sandbox, path: str, *, method: str = "GET", timeout_s: float = WITHIN_S, **asked: object) -> Any:
    """Ask and give the decoded answer."""
    url = f"{box.rest_url}{path}?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=timeout_s) as answer:
        return json.loads(answer.read())


def place_order(box: Sandbox) -> dict[str, Any]:
    asked = {"symbol": "btc_usdt", "type": "buy", "price": "40000", "amount": "0.01"}
    body, headers = signed(KEY, SECRET, int(time.time() * 1000), asked)
    request = urllib.request.Request(
        box.rest_url + "/v2/supplement/create_order.do", urllib.parse.urlencode(body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
        return json.loads(answer.read())


class Plain:
    """A client on a plain socket, that sees every segment.

    Attributes:
        head: The answer to the handshake.
    """

    def __init__(self, box: Sandbox, *said: dict[str, object]) -> None:
        port = int(box.url.rpartition(":")[2])
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
        self.sock.sendall(
            b"GET /ws/V2/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.exactly(1)
        for each in said:
            self.say(each)

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, said: dict[str, object]) -> None:
        payload = json.dumps(said).encode()
        assert len(payload) < 126
        self.sock.sendall(bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)

    def segment(self) -> bytes:
        return self.sock.recv(1 << 20)

    def exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            piece = self.sock.recv(count - len(got))
            if not piece:
                raise EOFError(got)
            got += piece
        return got

    def frame(self) -> tuple[int, int, bytes]:
        """Read a frame: its first byte, the length it claims, its payload."""
        first, length = self.exactly(2)
        if length == 126:
            length = int.from_bytes(self.exactly(2), "big")
        elif length == 127:
            length = int.from_bytes(self.exactly(8), "big")
            if length > 1 << 32:
                return first, length, b""
        return first, length, self.exactly(length)


# --- dials and handshakes


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_refused_dials_work_again_when_it_is_over(box, how):
    """Reconnect loops are tested with it; a port that stays closed would end the test."""
    with line_to(box, DEPTH) as old:
        with box.fault("refuse_dial", how=how), pytest.raises(ConnectionError) as refused:
            websocket.create_connection(box.v2_url, timeout=WITHIN_S)

        assert pushes(old, 2)
        with line_to(box, DEPTH) as line:
            assert pushes(line, 1)
    assert isinstance(refused.value, ConnectionRefusedError) == (how == "closed")


def test_accepted_silence_says_nothing_and_is_reset_at_its_end(box):
    """Only a deadline of the client's own ends such a handshake."""
    with box.fault("accept_silence"):
        sock = socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2])), timeout=WITHIN_S)
        sock.sendall(b"GET /ws/V2/ HTTP/1.1\r\n\r\n")
        assert select.select([sock], [], [], 0.3)[0] == []

    with pytest.raises(ConnectionResetError), sock:
        sock.recv(1)


def test_handshake_status_comes_with_its_header_and_page(box):
    """Clients must wait as long as `Retry-After` says, and must not print the page."""
    with (
        box.fault("handshake_status", status=429, retry_after_s=7, body="<b>slow down</b>"),
        pytest.raises(websocket.WebSocketBadStatusException) as refused,
    ):
        websocket.create_connection(box.v2_url, timeout=WITHIN_S)

    assert refused.value.status_code == 429
    assert refused.value.resp_headers["retry-after"] == "7"
    assert refused.value.resp_body == b"<b>slow down</b>"


def test_handshake_redirect_names_the_other_address(box):
    """A client that follows it takes its headers there."""
    with box.fault("handshake_redirect", to="ws://127.0.0.1:9/x", status=307), Plain(box) as plain:
        head = plain.head

    assert head.startswith(b"HTTP/1.1 307 ")
    assert b"\r\nLocation: ws://127.0.0.1:9/x\r\n" in head


# --- what pushes say


def test_mute_silences_one_subscription_and_no_other(box):
    """The commonest failure of LBank: the line lives, one pair is silent."""
    with (
        box.fault("mute", pair="btc_usdt", channel="depth"),
        line_to(box, DEPTH, TICK, subscribe("depth", "eth_usdt", depth=5)) as line,
    ):
        heard = {(each["type"], each["pair"]) for each in pushes(line, 40)}
        line.send('{"action":"request","request":"depth","depth":5,"pair":"btc_usdt"}')
        wait_until(lambda: "asks" in json.loads(line.recv()), what="the reply to a request")

    assert heard == {("tick", "btc_usdt"), ("depth", "eth_usdt")}


def test_no_replies_leaves_questions_open_and_pushes_alone(box):
    """LBank documents requests; who counts on an answer waits for ever."""
    with box.fault("no_replies"), line_to(box, REQUEST, DEPTH) as line:
        heard = {each["type"] for each in pushes(line, 10)}
        box.heal()
        line.send(json.dumps(REQUEST))
        pushes(line, 1, of="tick")

    assert heard == {"depth"}


@pytest.mark.parametrize(("said", "key"), [(DEPTH, "depth"), (TICK, "tick")], ids=["depth", "ticker"])
def test_freeze_repeats_the_old_state_under_fresh_times(box, said, key):
    """Only a comparison with something else shows it; every clock says that all is well."""
    with box.fault("freeze"), line_to(box, said) as line:
        frozen = pushes(line, 8, of=key)

    assert all(each[key] == frozen[0][key] for each in frozen)
    assert len({each["TS"] for each in frozen}) > 4


@pytest.mark.parametrize("fault", ["mute", "freeze"])
def test_ticker_that_was_asked_for_tells_the_truth(box, fault):
    """It looks like a push, and is the only way to find out that pushes are frozen or gone."""
    with box.fault(fault, pair="btc_usdt"), line_to(box, REQUEST) as line:
        (before,) = pushes(line, 1)
        trades = len(box.truth.trades("btc_usdt"))
        wait_until(lambda: len(box.truth.trades("btc_usdt")) > trades, what="a trade")
        line.send(json.dumps(REQUEST))
        (after,) = pushes(line, 1)

    assert after["tick"]["vol"] > before["tick"]["vol"]


def test_freeze_lets_trades_go_on(box):
    """A frozen trade would be a duplicate."""
    with box.fault("freeze"), line_to(box, TRADES) as line:
        assert len({json.dumps(each["trade"]) for each in pushes(line, 4, of="trade")}) == 4


def test_late_frames_wait_in_a_queue_and_keep_their_true_time(box):
    """A client that measures the age of what it gets must find it, and only there."""
    with Sandbox(pairs=PAIRS) as slow, slow.fault("late", delay_s=0.5), line_to(slow, TICK) as line:
        ages = [age_s(each) for each in pushes(line, 5)]

    assert min(ages) >= 0.5


def test_late_lines_take_so_many_bytes_a_second(box):
    """LBank's own limit; what is subscribed beyond it grows old."""
    with box.fault("late", bytes_a_second=4000), line_to(box, DEPTH) as line:
        pushes(line, 1)
        began_s = time.monotonic()
        size = sum(len(json.dumps(each, separators=(",", ":"))) for each in pushes(line, 10))
        took_s = time.monotonic() - began_s

    assert size / 4000 * 0.7 < took_s < size / 4000 * 2


def test_wrong_node_is_a_few_percent_off_while_rest_is_right(box):
    """It is how the two are told apart."""
    with box.fault("wrong_node", off=-0.04), line_to(box, DEPTH) as line:
        shown = pushes(line, 3, of="depth")
        true = rest(box, "/v2/depth.do", symbol="btc_usdt", size=5)["data"]

    off = [top(each)[0] / float(true["asks"][0][0]) - 1 for each in shown]
    # The market goes on between the two looks, on a busy machine for a while.
    assert all(-0.06 < each < -0.02 for each in off), off
    assert all(top(each)[0] > top(each)[1] for each in shown)
    assert {each["s"] for each in shown} == {"m-07"}


def test_wrong_node_draws_how_far_it_is_off():
    """3 to 5 percent were measured, and every line sees the same node."""
    faults = Faults(1)
    faults.begin(make_fault("wrong_node", {}), None, 0.0)
    lines = [Torment(faults, number, "v2", "", 0.0) for number in (1, 2)]

    shown = [line.shape(BOOK % "2026-01-01T00:00:00.000", 1.0, 0) for line in lines]

    assert shown[0] == shown[1]
    (out,) = shown[0]
    assert isinstance(out, Frame)
    assert 0.03 <= abs(float(out.said()["depth"]["asks"][0][0]) / 101 - 1) <= 0.05


@pytest.mark.parametrize("off", [-0.9, -0.04, -0.03, 0.03, 0.04, 10])
def test_wrong_node_keeps_ticks_apart(off):
    """Only the node and the distance give it away: a book of one tick is not crossed by it, and no price is below 0."""
    faults = Faults(1)
    faults.begin(make_fault("wrong_node", {"off": off}), None, 0.0)
    tight = BOOK.replace('[["101","1"]]', '[["99.6","1"],["99.7","1"]]').replace(
        '["99.5","2"]', '["99.5","2"],["9.5","2"]'
    )

    (out,) = Torment(faults, 1, "v2", "", 0.0).shape(tight % "2026-01-01T00:00:00.000", 1.0, 0)

    assert isinstance(out, Frame)
    asks, bids = (
        [[Decimal(price), amount] for price, amount in out.said()["depth"][side]] for side in ("asks", "bids")
    )
    assert [amount for _, amount in asks] == ["1", "1"]
    assert asks[1][0] - asks[0][0] == asks[0][0] - bids[0][0] == Decimal("0.1")
    assert all(price > 0 for price, _ in bids)


def test_crossed_book_has_its_best_bid_above_its_best_ask(box):
    """Spreads and mid prices made of it are nonsense."""
    with box.fault("crossed_book"), line_to(box, DEPTH) as line:
        for each in pushes(line, 3):
            ask, bid = top(each)
            assert bid > ask
            assert each["depth"]["bids"] == sorted(each["depth"]["bids"], key=lambda level: -float(level[0]))


@pytest.mark.parametrize(("side", "levels"), [("asks", (0, 5)), ("bids", (5, 0)), ("both", (0, 0))])
def test_empty_side_has_no_levels(box, side, levels):
    """`levels[0]` raises on it."""
    with box.fault("empty_side", side=side), line_to(box, DEPTH) as line:
        (push,) = pushes(line, 1)

    assert (len(push["depth"]["asks"]), len(push["depth"]["bids"])) == levels


def test_duplicate_trades_come_word_for_word(box):
    """Whoever adds up volumes must notice."""
    with box.fault("duplicate_trades", copies=3), line_to(box, TRADES) as line:
        heard = [json.dumps(each) for each in pushes(line, 6)]

    assert [heard.count(each) for each in heard] == [3] * 6


def test_reorder_trades_loses_none():
    """The order is wrong, the trades are right: those that the same market shows without the fault."""
    shown = []
    for of in (None, 4):
        with Sandbox(pairs=PAIRS, speed=0) as market, line_to(market, TRADES) as line:
            wait_until(lambda here=market: any(view.subscriptions for view in here.visitors()))
            if of is not None:
                market.fault("reorder_trades", of=of)
            market.step(30)
            shown.append([each["trade"] for each in pushes(line, 12)])

    in_order, shuffled = shown
    assert [each["TS"] for each in shuffled] != sorted(each["TS"] for each in shuffled)
    assert sorted(map(json.dumps, shuffled)) == sorted(map(json.dumps, in_order))


def test_wrong_types_are_json_all_the_same(box):
    """They pass every reader but the one that looks."""
    with box.fault("wrong_types"), line_to(box, TICK) as line:
        ticks = [each["tick"] for each in pushes(line, 10)]

    assert any(
        (key == "dir") != isinstance(value, str) or value is None or isinstance(value, bool | list | dict)
        for tick in ticks
        for key, value in tick.items()
    )


def test_unknown_fields_stand_beside_and_inside_the_content(box):
    """LBank added `s` like that; a reader that lists its fields breaks."""
    with box.fault("unknown_fields"), line_to(box, TICK) as line:
        (push,) = pushes(line, 1)

    assert push["newField"] == push["tick"]["newField"] == 1
    assert push["tick"]["latest"] > 0


def test_faults_of_books_reach_the_simple_dialect_too(box):
    """Its frames look different, its market is the same."""
    topics = ({"sub": f"market.btcusdt.{channel}", "id": "1"} for channel in ("depth", "ticker"))
    with (
        box.fault("mute", pair="btc_usdt", channel="ticker"),
        box.fault("wrong_node", off=0.5),
        box.fault("crossed_book", pair="btc_usdt"),
        line_to(box, *topics, url=box.simple_url) as line,
    ):
        heard = [said for said in (json.loads(line.recv()) for _ in range(8)) if "tick" in said]

    assert {each["ch"] for each in heard} == {"market.btcusdt.depth"}
    assert all(each["tick"]["bids"][0][0] > each["tick"]["asks"][0][0] > 100_000 for each in heard)


# --- how frames travel


def test_garbage_comes_among_good_pushes(box):
    """One bad frame must not end a good line."""
    with box.fault("garbage", every_s=0.02), line_to(box, TICK) as line:
        heard = [line.recv() for _ in range(40)]

    assert "{not json" in heard
    assert any('"latest":' in each for each in heard)


def test_invalid_utf8_is_a_text_frame(box):
    """Strict readers end the line."""
    with box.fault("invalid_utf8", every_s=0.02), Plain(box) as plain:
        first, _, payload = plain.frame()

    assert first == 0x81
    with pytest.raises(UnicodeDecodeError):
        payload.decode()


def test_huge_frame_comes_whole(box):
    """Five megabytes are more than most readers allow."""
    with Plain(box) as plain:
        wait_until(box.visitors)
        box.fault("huge_frame", size=3_000_000)

        _, length, payload = plain.frame()

    assert length == len(payload) == 3_000_000


def test_huge_frame_may_claim_more_than_there_is(box):
    """Who believes 2^63 waits for ever, or asks for that much memory."""
    with Plain(box) as plain:
        wait_until(box.visitors)
        box.fault("huge_frame", size=10, claims=2**63)

        first, length, _ = plain.frame()

        assert (first, length) == (0x81, 2**63)
        assert plain.exactly(10) == b"x" * 10


def test_split_frames_dribble_in_small_segments(box):
    """A reader that takes one `recv` for one frame fails."""
    with box.fault("split_frames", size=100, gap_s=0.002), Plain(box, DEPTH) as plain:
        segments = [plain.segment() for _ in range(6)]

    assert segments[0] == b"\x81"
    assert max(map(len, segments)) <= 300


def test_merged_frames_come_in_one_segment(box):
    """The other half of the same mistake."""
    with Plain(box, TICK) as plain:
        plain.frame()
        with box.fault("merged_frames", of=5):
            counts = [plain.segment().count(b'"SERVER":"V2"') for _ in range(4)]

    assert 5 in counts


def test_fragmented_message_is_whole_for_who_puts_it_together(box):
    """RFC 6455 allows it to every proxy."""
    with box.fault("fragmented_message", into=3, with_pings=True), Plain(box, TICK) as plain:
        frames = [plain.frame() for _ in range(5)]

    assert [first for first, _, _ in frames] == [0x01, 0x89, 0x00, 0x89, 0x80]
    assert json.loads(b"".join(payload for first, _, payload in frames if first != 0x89))["type"] == "tick"


@pytest.mark.parametrize("kind", ["json", "rfc"])
def test_ping_storm_asks_over_and_over(box, kind):
    """Every answer costs something; pushes come all the same."""
    with box.fault("ping_storm", every_s=0.005, kind=kind), line_to(box, TICK) as line:
        heard = [line.recv_data(control_frame=True) for _ in range(60)]

    asked = [opcode == websocket.ABNF.OPCODE_PING or b'"action":"ping"' in payload for opcode, payload in heard]
    assert sum(asked) > 30
    assert not all(asked)


def test_no_pings_asks_and_cuts_nobody():
    """A client that waits to be asked sees nothing for ever."""
    with (
        Sandbox(pairs=PAIRS, speed=20, ping_every_s=0.1, pong_within_s=0.2) as box,
        box.fault("no_pings"),
        line_to(box, TICK) as line,
    ):
        until_s = time.monotonic() + 0.6
        while time.monotonic() < until_s:
            assert "ping" not in json.loads(line.recv())


# --- endings


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "back soon"), (4321, "x" * 123), (999, "")])
def test_polite_close_has_any_code_and_reason(box, code, reason):
    """LBank closes healthy lines with 1000; others have reasons."""
    with Plain(box, TICK) as plain:
        plain.frame()
        handle = box.fault("polite_close", code=code, reason=reason)
        while (frame := plain.frame())[0] != 0x88:
            pass

    assert (int.from_bytes(frame[2][:2], "big"), frame[2][2:].decode()) == (code, reason)
    assert not handle.is_active


def test_reset_is_a_reset(box):
    """Nothing polite reaches the client."""
    with line_to(box, TICK) as line:
        pushes(line, 1)

        box.fault("reset")

        assert end_of(line) == "reset"


def test_every_s_hits_new_lines_again(box):
    """One drop is survived by luck."""
    with box.fault("reset", every_s=0.3):
        for _ in range(3):
            with line_to(box, TICK) as line:
                assert end_of(line) == "reset"


def test_half_close_ends_what_comes_and_hears_what_is_said(box):
    """The client's side is open: only reading shows that the line is dead."""
    with Plain(box, TICK) as plain:
        plain.frame()
        box.fault("half_close")
        while plain.segment():
            pass

        plain.say(DEPTH)

        wait_until(lambda: "depth/btc_usdt/5" in box.visitors()[0].subscriptions)


@pytest.mark.parametrize(("how", "error"), [("close", EOFError), ("reset", ConnectionResetError)])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_cut_frame_ends_inside_a_frame(box, how, error, at):
    """Half a frame is no message, in whichever place it ends."""
    with Plain(box) as plain, box.fault("cut_frame", at=at, how=how):
        plain.say(DEPTH)

        with pytest.raises(error):
            plain.frame()


def test_close_after_pong_closes_on_the_answer(box):
    """Seen on the second or third ping of healthy clients."""
    with Sandbox(pairs=PAIRS, speed=20, ping_every_s=0.1) as pinging, line_to(pinging) as line:
        pinging.fault("close_after_pong", pongs=2, code=1000)
        for _ in range(2):
            line.send(json.dumps({"action": "pong", "pong": json.loads(line.recv())["ping"]}))

        assert end_of(line) == 1000


# --- the whole exchange


def test_delisted_pair_is_gone_everywhere(box):
    """What an old subscription gets is nothing; a new one is refused in LBank's words."""
    with line_to(box, TICK, subscribe("tick", "eth_usdt")) as line, line_to(box, url=box.simple_url) as simple:
        pushes(line, 1, pair="btc_usdt")
        with box.fault("delisted", pair="btc_usdt"):
            line.send('{"action":"ping","ping":"x"}')
            while json.loads(line.recv()).get("pong") != "x":
                pass
            assert {each["pair"] for each in pushes(line, 10)} == {"eth_usdt"}
            line.send(json.dumps(DEPTH))
            while "message" not in (refusal := json.loads(line.recv())):
                pass
            simple.send('{"sub":"market.btcusdt.ticker","id":"7"}')
            refused = json.loads(simple.recv())
            listed = rest(box, "/v2/currencyPairs.do")["data"]
            asked = rest(box, "/v2/depth.do", symbol="btc_usdt", size=1)

    assert refusal["message"] == "Invalid order pairs:[btc_usdt],remoteIp is: [127.0.0.1]"
    assert (refused["id"], refused["err-code"]) == ("7", "bad-symbol")
    assert listed == ["eth_usdt"]
    assert (asked["result"], asked["error_code"]) == ("false", 10008)


def test_maintenance_closes_everything_and_says_so(box):
    """Tools ask `system_status.do` before they call it an outage."""
    with line_to(box, TICK) as line:
        pushes(line, 1)
        with box.fault("maintenance", retry_after_s=3):
            code = end_of(line)
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                websocket.create_connection(box.v2_url, timeout=WITHIN_S)
            status = rest(box, "/v2/supplement/system_status.do", method="POST")["data"]["status"]
            asked = rest(box, "/v2/depth.do", symbol="btc_usdt", size=1)

    assert (code, refused.value.status_code, refused.value.resp_headers["retry-after"]) == (1001, 503, "3")
    assert (status, asked["error_code"]) == ("0", 10601)
    assert rest(box, "/v2/supplement/system_status.do", method="POST")["data"]["status"] == "1"


def test_clock_skew_moves_every_time_of_the_exchange():
    """A client that trusts its own clock calls everything stale."""
    with Sandbox(pairs=PAIRS) as box, box.fault("clock_skew", by_s=-100), line_to(box, TICK, TRADES) as line:
        (tick,) = pushes(line, 1, of="tick")
        (trade,) = pushes(line, 1, of="trade")
        clock_ms = rest(box, "/v2/timestamp.do")["data"]
        with line_to(box, {"sub": "market.btcusdt.ticker", "id": "1"}, url=box.simple_url) as simple:
            simple_ms = [json.loads(simple.recv())["ts"] for _ in range(2)]

    ages = [age_s(each) for each in (tick, trade, trade["trade"])]
    ages += [time.time() - each / 1000 for each in (clock_ms, *simple_ms)]
    assert all(99 < each < 104 for each in ages)


def test_clock_skew_judges_signatures_by_the_wrong_clock(box):
    """Who signs by his own clock is refused until he asks for the exchange's."""
    with box.fault("clock_skew", by_s=60):
        assert place_order(box)["error_code"] == 10600


# --- REST


@pytest.mark.parametrize("status", [429, 500, 502])
def test_rest_status_is_an_error_with_a_page(box, status):
    """JSON readers meet HTML."""
    with box.fault("rest_status", status=status, retry_after_s=2, path="depth.do, kline.do"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            rest(box, "/v2/depth.do", symbol="btc_usdt", size=1)
        other = rest(box, "/v2/timestamp.do")["data"]

    with refused.value as answer:
        assert (answer.code, answer.headers["Retry-After"]) == (status, "2")
        assert b"<html>" in answer.read()
    assert other


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_rest_status_tells_nothing_of_the_order(box, is_carried_out):
    """A 502 is no answer: the order exists, or it does not."""
    before = len(box.account(KEY).orders)

    with box.fault("rest_status", path="create_order", is_carried_out=is_carried_out):
        with pytest.raises(urllib.error.HTTPError) as refused:
            place_order(box)
        refused.value.close()

    assert len(box.account(KEY).orders) - before == is_carried_out


def test_rest_timeout_answers_late(box):
    """Total deadlines are tested with it."""
    with box.fault("rest_timeout", after_s=0.3):
        began_s = time.monotonic()
        assert rest(box, "/v2/timestamp.do")["data"]

    assert time.monotonic() - began_s >= 0.3


def test_rest_timeout_never_answers_until_it_is_over(box):
    """Then the connection is reset: an answer that late would be worth nothing."""
    with box.fault("rest_timeout"), pytest.raises(TimeoutError):
        rest(box, "/v2/timestamp.do", timeout_s=0.3)
    handle = box.fault("rest_timeout", for_s=0.3)

    with pytest.raises(ConnectionError):
        rest(box, "/v2/timestamp.do")

    assert not handle.is_active


@pytest.mark.parametrize("what", ["page", "label"])
def test_rest_html_comes_with_status_200(box, what):
    """Cloudflare's page, and LBank's own wrong label."""
    with box.fault("rest_html", what=what), urllib.request.urlopen(box.rest_url + "/v2/timestamp.do") as answer:
        kind, body = answer.headers.get_content_type(), answer.read()

    assert kind == "text/html"
    assert body.startswith(b"<!DOCTYPE" if what == "page" else b"{")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_reply_lost_leaves_an_order_that_nobody_was_told_of(box, how):
    """The test of all order clients: who sends again has two."""
    before = len(box.account(KEY).orders)

    with box.fault("reply_lost", how=how), pytest.raises((ConnectionError, urllib.error.URLError)):
        place_order(box)

    assert len(box.account(KEY).orders) == before + 1


# --- all of them


def test_every_fault_is_tried_here():
    """A fault that nobody has seen does not exist."""
    text = Path(__file__).read_text(encoding="utf-8")

    assert set(re.findall(r'\.fault\(\s*"(\w+)"', text)) >= set(FAULTS)


def test_the_page_lists_every_fault_with_its_parameters():
    """Scripts are written from it."""
    page = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")

    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, flags=re.MULTILINE))

    assert rows == {name: row_of(name) for name in FAULTS}


def row_of(name: str) -> str:
    told = []
    for parameter, default in signature_of(FAULTS[name]).items():
        if default == "needed":
            told.append(f"`{parameter}` (needed)")
        else:
            told.append(f"`{parameter}={default}`" if default else f"`{parameter}`")
    return f"{summary_of(FAULTS[name])} | {', '.join(told) or '-'}"


def test_the_help_of_the_command_names_every_fault():
    """It is there where no page is at hand."""
    listed = re.search(r"Faults: (.+?)\n\n", sandbox_verb._EPILOG, flags=re.DOTALL)

    assert listed is not None
    assert listed[1].split() == sorted(FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_says_where_it_was_seen(name):
    """A fault that never happens wastes everybody's time."""
    assert re.search(r"docs/reference/wire\.md|a network", FAULTS[name].__doc__ or "")


# --- in which way


def test_handles_tell_and_end_what_was_begun(box):
    """Tests hold them; a block that fails must end its fault too."""
    late = box.fault("late", delay_s=2)
    with box.fault("mute", pair="eth_usdt", for_s=60) as mute:
        assert [(each.name, each.parameters) for each in box.faults()] == [
            ("late", {"delay_s": 2.0}),
            ("mute", {"pair": "eth_usdt"}),
        ]
        assert mute.is_active
    assert not mute.is_active

    box.heal()

    assert not late.is_active
    late.end()
    assert box.faults() == []


def test_a_fault_ends_by_itself(box):
    """Nobody has to wait beside it."""
    with line_to(box, TICK) as line:
        pushes(line, 1)
        handle = box.fault("mute", for_s=0.3)
        wait_until(lambda: not handle.is_active)
        assert pushes(line, 1)


def test_faults_may_begin_before_the_box_does():
    """The very first dial is what many tests are about."""
    box = Sandbox(pairs=PAIRS)
    box.fault("handshake_status", status=403)

    with box, pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(box.v2_url, timeout=WITHIN_S)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("mut", {}, "did you mean 'mute'"),
        ("nonsense", {}, "the faults are accept_silence"),
        ("mute", {"pairs": "btc_usdt"}, "did you mean 'pair'"),
        ("mute", {"pair": "doge_usdt"}, "listed are btc_usdt, eth_usdt"),
        ("mute", {"channel": "tick"}, "the channels are ticker"),
        ("mute", {"chance": 1.5}, "between 0 and 1"),
        ("mute", {"chance": "often"}, "is a number"),
        ("mute", {"for_s": 0}, "above zero"),
        ("delisted", {}, "needs pair, for example pair=btc_usdt"),
        ("refuse_dial", {"how": "rudely"}, "one of closed, reset"),
        ("polite_close", {"code": 70000}, "between 0 and 65535"),
        ("huge_frame", {"size": 1.5}, "whole number"),
        ("fragmented_message", {"with_pings": "maybe"}, "true or false"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_to_write(box, name, parameters, words):
    """A fault that silently does nothing makes a test green for nothing."""
    with pytest.raises(ValueError, match=words):
        box.fault(name, **parameters)


def test_a_script_begins_and_ends_faults_at_its_seconds(tmp_path):
    """It is for what runs without a test beside it."""
    script = tmp_path / "outage.txt"
    script.write_text(
        '# nothing\n\n0.3 mute pair=btc_usdt for_s=0.4\n{"at_s": 1.0, "name": "polite_close", "code": 1012}\n'
    )

    with Sandbox(pairs=PAIRS, speed=20, faults=script) as box, line_to(box, TICK) as line:
        arrived_s = [time.monotonic()]
        with contextlib.suppress(websocket.WebSocketException):
            while True:
                opcode, payload = line.recv_data(control_frame=True)
                arrived_s.append(time.monotonic())
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break

    gaps = [later - earlier for earlier, later in pairwise(arrived_s)]
    assert int.from_bytes(payload[:2], "big") == 1012
    assert 0.2 < max(gaps) < 0.8
    assert 0.6 < arrived_s[-1] - arrived_s[0] < 1.6


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("soon reset", "line 2: the second at which it begins is a number of seconds, not 'soon'"),
        ("5", "line 2: a line is a second, a fault, and parameters, for example: 10 mute pair=btc_usdt for_s=5"),
        ("5 mut", "line 2: there is no fault 'mut', did you mean 'mute'?"),
        ("5 mute btc_usdt", "line 2: a parameter is written name=value, not 'btc_usdt'"),
        ("5 mute pair=btc_usdt pair=btc_usdt", "line 2: pair is given twice"),
        ("5 mute pair=doge_usdt", "line 2: mute: the pair 'doge_usdt' is not listed here"),
        ("5 mute for_s=long", "line 2: for_s is a number of seconds, not 'long'"),
        ('{"at_s": 5, "name": }', "line 2: this is no JSON object"),
        ('{"at": 5, "name": "reset"}', "line 2: a JSON line has at_s and name"),
        ('5 mute reason="open', "line 2: No closing quotation"),
    ],
)
def test_a_script_that_cannot_be_carried_out_names_the_line_and_what_to_write(line, words):
    """It is found out at once, not in the middle of the night."""
    with pytest.raises(ValueError, match=re.escape(words)):
        Sandbox(pairs=PAIRS, faults=["1 reset", line])


def test_the_command_runs_a_script(tmp_path):
    """Scripts of users are written for it."""
    script = tmp_path / "outage.txt"
    script.write_text("0 handshake_status status=418\n")

    with (
        running_box(seed=1, faults=str(script)) as box,
        pytest.raises(websocket.WebSocketBadStatusException, match="418"),
    ):
        websocket.create_connection(box.v2_url, timeout=WITHIN_S)


@pytest.mark.parametrize(
    ("text", "words"),
    [("10 mut\n", "outage.txt, line 1: there is no fault 'mut', did you mean 'mute'?"), (None, "cannot be read")],
)
def test_the_command_refuses_a_script_that_cannot_be(tmp_path, capsys, text, words):
    """A practice exchange without its faults would practise nothing."""
    script = tmp_path / "outage.txt"
    if text is not None:
        script.write_text(text)

    assert main(["sandbox", "--port", "0", "--faults", str(script)]) == Exit.USAGE
    assert words in capsys.readouterr().err


def request(box: Sandbox, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any]:
    asked = urllib.request.Request(box.rest_url + path, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_faults_are_steered_over_http(box):
    """Not every client under test is a Python program."""
    status, told = request(box, "POST", "/_box/faults", '{"name": "mute", "pair": "btc_usdt", "for_s": 60}')
    begun = [each.name for each in box.faults()]
    _, shown = request(box, "GET", "/_box/faults")
    ended, _ = request(box, "DELETE", f"/_box/faults/{told['number']}")
    again, _ = request(box, "DELETE", f"/_box/faults/{told['number']}")
    box.fault("late")
    healed = request(box, "DELETE", "/_box/faults")

    assert (status, told["name"], told["parameters"]) == (201, "mute", {"pair": "btc_usdt"})
    assert begun == [each["name"] for each in shown] == ["mute"]
    assert 50 < told["left_s"] <= 60
    assert (ended, again, healed) == (200, 404, (200, []))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("reset", "Expecting value"),
        ("[]", "an object with a name"),
        ('{"name": "mut"}', "did you mean 'mute'"),
        ('{"name": "late", "for_s": "x"}', "number of seconds"),
        ('{"name": "refuse_dial"}', "give for_s"),
    ],
)
def test_http_refuses_what_cannot_be(box, body, words):
    """And what would keep out who wants to end it."""
    status, said = request(box, "POST", "/_box/faults", body)

    assert status == 400
    assert words in said["error"]
    assert box.faults() == []


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_pages_of_other_sites_steer_nothing(box, method):
    """A browser sends `POST` to any address that a page names."""
    body = '{"name": "reset", "every_s": 1}'
    box.fault("late")

    refused, _ = request(box, method, "/_box/faults", body, Origin="https://evil.example")
    welcome, _ = request(box, "GET", "/_box/faults", Origin="http://localhost:3000")

    assert (refused, welcome) == (403, 200)
    assert [each.name for each in box.faults()] == ["late"]


def test_a_fault_of_rest_does_not_touch_the_control(box):
    """It must be possible to end it."""
    box.fault("rest_timeout")
    box.fault("maintenance")

    assert request(box, "DELETE", "/_box/faults") == (200, [])


# --- together, and again


def test_faults_compose(box):
    """Outages come in company."""
    with (
        box.fault("late", delay_s=0.2),
        box.fault("crossed_book"),
        box.fault("unknown_fields"),
        box.fault("fragmented_message"),
        box.fault("split_frames", size=200),
        line_to(box, DEPTH) as line,
    ):
        heard = pushes(line, 3)

    assert all(top(each)[1] > top(each)[0] and each["newField"] == 1 for each in heard)


def test_the_same_script_seed_and_steps_give_the_same_frames():
    """A failure that cannot be repeated cannot be mended."""
    script = [
        "1 duplicate_trades chance=0.5",
        "2 garbage every_s=0.7",
        "3 mute channel=ticker chance=0.4 for_s=5",
        "4 wrong_types chance=0.1",
        "5 reorder_trades of=3",
        "6 wrong_node for_s=3",
    ]

    def heard() -> list[str]:
        with Sandbox(pairs=PAIRS, speed=0, faults=script, seed=5) as box, line_to(box, TICK, DEPTH, TRADES) as line:
            wait_until(lambda: box.visitors() and len(box.visitors()[0].subscriptions) == 3)
            box.step(12)
            box.broadcast("the end")
            texts = [line.recv()]
            while texts[-1] != "the end":
                texts.append(line.recv())
            return texts

    once, again = heard(), heard()

    assert once == again
    assert any("{not json" in each for each in once)
    assert any("m-07" in each for each in once)


def test_another_seed_hits_other_frames():
    """Else `chance` would be a pattern."""

    def hit(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.begin(make_fault("mute", {"chance": 0.5}), None, 0.0)
        torment = Torment(faults, 1, "v2", "", 0.0)
        return [bool(torment.shape(TRADE % number, 1.0, 0)) for number in range(50)]

    assert hit(1) == hit(1) != hit(2)
    assert 10 < sum(hit(1)) < 40


def test_numbers_keep_the_digits_they_were_printed_with():
    """A changed frame must differ in what was changed only."""
    text = '{"a":4.0E-5,"b":[1.50,-0.0,12345678901234567890],"c":{"d":null,"e":true,"f":"x\\u00e9"}}'

    assert printed(parsed(text)) == text


@pytest.mark.parametrize(
    ("text", "kind", "channel", "pair"),
    [
        (BOOK % "2026-01-01T00:00:00.000", "push", "depth", "btc_usdt"),
        ('{"records":[],"type":"kbar","pair":"btc_usdt"}', "reply", "kline", "btc_usdt"),
        ('{"ch":"market.btcusdt.ticker","tick":{}}', "push", "ticker", "btcusdt"),
        ('{"orderUpdate":{},"type":"orderUpdate","pair":"btc_usdt"}', "push", "orderUpdate", "btc_usdt"),
        ('{"action":"ping","ping":"1"}', "ping", None, None),
        ('{"action":"pong","pong":"1"}', "pong", None, None),
        ('{"id":"1","status":"ok","subbed":"x"}', "ack", None, None),
        ('{"status":"error","message":"x"}', "error", None, None),
        ("{not json", "other", None, None),
        ("[]", "other", None, None),
    ],
)
def test_frames_are_told_apart(text, kind, channel, pair):
    """A fault of books must not hit a heartbeat."""
    assert read_frame(text) == Frame(text, kind, channel, pair)


def test_what_was_held_back_leaves_when_the_fault_ends():
    """A fault may reorder and delay; only `mute` loses."""
    faults = Faults(1)
    torment = Torment(faults, 1, "v2", "", 0.0)
    active = faults.begin(make_fault("reorder_trades", {"of": 5}), None, 1.0)
    held = [torment.shape(TRADE % number, 2.0, 0) for number in range(3)]
    faults.end(active.number)

    left = torment.play(3.0, 0)

    assert held == [[], [], []]
    assert [out.text for out in left if isinstance(out, Frame)] == [TRADE % number for number in range(3)]


@pytest.mark.parametrize(("name", "of"), [("reorder_trades", 5), ("merged_frames", 5)])
def test_what_was_held_back_long_enough_leaves(name, of):
    """A quiet pair would hold it for hours."""
    faults = Faults(1)
    faults.begin(make_fault(name, {"of": of, "hold_s": 2}), None, 0.0)
    torment = Torment(faults, 1, "v2", "", 0.0)
    torment.shape(TRADE % 1, 1.0, 0)

    early, late = torment.play(2.9, 0), torment.play(3.1, 0)

    assert early == []
    assert len(late) == 1
    assert isinstance(late[0], Frame | Raw)


def test_a_pause_does_not_pour_out_what_it_missed():
    """A laptop that slept an hour owes no hour of pings."""
    faults = Faults(1)
    faults.begin(make_fault("ping_storm", {}), None, 0.0)
    torment = Torment(faults, 1, "v2", "", 0.0)

    assert len(torment.play(3600.0, 0)) == 2000
    assert len(torment.play(3600.02, 0)) <= 3


def test_without_faults_no_frame_is_looked_at(monkeypatch):
    """Nobody pays for what he does not use; with 200 clients it would show."""

    def looked_at(*_: object) -> None:
        raise AssertionError("a frame was looked at")

    monkeypatch.setattr(Torment, "shape", looked_at)
    monkeypatch.setattr(Torment, "play", looked_at)
    monkeypatch.setattr(Torment, "heard", looked_at)

    with Sandbox(pairs=PAIRS, speed=20) as box, line_to(box, TICK) as line:
        assert pushes(line, 20)


def test_stop_is_quick_under_every_fault():
    """A fault must not outlive the test that began it."""
    for name, parameters in {
        "accept_silence": {},
        "refuse_dial": {},
        "late": {"delay_s": 60},
        "rest_timeout": {},
        "half_close": {},
        "merged_frames": {"of": 1000},
    }.items():
        box = Sandbox(pairs=PAIRS, speed=20)
        box.start()
        with line_to(box, TICK) as line:
            pushes(line, 1)
            box.fault(name, **parameters)
            asking = threading.Thread(target=ask_for_nothing, args=(box.rest_url,), daemon=True)
            asking.start()
            began_s = time.monotonic()
            box.stop()
            assert time.monotonic() - began_s < 2, name
            asking.join(5)
            assert not asking.is_alive(), name
            box.start()
            box.heal()
            box.stop()


def ask_for_nothing(url: str) -> None:
    with contextlib.suppress(OSError), urllib.request.urlopen(url + "/v2/timestamp.do", timeout=3) as answer:
        answer.read()


def test_scripts_are_read_as_words_and_as_json():
    """The two spellings say the same."""
    words = read_script(['10 polite_close code=1001 reason="back soon" for_s=3 every_s=1'], PAIRS)
    as_json = read_script(
        ['{"at_s": 10, "name": "polite_close", "code": 1001, "reason": "back soon", "for_s": 3, "every_s": 1}'], PAIRS
    )

    assert words == as_json


@pytest.mark.parametrize("name", ["wrong_node", "crossed_book", "empty_side", "freeze", "clock_skew", "wrong_types"])
@pytest.mark.parametrize(
    "text",
    [
        '{"depth":{"asks":[["x"]],"bids":[1]},"type":"depth","pair":"btc_usdt","TS":"soon"}',
        '{"depth":null,"type":"depth","pair":"btc_usdt","TS":7}',
        '{"ch":"market.btcusdt.depth","tick":[],"ts":"now"}',
        '{"type":"depth","pair":[]}',
    ],
)
def test_what_a_fault_cannot_make_sense_of_does_not_end_the_box(name, text):
    """A test may broadcast anything, and an error would end the exchange for everybody."""
    faults = Faults(1)
    faults.begin(make_fault(name, {"by_s": 1} if name == "clock_skew" else {}), None, 0.0)

    (out,) = Torment(faults, 1, "v2", "", 0.0).shape(text, 1.0, 0)

    assert isinstance(out, Frame)
    assert json.loads(out.text)
