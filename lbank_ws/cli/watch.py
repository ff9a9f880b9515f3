"""`lbank-ws watch PAIR...`: live prices."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lbank_ws.cli.arguments import add_end, add_source
from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit, Signals

if TYPE_CHECKING:
    from lbank_ws.events import Ticker


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "watch",
        help="live prices of one or more pairs",
        description="Show prices as the exchange sends them: a table on a terminal, else a line each.",
        epilog="example: lbank-ws watch btc_usdt eth_usdt --sandbox --for 10s",
    )
    command.add_argument("pairs", nargs="+", metavar="PAIR", help="for example btc_usdt")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    command.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_source(command)
    add_end(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.client import LBankClient

    with ExitStack() as stack:
        addresses = stack.enter_context(addresses_of(args))
        signals = stack.enter_context(Signals())
        client = LBankClient(dialect=args.dialect, **addresses)
        screen = _Screen(_printer(args, stack), args.count)
        client.on_ticker(*args.pairs)(screen.show)
        client.run(for_s=args.for_s, until=lambda: signals.came() or screen.is_done)
        if screen.broken is not None:
            raise screen.broken
        if signals.exit is not None:
            return signals.exit
        if not screen.lines:
            print("no price came", file=sys.stderr)
            return Exit.NO_DATA
        return Exit.DONE


def as_line(ticker: Ticker) -> str:
    """Give a ticker as a line for people."""
    change = "" if ticker.change_pct is None else f"{ticker.change_pct:+} %"
    volume = "" if ticker.volume is None else f"volume {ticker.volume:f}"
    moment = f"{ticker.exchange_at or ticker.received_at:%H:%M:%S}"
    return f"{moment}  {ticker.pair:<12} {ticker.last:>14f}  {change:>9}  {volume}".rstrip()


def as_json(ticker: Ticker) -> str:
    """Give a ticker as one JSON object; numbers are text, exactly as the exchange printed them."""
    fields = {
        "pair": ticker.pair,
        "last": ticker.last,
        "high": ticker.high,
        "low": ticker.low,
        "volume": ticker.volume,
        "turnover": ticker.turnover,
        "change_pct": ticker.change_pct,
        "side": ticker.side,
    }
    row = {name: None if content is None else str(content) for name, content in fields.items()}
    row["exchange_at"] = None if ticker.exchange_at is None else ticker.exchange_at.isoformat()
    row["received_at"] = ticker.received_at.isoformat()
    return json.dumps(row)


def _printer(args: argparse.Namespace, stack: ExitStack) -> Callable[[Ticker], None]:
    """Give what shows a ticker: a table where a person looks and rich is installed, else lines."""
    text = as_json if args.json else as_line
    if not (args.json or args.plain) and sys.stdout.isatty():
        try:
            from lbank_ws.cli.board import Board
        except ImportError:
            return lambda ticker: print(text(ticker), flush=True)
        return stack.enter_context(Board()).show
    return lambda ticker: print(text(ticker), flush=True)


class _Screen:
    """Shows tickers until enough are shown, or nobody reads them any more."""

    def __init__(self, show: Callable[[Ticker], None], enough: int | None) -> None:
        self._show = show
        self._enough = enough
        self.lines = 0
        self.broken: BrokenPipeError | None = None

    @property
    def is_done(self) -> bool:
        return self.broken is not None or (self._enough is not None and self.lines >= self._enough)

    def show(self, ticker: Ticker) -> None:
        if self.is_done:
            return
        try:
            self._show(ticker)
        except BrokenPipeError as error:
            self.broken = error
            return
        self.lines += 1
