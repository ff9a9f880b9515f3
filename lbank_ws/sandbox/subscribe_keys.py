"""Subscribe keys: what opens the private channels of V2, and for how long.

Decided here: when a key lives. Known from LBank: 64 hex digits; an hour from its creation or its last refresh. That an
account may have several at a time is an assumption of the box. Times are the market's, in UTC epoch ms.
"""

from __future__ import annotations

import secrets

LIFE_MS = 60 * 60_000


class SubscribeKeys:
    """The keys that were given out and have not ended."""

    def __init__(self) -> None:
        self._ends_ms: dict[str, int] = {}
        self._owners: dict[str, str] = {}

    def give(self, owner: str, at_ms: int) -> str:
        """Give an account a new key."""
        for key, end_ms in list(self._ends_ms.items()):
            if at_ms >= end_ms:
                self._end(key)
        key = secrets.token_hex(32)
        self._ends_ms[key], self._owners[key] = at_ms + LIFE_MS, owner
        return key

    def refresh(self, key: str, owner: str, at_ms: int) -> bool:
        """Let a key live an hour from now on; tell whether it lived and is the account's."""
        if self.owner(key, at_ms) != owner:
            return False
        self._ends_ms[key] = at_ms + LIFE_MS
        return True

    def destroy(self, key: str, owner: str, at_ms: int) -> bool:
        """End a key now; tell whether it lived and was the account's."""
        if self.owner(key, at_ms) != owner:
            return False
        self._end(key)
        return True

    def owner(self, key: str, at_ms: int) -> str | None:
        """Give the account that a living key belongs to, or None."""
        return self._owners[key] if at_ms < self._ends_ms.get(key, at_ms) else None

    def _end(self, key: str) -> None:
        del self._ends_ms[key], self._owners[key]
