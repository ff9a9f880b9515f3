"""A recording plays again as it was: to callbacks, and over a socket to any client."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import lbank_ws
from lbank_ws import CallbackError, DecodeError, GaveUp, LBankClient, SubscriptionRefused, UsageError
from lbank_ws.cli.exits import Exit
from lbank_ws.events import Receipt
from lbank_ws.sandbox import Replayer
from lbank_ws.sandbox.recording import Frame, Mark, Missing, NotARecording, Start, entries
from tests.blocks import ROOT, Shape, Shell, blocks
from tests.waiting import line_kinds, our_threads, wait_until

NS = 1_795_400_000_000_000_000
SECOND = 1_000_000_000


class Script:
    """A recording that a test writes by hand; every line comes 10 ms after the one before.

    Args:
        path: Where it stands.
        dialect: What it speaks.
    """

    def __init__(self, path: Path, dialect: str = "v2") -> None:
        self.path = path
        self.dialect = dialect
        self.ns = NS
        self.lines: list[dict[str, object]] = []
        self.start()

    def start(self) -> Script:
        header = {"lbank_ws_recording": 1, "dialect": self.dialect, "host": "x", "started_ns": self.ns, "version": "1"}
        self.lines.append(header)
        return self.mark("opened", attempts=1)

    def mark(self, kind: str, **more: object) -> Script:
        return self._add({"line": 1, "mark": kind, **more})

    def sent(self, **frame: object) -> Script:
        return self._add({"line": 1, "dir": "out", "text": json.dumps(frame)})

    def came(self, frame: object) -> Script:
        if isinstance(frame, bytes):
            return self._add({"line": 1, "dir": "in", "base64": base64.b64encode(frame).decode()})
        return self._add({"line": 1, "dir": "in", "text": frame if isinstance(frame, str) else json.dumps(frame)})

    def pause(self, seconds: float) -> Script:
        self.ns += int(seconds * SECOND)
        return self

    def asked(self, channel: str, pair: str, **more: object) -> Script:
        return self.sent(action="subscribe", subscribe=channel, pair=pair, **more)

    def tick(self, pair: str, latest: int) -> Script:
        return self.came({"type": "tick", "pair": pair, "tick": {"latest": latest}, "TS": "2026-11-23T10:00:00.000"})

    def save(self) -> Path:
        self.path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return self.path

    def _add(self, line: dict[str, object]) -> Script:
        self.ns += SECOND // 100
        self.lines.append({"ns": self.ns, **line})
        return self


@pytest.fixture
def script(tmp_path) -> Script:
    return Script(tmp_path / "tape.jsonl")


@pytest.fixture
def serve() -> Iterator[Callable[..., Replayer]]:
    """Give a starter of replayers; each is stopped with the test."""
    started = []

    def begin(path: Path, **options: object) -> Replayer:
        started.append(Replayer(path, **{"speed": "max", **options}))
        started[-1].start()
        return started[-1]

    yield begin
    for replayer in started:
        replayer.stop()


@pytest.fixture
def dial() -> Iterator[Callable[[str], ClientConnection]]:
    """Give a client of another library."""
    with ExitStack() as lines:
        yield lambda url: lines.enter_context(connect(url, compression=None, ping_interval=None, close_timeout=0.2))


KEEP = {"ticker": "keep", "depth": "keep"}  # so that a busy machine leaves nothing out


def ask(line: ClientConnection, **frame: object) -> None:
    line.send(json.dumps(frame))


def heard(line: ClientConnection) -> list[dict[str, object]]:
    """Give every frame until the line ends."""
    frames = []
    try:
        while True:
            frames.append(json.loads(line.recv(timeout=5)))
    except ConnectionClosed:
        return frames


def told(statuses: list[Any], line: int) -> list[tuple[object, ...]]:
    """Give what was told of a line."""
    return [
        (status.kind, status.at, status.attempts, status.outage_s, str(status.cause))
        for status in statuses
        if status.line == line and status.topic is None
    ]


class Watcher:
    """A client with the same callbacks every time.

    Attributes:
        events: What it was called back with, in order.
        kinds: What happened to its line.
        faults: What went to `on_error`.
    """

    def __init__(self, client: LBankClient, dialect: str) -> None:
        self.client = client
        self.events: list[object] = []
        self.statuses: list[object] = []
        self.faults: list[Exception] = []
        client.on_ticker("btc_usdt", "eth_usdt", "nosuch_usdt")(self.events.append)
        client.on_depth("btc_usdt", levels=10)(self.events.append)
        client.on_trade("btc_usdt", "eth_usdt")(self.events.append)
        if dialect == "v2":
            client.on_kline("btc_usdt", interval="5min")(self.events.append)
        client.on_status(self.statuses.append)
        client.on_error(self.faults.append)

    def by_topic(self, *, plain: bool = False) -> dict[object, list[object]]:
        """Give the events of each channel and pair in order, for lines have no order; plain without when they came."""
        events: dict[object, list[object]] = {}
        for event in self.events:
            told = dataclasses.replace(event, receipt=Receipt()) if plain else event
            events.setdefault((event.channel, event.pair), []).append(told)
        return events


@pytest.mark.parametrize("dialect", ["v2", "simple"])
def test_recording_with_a_drop_replays_to_the_same_events_both_ways(
    make_exchange, make_client, serve, tmp_path, dialect
):
    """The whole promise: what was seen can be seen again, every channel, in order, with the drop."""
    path = tmp_path / "tape.jsonl.gz"
    exchange = make_exchange()
    live = Watcher(make_client(exchange.url, dialect=dialect, record=path, policies=KEEP), dialect)
    live.client.start()
    channels = {"v2": 4, "simple": 3}[dialect]
    wait_until(lambda: len({type(event) for event in live.events}) == channels, 15, "an event of every channel")
    exchange.say("garbage")
    came = len(live.events)
    exchange.hang_up()
    for line in (1, 2):
        wait_until(lambda line=line: line_kinds(live.statuses, line) == ["opened", "lost", "reconnected"])
    wait_until(lambda: len(live.events) > came + 3)
    live.client.stop()

    called = Watcher(LBankClient(dialect=dialect), dialect)
    lbank_ws.replay(path, called.client)
    replayer = serve(path)
    served = Watcher(make_client(replayer.url, dialect=dialect, policies=KEEP), dialect)
    served.client.run(for_s=20, until=lambda: replayer.is_over and line_kinds(served.statuses).count("lost") >= 4)

    assert called.by_topic() == live.by_topic()
    assert served.by_topic(plain=True) == live.by_topic(plain=True)
    for line in (1, 2):
        assert told(called.statuses, line) == told(live.statuses, line)
        assert line_kinds(served.statuses, line)[:4] == ["opened", "lost", "reconnected", "lost"]
    for watcher in (called, served):
        assert Counter(map(type, watcher.faults)) == Counter(map(type, live.faults))
        assert {type(fault) for fault in watcher.faults} == {SubscriptionRefused, DecodeError}


# To callbacks.


def test_callbacks_get_the_recorded_receive_times(script):
    """How late the data was is part of the data."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(3600).tick("btc_usdt", 2)
    client = LBankClient()
    events = []
    client.on_ticker("btc_usdt")(events.append)

    lbank_ws.replay(script.save(), client)

    assert [event.last for event in events] == [1, 2]
    assert [event.received_ns for event in events] == [line["ns"] for line in script.lines if line.get("dir") == "in"]
    assert str(client.state) == "closed"
    assert not our_threads()


