"""Every example and every block of the README runs as printed, against the practice exchange."""

from __future__ import annotations

import re

import pytest

from lbank_ws.sandbox import Sandbox
from tests.blocks import ROOT, Shell, blocks

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = {
    "print_ticker": r"btc_usdt [0-9.]+ [0-9.]+",
    "watch_depth": r"btc_usdt  [0-9.]+ @ [0-9.]+  \|  [0-9.]+ @ [0-9.]+  spread [0-9.]+",
    "trades_to_csv": r"(btc|eth)_usdt (buy|sell) [0-9.]+ at [0-9.]+",
    "several_pairs": r"sol_usdt: [0-9.]+",
    "simple_dialect": r"Latest price: [0-9.]+, 24h volume: [0-9.E+]+",
    "paper_order": r"placed paper-1\n(.*\n)*buy market filled [0-9.]+ [0-9.]+",
    "sign_a_request": r"Success btc_usdt",
    "order_updates": r"live buy market filled [0-9.]+ Fill\(price=.*\)",
    "unsubscribe_later": r"eth_usdt 12 [0-9.]+",
}
BLOCKS = [block for block in blocks(ROOT / "README.md") if block.language == "python"]


@pytest.fixture
def shell(tmp_path):
    with Sandbox() as box:
        yield Shell(tmp_path, {"LBANK_WS_URL": box.url, "LBANK_REST_URL": box.rest_url, "PYTHONUNBUFFERED": "1"})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_it_promises_and_ends_with_ctrl_c(example, shell):
    """People copy examples; each must run unchanged."""
    with shell.running(f"python '{example}'") as script:
        script.until(lambda text: re.search(LINES[example.stem], text), LINES[example.stem])
        if "client.run()" in example.read_text():
            script.interrupt()

        assert script.code() == 0
        assert "Traceback" not in script.text
    if example.stem == "trades_to_csv":
        assert (shell.folder / "trades.csv").read_text().startswith("traded_at,pair,price,amount,side\n2")
    if example.stem == "unsubscribe_later":
        assert "btc_usdt 13 " not in script.text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_fits_one_screen_and_says_how_to_run_it(example):
    """An example is one file that does one thing."""
    text = example.read_text()

    assert len(text.splitlines()) <= 40
    assert f"python examples/{example.name}" in text


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_of_the_readme_runs_as_printed(number, shell):
    """The first code that anybody reads must work."""
    shell.save("block.py", BLOCKS[number].text)

    with shell.running("python block.py") as script:
        script.until(lambda text: text.count("\n") >= 2, "two lines")
        if "client.run()" in BLOCKS[number].text:
            script.interrupt()

        assert script.code() == 0
        assert "Traceback" not in script.text
