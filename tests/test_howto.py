"""The files that a how-to shows do what it says: its own tests pass, and fail when the bot is broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.blocks import ROOT, Shape, Shell, blocks
from tests.raw_server import RawServer
from tests.servers import free_port
from tests.test_proxies import TALKS, relays

FOLDER = ROOT / "docs" / "howto"
TESTING = FOLDER / "testing-your-bot.md"
HEALTH = FOLDER / "health.md"
GAPS = FOLDER / "gaps.md"
ACCOUNT = FOLDER / "account-streams.md"
CRON = FOLDER / "cron.md"
EXPORT = FOLDER / "export.md"
PRIVATE = FOLDER / "private.md"
PROXIES = FOLDER / "proxies.md"
MOVES = [FOLDER / "from-pybit.md", FOLDER / "from-ccxt.md"]


def saved(page: Path, shell: Shell) -> None:
    """Save every file that a page shows, where no pytest finds the settings of this repository."""
    shell.save("pytest.ini", "[pytest]\naddopts = -p no:cacheprovider\n")
    for block in blocks(page):
        if block.word == "file":
            shell.save(block.more, block.text)


@pytest.mark.slow
def test_the_tests_of_the_bot_pass_as_printed(tmp_path):
    """People copy the page; it must run unchanged."""
    shell = Shell(tmp_path)
    saved(TESTING, shell)
    command, output = (block for block in blocks(TESTING) if block.section == "Run them")

    with shell.running(command.text.strip()) as run:
        assert run.code(40) == 0, run.text
        assert Shape(output.text).strangers(run.text) == []
        assert re.search(r"\d+ passed", output.text)[0] in run.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("good", "broken", "failing"),
    [
        ("if depth.best_bid is not None:", "if True:", "test_a_book_without_bids_is_survived"),
        ('if status.kind == "lost":', "if False:", "test_a_drop_is_no_crossing"),
    ],
)
def test_the_tests_of_the_bot_see_its_mistakes(tmp_path, good, broken, failing):
    """The page promises it, and a test that never fails teaches nothing."""
    shell = Shell(tmp_path)
    saved(TESTING, shell)
    bot = (shell.folder / "bot.py").read_text()
    assert good in bot
    shell.save("bot.py", bot.replace(good, broken))

    with shell.running(f"pytest -q -k {failing}") as run:
        assert run.code(40) == 1, run.text
        assert failing in run.text


@pytest.mark.slow
@pytest.mark.parametrize("section", ["Late", "Stale", "Frozen", "Refused"])
def test_what_goes_wrong_is_told_as_printed(tmp_path, section):
    """Who wants to know what a fault looks like runs the page, and holds the output against it."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(HEALTH) if block.section == section)
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).strangers(run.text) == []
        assert Shape(output.text).came(run.text), run.text


@pytest.mark.slow
@pytest.mark.parametrize("section", ["A drop", "From run to run"])
def test_what_is_fetched_is_told_as_printed(tmp_path, section):
    """As above."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(GAPS) if block.section == section)
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).strangers(run.text) == [], run.text
        assert Shape(output.text).came(run.text), run.text


@pytest.mark.slow
def test_what_happened_to_an_account_is_told_as_printed(tmp_path):
    """As above."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(ACCOUNT) if block.section == "A drop")
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).came(run.text), run.text


@pytest.mark.slow
@pytest.mark.parametrize("section", ["On paper", "What is lost on the way"])
def test_what_becomes_of_orders_is_told_as_printed(tmp_path, section):
    """As above."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(PRIVATE) if block.section == section)
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).strangers(run.text) == [], run.text
        assert Shape(output.text).came(run.text), run.text


@pytest.mark.slow
def test_what_is_collected_is_told_as_printed(tmp_path):
    """Whoever sets up a crontab tries the page first."""
    shell = Shell(tmp_path)
    saved(CRON, shell)
    console = [block.text.splitlines() for block in blocks(CRON) if block.language == "console"]
    printed = {"coverage.py": 0, "collect.py": 1}
    shapes = [block.text for block in blocks(CRON) if block.language == "text"]

    for command, *output in console:
        with shell.running(command.removeprefix("$ ")) as run:
            assert run.code(40) == 0, run.text
            assert Shape("\n".join(output)).strangers(run.text) == []
            assert Shape("\n".join(output)).came(run.text), run.text
    for program, number in printed.items():
        with shell.running(f"python {program} 2> log.txt") as run:
            assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
            assert Shape(shapes[number]).came(run.text), run.text


@pytest.mark.slow
def test_what_was_kept_comes_out_as_printed(tmp_path):
    """As above."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(EXPORT) if block.section == "Events, tables, candles")
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).strangers(run.text) == [], run.text
        assert Shape(output.text).came(run.text), run.text


@pytest.mark.slow
@pytest.mark.parametrize("page", MOVES, ids=lambda page: page.name)
def test_who_comes_from_another_client_sees_what_is_printed(tmp_path, page):
    """As above."""
    shell = Shell(tmp_path)
    program, output = (block for block in blocks(page) if block.language in ("python", "text"))
    shell.save(program.more, program.text)

    with shell.running(f"python {program.more} 2> log.txt") as run:
        assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
        assert Shape(output.text).strangers(run.text) == [], run.text
        assert all(Shape(line).came(run.text) for line in output.text.splitlines()), run.text


@pytest.mark.slow
@pytest.mark.parametrize("is_there", [True, False])
def test_a_named_proxy_is_gone_through_as_printed(tmp_path, is_there):
    """Through a real one; and one that is away is told as the page says."""
    program, *outputs = (block for block in blocks(PROXIES) if block.language in ("python", "text"))
    with RawServer(relays(TALKS["http"])) as proxy:
        shell = Shell(tmp_path, {"MY_PROXY": f"http://127.0.0.1:{proxy.port if is_there else free_port()}"})
        shell.save(program.more, program.text)
        with shell.running(f"python {program.more} 2> log.txt") as run:
            assert run.code(40) == 0, (shell.folder / "log.txt").read_text()
            text = run.text

    assert Shape(outputs[0 if is_there else 1].text).came(text), text
    assert bool(proxy.requests) is is_there


@pytest.mark.parametrize(
    "page",
    [TESTING, HEALTH, GAPS, CRON, EXPORT, ACCOUNT, PRIVATE, PROXIES, *MOVES],
    ids=lambda page: page.name,
)
def test_every_block_of_python_is_a_file_that_is_run(page):
    """A block that nobody runs is wrong one day."""
    assert all(block.word == "file" for block in blocks(page) if block.language == "python")
