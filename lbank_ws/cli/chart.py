"""The candles of `candles`; needs the extra `cli` (rich, candlestick-chart).

The chart alone is drawn with floats, which candlestick-chart wants: pixels of a terminal are no money.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from candlestick_chart import Candle
from candlestick_chart import Chart as Candles
from rich.text import Text

from lbank_ws.channels import Channel
from lbank_ws.cli.drawing import DIM, DOWN, UP, dot, fitted, number
from lbank_ws.cli.stage import Health

if TYPE_CHECKING:
    from lbank_ws.events import Kline

_KEPT = 500
_MARGIN = 16  # of prices, beside the candles
_LEAST_HEIGHT = 6
_BELOW = 5  # lines that the library leaves for what it says below a chart; the head says it


class Chart:
    """The bars of one pair; the newest goes on to change.

    Args:
        pair: Which.
        interval: How long a bar is.
    """

    channel = Channel.KLINE

    def __init__(self, pair: str, interval: str) -> None:
        self.pairs: tuple[str, ...] = (pair,)
        self._interval = interval
        self._bars: dict[datetime, Kline] = {}

    def show(self, event: Kline, now_s: float) -> None:
        """Take a bar in its place, over what was known of it."""
        if event.fault is not None:
            return
        self._bars[event.opened_at] = event
        while len(self._bars) > _KEPT:
            del self._bars[min(self._bars)]

    def view(self, width: int, height: int, now_s: float, health: dict[str, Health]) -> list[Text]:
        """Give as many of the newest bars as fit, under the last of them in words."""
        (pair,) = self.pairs
        sign = dot(health.get(pair, Health("waiting")).state)
        head = Text(no_wrap=True).append(sign.text, sign.style).append(f" {pair} {self._interval}")
        if not self._bars:
            return [head]
        bars = [self._bars[at] for at in sorted(self._bars)]
        last = bars[-1]
        style = UP if last.close >= last.open else DOWN
        head.append(f"  {last.opened_at:%H:%M}", DIM)
        for name in ("open", "high", "low", "close"):
            head.append(f"  {name} ", DIM).append(number(getattr(last, name)), style)
        head.truncate(width, overflow="ellipsis")
        drawn = _drawn(bars[-max(1, width - _MARGIN) :], width, max(_LEAST_HEIGHT, height - 1))
        return fitted([head, *drawn], width, height)


def _drawn(bars: list[Kline], width: int, height: int) -> list[Text]:
    chart = Candles(
        [
            Candle(
                open=float(bar.open),
                high=float(bar.high),
                low=float(bar.low),
                close=float(bar.close),
                volume=float(bar.volume),
                timestamp=bar.opened_at.timestamp(),
            )
            for bar in bars
        ],
        title="",
        width=width,
        height=height + _BELOW,
    )
    chart.set_volume_pane_height(height // 6)
    return [Text.from_ansi(line) for line in chart._render().strip("\n").splitlines()[:height]]
