"""`lbank-ws collect` and `verify` as cron and people meet them: a process, its signals, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lbank_ws.cli.arguments import moment, size_bytes
from lbank_ws.cli.exits import Exit
from lbank_ws.collect import manifest
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt", "eth_usdt"]) as box:
        yield box


@pytest.fixture
def start(tmp_path: Path, box: Sandbox) -> Iterator[Command]:
    """Give a starter of `lbank-ws`, in an empty folder and pointed at the box; each process ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lbank_ws", *arguments],
            cwd=tmp_path,
            env={**os.environ, "LBANK_WS_URL": box.url, "LBANK_REST_URL": box.rest_url, **variables},
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


class Heard(BaseHTTPRequestHandler):
    """Notes what is called."""

    def do_POST(self) -> None:
        self.server.heard.append(self.path)  # type: ignore[attr-defined]  # put there below
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == self.server.holds:  # type: ignore[attr-defined]  # as above
            self.server.released.wait(10)  # type: ignore[attr-defined]  # as above
            return
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def watch() -> Iterator[Any]:
    """Give a server that is called like healthchecks.io; `heard` has the paths."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Heard)
    server.heard, server.holds, server.released = [], "", threading.Event()  # type: ignore[attr-defined]  # read by its handler
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.released.set()  # type: ignore[attr-defined]  # as above
    server.shutdown()
    thread.join()
    server.server_close()


def runs(folder: Path) -> list[dict[str, Any]]:
    root = folder / "lbank-data"
    return [manifest.read(root, run) for run in manifest.runs(root)]


def kept(folder: Path) -> int:
    root = folder / "lbank-data"
    return sum(1 for path in segment_paths(root) for _ in records(root, path, verify=True))


def writes(folder: Path) -> bool:
    """Tell whether a run has begun to write."""
    return bool(segment_paths(folder / "lbank-data", parts=True))


# Quick ones.


def test_collect_and_verify(start, tmp_path):
    """The two lines of the README; silent where nobody looks."""
    collect = start("collect", "btc_usdt", "--for", "1500ms", "--flush", "200ms")
    out, err = collect.communicate(timeout=20)
    assert (collect.returncode, out, err) == (Exit.DONE, "", "")
    (said,) = runs(tmp_path)
    assert said["end"] == "time over"
    assert said["events"] == kept(tmp_path) > 0

    verify = start("verify", "lbank-data")
    out, err = verify.communicate(timeout=20)
    assert verify.returncode == Exit.DONE
    assert re.fullmatch(rf"{said['events']} events in 3 files of 1 runs: 0 differences\n", out)

    (tmp_path / "lbank-data" / segment_paths(tmp_path / "lbank-data")[0]).unlink()
    verify = start("verify", "lbank-data", "-q")
    out, err = verify.communicate(timeout=20)
    assert verify.returncode == Exit.BAD_DATA
    assert "says" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["collect", "BTC/USDT"], "did you mean btc_usdt?"),
        (["collect", "btc_usdt", "--channels", "news"], "there is no channel"),
        (["collect", "btc_usdt", "--to", "sqlite:data.db"], "write sqlite:///data.db"),
        (["collect", "btc_usdt", "--min-free", "much"], "write 500M or 2G"),
        (["collect", "btc_usdt", "--until", "noon"], "write 18:30"),
        (["collect", "btc_usdt", "--for", "1s", "--until", "18:00"], "not allowed with"),
        (["collect", "btc_usdt", "--ping-url", "ftp://x"], "write https://host"),
        (["verify", "."], "no folder that `lbank-ws collect` has written"),
    ],
)
def test_wrong_command_lines_say_what_to_write(start, tmp_path, arguments, words):
    """And leave nothing behind."""
    process = start(*arguments)

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.USAGE
    assert words in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_help_tells_every_exit_code(start):
    """Whoever writes a crontab looks there."""
    text, _ = start("collect", "--help").communicate(timeout=20)

    for code in (0, 1, 2, 69, 73, 74, 75, 130):
        assert re.search(rf"^  {code} +\w", text, re.MULTILINE), code
    text, _ = start("verify", "--help").communicate(timeout=20)
    assert re.search(r"^  65 +\w", text, re.MULTILINE)


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("500M", 500 << 20), ("1.5GB", 3 << 29), ("12", 12)])
def test_sizes_are_read(text, count):
    """`--min-free 2G`."""
    assert size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1", "1 G", "1X"])
def test_other_sizes_are_refused(text):
    """A size that is misread ends a job, or fills a disk."""
    with pytest.raises(ArgumentTypeError, match="500M"):
        size_bytes(text)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("18:00", "2026-11-22T18:00"),
        ("10:15", "2026-11-23T10:15"),
        ("0:00:30", "2026-11-23T00:00:30"),
        ("2026-11-22T18:00", "2026-11-22T18:00"),
        ("2026-11-22T18:00+08:00", None),
        ("2026-11-23T18:00Z", "2026-11-23T18:00"),
        ("2026-11-23", "2026-11-23"),
    ],
)
def test_moments_are_read_in_utc(text, meant):
    """Cron runs on machines in every zone; the exchange's day is one."""
    now = at("2026-11-22T10:15")

    if meant is None:
        with pytest.raises(ArgumentTypeError, match="is over"):
            moment(text, now)
    else:
        assert moment(text, now) == at(meant)


