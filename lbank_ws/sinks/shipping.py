"""Sends what a store of files holds to one engine, and notes how far it came.

Decided here: in which order runs are sent, and when a run is done. What was sent and not noted yet, as after a kill, is
sent once more, and the engine leaves it out. There is no thread here; whose thread it is, is decided in `streaming.py`,
or by `lbank-ws ship`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lbank_ws.collect import manifest
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.sinks.cursor import Cursor, Progress
from lbank_ws.sinks.engine import Engine
from lbank_ws.sinks.parcels import Parcel
from lbank_ws.sinks.reading import RunReader
from lbank_ws.storage_errors import StoreDamaged

_SAVE_EVERY_S = 1.0

_Batch = tuple[list[Parcel], dict[str, int]]
"""What is sent at once, and how far each segment is read then."""


@dataclass
class Tally:
    """What was sent. The thread that sends counts; any thread may look.

    Attributes:
        new: Events that the engine had not.
        known: Events that it had already.
    """

    new: int = 0
    known: int = 0

    @property
    def sent(self) -> int:
        """How many events were handed over."""
        return self.new + self.known


class Shipper:
    """Sends from one store to one engine. Used by one thread at a time.

    Args:
        root: The folder of the store.
        engine: Where to.

    Attributes:
        engine: Where to.
        cursor: How far each run was sent; whoever makes the shipper opens and closes it.
        tally: What was sent.
    """

    def __init__(self, root: str | os.PathLike[str], engine: Engine) -> None:
        self.engine = engine
        self.cursor = Cursor(root, engine.address)
        self.tally = Tally()
        self._root = root
        self._readers: dict[str, RunReader] = {}
        self._save_at_s = 0.0

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Hand over a batch.

        Raises:
            SinkFailed: The engine does not take it. What is in the segments is read anew then.
        """
        try:
            self.engine.open()
            taken = self.engine.send(parcels)
        except BaseException:  # whatever it was: what was read and not sent must be read again
            self._readers.clear()
            raise
        self.tally.new += taken.new
        self.tally.known += taken.known

    def note(self, *, now: bool = False) -> None:
        """Write down how far everything is, once a second, or now.

        Raises:
            OSError: The disk refuses.
        """
        now_s = time.monotonic()
        if now or now_s >= self._save_at_s:
            self._save_at_s = now_s + _SAVE_EVERY_S
            self.cursor.save()

    def catch_up(self, facts: RunFacts, until: int | None, ends: Callable[[], bool]) -> bool:
        """Send what the segments of a run hold and the engine has not.

        Args:
            facts: Of the run.
            until: Up to which number; None for all that is there.
            ends: True ends it before its time.

        Returns:
            False when `ends` ended it.

        Raises:
            SinkFailed: The engine takes no more.
        """
        progress = self.cursor.runs.setdefault(facts.run, Progress())
        reader = self._readers.setdefault(facts.run, RunReader(self._root, facts.run, facts.started_at))
        for parcels, read in self._batches(reader, progress, until):
            if ends():
                self._readers.clear()
                return False
            self.send(parcels)
            progress.ahead |= read
            self.note()
        return True

    def older(self, ends: Callable[[], bool], *, but: str = "", everything: bool = False) -> bool:
        """Send the runs that are not done.

        Args:
            ends: True ends it before its time.
            but: A run that is left out.
            everything: Those as well of which nothing was ever sent.

        Returns:
            False when `ends` ended it.

        Raises:
            SinkFailed: The engine takes no more.
        """
        for run in manifest.runs(self._root):
            known = self.cursor.runs.get(run)
            if run == but or (known is None and not everything) or (known is not None and known.is_done):
                continue
            try:  # before its segments are listed: then nothing comes behind them
                facts = manifest.facts_of(manifest.read(self._root, run))
            except StoreDamaged:  # `verify` tells of it
                continue
            if not self.catch_up(facts, None, ends):
                return False
            if facts.ended_at is not None:
                self.cursor.runs[run] = Progress(is_done=True)
                self._readers.pop(run, None)
            self.note(now=True)
        return True

    def close(self) -> None:
        """Let go of the engine, and of the file; what the disk refuses now is sent once more the next time."""
        self.engine.close()
        self.cursor.close()

    def _batches(self, reader: RunReader, progress: Progress, until: int | None) -> Iterator[_Batch]:
        batch: list[Parcel] = []
        read: dict[str, int] = {}
        for path in reader.paths():
            after = max(progress.through, progress.ahead.get(path, 0))
            for each in reader.parcels(path, after, until):
                batch.append(each)
                read[path] = each.seq
                if len(batch) >= self.engine.batch_events:
                    yield batch, read
                    batch, read = [], {}
        if batch:
            yield batch, read
