"""Reading events back from Redis, with the callbacks of the live client: one collector feeds many programs.

Decided here: where reading begins, when an entry counts as done, what becomes of entries whose reader is gone. Which
callback is called, and what happens when it raises, is decided as for a live client, in `feed/dispatch.py`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from lbank_ws.callbacks import Callbacks
from lbank_ws.channels import Channel, Topic, is_pair
from lbank_ws.collect.lines import BadLineError, Head, Record, reader
from lbank_ws.errors import DecodeError, LBankError, UsageError
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.dispatch import Dispatch
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.pool import Pool
from lbank_ws.feed.reaction import Reaction
from lbank_ws.sinks.addresses import address_of
from lbank_ws.sinks.redis_streams import OPTIONS, PREFIX, Entry, Redis, stream_of
from lbank_ws.storage_errors import SinkFailed

_COUNT = 500  # entries of a stream at once
_AT_ONCE = 4000  # events that may wait for callbacks; fewer than the queue of a client holds
_BLOCK_S = 0.2
_LOOK_EVERY_S = 2.0  # for streams that are new
_ABANDONED_S = 30.0  # an entry that a reader of the group has taken and not done for so long goes to another one
_CAP_S = 5.0


class _Wanted:
    """What the decorators subscribe; stands where a live client has its lines."""

    def __init__(self) -> None:
        self.topics: set[Topic] = set()

    def subscribe(self, *topics: Topic) -> None:
        self.topics |= set(topics)


class RedisFeed(Callbacks):
    """Calls back with the events that collectors have sent to Redis. Made by `subscribe_from`.

    >>> feed = subscribe_from("redis://host:6379/0", group="bots")
    >>> @feed.on_trade("btc_usdt")
    ... def show(trade): ...
    >>> feed.run()

    The decorators are those of `LBankClient`, and so are the events; `on_status` and `on_gap` are never called. `run`
    reads on the caller's thread, callbacks run on one thread of their own, one at a time, in the order of a stream.

    Args:
        engine: Where from.
        group: Readers of one group share the entries, each of which goes to one of them, again where that one did not
            get to the end of it; None gives all to everybody, from now on.
        consumer: What this reader is called in its group; by host and process when None.
        from_start: A new group, or a reader without one, begins with the oldest entry that is there.
    """

    def __init__(self, engine: Redis, *, group: str | None, consumer: str | None, from_start: bool) -> None:
        self._engine = engine
        self._group = group
        self._consumer = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._first = "0" if from_start else "$"
        self._wanted = _Wanted()
        self._pool = cast(Pool, self._wanted)
        self._dispatch = Dispatch(Logbook())
        self._dispatch.keep_all()
        self._channels: set[Channel] = set()
        self._stopping = threading.Event()
        self._old: set[str] | None = None  # streams that were there at the start
        self._last: dict[str, bytes | str] = {}  # where each stream is read from next
        self._reads: dict[tuple[str, bytes, bytes], tuple[Topic, Callable[[str], Record]]] = {}
        self._look_at_s = 0.0
        self._claim_at_s = 0.0

    def run(self, for_s: float | None = None, *, until: Callable[[], bool] | None = None) -> None:
        """Read and call back until something ends it; Ctrl-C does, too.

        A server that is away is tried again; that is told to `on_error` as `SinkFailed`.

        Args:
            for_s: For how long, in seconds; None for ever.
            until: Asked some five times a second; True ends it.
        """
        over_s = float("inf") if for_s is None else time.monotonic() + for_s
        backoff = Backoff(0.5, _CAP_S)
        self._dispatch.start()
        try:
            while not self._stopping.is_set() and time.monotonic() < over_s and not (until is not None and until()):
                try:
                    self._engine.open()
                    self._turn()
                    backoff.lived()
                except SinkFailed as failure:
                    self._dispatch.put(Reaction(faults=[failure]))
                    self._look_at_s = 0.0
                    left_s = over_s - time.monotonic()
                    self._stopping.wait(max(0.0, min(backoff.lost(time.monotonic()) or _CAP_S, left_s)))
        except KeyboardInterrupt:
            pass
        finally:
            self._engine.close()
            self._dispatch.stop()
            self._dispatch.join(5.0)

    def stop(self) -> None:
        """End `run` within a fifth of a second; any thread may, a callback too."""
        self._stopping.set()

    # How it is done.

    def _decorator(self, channel: Channel, pairs: tuple[Any, ...], *args: Any, **parameters: Any) -> Any:
        if not pairs or callable(pairs[0]):
            self._channels.add(channel)
        self._look_at_s = 0.0
        return super()._decorator(channel, pairs, *args, **parameters)

    def _turn(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_EVERY_S
            self._look()
        if not self._last:
            self._stopping.wait(_BLOCK_S)
            return
        entries = list(self._engine.read(self._last, self._group, self._consumer, _COUNT, _BLOCK_S))
        self._hand_out(entries)
        for stream in self._last:
            own = [ident for name, ident, _ in entries if name == stream]
            if self._group is None and own:
                self._last[stream] = own[-1]
            elif self._group is not None and self._last[stream] != ">":
                # First what this reader had taken before it was ended, then what is new.
                self._last[stream] = own[-1] if own else ">"
        if self._group is not None and now_s >= self._claim_at_s:
            self._claim_at_s = now_s + _ABANDONED_S / 2
            for stream in self._last:
                self._hand_out(self._engine.claim(stream, self._group, self._consumer, _ABANDONED_S, _COUNT))

    def _look(self) -> None:
        """Find the streams of what is wanted; one that is not there yet is waited for."""
        wanted = {stream_of(of.channel, of.pair) for of in self._wanted.topics}
        there = self._engine.streams()
        if self._old is None:
            self._old = set(there)
        if self._channels:
            for name in there:
                channel, _, pair = name.removeprefix(PREFIX).partition(":")
                if channel in self._channels and is_pair(pair):
                    wanted.add(name)
        for stream in sorted(wanted - self._last.keys()):
            if self._group is not None:
                self._engine.join(stream, self._group, self._first)
                self._last[stream] = "0"
            else:
                # One that came after this reader is new from its first entry on.
                is_old = self._first == "$" and stream in self._old
                self._last[stream] = self._engine.newest(stream) if is_old else "0"

    def _hand_out(self, entries: Iterable[Entry]) -> None:
        """Let callbacks have entries, and tell the group that they are done."""
        found = list(entries)
        for first in range(0, len(found), _AT_ONCE):
            part = found[first : first + _AT_ONCE]
            reaction = Reaction()
            for stream, _, said in part:
                if not said:  # cut out of its stream since
                    continue
                try:
                    reaction.events.append(self._event(stream, said))
                except LBankError as fault:
                    reaction.faults.append(fault)
            self._dispatch.put(reaction)
            self._dispatch.settle()
            if self._group is not None:
                self._engine.done(self._group, [(stream, ident) for stream, ident, _ in part])

    def _event(self, stream: str, said: Mapping[bytes, bytes]) -> tuple[Topic, Any]:
        line = said.get(b"line", b"").decode(errors="replace")
        try:
            place = stream, said[b"dialect"], said[b"parameter"]
            if place not in self._reads:
                of = _topic_of(stream, said[b"parameter"].decode())
                self._reads[place] = of, reader(Head("", of, said[b"dialect"].decode(), "", 0))
            of, read = self._reads[place]
            return of, read(line).event
        except (KeyError, ValueError) as bad:  # a line that cannot be read is a ValueError, too
            problem = str(bad) if isinstance(bad, BadLineError) else "an entry of a stream is none of ours"
            raise DecodeError(problem, line) from None


def _topic_of(stream: str, parameter: str) -> Topic:
    channel, _, pair = stream.removeprefix(PREFIX).partition(":")
    if channel == Channel.DEPTH:
        return Topic(Channel.DEPTH, pair, int(parameter) if parameter else None)
    return Topic(Channel(channel), pair, None, parameter or None)


def subscribe_from(
    url: str, *, group: str | None = None, consumer: str | None = None, from_start: bool = False
) -> RedisFeed:
    """Give the events that collectors have sent to Redis, with the callbacks of the live client; see `RedisFeed`.

    Args:
        url: `redis://`, as it was given to `--also`.
        group: Readers of one group share the work; None gives everything to everybody.
        consumer: What this reader is called in its group; by host and process when None.
        from_start: Begin with the oldest entry that is there, not with the next one.

    Raises:
        UsageError: It is no address of Redis.
        MissingExtra: redis is not installed.
    """
    address = address_of(url, OPTIONS)
    if address.kind != "redis":
        raise UsageError(f"{address.shown} cannot be read back with callbacks; redis:// can")
    return RedisFeed(Redis(address), group=group, consumer=consumer, from_start=from_start)
