"""`lbank-ws serve [PAIR...]`: a live page for a browser on this machine."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from lbank_ws.cli.arguments import add_source, duration_s
from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit, Signals

_EPILOG = """examples:
  lbank-ws serve btc_usdt eth_usdt --sandbox --port 0 --for 10s    from the practice exchange, at any free port
  lbank-ws serve btc_usdt                                          at 127.0.0.1:8730, until Ctrl-C
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "serve",
        help="a live page for a browser on this machine",
        description="Show candles, book, trades and health on a page at 127.0.0.1, for this machine alone.",
        epilog=_EPILOG,
    )
    command.add_argument("pairs", nargs="*", metavar="PAIR", default=["btc_usdt"], help="default: btc_usdt")
    command.add_argument("--port", type=_port, default=8730, help="0 for any that is free (default: 8730)")
    add_source(command)
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the page's address is the one line on standard output."""
    from lbank_ws.client import LBankClient
    from lbank_ws.web.server import PageServer
    from lbank_ws.web.view import View

    with ExitStack() as stack:
        addresses = stack.enter_context(addresses_of(args))
        signals = stack.enter_context(Signals())
        client = LBankClient(dialect=args.dialect, **addresses)
        page = stack.enter_context(PageServer(View(client, args.pairs), args.port))
        print("http:" + f"//127.0.0.1:{page.port}/", flush=True)
        client.run(for_s=args.for_s, until=signals.came)
        return Exit.DONE if signals.exit is None else signals.exit


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 0 to 65535")
    return int(text)
