"""The files of examples/cron: systemd, logrotate and cron take them, and a real cron collects without a hole.

`make check-cron` lets a cron run for ten minutes; without it that test is skipped.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from lbank_ws.cli import parser_of_all
from lbank_ws.collect import manifest
from lbank_ws.collect.segments import records, segment_paths
from lbank_ws.collect.verifying import verify
from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "cron"
INSTALLED = "/opt/lbank-ws/bin/lbank-ws"
MINUTES = float(os.environ.get("LBANK_CRON_MINUTES", "0"))
PAIRS = ["btc_usdt", "eth_usdt"]


def commands() -> list[str]:
    """Give every command line of ours in the examples."""
    found = []
    for path in sorted(FOLDER.iterdir()):
        for line in path.read_text(encoding="utf-8").splitlines():
            command = re.search(r"(?:^|\s|=)\S*lbank-ws (\w.*)", line)
            if command is not None and not line.startswith(("#", "Description")):
                found.append(command[1].partition(" 2>>")[0])
    return found


def test_every_command_of_the_examples_is_understood():
    """An option that was renamed would fail in somebody's night."""
    lines = commands()

    assert len(lines) == 5
    for line in lines:
        args = parser_of_all().parse_args(shlex.split(re.sub(r"\$\(.*\)", "23:59", line)))
        assert callable(args.run)


def test_cron_is_not_given_a_bare_percent_sign():
    """It means a line break there, and what follows would be the input of the command."""
    for line in (FOLDER / "crontab").read_text().splitlines():
        assert line.startswith("#") or not re.search(r"(?<!\\)%", line)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["lbank-collect.service", "lbank-verify.service", "lbank-verify.timer"])
def test_systemd_takes_the_units_without_a_word(tmp_path, unit):
    """A misspelt line of a unit is a warning in a log that nobody reads."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    command = tmp_path / "lbank-ws"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for path in FOLDER.glob("lbank-*"):
        (tmp_path / path.name).write_text(path.read_text().replace(INSTALLED, str(command)))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, timeout=50
    )

    # What it says about units of the machine itself is not ours.
    ours = [line for line in done.stderr.splitlines() if "lbank" in line or str(tmp_path) in line]
    assert (ours, done.returncode) == ([], 0)


@pytest.mark.slow
def test_logrotate_takes_its_file(tmp_path):
    """As above."""
    if shutil.which("logrotate") is None:
        pytest.skip("logrotate is not installed: apt-get install logrotate")
    path = tmp_path / "logrotate"
    path.write_text((FOLDER / "logrotate").read_text())
    path.chmod(0o644)

    done = subprocess.run(["logrotate", "-d", "-s", str(tmp_path / "state"), str(path)], capture_output=True, text=True)

    assert done.returncode == 0
    assert "error" not in done.stderr


def running(store: Path) -> list[str]:
    """Give the processes in whose command line the store stands: runs, and shells that are about to begin one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if str(store) in path.read_bytes().decode(errors="replace"):
                found.append(path.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.timeout(int(MINUTES * 60) + 300)
def test_a_real_cron_collects_everything_with_one_writer_at_a_time(tmp_path):
    """Twice a minute, with overlaps; the exchange's own log is held against what is kept."""
    if not MINUTES:
        pytest.skip("this takes minutes: make check-cron")
    if os.geteuid() or shutil.which("cron") is None:
        pytest.skip("cron is not installed, or we are not root: apt-get install cron")
    store = tmp_path / "data"
    codes = tmp_path / "codes"
    table = Path("/etc/cron.d/lbank-ws-check")
    with Sandbox(pairs=PAIRS) as box:
        words = f"{sys.executable} -m lbank_ws collect {' '.join(PAIRS)} --channels trade,ticker --to {store}"
        addresses = f"--url {box.url} --rest-url {box.rest_url}"
        # The first of each minute waits for the one before; the second comes while one runs, in most minutes.
        first = f"{words} {addresses} --for 50s --lock-wait 20s"
        second = f"sleep 30; {words} {addresses} --for 45s --lock-wait 25s"
        lines = [f"* * * * * root cd {ROOT}; {line}; echo $? >> {codes}" for line in (first, second)]
        table.write_text("SHELL=/bin/sh\nPATH=/usr/bin:/bin\n" + "\n".join(lines) + "\n")
        daemon = subprocess.Popen(["cron", "-f", "-L", "0"])  # ends at once where one runs, which reads the table too
        try:
            over_s = time.monotonic() + MINUTES * 60
            wait_until(lambda: time.monotonic() >= over_s, MINUTES * 60 + 30)
        finally:
            table.unlink()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)
        wait_until(lambda: not running(store), 180, "the end of the last run")
        truth = [
            (
                each.listing.pair,
                each.traded_at_ms,
                each.listing.price_of(each.price),
                each.listing.amount_of(each.volume),
            )
            for each in box.truth.trades()
        ]

    assert verify(store).problems == []
    said = [manifest.read(store, run) for run in manifest.runs(store)]
    counts = Counter(codes.read_text().split())
    print(f"{len(said)} runs, exit codes {dict(counts)}")  # noqa: T201 - for whoever runs it
    assert set(counts) <= {"0", "75"}
    assert len(said) >= MINUTES
    kept = Counter(
        (event.pair, round(event.traded_at.timestamp() * 1000), event.price, event.amount)
        for path in segment_paths(store)
        if "channel=trade" in path
        for event in (record.event for record in records(store, path, verify=True))
    )
    first_ms = {pair: min(key[1] for key in kept if key[0] == pair) for pair in PAIRS}
    last_ms = {pair: max(key[1] for key in kept if key[0] == pair) for pair in PAIRS}
    due = Counter(key for key in truth if first_ms[key[0]] <= key[1] <= last_ms[key[0]])
    assert kept == due
    # One writer at a time: what one run received, it received alone.
    by_run = [
        (min(row["first_ns"] for row in each["segments"]), max(row["last_ns"] for row in each["segments"]))
        for each in said
        if each["segments"]
    ]
    for (_, ended_ns), (began_ns, _) in pairwise(sorted(by_run)):
        assert ended_ns <= began_ns
    for run in said[1:]:
        assert all(row["coverage_pct"] == 100 for row in run["topics"] if row["channel"] == "trade"), run["topics"]
