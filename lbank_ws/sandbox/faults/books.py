"""Faults of what pushes say or leave out: silence, old and false books, trades twice, fields nobody expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, ClassVar, Literal

from lbank_ws.sandbox.faults.fault import Fault, Memory, OnPushes, Stage
from lbank_ws.sandbox.faults.frames import Frame, Number, Out, payload_of

_SIDES = ("asks", "bids")
_WRONG: tuple[object, ...] = (None, True, [], {}, "many", Number("-1"), [[None]])


@dataclass(frozen=True, kw_only=True)
class Mute(OnPushes):
    """Subscriptions get nothing, not even a first snapshot, while the line lives and requests are answered.

    Source: docs/reference/wire.md, "What goes wrong in practice": the line lives, one pair is silent.
    """

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Swallow it."""
        return []


@dataclass(frozen=True, kw_only=True)
class NoReplies(Fault):
    """One-shot requests are not answered; subscriptions go on. V2 alone has such requests.

    Source: docs/reference/wire.md, "V2 one-shot requests": the only capture of one for trades has no rows.
    """

    def heard(self, said: dict[str, Any], memory: Memory) -> list[str] | None:
        """Say nothing to a question."""
        return [] if said.get("action") == "request" else None


@dataclass(frozen=True, kw_only=True)
class Freeze(OnPushes):
    """A book, ticker or bar repeats the state it had although the market moves, under fresh times; trades go on.

    Source: docs/reference/wire.md, "What goes wrong in practice": one pair is frozen. That its pushes go on, with a new
    `TS` each, is an assumption; one captured frozen book would settle it.
    """

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Say what was said first."""
        if frame.channel not in ("depth", "ticker", "kline"):
            return [frame]
        said = frame.said()
        key, content = payload_of(said)
        asked = (memory.dialect, frame.channel, frame.pair, said.get("count"), content.get("slot"))
        said[key] = memory.shared.setdefault(asked, content)
        return [frame.saying(said)]


@dataclass(frozen=True, kw_only=True)
class WrongNode(OnPushes):
    """Depth comes from another node, whose book of the same pair is a few percent off; REST stays right.

    Source: docs/reference/wire.md, "V2 depth": 56 of 677 first pushes came from such a node, for some 45 s.

    Args:
        off: How far, as a part of the price; left out, 0.03 to 0.05 up or down, drawn for each pair.
        node: What `s` says; the simple dialect has no such field.
        chance: Which share of the lines.
    """

    off: float | None = field(default=None, metadata={"least": -0.9, "most": 10})
    node: str = "m-07"

    def frame(self, frame: Frame, memory: Memory) -> list[Out]:
        """Give what leaves in place of a frame."""
        concerned = frame.channel == "depth" and frame.is_about(self.pair, self.channel)
        return self.push(frame, memory) if concerned and memory.draw_once(self.chance) else [frame]

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Shift every price."""
        said = frame.said()
        _, book = payload_of(said)
        off = self.off
        if off is None:
            pair = str(frame.pair).replace("_", "")
            off = memory.shared.setdefault(pair, _drawn_off(memory.shared.setdefault("luck", memory.rng)))
        places = max((_places(level[0]) for side in _SIDES for level in book.get(side, [])), default=0)
        best = next((Decimal(level[0]) for side in _SIDES for level in book.get(side, [])), Decimal(0))
        # One distance for all: scaled one by one, prices a tick apart could fall together, and the book be crossed.
        moved_by = (best * Decimal(str(off))).quantize(Decimal(1).scaleb(-places))
        for side in _SIDES:
            if side in book:
                book[side] = [_moved(level, moved_by, places) for level in book[side] if Decimal(level[0]) > -moved_by]
        if "s" in said:
            said["s"] = self.node
        return [frame.saying(said)]


