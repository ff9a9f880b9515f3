"""Makes tables of a store: a folder of Parquet, CSV files, or a database of DuckDB.

Decided here: which files an export writes, and that they stand there whole or not at all. What the tables hold is
decided in `columns.py` and `loading.py`, how numbers stay exact in `arrow.py`.

Everything is written beside its place, under a name that begins with a dot, and renamed at the end.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbank_ws.channels import Channel
from lbank_ws.collect.arrow import NotExactError, batches, imported, schema
from lbank_ws.collect.columns import COLUMNS, as_text, row_of
from lbank_ws.collect.lines import Head, Record
from lbank_ws.collect.loading import Day, Loaded
from lbank_ws.collect.segments import FOLDER_MODE, MODE
from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted

FORMS = ("parquet", "csv", "duckdb")

_GAP_COLUMNS: Mapping[str, str] = {
    "run": "VARCHAR",
    "channel": "VARCHAR",
    "pair": "VARCHAR",
    "levels": "BIGINT",
    "interval": "VARCHAR",
    "started_at": "TIMESTAMPTZ",
    "ended_at": "TIMESTAMPTZ",
    "cause": "VARCHAR",
    "missed": "BIGINT",
    "filled": "BIGINT",
    "missing_before": "TIMESTAMPTZ",
}


@dataclass
class Exported:
    """What an export has written.

    Attributes:
        paths: The files, or the folder.
        rows: How many a channel.
        texts: The columns that are text, because a number of them does not fit a DECIMAL: `trade.price`.
    """

    paths: list[Path]
    rows: dict[Channel, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


class Progress:
    """How far an export is: bytes of segments that were read, and rows that were written.

    Args:
        loaded: What is exported.
        on_progress: Called with the bytes read, the bytes there are, and the rows; what it raises ends the export.
    """

    def __init__(self, loaded: Loaded, on_progress: Callable[[int, int, int], object] | None) -> None:
        self._tell = on_progress
        self._total = sum(segment.bytes for day in loaded.days() for segment in day.segments)
        self._bytes = self._rows = 0

    def read(self, count: int) -> None:
        """Count bytes."""
        self._bytes += count
        self.wrote(0)

    def wrote(self, rows: int) -> None:
        """Count rows."""
        self._rows += rows
        if self._tell is not None:
            self._tell(min(self._bytes, self._total), self._total, self._rows)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Begin a channel once more."""
        self._bytes, self._rows = mark

    @property
    def mark(self) -> tuple[int, int]:
        """Where it stands."""
        return self._bytes, self._rows


def form_of(to: str | os.PathLike[str]) -> str:
    """Give the form that a name asks for: `out.parquet`, `out.csv`, `out.duckdb`.

    Raises:
        UsageError: It ends in none of them.
    """
    form = Path(to).suffix.lstrip(".").lower()
    if form not in FORMS:
        raise UsageError(f"{quoted(os.fspath(to))} must end in .parquet, .csv or .duckdb, which says what is made")
    return form


def export(
    loaded: Loaded,
    to: str | os.PathLike[str],
    *,
    replace: bool = False,
    on_progress: Callable[[int, int, int], object] | None = None,
) -> Exported:
    """Write tables of what was chosen of a store.

    Args:
        loaded: From `load`.
        to: `NAME.parquet` becomes a folder, `channel=trade/date=2026-11-22/pair=btc_usdt/data.parquet` in it;
            `NAME.csv` a file, or `NAME-trade.csv` and so on where there are several channels; `NAME.duckdb` a database
            with a table a channel, and one of the gaps.
        replace: Put it in the place of what has that name; else that is an error.
        on_progress: Called now and then with the bytes read, the bytes there are, and the rows written. What it raises
            ends the export, and nothing of it stays.

    Raises:
        UsageError: The name is not understood or taken, or there is nothing to export.
        StoreDamaged: A segment does not hold what was written.
        MissingExtra: pyarrow or duckdb is not installed (extra `data`).
        OSError: The disk refuses.
    """
    form, place = form_of(to), Path(to)
    channels = loaded.channels()
    if not channels:
        raise UsageError("there is nothing to export: no segment of these channels, pairs and times")
    names = [place]
    if form == "csv" and len(channels) > 1:
        names = [place.with_name(f"{place.stem}-{channel}{place.suffix}") for channel in channels]
    taken = [name for name in names if os.path.lexists(name)]
    if taken and not replace:
        raise UsageError(f"{quoted(str(taken[0]))} is there already; name another place, or replace it with --replace")
    beside = {name: name.with_name(f".{name.name}.{os.getpid()}.part") for name in names}
    progress = Progress(loaded, on_progress)
    done = Exported(names)
    try:
        for path in beside.values():
            _remove(path)
        if form == "csv":
            for channel, path in zip(channels, beside.values(), strict=True):
                done.rows[channel] = _csv(loaded, channel, path, progress)
        else:
            _in_columns(_Parquet if form == "parquet" else _DuckDb, loaded, channels, beside[place], progress, done)
        for name, path in beside.items():
            _into_place(path, name)
    finally:
        for path in beside.values():
            _remove(path)
    return done