def test_callback_that_subscribes_finds_its_data(script):
    """A script that follows the market decides in its callbacks, and did so when it was recorded."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1)
    script.asked("tick", "eth_usdt")
    for number in range(50):
        script.tick("eth_usdt", number + 1)
    client = LBankClient()
    pairs = []

    @client.on_ticker
    def follow(ticker):
        pairs.append(ticker.pair)
        time.sleep(0.01)
        client.subscribe("ticker", "eth_usdt")

    client.subscribe("ticker", "btc_usdt")

    lbank_ws.replay(script.save(), client)

    assert pairs == ["btc_usdt", *["eth_usdt"] * 50]


def test_slow_callbacks_lose_nothing(script):
    """Live, a queue overflows; a file can wait."""
    script.asked("tick", "btc_usdt")
    for number in range(12_000):
        script.tick("btc_usdt", number + 1)
    client = LBankClient()
    seen, faults = [], []
    client.on_error(faults.append)

    @client.on_ticker("btc_usdt")
    def look(ticker):
        waiting = -1
        while not seen and waiting < client._dispatch.waiting:  # as long as more comes
            waiting = client._dispatch.waiting
            time.sleep(0.1)
        seen.append(int(ticker.last))

    lbank_ws.replay(script.save(), client)

    assert seen == list(range(1, 12_001))
    assert not faults


def test_stop_in_a_callback_ends_the_replay(script):
    """As it ends `run()`."""
    script.asked("tick", "btc_usdt")
    for number in range(5000):
        script.tick("btc_usdt", number + 1)
    client = LBankClient()
    seen = []

    @client.on_ticker("btc_usdt")
    def look(ticker):
        seen.append(ticker)
        client.stop()

    lbank_ws.replay(script.save(), client)

    assert 1 <= len(seen) < 5000


def test_raising_callback_is_a_fault_as_ever(script):
    """The same dispatch runs the callbacks."""
    client = LBankClient()
    faults, prices = [], []
    client.on_error(faults.append)
    client.on_ticker("btc_usdt")(lambda ticker: 1 / 0)
    client.on_ticker("btc_usdt")(prices.append)

    lbank_ws.replay(script.asked("tick", "btc_usdt").tick("btc_usdt", 1).came(b"\xff").save(), client)

    assert [type(fault) for fault in faults] == [CallbackError, DecodeError]
    assert len(prices) == 1


def test_recorder_that_was_killed_and_began_again_replays_as_two_openings(script):
    """The second run opened a line of its own, and nobody saw the end of the first."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(60)
    script.start().asked("tick", "btc_usdt").tick("btc_usdt", 2)
    client = LBankClient(silent_after_s=5)
    seen = []
    client.on_ticker("btc_usdt")(lambda ticker: seen.append(int(ticker.last)))
    client.on_status(lambda status: seen.append(status.kind) if status.topic is None else None)

    lbank_ws.replay(script.save(), client)

    assert seen == ["opened", 1, "opened", 2]


