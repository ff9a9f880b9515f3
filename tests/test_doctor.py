"""`lbank-ws doctor`: every step is told apart, nothing hangs, and nothing that is secret is shown."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from lbank_ws.cli.advice import advice
from lbank_ws.cli.checkup import examine, proxies
from lbank_ws.cli.exits import Exit
from lbank_ws.cli.probing import Probe, Step, probe_line
from lbank_ws.sandbox import Sandbox
from tests.waiting import our_threads, wait_until

CANARY = "canary0123456789"
KEY, SECRET = "00000000-1111-2222-3333-444444444444", "A" * 32


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lbank_ws", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, **variables},
    )


def failed(step: str, problem: str = "x", *, dialect: str = "v2") -> Probe:
    return Probe("wss://a.example/ws", dialect, [Step(step, 1.0, problem)], is_over=True)


def well(host: str = "b.example") -> Probe:
    return Probe(f"wss://{host}/ws", "v2", [Step("push", 1.0)], is_over=True)


@pytest.fixture
def box():
    with Sandbox() as running:
        yield running


def tried(url: str) -> Probe:
    probe = Probe(url, "v2")
    probe_line(probe, "btc_usdt")
    return probe


def test_on_a_machine_where_all_works_it_says_so(tmp_path):
    """The last line is what people read."""
    done = doctor("--sandbox")

    lines = done.stdout.splitlines()
    assert done.returncode == Exit.DONE
    assert lines[-1] == "All is well: lbank-ws watch btc_usdt."
    assert sum(line.count(" ms") for line in lines if line.startswith("127.0.0.1")) == 8
    assert any(line.startswith("clock: 0.0") for line in lines)
    assert any("websocket-client 1." in line for line in lines)


def test_as_json_it_has_every_step_with_its_time():
    """What goes into a bug report."""
    done = doctor("--sandbox", "--json")

    told = json.loads(done.stdout)
    assert [line["dialect"] for line in told["lines"]] == ["v2", "simple"]
    for line in told["lines"]:
        assert [step["name"] for step in line["steps"]] == ["dns", "tcp", "upgrade", "push"]
        assert all(step["took_ms"] >= 0 and not step["problem"] for step in line["steps"])
    assert abs(told["clock"]["ahead_s"]) < 0.5
    assert (told["exit_code"], told["advice"]) == (0, "All is well: lbank-ws watch btc_usdt.")


def test_without_a_network_it_says_so_at_once():
    """The first thing to know, and no reason to wait. The name is one that cannot exist."""
    began_s = time.monotonic()

    done = doctor("--url", "wss://nowhere.invalid")

    assert done.returncode == Exit.NO_DATA
    assert done.stdout.splitlines()[-1].startswith("There is no network here, or no DNS")
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began_s < 20


def test_a_name_look_up_that_hangs_costs_no_more_than_its_time(monkeypatch):
    """It cannot be interrupted, and a broken resolver is a reason to call the doctor."""
    hanging = threading.Event()

    def look_up(*_args, **_options):
        hanging.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began_s = time.monotonic()

    found = examine([("wss://a.example/ws", "v2")], ["https://a.example"], {}, pair="btc_usdt", within_s=0.3)

    assert time.monotonic() - began_s < 2
    hanging.set()
    assert found.lines[0].problem == Step("dns", 300.0, "no answer within 0.3 s")
    assert found.rest[0].problem.problem == "no answer within 0.3 s"
    wait_until(lambda: not any(thread.name.startswith("lbank-ws-doctor") for thread in threading.enumerate()), 20)


@pytest.mark.parametrize(("status", "words"), [(403, "HTTP 403"), (404, "HTTP 404"), (429, "HTTP 429")])
def test_an_upgrade_that_is_answered_otherwise_is_told_with_its_status(box, status, words):
    """403, 404 and 429 have different cures."""
    with box.fault("handshake_status", status=status):
        probe = tried(box.v2_url)

    assert (probe.problem.name, probe.problem.problem[:8]) == ("upgrade", words)


def test_a_port_that_says_nothing_is_told(monkeypatch):
    """A firewall that swallows everything answers nothing."""
    monkeypatch.setattr("lbank_ws.cli.probing.STEP_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = tried(f"ws://127.0.0.1:{silent.getsockname()[1]}/ws/V2/")

    assert [step.name for step in probe.steps] == ["dns", "tcp", "upgrade"]
    assert probe.problem.problem == "no answer within 0.3 s"


def test_no_tls_is_told_as_such(box):
    """`wss://` to a plain port, or a proxy that opens TLS, ends here."""
    probe = tried(box.v2_url.replace("ws://", "wss://"))

    assert probe.problem.name == "tls"


def test_a_line_that_brings_nothing_is_told(box, monkeypatch):
    """An open line is not yet a price."""
    monkeypatch.setattr("lbank_ws.cli.probing.PUSH_S", 0.5)
    with box.fault("mute"):
        probe = tried(box.v2_url)

    assert probe.problem.name == "push"
    assert "the line is open" in probe.problem.problem
    assert not our_threads()


def test_a_refused_pair_is_an_answer(box):
    """The exchange works; the pair is another question."""
    probe = Probe(box.v2_url, "v2")
    probe_line(probe, "nosuch_usdt")

    assert probe.is_well
    assert "nosuch_usdt was refused" in probe.steps[-1].detail


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_no_secret_is_shown(form):
    """What the doctor says gets pasted into forums."""
    variables = {name: f"{CANARY}{name}" for name in ("LBANK_API_KEY", "LBANK_API_SECRET")}
    variables["HTTPS_PROXY"] = f"http://user:{CANARY}@proxy.example:3128"

    done = doctor("--sandbox", *form, **variables)

    assert CANARY not in done.stdout + done.stderr
    assert "LBANK_API_KEY" in done.stdout
    assert "proxy.example:3128" in done.stdout


@pytest.mark.parametrize(
    ("secret", "can_trade", "words", "code"),
    [
        (SECRET, True, "orders: an order on btc_usdt would be taken", Exit.DONE),
        (SECRET, False, "places no orders|place no orders through its API", Exit.DONE),
        ("B" * 32, True, "check LBANK_API_SECRET", Exit.NO_PERMISSION),
    ],
)
def test_credentials_are_tried_and_10008_is_explained(secret, can_trade, words, code):
    """Most people who see 10008 look for a mistake of their own; there is none."""
    with Sandbox() as box:
        box.add_account(KEY, SECRET, balances={"usdt": "10000"}, can_trade=can_trade)
        done = doctor(LBANK_WS_URL=box.url, LBANK_REST_URL=box.rest_url, LBANK_API_KEY=KEY, LBANK_API_SECRET=secret)
        orders = box.account(KEY).orders

    assert done.returncode == code
    assert re.search(words, done.stdout)
    assert not orders
    assert not {KEY, SECRET, secret} & set(re.findall(r"[\w-]+", done.stdout + done.stderr))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://u:p@h:1", "h:1"),
        ("h:8080", "h:8080"),
        ("socks5://h", "h"),
        ("http://u:p@h:x", "?"),
        ("http://[::1", "?"),
        ("u:p@h:1", "h:1"),
    ],
)
def test_of_a_proxy_the_host_alone_is_told(text, host):
    """A password may stand before it."""
    assert proxies({"https_proxy": text}) == {"https_proxy": host}


@pytest.mark.parametrize(
    ("lines", "ahead_s", "words", "code"),
    [
        ([well()], 0.1, "All is well", Exit.DONE),
        ([well()], None, "All is well", Exit.DONE),
        ([well()], 1.5, "1.5 s ahead of", Exit.DONE),
        ([well()], -28800.0, "28800.0 s behind", Exit.DONE),
        ([failed("tcp"), well()], 0.0, "Data comes over b.example", Exit.DONE),
        ([failed("dns"), failed("dns")], None, "There is no network here", Exit.NO_DATA),
        ([failed("dns"), failed("tcp")], None, "check firewall and proxy", Exit.NO_DATA),
        ([failed("tcp"), failed("tls")], None, "check this computer's clock", Exit.NO_DATA),
        ([failed("upgrade", "HTTP 403 Forbidden")], None, "another network may help", Exit.NO_DATA),
        ([failed("upgrade", "HTTP 429 Too Many Requests")], None, "dial too often", Exit.NO_DATA),
        ([failed("upgrade", "HTTP 404 Not Found")], None, "check the address", Exit.NO_DATA),
        ([failed("upgrade", "HTTP 502")], None, "does not speak WebSocket", Exit.NO_DATA),
        ([failed("upgrade", "the answer is not HTTP")], None, "does not speak WebSocket", Exit.NO_DATA),
        ([failed("upgrade", "HTTP 403"), failed("push")], None, "opens and brings nothing", Exit.NO_DATA),
        ([Probe("wss://a", "v2")], None, "Nothing answered in time", Exit.NO_DATA),
    ],
)
def test_advice_is_one_sentence_for_the_step_that_came_furthest(lines, ahead_s, words, code):
    """Four hosts may fail in four ways; the one that came furthest tells most."""
    sentence, exit_code = advice(lines, ahead_s)

    assert words in sentence
    assert exit_code == code
    assert sentence.endswith(".")
    assert "\n" not in sentence
