"""How far each run of a store was sent to one engine: a small file inside the store.

Decided here: what it says, and who may write it. It is replaced whole, so a kill leaves the one before; what it does
not say yet is sent once more, and the engine leaves it out.

    sent/redis-0123456789ab.json
    {"lbank_ws_sent":1,"to":"redis://host:6379","runs":{"20261122T...":{"through":4711,"ahead":{},"done":false}}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lbank_ws.collect.lock import StoreLock
from lbank_ws.collect.segments import FOLDER_MODE
from lbank_ws.sinks.addresses import Address
from lbank_ws.storage_errors import StoreDamaged

FORMAT = 1
SENT = "sent"


@dataclass
class Progress:
    """How far a run was sent.

    Attributes:
        through: Up to which number the engine has everything.
        ahead: Of segments that were read further: up to which number, by path.
        is_done: The run is over, and the engine has all of it.
    """

    through: int = 0
    ahead: dict[str, int] = field(default_factory=dict)
    is_done: bool = False


class Cursor:
    """The file about one engine. Used by one thread at a time, and locked between `open` and `close`.

    Args:
        root: The folder of the store.
        address: Which engine.

    Attributes:
        runs: How far each run was sent; a run that does not stand here was never begun.
    """

    def __init__(self, root: str | os.PathLike[str], address: Address) -> None:
        self.runs: dict[str, Progress] = {}
        self._to = address.shown
        self._path = Path(root) / SENT / f"{address.file_name}.json"
        self._lock = StoreLock(self._path.with_suffix(".lock"), f"{self._path.parent}/{self._path.name}")

    def open(self, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Become the one who sends, and read how far the others came.

        Raises:
            StoreBusy: Another process sends from this store to this engine.
            StoreDamaged: The file is none of ours.
            OSError: The disk refuses.
        """
        os.makedirs(self._path.parent, FOLDER_MODE, exist_ok=True)
        self._lock.take(wait_s=wait_s, until=until)
        try:
            self.runs = self._read()
        except BaseException:  # whatever it was, the lock must not stay
            self._lock.free()
            raise

    def save(self) -> None:
        """Put what is known now in the place of the file.

        Raises:
            OSError: The disk refuses; the old one is as it was.
        """
        runs = {
            run: {"through": known.through, "ahead": known.ahead, "done": known.is_done}
            for run, known in self.runs.items()
        }
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps({"lbank_ws_sent": FORMAT, "to": self._to, "runs": runs}, indent=1) + "\n")
        os.replace(beside, self._path)

    def forget(self) -> None:
        """Begin anew: everything is sent again."""
        self.runs.clear()

    def close(self) -> None:
        """Let somebody else send."""
        self._lock.free()

    def _read(self) -> dict[str, Progress]:
        try:
            said = json.loads(self._path.read_bytes())
            if said["lbank_ws_sent"] != FORMAT:
                raise StoreDamaged(f"{SENT}/{self._path.name}", f"its format is {said['lbank_ws_sent']!r}")
            return {
                str(run): Progress(int(known["through"]), dict(known["ahead"]), bool(known["done"]))
                for run, known in said["runs"].items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as bad:
            raise StoreDamaged(f"{SENT}/{self._path.name}", f"it cannot be read ({bad!r})") from None
