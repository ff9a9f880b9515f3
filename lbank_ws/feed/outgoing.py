"""What an open line sends next, and when.

Decided here: the pace, and what comes first: a question whether the line lives, then the log-in and orders, then what
is to be subscribed and left, then what is missing, then what a suspicion asks.
"""

from __future__ import annotations

from collections import deque

from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.freshness import ANSWER_S, rows_of
from lbank_ws.feed.gate import Gate
from lbank_ws.feed.offset import Offset
from lbank_ws.feed.questions import Questions
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.vigil import Vigil
from lbank_ws.wire import Dialect


class Outgoing:
    """The frames of one line; times are monotonic seconds. Used under the line's lock.

    Attributes:
        habits: How the line behaves.
        heard_s: When the last whole frame came.
        questions: What was asked, and waits for its answer.
    """

    def __init__(
        self, dialect: Dialect, subscriptions: Subscriptions, vigil: Vigil, gate: Gate, offset: Offset, habits: Habits
    ) -> None:
        self.habits = habits
        self.heard_s = 0.0
        self.questions = Questions()
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._vigil = vigil
        self._gate = gate
        self._offset = offset
        self._sendable_s = 0.0  # when the next paced frame may leave
        self._fetches: deque[Fetch] = deque()
        self._pings = 0
        self._is_pinged = False

    def line_opened(self, now_s: float) -> None:
        """Begin anew on a new line."""
        self.heard_s = self._sendable_s = now_s
        self._is_pinged = False
        self._fetches.clear()
        self.questions.line_opened()

    def fetch(self, fetch: Fetch) -> None:
        """Ask for what is missing, as soon as the pace allows it."""
        self._fetches.append(fetch)

    def heard(self, now_s: float) -> None:
        """Note a sign of life."""
        self.heard_s = now_s
        self._is_pinged = False

    def hurry(self, now_s: float) -> None:
        """Let the line be asked at once whether it lives, and be cut soon if it does not answer."""
        answer_s = min(ANSWER_S, self.habits.cut_after_s / 2)
        self.heard_s = min(self.heard_s, now_s + answer_s - self.habits.cut_after_s)

    def cut_s(self) -> float:
        """Tell when the line is to be cut, if nothing comes."""
        return self.heard_s + self.habits.cut_after_s

    def due_s(self) -> float:
        """Tell when the next frame may leave; infinity when there is nothing to send."""
        return max(self._sendable_s, self._wish_s())

    def take(self, now: Moment, reaction: Reaction) -> None:
        """Add the next frame; one is due."""
        reaction.send.append(self._next(now, reaction))

    def _next(self, now: Moment, reaction: Reaction) -> str:
        self._sendable_s = now.s + self.habits.send_apart_s
        if not self._is_pinged and now.s >= self.heard_s + self.habits.ping_after_s:
            return self._ping()
        if self._gate.has_frame():
            return self._gate.frame(now.s, round(now.ns / 1e6 - 1000 * (self._offset.ahead_s(now) or 0.0)))
        self._subscriptions.ask_again(now.s, self.habits.ask_again_after_s)
        if self._subscriptions.has_steps():
            step, topic = self._subscriptions.next_step(now.s)
            key = self._subscriptions.key if topic.channel.is_private else None
            if step == "unsubscribe":
                return self._dialect.unsubscribe(topic, key)
            reaction.asked.append(topic)
            self._vigil.joined(topic, now)
            return self._dialect.subscribe(topic, key)
        if self._fetches:
            return self._fetch(self._fetches.popleft(), now)
        question, topic = self._vigil.question(now, is_pinged=self._is_pinged)
        if question == "ping":
            return self._ping()
        self.questions.asked(topic, now.s)
        return self._dialect.request(topic, size=rows_of(topic.channel))

    def _wish_s(self) -> float:
        """Tell when there is something to send, paced or not."""
        if self._gate.has_frame() or self._subscriptions.has_steps() or self._fetches:
            return self._sendable_s
        wish_s = self._subscriptions.ask_again_due_s(self.habits.ask_again_after_s)
        if self._vigil.is_to_ask():
            wish_s = min(wish_s, self._vigil.due_s())
        return wish_s if self._is_pinged else min(wish_s, self.heard_s + self.habits.ping_after_s)

    def _fetch(self, fetch: Fetch, now: Moment) -> str:
        self.questions.asked(fetch.topic, now.s, fetch)
        return self._dialect.request(fetch.topic, size=fetch.size, start_at=fetch.start_at, end_at=fetch.end_at)

    def _ping(self) -> str:
        self._pings += 1
        self._is_pinged = True
        return self._dialect.ping(self._pings)