def _csv(loaded: Loaded, channel: Channel, path: Path, progress: Progress) -> int:
    columns, rows = COLUMNS[channel], 0
    with path.open("x", newline="", encoding="utf-8") as file:
        os.chmod(path, MODE)
        out = csv.writer(file, lineterminator="\n")
        out.writerow([column.name for column in columns])
        for _, records in loaded.by_day(progress.read, channel):
            for head, record in records:
                values = row_of(columns, head, record)
                out.writerow([as_text(column.kind, value) for column, value in zip(columns, values, strict=True)])
                rows += 1
                if rows % 10_000 == 0:
                    progress.wrote(10_000)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _in_columns(
    form: type[_Parquet] | type[_DuckDb],
    loaded: Loaded,
    channels: list[Channel],
    path: Path,
    progress: Progress,
    done: Exported,
) -> None:
    """Write tables that have types; a channel begins anew when one of its numbers does not fit."""
    out = form(path)
    try:
        for channel in channels:
            texts: set[str] = set()
            mark = progress.mark
            while True:
                out.begin(channel, texts)
                try:
                    done.rows[channel] = _channel(out, loaded, channel, texts, progress)
                    break
                except NotExactError as one:
                    texts.add(one.column)
                    out.undo(channel)
                    progress.back_to(mark)
            done.texts += [f"{channel}.{name}" for name in sorted(texts)]
        out.add_gaps(loaded.gap_rows())
    finally:
        out.close()


def _channel(out: _Parquet | _DuckDb, loaded: Loaded, channel: Channel, texts: set[str], progress: Progress) -> int:
    rows = 0
    for day, records in loaded.by_day(progress.read, channel):
        for count in out.add(day, records, texts):
            rows += count
            progress.wrote(count)
    return rows


class _Parquet:
    """A folder with a file a channel, day and pair."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._library = imported("pyarrow.parquet", "data")
        path.mkdir(FOLDER_MODE)

    def begin(self, channel: Channel, texts: set[str]) -> None:
        """Nothing: a file is begun with its day."""

    def undo(self, channel: Channel) -> None:
        shutil.rmtree(self._path / f"channel={channel}", ignore_errors=True)

    def add(self, day: Day, records: Iterator[tuple[Head, Record]], texts: set[str]) -> Iterator[int]:
        columns = COLUMNS[day.channel][1:]  # the folder says the pair
        folder = self._path / f"channel={day.channel}" / f"date={day.date}" / f"pair={day.pair}"
        writer = None
        try:
            for batch in batches(columns, records, day.channel, texts):
                if writer is None:  # no file of a day of which nothing was chosen
                    os.makedirs(folder, FOLDER_MODE)
                    writer = self._library.ParquetWriter(
                        folder / "data.parquet", schema(columns, texts), compression="zstd"
                    )
                writer.write_batch(batch)
                yield batch.num_rows
        finally:
            if writer is not None:
                writer.close()

    def add_gaps(self, rows: list[dict[str, Any]]) -> None:
        # A name that begins with an underscore is no data to those who read such folders.
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        (self._path / "_gaps.jsonl").write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Nothing: every file is closed with its day."""


class _DuckDb:
    """A database with a table a channel, and one of the gaps."""

    def __init__(self, path: Path) -> None:
        library = imported("duckdb", "data")
        imported("pyarrow", "data")
        self._db = library.connect(str(path))
        for setting in ("TimeZone = 'UTC'", "autoinstall_known_extensions = false", "threads = 1"):
            self._db.execute(f"SET {setting}")

    def begin(self, channel: Channel, texts: set[str]) -> None:
        self._db.register("batch", schema(COLUMNS[channel], texts).empty_table())
        self._db.execute(f'CREATE TABLE "{channel}" AS SELECT * FROM batch')  # noqa: S608 - a channel's name

    def undo(self, channel: Channel) -> None:
        self._db.execute(f'DROP TABLE "{channel}"')

    def add(self, day: Day, records: Iterator[tuple[Head, Record]], texts: set[str]) -> Iterator[int]:
        library = imported("pyarrow", "data")
        for batch in batches(COLUMNS[day.channel], records, day.channel, texts):
            self._db.register("batch", library.Table.from_batches([batch]))
            self._db.execute(f'INSERT INTO "{day.channel}" SELECT * FROM batch')  # noqa: S608 - a channel's name
            yield batch.num_rows

    def add_gaps(self, rows: list[dict[str, Any]]) -> None:
        columns = ", ".join(f"{name} {kind}" for name, kind in _GAP_COLUMNS.items())
        self._db.execute(f"CREATE TABLE gap ({columns})")
        if rows:
            places = ", ".join("?" for _ in _GAP_COLUMNS)
            values = [[row[name] for name in _GAP_COLUMNS] for row in rows]
            self._db.executemany(f"INSERT INTO gap VALUES ({places})", values)  # noqa: S608 - question marks

    def close(self) -> None:
        with suppress(Exception):  # of a batch that is gone
            self._db.unregister("batch")
        self._db.close()


def _into_place(path: Path, name: Path) -> None:
    """Give what was written its name; what had it goes."""
    old = None
    if os.path.lexists(name):
        old = name.with_name(f".{name.name}.{os.getpid()}.old")
        _remove(old)
        os.rename(name, old)
    try:
        os.rename(path, name)
    except OSError:
        if old is not None:
            os.rename(old, name)
        raise
    if old is not None:
        _remove(old)


def _remove(path: Path) -> None:
    """Remove what an export left; never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
    wal = path.with_name(f"{path.name}.wal")
    if path.name.endswith(".part"):
        with suppress(FileNotFoundError):
            wal.unlink()
