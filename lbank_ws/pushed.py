"""What everything that the exchange pushes has in common: when it was sent, when it was read, how old it was.

Decided here: what an age is. Not decided here: what an event says, which is `events.py` and `account_events.py`, and
how the clocks stand, which is `feed/offset.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import MemberDescriptorType
from typing import Any, Literal

Side = Literal["buy", "sell"]
Source = Literal["live", "backfill", "resync", "paper"]

LATE_AFTER_S = 3.0

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(slots=True)
class Receipt:
    """When frames were read, and how the clocks stood; the events of what was read together share one.

    The session fills it in before anybody sees it; afterwards it does not change.

    Attributes:
        ns: In nanoseconds of Unix time, on this machine's clock.
        ahead_s: How far this machine's clock was ahead of the exchange's, in seconds; None while that is not known.
        late_after_s: From which age on its events are late.
        line: The number of the line that brought it, as statuses name it; 0 where none did.
    """

    ns: int = 0
    ahead_s: float | None = field(default=0.0, compare=False)
    late_after_s: float = field(default=LATE_AFTER_S, compare=False)
    line: int = field(default=0, compare=False)


# What is made at the first look, and of what.
_MADE: Mapping[str, Callable[[Any], object]] = {
    "exchange_at": lambda event: None if event._sent_ms is None else _moment(event._sent_ms),
    "traded_at": lambda trade: _moment(trade._traded_ms),
    "source": lambda _: "live",
}


def _moment(ms: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _made_at_a_look(slot: MemberDescriptorType, make: Callable[[Any], object]) -> property:
    """Let a slot that is still empty be filled at the first look."""
    read, fill = slot.__get__, slot.__set__

    def look(event: object) -> object:
        try:
            return read(event)
        except AttributeError:
            made = make(event)
            fill(event, made)
            return made

    return property(look, fill)


class _Sent:
    """Moments of an event in milliseconds of Unix time; a `datetime` is made of one when it is looked at.

    Either is made of the other at the first look, in a slot that is empty until then. So is the usual `source`. A
    `__getattr__` would do the same, and make every other look at an event slower.
    """

    __slots__ = ("_sent_ms", "_traded_ms")

    _sent_ms: float | None
    _traded_ms: float

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, make in _MADE.items():
            # Python 3.10 gives a dataclass slots for what it inherits, too.
            if isinstance(slot := cls.__dict__.get(name), MemberDescriptorType):
                setattr(cls, name, _made_at_a_look(slot, make))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedEvent(_Sent):
    """What every event of the exchange carries beside its own fields.

    Attributes:
        exchange_at: When the exchange says it was sent, or None where the frame names no time.
        receipt: When it was read from the socket, and how the clocks stood.
        raw: The whole frame as text; empty where it was fetched over REST.
        source: `live` when it was pushed, `backfill` when it was fetched to fill a gap, `resync` when it is the state
            of an account as it was fetched after a drop, `paper` when it comes from a paper account.
    """

    exchange_at: datetime | None = None
    receipt: Receipt = field(default_factory=Receipt, hash=False, repr=False)
    raw: str = field(default="", repr=False)
    source: Source = "live"

    @property
    def received_ns(self) -> int:
        """When it was read from the socket, in nanoseconds of Unix time on this machine's clock."""
        return self.receipt.ns

    @property
    def received_at(self) -> datetime:
        """When it was read from the socket, on this machine's clock."""
        return _EPOCH + timedelta(microseconds=self.receipt.ns // 1000)

    @property
    def sent_s(self) -> float | None:
        """When the exchange says it was sent, in seconds of Unix time; None without `exchange_at`."""
        try:
            sent_ms = self._sent_ms
        except AttributeError:
            sent_ms = _filled_ms(self)
        return None if sent_ms is None else sent_ms / 1000

    @property
    def age_s(self) -> float | None:
        """How old it was when it came, in seconds; None without `exchange_at`, or while the clocks are not compared.

        The exchange's clock is not ours; the difference, as far as the client knows it, is taken out.
        """
        try:
            sent_ms = self._sent_ms
        except AttributeError:
            sent_ms = _filled_ms(self)
        receipt = self.receipt
        ahead_s = receipt.ahead_s
        return None if sent_ms is None or ahead_s is None else receipt.ns / 1e9 - ahead_s - sent_ms / 1000

    @property
    def late(self) -> bool:
        """Whether it came later than it should; False where the age is not known."""
        age_s = self.age_s
        return age_s is not None and age_s > self.receipt.late_after_s


def _filled_ms(event: PushedEvent) -> float | None:
    """Fill in and give the milliseconds of an event that was made with a `datetime`."""
    ms = None if event.exchange_at is None else event.exchange_at.timestamp() * 1000
    object.__setattr__(event, "_sent_ms", ms)
    return ms
