"""The face of the package: decorators, `run`, `start`, `stop`. It joins the parts and decides nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from lbank_ws import options, settings
from lbank_ws.causes import Cause
from lbank_ws.channels import MARKET, Topic
from lbank_ws.dealing import Account, Dealing, Errands, Paper
from lbank_ws.errors import ConnectionLost, LBankError, UsageError
from lbank_ws.events import LATE_AFTER_S, Event
from lbank_ws.feed.backlog import QUEUE_EVENTS
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.caretaker import Caretaker
from lbank_ws.feed.clock import Clock, SystemClock
from lbank_ws.feed.dial import Connect, Dialler
from lbank_ws.feed.dials import Dials
from lbank_ws.feed.dispatch import Dispatch
from lbank_ws.feed.fetching import Fetching
from lbank_ws.feed.hosts import Hosts
from lbank_ws.feed.line import Line
from lbank_ws.feed.listing import Listing
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.offset import Offset
from lbank_ws.feed.placement import Placement
from lbank_ws.feed.pool import Pool
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.recorder import Recorder
from lbank_ws.feed.resume import Mark, Resume, ResumeFile
from lbank_ws.feed.session import Session
from lbank_ws.feed.sources import Sources
from lbank_ws.feed.states import State
from lbank_ws.feed.stream import MESSAGE_BYTES, Limits
from lbank_ws.signer import Credentials
from lbank_ws.trading.bounds import Bounds
from lbank_ws.trading.link import Link
from lbank_ws.trading.rest import DEFAULT_URLS, Rest
from lbank_ws.wire import dialect_named

REST_TIMEOUT_S = 3.0  # a stop waits for a call that is under way
_POLL_S = 0.05
STOP_TIMEOUT_S = 5.0


class Ended(str, Enum):
    """Why `run` returned; giving up and being refused raise instead."""

    STOPPED = "stopped"
    TIME_OVER = "time over"

    def __str__(self) -> str:
        return str(self.value)


class Sink(Protocol):
    """Where events go beside the callbacks; `lbank_ws.sinks` has some. None of its methods may wait but `close`."""

    def start(self, dialect: str, report: Callable[[LBankError], object]) -> None:
        """The client starts; it speaks so, and takes faults there."""

    def put(self, event: Event) -> None:
        """An event came; called on the thread of callbacks."""

    def close(self, timeout_s: float, *, wait: bool = True) -> bool:
        """The client stops; False when what came is not out by then."""


class LBankClient(Dealing):
    """LBank's market data as callbacks, through drops.

    Every method may be called from any thread, inside a callback too. Callbacks run one at a time, in order, on one
    thread of the client's own.

    Args:
        dialect: `v2`, which the exchange is seen to speak, or `simple`, which the published guide describes.
        url: Another address, `ws://` or `wss://`; without a path the dialect's own is added.
        hosts: Several, in order of preference, by name or as addresses; the dialect's own when None. A host that keeps
            failing rests, and the next one is dialled.
        rest_url: Another address of the REST interface, which is asked what the exchange's clock says. Where `url` or
            `hosts` is named and this is not, nothing is asked, and the clock is told from the pushes.
        ca_file: A file of certificate authorities to trust in place of the system's. TLS is always verified.
        proxy: `http://`, `socks4://`, `socks5://` or `socks5h://host:port`; needs the extra `proxy`. Proxies named in
            the environment are not used.
        backoff_first_s: The longest first wait after a drop, in seconds.
        backoff_cap_s: Where waits stop growing.
        give_up_after_s: How old an outage of a line may get before `run` raises `GaveUp`; None for ever.
        silent_after_s: A line without a frame for so long is cut; after half of it the exchange is asked first.
        late_after_s: From which age on a push is late.
        stale_after_s: A subscription without news for so long, and for far longer than is usual for it, is checked.
        nodes: The publishing nodes whose books count, by the letters before the dash; None for all.
        depth_pairs_a_line: The books of so many pairs share a line.
        subscriptions_a_line: So many subscriptions of the other channels share a line.
        queue_events: How many events may wait for callbacks.
        max_message_bytes: A line that sends a longer message is cut before that is in memory; LBank's longest, books,
            have some kilobytes.
        policies: What is done with the events of a channel while callbacks are behind: `{"ticker": "keep"}`; see
            docs/howto/slow-callbacks.md.
        backfill: Fetch missed trades and bars, over REST and over the line; see `on_gap` and docs/howto/gaps.md.
        resume: A small file that keeps how far each subscription had come, so that the next run begins with the hole
            since this one; None for none.
        record: A file that keeps every frame of both directions, credentials and IP addresses masked; one that is a
            recording already is continued. `.gz` packs it, `.zst` too and needs the extra `record`.
        account: Where orders go: `paper`, which meets the live book here; `test`, which LBank checks and never places;
            `live`. Paper when None. `on_order` and `on_balance` hear of paper where it is named, else of LBank's.
        paper: What the paper account begins with, and its file.
        journal: Where live orders are written down before they leave; `lbank-orders-live.jsonl` when None.
        bounds: What no order may exceed: size, value, price, orders a minute, open orders; None for anything that the
            exchange takes. See docs/howto/private.md.
        credentials: Who asks for an account's streams; read from the environment at the first need when None. In the
            simple dialect one line logs in with them, and carries orders.
        connect: Makes connected sockets, for simulations; see `feed.dial.Connect`.
        clock: Tells time and waits, for simulations; see `feed.clock.Clock`.

    Attributes:
        dialect: What it speaks, `v2` or `simple`.
        recorder: What writes `record`, or None; it counts frames.

    Raises:
        UsageError: An option cannot be used as given.
    """

    def __init__(
        self,
        *,
        dialect: str = "v2",
        url: str | None = None,
        hosts: Sequence[str] | None = None,
        rest_url: str | None = None,
        ca_file: str | None = None,
        proxy: str | None = None,
        backoff_first_s: float = 1.0,
        backoff_cap_s: float = 30.0,
        give_up_after_s: float | None = None,
        silent_after_s: float = 30.0,
        late_after_s: float = LATE_AFTER_S,
        stale_after_s: float = 10.0,
        nodes: str | None = "t",
        depth_pairs_a_line: int = 1,
        subscriptions_a_line: int = 10,
        queue_events: int = QUEUE_EVENTS,
        max_message_bytes: int = MESSAGE_BYTES,
        policies: Mapping[str, str] | None = None,
        backfill: bool = True,
        resume: str | os.PathLike[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        account: str | None = None,
        paper: Paper | None = None,
        journal: str | os.PathLike[str] | None = None,
        bounds: Bounds | None = None,
        credentials: Credentials | None = None,
        connect: Connect | None = None,
        clock: Clock | None = None,
    ) -> None:
        options.check_lengths(
            backoff_first_s=backoff_first_s,
            backoff_cap_s=backoff_cap_s,
            give_up_after_s=give_up_after_s,
            silent_after_s=silent_after_s,
            late_after_s=late_after_s,
            stale_after_s=stale_after_s,
        )
        spoken = dialect_named(dialect)
        urls = settings.ws_urls(spoken, url, hosts)
        self.dialect = spoken.name
        self.rest_url = settings.rest_url(rest_url)
        self._clock = clock or SystemClock()
        logbook = Logbook()
        self._dispatch = Dispatch(logbook, options.checked_queue(queue_events), policies=policies)
        limits = Limits(message_bytes=options.checked_message(max_message_bytes))
        habits = Habits(
            cut_after_s=silent_after_s,
            ping_after_s=silent_after_s / 2,
            late_after_s=late_after_s,
            stale_after_s=stale_after_s,
            nodes=options.checked_nodes(nodes),
        )
        self.recorder: Recorder | None = None
        if record is not None:
            host = urlsplit(urls[0]).netloc
            self.recorder = Recorder(
                record, dialect=spoken.name, host=host, deliver=self._dispatch.put, clock=self._clock
            )
        offset, listing, dials = Offset(), Listing(), Dials(Hosts(urls))
        asked = self.rest_url or (DEFAULT_URLS[0] if urls == spoken.urls else None)
        self._link = Link(
            urls,
            asked,
            credentials,
            exchange_ms=partial(self._exchange_ms, offset),
            ca_file=ca_file,
            proxy=proxy,
            timeout_s=REST_TIMEOUT_S,
        )
        self._account = Account(account, paper, journal, bounds)
        log_in = self._link.log_in() if spoken.has_orders and (credentials or account == "live") else None
        dial = connect or Dialler(ca_file, proxy).dial

        def line(number: int, on_end: Callable[[], None]) -> Line:
            backoff = Backoff(backoff_first_s, backoff_cap_s, give_up_after_s)
            # The first line is made together with the pool, and is for the market.
            sign = log_in if number > 1 and self._pool.is_for_orders(number) else None
            session = Session(
                dialect_named(dialect), backoff, habits, offset=offset, listing=listing, line=number, sign=sign
            )
            return Line(
                session,
                dials,
                partial(self._fetching.take, number),
                connect=dial,
                clock=self._clock,
                logbook=logbook,
                limits=limits,
                recorder=self.recorder,
                on_end=on_end,
                on_bad_key=self._key_refused,
            )

        def rest() -> Rest | None:
            return None if asked is None else Rest(asked, ca_file=ca_file, proxy=proxy, timeout_s=REST_TIMEOUT_S)

        self._fetching = Fetching(
            self._dispatch.put,
            lambda number: self._pool.topics_of(number),
            self._clock,
            Sources(
                rest() if backfill else None,
                (lambda fetch: self._pool.fetch(fetch)) if backfill and spoken.has_requests else None,
                lambda: self._link.made,
            ),
            None if resume is None else ResumeFile(resume),
            lambda: self._pool.pairs(),
        )
        self._pool = Pool(line, Placement(depth_pairs_a_line, subscriptions_a_line), self._need_account)
        self._rules_rest = rest
        duties = Errands(self._link, self._account)
        self._caretaker = Caretaker(offset, listing, self._clock, self._pool.look, rest(), duties)
        if log_in is not None:
            self._pool.open_for_orders()
        self._lock = threading.Lock()
        self._has_started = False
        self._sinks: list[Sink] = []

    def run(self, for_s: float | None = None, *, until: Callable[[], bool] | None = None) -> Ended:
        """Start, and stay until something ends it; then stop.

        Args:
            for_s: For how long, in seconds; None for ever.
            until: Asked twenty times a second; True ends it.

        Returns:
            `Ended.STOPPED` after `stop()`, Ctrl-C or `until`; `Ended.TIME_OVER` after `for_s`.

        Raises:
            GaveUp: No line for `give_up_after_s`.
            SubscriptionRefused: The exchange refused every subscription there is.
            LoginRefused: The exchange refused the credentials.
            UsageError: The client has run before, or this is a callback.
        """
        if self._dispatch.is_current():
            raise UsageError("run() inside a callback would wait for itself")
        if for_s is not None and not for_s >= 0:
            raise UsageError(f"for_s is a length of time in seconds, or None for ever, not {for_s!r}")
        try:
            self.start()
            return self._stay(for_s, until)
        except KeyboardInterrupt:
            return Ended.STOPPED
        finally:
            self.stop()

    def start(self) -> None:
        """Begin to dial and to call back, on threads of the client's own; returns at once.

        Raises:
            UsageError: The client has run before, or the file of `record` is no recording.
            RecordingBusy: Another recorder writes it.
            JournalBusy: Another client has the journal.
        """
        with self._lock:
            if not self._begins():
                return
            self._open_orders()
            if self.recorder is not None:
                self.recorder.start()
            self._has_started = True
            for sink in self._sinks:
                sink.start(self.dialect, self._tell)
            self._dispatch.start()
            self._caretaker.start()
            self._fetching.start()
            self._pool.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, cancel_open: bool = False) -> bool:
        """End the line and the threads; may be called twice, before the start, and inside a callback.

        Events that came before are still handed to their callbacks. Inside a callback it returns at once, and the
        threads end behind it.

        Args:
            timeout_s: For how long to wait for the end.
            cancel_open: Take no more orders and cancel the open ones first; may take 10 s more, see `orders.halt`.

        Returns:
            False when a callback, or a name look-up, still runs after `timeout_s`.

        Raises:
            OrdersStillOpen: With `cancel_open`, when that could not be proved; the client has ended all the same.
        """
        if cancel_open:
            try:
                self._halt_orders()
            finally:
                has_ended = self.stop(timeout_s)
            return has_ended
        until_s = time.monotonic() + timeout_s
        self._caretaker.stop()
        self._fetching.hush()  # a call that begins now would be waited for
        self._pool.stop()
        has_ended = self._dispatch.is_current() or self._pool.join(timeout_s)
        has_ended &= self._dispatch.is_current() or self._caretaker.join(max(0.0, until_s - time.monotonic()))
        self._fetching.stop()
        has_ended &= self._dispatch.is_current() or self._fetching.join(max(0.0, until_s - time.monotonic()))
        self._close_orders()
        has_ended &= self._end_recording((until_s - time.monotonic()) / 2)
        self._dispatch.stop()
        has_ended &= self._dispatch.join(max(0.0, until_s - time.monotonic()))
        for sink in self._sinks:
            left_s = max(0.0, until_s - time.monotonic())
            has_ended &= sink.close(left_s, wait=not self._dispatch.is_current())
        return has_ended

    def sink(self, sink: Sink) -> None:
        """Send every event of the market that is subscribed somewhere else as well; before the start.

        >>> from lbank_ws.sinks import redis
        >>> client.sink(redis("redis://host:6379/0"))

        It has a queue and a thread of its own, so a slow one holds up nobody. What it cannot take reaches `on_error` as
        `SinkFailed`, with how many events were lost to it; `lbank-ws collect --also URL` loses none.

        Raises:
            UsageError: The client has run before.
        """
        with self._lock:
            if self._has_started:
                raise UsageError("sink() comes before the start")
            self._sinks.append(sink)
        for channel in MARKET:
            self._dispatch.on_channel(channel, sink.put)

    def resume_from(self, resume: Resume) -> None:
        """Begin with the holes since what `resume` tells of, in the place of the file of `resume=`; before the start.

        A collector's store is one: it knows best what it has. See `feed.resume.Resume`.

        Raises:
            UsageError: The client has run before.
        """
        with self._lock:
            if self._has_started:
                raise UsageError("resume_from() comes before the start")
            self._fetching.resume_from(resume)

    def resumed(self, marks: Mapping[Topic, Mark | None]) -> None:
        """Let subscriptions that are not there yet begin with the hole since these marks; where it is None, without.

        For a collector that takes over from another one. What was left behind of them before is forgotten.
        """
        self._fetching.resumed(marks)

    @contextmanager
    def lent(self) -> Iterator[tuple[Line, Dispatch]]:
        """Lend the parts to `lbank_ws.replay`: callbacks run, and no line is dialled. The client has run then.

        Raises:
            UsageError: The client has run before.
        """
        with self._lock:
            if self._begins():
                self._dispatch.start()
            self._has_started = True
        with self._pool.lent() as connection:
            try:
                yield connection, self._dispatch
            finally:
                gone = ConnectionLost(Cause.CLOSED, "stopped")
                connection.stop()
                connection.ask(lambda session: session.lost(self._clock.now(), gone))
                self.stop()

    def __enter__(self) -> LBankClient:
        """Start, and give the client."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def state(self) -> State:
        """Where the worst of the lines stands: `idle`, `connecting`, `open`, `waiting`, `closing` or `closed`."""
        return self._pool.state

    @property
    def error(self) -> LBankError | None:
        """What ended the client for good, or None; `run` raises it."""
        end = self._pool.end()
        return end if isinstance(end, LBankError) else None

    # How it is done.

    def _begins(self) -> bool:
        """Tell whether the client may begin; under `_lock`. One that was stopped before it began stays so."""
        if self._has_started:
            raise UsageError("a client runs once; make a new LBankClient() to run again")
        return self._pool.state is not State.CLOSED

    def _exchange_ms(self, offset: Offset) -> float | None:
        """Tell what the exchange's clock says, where it was asked; what pushes tell of it is too coarse to sign by."""
        now = self._clock.now()
        ahead_s = offset.ahead_s(now) if offset.source == "rest" else None
        return None if ahead_s is None else now.ns / 1e6 - 1000 * ahead_s

    def _need_account(self) -> None:
        pool = self._pool
        self._link.need(pool.wants_account, pool.keyed, pool.account_refused, self._tell)
        self._caretaker.wake()

    def _key_refused(self, key: str) -> None:
        self._link.refused(key, self._clock.now().s)
        self._caretaker.wake()

    def _tell(self, fault: LBankError) -> None:
        self._dispatch.put(Reaction(faults=[fault]))

    def _end_recording(self, timeout_s: float) -> bool:
        """Close the file behind the last frame; before the callbacks end, which hear of a disk that is full."""
        if self.recorder is None:
            return True
        self.recorder.stop()
        return self._dispatch.is_current() or self.recorder.join(timeout_s)

    def _stay(self, for_s: float | None, until: Callable[[], bool] | None) -> Ended:
        """Wait in the caller's own thread, so that Ctrl-C works at once, whatever the line is doing."""
        over_s = None if for_s is None else time.monotonic() + for_s
        while self._pool.is_alive():
            refusal = self._pool.refused_for_good()
            if refusal is not None:
                raise refusal
            if until is not None and until():
                return Ended.STOPPED
            left_s = _POLL_S if over_s is None else min(_POLL_S, over_s - time.monotonic())
            if left_s <= 0:
                return Ended.TIME_OVER
            self._pool.wait(left_s)
        self._pool.raise_end()
        return Ended.STOPPED
