"""A collector: a client whose callbacks put what comes into a store.

Decided here: when the store is told to keep what came, when the run ends, and what is said of its end. How things are
kept is decided by the store, everything about lines and holes by the client: it is no second path.

The callbacks, on the client's own thread, only put; the thread that called `run` writes to the disk, between two looks
at whether something has ended. So a slow disk holds up neither pongs nor reading, and no further thread is needed.
"""

from __future__ import annotations

import platform
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from os import getpid
from typing import Any

from lbank_ws.causes import GapCause
from lbank_ws.channels import Channel, Topic
from lbank_ws.client import Ended, LBankClient
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.collect.naming import run_name
from lbank_ws.collect.store import Store
from lbank_ws.collect.tenure import Lease, Tenure, parameters_of
from lbank_ws.errors import GaveUp, SubscriptionRefused, UsageError
from lbank_ws.events import Event, Gap, Status
from lbank_ws.storage_errors import StoreFailed
from lbank_ws.version import VERSION

FLUSH_S = 1.0

_LOOK_S = 0.05  # `LBankClient.run` asks twenty times a second


@dataclass(frozen=True)
class Collected:
    """What a run brought.

    Attributes:
        end: Why it ended: `time over`, `stopped`, `enough`, `idle`.
        manifest: What its manifest says; see docs/reference/segments.md, "The manifest".
    """

    end: str
    manifest: dict[str, Any]

    @property
    def events(self) -> int:
        """How many events were kept."""
        return int(self.manifest["events"])


