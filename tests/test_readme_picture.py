"""The picture in the README is what the board shows, and asks nobody for anything.

`python -m tests.test_readme_picture` draws it anew, of the screen that is approved in tests/screens.
"""

from __future__ import annotations

import io
import re
from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("rich")

from rich.console import Console
from rich.text import Text

from tests.test_cli_screens import drawn

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "board.svg"
WIDTH = 80
# As rich's own, without the fonts that it would fetch.
FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def board() -> str:
    """Draw the board as a picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in drawn("board", WIDTH, in_colour=True).splitlines():
        console.print(Text.from_markup(line), no_wrap=True)
    console.print()  # else the picture ends above the underscores of its last line
    return console.export_svg(title="lbank-ws watch", code_format=FORMAT, unique_id="board")


def words(picture: str) -> list[str]:
    """Give what stands in the lines of a picture, without blanks; how it is placed is up to the version of rich."""
    rows: dict[float, str] = {}
    for y, text in re.findall(r'<text class="board-r\d+" x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</text>', picture):
        rows[float(y)] = rows.get(float(y), "") + unescape(text).replace("\xa0", " ")
    return ["".join(row.split()) for _, row in sorted(rows.items()) if row.strip()]


def test_the_picture_is_what_the_board_shows():
    """People look before they read; an old picture promises what is not there."""
    shown = ["".join(line.split()) for line in drawn("board", WIDTH, in_colour=False).splitlines() if line.strip()]

    assert words(PICTURE.read_text("utf-8")) == words(board()) == shown
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text("utf-8")


def test_the_picture_asks_nobody():
    """A page that shows it tells nobody of its readers."""
    text = PICTURE.read_text("utf-8")

    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    assert "script" not in text


if __name__ == "__main__":
    PICTURE.write_text(board(), "utf-8")
