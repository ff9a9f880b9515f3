"""How the pages become a site: `make docs`. Pages that tell what the code knows are made here, at every build."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import lbank_ws
from lbank_ws.cli import parser_of_all
from lbank_ws.feed import states, wanted

HERE = Path(__file__).parent
# They stand beside docs/, and are shown as pages of it.
ROOT_PAGES = ("README", "SECURITY", "CHANGELOG", "CONTRIBUTING")
LONG = ("LBankClient", "Collector", "FileStore", "SqliteStore")  # what one mostly looks for comes first

project = "lbank_ws"
author = "the authors of lbank_ws"
release = version = version_of("lbank-ws")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"lbank_ws {release}"
html_copy_source = False
templates_path: list[str] = []

myst_heading_anchors = 6
default_role = "code"  # what docstrings put between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def cli_page() -> str:
    """Give every command's own help."""
    made = parser_of_all()
    text = ["# Commands", "", "What `lbank-ws --help` prints, and each command's own.", "", _block(made.format_help())]
    for name, command in sorted(_commands(made).items()):
        text += ["", f"## lbank-ws {name}", "", _block(command.format_help())]
    return "\n".join(text) + "\n"


def states_page() -> str:
    """Give the tables that lines and subscriptions keep to."""
    text = ["# States", "", "Each row is a move; whatever else happens in a state changes nothing there."]
    tables: tuple[tuple[str, Mapping[Any, Mapping[Any, Any]]], ...] = (
        ("A line", states.MOVES),
        ("A subscription", wanted.MOVES),
    )
    for title, moves in tables:
        text += ["", f"## {title}", "", "| from | when | to |", "|---|---|---|"]
        for state, ways in moves.items():
            text += [f"| `{state.value}` | {signal.value} | `{target.value}` |" for signal, target in ways.items()]
            text += [] if ways else [f"| `{state.value}` | nothing leads out of it | |"]
    return "\n".join(text) + "\n"


def api_page() -> str:
    """Give what `import lbank_ws` offers, from its docstrings."""
    names = [*LONG, *(name for name in lbank_ws.__all__ if name not in LONG and name != "__version__")]
    text = ["# Python", "", "Everything that `import lbank_ws` gives."]
    for name in names:
        found = getattr(lbank_ws, name)
        text += ["", f"## {name}", ""]
        if isinstance(found, type):
            text += _autodoc("class", name, [":members:", *([":inherited-members: Exception"] if name in LONG else [])])
        elif callable(found):
            text += _autodoc("function", name, [])
        else:
            text += [f"`{found!r}`"]
    return "\n".join(text) + "\n"


def root_page(name: str) -> str:
    """Give a page that stands beside docs/, with its links as they must be inside."""
    text = (HERE.parent / f"{name}.md").read_text("utf-8")
    outside = re.sub(r"\]\((?!https?:|#|docs/)", "](../", text)
    return outside.replace("](docs/", "](")


def write_pages(_: Sphinx) -> None:
    """Write the pages that are made, where they changed."""
    pages = {"reference/cli": cli_page(), "reference/states": states_page(), "reference/api": api_page()}
    pages |= {name.lower(): root_page(name) for name in ROOT_PAGES}
    for name, text in pages.items():
        file = HERE / f"{name}.md"
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def lead_inside(_: Sphinx, name: str, source: list[str]) -> None:
    """Let links to the pages beside docs/ lead to what was made of them; of links to folders keep the words."""
    up = "../" * name.count("/")
    for page in ROOT_PAGES:
        source[0] = source[0].replace(f"]({up}../{page}.md", f"]({up}{page.lower()}.md")
    source[0] = re.sub(r"\[([^\]\n]*)\]\([^)\s]*/\)", r"\1", source[0])


def setup(app: Sphinx) -> None:
    """Let Sphinx make the pages before it reads any."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("builder-inited", write_pages)
    app.connect("source-read", lead_inside)


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _commands(made: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    raise LookupError("the parser has no commands")


def _autodoc(kind: str, name: str, options: list[str]) -> list[str]:
    return ["```{eval-rst}", f".. auto{kind}:: lbank_ws.{name}", *(f"   {option}" for option in options), "```"]
