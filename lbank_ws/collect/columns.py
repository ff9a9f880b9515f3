"""The columns of a table of market data, taken out of a store: one table a channel.

Decided here: which columns there are, in which order, what each holds, and how its values are written as text. Not
decided here: which events are taken (`loading.py`), and how numbers are kept exact where they are no text
(`arrow.py`). There is no file, no thread and no clock here.

The columns are explained for readers in docs/howto/export.md, "The columns".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from lbank_ws.channels import MARKET, Channel
from lbank_ws.collect.lines import Head, Record


class Kind(Enum):
    """What a column holds.

    Members:
        NUMBER: An exact `Decimal`, or None.
        NUMBERS: A list of them.
        MOMENT: An aware `datetime` in UTC, or None.
        TEXT: A text, or None.
        WHOLE: A whole number, or None.
        REAL: A measured `float`, or None.
        YES: True or False.
    """

    NUMBER = "number"
    NUMBERS = "numbers"
    MOMENT = "moment"
    TEXT = "text"
    WHOLE = "whole"
    REAL = "real"
    YES = "yes"


class Column(NamedTuple):
    """One column.

    Attributes:
        name: The field's own, where there is a field.
        kind: What it holds.
        value: Gives its value, out of the head of a segment and a record of it.
    """

    name: str
    kind: Kind
    value: Callable[[Head, Record], Any]


def _of_event(name: str, kind: Kind) -> Column:
    return Column(name, kind, lambda _head, record: getattr(record.event, name))


def _text_of(name: str) -> Column:
    def value(_head: Head, record: Record) -> str | None:
        said = getattr(record.event, name)
        return None if said is None else str(said)

    return Column(name, Kind.TEXT, value)


def _side(name: str, side: str, field: str) -> Column:
    return Column(name, Kind.NUMBERS, lambda _head, record: [getattr(at, field) for at in getattr(record.event, side)])


_NUMBERS: Mapping[Channel, tuple[str, ...]] = {
    Channel.TICKER: ("last", "high", "low", "volume", "turnover", "change_pct"),
    Channel.TRADE: ("price", "amount", "value"),
    Channel.KLINE: ("open", "high", "low", "close", "volume", "turnover"),
    Channel.DEPTH: (),
}
_BEFORE: Mapping[Channel, tuple[Column, ...]] = {
    Channel.TICKER: (),
    Channel.TRADE: (_of_event("traded_at", Kind.MOMENT),),
    Channel.KLINE: (_text_of("interval"), _of_event("opened_at", Kind.MOMENT)),
    Channel.DEPTH: (),
}
_BEHIND: Mapping[Channel, tuple[Column, ...]] = {
    Channel.TICKER: (_text_of("side"),),
    Channel.TRADE: (_text_of("side"), _text_of("order_type")),
    Channel.KLINE: (_of_event("trades", Kind.WHOLE), _of_event("closed", Kind.YES), _text_of("fault")),
    Channel.DEPTH: (
        _side("bid_prices", "bids", "price"),
        _side("bid_amounts", "bids", "amount"),
        _side("ask_prices", "asks", "price"),
        _side("ask_amounts", "asks", "amount"),
        Column("levels", Kind.WHOLE, lambda head, _record: head.topic.levels),
        _text_of("node"),
        _text_of("fault"),
    ),
}
_SHARED = (
    _of_event("exchange_at", Kind.MOMENT),
    _of_event("received_at", Kind.MOMENT),
    Column("received_ns", Kind.WHOLE, lambda _head, record: record.ns),
    Column("age_s", Kind.REAL, lambda _head, record: record.age_s),
    Column("late", Kind.YES, lambda _head, record: record.late),
    _text_of("source"),
    Column("line", Kind.WHOLE, lambda _head, record: record.line),
    Column("seq", Kind.WHOLE, lambda _head, record: record.seq),
    Column("run", Kind.TEXT, lambda head, _record: head.run),
)
COLUMNS: Mapping[Channel, tuple[Column, ...]] = {
    channel: (
        Column("pair", Kind.TEXT, lambda _head, record: record.event.pair),
        *_BEFORE[channel],
        *(_of_event(name, Kind.NUMBER) for name in _NUMBERS[channel]),
        *_BEHIND[channel],
        *_SHARED,
    )
    for channel in MARKET
}


def row_of(columns: tuple[Column, ...], head: Head, record: Record) -> list[Any]:
    """Give the values of a record, one a column."""
    return [column.value(head, record) for column in columns]


def plain(number: Decimal) -> str:
    """Give a number as the exchange printed it, every digit kept, without an exponent: `0.00000001`."""
    return f"{number:f}"


def as_text(kind: Kind, value: Any) -> str:
    """Give a value as a CSV has it; nothing for None, a list as JSON has it, moments ISO 8601 in UTC."""
    if value is None:
        return ""
    if kind is Kind.NUMBER:
        return plain(value)
    if kind is Kind.NUMBERS:
        return f"[{','.join(map(plain, value))}]"
    if kind is Kind.MOMENT:
        return moment_text(value)
    if kind is Kind.YES:
        return json.dumps(bool(value))
    return str(value)


def moment_text(moment: datetime) -> str:
    """Give a moment as text, in UTC, to the microsecond: `2026-11-22T10:15:00.950000Z`."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}Z"