# Signals and codes.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, Exit.DONE), (signal.SIGINT, Exit.INTERRUPTED)], ids=["term", "int"]
)
def test_a_signal_keeps_everything(start, tmp_path, number, code):
    """systemd, cron and people end a run this way; what came until then is kept, and three hundred more do no harm."""
    process = start("collect", "btc_usdt", "--for", "1h")
    wait_until(lambda: writes(tmp_path), 20)
    process.send_signal(number)
    began_s = time.monotonic()
    for _ in range(300):
        process.send_signal(signal.SIGTERM if number == signal.SIGTERM else signal.SIGHUP)
        if process.poll() is not None:
            break

    _, err = process.communicate(timeout=10)

    assert process.returncode == code
    assert err == ("lbank-ws collect: ended by Ctrl-C\n" if number == signal.SIGINT else "")
    assert time.monotonic() - began_s < 5
    (said,) = runs(tmp_path)
    assert said["end"] == "stopped"
    assert said["events"] == kept(tmp_path) > 0


@pytest.mark.slow
def test_a_second_interrupt_leaves_at_once(start, tmp_path, watch):
    """A person who presses Ctrl-C twice means it; here the end takes as long as a ping that is not answered."""
    watch.holds = "/uuid"
    process = start("collect", "btc_usdt", "--ping-url", f"http://127.0.0.1:{watch.server_port}/uuid")
    wait_until(lambda: writes(tmp_path), 20)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "/uuid" in watch.heard, 10)
    began_s = time.monotonic()
    process.send_signal(signal.SIGINT)

    assert process.wait(4) == Exit.INTERRUPTED
    assert time.monotonic() - began_s < 2
    assert runs(tmp_path)[0]["end"] == "stopped"


@pytest.mark.slow
def test_a_hangup_begins_new_files(start, tmp_path):
    """Those of before can be copied."""
    process = start("collect", "btc_usdt", "--flush", "200ms")
    wait_until(lambda: writes(tmp_path), 20)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: segment_paths(tmp_path / "lbank-data"), 5)
    wait_until(lambda: writes(tmp_path), 10)
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == Exit.DONE
    (said,) = runs(tmp_path)
    assert len(said["segments"]) > len({row["channel"] for row in said["segments"]})


@pytest.mark.slow
def test_a_second_run_says_who_writes_and_ends_at_once(start, tmp_path):
    """Overlapping lines of a crontab are ordinary use; a run that was killed holds nothing."""
    first = start("collect", "btc_usdt")
    wait_until(lambda: writes(tmp_path), 20)

    second = start("collect", "btc_usdt", "--for", "1h")
    _, err = second.communicate(timeout=10)
    assert second.returncode == Exit.BUSY
    assert f"is being written by process {first.pid} on " in err
    assert len(err.splitlines()) == 3

    first.kill()
    first.wait()
    third = start("collect", "btc_usdt", "--for", "1s")
    assert third.wait(20) == Exit.DONE
    assert [said["end"] for said in runs(tmp_path)] == ["killed", "time over"]


