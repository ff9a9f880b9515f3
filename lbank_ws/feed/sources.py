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
from lbank_ws.feed.calls import Account, rows_of_account
from lbank_ws.trading.rest import Rest

log = logging.getLogger("lbank_ws")


class Sources:
    """What a client can ask about the past. Used by one thread at a time.

    Args:
        rest: Makes calls over REST, or None.
        request: Asks over the line of a topic and tells whether that could be done; None where the dialect has no
            such requests.
        account: Gives what makes calls about an account, or None where there is none so far.

    Attributes:
        failure: Why the last call failed, or None.
    """

    def __init__(
        self,
        rest: Rest | None = None,
        request: Callable[[Fetch], bool] | None = None,
        account: Callable[[], Account | None] = lambda: None,
    ) -> None:
        self.failure: RestFailed | None = None
        self._rest = rest
        self._request = request
        self._account = account

    @property
    def has_rest(self) -> bool:
        """Whether REST can be asked."""
        return self._rest is not None

    @property
    def has_requests(self) -> bool:
        """Whether a line can be asked."""
        return self._request is not None

    @property
    def has_account(self) -> bool:
        """Whether an account can be asked about."""
        return self._account() is not None

    def asked(self, fetch: Fetch) -> bool:
        """Ask over the line, where the fetch is to be made so; True when the answer comes there, or never."""
        return fetch.by == "request" and self._request is not None and self._request(fetch)

    def called(self, fetch: Fetch) -> Sequence[Event] | None:
        """Give what REST answers; None when it does not, or is not to be asked. Waits for the answer."""
        self.failure = None
        if fetch.by != "rest":
            return None
        try:
            if fetch.topic.channel.is_private:
                account = self._account()
                return None if account is None else rows_of_account(account, fetch)
            return None if self._rest is None else _rows_of_market(self._rest, fetch)
        except RestFailed as failure:
            log.debug("what is missing of %s could not be fetched: %s", fetch.topic, failure)
            self.failure = failure
            return None

    def wait_s(self, fetch: Fetch) -> float:
        """Tell for how long REST wants no further call like this one."""
        rest = self._account() if fetch.topic.channel.is_private else self._rest
        return 0.0 if rest is None else rest.wait_s()

    def close(self) -> None:
        """Close the connections to REST."""
        for rest in (self._rest, self._account()):
            if rest is not None:
                rest.close()


def _rows_of_market(rest: Rest, fetch: Fetch) -> Sequence[Event]:
    topic = fetch.topic
    if topic.channel is Channel.TRADE:
        return rest.trades(topic.pair, size=fetch.size, after=fetch.start_at)
    if topic.interval is None or fetch.start_at is None:
        return []
    return rest.klines(topic.pair, topic.interval, start_at=fetch.start_at, end_at=fetch.end_at, size=fetch.size)
