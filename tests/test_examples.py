"""Every example and every block of the README runs as printed, against the practice exchange."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = {
    "print_ticker": r"btc_usdt [0-9.]+ [0-9.]+",
    "watch_depth": r"btc_usdt  [0-9.]+ @ [0-9.]+  \|  [0-9.]+ @ [0-9.]+  spread [0-9.]+",
    "trades_to_csv": r"(btc|eth)_usdt (buy|sell) [0-9.]+ at [0-9.]+",
    "several_pairs": r"sol_usdt: [0-9.]+",
    "simple_dialect": r"Latest price: [0-9.]+, 24h volume: [0-9.E+]+",
    "unsubscribe_later": r"eth_usdt 12 [0-9.]+",
}


@pytest.fixture
def box():
    with Sandbox() as running:
        yield running


def run_until(script: Path, pattern: str, box: Sandbox, folder: Path) -> str:
    """Run a script against the box until its output matches, press Ctrl-C, and give the output."""
    out = folder / "out.txt"
    with out.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=folder,
            env={**os.environ, "LBANK_WS_URL": box.url, "LBANK_REST_URL": box.rest_url, "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: re.search(pattern, out.read_text()) or process.poll() is not None, 20, pattern)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    text = out.read_text()
    assert "Traceback" not in text
    assert re.search(pattern, text)
    return text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_it_promises_and_ends_with_ctrl_c(example, box, tmp_path):
    """People copy examples; each must run unchanged."""
    text = run_until(example, LINES[example.stem], box, tmp_path)

    if example.stem == "trades_to_csv":
        assert (tmp_path / "trades.csv").read_text().startswith("traded_at,pair,price,amount,side\n2")
    if example.stem == "unsubscribe_later":
        assert "btc_usdt 13 " not in text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_fits_one_screen_and_says_how_to_run_it(example):
    """An example is one file that does one thing."""
    text = example.read_text()

    assert len(text.splitlines()) <= 40
    assert f"python examples/{example.name}" in text


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_of_the_readme_runs_as_printed(number, box, tmp_path):
    """The first code that anybody reads must work."""
    script = tmp_path / "block.py"
    script.write_text(BLOCKS[number])
    process = subprocess.Popen(
        [sys.executable, "-u", str(script)],
        cwd=tmp_path,
        env={**os.environ, "LBANK_WS_URL": box.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [process.stdout.readline() for _ in range(2)]
    if "client.run()" in BLOCKS[number]:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)

    assert all(lines)
    assert not err
    assert process.returncode == 0
