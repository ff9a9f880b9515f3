"""What a client asks for: subscriptions, or one event. `LBankClient` inherits it; nothing is decided here."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import Any

from lbank_ws.callbacks import Callbacks
from lbank_ws.channels import Topic, topic
from lbank_ws.errors import NoEvent, UsageError
from lbank_ws.events import Event
from lbank_ws.feed.session import Session
from lbank_ws.feed.subscriptions import Subscription

_POLL_S = 0.05


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
            The subscription; its `state` tells `waiting`, `live`, `refused` or `left`.

        Raises:
            UsageError: It cannot be asked for as written, or the dialect cannot tell it from another.
        """
        wanted = topic(channel, pair, levels=levels, interval=interval)
        return self._connection.ask(lambda session: session.subscribe(wanted))[0]

    def unsubscribe(self, channel: str, pair: str, *, levels: int | None = None, interval: str | None = None) -> bool:
        """End a subscription; without `levels` or `interval` all of that channel and pair.

        Returns:
            False when there was none.
        """
        asked = topic(channel, pair, levels=levels, interval=interval)
        parameter = (levels, interval)

        def leave(session: Session) -> bool:
            named = session.subscriptions.named(asked.channel, asked.pair)
            meant = [known for known in named if parameter == (None, None) or known == asked]
            for known in meant:
                session.unsubscribe(known)
            return bool(meant)

        return self._connection.ask(leave)

    def subscriptions(self) -> list[Subscription]:
        """Give every subscription that was not left, refused ones included."""
        return self._connection.ask(lambda session: session.subscriptions.all())

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
        if not self._connection.is_alive():
            raise UsageError(
                "wait_for needs a running client: call start() first, or use `with LBankClient() as client`"
            )
        wanted = topic(channel, pair, levels=levels, interval=interval)
        came: SimpleQueue[Event] = SimpleQueue()
        callback = came.put
        self._dispatch.on_topic(wanted, callback)
        was_wanted = wanted in self._connection.ask(
            lambda session: session.subscriptions.named(wanted.channel, wanted.pair)
        )
        try:
            (subscription,) = self._connection.ask(lambda session: session.subscribe(wanted))
            return self._next(came, wanted, subscription, timeout_s)
        finally:
            self._dispatch.off_topic(wanted, callback)
            if not was_wanted:
                self._connection.ask(lambda session: session.unsubscribe(wanted))

    def _next(self, came: SimpleQueue[Event], wanted: Topic, subscription: Subscription, timeout_s: float) -> Event:
        over_s = time.monotonic() + timeout_s
        while True:
            try:
                return came.get(timeout=max(0.0, min(_POLL_S, over_s - time.monotonic())))
            except Empty:
                if subscription.refusal is not None:
                    raise subscription.refusal from None
                self._connection.raise_end()
                if time.monotonic() >= over_s or not self._connection.is_alive():
                    raise NoEvent(str(wanted), timeout_s) from None
