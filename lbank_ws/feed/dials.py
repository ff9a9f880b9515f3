"""Where and when the lines of one client dial.

Nothing is decided here: the host is chosen in `hosts.py`. This is what all socket threads share, under one lock.
"""

from __future__ import annotations

import threading

from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.hosts import HEALTHY_S, Hosts, Standing

# The exchange refused 677 dials at once; one every 0.1 s passed. Source: docs/reference/wire.md, "Limits".
APART_S = 0.1


class Dials:
    """The dials of one client; any thread may call it, guarded by its own lock.

    Args:
        hosts: Chooses the host.
        apart_s: Between two dials of the client, whichever their lines.
    """

    healthy_s = HEALTHY_S

    def __init__(self, hosts: Hosts, apart_s: float = APART_S) -> None:
        self._lock = threading.Lock()
        self._hosts = hosts
        self._apart_s = apart_s
        self._next_s = 0.0

    def turn_s(self, now_s: float) -> float:
        """Take the next turn, and give the moment at which its dial may begin."""
        with self._lock:
            at_s = max(now_s, self._next_s)
            self._next_s = at_s + self._apart_s
            return at_s

    def choose(self, now_s: float) -> str:
        """Give the address to dial."""
        with self._lock:
            return self._hosts.choose(now_s)

    def failed(self, url: str, loss: ConnectionLost, now_s: float) -> None:
        """Note that a dial did not succeed."""
        with self._lock:
            self._hosts.failed(url, loss, now_s)

    def ended(self, url: str, loss: ConnectionLost, now_s: float, *, lived_s: float, has_heard: bool) -> None:
        """Note that an open line ended."""
        with self._lock:
            self._hosts.ended(url, loss, now_s, lived_s=lived_s, has_heard=has_heard)

    def worked(self, url: str, now_s: float) -> None:
        """Note that a line has lived for `healthy_s` and brought frames."""
        with self._lock:
            self._hosts.worked(url, now_s)

    def standing(self, now_s: float) -> list[Standing]:
        """Give what is thought of each host, in order of preference."""
        with self._lock:
            return self._hosts.standing(now_s)
