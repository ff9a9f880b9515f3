"""Which subscription rides on which line.

Decided here: when a new line is needed, and when one has nothing left to carry. The exchange delivers some 14 kB/s a
socket and lets the rest wait (docs/reference/wire.md, "Limits"); books are most of the bytes. So the book of a pair has
a line of its own, and everything else shares lines; but what tells of an account shares none with the market, whose
trouble would be its own.
"""

from __future__ import annotations

from enum import Enum

from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import UsageError


class Cargo(Enum):
    """What a line carries; it carries one kind."""

    BOOKS = 0
    ACCOUNT = 1
    OTHERS = 2


class Placement:
    """The lines of one client by number, and what each carries. Used under the pool's lock.

    Line 1 is there from the beginning and stays while there is no other.

    Args:
        depth_pairs_a_line: The books of so many pairs share a line.
        subscriptions_a_line: So many subscriptions of the other channels share a line.

    Raises:
        UsageError: One of them is not a whole number above 0.
    """

    def __init__(self, depth_pairs_a_line: int = 1, subscriptions_a_line: int = 10) -> None:
        for name, most in [
            ("depth_pairs_a_line", depth_pairs_a_line),
            ("subscriptions_a_line", subscriptions_a_line),
        ]:
            if isinstance(most, bool) or not isinstance(most, int) or most < 1:
                raise UsageError(f"{name} is a whole number above 0, not {most!r}")
        self._depth_pairs = depth_pairs_a_line
        self._others = subscriptions_a_line
        self._lines: dict[int, dict[Topic, None]] = {1: {}}
        self._line_of: dict[Topic, int] = {}
        self._roomy: dict[Cargo, int] = {}  # the line that took the last one of each kind
        self._last = 1
        self._is_merged = False

    def place(self, topic: Topic) -> int:
        """Give the number of the line for a topic; the same again for one that is placed."""
        number = self._line_of.get(topic)
        if number is None:
            number = self._line_for(topic)
            self._lines[number][topic] = None
            self._line_of[topic] = number
            self._roomy[_cargo(topic)] = number
        return number

    def reserve(self) -> int:
        """Give the number of a line that is to carry no subscription."""
        self._last += 1
        return self._last

    def leave(self, topic: Topic) -> int | None:
        """Take a topic off its line; give the line's number when it has nothing left to carry and is not the last."""
        number = self._line_of.pop(topic, None)
        if number is None:
            return None
        del self._lines[number][topic]
        if self._lines[number] or len(self._lines) == 1:
            return None
        del self._lines[number]
        return number

    def line_of(self, topic: Topic) -> int | None:
        """Give the number of a topic's line, or None when it is not placed."""
        return self._line_of.get(topic)

    def topics(self) -> list[Topic]:
        """Give every topic, in the order in which they were placed."""
        return list(self._line_of)

    def numbers(self) -> list[int]:
        """Give every line's number."""
        return list(self._lines)

    def merge(self) -> int:
        """Put everything on one line, also what comes later; give its number."""
        number = next(iter(self._lines))
        self._is_merged = True
        self._lines = {number: dict.fromkeys(self._line_of)}
        self._line_of = dict.fromkeys(self._line_of, number)
        self._roomy = dict.fromkeys(Cargo, number)
        return number

    def _line_for(self, topic: Topic) -> int:
        likely = self._roomy.get(_cargo(topic))
        for number in ([likely] if likely in self._lines else []) + list(self._lines):
            if number is not None and self._takes(self._lines[number], topic):
                return number
        self._last += 1
        self._lines[self._last] = {}
        return self._last

    def _takes(self, carried: dict[Topic, None], topic: Topic) -> bool:
        """Tell whether a line has room for a topic."""
        if not carried or self._is_merged:
            return True
        cargo = _cargo(topic)
        if _cargo(next(iter(carried))) is not cargo:
            return False
        if cargo is not Cargo.BOOKS:
            return len(carried) < self._others
        pairs = {other.pair for other in carried}
        return topic.pair in pairs or len(pairs) < self._depth_pairs


def _cargo(topic: Topic) -> Cargo:
    if topic.channel.is_private:
        return Cargo.ACCOUNT
    return Cargo.BOOKS if topic.channel is Channel.DEPTH else Cargo.OTHERS
