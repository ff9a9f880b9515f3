"""What stands in a recording: frames and marks, in the order in which they were written.

Decided here: how much damage is put up with. The end of the file may be torn, and so may be a line in front of a new
start, because that is how a recorder ends that was killed. Everything else that is no recording is named with its line.
What a recording says is decided where it is written, in `lbank_ws/feed/recorder.py`; nothing is shared with it, so that
a recording can be read without the client.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

FORMAT = 1

_CHUNK = 1 << 16
_GZIP = 31  # zlib's word for a gzip member
_LONGEST_LINE = 64 * 1024 * 1024


class NotARecording(ValueError):
    """A file, or a line of it, is not what a recorder writes."""


@dataclass(frozen=True)
class Start:
    """Where a recorder began, or began again.

    Attributes:
        dialect: `v2` or `simple`.
        host: Who was at the other end.
        ns: When, in nanoseconds of Unix time.
        version: Of the recorder.
    """

    dialect: str
    host: str
    ns: int
    version: str


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes:
        ns: When it came or left, in nanoseconds of Unix time.
        line: Which line.
        is_in: Whether it came from the exchange.
        payload: Its bytes.
    """

    ns: int
    line: int
    is_in: bool
    payload: bytes

    @property
    def text(self) -> str:
        """The frame as text; bytes that are not UTF-8 become lone surrogates."""
        return self.payload.decode(errors="surrogateescape")


@dataclass(frozen=True)
class Mark:
    """What happened to a line.

    Attributes:
        ns: When.
        line: Which line; 0 is the recorder itself.
        kind: `opened`, `lost`, `failed`, `reconnected`, or `ended` for the recorder.
        cause: Why, on `lost` and `failed`.
        detail: More about it, in words.
        attempts: How many dials it took.
        outage_s: How long the line was away, or None.
        retry_after_s: How long the exchange asked to stay away, or None.
    """

    ns: int
    line: int
    kind: str
    cause: str = ""
    detail: str = ""
    attempts: int = 0
    outage_s: float | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Missing:
    """Frames that are not there, because the recorder's disk was too slow.

    Attributes:
        ns: When it was noticed.
        count: How many.
    """

    ns: int
    count: int


Entry = Start | Frame | Mark | Missing


def entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Read a recording from its first entry to its last, without keeping it in memory.

    Raises:
        NotARecording: A line is not what it should be; the text names it.
        OSError: The file cannot be read.
        ImportError: It ends in `.zst`, and zstandard is not installed.
    """
    torn: str | None = None
    has_begun = False
    for number, line in enumerate(_lines(os.fspath(path)), 1):
        try:
            entry = _entry(line)
        except (ValueError, TypeError, KeyError) as problem:
            if torn is not None or number == 1:
                raise _complaint(path, number, torn or str(problem)) from None
            torn = f"line {number} is no frame and no mark: {problem}"
            continue
        if isinstance(entry, Start):
            torn = None  # the writer before was killed in the middle of it
        if torn is not None or not (has_begun or isinstance(entry, Start)):
            raise _complaint(path, number, torn or "it does not begin with lbank_ws_recording")
        has_begun = True
        yield entry
    if not has_begun:
        raise NotARecording(f"{os.fspath(path)} holds no recording: it is empty")


def _complaint(path: str | os.PathLike[str], number: int, problem: str) -> NotARecording:
    where = "" if problem.startswith("line ") else f"line {number}: "
    return NotARecording(f"{os.fspath(path)} is no recording, or a damaged one: {where}{problem}")


def _entry(line: bytes) -> Entry:
    said = json.loads(line)
    if not isinstance(said, dict):
        raise TypeError("it is not an object")
    if "lbank_ws_recording" in said:
        if said["lbank_ws_recording"] != FORMAT:
            raise ValueError(f"it is of format {said['lbank_ws_recording']!r}, and only {FORMAT} is known here")
        if said["dialect"] not in ("v2", "simple"):
            raise ValueError(f"there is no dialect {said['dialect']!r}")
        return Start(said["dialect"], str(said["host"]), _whole(said, "started_ns"), str(said["version"]))
    ns = _whole(said, "ns")
    if "dir" in said:
        if said["dir"] not in ("in", "out"):
            raise ValueError(f"there is no direction {said['dir']!r}")
        return Frame(ns, _whole(said, "line"), said["dir"] == "in", _payload(said))
    if "mark" in said:
        return Mark(
            ns,
            said.get("line", 0),
            str(said["mark"]),
            str(said.get("cause", "")),
            str(said.get("detail", "")),
            said.get("attempts", 0),
            said.get("outage_s"),
            said.get("retry_after_s"),
        )
    return Missing(ns, _whole(said, "lost"))


def _payload(said: dict[str, Any]) -> bytes:
    if "base64" in said:
        return base64.b64decode(said["base64"], validate=True)
    if not isinstance(said["text"], str):
        raise TypeError("text is not text")
    return said["text"].encode()


def _whole(said: dict[str, Any], key: str) -> int:
    number = said[key]
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{key} is not a whole number")
    return number


def _lines(path: str) -> Iterator[bytes]:
    """Give the lines that end; what stands behind the last line end is torn."""
    rest = b""
    with open(path, "rb") as file:
        for chunk in _unpacked(path, file):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > _LONGEST_LINE:
                raise NotARecording(f"{path} is no recording: it has a line of more than {_LONGEST_LINE} bytes")


def _unpacked(path: str, file: IO[bytes]) -> Iterator[bytes]:
    if path.endswith(".gz"):
        return _gunzipped(path, file)
    return _unzstd(path, file) if path.endswith(".zst") else iter(lambda: file.read(_CHUNK), b"")


def _gunzipped(path: str, file: IO[bytes]) -> Iterator[bytes]:
    """Unpack every member; Python's own reader would raise at a torn end, and keep back what came before it."""
    member = zlib.decompressobj(_GZIP)
    while packed := file.read(_CHUNK):
        while packed:
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            try:
                yield member.decompress(packed)
            except zlib.error as error:
                raise NotARecording(f"{path} cannot be unpacked: {error}") from None
            packed = member.unused_data


def _unzstd(path: str, file: IO[bytes]) -> Iterator[bytes]:
    library = importlib.import_module("zstandard")
    frame = library.ZstdDecompressor().decompressobj()
    while packed := file.read(_CHUNK):
        while packed:
            if frame.eof:
                frame = library.ZstdDecompressor().decompressobj()
            try:
                yield frame.decompress(packed)
            except library.ZstdError as error:
                raise NotARecording(f"{path} cannot be unpacked: {error}") from None
            packed = frame.unused_data
