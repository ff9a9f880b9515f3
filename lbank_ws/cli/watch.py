"""`lbank-ws watch PAIR...`: live prices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.arguments import add_end, add_form, add_source
from lbank_ws.cli.follow import Following, follow
from lbank_ws.cli.output import Form, Row, form_of

if TYPE_CHECKING:
    from lbank_ws.cli.stage import Screen
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Ticker

_BOOK_LEVELS = 10  # of the books that the board's spread comes from; less is more punctual
_EPILOG = """examples:
  lbank-ws watch btc_usdt eth_usdt --sandbox --for 10s    from the practice exchange, without a network
  lbank-ws watch btc_usdt --sandbox --count 5 --csv       five lines for a spreadsheet
  lbank-ws watch btc_usdt eth_usdt                        until Ctrl-C

On a terminal a board: the sign says whether a pair is live (●), waiting (○), stale (◐) or refused (✗); age is that of
its newest push, rate how many come a second. Where nobody looks, as in a pipe, a JSON object a line.
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "watch",
        help="live prices of one or more pairs",
        description="Show prices as the exchange sends them: a board on a terminal, else a line each.",
        epilog=_EPILOG,
    )
    command.add_argument("pairs", nargs="+", metavar="PAIR", help="for example btc_usdt")
    add_form(command)
    add_source(command)
    add_end(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    is_board = form_of(args, "rich") is Form.SCREEN

    def subscribe(client: LBankClient, show: Callable[[Any], None]) -> None:
        client.on_ticker(*args.pairs)(show)
        if is_board:
            client.on_depth(*args.pairs, levels=_BOOK_LEVELS)(show)

    def board(_addresses: Mapping[str, Any]) -> Screen:
        from lbank_ws.cli.board import Board

        return Board(tuple(args.pairs))

    return follow(args, Following("price", "ticker", row, as_line, subscribe, board))


def as_line(ticker: Ticker) -> str:
    """Give a ticker as a line for people."""
    change = "" if ticker.change_pct is None else f"{ticker.change_pct:+} %"
    volume = "" if ticker.volume is None else f"volume {ticker.volume:f}"
    moment = f"{ticker.exchange_at or ticker.received_at:%H:%M:%S}"
    return f"{moment}  {ticker.pair:<12} {ticker.last:>14f}  {change:>9}  {volume}".rstrip()


def row(ticker: Ticker) -> Row:
    """Give a ticker as the columns of JSON and CSV."""
    return {
        "pair": ticker.pair,
        "last": ticker.last,
        "high": ticker.high,
        "low": ticker.low,
        "volume": ticker.volume,
        "turnover": ticker.turnover,
        "change_pct": ticker.change_pct,
        "side": ticker.side,
        "exchange_at": ticker.exchange_at,
        "received_at": ticker.received_at,
    }
