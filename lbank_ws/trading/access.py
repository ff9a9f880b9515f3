"""The subscribe key's life: what opens an account's streams, and for how long.

Decided here: when a key is fetched, refreshed, given up and fetched anew, and which refusals are for good. A key lives
an hour from its creation or its last refresh (docs/reference/wire.md, "Private channels"); it is refreshed at half of
that. A refresh that the exchange refuses, or a word of it on the socket that the key opens nothing, means a new key;
one that brings no answer is tried again while the key lives. However many lines need it, there is one key and one call
at a time: two calls at once were seen to race. `Access` decides and has no clock; `KeyKeeper` makes the calls, on the
thread that lends itself to it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from lbank_ws.errors import RestFailed
from lbank_ws.quoting import hide
from lbank_ws.trading_errors import CredentialsRefused

log = logging.getLogger("lbank_ws")

LIFE_S = 3600.0
REFRESH_S = LIFE_S / 2
REPLACE_S = LIFE_S - 60.0  # one that could not be refreshed until then is replaced while it still opens something
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
YOUNG_S = 60.0  # a key that is refused sooner is no better than the one before it


class Call(NamedTuple):
    """A call to be made now.

    Attributes:
        kind: `create` a key, or `refresh` it.
        key: Which one; empty for `create`.
    """

    kind: Literal["create", "refresh"]
    key: str = ""

    def __repr__(self) -> str:
        return f"Call({self.kind})"


class Access:
    """Decides about one account's subscribe key. Used under the lock of whoever owns it.

    Moments are given twice, in monotonic seconds and in seconds of Unix time: a computer that slept did not count
    monotonic ones, and the exchange did. The longer of two ages counts.
    """

    def __init__(self) -> None:
        self._key: str | None = None
        self._renewed = (0.0, 0.0)
        self._not_before_s = 0.0
        self._failures = 0
        self._is_refused = False

    def __repr__(self) -> str:
        return f"Access({'a key' if self._key else 'no key'})"

    @property
    def key(self) -> str | None:
        """The key that lives, or None; a secret."""
        return self._key

    def call(self, now_s: float, wall_s: float) -> Call | None:
        """Give the call that is due, or None; asked while somebody needs the key."""
        age_s = max(now_s - self._renewed[0], wall_s - self._renewed[1])
        if self._key is not None and age_s >= REPLACE_S:
            self._give_up(now_s)
        if self._is_refused or now_s < self._not_before_s:
            return None
        if self._key is None:
            return Call("create")
        return Call("refresh", self._key) if age_s >= REFRESH_S else None

    def created(self, key: str, asked_s: float, asked_wall_s: float) -> None:
        """Take a new key, and when it was asked for."""
        self._key = key
        self._renewed = asked_s, asked_wall_s

    def refreshed(self, asked_s: float, asked_wall_s: float) -> None:
        """Take it that the key lives on, from when that was asked."""
        self._renewed = asked_s, asked_wall_s
        self._failures = 0

    def failed(self, call: Call, failure: RestFailed, now_s: float) -> bool:
        """Take it that a call failed; True when no other try would change that."""
        if call.kind == "refresh" and failure.code is not None and call.key == self._key:
            self._give_up(now_s)
        elif call.kind == "create" and isinstance(failure, CredentialsRefused):
            self._is_refused = True
        else:
            self._wait(now_s)
        return self._is_refused

    @property
    def failures(self) -> int:
        """How many calls, or young keys, have failed in a row."""
        return self._failures

    def refused(self, key: str, now_s: float) -> bool:
        """Take it that the socket said a key opens nothing; False when that is not the one in use.

        The next is fetched at once, and later and later where young ones are refused in a row.
        """
        if key != self._key:
            return False
        if now_s - self._renewed[0] < YOUNG_S:
            self._key = None
            self._wait(now_s)
        else:
            self._give_up(now_s)
        return True

    def forget(self) -> str | None:
        """Give the key up, and give it, to be destroyed."""
        key, self._key = self._key, None
        return key

    def _give_up(self, now_s: float) -> None:
        self._key = None
        self._failures = 0
        self._not_before_s = now_s

    def _wait(self, now_s: float) -> None:
        self._not_before_s = now_s + min(FIRST_WAIT_S * 2.0**self._failures, LONGEST_WAIT_S)
        self._failures = min(self._failures + 1, 10)


class HasKeys(Protocol):
    """The calls about subscribe keys, each of which raises `RestFailed`."""

    def new_key(self) -> str:
        """Give a new key."""

    def refresh_key(self, key: str) -> None:
        """Let a key live an hour from now on."""

    def close_key(self, key: str) -> None:
        """End a key."""

    def close(self) -> None:
        """Close the connection."""


class KeyKeeper:
    """Makes the calls about the subscribe key of one client.

    `errand` and `close` are called by one thread, which waits for their calls; `refused` by any. The lock guards the
    decisions and is not held during a call.

    Args:
        rest: Makes the calls; used by that thread alone.
        is_wanted: Tells whether anybody needs the key.
        give: Takes each new key, and None where there is none for now.
        deny: Takes the exchange's number, its words, and what to do, when there will be none.
        tell: Takes the first of several failures in a row; it is tried on.
        farewell: Gives what ends the key: others may still wait for `rest`, and a stop must not.
    """

    def __init__(
        self,
        rest: HasKeys,
        is_wanted: Callable[[], bool],
        give: Callable[[str | None], object],
        deny: Callable[[int | None, str, str], object],
        tell: Callable[[RestFailed], object],
        farewell: Callable[[], HasKeys],
    ) -> None:
        self._rest = rest
        self._is_wanted = is_wanted
        self._give = give
        self._deny = deny
        self._tell = tell
        self._farewell = farewell
        self._lock = threading.Lock()
        self._access = Access()

    def errand(self, now_s: float, wall_s: float) -> None:
        """Do what is due: at most one call."""
        if not self._is_wanted():
            return
        with self._lock:
            call = self._access.call(now_s, wall_s)
        if call is not None:
            self._make(call, now_s, wall_s)

    def refused(self, key: str, now_s: float) -> None:
        """Take it that the exchange said on a socket that a key opens nothing."""
        with self._lock:
            is_current = self._access.refused(key, now_s)
        if is_current:
            log.warning("the exchange does not take the subscribe key any more; another one is fetched")

    def close(self) -> None:
        """Destroy the key, as well as that can be done."""
        with self._lock:
            key = self._access.forget()
        if key is not None:
            try:
                rest = self._farewell()
                try:
                    rest.close_key(key)
                finally:
                    rest.close()
            except RestFailed as failure:
                log.debug("the subscribe key is left to end by itself: %s", failure)

    def _make(self, call: Call, now_s: float, wall_s: float) -> None:
        try:
            if call.kind == "refresh":
                self._rest.refresh_key(call.key)
                with self._lock:
                    self._access.refreshed(now_s, wall_s)
                return
            key = self._rest.new_key()
        except RestFailed as failure:
            self._failed(call, failure, now_s)
            return
        hide(key)
        with self._lock:
            self._access.created(key, now_s, wall_s)
        self._give(key)

    def _failed(self, call: Call, failure: RestFailed, now_s: float) -> None:
        with self._lock:
            is_for_good = self._access.failed(call, failure, now_s)
            has_ended = call.kind == "refresh" and self._access.key is None
            is_first = self._access.failures == 1
        if is_for_good:
            self._deny(failure.code, failure.reason, getattr(failure, "advice", ""))
        elif has_ended:
            log.warning("the subscribe key could not be refreshed (%s); another one is fetched", failure)
            self._give(None)
        elif is_first:
            self._tell(failure)
        else:
            log.debug("still no answer about the subscribe key: %s", failure)
