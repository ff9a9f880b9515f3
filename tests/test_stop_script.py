"""Ending from outside: signals to a script, a name look-up that hangs, and a hundred stops in bad places."""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from lbank_ws import Ended, LBankClient
from tests.plain_exchange import PlainExchange
from tests.test_stop import PLACES, client_at
from tests.waiting import open_sockets, our_threads, wait_until

SCRIPT = """
import socket, sys, time
from lbank_ws import LBankClient

if sys.argv[2] == "hung":
    socket.getaddrinfo = lambda *_, **__: (print("hangs", flush=True), time.sleep(60))

client = LBankClient(url=sys.argv[1])

@client.on_ticker("btc_usdt")
def show(ticker):
    print("price", flush=True)

print("begins", flush=True)
print(client.run(), flush=True)
"""


@pytest.fixture
def script() -> Iterator[object]:
    """Give a starter of the script above; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str, how: str, *, until: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, url, how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert any(line.strip() == until for line in process.stdout)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_ctrl_c_in_a_script_goes_on_behind_run(script):
    """What a script does after `run()`, writing a file perhaps, is done although somebody pressed Ctrl-C."""
    with PlainExchange() as exchange:
        process = script(exchange.url, "well", until="price")
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)

    assert time.monotonic() - began_s < 5  # the interpreter's own end is in it
    assert (process.returncode, rest.split()[-1], errors) == (0, "stopped", "")


@pytest.mark.slow
def test_sigterm_in_a_script_ends_it_as_python_does(script):
    """A library takes no signals away from its caller: `timeout`, cron and systemd see the usual end by a signal."""
    with PlainExchange() as exchange:
        process = script(exchange.url, "well", until="price")
        began_s = time.monotonic()
        process.terminate()
        _, errors = process.communicate(timeout=10)

        assert time.monotonic() - began_s < 1
        assert (process.returncode, errors) == (-signal.SIGTERM, "")
        wait_until(lambda: not exchange.asked, what="the end of the line")


@pytest.mark.slow
def test_many_signals_end_it_as_well(script):
    """Somebody who presses Ctrl-C again and again wants out, not a process that hangs."""
    with PlainExchange() as exchange:
        process = script(exchange.url, "well", until="price")
        for _ in itertools.takewhile(lambda _: process.poll() is None, range(300)):
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)  # a person is slower
        process.communicate(timeout=10)

    assert process.returncode in (0, 1, -signal.SIGINT, 130)


@pytest.mark.slow
def test_ctrl_c_in_a_hung_name_look_up_ends_the_program(script):
    """Nothing can interrupt the look-up; the program need not wait for it."""
    process = script("ws://exchange.invalid", "hung", until="hangs")
    began_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)

    assert time.monotonic() - began_s < 7  # five, and the interpreter's own end
    assert (process.returncode, rest.split()) == (0, ["stopped"])


def test_stop_in_a_hung_name_look_up_keeps_its_time_and_dials_nothing(monkeypatch):
    """It says that a thread is left; the thread ends when the look-up does, and does not dial then."""
    release, asked = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def hangs(*args: object, **named: object) -> object:
        asked.set()
        release.wait(30)
        return real(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with PlainExchange() as exchange:
        client = client_at(exchange.url)
        client.start()
        assert asked.wait(5)

        began_s = time.monotonic()
        assert client.stop(timeout_s=0.3) is False
        assert time.monotonic() - began_s < 1

        release.set()
        wait_until(lambda: not our_threads())
        assert client.stop()
        assert exchange.connections == 0


@pytest.mark.slow
def test_hundred_stops_of_a_hundred_are_done_within_a_second():
    """From the thread that runs it, and from another, in every place where a line can hang."""
    before = open_sockets()
    for address, state in PLACES.values():
        with address() as url:  # type: ignore[attr-defined]  # every one is a context manager
            for number in range(15):
                client = client_at(url)
                ended: list[Ended] = []
                runner = threading.Thread(target=lambda client=client, ended=ended: ended.append(client.run()))
                runner.start()
                wait_until(lambda client=client, state=state: str(client.state) == state)

                began_s = time.monotonic()
                if number % 2:
                    other = threading.Thread(target=client.stop)
                    other.start()
                    other.join(5)
                assert client.stop()
                runner.join(5)

                assert time.monotonic() - began_s < 1
                assert ended == [Ended.STOPPED]
                assert not our_threads()
    wait_until(lambda: open_sockets() <= before, what="freed sockets")


def test_stop_inside_every_kind_of_callback_at_once(make_client):
    """Whichever comes first ends it, and the others do no harm."""
    with PlainExchange() as exchange:
        client: LBankClient = make_client(exchange.url)
        calls = []

        def enough(event: object) -> None:
            calls.append(type(event).__name__)
            client.stop()
            client.stop()

        client.on_ticker("btc_usdt")(enough)
        client.on_trade("btc_usdt")(enough)
        client.on_status(enough)
        client.on_error(enough)
        client.on_gap(enough)

        assert client.run(for_s=10) is Ended.STOPPED
        assert calls
