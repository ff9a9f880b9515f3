"""What waits for its callbacks, and what is given up when that becomes too much.

Decided here: which event replaces which, what is dropped and how that is told, in which order everything is handed
out. Not decided here: who is called, and by which thread; that is `dispatch.py`. There is no lock and no clock here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum

from lbank_ws.causes import GapCause
from lbank_ws.channels import Channel, Topic, checked_channel
from lbank_ws.errors import LBankError, UsageError
from lbank_ws.events import Depth, Event, Gap, Status

QUEUE_EVENTS = 10_000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Policy(str, Enum):
    """What is done with the events of a channel while callbacks are behind."""

    MERGE = "merge"  # the newest of a topic waits, in the place of the one before it
    KEEP = "keep"  # each waits, as long as there is room

    def __str__(self) -> str:
        return str(self.value)


# A ticker and a book are whole states: the newest says all. All else is news of its own: of orders and balances the
# newest would stand for another order, another asset.
POLICIES: Mapping[Channel, Policy] = {
    Channel.TICKER: Policy.MERGE,
    Channel.DEPTH: Policy.MERGE,
    Channel.TRADE: Policy.KEEP,
    Channel.KLINE: Policy.KEEP,
    Channel.ORDER: Policy.KEEP,
    Channel.BALANCE: Policy.KEEP,
}


def checked_policies(policies: Mapping[str, str] | Mapping[Channel, str] | None) -> dict[Channel, Policy]:
    """Give the policy of every channel: what the caller asks for, and else the one in `POLICIES`.

    Raises:
        UsageError: A channel or a policy is unknown; the text names those that there are.
    """
    if not isinstance(policies, Mapping | None):
        raise UsageError(f"policies is a dict such as {{'ticker': 'keep'}}, not {policies!r}")
    known = dict(POLICIES)
    for name, policy in (policies or {}).items():
        channel = checked_channel(name)
        try:
            known[channel] = Policy(policy)
        except ValueError:
            names = ", ".join(str(each) for each in Policy)
            raise UsageError(f"there is no policy {policy!r} for {channel}; write one of: {names}") from None
        if channel.is_private and known[channel] is Policy.MERGE:
            raise UsageError(f"the newest {channel} is not the only one that counts: {channel} can only be kept")
    return known


Content = Event | Status | Gap | LBankError | Callable[[], object]


class _Hole:
    """What was dropped of one topic and is not told yet; moments in nanoseconds of Unix time."""

    __slots__ = ("ended_ns", "missed", "started_ns")

    def __init__(self, at_ns: int) -> None:
        self.started_ns = self.ended_ns = at_ns
        self.missed = 1

    def gap(self, topic: Topic) -> Gap:
        return Gap(
            topic=topic,
            started_at=_EPOCH + timedelta(microseconds=self.started_ns // 1000),
            ended_at=_EPOCH + timedelta(microseconds=self.ended_ns // 1000),
            cause=GapCause.SLOW_CALLBACK,
            missed=self.missed,
            filled=0,
        )


class _Item:
    """One place in the queue.

    Attributes:
        topic: What the event belongs to; None for all else.
        content: What is handed out.
        hole: What is missing right before it.
        is_good: Whether it is no faulty book; None where it cannot be replaced.
        older: The one of the same topic that waits further ahead: beside a good book a faulty one, or the reverse.
    """

    __slots__ = ("content", "hole", "is_good", "older", "topic")

    def __init__(self, topic: Topic | None, content: Content, hole: _Hole | None, is_good: bool | None) -> None:
        self.topic = topic
        self.content = content
        self.hole = hole
        self.is_good = is_good
        self.older: _Item | None = None


class Backlog:
    """The queue between lines and callbacks. Used under the lock of whoever owns it.

    What it holds is bounded by `limit` and by the number of topics, whatever comes: an event finds room below `limit`,
    a status, an order and a balance below twice of it. The events of a topic come out in the order in which they were
    put, and where some are missing a `Gap` says so: before the next one of that topic, or as the last, when nothing
    else waits.

    Args:
        limit: How many events may wait.
        policies: What is done with each channel.

    Attributes:
        merged: How many events were replaced by a newer one.
        dropped: How many events, statuses and faults found no room.
    """

    def __init__(self, limit: int = QUEUE_EVENTS, policies: Mapping[Channel, Policy] = POLICIES) -> None:
        self.merged = 0
        self.dropped = 0
        self._limit = limit
        self._merging = frozenset(channel for channel, policy in policies.items() if policy is Policy.MERGE)
        self._queue: deque[_Item | tuple[Topic, Event]] = deque()  # a pair where nothing replaces or precedes it
        self._calls = 0  # how many in the queue are no events, and take no room
        self._newest: dict[Topic, _Item] = {}  # of those that can be replaced
        self._holes: dict[Topic, _Hole] = {}  # in the order in which they began

    def __len__(self) -> int:
        """Give how many events, statuses and faults wait."""
        return len(self._queue) - self._calls

    def keep_all(self) -> None:
        """Replace nothing from now on, and have room for at least `QUEUE_EVENTS`."""
        self._merging = frozenset()
        self._limit = max(self._limit, QUEUE_EVENTS)

    # In.

    def put(self, topic: Topic, event: Event) -> None:
        """Take an event of a topic."""
        is_good: bool | None = None
        newest: _Item | None = None
        if topic.channel in self._merging:
            is_good = not (isinstance(event, Depth) and event.fault is not None)
            newest = self._newest.get(topic)
            if newest is not None and (newest.is_good is is_good or newest.older is not None):
                self._replace(newest, event, is_good)
                return
        waiting = len(self._queue) - self._calls
        # What belongs to an account is rare and matters, and a flood of trades must not cost it.
        if waiting >= self._limit and (waiting >= 2 * self._limit or not topic.channel.is_private):
            self._drop(topic, event)
            return
        if is_good is None and not self._holes:
            self._queue.append((topic, event))
            return
        item = _Item(topic, event, self._holes.pop(topic, None), is_good)
        self._queue.append(item)
        if is_good is not None:
            item.older, self._newest[topic] = newest, item

    def put_status(self, status: Status) -> None:
        """Take a status. It is rare and matters, so it finds room for twice as long."""
        self._put(status, 2 * self._limit)

    def put_gap(self, gap: Gap) -> None:
        """Take a gap; it matters like a status."""
        self._put(gap, 2 * self._limit)

    def put_fault(self, fault: LBankError) -> None:
        """Take a fault."""
        self._put(fault, self._limit)

    def put_call(self, call: Callable[[], object]) -> None:
        """Take what is to be called once everything before it was handed out; it always finds room."""
        self._queue.append(_Item(None, call, None, None))
        self._calls += 1

    # Out.

    def take_some(self, count: int) -> list[tuple[Topic | None, Content]]:
        """Give so many that come next, or fewer; empty when nothing waits and no gap is left to tell."""
        taken: list[tuple[Topic | None, Content]] = []
        queue = self._queue
        while len(taken) < count:
            if queue and isinstance(first := queue[0], tuple):
                queue.popleft()
                taken.append(first)
            elif (item := self.take()) is not None:
                taken.append(item)
            else:
                break
        return taken

    def take(self) -> tuple[Topic | None, Content] | None:
        """Give what comes next, and for an event its topic; None when nothing waits and no gap is left to tell."""
        if not self._queue:
            return self._last_gap()
        item = self._queue[0]
        if isinstance(item, tuple):
            self._queue.popleft()
            return item
        topic = item.topic
        if item.hole is not None and topic is not None:
            gap, item.hole = item.hole.gap(topic), None
            return None, gap
        self._queue.popleft()
        if topic is None:
            self._calls -= 1 if callable(item.content) else 0
        elif item.is_good is not None:
            newest = self._newest.pop(topic)
            if newest is not item:
                newest.older, self._newest[topic] = None, newest
        return topic, item.content

    # How it is done.

    def _put(self, content: Status | Gap | LBankError, limit: int) -> None:
        if len(self) < limit:
            self._queue.append(_Item(None, content, None, None))
        else:
            self.dropped += 1

    def _replace(self, newest: _Item, event: Event, is_good: bool) -> None:
        """Put an event in the place of the one of its kind that waits; `newest` waits of its topic."""
        older = newest.older
        if older is not None and newest.is_good is not is_good:
            # The one to be replaced waits in front of the newest. So that a book never comes behind one that is newer
            # than it, the newest moves up, and the event takes its place.
            older.content, older.is_good = newest.content, newest.is_good
            older.hole, newest.hole = _joined(older.hole, newest.hole), None
        newest.content, newest.is_good = event, is_good
        if self._holes and newest.topic is not None:
            newest.hole = _joined(newest.hole, self._holes.pop(newest.topic, None))
        self.merged += 1

    def _drop(self, topic: Topic, event: Event) -> None:
        self.dropped += 1
        hole = self._holes.get(topic)
        if hole is None:
            self._holes[topic] = _Hole(event.received_ns)
        else:
            hole.ended_ns = event.received_ns
            hole.missed += 1

    def _last_gap(self) -> tuple[None, Gap] | None:
        if not self._holes:
            return None
        topic = next(iter(self._holes))
        return None, self._holes.pop(topic).gap(topic)


def _joined(first: _Hole | None, second: _Hole | None) -> _Hole | None:
    if first is None or second is None:
        return first or second
    first.ended_ns = second.ended_ns
    first.missed += second.missed
    return first