@dataclass(frozen=True, kw_only=True)
class CrossedBook(OnPushes):
    """A book's best bid is above its best ask.

    Source: docs/reference/wire.md, "V2 depth": crossed books occur.
    """

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Swap the best prices; both sides stay sorted."""
        said = frame.said()
        _, book = payload_of(said)
        if frame.channel != "depth" or not (book.get("asks") and book.get("bids")):
            return [frame]
        ask, bid = book["asks"][0], book["bids"][0]
        ask[0], bid[0] = bid[0], ask[0]
        return [frame.saying(said)]


@dataclass(frozen=True, kw_only=True)
class EmptySide(OnPushes):
    """A book has no bids, no asks, or neither.

    Source: docs/reference/wire.md, "V2 depth": empty books come without an error. That one side alone is empty is an
    assumption, taken from thin pairs elsewhere.

    Args:
        side: `bids`, `asks` or `both`.
    """

    side: Literal["asks", "bids", "both"] = "asks"

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Take the levels out."""
        said = frame.said()
        _, book = payload_of(said)
        if frame.channel != "depth":
            return [frame]
        for side in _SIDES if self.side == "both" else (self.side,):
            book[side] = []
        return [frame.saying(said)]


@dataclass(frozen=True, kw_only=True)
class DuplicateTrades(OnPushes):
    """Trades are pushed more than once, word for word.

    Source: docs/reference/wire.md, "V2 trade".

    Args:
        copies: How many there are of each.
    """

    copies: int = field(default=2, metadata={"least": 2, "most": 1000})

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Send it again."""
        return [frame] * (self.copies if frame.channel == "trade" else 1)


@dataclass(frozen=True, kw_only=True)
class ReorderTrades(OnPushes):
    """Trades come in another order than they were made: every few of them are held back and sent shuffled.

    Source: docs/reference/wire.md, "V2 trade".

    Args:
        of: How many are shuffled together.
        hold_s: After how long they are sent although fewer came.
    """

    of: int = field(default=3, metadata={"least": 2, "most": 1000})
    hold_s: float = field(default=5.0, metadata={"least": 0})

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Hold it back until enough came."""
        if frame.channel != "trade":
            return [frame]
        if not memory.held:
            memory.held_since_s = memory.now_s
        memory.held.append(frame)
        return self._shuffled(memory) if len(memory.held) >= self.of else []

    def overdue(self, memory: Memory) -> list[Out]:
        """Let go what was held long enough."""
        return self._shuffled(memory) if memory.held and memory.now_s >= memory.held_since_s + self.hold_s else []

    def _shuffled(self, memory: Memory) -> list[Out]:
        held, memory.held = memory.held, []
        if len(held) > 1:
            first = memory.rng.randrange(1, len(held))  # so that the order is never the old one
            held = held[first:] + held[:first]
        return held


@dataclass(frozen=True, kw_only=True)
class WrongTypes(OnPushes):
    """One field of a push, drawn by the seed, holds something of another type: null, true, a list, a word.

    Source: docs/reference/wire.md, "Where sources disagree": types differ between documentation and captures.
    """

    stage: ClassVar[Stage] = Stage.DAMAGE

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Damage one field."""
        said = frame.said()
        _, content = payload_of(said)
        if not content:
            return [frame]
        key = memory.rng.choice(sorted(content))
        # A book is itself lists; an empty one would only look like an empty side.
        fit = [wrong for wrong in _WRONG if type(wrong) is not type(content[key]) and wrong != []]
        content[key] = memory.rng.choice(fit)
        return [frame.saying(said)]


@dataclass(frozen=True, kw_only=True)
class UnknownFields(OnPushes):
    """Pushes carry fields that nobody has heard of, beside and inside their content; a reader skips them.

    Source: docs/reference/wire.md, "V2 depth": `s` appeared one day in the same way.
    """

    def push(self, frame: Frame, memory: Memory) -> list[Out]:
        """Add fields."""
        said = frame.said()
        _, content = payload_of(said)
        new = {
            "newField": Number("1"),
            "newObject": {"a": [None, True, "x"]},
            "newText": "\u4f60\u597d",
        }
        content.update(new)
        said.update(new)
        return [frame.saying(said)]


def _drawn_off(luck: Random) -> float:
    return round(luck.uniform(0.03, 0.05), 4) * luck.choice((-1, 1))


def _moved(level: list[str], by: Decimal, places: int) -> list[str]:
    price = f"{Decimal(level[0]) + by:.{places}f}"
    return [type(level[0])(price.rstrip("0").rstrip(".") if places else price), *level[1:]]


def _places(price: str) -> int:
    return max(0, -int(Decimal(price).as_tuple().exponent))
