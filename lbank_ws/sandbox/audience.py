"""Who is connected, and who of them hears of what.

Decided here: which lines are asked about something that happened, so that two hundred clients with a pair each do not
cost two hundred questions a push. What each is sent is decided in `visitor.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lbank_ws.sandbox.happenings import Book, Happening, Klines, Tick, Trade
from lbank_ws.sandbox.line import Line
from lbank_ws.sandbox.visitor import Subscription

_CHANNELS: dict[type, str] = {Tick: "ticker", Book: "depth", Trade: "trade", Klines: "kline"}


class Audience:
    """The lines of everybody who is connected, in the order of coming."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}
        self._watching: dict[Subscription, dict[int, Line]] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def of(self, happening: Happening) -> Iterator[Line]:
        """Give those who may get a push of it: of a public channel those who watch it, of a private one everybody."""
        channel = _CHANNELS.get(type(happening))
        if channel is None:
            return iter(self._lines.values())
        return iter(self._watching.get((channel, happening.listing.pair), {}).values())

    def enter(self, line: Line) -> None:
        """Welcome somebody, who watches nothing yet."""
        number = line.visitor.number

        def watches(subscription: Subscription, is_wanted: bool) -> None:
            if is_wanted:
                self._watching.setdefault(subscription, {})[number] = line
            else:
                self._forget(subscription, number)

        self._lines[number] = line
        line.visitor.watches = watches

    def leave(self, line: Line) -> None:
        """Strike somebody out."""
        number = line.visitor.number
        del self._lines[number]
        for subscription in [each for each, lines in self._watching.items() if number in lines]:
            self._forget(subscription, number)

    def _forget(self, subscription: Subscription, number: int) -> None:
        lines = self._watching.get(subscription, {})
        lines.pop(number, None)
        if not lines:
            self._watching.pop(subscription, None)
