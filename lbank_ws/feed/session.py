"""What a line does about everything that can happen to it.

The session decides and never waits: it has no socket, no thread and no clock; time comes in as an argument. Each call
answers with one `Reaction`, and the shell (`connection.py`) does what it says. So every behaviour of the client is a
row in a table test: state, input, expected reaction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from lbank_ws.channels import Topic
from lbank_ws.errors import Cause, ConnectionLost, DecodeError, GaveUp, LBankError, Refused, SubscriptionRefused
from lbank_ws.events import Event, Status
from lbank_ws.feed.backoff import LIVED_S, Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.states import MOVES, Signal, State
from lbank_ws.feed.subscriptions import Subscribed, Subscription, Subscriptions
from lbank_ws.wire import Ack, Denial, Dialect, Ignored, Ping, Push, Reply

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Habits:
    """How a line behaves; lengths in seconds.

    Attributes:
        ping_after_s: After so long without a frame the exchange is asked whether it lives.
        cut_after_s: After so long without a frame the line is cut.
        send_apart_s: Between two frames of ours, pongs excepted: at most ten a second, also where the network
            brings them closer together.
        ask_again_after_s: A depth that brought nothing is asked for again.
        close_s: How long a polite close may take.
    """

    ping_after_s: float = 15.0
    cut_after_s: float = 30.0
    send_apart_s: float = 0.11
    ask_again_after_s: float = 10.0
    close_s: float = 0.5


@dataclass
class Reaction:
    """What the shell is to do, in this order.

    Attributes:
        send: Frames for the exchange.
        events: What to hand to callbacks, each with the topic that it belongs to.
        statuses: What happened to the line.
        faults: Errors handed on instead of raised.
        hang_up: Why to cut the line, or None to keep it.
    """

    send: list[str] = field(default_factory=list)
    events: list[tuple[Topic, Event]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    faults: list[LBankError] = field(default_factory=list)
    hang_up: ConnectionLost | None = None


class Session:
    """One line's decisions. Used under the line's lock.

    Attributes:
        state: Where the line stands; `MOVES` says what can follow.
        subscriptions: Who is wanted on it.
        ended: The error that closed it for good, or None.
        habits: How it behaves.
        ignored: Frames that were well-formed and meant nothing, or were for nobody.
    """

    def __init__(self, dialect: Dialect, backoff: Backoff, habits: Habits | None = None) -> None:
        self.state = State.IDLE
        self.subscriptions = Subscriptions(dialect)
        self.ended: GaveUp | None = None
        self.ignored = 0
        self._dialect = dialect
        self._backoff = backoff
        self.habits = habits or Habits()
        self._due_s = 0.0  # when the wait of WAITING or CLOSING is over
        self._opened_s = 0.0
        self._heard_s = 0.0  # when the last whole frame came
        self._sendable_s = 0.0  # when the next paced frame may leave
        self._pings = 0
        self._is_pinged = False
        self._has_lived = False
        self._has_opened = False
        self._lost_s = 0.0
        self._attempts = 0  # dials since the line was last open

    # What the caller asks for, from any thread.

    def start(self, now: Moment) -> Reaction:
        """Dial for the first time."""
        if self._move(Signal.START):
            self._backoff.started(now.s)
            self._attempts = 1
        return Reaction()

    def stop(self, now: Moment) -> Reaction:
        """End the line for good: politely when it is open, at once when not."""
        if self._move(Signal.STOP):
            self._due_s = now.s + self.habits.close_s
        return Reaction()

    def subscribe(self, *topics: Topic) -> list[Subscription]:
        """Want all of these topics, or none; the frames leave with the next ticks of an open line."""
        return self.subscriptions.want(*topics)

    def unsubscribe(self, topic: Topic) -> bool:
        """Want a topic no more; False when it was not wanted."""
        return self.subscriptions.leave(topic)

    # What happens to the line, from its own thread.

    def opened(self, now: Moment) -> Reaction:
        """The line is up: ask for everything that is wanted."""
        if not self._move(Signal.OPENED):
            return Reaction()
        self._opened_s = self._heard_s = now.s
        self._sendable_s = now.s
        self._is_pinged = self._has_lived = False
        self.subscriptions.line_opened()
        reaction = self.tick(now)
        kind = "reconnected" if self._has_opened else "opened"
        status = Status(
            kind="reconnected" if self._has_opened else "opened",
            at=_utc(now),
            outage_s=now.s - self._lost_s if kind == "reconnected" else None,
            attempts=self._attempts,
        )
        self._has_opened = True
        reaction.statuses.append(status)
        return reaction

    def lost(self, now: Moment, loss: ConnectionLost) -> Reaction:
        """The line is gone, or could not be made: plan the next dial, or give up."""
        was_open = self.state is State.OPEN
        if not self._move(Signal.LOST):
            return Reaction()
        self.subscriptions.line_lost()
        if self.state is State.CLOSED:
            return Reaction()
        if was_open:
            self._lost_s = now.s
            self._attempts = 0
        refused = loss.cause is Cause.REFUSED or loss.retry_after_s is not None
        wait_s = self._backoff.lost(now.s, refused=refused, not_before_s=loss.retry_after_s)
        status = Status(kind="lost" if was_open else "failed", at=_utc(now), cause=loss, attempts=self._attempts)
        if wait_s is None:
            self.ended = GaveUp(self._backoff.age_s(now.s), self._backoff.attempts, loss)
            self._move(Signal.GIVE_UP)
            return Reaction(statuses=[status], faults=[self.ended])
        self._due_s = now.s + wait_s
        return Reaction(statuses=[status])

    def received(self, frame: str, now: Moment) -> Reaction:
        """A whole frame came; garbage is a sign of life too."""
        if not self._hears(now):
            return Reaction()
        try:
            message = self._dialect.decode(frame, now.ns)
        except DecodeError as error:
            return Reaction(faults=[error])
        match message:
            case Push():
                return self._push(message)
            case Ping():
                # The exchange hangs up a minute after an unanswered ping, and a callback may take longer than that;
                # so the pong leaves from the socket thread. Source: docs/reference/wire.md, "V2 heartbeat".
                return Reaction(send=[message.answer])
            case Ack():
                return self._ack(message)
            case Denial():
                return self._denial(message)
            case Reply() | Ignored():
                self.ignored += 1
        return Reaction()

    def unreadable(self, fault: DecodeError, now: Moment) -> Reaction:
        """A whole frame came that is not even text: a sign of life all the same."""
        return Reaction(faults=[fault]) if self._hears(now) else Reaction()

    def tick(self, now: Moment) -> Reaction:
        """Do what time alone asks for: retry, pace, ping, cut."""
        if now.s < self.due_s():
            return Reaction()
        if self.state is State.WAITING:
            self._move(Signal.RETRY)
            self._attempts += 1
            self._backoff.dialled()
        elif self.state is State.CLOSING:
            self._move(Signal.TIME)
            self.subscriptions.line_lost()
        elif now.s >= self._heard_s + self.habits.cut_after_s:
            return Reaction(hang_up=ConnectionLost(Cause.SILENT, f"no frame for {now.s - self._heard_s:.0f} s"))
        else:
            self._sendable_s = now.s + self.habits.send_apart_s
            return Reaction(send=[self._next_frame(now)])
        return Reaction()

    def due_s(self) -> float:
        """Tell when `tick` has something to do, on the monotonic clock, if nothing else happens before.

        Infinity means: nothing, however long it takes.
        """
        if self.state in (State.WAITING, State.CLOSING):
            return self._due_s
        if self.state is not State.OPEN:
            return math.inf
        return min(self._heard_s + self.habits.cut_after_s, max(self._sendable_s, self._wish_s()))

    def refused_for_good(self) -> SubscriptionRefused | None:
        """Give the last refusal when every subscription there is was refused, else None."""
        known = self.subscriptions.all()
        if not known or any(subscription.state is not Subscribed.REFUSED for subscription in known):
            return None
        return known[-1].refusal

    # What an open line sends.

    def _wish_s(self) -> float:
        """Tell when there is something to send, paced or not."""
        if self.subscriptions.has_steps():
            return self._sendable_s
        again_s = self.subscriptions.ask_again_due_s(self.habits.ask_again_after_s)
        return again_s if self._is_pinged else min(again_s, self._heard_s + self.habits.ping_after_s)

    def _next_frame(self, now: Moment) -> str:
        if not self._is_pinged and now.s >= self._heard_s + self.habits.ping_after_s:
            self._pings += 1
            self._is_pinged = True
            return self._dialect.ping(self._pings)
        self.subscriptions.ask_again(now.s, self.habits.ask_again_after_s)
        step, topic = self.subscriptions.next_step(now.s)
        return self._dialect.subscribe(topic) if step == "subscribe" else self._dialect.unsubscribe(topic)

    # What a frame means.

    def _hears(self, now: Moment) -> bool:
        """Note a sign of life; False when the line is not open, and what still comes on it means nothing."""
        if self.state is not State.OPEN:
            return False
        self._heard_s = now.s
        self._is_pinged = False
        if not self._has_lived and now.s - self._opened_s >= LIVED_S:
            self._has_lived = True
            self._backoff.lived()
        return True

    def _push(self, message: Push) -> Reaction:
        reaction = Reaction()
        for event in message.events:
            topic = self.subscriptions.of(event)
            if topic is None:
                self.ignored += 1
                continue
            self.subscriptions.arrived(topic)
            reaction.events.append((topic, event))
        return reaction

    def _ack(self, message: Ack) -> Reaction:
        if message.joined and message.topic is not None and self._is_wanted(message.topic):
            self.subscriptions.arrived(message.topic)
        return Reaction()

    def _denial(self, message: Denial) -> Reaction:
        denied = [message.topic] if message.topic is not None else []
        denied += self.subscriptions.of_pairs(message.pairs)
        refusals: list[LBankError] = []
        for topic in denied:
            refusal = self.subscriptions.denied(topic, message.code, message.reason)
            if refusal is not None:
                refusals.append(refusal)
        if not denied:
            refusals.append(Refused(message.code, message.reason))
        return Reaction(faults=refusals)

    def _is_wanted(self, topic: Topic) -> bool:
        return topic in self.subscriptions.named(topic.channel, topic.pair)

    def _move(self, signal: Signal) -> bool:
        """Change the state as `MOVES` says; False when it names no move."""
        target = MOVES[self.state].get(signal)
        if target is None:
            return False
        self.state = target
        return True


def _utc(now: Moment) -> datetime:
    return _EPOCH + timedelta(microseconds=now.ns // 1000)
