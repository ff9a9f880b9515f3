"""Tells a dead man's switch how a run does: healthchecks.io, and everything that is called like it.

Decided here: what is called when. `URL/start` at the beginning, `URL` behind a run that went well, `URL/fail` behind
one that did not. A ping that fails is logged and changes nothing; the path of the address is a secret, and stays out of
the log.
"""

from __future__ import annotations

import contextlib
import logging
import urllib.request
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from lbank_ws.settings import checked_url

log = logging.getLogger("lbank_ws")

TIMEOUT_S = 5.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the address is a secret of one host."""

    def redirect_request(self, *_args: object) -> None:
        return None


class Ping:
    """Used by one thread.

    Args:
        url: An address of http or https; None pings nobody.

    Raises:
        UsageError: It is none.
    """

    def __init__(self, url: str | None) -> None:
        self._url = None if url is None else checked_url(url, "", ("http", "https"), "--ping-url")
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))

    def send(self, what: Literal["start", "fail", ""], text: str = "") -> None:
        """Call it; returns after five seconds at most."""
        if self._url is None:
            return
        parts = urlsplit(self._url)
        path = f"{parts.path.rstrip('/')}/{what}".rstrip("/")
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            urlunsplit(parts._replace(path=path)), data=text.encode(), method="POST"
        )
        try:
            with contextlib.closing(self._opener.open(request, timeout=TIMEOUT_S)):
                pass
        except (OSError, ValueError) as error:
            # Its words may hold the address.
            log.warning("the ping of %s failed: %s", parts.hostname, type(error).__name__)
