"""Tables of what was measured: medians, the ratio to the reference, and how far the rounds lie apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from subjects import REFERENCE

GENERATOR_BUSY = 0.9

# What a column shows: phase and figure, and whether its ratio and its spread are told.
_COLUMNS = (
    ("msg/s", "flood", "per_s", True),
    ("CPU us/msg", "flood", "cpu_us", True),
    ("CPU us/msg at 2,000/s", "pace", "cpu_us", True),
    ("p50 us", "pace", "p50_us", False),
    ("p99 us", "pace", "p99_us", False),
    ("p99.9 us", "pace", "p999_us", False),
    ("memory MB", "pace", "memory_mb", False),
    ("peak MB", "flood", "peak_mb", False),
    ("generator CPU", "flood", "generator_cpu", False),
)


def table(records: Sequence[dict[str, Any]]) -> str:
    """Give the table of one case in Markdown; a generator that was the limit is marked."""
    columns = [column for column in _COLUMNS if any(_values(records, *column[1:3]))]
    rows = [["", *(name for name, *_ in columns)]]
    for subject in dict.fromkeys(record["subject"] for record in records):
        own = [record for record in records if record["subject"] == subject and "failed" not in record]
        reference = [record for record in records if record["subject"] == REFERENCE and "failed" not in record]
        if own:
            rows.append([subject, *(_cell(own, reference, column) for column in columns)])
        else:
            rows.append([subject, "failed", *[""] * (len(columns) - 1)])
    return markdown(rows)


def _cell(
    own: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]], column: tuple[str, str, str, bool]
) -> str:
    _, phase, figure, is_compared = column
    values = _values(own, phase, figure)
    if not values:
        return ""
    middle = median(values)
    text = _number(middle)
    if figure == "generator_cpu" and middle > GENERATOR_BUSY:
        text += " (the limit)"
    base = _values(reference, phase, figure)
    if is_compared and base:
        text += f" ({middle / median(base):.2f}x)"
    if is_compared and len(values) > 1:
        text += f" [{_number(min(values))}-{_number(max(values))}]"
    return text


def _values(records: Iterable[dict[str, Any]], phase: str, figure: str) -> list[float]:
    return [record[phase][figure] for record in records if figure in record.get(phase, ())]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Give rows, the first one of titles, as an aligned table."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
