"""`lbank-ws trades PAIR`: a tape of trades."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.arguments import add_end, add_form, add_source
from lbank_ws.cli.follow import Following, follow
from lbank_ws.cli.output import Row

if TYPE_CHECKING:
    from lbank_ws.cli.stage import Screen
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Trade

_EPILOG = """examples:
  lbank-ws trades btc_usdt --sandbox --for 10s    from the practice exchange, without a network
  lbank-ws trades btc_usdt --sandbox --count 5 --csv
  lbank-ws trades btc_usdt                        until Ctrl-C

Trades that were missed while the line was away are fetched and come in their place; their time is grey.
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "trades",
        help="the trades of a pair",
        description="Show trades as they are made: a tape on a terminal, newest first, else a line each.",
        epilog=_EPILOG,
    )
    command.add_argument("pair", metavar="PAIR", help="for example btc_usdt")
    add_form(command)
    add_source(command)
    add_end(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""

    def subscribe(client: LBankClient, show: Callable[[Any], None]) -> None:
        client.on_trade(args.pair)(show)

    def tape(_addresses: Mapping[str, Any]) -> Screen:
        from lbank_ws.cli.tape import Tape

        return Tape(args.pair)

    return follow(args, Following("trade", "trade", row, as_line, subscribe, tape))


def as_line(trade: Trade) -> str:
    """Give a trade as a line for people."""
    moment = trade.traded_at or trade.exchange_at or trade.received_at
    return f"{moment:%H:%M:%S}  {trade.pair:<12} {trade.side:<4} {trade.amount:>14f} at {trade.price:f}"


def row(trade: Trade) -> Row:
    """Give a trade as the columns of JSON and CSV."""
    return {
        "pair": trade.pair,
        "price": trade.price,
        "amount": trade.amount,
        "value": trade.value,
        "side": trade.side,
        "order_type": trade.order_type,
        "traded_at": trade.traded_at,
        "source": trade.source,
        "received_at": trade.received_at,
    }
