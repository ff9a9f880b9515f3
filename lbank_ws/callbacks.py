"""The client's decorators: who is called back with what. `LBankClient` inherits them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from lbank_ws.channels import EVERY_PAIR, Channel, checked_pair, topic
from lbank_ws.events import Depth, OrderUpdate
from lbank_ws.feed.dispatch import Dispatch, name_of
from lbank_ws.feed.fetching import Fetching
from lbank_ws.feed.pool import Pool

_Callback = TypeVar("_Callback", bound=Callable[[Any], object])


class Callbacks:
    """The decorators of a client. Each gives the function back unchanged, so that several can stand on one.

    They may be used on any thread, before and after the start, and inside a callback. The decorated functions run on
    one thread of the client's own, one at a time. One that raises is a `CallbackError`, one that lets others wait a
    `SlowCallback`; the feed goes on.

    With pairs, a decorator also subscribes them, and raises `UsageError` for what cannot be subscribed. Without pairs,
    or used bare, the function hears every pair of the channel that is subscribed elsewhere; the two of an account
    subscribe either way.
    """

    _dispatch: Dispatch
    _pool: Pool
    _fetching: Fetching

    @overload
    def on_ticker(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_ticker(self, *pairs: str) -> Callable[[_Callback], _Callback]: ...

    def on_ticker(self, *pairs: Any) -> Any:
        """Call the decorated function with every `Ticker` of these pairs, and subscribe them.

        While callbacks are behind, a newer one takes the place of the one that waits.
        """
        return self._decorator(Channel.TICKER, pairs)

    @overload
    def on_depth(self, pair: _Callback, /, *, good_only: bool = False) -> _Callback: ...

    @overload
    def on_depth(
        self, *pairs: str, levels: int | None = None, good_only: bool = False
    ) -> Callable[[_Callback], _Callback]: ...

    def on_depth(self, *pairs: Any, levels: int | None = None, good_only: bool = False) -> Any:
        """Call the decorated function with every `Depth` of these pairs, and subscribe them.

        While callbacks are behind, a newer book takes the place of the one that waits; a faulty one never that of a
        good one.

        Args:
            pairs: For example `btc_usdt`.
            levels: How many a side; 20 when None.
            good_only: Leave out those that have a `fault`: late, crossed, from a wrong node and so on.
        """
        return self._decorator(Channel.DEPTH, pairs, _good_only if good_only else None, levels=levels)

    @overload
    def on_trade(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_trade(self, *pairs: str) -> Callable[[_Callback], _Callback]: ...

    def on_trade(self, *pairs: Any) -> Any:
        """Call the decorated function with every `Trade` of these pairs, and subscribe them."""
        return self._decorator(Channel.TRADE, pairs)

    @overload
    def on_kline(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_kline(self, *pairs: str, interval: str | None = None) -> Callable[[_Callback], _Callback]: ...

    def on_kline(self, *pairs: Any, interval: str | None = None) -> Any:
        """Call the decorated function with every `Kline` of these pairs, and subscribe them.

        Args:
            pairs: For example `btc_usdt`.
            interval: The length of a bar, one of `INTERVALS`; `1min` when None.
        """
        return self._decorator(Channel.KLINE, pairs, interval=interval)

    @overload
    def on_order(self, pair: _Callback, /) -> _Callback: ...

    @overload
    def on_order(self, pair: str = EVERY_PAIR) -> Callable[[_Callback], _Callback]: ...

    def on_order(self, pair: Any = EVERY_PAIR) -> Any:
        """Call the decorated function with every `OrderUpdate` of your account, and subscribe them; also when bare.

        After each drop the state of open orders is fetched, and comes as `source="resync"` before what is pushed then.

        Args:
            pair: Leave out the orders of other pairs; all when left out.
        """
        if callable(pair):
            return self._of_account(Channel.ORDER, pair)
        if pair == EVERY_PAIR:
            return partial(self._of_account, Channel.ORDER)
        only = _of_pair(checked_pair(pair))

        self._fetching.mind(pair)

        def register(callback: _Callback) -> _Callback:
            self._of_account(Channel.ORDER, only(callback))
            return callback

        return register

    def on_balance(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every `BalanceUpdate` of your account, and subscribe them.

        After each drop all balances are fetched, and come as `source="resync"` before what is pushed then.
        """
        return self._of_account(Channel.BALANCE, callback)

    def on_status(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every `Status`: what happened to a line or a subscription."""
        self._dispatch.on_status(callback)
        return callback

    def on_error(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every fault; without one, faults are logged to `lbank_ws`.

        A fault is an `LBankError`: `DecodeError`, `SubscriptionRefused`, `Refused`, `CallbackError`, `SlowCallback`,
        `EventsDropped`, `RecordingFailed` or `GaveUp`. What goes wrong in the decorated function itself is logged.
        """
        self._dispatch.on_error(callback)
        return callback

    def on_gap(self, callback: _Callback) -> _Callback:
        """Call the decorated function with every `Gap`: what is missing of a subscription, and why.

        It comes before the next event of its topic that does come, or as the last when there is none. Without such a
        function, gaps are not logged; that events were dropped is, as `EventsDropped`.
        """
        self._dispatch.on_gap(callback)
        return callback

    def _of_account(self, channel: Channel, callback: _Callback) -> _Callback:
        known = topic(channel, EVERY_PAIR)
        self._pool.subscribe(known)
        self._dispatch.on_topic(known, callback)
        return callback

    def _decorator(
        self,
        channel: Channel,
        pairs: tuple[Any, ...],
        only: Callable[[Callable[[Any], object]], Callable[[Any], object]] | None = None,
        **parameters: Any,
    ) -> Any:
        """Give a decorator, or the function where it was used bare; `only` makes one that hears less of it."""
        is_bare = len(pairs) == 1 and callable(pairs[0])
        wanted = [] if is_bare else [topic(channel, pair, **parameters) for pair in pairs]

        def register(callback: _Callback) -> _Callback:
            heard = callback if only is None else only(callback)
            for each in wanted:
                self._dispatch.on_topic(each, heard)
            if not wanted:
                self._dispatch.on_channel(channel, heard)
            return callback

        if is_bare:
            return register(pairs[0])
        self._pool.subscribe(*wanted)
        return register


def _good_only(callback: Callable[[Any], object]) -> Callable[[Any], object]:
    """Give a callback that passes on good books alone, under the same name."""

    def hear(book: Depth) -> None:
        if book.fault is None:
            callback(book)

    hear.__qualname__ = name_of(callback)
    return hear


def _of_pair(pair: str) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    """Give what makes a callback that hears of the orders of one pair alone, under the same name."""

    def only(callback: Callable[[Any], object]) -> Callable[[Any], object]:
        def hear(order: OrderUpdate) -> None:
            if order.pair == pair:
                callback(order)

        hear.__qualname__ = name_of(callback)
        return hear

    return only