def test_dials_that_failed_are_replayed_and_may_be_given_up(script):
    """A script that gives up live gives up on the recording of it too."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(5).tick("btc_usdt", 2)
    script.mark("lost", cause="broken", detail="cut").pause(10).mark("failed", cause="unreachable", detail="x")
    script.mark("reconnected", outage_s=10.5, attempts=2).tick("btc_usdt", 3)
    patient, hasty = LBankClient(), LBankClient(give_up_after_s=5)
    kinds = []

    @patient.on_status
    def note(status):
        if status.topic is None:
            kinds.append((status.kind, status.outage_s, status.cause and status.cause.sentence()))

    patient.on_ticker("btc_usdt")(lambda ticker: kinds.append(int(ticker.last)))

    lbank_ws.replay(script.save(), patient)

    assert kinds == [
        *(("opened", None, None), 1, 2, ("lost", None, "broken: cut"), ("failed", None, "unreachable: x")),
        *(("reconnected", 10.5, None), 3),
    ]
    with pytest.raises(GaveUp):
        lbank_ws.replay(script.path, hasty)


def test_hole_in_a_recording_is_said(script, caplog):
    """Whoever computes on it should know."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1)
    script.lines.append({"ns": script.ns, "lost": 7})
    client = LBankClient()
    client.on_ticker("btc_usdt")(lambda ticker: None)

    lbank_ws.replay(script.save(), client)

    assert "lacks 7 frames" in caplog.text


