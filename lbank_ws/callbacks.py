"""The client's decorators: who is called back with what. `LBankClient` inherits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from lbank_ws.channels import Channel, topic
from lbank_ws.feed.connection import Connection
from lbank_ws.feed.dispatch import Dispatch

_Callback = TypeVar("_Callback", bound=Callable[[Any], object])


class Callbacks:
    """The decorators of a client. Each gives the function back unchanged, so that several can stand on one."""

    _dispatch: Dispatch
    _connection: Connection

    @overload
    def on_ticker(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_ticker(self, *pairs: str) -> Callable[[_Callback], _Callback]: ...

    def on_ticker(self, *pairs: Any) -> Any:
        """Call the decorated function with every `Ticker` of these pairs, and subscribe them.

        Without pairs, or used bare, it hears every pair of the channel that is subscribed elsewhere.
        """
        return self._decorator(Channel.TICKER, pairs)

    @overload
    def on_depth(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_depth(self, *pairs: str, levels: int | None = None) -> Callable[[_Callback], _Callback]: ...

    def on_depth(self, *pairs: Any, levels: int | None = None) -> Any:
        """Call the decorated function with every `Depth` of these pairs; `levels` a side, 20 when None."""
        return self._decorator(Channel.DEPTH, pairs, levels=levels)

    @overload
    def on_trade(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_trade(self, *pairs: str) -> Callable[[_Callback], _Callback]: ...

    def on_trade(self, *pairs: Any) -> Any:
        """Call the decorated function with every `Trade` of these pairs."""
        return self._decorator(Channel.TRADE, pairs)

    @overload
    def on_kline(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_kline(self, *pairs: str, interval: str | None = None) -> Callable[[_Callback], _Callback]: ...

    def on_kline(self, *pairs: Any, interval: str | None = None) -> Any:
        """Call the decorated function with every `Kline` of these pairs; `interval` is `1min` when None."""
        return self._decorator(Channel.KLINE, pairs, interval=interval)

    def on_status(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every `Status`: opened, lost, failed, reconnected."""
        self._dispatch.on_status(callback)
        return callback

    def on_error(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every fault; without one, faults are logged to `lbank_ws`.

        A fault is an `LBankError`: `DecodeError`, `SubscriptionRefused`, `Refused`, `CallbackError`, `EventsDropped`
        or `GaveUp`.
        """
        self._dispatch.on_error(callback)
        return callback

    def _decorator(self, channel: Channel, pairs: tuple[Any, ...], **parameters: Any) -> Any:
        if len(pairs) == 1 and callable(pairs[0]):
            self._dispatch.on_channel(channel, pairs[0])
            return pairs[0]
        wanted = [topic(channel, pair, **parameters) for pair in pairs]
        self._connection.ask(lambda session: session.subscribe(*wanted))

        def register(callback: _Callback) -> _Callback:
            for each in wanted:
                self._dispatch.on_topic(each, callback)
            if not wanted:
                self._dispatch.on_channel(channel, callback)
            return callback

        return register
