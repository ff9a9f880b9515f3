"""What a line makes of what its subscriptions bring, and fail to bring.

Decided here: what follows from an age, a book, a silence, for the state of a subscription and for the line. What counts
as old, wrong or suspicious is decided in `offset.py`, `books.py` and `freshness.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from lbank_ws.causes import Cause, Flaw
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import ConnectionLost
from lbank_ws.events import Depth, Event, Kline, Receipt, Ticker
from lbank_ws.feed.books import counts
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.freshness import LATE_IN_A_ROW, Stage, Watch, newest
from lbank_ws.feed.offset import Offset
from lbank_ws.feed.reaction import Habits
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.wanted import Happened, Subscribed, Wanted
from lbank_ws.wire import Message, Push, Reply

_FLAWS = {Cause.FROZEN: Flaw.FROZEN, Cause.SILENT: Flaw.SILENT, Cause.LATE: Flaw.LATE}
_SAID = {
    Cause.FROZEN: "what it brought last is not what the exchange answers",
    Cause.SILENT: "nothing comes, and the exchange does not answer",
    Cause.LATE: "what comes is old",
}

# Said once: to get at a member of an enum, or to make a union, takes its time, and this is done for every push.
_ASKED, _LIVE = Stage.ASKED, Subscribed.LIVE
_TELLING, _STATES = (Push, Reply), (Depth, Ticker)

Question = Literal["ping", "request"]


class Finding(NamedTuple):
    """What became of a subscription."""

    kind: Literal["live", "stale"]
    topic: Topic
    cause: ConnectionLost | None = None


class Vigil:
    """Watches over the subscriptions of one line. Used under the line's lock.

    Attributes:
        findings: What became of subscriptions; whoever tells it empties the list.
        renewal: Why the line should be cut and made anew, or None.
        has_decided: Whether a push led to anything but being handed on; whoever looks sets it back.
        habits: How the line behaves.
    """

    def __init__(self, subscriptions: Subscriptions, offset: Offset, habits: Habits, *, has_requests: bool) -> None:
        self.habits = habits
        self.findings: list[Finding] = []
        self.renewal: ConnectionLost | None = None
        self.has_decided = False
        self._subscriptions = subscriptions
        self._offset = offset
        self._has_requests = has_requests
        self._heard_s = -math.inf  # when a frame came last
        self._answered: set[Channel] = set()  # of these channels the exchange answers questions
        self._first: Watch | None = None  # whose turn is next
        self._due_s: float | None = None  # when; None when it must be found out

    # What comes.

    def receipt(self, now: Moment) -> Receipt:
        """Give the receipt of a frame, to be stamped when its events are known."""
        return Receipt(now.ns, None, self.habits.late_after_s)

    def stamp(self, receipt: Receipt, messages: Sequence[Message], now: Moment) -> None:
        """Fill in how the clocks stand, and learn from the frames how they do; the newest of them tells most."""
        newest_s = -math.inf
        for message in messages:
            if isinstance(message, _TELLING) and message.events:
                sent_s = message.events[0].sent_s
                if sent_s is not None and sent_s > newest_s:
                    newest_s = sent_s
        offset = self._offset
        receipt.ahead_s = offset.seen(newest_s, now) if newest_s > -math.inf else offset.ahead_s(now)

    def push(self, event: Event, now: Moment) -> tuple[Topic, Event] | None:
        """Take a push; give it with its topic and with what is wrong with it, or None when nobody wants it."""
        known = self._subscriptions.of(event)
        if known is None:
            return None
        age_s = event.age_s
        late = age_s is not None and age_s > event.receipt.late_after_s
        known.ages.add(age_s, is_late=late)
        late = late and not event.channel.is_private  # late news of an order is news, and no reason to lose more of it
        watch = known.watch
        is_asked = watch.stage is _ASKED
        has_news = watch.pushed(event, now.s, late=late)
        suspected: Flaw | None = None
        if is_asked or late or known.state is not _LIVE or (not has_news and watch.is_suspected):
            suspected = self._decided(known, event, now, is_asked=is_asked, has_news=has_news, late=late)
            self._rescheduled(watch)
        elif watch is self._first:
            self._due_s = None
        elif self._due_s is not None and self._due_s > now.s + self.habits.stale_after_s:  # else no news is due sooner
            self._rescheduled(watch)
        if known.shelf is not None and isinstance(event, _STATES):
            event = known.shelf.put(event, now.s, suspected=suspected)
        return known.topic, event

    def reply(self, message: Reply, now: Moment) -> bool:
        """Take the answer to a question; False when nobody asked."""
        is_asked = False
        topics = self._subscriptions.named(message.channel, message.pair)
        for topic in topics:
            known = self._subscriptions.get(topic)
            if known is None or known.watch.stage is not Stage.ASKED:
                continue
            told = [
                event
                for event in message.events
                if _is_about(event, topic, is_only=len(topics) == 1) and counts(event, self.habits.nodes)
            ]
            if message.events and not told:
                continue
            is_asked = True
            self._answered.add(message.channel)
            known.watch.answered(newest(told), now.s)
            self._due_s = None
            self._judge(known, now)
        return is_asked

    # What stays away.

    def line_opened(self, now: Moment) -> None:
        """Begin anew on a new line."""
        self.renewal = None
        self._due_s = None
        for known in self._subscriptions.all():
            known.watch.line_opened(now.s)

    def line_lost(self, now: Moment) -> None:
        """Take nothing that is held for the present state any more."""
        self.renewal = None
        for known in self._subscriptions.all():
            if known.shelf is not None:
                known.shelf.spoil(Flaw.LINE_DOWN, now.utc)

    def joined(self, topic: Topic, now: Moment) -> None:
        """Watch over a topic from the moment at which it was asked for."""
        known = self._subscriptions.get(topic)
        if known is not None and not known.watch.is_heard and known.watch.stage is Stage.CALM:
            known.watch.asked_for(now.s)
        self._due_s = None

    def acknowledged(self, topic: Topic) -> None:
        """Note that the exchange confirmed a topic in so many words."""
        known = self._subscriptions.get(topic)
        if known is not None:
            known.watch.is_heard = True

    def denied(self, topics: Sequence[Topic], now: Moment) -> None:
        """Note that the exchange refused these."""
        for topic in topics:
            known = self._subscriptions.get(topic)
            if known is not None and known.shelf is not None:
                known.shelf.spoil(Flaw.REFUSED, now.utc)
        self._due_s = None

    def changed(self) -> None:
        """Note that subscriptions came or went."""
        self._due_s = None

    def alarm(self, now: Moment) -> None:
        """Check every subscription now: the computer slept, perhaps."""
        for known in self._subscriptions.all():
            known.watch.suspect(now.s)
        self._due_s = None

    def due_s(self) -> float:
        """Tell when the first of them has something to decide; infinity for never."""
        if self._due_s is None:
            self._first = None
            self._due_s = math.inf
            for known in self._subscriptions.all():
                due_s = self._due_of(known)
                if due_s < self._due_s:
                    self._first, self._due_s = known.watch, due_s
        return self._due_s

    def is_to_ask(self) -> bool:
        """Tell whether the one that is due next has to send something then."""
        self.due_s()
        return self._first is not None and self._first.stage is not Stage.ASKED

    def lapsed(self, now: Moment) -> None:
        """Decide about those whose time for an answer is over."""
        while not self.is_to_ask() and now.s >= self.due_s():
            self._lapsed(self._next(), now)

    def _lapsed(self, known: Wanted, now: Moment) -> None:
        is_expected = known.topic.channel in self._answered or not (
            known.watch.is_heard or known.topic.channel is Channel.TRADE
        )
        if is_expected or self._heard_s < known.watch.pinged_s:
            known.watch.unanswered(now.s)
        else:
            known.watch.found_quiet(now.s)  # nothing was ever answered here, so no answer proves nothing
        self._due_s = None
        self._judge(known, now)

    def question(self, now: Moment, *, is_pinged: bool) -> tuple[Question, Topic]:
        """Take the next thing to ask: whether the line lives, then what the stream holds."""
        known = self._next()
        watch = known.watch
        self._due_s = None
        if watch.stage is Stage.CALM:
            if watch.is_suspected or not watch.is_heard:
                self._subscriptions.repeat(known.topic)
            if not self._has_requests:
                self._only_pinged(known, now)
                return "ping", known.topic
            if not is_pinged:
                watch.pinged(now.s)
                return "ping", known.topic
        watch.asked(now.s)
        return "request", known.topic

    def heard(self, now_s: float) -> None:
        """Note that the line lives."""
        self._heard_s = now_s

    # How it is done.

    def _decided(
        self, known: Wanted, event: Event, now: Moment, *, is_asked: bool, has_news: bool, late: bool
    ) -> Flaw | None:
        """Act on a push that is not the next one of a subscription in good order; tell what is wrong with that."""
        self.has_decided = True
        if is_asked and isinstance(event, Ticker):
            self._answered.add(Channel.TICKER)
            if known.watch.stage is Stage.CALM:
                self._judge(known, now)
        if known.state is Subscribed.WAITING and self._subscriptions.arrived(known.topic):
            self.findings.append(Finding("live", known.topic))
        return self._suspicion(known, has_news=has_news, late=late, now=now)

    def _only_pinged(self, known: Wanted, now: Moment) -> None:
        """Decide without a question, where the dialect has none: a line that lives may be quiet."""
        if known.watch.is_heard or known.topic.channel is Channel.TRADE:
            known.watch.found_quiet(now.s)
        else:
            known.watch.unanswered(now.s)
            self._judge(known, now)

    def _suspicion(self, known: Wanted, *, has_news: bool, late: bool, now: Moment) -> Flaw | None:
        """Tell what is wrong with the subscription as a whole when a push of it has come."""
        if known.state is Subscribed.REFUSED:
            return Flaw.REFUSED
        if known.state is Subscribed.STALE and not late and (has_news or known.doubt is Cause.LATE):
            self._is_fresh(known)
        elif late and known.watch.lates >= LATE_IN_A_ROW:
            self._is_stale(known, Cause.LATE, now)
            if known.watch.verdict(now.s) is Cause.LATE:
                self._renew(known, Cause.LATE)
        if known.state is Subscribed.STALE and known.doubt is not None:
            return _FLAWS[known.doubt]
        return None if has_news or not known.watch.is_suspected else Flaw.FROZEN

    def _judge(self, known: Wanted, now: Moment) -> None:
        """Act on an answer, or on the lack of one."""
        watch = known.watch
        cause = watch.verdict(now.s)
        if cause is not None:
            self._is_stale(known, cause, now)
            self._renew(known, cause)
        elif watch.is_suspected:
            if known.shelf is not None:
                known.shelf.spoil(Flaw.FROZEN if watch.is_contradicted else Flaw.SILENT, now.utc)
        else:
            if known.shelf is not None:
                known.shelf.confirm(now.s)
            if known.state is Subscribed.STALE and known.doubt is not Cause.LATE:
                self._is_fresh(known)

    def _is_stale(self, known: Wanted, cause: Cause, now: Moment) -> None:
        if known.shelf is not None:
            known.shelf.spoil(_FLAWS[cause], now.utc)
        if known.move(Happened.DOUBTED):
            known.doubt = cause
            self.findings.append(Finding("stale", known.topic, ConnectionLost(cause, _SAID[cause])))

    def _is_fresh(self, known: Wanted) -> None:
        known.doubt = None
        if known.move(Happened.FRESH):
            self.findings.append(Finding("live", known.topic))

    def _renew(self, known: Wanted, cause: Cause) -> None:
        known.watch.renewed()
        self.renewal = ConnectionLost(cause, f"{known.topic}: {_SAID[cause]}")

    def _next(self) -> Wanted:
        self.due_s()
        known = None if self._first is None else self._subscriptions.get(self._first.topic)
        if known is None:
            raise LookupError("nothing is due")
        return known

    def _due_of(self, known: Wanted) -> float:
        # An account is quiet for hours, and no question would tell whether it should be.
        if known.is_private:
            return math.inf
        if known.state is Subscribed.REFUSED or not self._subscriptions.is_asked(known.topic):
            return math.inf
        return known.watch.due_s(self.habits.stale_after_s)

    def _rescheduled(self, watch: Watch) -> None:
        """Keep who is next, unless a push made it another one."""
        if watch is self._first or (self._due_s is not None and watch.due_s(self.habits.stale_after_s) < self._due_s):
            self._due_s = None


def _is_about(event: Event, topic: Topic, *, is_only: bool) -> bool:
    """Tell whether an answer is about a topic; the only depth of a pair takes any number of levels."""
    if isinstance(event, Depth):
        return is_only or event.levels is None or event.levels == topic.levels
    return not isinstance(event, Kline) or event.interval == topic.interval