def test_wrong_calls_of_replay_say_what_to_do(script, tmp_path):
    """Each mistake has one sentence."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).save()
    (tmp_path / "diary").write_text("my diary\n")
    has_run = LBankClient()
    lbank_ws.replay(script.path, has_run)

    for path, client, words in [
        (script.path, has_run, "make a new LBankClient"),
        (script.path, LBankClient(dialect="simple"), r"LBankClient\(dialect='v2'\)"),
        (tmp_path / "diary", LBankClient(), "line 1"),
        (tmp_path / "nowhere", LBankClient(), "No such file"),
    ]:
        with pytest.raises(UsageError, match=words):
            lbank_ws.replay(path, client)
    assert not our_threads()


# Reading.


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "is empty"),
        (["{}"], "line 1"),
        (["<header>", "garbage", "<frame>"], "line 2"),
        (["<header>", '{"ns":1}', "<frame>"], "line 2"),
        (["<header>", '{"ns":1,"line":1,"dir":"up","text":""}', "<frame>"], "no direction 'up'"),
        (["<header>", '{"ns":1,"line":1,"dir":"in","text":5}', "<frame>"], "text is not text"),
        (["<header>", '{"ns":"1","line":1,"dir":"in","text":""}', "<frame>"], "ns is not a whole number"),
        (["<header>", '{"ns":1,"line":1,"dir":"in","base64":"%"}', "<frame>"], "line 2"),
        (['{"lbank_ws_recording":9}'], "format 9"),
        (['{"lbank_ws_recording":1,"dialect":"v9","host":"","started_ns":1,"version":""}'], "no dialect 'v9'"),
        (["<frame>"], "does not begin"),
    ],
)
def test_what_is_no_recording_is_named_with_its_line(script, lines, words):
    """A file of a million lines is not searched by hand."""
    header, frame = json.dumps(script.lines[0]), '{"ns":1,"line":1,"dir":"in","text":"{}"}'
    script.path.write_text("".join(line.replace("<header>", header).replace("<frame>", frame) + "\n" for line in lines))

    with pytest.raises(NotARecording, match=words):
        list(entries(script.path))


def test_torn_end_and_torn_line_before_a_new_start_are_left_out(script):
    """That is how a recorder ends that was killed."""
    header, frame = json.dumps(script.lines[0]), '{"ns":1,"line":1,"dir":"in","text":"{}"}'
    script.path.write_text(f'{header}\n{frame}\n{{"ns":1,"li\n{header}\n{frame}\n{{"ns":1,')

    assert [type(entry) for entry in entries(script.path)] == [Start, Frame, Start, Frame]


# Over a socket.


def test_client_gets_what_it_asks_for_and_nothing_else(script, serve, dial):
    """Channel, pair, levels and interval have to match, as they do live."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).asked("tick", "eth_usdt").tick("eth_usdt", 2)
    script.asked("depth", "btc_usdt", depth="10").asked("depth", "btc_usdt", depth="50")
    script.asked("kbar", "btc_usdt", kbar="1min").asked("kbar", "btc_usdt", kbar="5min").asked("trade", "btc_usdt")
    for levels in (10, 50):
        script.came({"type": "depth", "pair": "btc_usdt", "count": levels, "depth": {"asks": [], "bids": []}})
    for slot in ("1min", "5min"):
        script.came({"type": "kbar", "pair": "btc_usdt", "kbar": {"slot": slot}})
    script.came({"type": "trade", "pair": "btc_usdt", "trade": {}}).tick("btc_usdt", 3)
    line = dial(serve(script.save()).url)

    ask(line, action="subscribe", subscribe="depth", depth=50, pair="btc_usdt")
    ask(line, action="subscribe", subscribe="kbar", kbar="1min", pair="btc_usdt")
    ask(line, action="subscribe", subscribe="tick", pair="eth_usdt")

    frames = heard(line)
    assert [(frame["type"], frame["pair"]) for frame in frames] == [
        *(("tick", "eth_usdt"), ("depth", "btc_usdt"), ("kbar", "btc_usdt"))
    ]
    assert (frames[1]["count"], frames[2]["kbar"]) == (50, {"slot": "1min"})


def test_frames_are_sent_byte_for_byte(script, serve, dial):
    """Spaces, order of keys, odd numbers and bad bytes are why one records."""
    odd = '{ "pair":"btc_usdt","type" : "tick","tick":{"latest":1.50E+3,"交":"\\u4ea4"}}'
    script.asked("tick", "btc_usdt").came(odd).came(b'{"x":"\xff"}')
    line = dial(serve(script.save()).url)

    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")

    assert line.recv(timeout=5, decode=False) == odd.encode()
    assert line.recv(timeout=5, decode=False) == b'{"x":"\xff"}'


