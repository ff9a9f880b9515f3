"""Who may import whom, and what belongs in one place alone: the table of docs/design.md, "The rooms", as code.

A new module needs a row in `MAY_IMPORT`. Import from the room below, move the code, or change this table and the page
together; an import that points up makes two rooms one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lbank_ws"

VOCABULARY = (
    *(
        "trading_errors",
        "storage_errors",
        "quoting",
        "causes",
        "errors",
        "channels",
        "pushed",
        "account_events",
        "events",
    ),
)
DECIDING = (
    "feed.states",
    "feed.subscriptions",
    "feed.wanted",
    "feed.session",
    "feed.backoff",
    "feed.hosts",
    "feed.freshness",
    "feed.books",
    "feed.ages",
    "feed.asking",
    "feed.backfill",
    "feed.bar_fill",
    "feed.backlog",
    "feed.balance_fill",
    "feed.bars",
    "feed.gaps",
    "feed.gate",
    "feed.incoming",
    "feed.listing",
    "feed.merging",
    "feed.offset",
    "feed.order_fill",
    "feed.outgoing",
    "feed.placement",
    "feed.questions",
    "feed.reaction",
    "feed.state_fill",
    "feed.submissions",
    "feed.trade_fill",
    "feed.vigil",
)

# Names are those inside lbank_ws; a name stands for everything below it. The row with the longest name counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "": (
        *(*VOCABULARY, "version", "client", "dealing", "knowing", "subscribing", "signer"),
        *("feed.backlog", "feed.wanted", "trading", "collect", "playback"),
    ),
    "__main__": ("cli",),
    "version": (),
    "quoting": (),
    "causes": (),
    "errors": ("quoting", "causes"),
    "trading_errors": ("errors", "events", "quoting"),
    "storage_errors": ("errors", "quoting"),
    "environment": ("errors", "quoting"),
    "channels": ("quoting", "errors"),
    "pushed": (),
    "account_events": ("channels", "pushed"),
    "events": ("causes", "errors", "channels", "pushed", "account_events", "notebook"),
    # Of events it knows the names of the types alone.
    "notebook": ("events",),
    "reach": ("errors",),
    "signer": ("errors", "quoting", "environment"),
    # Without an address of the caller's the dialect's own counts, and its path.
    "settings": ("errors", "quoting", "environment", "wire"),
    "wire": (*VOCABULARY, "signer", "wire"),
    "feed": (*VOCABULARY, "version", "reach", "wire", "feed"),
    # What fetches; what is fetched is decided in feed.backfill.
    **dict.fromkeys(("feed.sources", "feed.calls"), (*VOCABULARY, "feed", "trading.rest")),
    # A Moment is a pair of numbers; the clocks themselves stay out of reach.
    **dict.fromkeys(DECIDING, (*VOCABULARY, "wire", *DECIDING, "feed.clock.Moment")),
    "trading": (*VOCABULARY, "reach", "signer", "settings", "wire", "trading"),
    **dict.fromkeys(
        ("trading.paper", "trading.paper_desk"),
        (
            *VOCABULARY,
            "wire",
            "trading",
            *(f"sandbox.{each}" for each in ("matching", "accounts", "orders", "listings")),
        ),
    ),
    "dealing": (*VOCABULARY, "wire", "feed", "trading", "knowing"),
    "callbacks": (*VOCABULARY, "feed"),
    "options": ("errors",),
    "subscribing": (*VOCABULARY, "feed", "callbacks"),
    "knowing": (*VOCABULARY, "feed", "subscribing"),
    "client": (*VOCABULARY, "version", "signer", "settings", "options", "wire", "feed", "trading", "dealing"),
    "playback": (*VOCABULARY, "client", "feed", "sandbox.recording"),
    # What a line of a segment means, and which trades are the same, is decided where it is for a live line.
    "collect": (
        *(*VOCABULARY, "version", "client", "collect", "wire"),
        *("feed.merging", "feed.resume"),
    ),
    "sinks": (*VOCABULARY, "collect", "sinks", "feed.backoff"),
    "leases": (
        "channels",
        "errors",
        "storage_errors",
        "collect.naming",
        "feed.resume",
        "leases",
        "sinks.addresses",
    ),
    "leases.redis_locks": ("errors", "leases", "sinks.addresses", "sinks.redis_streams.connected"),
    # Events that are read back are called back with as live ones are.
    "sinks.readback": (*VOCABULARY, "collect.lines", "sinks", "callbacks", "feed"),
    "web": (*VOCABULARY, "client", "web"),
    "cli": ("",),
    # A server made of the client's own encoders would agree with the client's mistakes.
    "sandbox": ("sandbox",),
}

# What is imported from outside, and the only rooms that may.
IMPORTED_ONLY_IN = {
    "websocket": ("feed.connection", "feed.fastread"),
    "random": ("feed.backoff", "sandbox"),
    "requests": ("trading.calling", "trading.transport"),
    "urllib3": ("trading.calling", "trading.transport"),
    # Imported late, and not by this form; whoever wants one says so here first.
    **dict.fromkeys(("redis", "psycopg", "confluent_kafka"), ("sinks",)),
    "redis": ("sinks", "leases"),
    "psycopg": ("sinks", "leases"),
}
# The deciding half of feed/ has time as an argument, and no socket and no thread.
NOT_IN_DECIDING = (
    *("socket", "ssl", "select", "selectors", "threading", "asyncio", "concurrent", "queue", "time", "websocket"),
    *("requests", "urllib", "http", "os", "sys", "logging"),
)
# What is called or read by such a name, and the only rooms that may.
NAMED_ONLY_IN = {
    "Thread": (
        *("feed.line", "feed.dispatch", "feed.caretaker", "feed.fetching", "feed.recorder", "sandbox.loop_thread"),
        *("sinks.streaming", "sinks.direct", "leases.tenancy", "cli.checkup", "web.server"),
    ),
    "environ": ("environment", "cli"),
    "environb": ("environment", "cli"),
    "getenv": ("environment", "cli"),
    "print": ("cli", "__main__"),
    "sys.exit": ("cli", "__main__"),
    "basicConfig": ("cli", "__main__"),
}
URL = re.compile(r"\b(?:https?|wss?)://[\w\[]")
URLS_ONLY_IN = ("wire", "feed.hosts", "trading.rest", "settings", "sandbox")


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    """Tell whether a name is one of these rooms or lies inside one; the room "" holds everything."""
    return any(room in ("", name) or name.startswith(room + ".") for room in rooms)


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Give every imported name in full: `from a.b import c` is `a.b.c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            for argument in node.args[:1]:
                yield argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else "?"


def called(node: ast.expr) -> str:
    """Give a name with its dots, as far as it has one: `sys.exit`."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def named(tree: ast.AST, package: str) -> Iterator[str]:
    """Give every name that is used, in full and each ending of it, and every imported one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = called(node)
            yield name
            yield name.rpartition(".")[2]
    for name in imported(tree, package):
        yield name
        yield name.rpartition(".")[2]


def breaches(name: str, source: str, *, is_package: bool = False) -> list[str]:
    """Give what a module does against the table, in words.

    Args:
        name: Inside lbank_ws, with dots: `feed.session`; empty for lbank_ws itself.
        source: Its text.
        is_package: It is an `__init__.py`.
    """
    tree = ast.parse(source)
    full = f"lbank_ws.{name}".rstrip(".")
    package = full if is_package else full.rpartition(".")[0]
    found = []

    rows = [room for room in MAY_IMPORT if room == name or (room and is_in(name, (room,)))]
    if not rows:
        return [f"{full} has no row in MAY_IMPORT"]
    allowed = MAY_IMPORT[max(rows, key=len)]
    for target in imported(tree, package):
        first, _, inside = target.partition(".")
        if first == "lbank_ws" and not is_in(inside, allowed):
            found.append(f"{full} imports {target}")
        if first in IMPORTED_ONLY_IN and not is_in(name, IMPORTED_ONLY_IN[first]):
            found.append(f"{full} imports {first}")
        if is_in(name, (*DECIDING, "leases.sharing", "leases.notes")) and first in NOT_IN_DECIDING:
            found.append(f"{full} decides, and imports {first}")
        if target == "?" and "" not in allowed:
            found.append(f"{full} imports what cannot be read here")
    for word in set(named(tree, package)) & set(NAMED_ONLY_IN):
        if not is_in(name, NAMED_ONLY_IN[word]):
            found.append(f"{full} uses {word}")
    if not is_in(name, URLS_ONLY_IN):
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        found += [f"{full} holds an address: {text}" for text in texts if URL.search(text)]
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "lbank_ws")
def test_no_module_reaches_out_of_its_room(name: str):
    """Each question is decided in one place; a second place would one day decide otherwise."""
    path = MODULES[name]

    found = breaches(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")

    assert found == []


def test_the_modules_are_found():
    """A test over no files passes too."""
    assert {"", "errors", "wire.v2", "feed.session", "feed.connection", "client", "sandbox.server"} <= set(MODULES)


@pytest.mark.parametrize(
    ("name", "source", "breach"),
    [
        ("errors", "from lbank_ws.channels import Topic", "imports lbank_ws.channels.Topic"),
        ("errors", "from .channels import Topic", "imports lbank_ws.channels.Topic"),
        ("channels", "import lbank_ws.events", "imports lbank_ws.events"),
        ("events", "def f():\n    from lbank_ws.wire import v2", "imports lbank_ws.wire.v2"),
        ("wire.v2", "from lbank_ws.feed.session import Session", "imports lbank_ws.feed.session.Session"),
        ("wire.v2", "from ..feed import session", "imports lbank_ws.feed.session"),
        ("settings", "from lbank_ws import client", "imports lbank_ws.client"),
        ("client", "from lbank_ws.sandbox import Sandbox", "imports lbank_ws.sandbox.Sandbox"),
        ("client", "from lbank_ws import LBankClient", "imports lbank_ws.LBankClient"),
        ("client", "import importlib\nimportlib.import_module('lbank_ws.cli')", "imports lbank_ws.cli"),
        ("client", "import importlib\nimportlib.import_module(name)", "imports what cannot be read here"),
        ("sandbox.frames", "from lbank_ws.wire import values", "imports lbank_ws.wire.values"),
        ("sandbox.frames", "from lbank_ws.errors import LBankError", "imports lbank_ws.errors.LBankError"),
        ("sandbox.server", "import lbank_ws", "imports lbank_ws"),
        ("feed.dispatch", "from lbank_ws.client import LBankClient", "imports lbank_ws.client.LBankClient"),
        ("feed.pool", "from lbank_ws.trading.rest import Rest", "imports lbank_ws.trading.rest.Rest"),
        ("feed.session", "from lbank_ws.feed.clock import SystemClock", "imports lbank_ws.feed.clock.SystemClock"),
        ("feed.session", "from lbank_ws.feed import clock", "imports lbank_ws.feed.clock"),
        ("feed.session", "from lbank_ws.feed.dispatch import Dispatch", "imports lbank_ws.feed.dispatch.Dispatch"),
        ("feed.session", "import time", "decides, and imports time"),
        ("feed.subscriptions", "from threading import Lock", "decides, and imports threading"),
        ("feed.backoff", "import socket as wire", "decides, and imports socket"),
        ("feed.books", "import ssl", "decides, and imports ssl"),
        ("feed.backfill", "from lbank_ws.trading.rest import Rest", "imports lbank_ws.trading.rest.Rest"),
        ("feed.dispatch", "import websocket", "imports websocket"),
        ("client", "from websocket import WebSocketApp", "imports websocket"),
        ("feed.dispatch", "import random", "imports random"),
        ("feed.session", "from random import uniform", "imports random"),
        ("client", "import threading\nthreading.Thread(target=print)", "uses Thread"),
        ("feed.stream", "from threading import Thread as Worker", "uses Thread"),
        ("client", "import os\nos.environ['HOME']", "uses environ"),
        ("wire.v2", "from os import getenv", "uses getenv"),
        ("client", "print('here')", "uses print"),
        ("client", "import sys\nsys.exit(1)", "uses sys.exit"),
        ("client", "from sys import exit", "uses sys.exit"),
        ("sandbox.server", "import logging\nlogging.basicConfig()", "uses basicConfig"),
        ("client", "URL = 'wss://api.lbkex.com/ws/V2/'", "holds an address"),
        ("feed.connection", "f'ws://127.0.0.1:{port}'", "holds an address"),
        ("cli.doctor", "'see https://www.lbank.com'", "holds an address"),
        ("news", "", "has no row in MAY_IMPORT"),
    ],
)
def test_the_checker_sees(name: str, source: str, breach: str):
    """A checker that finds nothing proves nothing."""
    found = breaches(name, source)

    assert any(breach in line for line in found), found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("channels", "from lbank_ws.errors import UsageError"),
        ("wire.v2", "from lbank_ws.wire import values\nfrom . import messages"),
        ("feed.session", "from lbank_ws.feed.clock import Moment\nimport math"),
        ("feed.connection", "import websocket"),
        ("feed.line", "import threading\nthreading.Thread()"),
        ("feed.sources", "from lbank_ws.trading.rest import Rest"),
        ("cli.watch", "import lbank_ws, os, sys\nfrom lbank_ws import LBankClient\nprint(os.environ)\nsys.exit(1)"),
        ("cli.verbs", "import importlib\nimportlib.import_module(name)"),
        ("__main__", "import sys\nfrom lbank_ws.cli import main\nsys.exit(main())"),
        ("sandbox.loop_thread", "from threading import Thread\nimport random\nf'ws://127.0.0.1:{1}'"),
        ("client", "'''Give `wss://` or `ws://` addresses.'''\n'write socks5://127.0.0.1:1080'"),
        ("client", "self.footprint()\nmy.exit()\nenvironment()"),
    ],
)
def test_the_checker_lets_pass(name: str, source: str):
    """What the table allows, and what only looks like a breach."""
    assert breaches(name, source) == []
