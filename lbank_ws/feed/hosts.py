"""Which host is dialled next, for all lines of one client together.

Decided here: which host is trusted, which one rests, and for how long. Not decided here: how long a line waits before
it dials (`backoff.py`), and which addresses there are (the dialects). How good a host is depends on the day and the
country: each of LBank's was dead or sluggish for somebody while another one worked. So a host that keeps failing rests,
its neighbour is dialled, and the preferred one is tried again later.
Source: docs/reference/wire.md, "Hosts" and "What goes wrong in practice".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost, UsageError

# On its bad day no session on www.lbkex.net lived 48 s, while good hosts kept theirs for 10 minutes and more.
HEALTHY_S = 60.0
# One failure proves nothing: LBank closes good lines now and then, and refuses bursts of dials.
REST_AT = 2.0
FAILURE = 1.0  # a dial that failed, a session without a frame, a session whose pushes came late
SHORT_SESSION = 0.5  # it brought frames, so there is something to be had here
FIRST_REST_S = 60.0
# A host was seen to be bad for a day, and fine the day before. Ten minutes bring a client back to the host it prefers
# soon after that, and cost one dial in ten minutes until then.
LONGEST_REST_S = 600.0


class Standing(NamedTuple):
    """What is thought of one host.

    Attributes:
        url: Its address.
        strikes: What speaks against it; at `REST_AT` it rests.
        rests_for_s: How long it still rests, in seconds; 0 when it does not.
    """

    url: str
    strikes: float
    rests_for_s: float


@dataclass
class _Host:
    strikes: float = 0.0
    rests: int = 0  # in a row, without a line that worked in between
    until_s: float = -math.inf  # when its rest ends, or ended
    is_tried: bool = False  # it was chosen although it rests

    def rests_at(self, now_s: float) -> bool:
        return now_s < self.until_s


class Hosts:
    """The hosts of one client. Lines on several threads share it: whoever owns it guards it with one lock.

    All times are monotonic seconds.

    Args:
        urls: In order of preference, at least one; one that is named twice counts once.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        if not urls:
            raise UsageError("there is no address to dial; name at least one")
        self._hosts = {url: _Host() for url in urls}

    def __repr__(self) -> str:
        shown = ", ".join(f"{url} with {host.strikes:g} strikes" for url, host in self._hosts.items())
        return f"Hosts({shown})"

    def choose(self, now_s: float) -> str:
        """Give the address that a line should dial now.

        It is the first that does not rest; when all rest, the one whose rest ends first.
        """
        for url, host in self._hosts.items():
            if not host.rests_at(now_s):
                return url
        url = min(self._hosts, key=lambda known: self._hosts[known].until_s)
        self._hosts[url].is_tried = True
        return url

    def failed(self, url: str, loss: ConnectionLost, now_s: float) -> None:
        """Note that a dial did not succeed."""
        if not _is_our_stop(loss):
            self._struck(self._hosts[url], FAILURE, loss, now_s)

    def ended(self, url: str, loss: ConnectionLost, now_s: float, *, lived_s: float, has_heard: bool) -> None:
        """Note that an open line ended.

        Args:
            url: Its address.
            loss: Why.
            now_s: When.
            lived_s: For how long it was open.
            has_heard: Whether it brought a frame.
        """
        host = self._hosts[url]
        if _is_our_stop(loss):
            return
        if not has_heard or loss.cause is Cause.LATE:
            self._struck(host, FAILURE, loss, now_s)
        elif lived_s < HEALTHY_S:
            self._struck(host, SHORT_SESSION, loss, now_s)
        else:
            host.strikes = 0.0

    def worked(self, url: str, now_s: float) -> None:
        """Note that a line has lived for `HEALTHY_S` and brought frames: its host is as good as new, and rests no more.

        A host may work while it rests, when all do; the next line should find it then.
        """
        self._hosts[url] = _Host()

    def standing(self, now_s: float) -> list[Standing]:
        """Give what is thought of each host, in order of preference."""
        return [Standing(url, host.strikes, max(0.0, host.until_s - now_s)) for url, host in self._hosts.items()]

    def _struck(self, host: _Host, strikes: float, loss: ConnectionLost, now_s: float) -> None:
        asked_s = loss.retry_after_s or 0.0
        if host.rests_at(now_s) and not host.is_tried:
            # Lines that were dialling already fail for the reason that it rests for; ten of them must not make ten
            # rests of one.
            host.until_s = max(host.until_s, now_s + asked_s)
            return
        host.strikes += strikes
        rest_s = asked_s
        if host.strikes >= REST_AT:
            rest_s = max(asked_s, min(FIRST_REST_S * 2.0 ** min(host.rests, 10), LONGEST_REST_S))
            host.rests += 1
        if rest_s > 0:
            host.until_s = max(host.until_s, now_s + rest_s)
            host.strikes = REST_AT - FAILURE  # the first try afterwards decides
            host.is_tried = False


def _is_our_stop(loss: ConnectionLost) -> bool:
    """Tell whether a line ended because it was asked to."""
    return loss.cause is Cause.CLOSED and loss.detail == "stopped"
