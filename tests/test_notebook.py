"""What a notebook shows, and that the one among the examples runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from lbank_ws.causes import Flaw
from lbank_ws.events import Depth, Kline, Level, Ticker

NOTEBOOK = Path(__file__).parent.parent / "examples" / "market.ipynb"
BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
ONE = Decimal(1)
TICKER = Ticker("btc_usdt", Decimal("74016.25"), change_pct=Decimal("-0.11"), exchange_at=BEGAN)
BOOK = Depth("btc_usdt", [Level(Decimal(9), ONE)] * 12, [Level(Decimal("1E+1"), ONE)], levels=12)
BAR = Kline("btc_usdt", "1min", BEGAN, ONE, ONE, ONE, Decimal("1.5"), ONE, closed=True)


def cells(html: str) -> list[str]:
    return re.findall(r"<td>(?:<span[^>]*>)?([^<]*)", html)


def test_a_ticker_is_a_row_with_exact_numbers():
    """What was not sent is an empty cell, and no None."""
    assert cells(TICKER._repr_html_()) == ["74016.25", "-0.11", "", "", "", "2026-11-26 12:00:00"]


def test_a_book_is_its_best_ten_levels():
    """A side with fewer levels leaves its cells empty; no number has an exponent."""
    shown = cells(BOOK._repr_html_())

    assert len(shown) == 40
    assert shown[:8] == ["1", "9", "10", "1", "1", "9", "", ""]


def test_a_faulty_book_says_so():
    """A table looks trustworthy; this one is not the present book."""
    assert "<caption>btc_usdt: not served, crossed</caption>" in replace(BOOK, fault=Flaw.CROSSED)._repr_html_()


def test_a_bar_is_a_row():
    """Whether it is over is part of it."""
    assert cells(BAR._repr_html_()) == ["2026-11-26 12:00:00", "1", "1", "1", "1.5", "1", "yes"]


@pytest.mark.parametrize("event", [TICKER, BOOK, BAR], ids=lambda event: type(event).__name__)
def test_what_is_shown_is_escaped_and_fits_light_and_dark(event):
    """A name from outside must not run in a browser; a white background blinds at night."""
    html = replace(event, pair="<script>")._repr_html_()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert set(re.findall(r'style="([^"]*)"', html)) <= {"color:#2e9e5b", "color:#d9534f"}


def test_the_notebook_is_kept_without_outputs():
    """Prices of one day in the tree would change with every run."""
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))

    assert [cell["outputs"] for cell in kept["cells"] if cell["cell_type"] == "code"] == [[]] * 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook's own packages
def test_the_notebook_runs_and_shows_tables():
    """People open it first and run all cells."""
    nbclient = pytest.importorskip("nbclient", reason="the notebook is run with nbclient and ipykernel: extra dev")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    nbclient.NotebookClient(notebook, timeout=30, kernel_name="python3").execute()

    tables = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert [re.sub(r".*<caption>|</caption>.*", "", table) for table in tables] == [
        "btc_usdt",
        "btc_usdt",
        "btc_usdt 1min",
    ]
