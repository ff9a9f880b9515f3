"""What the frames of an open line mean.

Decided here: what follows from each kind of message. What a frame says is decided in `wire/`, what is made of an event
in `vigil.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lbank_ws.causes import Cause
from lbank_ws.channels import Topic
from lbank_ws.errors import ConnectionLost, DecodeError, Refused
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.gate import Gate
from lbank_ws.feed.listing import Listing
from lbank_ws.feed.questions import Questions
from lbank_ws.feed.reaction import Reaction, Teller
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.vigil import Vigil
from lbank_ws.wire import Ack, Denial, Dialect, Ignored, LogInReply, Message, OrderReply, Ping, Push, Reply


class Incoming:
    """Reads the frames of one line. Used under the line's lock.

    Attributes:
        ignored: How many frames were well-formed and meant nothing, or were for nobody.
        is_plain: Whether what was read last holds nothing but pushes that were handed on as they are.
    """

    def __init__(
        self,
        dialect: Dialect,
        subscriptions: Subscriptions,
        vigil: Vigil,
        gate: Gate,
        questions: Questions,
        listing: Listing,
        teller: Teller,
    ) -> None:
        self.ignored = 0
        self.is_plain = False
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._vigil = vigil
        self._gate = gate
        self._questions = questions
        self._listing = listing
        self._teller = teller

    def read(self, frames: Sequence[str | DecodeError], now: Moment) -> Reaction:
        """Give what follows from frames that came together."""
        reaction = Reaction()
        receipt = self._vigil.receipt(now)
        receipt.line = self._teller.line
        messages: list[Message] = []
        decode = self._dialect.decode
        for frame in frames:
            if isinstance(frame, DecodeError):
                reaction.faults.append(frame)
                continue
            try:
                messages.append(decode(frame, receipt))
            except DecodeError as error:
                reaction.faults.append(error)
        vigil = self._vigil
        vigil.stamp(receipt, messages, now)
        self.is_plain = True
        vigil.has_decided = False
        for message in messages:
            if isinstance(message, Push):
                for event in message.events:
                    if (wanted := vigil.push(event, now)) is not None:
                        reaction.events.append(wanted)
                    else:
                        self.ignored += 1
            else:
                self.is_plain = False
                self._act(message, reaction, now)
            if vigil.renewal is not None:
                break  # the line is cut; what came with it is behind what was lost
        if vigil.has_decided:
            self.is_plain = False
        return self.found(reaction, now)

    def _act(self, message: Message, reaction: Reaction, now: Moment) -> None:
        match message:
            case Ping():
                # The exchange hangs up a minute after an unanswered ping, and a callback may take longer than that;
                # so the pong leaves from the socket thread. Source: docs/reference/wire.md, "V2 heartbeat".
                reaction.send.append(message.answer)
            case Ack():
                self._ack(message, reaction, now)
            case Denial():
                self._denial(message, reaction, now)
            case Reply():
                if (fetch := self._questions.take(message, now.s)) is not None:
                    reaction.answers.append((fetch, message.events))
                else:
                    self.ignored += not self._vigil.reply(message, now)
            case LogInReply():
                refusal = self._gate.logged_in(message)
                if refusal is not None:
                    reaction.faults.append(refusal)
            case OrderReply():
                settled = self._gate.replied(message)
                if settled is None:
                    self.ignored += 1
                else:
                    reaction.settled.append(settled)
            case Ignored():
                self.ignored += 1

    def found(self, reaction: Reaction, now: Moment) -> Reaction:
        """Add what became of subscriptions, and of the line for their sake."""
        if self._vigil.findings:
            for finding in self._vigil.findings:
                reaction.statuses.append(
                    self._teller.status(finding.kind, now, topic=finding.topic, cause=finding.cause)
                )
            self._vigil.findings.clear()
        reaction.hang_up = self._vigil.renewal
        return reaction

    def keyed(self, key: str | None, now: Moment) -> Reaction:
        """Take a new subscribe key, or none."""
        reaction = Reaction()
        self._keyed(key, reaction, now)
        return reaction

    def account_refused(self, code: int | None, reason: str, advice: str, now: Moment) -> Reaction:
        """Take it that the exchange gives no subscribe key, and will not."""
        reaction = Reaction()
        self._refuse(self._subscriptions.of_account(), code, reason, advice, reaction, now)
        return reaction

    def _keyed(self, key: str | None, reaction: Reaction, now: Moment) -> None:
        self._vigil.changed()
        for known in self._subscriptions.keyed(key):
            cause = ConnectionLost(Cause.REFUSED, "its subscribe key has ended")
            reaction.statuses.append(self._teller.status("stale", now, topic=known.topic, cause=cause))

    def _refuse(
        self,
        topics: Sequence[Topic],
        code: int | None,
        reason: str,
        advice: str | None,
        reaction: Reaction,
        now: Moment,
    ) -> None:
        for topic in topics:
            words = self._listing.advice(topic.pair) if advice is None else advice
            refusal = self._subscriptions.denied(topic, code, reason, words)
            if refusal is not None:
                reaction.faults.append(refusal)
                reaction.statuses.append(self._teller.status("refused", now, topic=topic, cause=refusal))
        self._vigil.denied(topics, now)

    def _ack(self, message: Ack, reaction: Reaction, now: Moment) -> None:
        if message.joined and message.topic is not None and self._is_wanted(message.topic):
            self._vigil.acknowledged(message.topic)
            if self._subscriptions.arrived(message.topic):
                reaction.statuses.append(self._teller.status("live", now, topic=message.topic))

    def _denial(self, message: Denial, reaction: Reaction, now: Moment) -> None:
        if message.is_about_key and self._subscriptions.of_account():
            reaction.bad_key = self._subscriptions.key_failed()
            if reaction.bad_key is not None:
                self._keyed(None, reaction, now)
            return
        denied = [message.topic] if message.topic is not None else []
        denied += self._subscriptions.of_pairs(message.pairs)
        self._refuse(denied, message.code, message.reason, None, reaction, now)
        if not denied:
            reaction.faults.append(Refused(message.code, message.reason))

    def _is_wanted(self, topic: Topic) -> bool:
        return topic in self._subscriptions.named(topic.channel, topic.pair)