@pytest.mark.slow
def test_a_run_that_waits_for_the_lock_follows_without_a_hole(start, tmp_path):
    """So a crontab of one line an hour has the whole day."""
    first = start("collect", "btc_usdt", "--for", "3s")
    wait_until(lambda: writes(tmp_path), 20)
    second = start("collect", "btc_usdt", "--for", "30s", "--lock-wait", "20s", "--count", "5")

    assert first.wait(20) == Exit.DONE
    assert second.wait(20) == Exit.DONE
    early, late = runs(tmp_path)
    between = datetime.fromisoformat(late["started_at"]) - datetime.fromisoformat(early["ended_at"])
    assert 0 <= between.total_seconds() < 2


@pytest.mark.slow
def test_a_run_that_waits_can_be_ended_and_leaves_the_metrics_to_the_other(start, tmp_path):
    """It has nothing to tell yet."""
    first = start("collect", "btc_usdt")
    wait_until(lambda: writes(tmp_path), 20)
    second = start("collect", "btc_usdt", "--lock-wait", "1h", "--metrics-textfile", "lbank.prom", "-v")
    lock = tmp_path / "lbank-data" / "lock"
    wait_until(lambda: str(lock) in opened_by(second.pid), 10)
    second.send_signal(signal.SIGTERM)

    assert second.wait(5) == Exit.DONE
    assert not (tmp_path / "lbank.prom").exists()
    assert first.poll() is None
    first.kill()


def opened_by(pid: int) -> set[str]:
    """Give the files that a process has open."""
    found = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


@pytest.mark.slow
def test_nothing_at_all_is_a_code_of_its_own(start, tmp_path):
    """A night without data must not look like a night without trades."""
    process = start("collect", "btc_usdt", "--for", "1s", LBANK_WS_URL="ws://127.0.0.1:1")

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.NO_DATA
    assert "nothing came" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_too_little_room_ends_in_few_words(start, tmp_path):
    """Before the disk is full for everybody else."""
    process = start("collect", "btc_usdt", "--min-free", "999999T")

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.CANNOT_CREATE
    assert re.fullmatch(
        r"lbank-ws collect: cannot write into lbank-data: the disk has \d+ MiB left, .*\n(.*\n){2}", err
    )


@pytest.mark.slow
def test_a_full_disk_ends_in_few_words_and_the_store_is_readable(start, tmp_path):
    """On a real file system of 128 kB."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root and the command mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        words = ["collect", "btc_usdt", "eth_usdt", "--channels", "ticker,depth,trade,kline:1min", "--min-free", "0"]
        ended = []
        for _ in range(2):
            process = start(*words, "--levels", "200", "--flush", "100ms", "--to", str(disk / "data"))
            _, err = process.communicate(timeout=50)
            ended.append((process.returncode, err))
        verify = start("verify", str(disk / "data"))
        out, _ = verify.communicate(timeout=20)
        count = sum(1 for path in segment_paths(disk / "data") for _ in records(disk / "data", path, verify=True))
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert ended[0][0] == Exit.CANNOT_WRITE, ended
    assert re.fullmatch(
        r"lbank-ws collect: the collection into .* has ended: No space left on device\n(.*\n){2}", ended[0][1]
    )
    assert ended[1][0] in (Exit.CANNOT_WRITE, Exit.CANNOT_CREATE), ended
    assert "No space left on device" in ended[1][1]
    assert verify.returncode == Exit.DONE, out
    assert count > 20


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_told(start, tmp_path):
    """Before a line is dialled."""
    (tmp_path / "lbank-data").write_text("mine")

    process = start("collect", "btc_usdt")
    _, err = process.communicate(timeout=20)

    assert process.returncode in (Exit.CANNOT_CREATE, Exit.USAGE)
    assert len(err.splitlines()) == 3


# What else it does.


@pytest.mark.slow
def test_all_collects_every_listed_pair(start, tmp_path):
    """A pair that is listed tomorrow is collected tomorrow."""
    process = start("collect", "all", "--channels", "ticker", "--count", "4")

    assert process.wait(20) == Exit.DONE
    (said,) = runs(tmp_path)
    assert [row["pair"] for row in said["topics"]] == ["btc_usdt", "eth_usdt"]
    refused = start("collect", "all", "--channels", "ticker", LBANK_REST_URL="http://127.0.0.1:1")
    _, err = refused.communicate(timeout=20)
    assert refused.returncode == Exit.NO_DATA
    assert "REST call" in err


@pytest.mark.slow
def test_the_log_can_be_json(start):
    """One object a line, for whoever gathers logs."""
    process = start("collect", "btc_usdt", "--for", "1s", "-v", "--log-format", "json")

    _, err = process.communicate(timeout=20)

    said = [json.loads(line) for line in err.splitlines()]
    assert all(set(row) == {"at", "level", "logger", "message"} for row in said)
    assert any("coverage" in row["message"] for row in said)


@pytest.mark.slow
def test_a_terminal_shows_a_table_and_a_summary(tmp_path, box):
    """People want to see that it runs."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lbank_ws", "collect", "btc_usdt", "--for", "4s", "--url", box.url],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)

    assert process.wait(10) == Exit.DONE
    text = shown.decode()
    for words in ("events/s", "btc_usdt", "gaps", "time over", "coverage:"):
        assert words in text


