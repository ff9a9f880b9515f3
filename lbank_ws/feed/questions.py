"""Which question does an answer belong to?

Decided here: that one-shot requests for the same stream are answered in the order in which they were made. An answer
names no question (docs/reference/wire.md, "V2 one-shot requests"), so this is an assumption; two requests of different
sizes, made at once, would settle it. No socket, no thread, no clock: time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from lbank_ws.channels import Topic
from lbank_ws.events import Kline
from lbank_ws.feed.asking import Fetch
from lbank_ws.wire import Reply

FORGET_S = 6.0  # an answer that comes later than this belongs to nobody


class _Asked(NamedTuple):
    topic: Topic
    fetch: Fetch | None
    at_s: float


class Questions:
    """The one-shot requests of one line that wait for their answers. Used under the line's lock."""

    def __init__(self) -> None:
        self._asked: deque[_Asked] = deque()

    def line_opened(self) -> None:
        """Forget what was asked on another line."""
        self._asked.clear()

    def asked(self, topic: Topic, now_s: float, fetch: Fetch | None = None) -> None:
        """Note a request that leaves: for what is missing of a topic, or, without a fetch, about a suspicion."""
        self._asked.append(_Asked(topic, fetch, now_s))

    def take(self, reply: Reply, now_s: float) -> Fetch | None:
        """Give the fetch that an answer belongs to, or None when it was asked for by a suspicion, or by nobody."""
        while self._asked and now_s >= self._asked[0].at_s + FORGET_S:
            self._asked.popleft()
        for asked in self._asked:
            if _fits(reply, asked.topic):
                self._asked.remove(asked)
                return asked.fetch
        return None


def _fits(reply: Reply, topic: Topic) -> bool:
    if (reply.channel, reply.pair) != (topic.channel, topic.pair):
        return False
    return all(event.interval == topic.interval for event in reply.events[:1] if isinstance(event, Kline))
