"""What the frames of an open line mean.

Decided here: what follows from each kind of message. What a frame says is decided in `wire/`, what is made of an event
in `vigil.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lbank_ws.channels import Topic
from lbank_ws.errors import DecodeError, Refused
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.listing import Listing
from lbank_ws.feed.questions import Questions
from lbank_ws.feed.reaction import Reaction, Teller
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.vigil import Vigil
from lbank_ws.wire import Ack, Denial, Dialect, Ignored, Message, Ping, Push, Reply


class Incoming:
    """Reads the frames of one line. Used under the line's lock.

    Attributes:
        ignored: How many frames were well-formed and meant nothing, or were for nobody.
    """

    def __init__(
        self,
        dialect: Dialect,
        subscriptions: Subscriptions,
        vigil: Vigil,
        questions: Questions,
        listing: Listing,
        teller: Teller,
    ) -> None:
        self.ignored = 0
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._vigil = vigil
        self._questions = questions
        self._listing = listing
        self._teller = teller

    def read(self, frames: Sequence[str | DecodeError], now: Moment) -> Reaction:
        """Give what follows from frames that came together."""
        reaction = Reaction()
        receipt = self._vigil.receipt(now)
        receipt.line = self._teller.line
        messages: list[Message] = []
        for frame in frames:
            if isinstance(frame, DecodeError):
                reaction.faults.append(frame)
                continue
            try:
                messages.append(self._dialect.decode(frame, receipt))
            except DecodeError as error:
                reaction.faults.append(error)
        self._vigil.stamp(receipt, messages, now)
        for message in messages:
            self._act(message, reaction, now)
            if self._vigil.renewal is not None:
                break  # the line is cut; what came with it is behind what was lost
        self.found(reaction, now)
        return reaction

    def _act(self, message: Message, reaction: Reaction, now: Moment) -> None:
        match message:
            case Push():
                for event in message.events:
                    wanted = self._vigil.push(event, now)
                    if wanted is None:
                        self.ignored += 1
                    else:
                        reaction.events.append(wanted)
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

    def _ack(self, message: Ack, reaction: Reaction, now: Moment) -> None:
        if message.joined and message.topic is not None and self._is_wanted(message.topic):
            self._vigil.acknowledged(message.topic)
            if self._subscriptions.arrived(message.topic):
                reaction.statuses.append(self._teller.status("live", now, topic=message.topic))

    def _denial(self, message: Denial, reaction: Reaction, now: Moment) -> None:
        denied = [message.topic] if message.topic is not None else []
        denied += self._subscriptions.of_pairs(message.pairs)
        for topic in denied:
            refusal = self._subscriptions.denied(topic, message.code, message.reason, self._listing.advice(topic.pair))
            if refusal is not None:
                reaction.faults.append(refusal)
                reaction.statuses.append(self._teller.status("refused", now, topic=topic, cause=refusal))
        self._vigil.denied(denied, now)
        if not denied:
            reaction.faults.append(Refused(message.code, message.reason))

    def _is_wanted(self, topic: Topic) -> bool:
        return topic in self._subscriptions.named(topic.channel, topic.pair)
