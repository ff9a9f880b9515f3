"""What stands in the segments and was not sent yet.

Decided here: which lines of which segments are read, and from where on the next time. What is torn at the end of a
segment that is still written is read when it is whole; one that is damaged is told, and left behind where it is.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from lbank_ws.collect.lines import BadLineError, Head, Record, head_of, reader
from lbank_ws.collect.naming import PART
from lbank_ws.collect.past import parts_since, segments_of_run
from lbank_ws.collect.segments import lines_from, read_head
from lbank_ws.errors import UsageError
from lbank_ws.sinks.parcels import Parcel, parcel
from lbank_ws.storage_errors import StoreDamaged

log = logging.getLogger("lbank_ws")

_SEQ = re.compile(r'\{"ns":\d+,"line":\d+,"seq":(\d+)')


class RunReader:
    """Reads the segments of one run, again and again, each time from where it was left.

    Args:
        root: The folder of the store.
        run: Which run.
        started_at: When it began.
    """

    def __init__(self, root: str | os.PathLike[str], run: str, started_at: datetime) -> None:
        self._root = root
        self._run = run
        self._started_at = started_at
        self._ends: dict[str, int] = {}  # where the last pack ends that was read to its end
        self._reads: dict[str, tuple[Head, Callable[[str], Record]]] = {}
        self._strange: set[str] = set()  # parts of other runs

    def paths(self) -> list[str]:
        """Give the segments of the run as they are now, without `.part`, sorted."""
        found = set(segments_of_run(self._root, self._run, self._started_at))
        for part in parts_since(self._root, self._started_at):
            path = part.removesuffix(PART)
            if path in found or path in self._strange:
                continue
            if self._is_ours(part, path):
                found.add(path)
        return sorted(found)

    def parcels(self, path: str, after: int, until: int | None) -> Iterator[Parcel]:
        """Give what a segment holds with numbers above `after`, up to `until`, in the order of its numbers.

        Whoever takes them to the end has the next call go on behind them.
        """
        begin = self._ends.get(path, 0)
        try:
            for lines, end in lines_from(self._root, path, begin):
                if path not in self._reads:
                    head = head_of(lines[0])
                    self._reads[path] = head, reader(head)
                head, read = self._reads[path]
                for text in lines[0 if begin else 1 :]:
                    seq = _number(text)
                    if until is not None and seq > until:
                        return
                    if seq > after:
                        record = read(text)
                        yield parcel(seq, head.topic, head.dialect, record.event, text, nth=record.nth)
                begin = self._ends[path] = end
        except (StoreDamaged, BadLineError) as bad:
            log.warning("%s: %s; what stands behind it is not sent; `lbank-ws verify` tells more", path, bad)

    def _is_ours(self, part: str, path: str) -> bool:
        for name in (part, path):  # it may be closed in between
            try:
                is_ours = read_head(self._root, name).run == self._run
            except UsageError:
                continue
            except StoreDamaged:  # nothing whole stands in it yet
                return False
            if not is_ours:
                self._strange.add(path)
            return is_ours
        return (Path(self._root) / path).exists()


def _number(text: str) -> int:
    found = _SEQ.match(text)
    if found is None:
        raise BadLineError("a line has no number")
    return int(found[1])
