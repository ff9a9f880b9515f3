"""What a line does about everything that can happen to it.

The session decides and never waits: it has no socket, no thread and no clock; time comes in as an argument. Each call
answers with one `Reaction`, and the shell (`connection.py`) does what it says. So every behaviour of the client is a
row in a table test: state, input, expected reaction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from lbank_ws.causes import Cause, Flaw
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import (
    ConnectionLost,
    DecodeError,
    GaveUp,
    LoginRefused,
    StaleBook,
    StalePrice,
    SubscriptionRefused,
)
from lbank_ws.events import Depth, Ticker
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.backoff import LIVED_S, Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.gate import Gate, Settled, Sign
from lbank_ws.feed.incoming import Incoming
from lbank_ws.feed.listing import Listing
from lbank_ws.feed.offset import Offset
from lbank_ws.feed.outgoing import Outgoing
from lbank_ws.feed.reaction import Habits, Reaction, Teller
from lbank_ws.feed.states import MOVES, Signal, State
from lbank_ws.feed.submissions import Submission
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.vigil import Vigil
from lbank_ws.feed.wanted import Subscribed, Wanted
from lbank_ws.wire import Dialect


class Session:
    """One line's decisions. Used under the line's lock.

    Attributes:
        state: Where the line stands; `MOVES` says what can follow.
        subscriptions: Who is wanted on it.
        ended: The error that closed it for good, or None.
        habits: How it behaves.
        line: The number of the line.
        opened_at: When the line opened last, or None.
        losses: How often it was lost.

    Args:
        dialect: How the line speaks.
        backoff: How long it waits between dials.
        habits: How it behaves.
        offset: What the client knows of the exchange's clock.
        listing: What the client knows of the exchange's pairs.
        line: The number of the line.
        sign: Signs the log-in of the line, where it is one for orders.
    """

    def __init__(
        self,
        dialect: Dialect,
        backoff: Backoff,
        habits: Habits | None = None,
        *,
        offset: Offset | None = None,
        listing: Listing | None = None,
        line: int = 1,
        sign: Sign | None = None,
    ) -> None:
        self.habits = habits or Habits()
        self.state = State.IDLE
        self.subscriptions = Subscriptions(dialect, self.habits.nodes)
        self.ended: GaveUp | LoginRefused | None = None
        self.line = line
        self.opened_at: datetime | None = None
        self.losses = 0
        self._backoff = backoff
        self._offset = offset or Offset()
        self._vigil = Vigil(self.subscriptions, self._offset, self.habits, has_requests=dialect.has_requests)
        self._teller = Teller(line)
        self._gate = Gate(dialect, sign)
        self._outgoing = Outgoing(dialect, self.subscriptions, self._vigil, self._gate, self._offset, self.habits)
        self._incoming = Incoming(
            dialect,
            self.subscriptions,
            self._vigil,
            self._gate,
            self._outgoing.questions,
            listing or Listing(),
            self._teller,
        )
        self._jumps = self._offset.jumps
        self._loss: ConnectionLost | None = None  # the last one
        self._due_s = 0.0  # when the wait of WAITING or CLOSING is over
        self._opened_s = 0.0
        self._has_lived = False
        self._has_opened = False
        self._is_unchanged = False  # what was heard last made nothing due sooner
        self._lost_s = 0.0
        self._attempts = 0  # dials since the line was last open

    @property
    def host(self) -> str:
        """Who is dialled, or was last; empty before the first dial."""
        return self._teller.host

    @property
    def ignored(self) -> int:
        """How many frames were well-formed and meant nothing, or were for nobody."""
        return self._incoming.ignored

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
        return Reaction() if self.state is State.CLOSING else self.given_up()

    def given_up(self) -> Reaction:
        """Give up the orders under way, because the line is away, or for good."""
        return Reaction(settled=self._gate.line_lost())

    def submit(self, submission: Submission, now: Moment) -> Reaction:
        """Let an order leave as soon as the line is logged in, while it has time and the line goes on."""
        self._gate.submit(submission, now.s)
        return self.given_up() if self.state in (State.CLOSING, State.CLOSED) else Reaction()

    def subscribe(self, *topics: Topic) -> list[Wanted]:
        """Want all of these topics, or none; the frames leave with the next ticks of an open line."""
        wanted = self.subscriptions.want(*topics)
        self._vigil.changed()
        return wanted

    def unsubscribe(self, topic: Topic) -> bool:
        """Want a topic no more; False when it was not wanted."""
        self._vigil.changed()
        return self.subscriptions.leave(topic)

    def keyed(self, key: str | None, now: Moment) -> Reaction:
        """Ask for everything of an account with a new subscribe key; with None, wait for one."""
        return self._incoming.keyed(key, now)

    def account_refused(self, code: int | None, reason: str, advice: str, now: Moment) -> Reaction:
        """Take it that there is no subscribe key to be had: what is wanted of an account is refused."""
        return self._incoming.account_refused(code, reason, advice, now)

    def fetch(self, fetch: Fetch) -> bool:
        """Ask over the line for what is missing of a topic; False when it cannot be asked for now.

        The answer is in a later reaction, if one comes.
        """
        if self.state is not State.OPEN or not self.subscriptions.is_asked(fetch.topic):
            return False
        self._outgoing.fetch(fetch)
        return True

    def behave(self, habits: Habits) -> None:
        """Change how the line behaves."""
        self.habits = self._vigil.habits = self._outgoing.habits = habits

    def current(self, topic: Topic, now: Moment) -> Depth | Ticker:
        """Give the newest good book or price of a topic that is wanted.

        Raises:
            StaleBook, StalePrice: It is not known as it is now.
        """
        known = self.subscriptions.get(topic)
        shelf = None if known is None else known.shelf
        if known is None or shelf is None:
            raise LookupError(f"{topic} holds nothing")
        flaw = shelf.why_not(now.s, self.habits.late_after_s)
        if flaw is None and shelf.held is not None:
            return shelf.held
        stale = StaleBook if topic.channel is Channel.DEPTH else StalePrice
        raise stale(topic.pair, flaw or Flaw.NOTHING_YET, shelf.since)

    def look(self, now: Moment) -> None:
        """Look at the clocks, on a line that may be asleep."""
        self._offset.ahead_s(now)
        self._woken(now)

    # What happens to the line, from its own thread.

    def dialling(self, host: str, now: Moment) -> Reaction:
        """A dial begins; another host than before is worth a word."""
        before, self._teller.host = self.host, host
        moved = self._teller.status("moved", now, cause=self._loss) if before not in ("", host) else None
        return Reaction(statuses=[moved] if moved else [])

    def opened(self, now: Moment) -> Reaction:
        """The line is up: ask for everything that is wanted."""
        if not self._move(Signal.OPENED):
            return Reaction()
        self._opened_s = now.s
        self._has_lived = False
        self.opened_at = now.utc
        self.subscriptions.line_opened()
        self._vigil.line_opened(now)
        self._gate.line_opened()
        self._outgoing.line_opened(now.s)
        reaction = self.tick(now)
        kind: Literal["opened", "reconnected"] = "reconnected" if self._has_opened else "opened"
        outage_s = now.s - self._lost_s if self._has_opened else None
        self._has_opened = True
        reaction.statuses.append(self._teller.status(kind, now, outage_s=outage_s, attempts=self._attempts))
        return reaction

    def lost(self, now: Moment, loss: ConnectionLost) -> Reaction:
        """The line is gone, or could not be made: plan the next dial, or give up."""
        was_open = self.state is State.OPEN
        if not self._move(Signal.LOST):
            return Reaction()
        self.subscriptions.line_lost()
        self._vigil.line_lost(now)
        settled = self._gate.line_lost()
        if self.state is State.CLOSED:
            return Reaction(settled=settled)
        self._loss = loss
        if was_open:
            self._lost_s = now.s
            self._attempts = 0
            self.losses += 1
        refused = loss.cause is Cause.REFUSED or loss.retry_after_s is not None
        wait_s = self._backoff.lost(now.s, refused=refused, not_before_s=loss.retry_after_s)
        status = self._teller.status("lost" if was_open else "failed", now, cause=loss, attempts=self._attempts)
        if wait_s is None:
            self.ended = GaveUp(self._backoff.age_s(now.s), self._backoff.attempts, loss)
            self._move(Signal.GIVE_UP)
            return Reaction(statuses=[status], faults=[self.ended], settled=settled)
        self._due_s = now.s + wait_s
        return Reaction(statuses=[status], settled=settled)

    def received(self, frame: str, now: Moment) -> Reaction:
        """A whole frame came."""
        return self.heard((frame,), now)

    def heard(self, frames: Sequence[str | DecodeError], now: Moment) -> Reaction:
        """Whole frames came together, one that is no text as what is wrong with it; garbage is a sign of life too."""
        self._is_unchanged = False
        jumps = self._jumps
        if not self._hears(now):
            return Reaction()
        reaction = self._incoming.read(frames, now)
        self._is_unchanged = self._incoming.is_plain and self._jumps == jumps
        if self._gate.refusal is not None:
            self.ended = self._gate.refusal
            self.stop(now)
        return reaction

    def tick(self, now: Moment) -> Reaction:
        """Do what time alone asks for: retry, pace, ping, ask, cut."""
        if now.s < self.due_s():
            return Reaction()
        lapsed = self._gate.lapsed(now.s)
        if self.state is State.WAITING and now.s >= self._due_s:
            self._move(Signal.RETRY)
            self._attempts += 1
            self._backoff.dialled()
        elif self.state is State.CLOSING and now.s >= self._due_s:
            self._move(Signal.TIME)
            self.subscriptions.line_lost()
            self._vigil.line_lost(now)
        elif self.state is State.OPEN:
            return self._open_tick(now, lapsed)
        return Reaction(settled=lapsed)

    def _open_tick(self, now: Moment, lapsed: list[Settled]) -> Reaction:
        if now.s >= self._outgoing.cut_s():
            silent_s = now.s - self._outgoing.heard_s
            cut: ConnectionLost | None = ConnectionLost(Cause.SILENT, f"no frame for {silent_s:.0f} s")
        else:
            cut = self._gate.unanswered(now.s)
        reaction = self._keep(now) if cut is None else Reaction(hang_up=cut)
        reaction.settled += lapsed
        return reaction

    def due_s(self) -> float:
        """Tell when `tick` has something to do, on the monotonic clock, if nothing else happens before.

        Infinity means: nothing, however long it takes.
        """
        if self.state in (State.WAITING, State.CLOSING):
            return min(self._due_s, self._gate.lapse_s())
        if self.state is not State.OPEN:
            return self._gate.lapse_s()
        return min(
            self._gate.lapse_s(),
            self._gate.answer_due_s(),
            self._outgoing.cut_s(),
            self._outgoing.due_s(),
            self.subscriptions.unopposed_due_s(self.habits.confirm_s),
            math.inf if self._vigil.is_to_ask() else self._vigil.due_s(),
        )

    def unchanged_s(self, now_s: float) -> float:
        """Tell until when what was heard last can have made nothing due that was not due before; at once, if it may.

        A push puts everything off, and that is due again after `stale_after_s` or `ping_after_s` at the soonest.
        """
        return now_s + min(self.habits.stale_after_s, self.habits.ping_after_s) if self._is_unchanged else now_s

    def refused_for_good(self) -> SubscriptionRefused | None:
        """Give the last refusal when every subscription there is was refused, else None."""
        known = self.subscriptions.all()
        if not known or any(subscription.state is not Subscribed.REFUSED for subscription in known):
            return None
        return known[-1].refusal

    # What an open line sends.

    def _keep(self, now: Moment) -> Reaction:
        """Do what is due on an open line, and send one frame at most."""
        reaction = Reaction()
        for known in self.subscriptions.unopposed(now.s, self.habits.confirm_s):
            reaction.statuses.append(self._teller.status("live", now, topic=known.topic))
        self._vigil.lapsed(now)
        if now.s >= self._outgoing.due_s():
            self._outgoing.take(now, reaction)
            self._vigil.lapsed(now)  # of those that this question stood in front of
        return self._incoming.found(reaction, now)

    # What a frame means.

    def _hears(self, now: Moment) -> bool:
        """Note a sign of life; False when the line is not open, and what still comes on it means nothing."""
        if self.state is not State.OPEN:
            return False
        self._woken(now)
        self._outgoing.heard(now.s)
        self._vigil.heard(now.s)
        if not self._has_lived and now.s - self._opened_s >= LIVED_S and self._gate.is_in:
            self._has_lived = True
            self._backoff.lived()
        return True

    def _woken(self, now: Moment) -> None:
        """Ask at once whether the line lives when the wall clock ran ahead: the computer slept, perhaps."""
        if self._offset.jumps == self._jumps:
            return
        self._jumps = self._offset.jumps
        if self.state is State.OPEN:
            self._outgoing.hurry(now.s)
            self._vigil.alarm(now)

    def _move(self, signal: Signal) -> bool:
        """Change the state as `MOVES` says; False when it names no move."""
        target = MOVES[self.state].get(signal)
        if target is None:
            return False
        self.state = target
        return True
