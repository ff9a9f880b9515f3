"""Small pictures of text: sparklines, bars, columns. Pure functions; which characters and styles, is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from rich.text import Text

_HEIGHTS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
UP, DOWN, DIM, WARN = "green", "red", "bright_black", "yellow"
_DOTS = {"live": ("●", UP), "waiting": ("○", DIM), "stale": ("◐", WARN), "refused": ("✗", DOWN), "left": ("○", DIM)}
_GAP = 2


class Cell(NamedTuple):
    """One cell of a table.

    Attributes:
        text: What stands in it.
        style: Its colour, or an empty text.
    """

    text: str
    style: str = ""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        head: What stands above it.
        is_right: It is aligned to the right, as numbers are.
        least: How many characters it needs at least; 0 for as many as its widest cell.
        gives_way: Of several that do not fit, the one with the highest number is left out first; 0 stays.
    """

    head: str
    is_right: bool = True
    least: int = 0
    gives_way: int = 0


def dot(state: str) -> Cell:
    """Give the sign of a subscription's state; without colours too they differ."""
    return Cell(*_DOTS.get(state, ("○", DIM)))


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """Give values as a line of blocks, oldest first; of more than fit, each block is the last of several."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    shown = [values[(number + 1) * len(values) // count - 1] for number in range(count)]
    low, span = min(shown), max(shown) - min(shown)
    if not span:
        return _HEIGHTS[0] * count
    return "".join(_HEIGHTS[int((value - low) / span * (len(_HEIGHTS) - 1))] for value in shown)


def bar(share: float, width: int, *, is_right: bool = False) -> str:
    """Give a bar of a share of the width, exact to an eighth of a character; one to the right is in whole ones."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if is_right:
        return ("█" * round(eighths / 8)).rjust(width)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(width)


def seconds(length_s: float | None) -> str:
    """Give a length of time in at most five characters; nothing for None."""
    if length_s is None:
        return ""
    if length_s < 10:
        return f"{max(length_s, 0.0):.1f}s"
    if length_s < 100:
        return f"{length_s:.0f}s"
    return f"{length_s / 60:.0f}m" if length_s < 6000 else f"{length_s / 3600:.0f}h"


def number(value: Decimal | None) -> str:
    """Give a number of the exchange as it printed it, without an exponent; nothing for None."""
    return "" if value is None else f"{value:f}"


def aligned(values: Sequence[Decimal]) -> list[str]:
    """Give numbers with as many decimal places as the longest of them has, so that their points stand in line."""
    places = max((-int(value.as_tuple().exponent) for value in values), default=0)
    return [f"{value:.{max(0, places)}f}" for value in values]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """Give the lines of a table, its head first.

    Args:
        columns: What stands where.
        rows: Their cells.
        width: How wide it may be; columns that give way are left out until it fits, and then lines are cut.
    """
    widths = [column.least or _widest(columns, rows, at) for at, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while sum(widths[at] for at in kept) + _GAP * (len(kept) - 1) > width:
        weakest = max(kept, key=lambda at: columns[at].gives_way)
        if not columns[weakest].gives_way:
            break
        kept.remove(weakest)
    lines = []
    head = [Cell(column.head, DIM) for column in columns]
    for row in [head, *rows]:
        line = Text(no_wrap=True, overflow="crop")
        for place, at in enumerate(kept):
            cell, column = row[at], columns[at]
            text = cell.text.rjust(widths[at]) if column.is_right else cell.text.ljust(widths[at])
            line.append(" " * _GAP if place else "").append(text, cell.style)
        line.truncate(width)
        line.rstrip()
        lines.append(line)
    return lines


def fitted(lines: list[Text], width: int, height: int) -> list[Text]:
    """Give lines cut to the size of a terminal."""
    for line in lines:
        line.truncate(width)
    return lines[:height]


def room(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, flexible: int) -> int:
    """Give how much room the other columns leave for the flexible one, at least its `least`."""
    taken = sum(_widest(columns, rows, at) + _GAP for at in range(len(columns)) if at != flexible)
    return max(columns[flexible].least, width - taken)


def _widest(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], at: int) -> int:
    return max([len(columns[at].head), *(len(row[at].text) for row in rows)])
