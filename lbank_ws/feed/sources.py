"""Where the past is fetched: over the line of a subscription, or over REST.

Decided here: nothing but how each is asked. Which of them is asked first is decided in `backfill.py`, what becomes of
an answer by what fills the hole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from lbank_ws.channels import Channel
from lbank_ws.errors import RestFailed
from lbank_ws.events import Event
from lbank_ws.feed.asking import Fetch
from lbank_ws.trading.rest import Rest

log = logging.getLogger("lbank_ws")


class Sources:
    """What a client can ask about the past. Used by one thread at a time.

    Args:
        rest: Makes calls over REST, or None.
        request: Asks over the line of a topic and tells whether that could be done; None where the dialect has no
            such requests.
    """

    def __init__(self, rest: Rest | None = None, request: Callable[[Fetch], bool] | None = None) -> None:
        self._rest = rest
        self._request = request

    @property
    def has_rest(self) -> bool:
        """Whether REST can be asked."""
        return self._rest is not None

    @property
    def has_requests(self) -> bool:
        """Whether a line can be asked."""
        return self._request is not None

    def asked(self, fetch: Fetch) -> bool:
        """Ask over the line, where the fetch is to be made so; True when the answer comes there, or never."""
        return fetch.by == "request" and self._request is not None and self._request(fetch)

    def called(self, fetch: Fetch) -> Sequence[Event] | None:
        """Give what REST answers; None when it does not, or is not to be asked. Waits for the answer."""
        if fetch.by != "rest" or self._rest is None:
            return None
        topic = fetch.topic
        try:
            if topic.channel is Channel.TRADE:
                return self._rest.trades(topic.pair, size=fetch.size, after=fetch.start_at)
            if topic.interval is None or fetch.start_at is None:
                return []
            return self._rest.klines(
                topic.pair, topic.interval, start_at=fetch.start_at, end_at=fetch.end_at, size=fetch.size
            )
        except RestFailed as failure:
            log.debug("what is missing of %s could not be fetched: %s", topic, failure)
            return None

    def wait_s(self) -> float:
        """Tell for how long REST wants no further call."""
        return 0.0 if self._rest is None else self._rest.wait_s()

    def close(self) -> None:
        """Close the connection to REST."""
        if self._rest is not None:
            self._rest.close()
