"""A table of prices that stays in place on a terminal; needs the extra `cli` (rich)."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from lbank_ws.events import Ticker


class Board:
    """One row a pair, in the order in which they first came; used inside `with`."""

    def __init__(self, console: Console | None = None) -> None:
        self._tickers: dict[str, Ticker] = {}
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self.table)

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, ticker: Ticker) -> None:
        """Put a ticker into its pair's row."""
        self._tickers[ticker.pair] = ticker

    def table(self) -> Table:
        """Give the board as it stands."""
        numbers = (Column(name, justify="right") for name in ("last", "24 h", "volume", "age"))
        table = Table("pair", *numbers, box=None)
        for pair, ticker in self._tickers.items():
            change = ticker.change_pct
            style = "" if not change else "green" if change > 0 else "red"
            age = "" if ticker.age_s is None else f"{ticker.age_s:.2f} s"
            table.add_row(
                pair,
                f"{ticker.last:f}",
                Text("" if change is None else f"{change:+} %", style),
                "" if ticker.volume is None else f"{ticker.volume:f}",
                age,
            )
        return table
