"""What a client asks for: subscriptions, or one event. `LBankClient` inherits it; nothing is decided here."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import Any

from lbank_ws.callbacks import Callbacks
from lbank_ws.channels import Topic, topic
from lbank_ws.errors import NoEvent, SubscriptionRefused, UsageError
from lbank_ws.events import Event
from lbank_ws.feed.pool import Pool
from lbank_ws.feed.wanted import Subscribed, Wanted

_POLL_S = 0.05
_NOT_RUNNING = "needs a running client: call start() first, or use `with LBankClient() as client`"


class Subscription:
    """One subscription of a client; any thread may use it.

    Two of them are equal when they stand for the same asking: one that was left, or refused and asked for again, is
    another.
    """

    def __init__(self, wanted: Wanted, pool: Pool) -> None:
        self._wanted = wanted
        self._pool = pool

    def __repr__(self) -> str:
        return f"Subscription({self.topic}, {self.state})"

    def __eq__(self, other: object) -> bool:
        return self._wanted is other._wanted if isinstance(other, Subscription) else NotImplemented

    def __hash__(self) -> int:
        return id(self._wanted)

    @property
    def topic(self) -> Topic:
        """What was asked for."""
        return self._wanted.topic

    @property
    def state(self) -> Subscribed:
        """Where it stands.

        `waiting` until the first data; `live` with it, or when no error came for 2 s where there may be no data for
        hours (trades); `stale` while what it brings is late, frozen or missing; `refused` by the exchange; `left`.
        """
        return self._wanted.state

    @property
    def refusal(self) -> SubscriptionRefused | None:
        """Why the exchange refused it, or None."""
        return self._wanted.refusal

    def wait(self, timeout_s: float = 10.0) -> Subscription:
        """Wait until it is live, and give it. The client must run, by `start()` or `with`.

        Raises:
            SubscriptionRefused: The exchange refused it; the text says which pair was probably meant.
            NoEvent: It was not live in time.
            GaveUp: The line was given up.
            UsageError: It was left, or the client does not run.
        """
        over_s = time.monotonic() + timeout_s
        while self.state is not Subscribed.LIVE:
            if self.refusal is not None:
                raise self.refusal
            if self.state is Subscribed.LEFT:
                raise UsageError(f"{self.topic} was left, so it will not be live; subscribe again")
            self._pool.raise_end()
            if not self._pool.is_alive():
                raise UsageError(f"wait {_NOT_RUNNING}")
            left_s = over_s - time.monotonic()
            if left_s <= 0:
                raise NoEvent(str(self.topic), timeout_s)
            time.sleep(min(_POLL_S, left_s))
        return self


class Subscribing(Callbacks):
    """The subscriptions of a client."""

    def subscribe(
        self, channel: str, pair: str, *, levels: int | None = None, interval: str | None = None
    ) -> Subscription:
        """Ask for a channel of a pair, now or as soon as there is a line, and again after every drop.

        Args:
            channel: `ticker`, `depth`, `trade` or `kline`.
            pair: For example `btc_usdt`.
            levels: Depth only; 20 when None.
            interval: Kline only; `1min` when None.

        Returns:
            The subscription: its `state` tells how it stands, its `wait()` waits until it is live.

        Raises:
            UsageError: It cannot be asked for as written, or the dialect cannot tell it from another.
        """
        wanted = topic(channel, pair, levels=levels, interval=interval)
        return Subscription(self._pool.subscribe(wanted)[0], self._pool)

    def unsubscribe(self, channel: str, pair: str, *, levels: int | None = None, interval: str | None = None) -> bool:
        """End a subscription; without `levels` or `interval` all of that channel and pair.

        Returns:
            False when there was none.
        """
        asked = topic(channel, pair, levels=levels, interval=interval)
        named = self._pool.named(asked.channel, asked.pair)
        is_all = levels is None and interval is None
        left = [known for known in named if is_all or known == asked]
        was_wanted = self._pool.unsubscribe(*left)
        for known in left:
            self._fetching.left(known)
        return was_wanted

    def subscriptions(self) -> list[Subscription]:
        """Give every subscription that was not left, refused ones included, in the order of asking."""
        return [Subscription(wanted, self._pool) for wanted in self._pool.all()]

    def wait_for(
        self,
        channel: str,
        pair: str,
        *,
        levels: int | None = None,
        interval: str | None = None,
        timeout_s: float = 10.0,
    ) -> Any:
        """Give the next event of a channel and pair, subscribing it if nobody has.

        The client must have been started, by `start()` or `with`. A subscription made here ends here.

        Raises:
            NoEvent: None came in time.
            SubscriptionRefused: The exchange refused it.
            GaveUp: The line was given up.
            UsageError: The client does not run, or the call is made inside a callback, which would wait for itself.
        """
        if self._dispatch.is_current():
            raise UsageError("wait_for inside a callback would wait for itself; use on_ticker and its like")
        if not self._pool.is_alive():
            raise UsageError(f"wait_for {_NOT_RUNNING}")
        wanted = topic(channel, pair, levels=levels, interval=interval)
        came: SimpleQueue[Event] = SimpleQueue()
        callback = came.put
        self._dispatch.on_topic(wanted, callback)
        was_wanted = self._pool.get(wanted) is not None
        try:
            (known,) = self._pool.subscribe(wanted)
            return self._next(came, known, timeout_s)
        finally:
            self._dispatch.off_topic(wanted, callback)
            if not was_wanted:
                self._pool.unsubscribe(wanted)

    def _next(self, came: SimpleQueue[Event], known: Wanted, timeout_s: float) -> Event:
        over_s = time.monotonic() + timeout_s
        while True:
            try:
                return came.get(timeout=max(0.0, min(_POLL_S, over_s - time.monotonic())))
            except Empty:
                if known.refusal is not None:
                    raise known.refusal from None
                self._pool.raise_end()
                if time.monotonic() >= over_s or not self._pool.is_alive():
                    raise NoEvent(str(known.topic), timeout_s) from None
