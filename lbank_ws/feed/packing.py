"""How lines are packed: as they are, in members of gzip, in frames of Zstandard; and where such a file goes on.

What was packed by one call can be unpacked without the next one, so that a kill costs nothing that was written. A torn
end is closed where it was flushed last, by adding a few bytes. The file itself is kept in `appending.py`.
"""

from __future__ import annotations

import contextlib
import importlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lbank_ws.errors import MissingExtra

_CHUNK = 1 << 16
_FIRST_LINE_BYTES = 4096
_PIECE = 64
_GZIP = 31  # zlib's word for a gzip member
_RAW = -15  # and for deflate without header
_GZIP_HEAD = 10  # bytes in front of the data of a member that zlib made
_SYNC = b"\x00\x00\xff\xff"  # what a flush of deflate ends with
_DEFLATE_END = b"\x03\x00"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_END = b"\x01\x00\x00"  # an empty last block
_KEPT_FLUSHES = 4  # how many of the last ones are tried as the end of a torn member

Read = Callable[[int, int], bytes]
"""Gives so many bytes from an offset; fewer at the end of the file."""


class Damaged(Exception):
    """What is there cannot be unpacked."""


@dataclass(frozen=True)
class End:
    """Where an existing file goes on.

    Attributes:
        at: What lies behind this offset is torn.
        closing: What makes the bytes before it a whole file.
        is_line_end: The last line is whole.
    """

    at: int
    closing: bytes = b""
    is_line_end: bool = True


def packing_of(path: str) -> Packing:
    """Give the packing that a name asks for.

    Raises:
        MissingExtra: `.zst` without the package zstandard.
    """
    if path.endswith(".gz"):
        return _Gzip()
    return _Zstandard() if path.endswith(".zst") else _Plain()


class Packing(ABC):
    """How lines become bytes of the file, and where such bytes are whole."""

    @abstractmethod
    def packed(self, lines: bytes) -> bytes:
        """Give bytes that can be unpacked without the ones to come."""

    @abstractmethod
    def ending(self) -> bytes:
        """Give the last bytes; nothing may have been packed."""

    @abstractmethod
    def first_line(self, read: Read) -> bytes:
        """Give the beginning of what was packed, or as much as there is of it."""

    @abstractmethod
    def end(self, read: Read, size: int) -> End:
        """Tell where the file goes on; raises `Damaged` when its middle cannot be unpacked."""


def _beginning(unpack: Callable[[bytes], bytes], packed: bytes, error: type[Exception]) -> bytes:
    """Unpack a first line, or as much of it as can be unpacked."""
    text = b""
    with contextlib.suppress(error):
        for at in range(0, len(packed), _PIECE):
            text += unpack(packed[at : at + _PIECE])
            if b"\n" in text:
                break
    return text


class _Plain(Packing):
    def packed(self, lines: bytes) -> bytes:
        return lines

    def ending(self) -> bytes:
        return b""

    def first_line(self, read: Read) -> bytes:
        return read(0, _FIRST_LINE_BYTES)

    def end(self, read: Read, size: int) -> End:
        at = size
        while at:
            begin = max(0, at - _CHUNK)
            found = read(begin, at - begin).rfind(b"\n")
            if found >= 0:
                return End(begin + found + 1)
            at = begin
        return End(0)


class _Gzip(Packing):
    def __init__(self) -> None:
        self._member: Any = None  # typeshed does not name the class

    def packed(self, lines: bytes) -> bytes:
        if self._member is None:
            self._member = zlib.compressobj(wbits=_GZIP)
        return bytes(self._member.compress(lines) + self._member.flush(zlib.Z_SYNC_FLUSH))

    def ending(self) -> bytes:
        return b"" if self._member is None else bytes(self._member.flush())

    def first_line(self, read: Read) -> bytes:
        return _beginning(zlib.decompressobj(_GZIP).decompress, read(0, _FIRST_LINE_BYTES), zlib.error)

    def end(self, read: Read, size: int) -> End:
        begin = at = 0
        last = b"\n"
        member = zlib.decompressobj(_GZIP)
        while at < size:
            chunk = read(at, _CHUNK)
            try:
                last = member.decompress(chunk)[-1:] or last
            except zlib.error as error:
                raise Damaged(f"it is damaged near byte {at} ({error})") from None
            at += len(chunk) - len(member.unused_data)
            if member.eof:
                begin, member = at, zlib.decompressobj(_GZIP)
        return End(size, b"", last == b"\n") if begin == size else _whole_part(read, begin, size)


