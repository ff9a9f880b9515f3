"""The pages become a site without a warning, and what is made of the code is in it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import lbank_ws
from lbank_ws.cli.verbs import NAMES
from lbank_ws.feed.states import State

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_parser", "furo")),
        reason="no Sphinx: pip install 'lbank-ws[docs]'",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build it as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", folder / "trees"]
    built = subprocess.run(
        [*command, ROOT / "docs", folder / "html"], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder / "html"


def test_every_page_is_in_it(site):
    """A page that no list of contents names is a warning; one that is left out altogether would be none."""
    pages = {page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")}

    assert {page for page in pages if not (site / page).with_suffix(".html").exists()} == set()


def test_it_tells_what_the_code_has(site):
    """Every public name, every command, every state."""
    api, cli, states = ((site / "reference" / f"{name}.html").read_text("utf-8") for name in ("api", "cli", "states"))

    assert [name for name in lbank_ws.__all__ if f">{name}<" not in api and not name.startswith("__")] == []
    assert [name for name in NAMES if f"usage: lbank-ws {name}" not in cli] == []
    assert [state.value for state in State if f">{state.value}<" not in states] == []


def test_it_asks_nobody_else(site):
    """It can be read without a network, and no reader is told to anybody."""
    text = "".join(page.read_text("utf-8") for page in site.rglob("*.html"))

    for loaded in ('src="http', 'rel="stylesheet" type="text/css" href="http', "@import"):
        assert loaded not in text
