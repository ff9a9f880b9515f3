"""How soon the next REST call may leave.

Decided here: how many calls fit into a window, and how long nobody calls after the exchange said that it was too often.
There is no clock here; time comes in as an argument.
"""

from __future__ import annotations

from collections import deque

# Source: docs/reference/wire.md, "REST".
CALLS = 200
ORDER_CALLS = 500  # placing and cancelling
WINDOW_S = 10.0
MARGIN_S = 0.5  # two calls may arrive that much closer to each other than they left
TOO_FREQUENT = 10004


class Pacing:
    """Counts the calls of one address, or of one key. Used by one thread at a time.

    Args:
        calls: How many may be made in a window.
        window_s: How long it is.

    Attributes:
        calls: As given.
    """

    def __init__(self, calls: int = CALLS, window_s: float = WINDOW_S) -> None:
        self.calls = calls
        self._window_s = window_s + MARGIN_S
        self._called_s: deque[float] = deque(maxlen=calls)
        self._free_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Tell how long to wait before the next call; 0 for not at all."""
        free_s = self._free_s
        if len(self._called_s) == self._called_s.maxlen:
            free_s = max(free_s, self._called_s[0] + self._window_s)
        return max(0.0, free_s - now_s)

    def called(self, now_s: float) -> None:
        """Count a call that leaves now."""
        self._called_s.append(now_s)

    def refused(self, now_s: float) -> None:
        """Take it that the exchange found the calls too frequent: others call from this address too."""
        self._free_s = max(self._free_s, now_s + self._window_s)
