"""The ladder of `book`: asks above, bids below, each with a bar of what rests there; needs the extra `cli` (rich)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from lbank_ws.channels import Channel
from lbank_ws.cli.drawing import DIM, DOWN, UP, WARN, aligned, bar, dot, fitted, number, seconds
from lbank_ws.cli.stage import Health

if TYPE_CHECKING:
    from lbank_ws.events import Depth, Level

_GAP = 2
_HEADS = ("price", "amount", "sum")
_LINES_BESIDE = 4  # head, columns, the spread, the imbalance
_WIDEST_BAR = 60


def imbalance(bids: Sequence[Level], asks: Sequence[Level]) -> Decimal | None:
    """Give how much more is bid than asked, as a share of both: 1 is bids alone, -1 asks alone; None of nothing."""
    bid, ask = (sum((level.amount for level in side), Decimal(0)) for side in (bids, asks))
    return (bid - ask) / (bid + ask) if bid + ask else None


class Ladder:
    """The order book of one pair.

    Args:
        pair: Which.
    """

    channel = Channel.DEPTH

    def __init__(self, pair: str) -> None:
        self.pairs: tuple[str, ...] = (pair,)
        self._book: Depth | None = None

    def show(self, event: Depth, now_s: float) -> None:
        """Take a book; one that is not served is not shown either."""
        if event.fault is None:
            self._book = event

    def view(self, width: int, height: int, now_s: float, health: dict[str, Health]) -> list[Text]:
        """Give the ladder, as many levels a side as fit, the best ones next to the spread."""
        (pair,) = self.pairs
        known = health.get(pair, Health("waiting"))
        sign = dot("stale" if known.why and known.state == "live" else known.state)
        head = Text(no_wrap=True).append(sign.text, sign.style).append(f" {pair}")
        if self._book is None:
            return [head.append(f"  {known.why}", DIM)]
        book = self._book
        age_s = now_s - book.received_ns / 1e9 + (book.age_s or 0.0)
        head.append(f"  mid {number(book.mid)}").append(f"  age {seconds(age_s)}", DIM)
        if known.why:
            head.append(f"  not the present book: {known.why}", WARN)
        head.truncate(width, overflow="ellipsis")
        fitting = max(1, (height - _LINES_BESIDE) // 2)
        bids, asks = book.bids[:fitting], book.asks[:fitting]
        return fitted([head, *_levels(asks, bids, width), _balance(bids, asks, width)], width, height)


def _levels(asks: Sequence[Level], bids: Sequence[Level], width: int) -> list[Text]:
    """Give both sides, with the spread in between."""
    ask_sums, bid_sums = _sums(asks), _sums(bids)
    rows = [(level, total, DOWN) for level, total in zip(asks, ask_sums, strict=True)][::-1]
    rows += [(level, total, UP) for level, total in zip(bids, bid_sums, strict=True)]
    prices, amounts = aligned([level.price for level, _, _ in rows]), aligned([level.amount for level, _, _ in rows])
    cells = list(zip(prices, amounts, aligned([total for _, total, _ in rows]), strict=True))
    widths = [max([len(head), *(len(cell[at]) for cell in cells)]) for at, head in enumerate(_HEADS)]
    if sum(widths) + _GAP * 3 + 8 > width:
        widths.pop()  # the sums give way to the bars
    bars = max(0, min(_WIDEST_BAR, width - sum(widths) - _GAP * len(widths)))
    most = max((level.amount for level, _, _ in rows), default=Decimal(1)) or Decimal(1)
    lines = [Text((" " * _GAP).join(head.rjust(wide) for head, wide in zip(_HEADS, widths, strict=False)), DIM)]
    for at, (level, _, style) in enumerate(rows):
        if at == len(asks):
            lines.append(_spread(asks, bids, widths))
        line = Text(no_wrap=True)
        for place, wide in enumerate(widths):
            line.append(cells[at][place].rjust(wide) + " " * _GAP, style if place == 0 else "")
        line.append(bar(float(level.amount / most), bars), style)
        line.rstrip()
        lines.append(line)
    return lines


def _spread(asks: Sequence[Level], bids: Sequence[Level], widths: Sequence[int]) -> Text:
    if not (asks and bids):
        return Text("-" * widths[0], DIM)
    spread = asks[0].price - bids[0].price
    basis_points = spread / ((asks[0].price + bids[0].price) / 2) * 10_000
    return Text(f"{number(spread).rjust(widths[0])}  spread, {basis_points:.3g} bp", DIM)


def _balance(bids: Sequence[Level], asks: Sequence[Level], width: int) -> Text:
    """Give the imbalance as a bar: green what is bid, red what is asked."""
    share = imbalance(bids, asks)
    if share is None:
        return Text("nobody bids or asks", WARN)
    words = f"imbalance {share:+.2f} "
    wide = max(0, min(_WIDEST_BAR, width - len(words)))
    bid = round(float((share + 1) / 2) * wide)
    return Text(words, DIM, no_wrap=True).append("█" * bid, UP).append("░" * (wide - bid), DOWN)


def _sums(side: Sequence[Level]) -> list[Decimal]:
    sums, total = [], Decimal(0)
    for level in side:
        total += level.amount
        sums.append(total)
    return sums
