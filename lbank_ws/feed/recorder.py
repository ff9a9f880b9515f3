"""A recording: every frame of a client's lines, in both directions, as lines of JSON in a file.

Decided here: what a recording says, and what happens when the disk is slow or full. Where an existing file goes on is
decided in `appending.py`, what may be kept of a frame in `wire/masking.py`; `sandbox/recording.py` reads it again.

Each line is one object. The first, written at every start, names the format; then frames and marks:

    {"lbank_ws_recording":1,"dialect":"v2","host":"api.lbkex.com","started_ns":...,"started_at":"...","version":"0.1.0"}
    {"ns":...,"line":1,"dir":"in","text":"{...}"}          a frame; "base64" in place of "text" when it is not UTF-8
    {"ns":...,"line":1,"mark":"lost","cause":"closed","detail":"..."}         what happened to a line
    {"ns":...,"lost":12}                                   so many frames found the disk too slow
    {"ns":...,"mark":"ended"}                              the recorder was stopped, and everything is here
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from lbank_ws.errors import ConnectionLost, UsageError
from lbank_ws.events import Status
from lbank_ws.feed.appending import AppendedFile
from lbank_ws.feed.clock import Clock
from lbank_ws.feed.packing import packing_of
from lbank_ws.feed.reaction import Reaction
from lbank_ws.quoting import hidden, quoted
from lbank_ws.storage_errors import RecordingFailed
from lbank_ws.version import VERSION
from lbank_ws.wire.masking import masked, secrets_in

FORMAT = 1
WAITING_BYTES = 32 * 1024 * 1024  # how much may wait for a slow disk

_WRITE_EVERY_S = 0.25  # a second is what a kill may cost
_FRAME_COST = 200  # bytes that a waiting frame takes beside its text
_MARKS = ("opened", "lost", "failed", "reconnected")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_Content = bytes | str | Status
_Heard = tuple[int, int, _Content]
"""When, on which line, and what: bytes came, text was sent, a status is a mark."""


class Recorder:
    """Writes a recording on a thread of its own.

    The socket threads only put frames on a list, which `_lock` guards; the writer takes the whole list four times a
    second. So a slow disk holds nobody up, and the hot path wakes no thread.

    Attributes:
        frames: How many were written.
        lost: How many were not, because the disk was too slow.
        failure: What ended the recording early, or None.

    Args:
        path: The file; one that is a recording already is continued.
        dialect: What the lines speak.
        host: Who is at the other end.
        deliver: Takes the fault when the disk refuses.
        clock: Tells when the recording begins and ends.
        waiting_bytes: How much may wait for a slow disk; what comes on top is counted and left out.

    Raises:
        MissingExtra: `path` ends in `.zst` and zstandard is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dialect: str,
        host: str,
        deliver: Callable[[Reaction], None],
        clock: Clock,
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        self.path = os.fspath(path)
        self.frames = 0
        self.lost = 0
        self.failure: RecordingFailed | None = None
        packing_of(self.path)  # a missing package is told when the client is made
        self._dialect = dialect
        self._host = host
        self._deliver = deliver
        self._clock = clock
        self._waiting_bytes = waiting_bytes
        self._lock = threading.Lock()
        self._is_on = False
        self._heard: list[_Heard] = []
        self._bytes = 0
        self._missed = 0
        self._known: set[str] = set()  # secrets that were sent
        self._stopping = threading.Event()
        self._file: AppendedFile | None = None
        self._thread = threading.Thread(target=self._run, name="lbank-ws-recorder", daemon=True)

    # What the lines call, from their socket threads.

    def received(self, line: int, ns: int, payload: bytes) -> None:
        """Keep a frame that came."""
        self._hear(line, ns, payload, len(payload))

    def sent(self, line: int, ns: int, text: str) -> None:
        """Keep a frame that was sent."""
        self._hear(line, ns, text, len(text))

    def marked(self, line: int, status: Status) -> None:
        """Keep what happened to a line; what became of a subscription follows from the frames."""
        if status.kind not in _MARKS:
            return
        self._hear(line, (status.at - _EPOCH) // timedelta(microseconds=1) * 1000, status, 0)

    # Life.

    def start(self) -> None:
        """Open the file and begin to write; may be called once. A disk that refuses is a fault, not an error here.

        Raises:
            RecordingBusy: Another recorder writes the file.
            UsageError: The file is something else than a recording of this dialect.
        """
        try:
            self._file = AppendedFile(self.path, self._check)
            self._write([self._header()])
        except OSError as error:
            self._fail(error, has_begun=False)
            return
        self._is_on = True
        self._thread.start()

    def stop(self) -> None:
        """End the recording behind the last frame that came; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until the file is whole and closed; False when the disk still takes its time."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # How it is done.

    def _hear(self, line: int, ns: int, content: _Content, size: int) -> None:
        if not self._is_on:
            return
        with self._lock:
            if self._missed or self._bytes > self._waiting_bytes:
                # Once one is missing, all are until the writer comes: so its mark stands in the right place.
                self._missed += 1
                return
            self._heard.append((line, ns, content))
            self._bytes += size + _FRAME_COST

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_WRITE_EVERY_S):
                self._write(self._taken())
            self._is_on = False
            self._write([*self._taken(), _json({"ns": self._clock.now().ns, "mark": "ended"})])
            if self._file is not None:
                self._file.close()
        except OSError as error:
            self._fail(error, has_begun=True)

    def _taken(self) -> list[str]:
        """Give the lines for what came since the last time."""
        with self._lock:
            heard, self._heard, self._bytes = self._heard, [], 0
            missed, self._missed = self._missed, 0
        lines = [self._line(*each) for each in heard]
        if missed:
            self.lost += missed
            lines.append(_json({"ns": self._clock.now().ns, "lost": missed}))
        return lines

    def _write(self, lines: list[str]) -> None:
        if lines and self._file is not None:
            self._file.write("".join(lines).encode())

    def _fail(self, error: OSError, *, has_begun: bool) -> None:
        self._is_on = False
        with self._lock:
            self._heard.clear()
        self.failure = RecordingFailed(self.path, error.strerror or type(error).__name__, has_begun=has_begun)
        self._deliver(Reaction(faults=[self.failure]))

    def _line(self, line: int, ns: int, content: _Content) -> str:
        if isinstance(content, Status):
            return _json({"ns": ns, "line": line, **_mark(content)})
        self.frames += 1
        head: dict[str, object] = {"ns": ns, "line": line}
        self._known.update(hidden())
        if isinstance(content, str):
            self._known |= secrets_in(content)
            return _json({**head, "dir": "out", "text": masked(content, self._known)})
        try:
            return _json({**head, "dir": "in", "text": masked(content.decode(), self._known)})
        except UnicodeDecodeError:
            text = masked(content.decode(errors="surrogateescape"), self._known)
            packed = base64.b64encode(text.encode(errors="surrogateescape")).decode()
            return _json({**head, "dir": "in", "base64": packed})

    def _header(self) -> str:
        started_ns = self._clock.now().ns
        return _json(
            {
                "lbank_ws_recording": FORMAT,
                "dialect": self._dialect,
                "host": masked(self._host),
                "started_ns": started_ns,
                "started_at": (_EPOCH + timedelta(microseconds=started_ns // 1000)).isoformat(),
                "version": VERSION,
            }
        )

    def _check(self, beginning: bytes) -> None:
        """Raise `UsageError` unless a file begins like a recording that this one may continue."""
        first, end, _ = beginning.partition(b"\n")
        if not end and first.startswith(b'{"lbank_ws_recording":'):
            return  # its writer was killed in the first line
        try:
            header = json.loads(first)
            version, dialect = header["lbank_ws_recording"], header["dialect"]
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{quoted(self.path)} is there and is no recording; name another file") from None
        if version != FORMAT or dialect != self._dialect:
            raise UsageError(
                f"{quoted(self.path)} is a recording of format {version!r} and dialect {dialect!r}, "
                f"and is continued in format {FORMAT} and {self._dialect!r} only; name another file"
            )


def _mark(status: Status) -> dict[str, object]:
    """Give what a recording keeps of a status."""
    mark: dict[str, object] = {"mark": status.kind, "attempts": status.attempts}
    if status.outage_s is not None:
        mark["outage_s"] = status.outage_s
    if isinstance(status.cause, ConnectionLost):
        mark |= {"cause": str(status.cause.cause), "detail": masked(status.cause.detail)}
        if status.cause.retry_after_s is not None:
            mark["retry_after_s"] = status.cause.retry_after_s
    return mark


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"
