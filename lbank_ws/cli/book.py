"""`lbank-ws book PAIR`: an order book as a ladder."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.arguments import add_end, add_form, add_source, count
from lbank_ws.cli.follow import Following, follow
from lbank_ws.cli.output import Row

if TYPE_CHECKING:
    from lbank_ws.cli.stage import Screen
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Depth

_EPILOG = """examples:
  lbank-ws book btc_usdt --sandbox --for 10s            from the practice exchange, without a network
  lbank-ws book eth_btc --levels 5 --sandbox --count 3  five levels a side, three times
  lbank-ws book btc_usdt                                until Ctrl-C

The imbalance is how much more is bid than asked, of what is shown: +1 is bids alone, -1 asks alone. A book that is
late, crossed, frozen or of another node is not shown; the sign is ◐ then, and the head says why.
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "book",
        help="the order book of a pair",
        description="Show an order book as the exchange sends it: a ladder on a terminal, else a line each.",
        epilog=_EPILOG,
    )
    command.add_argument("pair", metavar="PAIR", help="for example btc_usdt")
    command.add_argument("--levels", type=count, metavar="N", help="how many a side (default: 20)")
    add_form(command)
    add_source(command)
    add_end(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""

    def subscribe(client: LBankClient, show: Callable[[Any], None]) -> None:
        client.on_depth(args.pair, levels=args.levels)(show)

    def ladder(_addresses: Mapping[str, Any]) -> Screen:
        from lbank_ws.cli.ladder import Ladder

        return Ladder(args.pair)

    return follow(args, Following("book", "depth", row, as_line, subscribe, ladder))


def as_line(depth: Depth) -> str:
    """Give the best prices of a book as a line for people."""
    bid, ask = depth.best_bid, depth.best_ask
    moment = f"{depth.exchange_at or depth.received_at:%H:%M:%S}"
    words = "" if depth.fault is None else f"  {depth.fault}"
    left = "no bid" if bid is None else f"{bid.amount:f} @ {bid.price:f}"
    right = "no ask" if ask is None else f"{ask.price:f} @ {ask.amount:f}"
    return f"{moment}  {depth.pair:<12} {left:>24} | {right:<24}".rstrip() + words


def row(depth: Depth) -> Row:
    """Give a book as the columns of JSON and CSV; CSV leaves the levels out."""
    bid, ask = depth.best_bid, depth.best_ask
    return {
        "pair": depth.pair,
        "best_bid": None if bid is None else bid.price,
        "best_bid_amount": None if bid is None else bid.amount,
        "best_ask": None if ask is None else ask.price,
        "best_ask_amount": None if ask is None else ask.amount,
        "spread": depth.spread,
        "fault": depth.fault,
        "exchange_at": depth.exchange_at,
        "received_at": depth.received_at,
        "bids": list(depth.bids),
        "asks": list(depth.asks),
    }
