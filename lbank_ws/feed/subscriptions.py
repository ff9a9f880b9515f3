"""Who is wanted, who is confirmed, and who goes to the exchange next.

Decided here: what changes the state of a subscription, and the order in which they are asked for. The exchange
acknowledges nothing on V2, so the first push confirms. Source: docs/reference/wire.md, "V2 acknowledgements".
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

from lbank_ws.channels import EVERY_PAIR, Channel, Topic
from lbank_ws.errors import ADVICE, SubscriptionRefused, UsageError
from lbank_ws.events import Depth, Event, Kline, OrderUpdate
from lbank_ws.feed.wanted import Happened, Subscribed, Wanted
from lbank_ws.wire import Dialect

Step = Literal["subscribe", "unsubscribe"]


class Subscriptions:
    """All subscriptions of one line, and the steps still to be sent. Used under the line's lock."""

    def __init__(self, dialect: Dialect, nodes: str | None = None) -> None:
        self._dialect = dialect
        self._nodes = nodes
        self._all: dict[Topic, Wanted] = {}
        self._spellings: dict[str, Topic] = {}
        self._by_name: dict[tuple[Channel, str], list[Topic]] = {}
        self._alone: dict[tuple[Channel, str], Wanted] = {}  # those of one name whose events need no second look
        self._asked: dict[Topic, float] = {}  # on this line, and when
        self._unanswered: dict[Topic, float] = {}  # those of them to be asked for again, should nothing come
        self._unopposed: dict[Topic, float] = {}  # those of them that count as live when no error comes
        self._steps: dict[Topic, Step] = {}
        self._key: str | None = None  # opens the topics of an account
        self._echoes = 0  # errors still to come about a key that was given up: one for each topic asked for with it

    def want(self, *topics: Topic) -> list[Wanted]:
        """Want all of these topics, or none; wanting one again changes nothing, unless it had been refused.

        Raises:
            UsageError: The dialect cannot tell one from another that is wanted, or does not have it.
        """
        self._spellings = self.checked(*topics)
        return [self._want(topic) for topic in topics]

    def checked(self, *topics: Topic) -> dict[str, Topic]:
        """Give how the wire would spell all that is wanted with these topics, or raise `UsageError` as `want` does."""
        spellings = dict(self._spellings)
        for topic in topics:
            spelling = self._dialect.spelling(topic)
            other = spellings.setdefault(spelling, topic)
            if other != topic:
                raise UsageError(
                    f"the {self._dialect.name} dialect spells {topic} and {other} alike ({spelling}); "
                    "leave one of them out, or use V2"
                )
        return spellings

    def adopt(self, subscription: Wanted) -> None:
        """Want what another line carried, as the same `Wanted`."""
        topic = subscription.topic
        self._spellings = self.checked(topic)
        self._all[topic] = subscription
        self._by_name.setdefault((topic.channel, topic.pair), []).append(topic)
        self._steps[topic] = "subscribe"
        self._alone.clear()

    def _want(self, topic: Topic) -> Wanted:
        known = self._all.get(topic)
        if known is not None and known.state is not Subscribed.REFUSED:
            return known
        subscription = self._all[topic] = Wanted(topic, self._nodes)
        self._alone.clear()
        if known is None:
            self._by_name.setdefault((topic.channel, topic.pair), []).append(topic)
        # An end that was not sent yet need not be sent any more: the line still brings the topic.
        if self._steps.pop(topic, None) == "unsubscribe":
            self._await_data(topic, self._asked[topic])
        else:
            self._steps[topic] = "subscribe"
        return subscription

    def leave(self, topic: Topic) -> bool:
        """Want a topic no more; False when it was not wanted."""
        subscription = self._all.pop(topic, None)
        if subscription is None:
            return False
        subscription.move(Happened.UNSUBSCRIBE)
        self._alone.clear()
        self._spellings.pop(self._dialect.spelling(topic), None)
        topics = self._by_name[topic.channel, topic.pair]
        topics.remove(topic)
        if not topics:
            del self._by_name[topic.channel, topic.pair]
        self._forget(topic)
        self._steps.pop(topic, None)
        if topic in self._asked:
            self._steps[topic] = "unsubscribe"
        return True

    def of_account(self) -> list[Topic]:
        """Give every topic of an account that is wanted and was not refused."""
        return [
            topic
            for topic, known in self._all.items()
            if topic.channel.is_private and known.state is not Subscribed.REFUSED
        ]

    def named(self, channel: Channel, pair: str) -> list[Topic]:
        """Give every wanted topic of a channel and pair."""
        return list(self._by_name.get((channel, pair), ()))

    def of_pairs(self, pairs: Collection[str]) -> list[Topic]:
        """Give every topic of these pairs that is wanted, or was asked for on this line and not ended yet."""
        return [topic for topic in {**self._all, **self._asked} if topic.pair in pairs]

    def of(self, event: Event) -> Wanted | None:
        """Give the subscription that an event belongs to, or None when nobody wants it."""
        name = event.channel, event.pair
        return self._alone.get(name) or self._of(event, name)

    def _of(self, event: Event, name: tuple[Channel, str]) -> Wanted | None:
        topics = self._by_name.get(name)
        if topics is None:
            if not isinstance(event, OrderUpdate):
                return None
            topics = self._by_name.get((event.channel, EVERY_PAIR))
            if topics is None:
                return None
        if len(topics) == 1 and not isinstance(event, Kline):
            known = self._all[topics[0]]
            if topics[0].pair == event.pair:
                self._alone[name] = known
            return known
        return next((self._all[topic] for topic in topics if _fits(topic, event)), None)

    def get(self, topic: Topic) -> Wanted | None:
        """Give the subscription of a topic, or None when it is not wanted."""
        return self._all.get(topic)

    def arrived(self, topic: Topic) -> bool:
        """Note a push; True when it is the first one."""
        if not self._all[topic].move(Happened.DATA):
            return False
        self._forget(topic)
        if topic in self._asked:
            self._steps.pop(topic, None)  # it was to be asked for again
        return True

    def denied(self, topic: Topic, code: int | None, reason: str, advice: str = ADVICE) -> SubscriptionRefused | None:
        """Note a refusal; None when the topic is not wanted or was refused before."""
        self._steps.pop(topic, None)
        self._asked.pop(topic, None)
        self._forget(topic)
        subscription = self._all.get(topic)
        if subscription is None or subscription.state is Subscribed.REFUSED:
            return None
        subscription.move(Happened.DENIED)
        subscription.refusal = SubscriptionRefused(str(topic), code, reason, advice)
        return subscription.refusal

    def line_opened(self) -> None:
        """Plan to ask for all that is wanted, in the order in which it was first wanted."""
        self._steps = {
            topic: "subscribe" for topic, known in self._all.items() if known.state is not Subscribed.REFUSED
        }

    def line_lost(self) -> None:
        """Forget what the line carried; what was wanted stays wanted."""
        self._echoes = 0
        self._asked.clear()
        self._unanswered.clear()
        self._unopposed.clear()
        self._steps.clear()
        for subscription in self._all.values():
            subscription.move(Happened.LOST)

    def ask_again(self, now_s: float, after_s: float) -> None:
        """Plan to repeat what was asked for long ago and never answered; depth alone, which always pushes at once."""
        for topic in [known for known, asked_s in self._unanswered.items() if now_s >= asked_s + after_s]:
            del self._unanswered[topic]
            self._steps[topic] = "subscribe"

    def keyed(self, key: str | None) -> list[Wanted]:
        """Take a new subscribe key, or none where the last one opens nothing any more.

        Everything of an account is asked for with the new key. Gives those that have stopped being live.
        """
        if key == self._key:
            return []
        self._key = key
        changed = []
        for topic, known in self._all.items():
            if not topic.channel.is_private or known.state is Subscribed.REFUSED:
                continue
            self._forget(topic)
            if known.move(Happened.DOUBTED):
                changed.append(known)
            if self._asked.pop(topic, None) is not None:
                self._steps[topic] = "subscribe"
        return changed

    def key_failed(self) -> str | None:
        """Take an error that says a key opens nothing; give the key, or None where that was said already."""
        if self._echoes:
            self._echoes -= 1
            return None
        asked = sum(topic.channel.is_private for topic in self._asked)
        self._echoes = max(0, asked - 1)
        return self._key

    @property
    def key(self) -> str | None:
        """The subscribe key in use; a secret."""
        return self._key

    def repeat(self, topic: Topic) -> None:
        """Plan to ask once more for what is wanted, because something is wrong with it."""
        if topic in self._asked:
            self._steps.setdefault(topic, "subscribe")

    def unopposed(self, now_s: float, after_s: float) -> list[Wanted]:
        """Give those that have become live because no error came: of trades there may be none for hours."""
        quiet = [topic for topic, asked_s in self._unopposed.items() if now_s >= asked_s + after_s]
        for topic in quiet:
            del self._unopposed[topic]
        return [known for known in map(self._all.__getitem__, quiet) if _is_live_now(known)]

    def unopposed_due_s(self, after_s: float) -> float:
        """Tell when `unopposed` has something to give; infinity when nothing waits for it."""
        return min(self._unopposed.values(), default=math.inf) + after_s

    def ask_again_due_s(self, after_s: float) -> float:
        """Tell when `ask_again` has something to plan; infinity when nothing is unanswered."""
        return min(self._unanswered.values(), default=math.inf) + after_s

    def has_steps(self) -> bool:
        """Tell whether anything is still to be sent."""
        return bool(self._steps) and self._next_topic() is not None

    def next_step(self, now_s: float) -> tuple[Step, Topic]:
        """Take the next thing to send; there is one."""
        topic = self._next_topic()
        if topic is None:
            raise LookupError("nothing is to be sent")
        step = self._steps.pop(topic)
        if step == "subscribe":
            self._asked[topic] = now_s
            self._await_data(topic, now_s)
        else:
            self._asked.pop(topic, None)
        return step, topic

    def is_asked(self, topic: Topic) -> bool:
        """Tell whether a topic was asked for on this line, and not ended."""
        return topic in self._asked

    def all(self) -> list[Wanted]:
        """Give every subscription that was not left, refused ones included."""
        return list(self._all.values())

    def _next_topic(self) -> Topic | None:
        """Give whose turn it is; what belongs to an account waits for a key."""
        if self._key is not None:
            return next(iter(self._steps), None)
        return next((topic for topic in self._steps if not topic.channel.is_private), None)

    def _await_data(self, topic: Topic, asked_s: float) -> None:
        state = self._all[topic].state
        if topic.channel.is_private and state is Subscribed.STALE:
            self._unopposed[topic] = asked_s
        if state is not Subscribed.WAITING:
            return
        if topic.channel is Channel.DEPTH:
            self._unanswered[topic] = asked_s
        elif topic.channel is Channel.TRADE or topic.channel.is_private:
            self._unopposed.setdefault(topic, asked_s)

    def _forget(self, topic: Topic) -> None:
        """Wait no more for what a topic brings first."""
        self._unanswered.pop(topic, None)
        self._unopposed.pop(topic, None)


def _is_live_now(known: Wanted) -> bool:
    """Let one become live because no error came; of an account also one that had lost its key."""
    is_renewed = known.topic.channel.is_private and known.move(Happened.FRESH)
    return known.move(Happened.UNOPPOSED) or is_renewed


def _fits(topic: Topic, event: Event) -> bool:
    if isinstance(event, Depth):
        return event.levels == topic.levels
    return not isinstance(event, Kline) or event.interval == topic.interval
