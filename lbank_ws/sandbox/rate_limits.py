"""How often somebody may ask: LBank's two limits in a window of 10 s.

Known from LBank's documentation: placing and cancelling 500 times, everything else 200 times, by key; public requests
by address. That a refused request does not count is an assumption of the box. The clock is one that goes in real time
at every speed of the market, in ms.
"""

from __future__ import annotations

from collections import deque

WINDOW_MS = 10_000
LIMITS = {"orders": 500, "others": 200}

_REMEMBERED = 10_000  # askers; then those that have been silent for a window are forgotten


class RateLimits:
    """Counts who asked how often."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], deque[int]] = {}

    def allows(self, asker: str, kind: str, now_ms: int) -> bool:
        """Tell whether an asker may ask once more, and count it when so; `kind` is a key of `LIMITS`."""
        if len(self._asked) > _REMEMBERED:
            self._asked = {each: times for each, times in self._asked.items() if times[-1] > now_ms - WINDOW_MS}
        times = self._asked.setdefault((asker, kind), deque())
        while times and times[0] <= now_ms - WINDOW_MS:
            times.popleft()
        if len(times) >= LIMITS[kind]:
            return False
        times.append(now_ms)
        return True
