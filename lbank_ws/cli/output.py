"""What the output of a command looks like: a screen, plain lines, JSON lines or CSV.

Decided here: which of them, and how a row is written. A person at a terminal gets a screen where rich is installed, and
plain lines elsewhere; a pipe gets JSON lines. Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum

Row = Mapping[str, object]


class Form(Enum):
    """What the output looks like."""

    SCREEN = "screen"
    PLAIN = "plain"
    JSON = "json"
    CSV = "csv"


def form_of(args: argparse.Namespace, *needs: str) -> Form:
    """Tell which form the arguments of `add_form` and the terminal ask for.

    Args:
        args: The command line.
        needs: The packages that the screen is drawn with.
    """
    for form in (Form.JSON, Form.CSV, Form.PLAIN):
        if getattr(args, form.value):
            return form
    if not sys.stdout.isatty():
        return Form.JSON
    can_draw = (sys.stdout.encoding or "").lower().startswith("utf") and os.environ.get("TERM", "") not in ("", "dumb")
    return Form.SCREEN if can_draw and all(importlib.util.find_spec(name) for name in needs) else Form.PLAIN


def writer(form: Form, row: Callable[[object], Row], line: Callable[[object], str]) -> Callable[[object], None]:
    """Give what prints an event.

    Args:
        form: What it looks like; not the screen.
        row: Makes an event the columns of a JSON object or of CSV.
        line: Makes it a line for people.
    """
    if form is Form.PLAIN:
        return lambda event: print(line(event), flush=True)
    if form is Form.JSON:
        return lambda event: print(json.dumps({name: _plain(value) for name, value in row(event).items()}), flush=True)
    return _Csv(row).write


class _Csv:
    """Writes a head and then rows; lists, such as the levels of a book, are left out."""

    def __init__(self, row: Callable[[object], Row]) -> None:
        self._row = row
        self._writer: csv.DictWriter[str] | None = None

    def write(self, event: object) -> None:
        row = {name: _plain(value) for name, value in self._row(event).items() if not isinstance(value, list)}
        if self._writer is None:
            self._writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            self._writer.writeheader()
        self._writer.writerow(row)
        sys.stdout.flush()


def _plain(value: object) -> object:
    """Give a value as JSON has it: numbers of the exchange are text, exactly as it printed them."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