@pytest.mark.slow
def test_somebody_is_told_of_the_beginning_and_the_end(start, tmp_path, watch):
    """A run that fails says so; one that finds another at work says nothing."""
    url = f"http://127.0.0.1:{watch.server_port}/uuid"

    assert start("collect", "btc_usdt", "--for", "1s", "--ping-url", url).wait(20) == Exit.DONE
    assert watch.heard == ["/uuid/start", "/uuid"]
    watch.heard.clear()
    failed = start("collect", "btc_usdt", "--for", "1s", "--ping-url", url, LBANK_WS_URL="ws://127.0.0.1:1")
    assert failed.wait(20) == Exit.NO_DATA
    assert watch.heard == ["/uuid/start", "/uuid/fail"]
    watch.heard.clear()
    first = start("collect", "btc_usdt")
    wait_until(lambda: writes(tmp_path), 20)
    assert start("collect", "btc_usdt", "--ping-url", url).wait(20) == Exit.BUSY
    assert watch.heard == []
    first.kill()


@pytest.mark.slow
def test_a_ping_that_fails_changes_nothing_and_tells_no_secret(start):
    """The address is all that is needed to call it."""
    process = start("collect", "btc_usdt", "--for", "1s", "--ping-url", "http://127.0.0.1:1/c0ffee", "-vv")

    _, err = process.communicate(timeout=20)

    assert process.returncode == Exit.DONE
    assert "the ping of 127.0.0.1 failed" in err
    assert "c0ffee" not in err


@pytest.mark.slow
def test_prometheus_is_told_the_same_by_file_and_by_port(start, tmp_path):
    """Age and gaps are what an alarm is set on."""
    pytest.importorskip("prometheus_client", reason="pip install 'lbank-ws[metrics]'")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start("collect", "btc_usdt", "--metrics-textfile", "lbank.prom", "--metrics-port", str(port))
    wait_until(lambda: writes(tmp_path), 20)

    def asked() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    wait_until(lambda: re.search(r'events_total\{[^}]*channel="ticker"[^}]*\} [1-9]', asked()), 10)
    names = set(re.findall(r"^lbank_ws_\w+", asked(), re.MULTILINE))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == Exit.DONE
    text = (tmp_path / "lbank.prom").read_text()

    assert set(re.findall(r"^lbank_ws_\w+", text, re.MULTILINE)) == names
    assert re.search(
        r'^lbank_ws_events_total\{channel="ticker",pair="btc_usdt",parameter=""\} [1-9]', text, re.MULTILINE
    )


@pytest.mark.slow
def test_a_database_is_collected_into_by_name(start, tmp_path):
    """The same command line, another store."""
    for _ in range(2):
        process = start("collect", "btc_usdt", "--for", "2s", "--to", "sqlite:///data.db")
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (Exit.DONE, "")

    verify = start("verify", "sqlite:///data.db")
    out, _ = verify.communicate(timeout=20)
    assert verify.returncode == Exit.DONE
    assert "of 2 runs: 0 differences" in out