class Collector:
    """Collects what a client is subscribed to, for one run.

    >>> client = LBankClient()
    >>> client.subscribe("trade", "btc_usdt")
    >>> Collector(client, FileStore("lbank-data")).run(for_s=3600)

    `run` is called once, on a thread that is no callback's; `stop` and `rotate` may be called on any, and in a handler
    of a signal, as they only note it. The client's own callbacks go on beside the collector's.

    Args:
        client: One that has not run. `policies={"ticker": "keep", "depth": "keep"}` keeps every ticker and book also
            while the disk is slow, as long as there is room; else the newest one replaces those that wait.
        store: Where everything is kept, such as `FileStore("lbank-data")`.
        flush_s: How often what came is kept, in seconds; a kill costs no more than that.
        count: End after so many events; None for no such end.
        idle_exit_s: End when nothing came for so long, in seconds; None for no such end.
        lock_wait_s: How long to wait for another run's end before giving up, in seconds.
        lease: Who says which pairs are ours now, where several workers share them; then the client is subscribed to
            nothing of the market, and all that comes and goes is the lease's. See `lbank_ws.leases.lease_of`.

    Attributes:
        store: Where everything is kept.
        gaps: How many holes were told of so far, by subscription.
        lease: Who says which pairs are ours, or None.
    """

    def __init__(
        self,
        client: LBankClient,
        store: Store,
        *,
        flush_s: float = FLUSH_S,
        count: int | None = None,
        idle_exit_s: float | None = None,
        lock_wait_s: float = 0.0,
        lease: Lease | None = None,
    ) -> None:
        for name, length_s in {"flush_s": flush_s, "idle_exit_s": idle_exit_s}.items():
            if length_s is not None and not length_s > 0:
                raise UsageError(f"{name} is a length of time in seconds above 0, not {length_s!r}")
        self.store = store
        self.gaps: Counter[Topic] = Counter()
        self._client = client
        self._flush_s = flush_s
        self._count = count
        self._idle_exit_s = idle_exit_s
        self._lock_wait_s = lock_wait_s
        self.lease = lease
        self._tenure: Tenure | None = None
        self._came = 0
        self._seen = 0  # of those that came, at the last look
        self._came_at_s = 0.0
        self._is_stopping = False
        self._is_rotating = False
        self._flush_at_s = 0.0
        self._until_s: float | None = None
        self._until: Callable[[], bool] | None = None
        self._end = ""
        self._facts: RunFacts | None = None

    def run(
        self,
        for_s: float | None = None,
        *,
        until: Callable[[], bool] | None = None,
        on_open: Callable[[], object] | None = None,
    ) -> Collected:
        """Collect until something ends it.

        Args:
            for_s: For how long, in seconds, the waiting for another run's end included; None for ever.
            until: Asked twenty times a second, on this thread; True ends it.
            on_open: Called once, when the store is ours and before the first line is dialled.

        Raises:
            StoreBusy: Another run writes into the store.
            StoreFailed: The disk took no more; what came before is kept.
            GaveUp: No line for the client's `give_up_after_s`.
            SubscriptionRefused: The exchange refused every subscription.
            UsageError: The client is subscribed to nothing, or it has run.
        """
        topics = [each.topic for each in self._client.subscriptions() if not each.topic.channel.is_private]
        if self.lease is not None:
            if topics:
                raise UsageError("with a lease the client is subscribed to nothing; the lease says what is collected")
            topics = list(self.lease.topics)
        if not topics:
            raise UsageError(
                "the client is subscribed to nothing of the market; call client.subscribe('trade', 'btc_usdt') first"
            )
        self._until = until
        self._until_s = None if for_s is None else time.monotonic() + for_s
        self.store.lock(wait_s=self._lock_wait_s, until=self._has_to_end)
        facts = self._facts = self._new_facts(
            topics if self.lease is None else []
        )  # behind the lock: what came before is another run's
        self.store.open(facts, topics)
        failure: BaseException | None = None
        try:
            if on_open is not None:
                on_open()
            self._listen(facts, topics)
            self._came_at_s = time.monotonic()
            ended = self._client.run(until=self._turn)
            facts.end = self._end or ("stopped" if ended is Ended.STOPPED else str(ended))
        except BaseException as error:  # whatever ends the run, its manifest says so
            failure = error
            facts.end = _end_by(error)
            raise
        finally:
            facts.ended_at = datetime.now(timezone.utc)
            try:
                if self._tenure is not None:
                    self._tenure.end(self.store.flush)
            except StoreFailed:  # closing it says so, too
                pass
            try:
                said = self.store.close()
            except StoreFailed:
                if failure is None:
                    raise
        return Collected(facts.end, said)

    def stop(self) -> None:
        """End the run within a twentieth of a second, with everything kept; returns at once."""
        self._is_stopping = True

    def rotate(self) -> None:
        """Let every open file be closed, and go on with new ones; returns at once."""
        self._is_rotating = True

    @property
    def live_at(self) -> dict[Topic, datetime | None]:
        """When each subscription was live for the first time; None for one that was not."""
        return {} if self._facts is None else dict(self._facts.live_at)

    # How it is done.

    def _new_facts(self, topics: list[Topic]) -> RunFacts:
        started_at = datetime.now(timezone.utc)
        versions = {
            "lbank_ws": VERSION,
            "python": platform.python_version(),
            "websocket-client": metadata.version("websocket-client"),
        }
        return RunFacts(
            run=run_name(started_at, socket.gethostname(), getpid()),
            started_at=started_at,
            dialect=self._client.dialect,
            versions=versions,
            live_at=dict.fromkeys(topics),
        )

    def _listen(self, facts: RunFacts, topics: list[Topic]) -> None:
        self._client.on_gap(self._gap)
        self._client.on_status(self._status)
        if self.lease is not None:
            self._tenure = Tenure(self._client, self.lease, self.store, facts, self._listen_to)
            self.lease.start()
            return
        self._client.resume_from(self.store)
        for topic in topics:
            self._listen_to(topic)

    def _listen_to(self, topic: Topic) -> None:
        decorators: dict[Channel, Callable[..., Any]] = {
            Channel.TICKER: self._client.on_ticker,
            Channel.DEPTH: self._client.on_depth,
            Channel.TRADE: self._client.on_trade,
            Channel.KLINE: self._client.on_kline,
        }
        decorators[topic.channel](topic.pair, **parameters_of(topic))(self._putter(topic))

    def _putter(self, topic: Topic) -> Callable[[Event], None]:
        """Give the callback of a subscription."""

        tenure = self._tenure

        def put(event: Event) -> None:
            if tenure is not None and not tenure.takes(topic):
                return
            self.store.put(topic, event)
            self._came += 1
            if tenure is not None:
                tenure.came(topic, event)

        put.__qualname__ = f"collector of {topic}"
        return put

    def _gap(self, gap: Gap) -> None:
        self.gaps[gap.topic] += gap.ended_at is None or gap.cause is GapCause.SLOW_CALLBACK
        self.store.put_gap(gap if self._tenure is None else self._tenure.gap(gap))

    def _status(self, status: Status) -> None:
        facts = self._facts
        if facts is None:
            return
        if status.kind == "opened":
            facts.host = status.host
        elif status.kind == "live" and status.topic is not None:
            if facts.live_at.get(status.topic) is None:
                facts.live_at[status.topic] = status.at
            if self._tenure is not None:
                self._tenure.live(status.topic, status.at)

    def _turn(self) -> bool:
        """Do what is due, twenty times a second on the thread of `run`; tell whether the run ends."""
        now_s = time.monotonic()
        self._end = self._why_to_end(now_s)
        if self._end:
            self.store.ending()
            return True
        if self._tenure is not None:
            self._tenure.turn(now_s)
        if self._is_rotating:
            self._is_rotating = False
            self.store.rotate()
        if now_s >= self._flush_at_s:
            # The next look but one would come too late: it is taken a look early.
            self._flush_at_s = now_s + self._flush_s - _LOOK_S
            if self._tenure is None:
                self.store.flush()
            else:
                self._tenure.flushed(self.store.flush)
        return False

    def _has_to_end(self) -> bool:
        return bool(self._why_to_end(time.monotonic()))

    def _why_to_end(self, now_s: float) -> str:
        if self._is_stopping:
            return "stopped"
        if self._until is not None and self._until():
            return "stopped"
        if self._until_s is not None and now_s >= self._until_s:
            return "time over"
        if self._count is not None and self._came >= self._count:
            return "enough"
        if self._idle_exit_s is None or not self._came_at_s:
            return ""
        if self._came != self._seen:
            self._seen, self._came_at_s = self._came, now_s
        return "idle" if now_s - self._came_at_s >= self._idle_exit_s else ""


def _end_by(error: BaseException) -> str:
    """Give what a manifest says of a run that ended by an error."""
    if isinstance(error, StoreFailed):
        return "disk"
    if isinstance(error, GaveUp):
        return "gave up"
    return "refused" if isinstance(error, SubscriptionRefused) else "failed"
