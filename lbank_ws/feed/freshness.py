"""Quiet or dead? What a subscription's silence means, and when to ask.

Decided here: when a subscription is suspected, what its answers prove, when its line is to be renewed. A market may be
quiet for hours, and a line may live while one subscription on it repeats the past (docs/reference/wire.md, "What goes
wrong in practice"). So silence alone proves nothing: the exchange is asked, and its answer is held against what was
pushed last. Pushes that say again what is known are no news; a frozen feed has plenty of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from enum import Enum

from lbank_ws.causes import Cause
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import DecodeError
from lbank_ws.events import Depth, Event, Kline, Ticker, Trade

RHYTHMS = 5.0  # so many times its usual pause a subscription may be without news; chance alone makes one pause in 150
LONGEST_S = 300.0  # a suspicion comes at the latest after this, however slow the rhythm
ANSWER_S = 5.0  # how long the exchange may take to answer a question
RECHECK_S = 3.0  # between two questions about the same suspicion; books are pushed every 0.6 s
LATE_IN_A_ROW = 3  # so many late pushes make a subscription stale
RENEW_LATE_S = 10.0  # a line that has brought nothing but late pushes for so long is renewed

_LEARNT = 0.2  # how much the newest pause counts
_MOST_DOUBLINGS = 6
_ASKED_ROWS = 20  # of trades or klines: enough to find a bar with trades in it


class Stage(Enum):
    """Where a suspicion stands."""

    CALM = 0
    PINGED = 1  # the line was asked whether it lives; the question itself is next
    ASKED = 2


_CALM, _ASKED = Stage.CALM, Stage.ASKED  # an enum's members are slow to get at, and this is done for every push


class Watch:
    """One subscription's rhythm, and what is suspected of it. Used under the line's lock.

    Attributes:
        topic: Whose.
        pause_s: Its usual pause between two news, in seconds; None while there was none.
        is_heard: Whether anything came since the line opened.
        lates: How many pushes in a row were late.
        stage: Where its suspicion stands.
        asked_s: When the last question left.
        pinged_s: When the line was asked before that whether it lives; the same where it was not.
    """

    __slots__ = (
        "_calm_s",
        "_content",
        "_doublings",
        "_has_base",
        "_is_awaited",
        "_is_echoed",
        "_late_since_s",
        "_misses",
        "_news_s",
        "_next_s",
        "_renewals",
        "_strikes",
        "asked_s",
        "is_heard",
        "lates",
        "pause_s",
        "pinged_s",
        "stage",
        "topic",
    )

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.pause_s: float | None = None
        self.is_heard = False
        self.lates = 0
        self.stage = Stage.CALM
        self._content: object = None  # what was pushed last
        self._has_base = False  # something was pushed on this line, or stands for it
        self._news_s = 0.0  # when it last said something new, or the line opened
        self._calm_s = 0.0  # the same, or when it was found to be quiet
        self._next_s: float | None = None  # when to ask again about a suspicion
        self.asked_s = self.pinged_s = 0.0
        self._is_awaited = False  # it was asked for on this line
        self._is_echoed = False  # what is known came again since the question
        self._late_since_s = 0.0
        self._doublings = 0  # how often it was found to be quiet since the last news
        self._strikes = 0  # answers in a row that said something else than was pushed
        self._misses = 0  # questions in a row that nobody answered
        self._renewals = 0  # lines that were cut for its sake since the last news that was not late

    def line_opened(self, now_s: float) -> None:
        """Begin anew; what was pushed last stays, to be compared."""
        self.is_heard = self._has_base = self._is_awaited = False
        self.lates = 0
        self._news_s = now_s
        self._doublings = 0
        self._calm(now_s)

    def due_s(self, floor_s: float) -> float:
        """Tell when there is something to decide, on the monotonic clock.

        Args:
            floor_s: No silence shorter than this is suspicious.
        """
        if self.stage is Stage.PINGED:
            return self.asked_s
        if self.stage is Stage.ASKED:
            return self.asked_s + ANSWER_S
        if self._next_s is not None:
            return self._next_s
        patience_s = max(floor_s, RHYTHMS * (self.pause_s or 0.0)) * 2.0 ** max(self._doublings, self._renewals)
        return self._calm_s + min(patience_s, max(floor_s, LONGEST_S))

    # What comes.

    def pushed(self, event: Event, now_s: float, *, late: bool) -> bool:
        """Take a push; True when it says something new."""
        self.is_heard = True
        if not late:
            self.lates = 0
        else:
            if not self.lates:
                self._late_since_s = now_s
            self.lates += 1
        content = content_of(event)
        self._has_base = self._has_base or content is not None
        if content is None or (not isinstance(event, Trade) and _same(content, self._content)):
            self._is_echoed = True
            return False
        if self.stage is _ASKED and isinstance(event, Ticker):
            # The answer to a question about a ticker looks like a push, and may be one.
            self.answered(event, now_s)
            return False
        self._content = content
        pause_s = now_s - self._news_s
        self.pause_s = pause_s if self.pause_s is None else self.pause_s + _LEARNT * (pause_s - self.pause_s)
        self._news_s = now_s
        self._doublings = 0
        if not late:
            self._renewals = 0
        self._calm(now_s)
        return True

    def answered(self, answer: Event | None, now_s: float) -> None:
        """Take the answer to a question; None when it says nothing about the subscription."""
        if self.stage is not Stage.ASKED:
            return
        content = None if answer is None else content_of(answer)
        if content is None:
            self.found_quiet(now_s)
        elif not self._has_base and isinstance(answer, Trade | Kline):
            # Traded before the subscription, or while the line was away; what differs from it later was not pushed.
            self._content, self._has_base = content, True
            self.found_quiet(now_s)
        elif self._content is not None and agrees(answer, content, self._content):
            self.found_quiet(now_s)
        else:
            self._strikes += 1
            self._misses = 0
            self._again(now_s)

    def found_quiet(self, now_s: float) -> None:
        """Note that the silence means a quiet market; the next suspicion takes twice as long."""
        self._doublings = min(self._doublings + 1, _MOST_DOUBLINGS)
        self._calm(now_s)

    # What is asked.

    def pinged(self, now_s: float) -> None:
        """Note that the line was asked whether it lives, and that the question is next."""
        self.stage = Stage.PINGED
        self.asked_s = self.pinged_s = now_s

    def asked(self, now_s: float) -> None:
        """Note that the question has left."""
        if self.stage is not Stage.PINGED:
            self.pinged_s = now_s
        self.stage = Stage.ASKED
        self.asked_s = now_s
        self._is_echoed = False

    def unanswered(self, now_s: float) -> None:
        """Note that the time for an answer is over.

        A ticker's answer looks like a push, so pushes of what is known are one, unless another price came too.
        """
        if self._is_echoed and self.topic.channel is Channel.TICKER:
            self.found_quiet(now_s)
        else:
            self._misses += 1
            self._again(now_s)

    def suspect(self, now_s: float) -> None:
        """Let the next question be due at once."""
        if self.stage is Stage.CALM:
            self._next_s = now_s

    def asked_for(self, now_s: float) -> None:
        """Note that the subscription was asked for: from here on it should bring something, also if asked for again."""
        if not self._is_awaited:
            self._is_awaited = True
            self._news_s = now_s
            self._calm(now_s)

    @property
    def is_contradicted(self) -> bool:
        """Whether the last answer said something else than was pushed."""
        return bool(self._strikes)

    @property
    def is_suspected(self) -> bool:
        """Whether an answer, or the lack of one, has already spoken against it."""
        return bool(self._strikes or self._misses)

    def verdict(self, now_s: float) -> Cause | None:
        """Tell what is proved: `FROZEN`, `SILENT`, `LATE` for too long, or nothing."""
        if self._strikes >= 2:
            return Cause.FROZEN
        if self._misses >= 2:
            return Cause.SILENT
        if self.lates >= LATE_IN_A_ROW and now_s >= self._late_since_s + RENEW_LATE_S * 2**self._renewals:
            return Cause.LATE
        return None

    def renewed(self) -> None:
        """Note that its line is cut for its sake; the next time it takes twice as long."""
        self._renewals = min(self._renewals + 1, _MOST_DOUBLINGS)

    def _again(self, now_s: float) -> None:
        self.stage = Stage.CALM
        self._next_s = now_s + RECHECK_S

    def _calm(self, now_s: float) -> None:
        self.stage = _CALM
        self._calm_s = now_s
        self._next_s = None
        self._strikes = self._misses = 0


def rows_of(channel: Channel) -> int | None:
    """Tell how many rows to ask for; None where the question has no such number."""
    return _ASKED_ROWS if channel in (Channel.TRADE, Channel.KLINE) else None


def newest(events: Sequence[Event]) -> Event | None:
    """Give the one of several answers that tells the present state; None when there is none.

    Bars without a trade in them are left out: nobody says whether the exchange pushes such.
    """
    told = [event for event in events if content_of(event) is not None]
    return max(told, key=_moment, default=None)


def content_of(event: Event) -> object:
    """Give what a push says, without the moments at which it was said; None where it says nothing."""
    if isinstance(event, Trade):
        return event.price, event.amount, event.side
    if isinstance(event, Depth):
        return event.bids, event.asks
    if isinstance(event, Ticker):
        return event.last, event.volume, event.high, event.low, event.turnover, event.change_pct
    if isinstance(event, Kline):
        return (event.close, event.volume) if event.volume else None
    return event  # of an account, where the same twice would be a mistake of the exchange


def agrees(answer: Event | None, content: object, pushed: object) -> bool:
    """Tell whether an answer says what was pushed.

    Of a ticker only the price counts: a day's volume and change move while nobody trades.
    """
    if isinstance(answer, Ticker) and isinstance(content, tuple) and isinstance(pushed, tuple):
        return bool(content[0] == pushed[0])
    return _same(content, pushed)


def _same(content: object, other: object) -> bool:
    try:
        return content == other
    except DecodeError:  # a level that is no number; it is told where somebody looks at it
        return False


def _moment(event: Event) -> datetime:
    made_at = event.opened_at if isinstance(event, Kline) else getattr(event, "traded_at", event.exchange_at)
    return made_at or datetime.min.replace(tzinfo=timezone.utc)
