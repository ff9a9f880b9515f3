"""Stands between the lines and the callbacks: tells of holes, and fetches what can still be had of them.

Decided here: nothing but when which part is asked. When a hole is one is decided in `gaps.py`, how it is filled in
`trade_fill.py` and `bar_fill.py`, for an account in `order_fill.py` and `balance_fill.py`. One thread a client,
`lbank-ws-fetch`, makes the calls over REST, and no line waits for one. What is asked over a line comes back with what
the line brings.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from lbank_ws.causes import GapCause
from lbank_ws.channels import Topic
from lbank_ws.errors import ConnectionLost
from lbank_ws.events import Event, Gap, Status
from lbank_ws.feed.asking import Fetch, Fill, Outcome, Step
from lbank_ws.feed.backfill import fill_for
from lbank_ws.feed.clock import Clock, Moment, Waker
from lbank_ws.feed.gaps import Ledger
from lbank_ws.feed.order_fill import OrderFill
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.resume import Mark, Resume
from lbank_ws.feed.sources import Sources
from lbank_ws.feed.state_fill import StateFill
from lbank_ws.feed.trade_fill import TradeFill

log = logging.getLogger("lbank_ws")

_LONGEST_WAIT_S = 5.0
_WRITE_EVERY_S = 5.0


class Fetching:
    """Used by every line's socket thread, its own thread and the caller's, guarded by its own lock.

    What belongs to subscriptions that can be filled is handed on under that lock, so that it stays in order.

    Args:
        deliver: Takes what is for callbacks. It must not wait.
        topics_of: Gives what rides on the line of a number.
        clock: Tells time and waits.
        sources: Where the past is fetched.
        resume: Where it is kept how far each subscription had come, or None.
        pairs: Gives the pairs of the market that are wanted; where orders may be, too.
    """

    def __init__(
        self,
        deliver: Callable[[Reaction], None],
        topics_of: Callable[[int], Sequence[Topic]],
        clock: Clock,
        sources: Sources,
        resume: Resume | None,
        pairs: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._deliver = deliver
        self._topics_of = topics_of
        self._clock = clock
        self._sources = sources
        self._resume = resume
        self._wanted_pairs = pairs
        self._pairs: dict[str, bool] = {}  # where orders may be, and whether somebody said so
        self._wondered: frozenset[str] = frozenset()
        self._marks: dict[Topic, Mark] = {}
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._fills: dict[Topic, Fill | None] = {}
        self._fetches: deque[Fetch] = deque()
        self._write_at_s = 0.0
        self._waker = Waker()
        self._is_stopping = self._is_hushed = False
        self._thread = threading.Thread(target=self._run, name="lbank-ws-fetch", daemon=True)

    # What lines call.

    def take(self, line: int, reaction: Reaction) -> None:
        """Take what a line brought, and hand it on, what waits for a fetch excepted."""
        if not (reaction.statuses or reaction.asked or reaction.answers):
            with self._lock:
                if not self._ledger.has_open() and self._passes(reaction):
                    self._deliver(reaction)
                    return
        lost = [status for status in reaction.statuses if status.kind == "lost"]
        topics = self._topics_of(line) if lost else ()
        changed = [status for status in reaction.statuses if _is_about_account(status)]
        pairs = self._wanted_pairs() if changed else ()
        with self._lock:
            for pair in pairs:
                self._pairs.setdefault(pair, False)
            now = self._clock.now()
            ready = Reaction(statuses=reaction.statuses, faults=reaction.faults)
            for status in lost:
                self._line_lost(status, topics, now, ready)
            for topic in reaction.asked:
                # An account's stream is fetched for when it is live: an error about its key may still come.
                if not topic.channel.is_private and (fill := self._fill(topic, now, ready)) is not None:
                    fill.back(now)
                    self._waker.wake()
            for status in changed:
                self._account_changed(status, now, ready)
            for topic, event in reaction.events:
                ready = self._event(topic, event, now, ready)
            for fetch, rows in reaction.answers:
                ready = self._answered(fetch, rows, now, ready)
            self._deliver(ready)

    def mind(self, pair: str) -> None:
        """Note that orders of a pair may be open: a fetch of all orders asks for those of this pair, too."""
        with self._lock:
            self._pairs[pair] = True

    def left(self, topic: Topic) -> None:
        """Forget a subscription that is wanted no more."""
        with self._lock:
            self._ledger.left(topic)
            self._fills.pop(topic, None)
            self._marks.pop(topic, None)

    def resumed(self, marks: Mapping[Topic, Mark | None]) -> None:
        """Begin these anew, those with a mark with the hole since then; before they are subscribed."""
        with self._lock:
            for topic, mark in marks.items():
                # A line may have brought one more push behind `left`.
                self._ledger.left(topic)
                self._fills.pop(topic, None)
                self._marks.pop(topic, None)
                if mark is not None:
                    self._marks[topic] = mark

    # Life.

    def resume_from(self, resume: Resume) -> None:
        """Begin with the holes since what this tells of; before the start."""
        self._resume = resume

    def start(self) -> None:
        """Begin; raises `UsageError` when the file of `resume` is somebody else's."""
        if self._resume is not None:
            self._marks = self._resume.read()
        self._waker.open()
        self._thread.start()

    def hush(self) -> None:
        """Make no more calls; what lines bring is still handed on."""
        self._is_hushed = True

    def stop(self) -> None:
        """Ask it to end; returns at once. What waits for a fetch is handed on."""
        self._is_stopping = True
        self._waker.wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; False when a call still takes its time."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # How it is done.

    def _passes(self, reaction: Reaction) -> bool:
        """Note what is handed on as it is, which is nearly all; False when something of it must be decided about."""
        newest = dict(reaction.events)
        filled: dict[Topic, Fill] = {}
        for topic in newest:
            if topic not in self._fills:
                return False
            if (fill := self._fills[topic]) is not None:
                if not fill.is_calm:
                    return False
                filled[topic] = fill
        if filled:
            for topic, event in reaction.events:
                if topic in filled:
                    filled[topic].passed(event)
        for topic, event in newest.items():
            self._ledger.pushed(topic, event)
        return True

    def _line_lost(self, status: Status, topics: Sequence[Topic], now: Moment, ready: Reaction) -> None:
        if isinstance(status.cause, ConnectionLost):
            ready.gaps += self._ledger.opened(topics, status.cause.cause)
            for topic in topics:
                if (fill := self._fill(topic, now, ready)) is not None:
                    fill.opened()
        self._waker.wake()

    def _account_changed(self, status: Status, now: Moment, ready: Reaction) -> None:
        """Fetch the state of an account when its stream is on; note that something is missing when it is not."""
        topic = status.topic
        if topic is None or (fill := self._fill(topic, now, ready)) is None:
            return
        if status.kind == "live":
            fill.back(now)
        elif isinstance(status.cause, ConnectionLost):
            ready.gaps += self._ledger.opened([topic], status.cause.cause)
            fill.opened()
        self._waker.wake()

    def _fill(self, topic: Topic, now: Moment, ready: Reaction) -> Fill | None:
        """Give what fills the holes of a topic; a topic that is new begins with the hole since the last run."""
        if topic in self._fills:
            return self._fills[topic]
        fill = fill_for(
            topic,
            has_requests=self._sources.has_requests,
            has_rest=self._sources.has_rest,
            has_account=self._sources.has_account,
            pairs=self._pairs,
        )
        self._fills[topic] = fill
        mark = self._marks.pop(topic, None)
        if mark is not None:
            ready.gaps.append(self._ledger.resumed(topic, mark.received_at))
            if isinstance(fill, TradeFill):
                for known in mark.trades:
                    fill.seen.add(known)
            if fill is not None:
                fill.opened(since=mark.happened_at)
        return fill

    def _event(self, topic: Topic, event: Event, now: Moment, ready: Reaction) -> Reaction:
        """Take a push; give the reaction that what follows belongs to."""
        fill = self._fill(topic, now, ready)
        if fill is None:
            if self._ledger.is_open(topic):
                gap = self._ledger.closed(topic, now, missing_before=now.utc)
                ready = self._after(ready, [gap] if gap is not None else [])
            self._ledger.pushed(topic, event)
            ready.events.append((topic, event))
            return ready
        step = fill.live(event, now)
        if step.outcome is None and not fill.is_open and self._ledger.is_open(topic):
            step.outcome = Outcome(0, now.utc)  # nothing tells from when on to fetch, so all of it is missing
        self._ledger.pushed(topic, event)
        if fill.due_s() != math.inf:
            self._waker.wake()
        return self._carried_out(topic, step, now, ready)

    def _answered(self, fetch: Fetch, rows: Sequence[Event], now: Moment, ready: Reaction) -> Reaction:
        """Take what came over the line for a fetch; give the reaction that what follows belongs to."""
        fill = self._fills.get(fetch.topic)
        return ready if fill is None else self._carried_out(fetch.topic, fill.answered(fetch, rows, now), now, ready)

    def _after(self, ready: Reaction, gaps: list[Gap]) -> Reaction:
        """Hand on what came before these gaps; give the reaction that begins with them."""
        if not gaps:
            return ready
        if ready.events or ready.gaps or ready.statuses or ready.faults:
            self._deliver(ready)
        return Reaction(gaps=gaps)

    def _carried_out(self, topic: Topic, step: Step, now: Moment, ready: Reaction) -> Reaction:
        """Do what a fill decided, in its order."""
        if step.fetch is not None:
            self._fetches.append(step.fetch)
            self._waker.wake()
        ready.events += [(topic, event) for event in step.filled]
        if step.outcome is not None:
            gap = self._ledger.closed(
                topic, now, filled=step.outcome.filled, missing_before=step.outcome.missing_before
            )
            ready = self._after(ready, [] if gap is None else [gap])
        ready.events += [(topic, event) for event in step.live]
        if step.skipped:
            ready = self._after(ready, self._ledger.opened([topic], GapCause.SKIPPED))
        return ready

    # The thread.

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                if (fetch := self._due(self._clock.now())) is not None:
                    self._make(fetch)
                    continue
                self._clock.wait([self._waker], [], self._left_s())
                self._waker.calm()
        except Exception:  # a mistake of ours costs what is fetched, and not the feed
            log.exception("the thread that fills gaps ended by a mistake of lbank_ws; please report it")
        finally:
            self._end()

    def _due(self, now: Moment) -> Fetch | None:
        """Do what time asks for, and give what is to be fetched next."""
        with self._lock:
            for topic, fill in self._fills.items():
                if fill is not None and now.s >= fill.due_s():
                    self._hand_on(topic, fill.tick(now), now)
            fetch = self._fetches.popleft() if self._fetches and not self._is_hushed else None
        if now.s >= self._write_at_s:
            self._write_at_s = now.s + _WRITE_EVERY_S
            self._write()
        return fetch

    def _make(self, fetch: Fetch) -> None:
        """Make a call, without the lock, and hand on what follows from its answer."""
        if self._sources.asked(fetch):
            return  # the answer comes with what the line brings
        rows = self._sources.called(fetch)
        now = self._clock.now()
        with self._lock:
            fill = self._fills.get(fetch.topic)
            if fill is None:
                return
            if rows is None:
                self._hand_on(fetch.topic, fill.failed(fetch, now, wait_s=self._sources.wait_s(fetch)), now)
                if isinstance(fill, StateFill) and fill.misses == 1 and self._sources.failure is not None:
                    # It is tried on; until then the state of the account is not known.
                    self._deliver(Reaction(faults=[self._sources.failure]))
            else:
                self._hand_on(fetch.topic, fill.answered(fetch, rows, now), now)
                self._wonder(fill)

    def _wonder(self, fill: Fill) -> None:
        """Say it, once, when orders are open on pairs that nobody named: they are listed by pair alone."""
        if isinstance(fill, OrderFill) and (unexplained := fill.unexplained - self._wondered):
            self._wondered |= unexplained
            log.warning(
                "something of %s is held back, and no open order of the pairs that are known explains it; "
                "name the pairs that you trade: on_order('btc_usdt')",
                ", ".join(sorted(unexplained)),
            )

    def _hand_on(self, topic: Topic, step: Step, now: Moment) -> None:
        ready = self._carried_out(topic, step, now, Reaction())
        if ready.events or ready.gaps:
            self._deliver(ready)

    def _left_s(self) -> float:
        with self._lock:
            due_s = min((fill.due_s() for fill in self._fills.values() if fill is not None), default=math.inf)
        return min(max(0.0, due_s - self._clock.now().s), _LONGEST_WAIT_S)

    def _write(self) -> None:
        """Keep how far each subscription has come; without the lock, for a disk may be slow."""
        if self._resume is None:
            return
        with self._lock:
            marks = dict(self._marks)
            for topic, fill in self._fills.items():
                received_at = self._ledger.good_at(topic)
                if received_at is None or topic.channel.is_private:  # an account's state is fetched at each start
                    continue
                marks[topic] = Mark(
                    received_at,
                    None if fill is None else fill.newest_at,
                    tuple(fill.seen) if isinstance(fill, TradeFill) else (),
                )
        try:
            self._resume.write(marks)
        except OSError as error:
            log.warning("how far the subscriptions have come could not be kept: %s", error.strerror or error)

    def _end(self) -> None:
        now = self._clock.now()
        with self._lock:
            for topic, fill in self._fills.items():
                if fill is not None:
                    self._hand_on(topic, fill.given_up(now), now)
        self._write()  # behind what was just handed out, which must not come again
        self._sources.close()
        self._waker.close()


def _is_about_account(status: Status) -> bool:
    return status.topic is not None and status.topic.channel.is_private and status.kind in ("live", "stale")
