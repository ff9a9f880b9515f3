"""How lines of a segment are packed: in whole frames of Zstandard, or whole members of gzip, one behind the other.

Decided here: what a pack is, and where such a file is torn. Each pack can be unpacked without the ones around it, and
carries a check of its content; so a kill costs at most the pack that was being written, and damage does not pass for
data. There is no file, no thread and no clock here.

A recording (`feed/packing.py`) packs one long stream, which is smaller, and keeps a compressor a file: that is fine for
one file, and too much memory for the six hundred that a collector of two hundred pairs has open.
"""

from __future__ import annotations

import gzip
import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from lbank_ws.errors import MissingExtra, UsageError

ZSTD, GZIP = "zst", "gz"
SUFFIXES = (ZSTD, GZIP)
LONGEST_PACK = 256 * 1024 * 1024  # bytes of lines; what claims more is no pack of ours

_CHUNK = 1 << 18
_GZIP_WORD = 31  # zlib's word for a gzip member


class TornError(Exception):
    """A file of packs ends, or goes on as something else, behind its last whole pack.

    Attributes:
        at: Where the last whole pack ends.
        is_short: Bytes are missing at the end; else what stands there cannot be unpacked.
    """

    def __init__(self, at: int, *, is_short: bool) -> None:
        super().__init__(at, is_short)
        self.at = at
        self.is_short = is_short

    def __str__(self) -> str:
        what = "ends inside a pack" if self.is_short else "cannot be unpacked"
        return f"it {what} behind byte {self.at}"


class Pack(NamedTuple):
    """One pack as it was found.

    Attributes:
        lines: Whole lines, each with its line feed.
        end: Where it ends in the file.
    """

    lines: bytes
    end: int


class Packer(Protocol):
    """Packs lines."""

    def __call__(self, lines: bytes) -> bytes:
        """Give one whole pack."""


def default_suffix() -> str:
    """Give the packing to write with: `zst`, or `gz` where the package zstandard is not installed."""
    try:
        importlib.import_module("zstandard")
    except ImportError:
        return GZIP
    return ZSTD


def packer(suffix: str) -> Packer:
    """Give what packs lines.

    Raises:
        MissingExtra: `zst` without the package zstandard.
        UsageError: There is no such packing.
    """
    if suffix == GZIP:
        return lambda lines: gzip.compress(lines, 6, mtime=0)
    if suffix == ZSTD:
        compressor = _zstandard().ZstdCompressor(level=3, write_checksum=True, write_content_size=True)
        return lambda lines: bytes(compressor.compress(lines))
    raise UsageError(f"there is no packing {suffix!r}; write one of: {', '.join(SUFFIXES)}")


def packs(read: Callable[[int], bytes], suffix: str) -> Iterator[Pack]:
    """Give every whole pack of a file, in order.

    Args:
        read: Gives the next bytes of the file, at most so many; none at its end.
        suffix: How it is packed.

    Raises:
        TornError: Something stands behind the last whole pack; all before it were given.
        MissingExtra: `zst` without the package zstandard.
    """
    begin, error = (lambda: zlib.decompressobj(_GZIP_WORD)), zlib.error
    if suffix == ZSTD:
        library = _zstandard()
        begin, error = library.ZstdDecompressor().decompressobj, library.ZstdError
    return _unpacked(read, begin, error)


def _unpacked(read: Callable[[int], bytes], begin: Callable[[], Any], error: type[Exception]) -> Iterator[Pack]:
    at = end = 0  # how much was read, and where the last whole pack ends
    rest = b""
    while True:
        stream, pieces, size = begin(), [], 0
        while not stream.eof:
            chunk = rest or read(_CHUNK)
            if not chunk:
                if at > end:
                    raise TornError(end, is_short=True)
                return
            at += 0 if rest else len(chunk)
            rest = b""
            try:
                pieces.append(stream.decompress(chunk))
            except error:
                raise TornError(end, is_short=False) from None
            size += len(pieces[-1])
            if size > LONGEST_PACK:
                raise TornError(end, is_short=False)
        rest = bytes(stream.unused_data)
        end = at - len(rest)
        yield Pack(b"".join(pieces), end)


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise MissingExtra("zstandard", "record") from None