@pytest.mark.parametrize(("speed", "shortest_s", "longest_s"), [(1, 0.9, 2.0), (10, 0.05, 0.6), ("max", 0.0, 0.4)])
def test_rhythm_is_the_recorded_one_times_the_speed(script, serve, dial, speed, shortest_s, longest_s):
    """A bot that is timed against it must meet the market's own pauses."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(1).tick("btc_usdt", 2)
    line = dial(serve(script.save(), speed=speed).url)
    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
    line.recv(timeout=5)
    began_s = time.monotonic()

    line.recv(timeout=5)

    assert shortest_s <= time.monotonic() - began_s <= longest_s


def test_clock_that_was_set_stops_nothing(script, serve, dial):
    """Frames carry the wall clock, and somebody may have set it, back or forth."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(-3600).tick("btc_usdt", 2).pause(10**6)
    script.tick("btc_usdt", 3)
    line = dial(serve(script.save(), speed=1000).url)

    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")

    assert [frame["tick"]["latest"] for frame in heard(line)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("cause", "detail", "code"),
    [
        ("closed", "the exchange closed the line (code 1000)", 1000),
        ("closed", "the exchange closed the line (code 1001: bye)", 1001),
        ("refused", "the exchange closed the line (code 1013)", 1013),
        ("broken", "the exchange ended the connection without a close frame", 1006),
        ("silent", "no frame for 30 s", 1006),
    ],
)
def test_line_ends_as_it_was_lost_and_the_next_one_goes_on(script, serve, dial, cause, detail, code):
    """A bot's way through a drop can be tried again and again."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).mark("lost", cause=cause, detail=detail)
    script.mark("failed", cause="unreachable", detail="x").mark("reconnected")
    script.asked("tick", "btc_usdt").tick("btc_usdt", 2)
    replayer = serve(script.save())
    first = dial(replayer.url)
    ask(first, action="subscribe", subscribe="tick", pair="btc_usdt")
    before = heard(first)

    second = dial(replayer.url)
    ask(second, action="subscribe", subscribe="tick", pair="btc_usdt")
    after = heard(second)

    assert [frame["tick"]["latest"] for frame in (*before, *after)] == [1, 2]
    assert (first.close_code or 1006, second.close_code) == (code, 1000)


def test_recording_that_is_over_lets_nobody_in(script, serve, dial):
    """A client that dials again by itself must not get everything twice."""
    replayer = serve(script.asked("tick", "btc_usdt").tick("btc_usdt", 1).save())
    line = dial(replayer.url)
    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
    heard(line)

    wait_until(lambda: replayer.is_over)
    with pytest.raises(InvalidStatus) as refused:
        dial(replayer.url)

    assert line.close_code == 1000
    assert refused.value.response.status_code == 410


@pytest.mark.parametrize("has_drop", [False, True])
def test_loop_starts_over(script, serve, dial, has_drop):
    """A demonstration runs all day from a minute of data."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).tick("btc_usdt", 2)
    if has_drop:
        script.mark("lost", cause="closed", detail="")
    replayer = serve(script.save(), loop=True)
    seen: list[int] = []

    while len(seen) < 5:
        line = dial(replayer.url)
        ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
        if has_drop:
            seen += [frame["tick"]["latest"] for frame in heard(line)]
        else:
            seen += [json.loads(line.recv(timeout=5))["tick"]["latest"] for _ in range(5)]

    assert seen[:5] == [1, 2, 1, 2, 1]
    assert not replayer.is_over


def test_client_that_asks_later_or_less_still_gets_its_frames(script, serve, dial):
    """The tape waits a moment for what the recorded client asked for, and not for ever."""
    for pair in (*(f"{letter}_usdt" for letter in "abcefghd"), "btc_usdt"):
        script.asked("tick", pair).tick(pair, 1)
    line = dial(serve(script.save()).url)
    began_s = time.monotonic()
    ask(line, action="subscribe", subscribe="tick", pair="d_usdt")
    wait_until(lambda: time.monotonic() > began_s + 0.3, what="the pace of a client")

    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")

    assert [frame["pair"] for frame in heard(line)] == ["d_usdt", "btc_usdt"]
    assert time.monotonic() - began_s < 4


def test_one_who_left_gets_no_more(script, serve, dial):
    """Unsubscribing is part of what a client is tried for."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1)
    script.sent(action="unsubscribe", subscribe="tick", pair="btc_usdt").asked("tick", "eth_usdt")
    script.tick("btc_usdt", 2).tick("eth_usdt", 3)
    line = dial(serve(script.save()).url)
    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
    first = json.loads(line.recv(timeout=5))

    ask(line, action="unsubscribe", subscribe="tick", pair="btc_usdt")
    ask(line, action="subscribe", subscribe="tick", pair="eth_usdt")

    assert [frame["tick"]["latest"] for frame in (first, *heard(line))] == [1, 3]


def test_heartbeat_goes_both_ways(script, serve, dial):
    """Recorded pings are sent, and a client's own is answered with its id; recorded answers belong to nobody."""
    script.asked("tick", "btc_usdt").came({"action": "ping", "ping": "0ca8"}).sent(action="pong", pong="0ca8")
    script.came({"action": "pong", "pong": "1"}).asked("tick", "eth_usdt").tick("btc_usdt", 1)
    line = dial(serve(script.save()).url)
    ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
    assert json.loads(line.recv(timeout=5)) == {"action": "ping", "ping": "0ca8"}

    ask(line, action="ping", ping=[7])

    assert json.loads(line.recv(timeout=5)) == {"action": "pong", "pong": [7]}
    assert json.loads(line.recv(timeout=5))["type"] == "tick"


