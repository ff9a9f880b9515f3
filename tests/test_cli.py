"""The command line as its users meet it: a process of its own, its output, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from lbank_ws.cli.arguments import count, duration_s
from lbank_ws.cli.exits import Exit
from lbank_ws.sandbox import Sandbox
from lbank_ws.version import VERSION
from tests.waiting import wait_until

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path) -> Iterator[Command]:
    """Give a starter of `lbank-ws`, in an empty folder; each process is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lbank_ws", *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_watch_prints_live_prices_without_a_network(start):
    """The first thing that a newcomer runs."""
    process = start("watch", "btc_usdt", "--sandbox", "--for", "2s")

    out, err = process.communicate(timeout=20)

    assert process.returncode == Exit.DONE
    assert not err
    assert all("btc_usdt" in line for line in out.splitlines())
    assert len(out.splitlines()) >= 2


@pytest.mark.parametrize(("arguments", "head"), [([], "last"), (["--plain"], "volume")])
def test_watch_on_a_terminal_is_a_table_unless_told_otherwise(tmp_path, arguments, head):
    """People look at a board; `--plain` is for terminals that log."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lbank_ws", "watch", "btc_usdt", "--sandbox", "--count", "3", *arguments],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", "LANG": "C.UTF-8"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.DONE
    assert not err
    assert b"btc_usdt" in shown
    assert head.encode() in shown
    assert (b"\x1b[" in shown) is not bool(arguments)


@pytest.mark.parametrize("dialect", ["v2", "simple"])
def test_watch_as_json_gives_exact_numbers_and_as_many_lines_as_asked(start, dialect):
    """A script reads these lines, so a price must not pass through a float."""
    process = start("watch", "btc_usdt", "eth_usdt", "--sandbox", "--count", "3", "--json", "--dialect", dialect)

    out, _ = process.communicate(timeout=20)

    rows = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == Exit.DONE
    assert len(rows) == 3
    assert {row["pair"] for row in rows} <= {"btc_usdt", "eth_usdt"}
    assert all(isinstance(row["last"], str) and float(row["last"]) > 0 for row in rows)


def test_watch_without_a_line_fails_within_its_time_and_says_why(start):
    """A cron job must see it in the exit code."""
    process = start("watch", "btc_usdt", "--url", "ws://127.0.0.1:1", "--for", "1s")

    out, err = process.communicate(timeout=20)

    assert process.returncode == Exit.NO_DATA
    assert not out
    assert "Connection refused" in err
    assert "Traceback" not in err


def test_watch_of_a_refused_pair_fails_and_names_it(start):
    """A typo should not look like a quiet market."""
    process = start("watch", "nosuch_usdt", "--sandbox", "--for", "20s")

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.NO_DATA
    assert "nosuch_usdt" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "BTC/USDT", "--sandbox"], "did you mean btc_usdt"),
        (["watch", "btc_usdt", "--for", "soon"], "write 30s, 5m or 1h"),
        (["watch", "btc_usdt", "--count", "0"], "whole number above 0"),
        (["watch", "btc_usdt", "--url", "http://x"], "write wss://host"),
        (["watch"], "PAIR"),
        (["watc"], "watch"),
    ],
)
def test_wrong_command_lines_say_what_to_write(start, arguments, words):
    """The code tells a script that trying again is no use."""
    process = start(*arguments)

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.USAGE
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
@pytest.mark.parametrize("verb", ["watch", "sandbox"])
def test_signals_end_a_command_quietly(start, verb, number, code):
    """Ctrl-C is how most runs end; it deserves no traceback."""
    arguments = ["watch", "btc_usdt", "--sandbox"] if verb == "watch" else ["sandbox", "--port", "0"]
    process = start(*arguments)
    assert process.stdout.readline()

    process.send_signal(number)

    _, err = process.communicate(timeout=5)
    assert process.returncode == code
    assert err.splitlines()[-1:] == [f"lbank-ws {verb}: ended by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}"]


def test_broken_pipe_ends_quietly(start):
    """`lbank-ws watch btc_usdt | head -1` is ordinary use."""
    process = start("watch", "btc_usdt", "--sandbox")
    assert process.stdout.readline()

    process.stdout.close()

    assert process.wait(timeout=10) == Exit.DONE
    assert process.stderr.read() == ""


def test_sandbox_prints_what_points_scripts_at_it(start):
    """The printed line, pasted before a command, is all that a script needs."""
    box = start("sandbox", "--port", "0", "--seed", "7")
    variables = dict(each.split("=", 1) for each in box.stdout.readline().split())

    watcher = start("watch", "btc_usdt", "--count", "2", **variables)

    out, _ = watcher.communicate(timeout=20)
    assert set(variables) == {"LBANK_WS_URL", "LBANK_REST_URL"}
    assert len(out.splitlines()) == 2


def test_sandbox_says_when_its_port_is_taken(start):
    """Two practice exchanges on one port would mislead."""
    with Sandbox() as box:
        process = start("sandbox", "--port", box.url.rpartition(":")[2])

        _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.USAGE
    assert "--port" in err


def test_missing_extra_is_named_with_what_to_install(start, tmp_path):
    """Whoever installed the core alone learns what to install."""
    (tmp_path / "aiohttp.py").write_text("raise ImportError('aiohttp')\n")

    process = start("watch", "btc_usdt", "--sandbox", PYTHONPATH=str(tmp_path))

    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.USAGE
    assert err.splitlines()[0] == "lbank-ws watch: this needs the package aiohttp"
    assert "pip install 'lbank-ws[sandbox]'" in err.splitlines()[2]


def test_version_and_help_answer(start):
    """Help starts with examples that can be pasted."""
    version, _ = start("--version").communicate(timeout=20)
    text, _ = start("--help").communicate(timeout=20)

    assert version.strip() == f"lbank-ws {VERSION}"
    assert "lbank-ws watch btc_usdt --sandbox --for 10s" in text


def test_environment_points_the_command_elsewhere(start, tmp_path):
    """A .env file in the working directory does the same, and the environment wins over it."""
    with Sandbox() as box:
        (tmp_path / ".env").write_text(f"LBANK_WS_URL={box.url}\n")

        from_file = start("watch", "btc_usdt", "--count", "1")
        wait_until(lambda: from_file.poll() is not None, 20, "the end of the command")
        from_environment = start("watch", "btc_usdt", "--for", "1s", LBANK_WS_URL="ws://127.0.0.1:1")
        wait_until(lambda: from_environment.poll() is not None, 20, "the end of the command")

    assert from_file.returncode == Exit.DONE
    assert from_environment.returncode == Exit.NO_DATA


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("250ms", 0.25)]
)
def test_lengths_of_time_are_read(text, seconds):
    """`--for 59m` is what stands in a crontab."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "1e3", "10 s", "nan", "10y"])
def test_other_lengths_are_refused(text):
    """A length that is misread would end a job too early."""
    with pytest.raises(Exception, match="30s"):
        duration_s(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "9" * 20, "\u0663"])
def test_other_counts_are_refused(text):
    """A count is a whole number above 0."""
    with pytest.raises(Exception, match="whole number"):
        count(text)
