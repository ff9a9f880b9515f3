"""Which of its pairs a collector collects now, where a lease shares them out among several workers.

Decided here: what is done, and in which order, when a pair comes and when it goes. Who has which pair is decided by the
lease; see `leases/sharing.py`.

A pair comes: its subscriptions begin with the hole since the last event that anybody has written down of it, as far as
that is known. A pair goes: it is unsubscribed; what was under way still comes; then all of it is written down, the
lease is told how far that reaches, and only then may another worker have it. One whose lock has ended goes at once:
nothing of it is taken any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from lbank_ws.channels import Topic
from lbank_ws.client import LBankClient
from lbank_ws.collect.manifest import RunFacts, Span
from lbank_ws.collect.store import Store
from lbank_ws.events import Event, Gap, Kline, Trade
from lbank_ws.feed.merging import REMEMBERED, identity
from lbank_ws.feed.resume import Mark

_UNDER_WAY_S = 1.5  # a line says ten things at most, 0.11 s apart, and then what it has brought is called back
_AT_ONCE = 20  # pairs of one look; the next one is a twentieth of a second later
_REORDER = timedelta(seconds=1)  # trades may be pushed so much out of order


class Lease(Protocol):
    """Who says which pairs a collector collects; `leases.Tenancy` is one. Any thread may call it; only `end` waits."""

    @property
    def topics(self) -> Sequence[Topic]:
        """What is collected of all pairs together."""

    def start(self) -> None:
        """Begin to take pairs."""

    def wanted(self) -> Mapping[str, int]:
        """Give the pairs that are to be collected now, each with a number that is another one after it was lost."""

    def may_write(self, pair: str) -> bool:
        """Tell whether a pair is surely ours now."""

    def marks(self, pair: str) -> Mapping[str, Mark]:
        """Give how far a pair had come when it was taken, by the names of its subscriptions."""

    def kept(self, marks: Mapping[Topic, Mark]) -> None:
        """Take how far subscriptions are written down."""

    def left(self, pair: str, epoch: int) -> None:
        """A pair is collected no more, and all of it is written down: another one may have it."""

    def end(self) -> None:
        """Nothing is collected any more: the others may have every pair."""


class Tenure:
    """The pairs that one run collects, as they come and go. The thread of `run` calls all but `takes` and `came`.

    Args:
        client: Who subscribes.
        lease: Who says what.
        store: Where everything is kept; it is open, and knows all topics.
        facts: Of the run.
        listen: Registers the callback of a subscription, and subscribes it.

    Attributes:
        has_changed: Whether the facts of the run have, since the store was told to note them.
    """

    def __init__(
        self, client: LBankClient, lease: Lease, store: Store, facts: RunFacts, listen: Callable[[Topic], object]
    ) -> None:
        self._client = client
        self._lease = lease
        self._store = store
        self._facts = facts
        self._listen = listen
        self._topics: dict[str, list[Topic]] = {}
        for topic in lease.topics:
            self._topics.setdefault(topic.pair, []).append(topic)
        self._marks: dict[Topic, Mark] = store.read()
        # What this store has is not fetched once more: the second one would count as another, equal trade.
        self._trades = {topic: deque(mark.trades, REMEMBERED) for topic, mark in self._marks.items() if mark.trades}
        self._told: dict[Topic, Mark] = {}
        self._on: dict[str, int] = {}
        self._going: dict[str, float] = {}
        self._open: dict[Topic, Gap] = {}
        self._heard: set[Topic] = set()
        self.has_changed = False

    # What callbacks ask.

    def takes(self, topic: Topic) -> bool:
        """Tell whether an event of a subscription is ours to keep."""
        return topic.pair in self._on and self._lease.may_write(topic.pair)

    def came(self, topic: Topic, event: Event) -> None:
        """Note an event that waits for the disk now."""
        received_at, happened_at = event.received_at, None
        known = self._marks.get(topic)
        if isinstance(event, Trade) and event.traded_at is not None:
            happened_at = event.traded_at - _REORDER
            if (trade := identity(event)) is not None:
                self._trades.setdefault(topic, deque(maxlen=REMEMBERED)).append(trade)
        elif isinstance(event, Kline):
            happened_at = event.opened_at
        if known is not None:
            received_at = max(received_at, known.received_at)
            if known.happened_at is not None:
                happened_at = max(happened_at or known.happened_at, known.happened_at)
        self._marks[topic] = Mark(received_at, happened_at)

    def gap(self, gap: Gap) -> Gap:
        """Give a hole as it is kept: what is missing of a pair that has gone is the next owner's concern."""
        if gap.ended_at is not None:
            self._open.pop(gap.topic, None)
            return gap
        if gap.topic.pair not in self._on or gap.topic.pair in self._going:
            return _closed(gap)
        self._open[gap.topic] = gap
        return gap

    def live(self, topic: Topic, at: datetime) -> None:
        """Note that a subscription is live."""
        spans = self._facts.spans.get(topic)
        if spans and spans[-1].until is None and spans[-1].live_at is None:
            spans[-1].live_at = at
            self.has_changed = True

    # What comes and goes.

    def turn(self, now_s: float) -> None:
        """Subscribe what has come, unsubscribe what goes."""
        wanted = self._lease.wanted()
        for pair, epoch in self._on.items():
            if wanted.get(pair) != epoch and pair not in self._going:
                self._goes(pair, now_s)
        new = [pair for pair in wanted if pair not in self._on]
        for pair in new[:_AT_ONCE]:
            self._comes(pair, wanted[pair])

    def flushed(self, flush: Callable[[], object]) -> None:
        """Let the store keep what came, tell the lease how far that is, and that what has gone is gone."""
        now_s = time.monotonic()
        gone = {pair: self._on.pop(pair) for pair, due_s in list(self._going.items()) if now_s >= due_s}
        # What is here now is put already; what comes meanwhile is told of behind the next flush.
        marks = {
            topic: mark
            for topic, mark in list(self._marks.items())
            if self._told.get(topic) is not mark and (topic.pair in self._on or topic.pair in gone)
        }
        flush()
        if self.has_changed:
            self.has_changed = False
            self._store.note()
        self._lease.kept(marks)
        self._told |= marks
        for pair, epoch in gone.items():
            del self._going[pair]
            self._lease.left(pair, epoch)

    def end(self, flush: Callable[[], object]) -> None:
        """Let the store keep what came, and the others have everything; the client has stopped."""
        for pair in self._on:
            self._going[pair] = 0.0
        try:
            self.flushed(flush)
        finally:
            self._lease.end()

    # How it is done.

    def _comes(self, pair: str, epoch: int) -> None:
        told = self._lease.marks(pair)
        marks: dict[Topic, Mark | None] = {}
        now = datetime.now(timezone.utc)
        for topic in self._topics[pair]:
            own, other = self._marks.get(topic), told.get(str(topic))
            if other is not None and not self._resumes_with(other):
                other = None
            is_others = other is not None and (own is None or other.received_at > own.received_at)
            chosen = other if is_others else own
            marks[topic] = None if chosen is None else replace(chosen, trades=tuple(self._trades.get(topic, ())))
            self._told.pop(topic, None)
            if chosen is not None:
                self._marks[topic] = chosen
            self._facts.live_at.setdefault(topic, None)
            self._facts.spans.setdefault(topic, []).append(Span(now))
        self.has_changed = True
        self._on[pair] = epoch  # from here on it is taken
        self._client.resumed(marks)
        for topic in self._topics[pair]:
            if topic in self._heard:
                self._client.subscribe(str(topic.channel), topic.pair, **parameters_of(topic))
            else:
                self._heard.add(topic)
                self._listen(topic)

    def _resumes_with(self, mark: Mark) -> bool:
        return self._store.resumes or mark.received_at >= self._facts.started_at

    def _goes(self, pair: str, now_s: float) -> None:
        self._going[pair] = now_s + _UNDER_WAY_S
        until = now = datetime.now(timezone.utc)
        if not self._lease.may_write(pair):
            # It was lost some time ago, while this process stood still, perhaps: it is not known to have lived since.
            until = min(now, max((mark.received_at for mark in list(self._marks.values())), default=now))
        for topic in self._topics[pair]:
            self._client.unsubscribe(str(topic.channel), topic.pair, **parameters_of(topic))
            spans = self._facts.spans[topic]
            spans[-1].until = max(until, spans[-1].since)
            if (gap := self._open.pop(topic, None)) is not None:
                self._store.put_gap(_closed(gap))
        self.has_changed = True


def parameters_of(topic: Topic) -> dict[str, Any]:
    """Give what a decorator, or `subscribe`, is told of a subscription beside its pair."""
    named = {"levels": topic.levels, "interval": topic.interval}
    return {name: given for name, given in named.items() if given is not None}


def _closed(gap: Gap) -> Gap:
    now = max(datetime.now(timezone.utc), gap.started_at)
    return replace(gap, ended_at=now, missing_before=now)
