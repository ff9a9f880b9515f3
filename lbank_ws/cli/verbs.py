"""Which commands there are, and in which order help tells of them: one line a command.

Each is a module of `lbank_ws.cli` with two functions: `add_command(verbs)` describes it to the parser, and
`run(args)` carries it out and gives the exit code. Not decided here: what any of them does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

NAMES = (
    "watch",
    "book",
    "trades",
    "candles",
    "serve",
    "demo",
    "collect",
    "verify",
    "export",
    "report",
    "ship",
    "seen",
    "record",
    "replay",
    "sandbox",
    "orders",
    "balance",
    "sign",
    "doctor",
    "completion",
)


def modules() -> list[Any]:
    """Give the module of every command. What takes long, each imports when it runs."""
    return [import_module(f"lbank_ws.cli.{name}") for name in NAMES]
