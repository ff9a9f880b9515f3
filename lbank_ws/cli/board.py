"""The live board of `watch`: a row a pair; needs the extra `cli` (rich).

Decided here: what a row shows, and what gives way on a narrow or low terminal.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from lbank_ws.channels import Channel
from lbank_ws.cli.drawing import DIM, DOWN, UP, WARN, Cell, Column, dot, fitted, number, room, seconds, sparkline, table
from lbank_ws.cli.stage import Health

if TYPE_CHECKING:
    from lbank_ws.events import Depth, Ticker

POINTS = 60  # of the sparkline, one a second
_RATE_S = 10.0
_LEAST_TREND = 10
_TREND = 5
_COLUMNS = (
    Column("", is_right=False),
    Column("pair", is_right=False),
    Column("last"),
    Column("24 h", gives_way=1),
    Column("spread", gives_way=4),
    Column("last minute", is_right=False, least=_LEAST_TREND, gives_way=3),
    Column("age", gives_way=2),
    Column("rate", gives_way=5),
)


class Board:
    """Prices of several pairs, in the order in which they were asked for.

    Args:
        pairs: Which.
    """

    channel = Channel.TICKER

    def __init__(self, pairs: tuple[str, ...]) -> None:
        self.pairs = tuple(dict.fromkeys(pairs))
        self._rows = {pair: _Row(pair) for pair in self.pairs}

    def show(self, event: Ticker | Depth, now_s: float) -> None:
        """Take a price into its pair's row, or a book, of which the spread is shown."""
        row = self._rows.get(event.pair)
        if row is None:
            return
        if event.channel is Channel.TICKER:
            row.take(event, now_s)  # type: ignore[arg-type]  # its channel tells the class
        elif event.fault is None:  # type: ignore[union-attr]  # as above
            row.spread = event.spread  # type: ignore[union-attr]  # as above

    def view(self, width: int, height: int, now_s: float, health: dict[str, Health]) -> list[Text]:
        """Give the board: a head, a row a pair, and how many did not fit."""
        rows = list(self._rows.values())
        fitting = len(rows) if len(rows) < height else max(0, height - 2)
        for row in rows:
            row.move_on(now_s)
        shown = rows[:fitting]
        cells = [row.cells(now_s, health.get(row.pair, Health("waiting"))) for row in shown]
        columns = list(_COLUMNS)
        wide = min(room(columns, cells, width, _TREND), POINTS)
        columns[_TREND] = columns[_TREND]._replace(least=wide)
        for row, cell in zip(shown, cells, strict=True):
            cell[_TREND] = row.trend(wide)
        lines = table(columns, cells, width)
        if len(rows) > fitting:
            lines.append(Text(f"and {len(rows) - fitting} more; a higher terminal shows them", DIM))
        return fitted(lines, width, height)


class _Row:
    def __init__(self, pair: str) -> None:
        self.pair = pair
        self.spread: Decimal | None = None
        self._ticker: Ticker | None = None
        self._move = 0
        self._prices: deque[Decimal] = deque(maxlen=POINTS)
        self._pushed_s: deque[float] = deque()
        self._began_s = self._sampled_s = 0.0

    def take(self, ticker: Ticker, now_s: float) -> None:
        self.move_on(now_s)
        if self._ticker is None:
            self._began_s = self._sampled_s = now_s
            self._prices.append(ticker.last)
        elif ticker.last != self._ticker.last:
            self._move = 1 if ticker.last > self._ticker.last else -1
        self._ticker = ticker
        self._prices[-1] = ticker.last
        self._pushed_s.append(now_s)

    def move_on(self, now_s: float) -> None:
        """Add a point for every second that has passed, at the price that held."""
        if self._ticker is None:
            return
        passed = min(int(now_s - self._sampled_s), POINTS)
        if passed > 0:
            self._prices.extend([self._ticker.last] * passed)
            self._sampled_s += int(now_s - self._sampled_s)
        while self._pushed_s and now_s - self._pushed_s[0] > _RATE_S:
            self._pushed_s.popleft()

    def cells(self, now_s: float, health: Health) -> list[Cell]:
        sign = dot("stale" if health.why and health.state == "live" else health.state)
        ticker = self._ticker
        if ticker is None:
            return [sign, Cell(self.pair), *[Cell("")] * (len(_COLUMNS) - 2)]
        change = ticker.change_pct
        rate = len(self._pushed_s) / max(1.0, min(_RATE_S, now_s - self._began_s))
        is_old = bool(health.why) or health.state == "stale"
        return [
            sign,
            Cell(self.pair),
            Cell(number(ticker.last), DIM if is_old else ("", UP, DOWN)[self._move]),
            Cell("" if change is None else f"{change:+f} %", "" if not change else UP if change > 0 else DOWN),
            Cell(number(self.spread)),
            Cell(""),
            Cell(seconds(now_s - ticker.received_ns / 1e9 + (ticker.age_s or 0.0)), WARN if is_old else ""),
            Cell(f"{rate:.1f}/s"),
        ]

    def trend(self, width: int) -> Cell:
        prices = list(self._prices)
        if not prices:
            return Cell("")
        return Cell(sparkline(prices, width), UP if prices[-1] > prices[0] else DOWN if prices[-1] < prices[0] else DIM)
