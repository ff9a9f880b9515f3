"""Tables of pyarrow, made of the records of a store.

Decided here: what type a column has, and when a number does not fit into it. Which columns there are is decided in
`columns.py`. pyarrow is imported when a table is made.

A number is DECIMAL(38, 18): twenty digits before the point and eighteen behind it, exactly. A column that holds one
which does not fit is text in the whole table, so that not a digit is lost.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lbank_ws.channels import Channel
from lbank_ws.collect.columns import COLUMNS, Column, Kind, plain, row_of
from lbank_ws.collect.lines import Head, Record
from lbank_ws.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow

    from lbank_ws.collect.loading import Loaded

DIGITS, PLACES = 38, 18
# Rows that are in memory together; a book has some eighty numbers.
ROWS: dict[Channel, int] = {
    Channel.TICKER: 50_000,
    Channel.DEPTH: 5_000,
    Channel.TRADE: 50_000,
    Channel.KLINE: 50_000,
}


class NotExactError(Exception):
    """A number does not fit into its column.

    Attributes:
        column: Its name; it must be text.
    """

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def imported(package: str, extra: str) -> Any:
    """Give a package that an extra brings.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return _IMPORTS[package]()
    except ImportError:
        raise MissingExtra(package.partition(".")[0], extra) from None


_IMPORTS: Mapping[str, Callable[[], Any]] = {
    "pyarrow": lambda: importlib.import_module("pyarrow"),
    "pyarrow.parquet": lambda: importlib.import_module("pyarrow.parquet"),
    "duckdb": lambda: importlib.import_module("duckdb"),
    "pandas": lambda: importlib.import_module("pandas"),
    "polars": lambda: importlib.import_module("polars"),
}


def table(loaded: Loaded, channel: Channel) -> pyarrow.Table:
    """Give everything that was chosen of a channel as one table."""
    texts: set[str] = set()
    while True:
        try:
            return _table(loaded, channel, texts)
        except NotExactError as one:
            texts.add(one.column)


def _table(loaded: Loaded, channel: Channel, texts: Collection[str]) -> pyarrow.Table:
    columns = COLUMNS[channel]
    found = (pair for _, records in loaded.by_day(channel=channel) for pair in records)
    library = imported("pyarrow", "data")
    return library.Table.from_batches(batches(columns, found, channel, texts), schema(columns, texts))


def schema(columns: Sequence[Column], texts: Collection[str] = ()) -> pyarrow.Schema:
    """Give names and types of columns; those named in `texts` are text."""
    library = imported("pyarrow", "data")
    number = library.decimal128(DIGITS, PLACES)
    types = {
        Kind.NUMBER: number,
        Kind.NUMBERS: library.list_(number),
        Kind.MOMENT: library.timestamp("us", tz="UTC"),
        Kind.TEXT: library.string(),
        Kind.WHOLE: library.int64(),
        Kind.REAL: library.float64(),
        Kind.YES: library.bool_(),
    }
    as_text = {Kind.NUMBER: library.string(), Kind.NUMBERS: library.list_(library.string())}
    return library.schema(
        [(column.name, as_text[column.kind] if column.name in texts else types[column.kind]) for column in columns]
    )


def batches(
    columns: tuple[Column, ...],
    records: Iterable[tuple[Head, Record]],
    channel: Channel,
    texts: Collection[str] = (),
) -> Iterator[pyarrow.RecordBatch]:
    """Give the rows of records, a bounded number at a time.

    Raises:
        NotExactError: A number does not fit.
        MissingExtra: pyarrow is not installed.
    """
    library = imported("pyarrow", "data")
    shape = schema(columns, texts)
    rest = iter(records)
    while rows := [row_of(columns, head, record) for head, record in islice(rest, ROWS[channel])]:
        arrays = []
        for column, known, values in zip(columns, shape, zip(*rows, strict=True), strict=True):
            try:
                arrays.append(library.array(_written(column, values, texts), type=known.type))
            except library.ArrowInvalid:
                if column.kind not in (Kind.NUMBER, Kind.NUMBERS):
                    raise
                raise NotExactError(column.name) from None
        yield library.RecordBatch.from_arrays(arrays, schema=shape)


def _written(column: Column, values: Sequence[Any], texts: Collection[str]) -> Sequence[Any]:
    if column.name not in texts:
        return values
    if column.kind is Kind.NUMBERS:
        return [[plain(number) for number in numbers] for numbers in values]
    return [None if number is None else plain(number) for number in values]
