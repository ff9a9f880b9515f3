"""The tape of `trades`: the newest trades first, and who was in a hurry; needs the extra `cli` (rich)."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from lbank_ws.channels import Channel
from lbank_ws.cli.drawing import DIM, DOWN, UP, Cell, Column, aligned, bar, dot, fitted, number, room, table
from lbank_ws.cli.stage import Health

if TYPE_CHECKING:
    from lbank_ws.events import Trade

_KEPT = 500
_LINES_BESIDE = 2  # the summary and the head
_WIDEST_BAR = 40
_BAR = 4
_COLUMNS = (
    Column("time UTC", is_right=False),
    Column("side", is_right=False),
    Column("price"),
    Column("amount"),
    Column("", is_right=False, least=1, gives_way=1),
)


class Tape:
    """The trades of one pair.

    Args:
        pair: Which.
    """

    channel = Channel.TRADE

    def __init__(self, pair: str) -> None:
        self.pairs: tuple[str, ...] = (pair,)
        self._trades: deque[Trade] = deque(maxlen=_KEPT)
        self._sums = {"buy": Decimal(0), "sell": Decimal(0)}
        self._counts = {"buy": 0, "sell": 0}

    def show(self, event: Trade, now_s: float) -> None:
        """Take a trade."""
        self._trades.appendleft(event)
        self._sums[event.side] += event.amount
        self._counts[event.side] += 1

    def view(self, width: int, height: int, now_s: float, health: dict[str, Health]) -> list[Text]:
        """Give the newest trades that fit, below what was bought and sold in all."""
        (pair,) = self.pairs
        sign = dot(health.get(pair, Health("waiting")).state)
        head = Text(no_wrap=True).append(sign.text, sign.style).append(f" {pair}")
        for side, style in (("buy", UP), ("sell", DOWN)):
            head.append(f"  {self._counts[side]} {side} {number(self._sums[side])}", style)
        head.truncate(width, overflow="ellipsis")
        shown = list(self._trades)[: max(1, height - _LINES_BESIDE)]
        if not shown:
            return [head]
        most = max(trade.amount for trade in shown) or Decimal(1)
        prices, amounts = aligned([trade.price for trade in shown]), aligned([trade.amount for trade in shown])
        rows = [_cells(*each) for each in zip(shown, prices, amounts, strict=True)]
        columns = list(_COLUMNS)
        wide = min(_WIDEST_BAR, room(columns, rows, width, _BAR))
        columns[_BAR] = columns[_BAR]._replace(least=wide)
        for trade, cells in zip(shown, rows, strict=True):
            cells[_BAR] = Cell(bar(float(trade.amount / most), wide), UP if trade.side == "buy" else DOWN)
        return fitted([head, *table(columns, rows, width)], width, height)


def _cells(trade: Trade, price: str, amount: str) -> list[Cell]:
    style = UP if trade.side == "buy" else DOWN
    moment = trade.traded_at or trade.exchange_at or trade.received_at
    fetched = DIM if trade.source == "backfill" else ""
    return [
        Cell(f"{moment:%H:%M:%S}", fetched),
        Cell(trade.side, style),
        Cell(price, style),
        Cell(amount),
        Cell(""),
    ]
