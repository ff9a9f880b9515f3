"""Segments: the files in which a store keeps what came, one a subscription at a time.

Decided here: how a segment grows, when it is whole, what is left of one whose writer was killed, and what is read of a
damaged one. What a line says is decided in `lines.py`, how lines are packed in `packs.py`, what files are called in
`naming.py`.

A segment is `*.part` while it grows. Each write adds one whole pack; a write that the disk refuses is taken back. It is
forced to the disk and renamed when it is closed, and never changes after that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lbank_ws.collect.lines import BadLineError, Head, Record, head_of, head_text, reader
from lbank_ws.collect.naming import PART, RAW, date_of, segment_name
from lbank_ws.collect.packs import Packer, TornError, packs
from lbank_ws.collect.summary import Summary
from lbank_ws.errors import UsageError
from lbank_ws.storage_errors import StoreDamaged

MODE = 0o640
FOLDER_MODE = 0o750

_CHUNK = 1 << 20
_MANY = 8  # segments


class SegmentWriter:
    """One segment that grows. Used by one thread at a time; it keeps no file open between two writes.

    Args:
        root: The folder of the store.
        path: Of the segment inside it, from `naming.segment_path`.
        head: What its first line says.
        pack: What packs its lines.

    Attributes:
        summary: What was written so far.
        date: The day in UTC to which everything in it belongs.
        unpacked_bytes: How many bytes of lines were written.

    Raises:
        OSError: The disk refuses, or something of that name is there already.
    """

    def __init__(self, root: str | os.PathLike[str], path: str, head: Head, pack: Packer) -> None:
        self.summary = Summary(path, head.topic)
        self.date = date_of(head.opened_ns)
        self.unpacked_bytes = 0
        self._final = Path(root) / path
        self._part = Path(f"{self._final}{PART}")
        self._pack = pack
        self._sha256 = hashlib.sha256()
        self._first = head_text(head) + "\n"
        os.makedirs(self._final.parent, FOLDER_MODE, exist_ok=True)
        if self._final.exists():
            raise FileExistsError(17, "there is a file of that name", str(self._final))
        os.close(os.open(self._part, _flags(os.O_WRONLY | os.O_CREAT | os.O_EXCL), MODE))

    def write(self, lines: Sequence[str]) -> None:
        """Add lines as one pack.

        Raises:
            OSError: The disk does not take it; the file is as it was.
        """
        text = self._first + "\n".join(lines) + "\n"
        content = text.encode()
        packed = self._pack(content)
        before = self.summary.bytes
        fd = os.open(self._part, _flags(os.O_WRONLY | os.O_APPEND))
        try:
            _write_all(fd, packed)
        except OSError:
            with contextlib.suppress(OSError):  # readers leave out a torn end
                os.ftruncate(fd, before)
            raise
        finally:
            os.close(fd)
        self._first = ""
        self._sha256.update(packed)
        self.unpacked_bytes += len(content)
        self.summary.bytes = before + len(packed)
        self.summary.sha256 = self._sha256.hexdigest()

    def close(self) -> Summary:
        """Force it to the disk and give it its name; it never changes after that.

        Raises:
            OSError: The disk refuses; it stays a part, which the next start makes whole.
        """
        _finish(self._part, self._final)
        return self.summary

    def rename(self) -> Summary:
        """Give it its name, where somebody else sees to it that all reaches the disk; as `close` otherwise."""
        os.rename(self._part, self._final)
        return self.summary


def close_together(writers: Sequence[SegmentWriter]) -> list[Summary | OSError]:
    """Close several segments; give the summary of each, or why it stays a part.

    Many are forced to the disk by one call for all: six hundred calls take two seconds, and one takes a tenth.
    """
    # Elsewhere than on Linux `sync` may return before everything is written.
    is_many = len(writers) > _MANY and sys.platform == "linux"
    if is_many:
        os.sync()
    closed: list[Summary | OSError] = []
    for writer in writers:
        try:
            closed.append(writer.rename() if is_many else writer.close())
        except OSError as error:  # the others may still be closed
            closed.append(error)
    if is_many:
        os.sync()
    return closed


def records(
    root: str | os.PathLike[str], path: str, *, verify: bool = False, torn_ok: bool | None = None
) -> Iterator[Record]:
    """Read a segment, in the order in which it was written.

    Args:
        root: The folder of the store.
        path: Of the segment inside it: `raw/channel=trade/.../101500-host-4711-1.jsonl.zst`, or its `.part`.
        verify: Raise for a line that does not belong here: another day, another order of numbers.
        torn_ok: Whether a torn end is left out, and not told; None for yes with a part alone.

    Raises:
        StoreDamaged: It is torn or damaged; everything before that was given.
        UsageError: There is no such segment.
        MissingExtra: It ends in `.zst`, and zstandard is not installed.
    """
    head = read_head(root, path)
    try:
        read = reader(head)
    except BadLineError as bad:
        raise StoreDamaged(path, str(bad)) from None
    date, last_seq = date_of(head.opened_ns), 0
    for text in _texts(root, path, torn_ok=torn_ok):
        try:
            record = read(text)
            if verify and record.seq <= last_seq:
                raise BadLineError(f"number {record.seq} stands behind number {last_seq}")
            if verify and date_of(record.ns) != date:
                raise BadLineError(f"an event of {date_of(record.ns)} stands in a segment of {date}")
        except BadLineError as bad:
            raise StoreDamaged(path, str(bad)) from None
        last_seq = record.seq
        yield record


def lines_from(root: str | os.PathLike[str], path: str, begin: int = 0) -> Iterator[tuple[list[str], int]]:
    """Give the lines of a segment that may still be written, a pack at a time, and where in the file each pack ends.

    Args:
        root: The folder of the store.
        path: Of the segment inside it, without `.part`, whether it is closed already or not.
        begin: Where a pack begins, as it was given before; 0 for the start, whose first line is the head.

    Raises:
        StoreDamaged: It is closed, and torn or damaged behind what was given.
        UsageError: There is no such segment.
    """
    part = f"{path}{PART}"
    is_part = (Path(root) / part).exists()
    try:
        file = _opened(root, part if is_part else path)
    except UsageError:
        if not is_part:
            raise
        file = _opened(root, path)  # closed just now
    with file:
        file.seek(begin)
        try:
            for pack in packs(file.read, _suffix(path)):
                yield pack.lines.decode().removesuffix("\n").split("\n"), begin + pack.end
        except TornError as torn:
            if not is_part:
                raise StoreDamaged(path, str(torn)) from None
        except UnicodeDecodeError:
            raise StoreDamaged(path, "it holds bytes that are no UTF-8") from None


def read_head(root: str | os.PathLike[str], path: str) -> Head:
    """Read the first line of a segment.

    Raises:
        StoreDamaged: It has none.
        UsageError: There is no such segment.
    """
    name = segment_name(path)
    for text in _texts(root, path, has_head=True, torn_ok=True):
        try:
            head = head_of(text)
        except BadLineError as bad:
            raise StoreDamaged(path, str(bad)) from None
        if name is None or (head.topic.channel, head.topic.pair) != (name.channel, name.pair):
            raise StoreDamaged(path, f"its head tells of {head.topic}")
        if date_of(head.opened_ns) != name.date:
            raise StoreDamaged(path, f"its head tells of {date_of(head.opened_ns)}")
        return head
    raise StoreDamaged(path, "it has no whole pack")


def summary_of(root: str | os.PathLike[str], path: str, on_number: Callable[[int], object] | None = None) -> Summary:
    """Read a closed segment to its end, and give what there is to say of it.

    Args:
        root: The folder of the store.
        path: Of the segment inside it.
        on_number: Called with the number of each event in its run.

    Raises:
        StoreDamaged: It is torn or damaged, or an event of another day stands in it.
    """
    head = read_head(root, path)
    summary = Summary(path, head.topic)
    for record in records(root, path, verify=True):
        summary.count(record.ns, late=record.late, fetched=record.event.source == "backfill")
        if on_number is not None:
            on_number(record.seq)
    digest = hashlib.sha256()
    with _opened(root, path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            summary.bytes += len(chunk)
    summary.sha256 = digest.hexdigest()
    return summary


def segment_paths(root: str | os.PathLike[str], *, parts: bool = False) -> list[str]:
    """Give the paths of the segments of a store, sorted: by channel, day, pair and time of day.

    Args:
        root: The folder of the store.
        parts: Give those instead that are still written, or were when their writer was killed.
    """
    folder = Path(root)
    found = (path.relative_to(folder).as_posix() for path in (folder / RAW).glob("*/*/*/*") if not path.is_symlink())
    named = ((path, segment_name(path)) for path in found)
    return sorted(path for path, name in named if name is not None and name.is_part is parts)


@dataclass(frozen=True)
class Salvage:
    """What was done with a part that somebody left behind.

    Attributes:
        path: Of the segment that it became, inside the store; of the part, where nothing was left of it.
        kept: Whether there was anything to keep.
        cut_bytes: How many bytes behind the last whole pack were cut off.
    """

    path: str
    kept: bool
    cut_bytes: int


def salvage(root: str | os.PathLike[str], path: str) -> Salvage:
    """Make a segment of a part whose writer was killed: what stands behind its last whole pack is cut off.

    Raises:
        OSError: The disk refuses; the part stays.
        MissingExtra: It ends in `.zst.part`, and zstandard is not installed.
    """
    part = Path(root) / path
    final = Path(str(part).removesuffix(PART))
    size, end = part.stat().st_size, 0
    with _opened(root, path) as file, contextlib.suppress(TornError):
        for pack in packs(file.read, _suffix(path)):
            end = pack.end
    if end == 0:
        part.unlink()
        return Salvage(path, kept=False, cut_bytes=size)
    if end < size:
        os.truncate(part, end)
    _finish(part, final)
    return Salvage(path.removesuffix(PART), kept=True, cut_bytes=size - end)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Let new names in a folder reach the disk too, where the system can do that."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# How it is done.


def _texts(
    root: str | os.PathLike[str], path: str, *, has_head: bool = False, torn_ok: bool | None = None
) -> Iterator[str]:
    """Give the lines of a segment; its head only where that is wanted."""
    is_part = path.endswith(PART)
    skip = not has_head
    with _opened(root, path) as file:
        try:
            for pack in packs(file.read, _suffix(path)):
                for text in pack.lines.decode().removesuffix("\n").split("\n"):
                    if skip:
                        skip = False
                        continue
                    yield text
        except TornError as torn:
            if not (is_part if torn_ok is None else torn_ok):
                raise StoreDamaged(path, str(torn)) from None
        except UnicodeDecodeError:
            raise StoreDamaged(path, "it holds bytes that are no UTF-8") from None


def _suffix(path: str) -> str:
    return path.removesuffix(PART).rpartition(".")[2]


def _opened(root: str | os.PathLike[str], path: str) -> BinaryIO:
    """Open a file of the store; never through a link, which somebody else may have put there."""
    try:
        fd = os.open(Path(root) / path, _flags(os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{path} is not a regular file")
    return open(fd, "rb")


def _flags(flags: int) -> int:
    return flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _finish(part: Path, final: Path) -> None:
    fd = os.open(part, _flags(os.O_WRONLY))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(part, final)
    sync_folder(final.parent)
