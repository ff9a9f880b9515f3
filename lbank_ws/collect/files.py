"""The store of files: segments, a ledger, a manifest a run, in one folder.

Decided here: when a segment begins and is closed, and what is done at the start with what a killed run left. What files
hold and are called is decided in `segments.py`, `ledger.py`, `manifest.py`, `naming.py`; how far the last run had come,
in `past.py`.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lbank_ws.channels import Topic
from lbank_ws.collect import ledger, manifest
from lbank_ws.collect.identity import Numbers, nth_of
from lbank_ws.collect.lines import Head, has_one_event, line_text
from lbank_ws.collect.lock import StoreLock
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.collect.naming import LOCK, date_of, safe_host, segment_path
from lbank_ws.collect.packs import default_suffix, packer
from lbank_ws.collect.past import parts_since, past_of, segments_of_run
from lbank_ws.collect.segments import FOLDER_MODE, SegmentWriter, close_together, read_head, salvage, summary_of
from lbank_ws.collect.store import MIN_FREE_BYTES, WAITING_BYTES, Store, Tap, Written, check_room
from lbank_ws.collect.summary import Summary
from lbank_ws.errors import UsageError
from lbank_ws.events import Event, Gap, Trade
from lbank_ws.storage_errors import StoreDamaged
from lbank_ws.version import VERSION

log = logging.getLogger("lbank_ws")

ROTATE_S = 3600.0
ROTATE_BYTES = 256 * 1024 * 1024

_DAY_CLOSED_AFTER_NS = 20 * 10**9  # what was held back for a fetch may come a little after midnight


class FileStore(Store):
    """A folder of segments; see docs/reference/segments.md.

    Args:
        path: The folder; it is made when it is missing.
        rotate_s: A segment is closed after so long, in seconds.
        rotate_bytes: And at so many bytes of lines.
        min_free_bytes: The collection ends when the disk has less room than this.
        packing: `zst` or `gz`; None for `zst` where zstandard is installed.
        waiting_bytes: How much may wait for the disk before callbacks have to.
        resumes: Whether a run goes on where the one before it ended.

    Attributes:
        taps: Who hears of everything that is written.

    Raises:
        MissingExtra: `packing="zst"` without the package zstandard.
        UsageError: There is no such packing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rotate_s: float = ROTATE_S,
        rotate_bytes: int = ROTATE_BYTES,
        min_free_bytes: int = MIN_FREE_BYTES,
        packing: str | None = None,
        waiting_bytes: int = WAITING_BYTES,
        resumes: bool = True,
    ) -> None:
        super().__init__(os.fspath(path), waiting_bytes=waiting_bytes, resumes=resumes)
        self._root = Path(path)
        self._rotate_s = rotate_s
        self._rotate_bytes = rotate_bytes
        self._min_free_bytes = min_free_bytes
        self._suffix = packing or default_suffix()
        self._pack = packer(self._suffix)
        self._lock = StoreLock(self._root / LOCK, self.name)
        self._facts: RunFacts | None = None
        self._open: dict[tuple[Topic, str], tuple[SegmentWriter, float]] = {}
        self._closed: list[Summary] = []
        self._host, self._pid = safe_host(socket.gethostname()), os.getpid()
        self._number = 0
        self._seq = 0
        self._numbers: dict[Topic, Numbers] = {}
        self.taps: list[Tap] = []

    # The start.

    def tap(self, tap: Tap) -> None:
        """Let somebody hear of everything that is written, before the run begins."""
        self.taps.append(tap)

    def lock(self, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Become the one who writes; see `Store.lock`."""
        with self._failures(has_begun=False):
            os.makedirs(self._root, FOLDER_MODE, exist_ok=True)
            self._lock.take(wait_s=wait_s, until=until)

    def open(self, facts: RunFacts, topics: Sequence[Topic]) -> None:
        """Begin a run; see `Store.open`."""
        if not self._lock.is_ours:
            self.lock()
        try:
            with self._failures(has_begun=False):
                check_room(self._root, self._min_free_bytes)
                self._put_in_order(facts)
                for topic in topics:
                    mark, contents = past_of(self._root, topic)
                    self._remember(topic, mark, contents)
                    self._numbers[topic] = Numbers(() if mark is None else mark.trades)
                for tap in self.taps:
                    tap.began(facts)
                self._facts = facts
                manifest.write(self._root, manifest.manifest(facts, [], []))
        except BaseException:  # whatever it was, the lock must not stay
            self._lock.free()
            raise

    def _put_in_order(self, facts: RunFacts) -> None:
        """Complete what killed runs left: torn ends, parts, their manifests."""
        ledger.mend(self._root)
        known: dict[str, RunFacts] = {}
        for run in manifest.runs(self._root):
            try:
                known[run] = manifest.facts_of(manifest.read(self._root, run))
            except StoreDamaged as damage:
                log.warning("run %s: %s; `lbank-ws verify` tells more", run, damage)
        left = {run for run, each in known.items() if each.ended_at is None}
        # One whose disk was full at the end may have left parts, too: whoever ran last.
        looked_at = left | set(sorted(known)[-1:])
        if not looked_at:
            return
        left |= self._salvage(min(known[run].started_at for run in looked_at), facts.run)
        rows = ledger.entries(self._root)
        for run in left & known.keys():
            segments = self._summaries(run, known[run].started_at)
            complete = manifest.killed(known[run], segments) if known[run].ended_at is None else known[run]
            manifest.write(self._root, manifest.manifest(complete, segments, ledger.gap_rows(rows, run)))

    def _salvage(self, since: datetime, run: str) -> set[str]:
        """Make segments of the parts that were left; give the runs whose they are."""
        rows, runs = [], set()
        for part in parts_since(self._root, since):
            done = salvage(self._root, part)
            rows.append(ledger.salvage_row(done, run))
            log.info("%s was left by a run that was killed: %d torn bytes cut off", done.path, done.cut_bytes)
            if done.kept:
                runs.add(read_head(self._root, done.path).run)
        ledger.append(self._root, rows)
        return runs

    def _summaries(self, run: str, since: datetime) -> list[Summary]:
        found = []
        for path in segments_of_run(self._root, run, since):
            try:
                found.append(summary_of(self._root, path))
            except StoreDamaged as damage:
                log.warning("%s; `lbank-ws verify` tells more", damage)
        return found

    # What is kept.

    def flush(self) -> None:
        """Keep what came so far; see `Store.flush`."""
        with self._failures():
            self._flush()
            check_room(self._root, self._min_free_bytes)
            self._close_old(time.monotonic(), time.time_ns())

    def note(self) -> None:
        """Write the manifest as it stands, without segments; see `Store.note`."""
        if self._facts is not None:
            with self._failures():
                manifest.write(self._root, manifest.manifest(self._facts, [], []))

    def rotate(self) -> None:
        """Close every segment; the next event of each subscription begins a new one."""
        with self._failures():
            self._flush()
            self._close_all()

    def close(self) -> dict[str, Any]:
        """Keep everything and end the run; see `Store.close`."""
        facts = self._facts
        if facts is None:
            raise UsageError("the store was not opened")
        try:
            with self._failures():
                try:
                    self._flush()
                finally:  # what is there is made whole also on a full disk
                    self._close_all()
                    ledger.settle(self._root)
                gaps = ledger.gap_rows(ledger.entries(self._root), facts.run)
                facts.duplicates = self.counts.duplicates
                said = manifest.manifest(facts, self._closed, gaps)
                manifest.write(self._root, said)
                return said
        finally:
            self._facts = None
            for tap in self.taps:
                tap.ended()
            self._lock.free()

    # How it is done.

    def _flush(self) -> None:
        facts = self._facts
        if facts is None:
            return
        texts: dict[tuple[Topic, str], list[str]] = {}
        counted: dict[tuple[Topic, str], list[Event]] = {}
        rows = []
        written = []
        for item in self._intake.take():
            if isinstance(item, Gap):
                rows.append(ledger.gap_row(item, facts.run))
                continue
            topic, event = item
            if self._has(topic, event):
                continue
            self._seq += 1
            place = topic, date_of(event.received_ns)
            has_one = has_one_event(facts.dialect, topic.channel)
            nth = self._nth(topic, event) if isinstance(event, Trade) else 1
            line = line_text(event, self._seq, has_one=has_one, nth=nth)
            texts.setdefault(place, []).append(line)
            written.append(Written(self._seq, topic, event, nth, line))
            counted.setdefault(place, []).append(event)
        # The holes first: data without its hole would claim more than there is.
        ledger.append(self._root, rows)
        for place, lines in texts.items():
            self._write(facts, place, lines, counted[place])
        for tap in self.taps:
            tap.wrote(written)

    def _nth(self, topic: Topic, trade: Trade) -> int:
        """Tell which of its equals in the store a trade is."""
        return nth_of(self._numbers.setdefault(topic, Numbers()).key(trade))

    def _write(self, facts: RunFacts, place: tuple[Topic, str], lines: list[str], events: list[Event]) -> None:
        writer = self._open[place][0] if place in self._open else self._begun(facts, place, events[0].received_ns)
        before = writer.summary.bytes
        writer.write(lines)
        for event in events:
            is_fetched = event.source == "backfill"
            writer.summary.count(event.received_ns, late=event.late, fetched=is_fetched)
        self.counts.events[place[0]] += len(events)
        self.counts.bytes[place[0]] += writer.summary.bytes - before
        if writer.unpacked_bytes >= self._rotate_bytes:
            self._close([place])

    def _begun(self, facts: RunFacts, place: tuple[Topic, str], ns: int) -> SegmentWriter:
        self._number += 1
        topic = place[0]
        path = segment_path(topic, ns, self._host, self._pid, self._number, self._suffix)
        writer = SegmentWriter(self._root, path, Head(facts.run, topic, facts.dialect, VERSION, ns), self._pack)
        self._open[place] = writer, time.monotonic()
        return writer

    def _close_old(self, now_s: float, now_ns: int) -> None:
        today = date_of(now_ns - _DAY_CLOSED_AFTER_NS)
        old = [
            place for place, (_, since_s) in self._open.items() if now_s - since_s >= self._rotate_s or place[1] < today
        ]
        self._close(old)

    def _close_all(self) -> None:
        self._close(list(self._open))

    def _close(self, places: Sequence[tuple[Topic, str]]) -> None:
        writers = [self._open.pop(place)[0] for place in places]
        closed = close_together(writers)
        self._closed += [summary for summary in closed if isinstance(summary, Summary)]
        for failure in closed:
            if isinstance(failure, OSError):  # the others are closed
                raise failure