def test_pair_that_is_not_in_the_recording_is_refused(script, serve, dial):
    """A slip must not look like a quiet market."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1)
    line = dial(serve(script.save()).url)

    ask(line, action="subscribe", subscribe="tick", pair="eth_usdt")

    assert json.loads(line.recv(timeout=5))["message"] == "Invalid order pairs:[eth_usdt]"


def test_recorded_refusal_is_for_who_asked(script, serve, dial):
    """On V2 it names the pair; who did not ask for it would not understand."""
    refusal = {"SERVER": "V2", "message": "Invalid order pairs:[no_usdt],remoteIp is: [x.x.x.x]", "status": "error"}
    script.asked("tick", "no_usdt").came(refusal).asked("tick", "btc_usdt").tick("btc_usdt", 1)
    path = script.save()
    lines = [dial(serve(path).url) for _ in range(2)]
    ask(lines[0], action="subscribe", subscribe="tick", pair="no_usdt")
    for line in lines:
        ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")

    first, second = heard(lines[0]), heard(lines[1])

    assert [frame.get("message") for frame in first] == [refusal["message"], None]
    assert [frame["type"] for frame in second] == ["tick"]


def test_one_shot_requests_get_the_recorded_answers(script, serve, dial):
    """In their order, and the last one again."""
    script.sent(action="request", request="depth", depth="5", pair="btc_usdt")
    for price in ("1", "2"):
        script.came({"type": "depth", "pair": "btc_usdt", "count": 5, "asks": [[price, "1"]], "bids": []})
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1)
    line = dial(serve(script.save()).url)

    for _ in range(3):
        ask(line, action="request", request="depth", depth=5, pair="btc_usdt")

    assert [json.loads(line.recv(timeout=5))["asks"][0][0] for _ in range(3)] == ["1", "2", "2"]


def test_simple_dialect_answers_with_the_clients_own_ids(tmp_path, serve, dial):
    """Ids are the client's to choose, and this one may count otherwise."""
    topic = "market.btcusdt.ticker"
    script = Script(tmp_path / "tape.jsonl", "simple")
    script.sent(sub=topic, id="12345").came({"id": "12345", "status": "ok", "subbed": topic})
    script.sent(sub="market.nousdt.ticker", id="12346")
    script.came({"id": "12346", "status": "error", "err-code": "bad-symbol", "err-msg": "no"})
    script.came({"ch": topic, "tick": {"close": 1}})
    line = dial(serve(script.save()).url + "/ws")

    ask(line, sub=topic, id=7)
    ask(line, sub="market.otherusdt.ticker", id=9)
    ask(line, sub="market.nousdt.ticker", id="mine")  # the last that the tape waits for

    frames = heard(line)
    assert [(frame.get("id"), frame.get("status"), frame.get("ch")) for frame in frames if frame.get("id") != 9] == [
        *((7, "ok", None), ("mine", "error", None), (None, None, topic))
    ]
    assert next(frame for frame in frames if frame.get("id") == 9)["err-code"] == "bad-symbol"


