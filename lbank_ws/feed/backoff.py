"""How long to wait until the next dial.

Decided here: the length of each wait, when it starts over, when to give up. Not decided here: who waits, and how.
"""

from __future__ import annotations

import random
from collections.abc import Callable

SHORTEST_S = 0.1  # the exchange refuses bursts of dials; one every 0.1 s was seen to pass (wire.md, "Limits")
QUICK_S = 3.0  # the longest wait while an outage is young: most are over in seconds
YOUNG_S = 10.0
# Every wait but the first is at least this share of its longest: with jitter down to nothing an hour's outage would
# take up to 133 dials, and 125 are allowed.
LEAST_SHARE = 1 / 3
AFTER_REFUSAL_S = 2.0  # the least wait when a server answered, and said no
LIVED_S = 1.0  # a line that lived this long and brought a frame ends the outage


class Backoff:
    """The waits of one line: exponential with jitter, short while an outage is young.

    A dial follows a lost line after at most `first_s`; then the longest wait doubles up to `QUICK_S` until the outage
    is `YOUNG_S` old, then is twice its age. Once it is as old as `cap_s` every wait is that, and up to a tenth more at
    random, so that a crowd of clients does not dial in step. Used under the lock of the line that owns it.

    Attributes:
        attempts: How many dials the outage has taken so far.

    Args:
        first_s: The longest first wait.
        cap_s: Where waits stop growing.
        give_up_after_s: How old an outage may get; None for ever.
        uniform: Where chance comes from; for tests.
    """

    def __init__(
        self,
        first_s: float = 1.0,
        cap_s: float = 30.0,
        give_up_after_s: float | None = None,
        *,
        # Jitter needs no secret randomness.
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.first_s = first_s
        self.cap_s = cap_s
        self.give_up_after_s = give_up_after_s
        self._uniform = uniform
        self.attempts = 0
        self._waits = 0
        self._out_since_s: float | None = None

    def started(self, now_s: float) -> None:
        """Note the first dial, from which the first outage counts."""
        self._out_since_s = now_s
        self.attempts = 1

    def dialled(self) -> None:
        """Note a further dial."""
        self.attempts += 1

    def lived(self) -> None:
        """Note that the line has lived: the next loss starts a new outage."""
        self.attempts = 0
        self._waits = 0
        self._out_since_s = None

    def lost(self, now_s: float, *, refused: bool = False, not_before_s: float | None = None) -> float | None:
        """Give the wait until the next dial, in seconds, or None to give up.

        Args:
            now_s: Monotonic.
            refused: A server answered the handshake with a refusal; such a one is not asked again at once.
            not_before_s: What the server asked for; never less is waited, and a little more at random. When it is
                longer than the outage may get, nothing is left to wait for.
        """
        if self._out_since_s is None:
            self._out_since_s = now_s
        age_s = now_s - self._out_since_s
        wait_s = self._uniform(*self._bounds(age_s, refused=refused))
        if not_before_s is not None:
            wait_s = max(wait_s, not_before_s + self._uniform(0.0, self.first_s))
        if self.give_up_after_s is not None:
            left_s = self.give_up_after_s - age_s
            if left_s <= 0 or left_s < (not_before_s or 0.0):
                return None
            wait_s = min(wait_s, left_s)
        self._waits += 1
        return wait_s

    def age_s(self, now_s: float) -> float:
        """Tell how old the outage is, in seconds; 0 while there is none."""
        return 0.0 if self._out_since_s is None else now_s - self._out_since_s

    def _bounds(self, age_s: float, *, refused: bool) -> tuple[float, float]:
        """Give the shortest and the longest that the next wait may be."""
        is_young = age_s < YOUNG_S
        grown_s = self.first_s * 2.0 ** min(self._waits, 30)
        if min(grown_s, QUICK_S if is_young else age_s) >= self.cap_s:
            return self.cap_s, self.cap_s * 1.1
        ceiling_s = min(grown_s, QUICK_S if is_young else 2 * age_s, self.cap_s)
        # A caller who asks for shorter waits than the exchange likes has an exchange of his own.
        shortest_s = SHORTEST_S if self.first_s >= SHORTEST_S else 0.0
        least_s = max(shortest_s, ceiling_s * LEAST_SHARE) if self._waits else shortest_s
        if refused:
            least_s = max(least_s, min(AFTER_REFUSAL_S, self.cap_s))
            ceiling_s = max(ceiling_s, min(QUICK_S, self.cap_s * 1.1))
        return least_s, ceiling_s
