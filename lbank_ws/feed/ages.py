"""How old the pushes of one subscription were when they came: counts and percentiles."""

from __future__ import annotations

from array import array

REMEMBERED = 1000  # of so many pushes the ages are kept


class Ages:
    """The ages of one subscription's pushes. Used under the line's lock.

    Attributes:
        pushes: How many there were.
        late: How many of them were late.
        last_s: The age of the newest, in seconds; None where it is not known.
    """

    __slots__ = ("_kept", "_turn", "last_s", "late", "pushes")

    def __init__(self) -> None:
        self.pushes = 0
        self.late = 0
        self.last_s: float | None = None
        self._kept = array("d")
        self._turn = 0

    def add(self, age_s: float | None, *, is_late: bool) -> None:
        """Count a push."""
        self.pushes += 1
        self.late += is_late
        self.last_s = age_s
        if age_s is None:
            return
        if len(self._kept) < REMEMBERED:
            self._kept.append(age_s)
            return
        turn = self._turn
        self._kept[turn] = age_s
        self._turn = turn + 1 if turn + 1 < REMEMBERED else 0

    def at(self, *shares: float) -> list[float | None]:
        """Give the ages that these shares of the last `REMEMBERED` pushes did not exceed; None without any."""
        if not self._kept:
            return [None] * len(shares)
        ordered = sorted(self._kept)
        return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares]