def test_two_clients_play_alone(script, serve, dial):
    """Each gets the whole recording in its own time."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).pause(0.3).tick("btc_usdt", 2)
    replayer = serve(script.save(), speed=1)
    lines = [dial(replayer.url) for _ in range(2)]

    for line in lines:
        ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")

    assert [[frame["tick"]["latest"] for frame in heard(line)] for line in lines] == [[1, 2], [1, 2]]


def test_client_that_reads_slowly_loses_nothing(script, serve, dial):
    """At full speed the tape goes as fast as its reader, however slow that one is."""
    script.asked("depth", "btc_usdt", depth="200")
    asks = [["80000.12", "0.12345"]] * 200
    for number in range(3000):
        script.came(
            {"type": "depth", "pair": "btc_usdt", "count": 200, "depth": {"asks": asks, "bids": []}, "n": number}
        )
    replayer = serve(script.save())
    line = dial(replayer.url)
    ask(line, action="subscribe", subscribe="depth", depth="200", pair="btc_usdt")
    wait_until(lambda: replayer._stage.lines, what="the line on the server's side")
    (outlet,) = replayer._stage.lines
    wait_until(lambda: outlet._transport.get_write_buffer_size() > 200_000, what="a reader that falls behind")
    began_s = time.monotonic()
    wait_until(lambda: time.monotonic() > began_s + 0.3, what="a while without reading")

    assert outlet._transport.get_write_buffer_size() < 1_000_000
    assert [frame["n"] for frame in heard(line)] == list(range(3000))


@pytest.mark.parametrize("options", [{"speed": 0}, {"speed": -1}, {"speed": float("nan")}])
def test_speed_is_above_zero(script, options):
    """A replay that stands still would look like a quiet market."""
    with pytest.raises(ValueError, match="above zero"):
        Replayer(script.asked("tick", "a_b").tick("a_b", 1).save(), **options)


def test_recording_without_data_is_refused(script):
    """It could only be waited for."""
    with pytest.raises(NotARecording, match="no frame"):
        Replayer(script.save())


def test_entries_tell_what_was_written(script):
    """Marks and holes are as good as frames."""
    script.mark("lost", cause="closed", detail="x", retry_after_s=1.5)
    script.lines.append({"ns": 5, "lost": 2})

    _, opened, lost, missing = entries(script.save())

    assert (opened.kind, opened.attempts) == ("opened", 1)
    assert lost == Mark(lost.ns, 1, "lost", "closed", "x", 0, None, 1.5)
    assert missing == Missing(5, 2)


# The command.


def test_command_serves_a_recording_and_ends_behind_it(script, tmp_path):
    """The printed line, pasted before a command, is all that a script needs."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).tick("btc_usdt", 2).save()
    command = [sys.executable, "-m", "lbank_ws", "replay", str(script.path), "--port", "0", "--speed", "max"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        name, _, url = process.stdout.readline().strip().partition("=")
        with connect(url) as line:
            ask(line, action="subscribe", subscribe="tick", pair="btc_usdt")
            frames = heard(line)

        assert name == "LBANK_WS_URL"
        assert [frame["tick"]["latest"] for frame in frames] == [1, 2]
        assert process.wait(5) == Exit.DONE
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jsonl"], "No such file"),
        (["diary"], "line 1"),
        (["tape.jsonl", "--speed", "fast"], "a number above 0, or max"),
        (["tape.jsonl", "--port", "99999"], "--port"),
    ],
)
def test_wrong_command_lines_say_what_to_write(script, tmp_path, arguments, words):
    """The code tells a script that trying again is no use."""
    script.asked("tick", "btc_usdt").tick("btc_usdt", 1).save()
    (tmp_path / "diary").write_text("my diary\n")

    run = subprocess.run(
        [sys.executable, "-m", "lbank_ws", "replay", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert run.returncode == Exit.USAGE
    assert words in run.stderr
    assert "Traceback" not in run.stderr


# The page.

HOWTO = ROOT / "docs" / "howto" / "record-and-replay.md"


@pytest.mark.slow
def test_page_does_what_it_prints(tmp_path):
    """People copy the page; it must run unchanged, from its first block to its last."""
    shell = Shell(tmp_path)
    for block in blocks(HOWTO):
        if block.word == "file":
            shell.save(block.more, block.text)
    commands = [block.text.strip() for block in blocks(HOWTO) if block.language == "sh"]
    shapes = [Shape(block.text) for block in blocks(HOWTO) if block.language == "text"]
    record, count, serve, watch = commands

    for command, shape in [(record, shapes[0]), (count, shapes[1])]:
        with shell.running(command) as run:
            assert run.code(30) == 0, run.text
            assert shape.came(run.text), run.text
            assert shape.strangers(run.text) == []
    with shell.running(serve.replace("8765", "0")) as serving:
        serving.until(lambda text: "Ctrl-C" in text, "the address")
        assert shapes[2].came(serving.text), serving.text
        address = serving.text.split()[0]
        with shell.running(watch.replace("LBANK_WS_URL=ws://127.0.0.1:8765", f"env {address}")) as watching:
            assert watching.code(30) == 0, watching.text
            assert shapes[3].came(watching.text), watching.text
            assert shapes[3].strangers(watching.text) == []
