"""What commands print: screens, lines, JSON and CSV, and three lines for what went wrong."""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from lbank_ws.causes import Cause
from lbank_ws.cli.arguments import left_s, moment
from lbank_ws.cli.exits import Exit
from lbank_ws.cli.telling import three_lines, told
from lbank_ws.errors import ConnectionLost, GaveUp, MissingExtra, UsageError
from lbank_ws.sandbox import Sandbox

NOW = datetime(2026, 11, 26, 18, 0, 30, tzinfo=timezone.utc)
FOLLOWING = {
    "watch": "last",
    "book": "best_bid",
    "trades": "price",
    "candles": "close",
}


def lbank_ws(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lbank_ws", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **options)


@pytest.fixture(scope="module")
def box():
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize(("verb", "price"), FOLLOWING.items())
def test_a_pipe_gets_json_lines_with_exact_numbers(verb, price, box):
    """A script reads them; a price must not pass through a float."""
    done = lbank_ws(verb, "btc_usdt", "--url", box.url, "--count", "2")

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert len(rows) == 2
    assert all(row["pair"] == "btc_usdt" and isinstance(row[price], str) for row in rows)
    assert all(datetime.fromisoformat(row["received_at"]).tzinfo for row in rows)


@pytest.mark.parametrize(("verb", "price"), FOLLOWING.items())
def test_csv_has_a_head_and_no_lists(verb, price, box):
    """A spreadsheet opens it as it is."""
    done = lbank_ws(verb, "btc_usdt", "--url", box.url, "--count", "2", "--csv")

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 2
    assert all(float(row[price]) > 0 for row in rows)
    assert "[" not in done.stdout


@pytest.mark.parametrize("verb", FOLLOWING)
def test_plain_lines_are_ascii(verb, box):
    """They are for terminals that log, and for those that know no UTF-8."""
    done = lbank_ws(verb, "btc_usdt", "--url", box.url, "--count", "1", "--plain")

    assert done.stdout.isascii()
    assert "btc_usdt" in done.stdout


def test_a_book_in_json_has_its_levels(box):
    """What the ladder shows, a script gets too."""
    done = lbank_ws("book", "btc_usdt", "--levels", "3", "--url", box.url, "--count", "1")

    row = json.loads(done.stdout)
    assert [len(row["bids"]), len(row["asks"])] == [3, 3]
    assert row["bids"][0] == [row["best_bid"], row["best_bid_amount"]]


def test_forms_exclude_each_other():
    """Two of them at once are a mistake, not a guess."""
    done = lbank_ws("watch", "btc_usdt", "--json", "--csv")

    assert done.returncode == Exit.USAGE
    assert len(done.stderr.splitlines()) == 3


def test_nothing_came_is_told_in_three_lines():
    """What, why, what next: a cron mail is read in a hurry."""
    done = lbank_ws("trades", "btc_usdt", "--url", "ws://127.0.0.1:1", "--for", "1s")

    what, why, following = done.stderr.splitlines()[-3:]
    assert done.returncode == Exit.NO_DATA
    assert what == "lbank-ws trades: no trade came within 1 s"
    assert "Connection refused" in why
    assert "lbank-ws doctor" in following


def test_a_quiet_market_is_not_called_a_broken_line(box):
    """The line is open; who waits longer may get something."""
    with box.fault("mute", pair="btc_usdt"):
        done = lbank_ws("watch", "btc_usdt", "--url", box.url, "--for", "1s")

    assert done.returncode == Exit.NO_DATA
    assert "the line is open" in done.stderr


@pytest.mark.parametrize("verbosity", ["-v", "-vv"])
def test_a_traceback_comes_with_two_v_alone(verbosity):
    """It frightens; and it is what a report needs."""
    done = lbank_ws("watch", "BTC/USDT", "--sandbox", verbosity)

    assert ("Traceback" in done.stderr) is (verbosity == "-vv")
    assert done.stderr.splitlines()[-3].startswith("lbank-ws watch: a pair is written base_quote in lower case")
    assert "did you mean btc_usdt?" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            UsageError("a pair is btc_usdt, not 'x'; did you mean x_usdt?"),
            ("a pair is btc_usdt, not 'x'", "The call cannot be carried out as written", "did you mean x_usdt?"),
        ),
        (UsageError("no"), ("no", "The call cannot be carried out as written", "lbank-ws watch --help")),
        (
            MissingExtra("rich", "cli"),
            ("this needs the package rich", "is not installed", "pip install 'lbank-ws[cli]'"),
        ),
        (
            GaveUp(60.0, 7, ConnectionLost(Cause.SILENT, "x")),
            ("gave up after 60.0 s", "No line could be kept", "check the network, or raise give_up_after_s"),
        ),
    ],
)
def test_an_error_is_what_why_and_what_next(error, lines):
    """The last part of its sentence says what to do, and its class what kind of failure it is."""
    shown = told("lbank-ws watch", error).splitlines()

    assert len(shown) == 3
    assert all(part in line for part, line in zip(lines, shown, strict=True))
    assert [line[:8] for line in shown] == ["lbank-ws", "  why:  ", "  next: "]


def test_a_sentence_without_advice_gets_the_one_that_always_holds():
    """The third line is never missing."""
    assert three_lines("who", "it broke", "so", "try again").splitlines()[2] == "  next: try again"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("18:30", "2026-11-26T18:30:00+00:00"),
        ("18:00:31", "2026-11-26T18:00:31+00:00"),
        ("18:00", "2026-11-27T18:00:00+00:00"),
        ("2026-11-26T19:00", "2026-11-26T19:00:00+00:00"),
        ("2026-11-26T19:00Z", "2026-11-26T19:00:00+00:00"),
        ("2026-11-27T01:00+08:00", None),
        ("2026-11-27T03:00+08:00", "2026-11-27T03:00:00+08:00"),
    ],
)
def test_moments_are_read_as_utc(text, at):
    """`--until 18:30` must not mean another hour on another machine."""
    if at is None:
        with pytest.raises(argparse.ArgumentTypeError, match="over"):
            moment(text, NOW)
    else:
        assert moment(text, NOW).isoformat() == at


@pytest.mark.parametrize("text", ["", "soon", "25:00", "18:60", "2026-13-01"])
def test_other_moments_are_refused(text):
    """A moment that is misread would end a job at the wrong time."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"18:30"):
        moment(text, NOW)


def test_the_earlier_of_two_ends_counts():
    """`--for` and `--until` may stand together."""
    now = datetime.now(timezone.utc)

    assert left_s(argparse.Namespace(for_s=5.0, until=None)) == 5.0
    assert left_s(argparse.Namespace(for_s=None, until=None)) is None
    assert left_s(argparse.Namespace(for_s=5.0, until=now)) == 0.0


def test_without_rich_a_terminal_gets_plain_lines(box, tmp_path):
    """The core alone is enough to see prices. `script` gives the command a terminal."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'rich' else find(name, *more)\n"
    )
    command = f"{sys.executable} -m lbank_ws watch btc_usdt --url {box.url} --count 2"

    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "TERM": "xterm", "LANG": "C.UTF-8"},
    )

    assert "\x1b" not in done.stdout
    assert done.stdout.count("btc_usdt") == 2