def _whole_part(read: Read, begin: int, size: int) -> End:
    """Tell where a torn member of gzip was flushed for the last time, and what closes it there."""
    flushes: list[int] = []
    before = b""
    for at in range(begin + _GZIP_HEAD, size, _CHUNK):
        chunk = before + read(at, min(_CHUNK, size - at))
        found = chunk.find(_SYNC)
        while found >= 0:
            flushes = [*flushes[1 - _KEPT_FLUSHES :], at - len(before) + found + len(_SYNC)]
            found = chunk.find(_SYNC, found + 1)
        before = chunk[1 - len(_SYNC) :]
    # The same four bytes may stand in the data by chance; then what precedes them is not a whole stream.
    for flush in reversed(flushes):
        stream = zlib.decompressobj(_RAW)
        check, length, last = 0, 0, b"\n"
        try:
            for at in range(begin + _GZIP_HEAD, flush, _CHUNK):
                content = stream.decompress(read(at, min(_CHUNK, flush - at)))
                check, length, last = zlib.crc32(content, check), length + len(content), content[-1:] or last
            stream.decompress(_DEFLATE_END)
        except zlib.error:
            continue
        if stream.eof and not stream.unused_data:
            trailer = check.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
            return End(flush, _DEFLATE_END + trailer, last == b"\n")
    return End(begin)


class _Zstandard(Packing):
    def __init__(self) -> None:
        try:
            self._library = importlib.import_module("zstandard")
        except ImportError:
            raise MissingExtra("zstandard", "record") from None
        self._frame: Any = None

    def packed(self, lines: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._library.ZstdCompressor().compressobj()
        return bytes(self._frame.compress(lines) + self._frame.flush(self._library.COMPRESSOBJ_FLUSH_BLOCK))

    def ending(self) -> bytes:
        return b"" if self._frame is None else bytes(self._frame.flush())

    def first_line(self, read: Read) -> bytes:
        unpack = self._library.ZstdDecompressor().decompressobj().decompress
        return _beginning(unpack, read(0, _FIRST_LINE_BYTES), self._library.ZstdError)

    def end(self, read: Read, size: int) -> End:
        begin = 0
        while begin < size:
            at, is_whole = self._frame_end(read, begin, size)
            if not is_whole or at == size:
                is_line_end = self._last_byte(read, begin, at) == b"\n"
                return End(at, b"" if is_whole or at == begin else _ZSTD_END, is_line_end)
            begin = at
        return End(begin)

    def _frame_end(self, read: Read, begin: int, size: int) -> tuple[int, bool]:
        """Tell where a frame ends, or its last whole block when it is torn; its beginning when it has none."""
        head = read(begin, 5)
        if head[:4] != _ZSTD_MAGIC[: len(head)]:
            raise Damaged(f"it is damaged at byte {begin}")
        if len(head) < 5:
            return begin, False
        flags = head[4]
        is_single, has_check = bool(flags & 0x20), bool(flags & 0x04)
        at = begin + 5 + (not is_single) + (0, 1, 2, 4)[flags & 3] + (int(is_single), 2, 4, 8)[flags >> 6]
        whole = begin
        while len(block := read(at, 3)) == 3:
            word = int.from_bytes(block, "little")
            at += 3 + (1 if word & 6 == 2 else word >> 3)
            if word & 1:
                at += 4 * has_check
            if at > size:
                break
            if word & 1:
                return at, True
            whole = at
        if flags & 0xE7:
            raise Damaged("its end is torn, and was not written by lbank_ws")
        return whole, False

    def _last_byte(self, read: Read, begin: int, end: int) -> bytes:
        frame = self._library.ZstdDecompressor().decompressobj()
        last = b"\n"
        for at in range(begin, end, _CHUNK):
            last = bytes(frame.decompress(read(at, min(_CHUNK, end - at))))[-1:] or last
        return last
