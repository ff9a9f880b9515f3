"""Makes a report of a store: one page that holds everything it shows, and asks nobody for anything.

Decided here: how data and scripts get into the page, safely. What it shows is decided in `digest.py`, how it looks in
the files of `page/`. What stands in `page/vendor/` was written by others; see the README there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from lbank_ws.version import VERSION

_FOLDER = "page"
_SCRIPTS = ("vendor/lightweight-charts.standalone.production.js", "vendor/uPlot.iife.min.js", "page.js")
_STYLES = ("vendor/uPlot.min.css", "page.css")


def page(said: Mapping[str, Any]) -> str:
    """Give a report as HTML.

    Args:
        said: From `digest`.
    """
    scripts = [_read(name) for name in _SCRIPTS]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Only the scripts of this page run, and nothing is asked for: whatever a text in the data may hold.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
    parts = {
        "policy": policy,
        "version": VERSION,
        "styles": "\n".join(_read(name) for name in _STYLES),
        "data": embedded(said),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    text = _read("page.html")
    pieces = text.split("%%")  # what is put in is not looked at again
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def embedded(said: Mapping[str, Any]) -> str:
    """Give data as JSON that can stand in a script element: no text in it ends the element, or begins a comment."""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read(name: str) -> str:
    return files("lbank_ws.collect").joinpath(_FOLDER, *name.split("/")).read_text(encoding="utf-8")
