"""A line under thousands of random histories, held against a small model of the exchange and of what is wanted."""

from __future__ import annotations

import copy
import json
import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import Cause, ConnectionLost, UsageError
from lbank_ws.feed.session import Reaction, Session
from lbank_ws.feed.states import MOVES, Signal, State
from lbank_ws.feed.subscriptions import Subscribed
from tests.test_session import GARBAGE, at, denial, push, read, sample, session_of

PAIRS = ["btc_usdt", "eth_usdt"]
# Few, so that a history comes back to the same ones.
TOPICS = [
    topic("ticker", "btc_usdt"),
    topic("ticker", "eth_usdt"),
    topic("depth", "btc_usdt", levels=10),
    topic("depth", "btc_usdt", levels=50),
    topic("depth", "eth_usdt", levels=10),
    topic("kline", "btc_usdt", interval="1min"),
    topic("kline", "btc_usdt", interval="day"),
]
# The first two pairs are spelt alike in the simple dialect.
SIMPLE_TOPICS = [
    *(topic(channel, pair) for pair in ["ab_cusdt", "abc_usdt"] for channel in ("ticker", "depth", "trade")),
    topic("ticker", "btc_usdt"),
]
GONE = ConnectionLost(Cause.BROKEN, "the cable is out")
REFUSED = ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=5.0)


class Exchange:
    """What the far end of one line has after reading every frame of ours."""

    def __init__(self) -> None:
        self.carries: set[str] = set()
        self.ids: dict[str, str] = {}  # the simple dialect's: which id asked last for a name

    def read(self, frame: str) -> None:
        """Read one frame of V2 or of the simple dialect."""
        fields = json.loads(frame)
        if "sub" in fields:
            self.carries.add(fields["sub"])
            self.ids[fields["sub"]] = fields["id"]
        elif "unsub" in fields:
            self.carries.discard(fields["unsub"])
            self.ids.pop(fields["unsub"], None)
        elif "subscribe" in fields:
            action, name = read(frame).split(" ")
            (self.carries.add if action == "subscribe" else self.carries.discard)(name)

    def refuse(self, pair: str) -> None:
        """Drop every channel of a pair."""
        self.carries = {name for name in self.carries if name.split("/")[1] != pair}


def v2_name(wanted: Topic) -> str:
    """Give what the model's exchange calls a topic."""
    names = {Channel.TICKER: "tick", Channel.KLINE: "kbar"}
    parts = [names.get(wanted.channel, str(wanted.channel)), wanted.pair, wanted.levels, wanted.interval]
    return "/".join(str(part) for part in parts if part is not None)


def simple_name(wanted: Topic) -> str:
    """Give what the simple dialect calls a topic."""
    return f"market.{wanted.pair.replace('_', '')}.{wanted.channel}"


class Line(RuleBasedStateMachine):
    """A session that anything may happen to, at any time, in V2."""

    dialect = "v2"
    topics = TOPICS
    name = staticmethod(v2_name)

    def __init__(self) -> None:
        super().__init__()
        self.session = session_of(dialect=self.dialect, give_up_after_s=300)
        self.exchange = Exchange()
        self.wanted: dict[Topic, Subscribed] = {}
        self.now_s = 0.0
        self.sent_s = -math.inf
        self.state = State.IDLE

    def follow(self, reaction: Reaction) -> Reaction:
        """Let the exchange read what was sent."""
        for frame in reaction.send:
            assert self.session.state is State.OPEN, "a frame was sent on a line that is not open"
            if "pong" not in frame:
                assert self.now_s - self.sent_s > 0.11 - 1e-9, "two frames too close to each other"
                self.sent_s = self.now_s
            self.exchange.read(frame)
        if self.session.state is not State.OPEN:
            self.exchange = Exchange()
        return reaction

    def line_lost(self) -> None:
        """The model's own: what was live waits again."""
        for wanted, state in self.wanted.items():
            if state is Subscribed.LIVE:
                self.wanted[wanted] = Subscribed.WAITING

    @initialize(wanted=st.sets(st.integers(0, len(TOPICS) - 1)), is_open=st.booleans())
    def begin(self, wanted: set[int], is_open: bool) -> None:
        """Half of the histories begin with a line that is open."""
        for index in sorted(wanted):
            self.subscribe(index)
        if is_open:
            self.follow(self.session.start(at(self.now_s)))
            self.state = self.session.state
            self.opened()

    @rule()
    def start(self) -> None:
        """The caller starts it, perhaps again."""
        self.follow(self.session.start(at(self.now_s)))

    @rule()
    def opened(self) -> None:
        """A dial succeeds, or a thread says so too late."""
        if self.session.state is State.CONNECTING:
            self.sent_s = -math.inf
        self.follow(self.session.opened(at(self.now_s)))

    @rule(loss=st.sampled_from([GONE, REFUSED]))
    def lost(self, loss: ConnectionLost) -> None:
        """The line breaks or a dial fails."""
        could_be = self.session.state in (State.OPEN, State.CONNECTING, State.CLOSING)
        self.follow(self.session.lost(at(self.now_s), loss))
        if could_be:
            self.line_lost()

    @rule(after_s=st.floats(0, 12))
    def time_passes(self, after_s: float) -> None:
        """A late tick, or one too many."""
        self.now_s += after_s
        self.tick()

    @precondition(lambda self: self.session.due_s() < math.inf)
    @rule()
    def due(self) -> None:
        """A tick in time."""
        self.now_s = max(self.now_s, self.session.due_s())
        self.tick()

    def tick(self) -> None:
        """Tick, and hang up when the session says so."""
        was_closing = self.session.state is State.CLOSING
        reaction = self.follow(self.session.tick(at(self.now_s)))
        if reaction.hang_up is not None:
            self.lost(reaction.hang_up)
        if was_closing and self.session.state is State.CLOSED:
            self.line_lost()

    @rule(index=st.integers(0, len(TOPICS) - 1))
    def subscribe(self, index: int) -> None:
        """The caller wants a topic, perhaps again."""
        wanted = self.topics[index]
        clashes = any(other != wanted and self.name(other) == self.name(wanted) for other in self.wanted)
        try:
            self.session.subscribe(wanted)
        except UsageError:
            assert clashes
            return
        assert not clashes
        if self.wanted.get(wanted) in (None, Subscribed.REFUSED):
            self.wanted[wanted] = Subscribed.WAITING

    @rule(index=st.integers(0, len(TOPICS) - 1))
    def unsubscribe(self, index: int) -> None:
        """The caller leaves a topic, perhaps one that was never wanted."""
        left = self.topics[index]

        was_wanted = self.session.unsubscribe(left)

        assert was_wanted is (self.wanted.pop(left, None) is not None)

    @rule(index=st.integers(0, len(TOPICS) - 1))
    def push(self, index: int) -> None:
        """Data comes, perhaps for nobody."""
        pushed = self.topics[index]
        was_open = self.session.state is State.OPEN

        reaction = self.follow(self.session.received(push(pushed), at(self.now_s)))

        brought = [known for known, _ in reaction.events]
        assert brought == ([self.meant(pushed)] if was_open and self.meant(pushed) else [])
        for known in brought:
            if self.wanted[known] is Subscribed.WAITING:
                self.wanted[known] = Subscribed.LIVE

    def meant(self, pushed: Topic) -> Topic | None:
        """Give whose data it is: the only depth of a pair takes any count."""
        same = [known for known in self.wanted if known[:2] == pushed[:2]]
        if len(same) == 1 and pushed.channel is Channel.DEPTH:
            return same[0]
        return pushed if pushed in same else None

    @rule(pair=st.sampled_from(PAIRS))
    def denied(self, pair: str) -> None:
        """The exchange refuses a pair."""
        if self.session.state is State.OPEN:
            self.exchange.refuse(pair)
            for wanted in self.wanted:
                if wanted.pair == pair:
                    self.wanted[wanted] = Subscribed.REFUSED
        self.follow(self.session.received(denial(pair), at(self.now_s)))

    @rule(frame=st.sampled_from([sample("v2/ping_2019"), sample("v2/pong_2019"), GARBAGE, "[]", "{}"]))
    def anything_else(self, frame: str) -> None:
        """A ping, a pong or garbage comes."""
        self.follow(self.session.received(frame, at(self.now_s)))

    @rule(really=st.integers(0, 9))
    def stop(self, really: int) -> None:
        """The caller stops it; not too often, for nothing happens afterwards."""
        if really == 0:
            self.follow(self.session.stop(at(self.now_s)))

    @invariant()
    def moves_are_in_the_table(self) -> None:
        """States follow MOVES, two at once only where a loss is the last one; CLOSED has none, so it is final."""
        after = MOVES[self.state]
        reached = {self.state, *after.values()}
        if Signal.LOST in after:
            reached |= {target for signal, target in MOVES[after[Signal.LOST]].items() if signal is Signal.GIVE_UP}
        assert self.session.state in reached
        self.state = self.session.state

    @invariant()
    def wants_what_the_caller_wants(self) -> None:
        """Every wish is known, in order, with the state that the model expects."""
        assert [(known.topic, known.state) for known in self.session.subscriptions.all()] == list(self.wanted.items())

    @invariant()
    def exchange_ends_up_with_what_is_wanted(self) -> None:
        """When the line has sent all that it means to send, the exchange has what is wanted and nothing else."""
        if self.session.state is not State.OPEN:
            return
        session, exchange = copy.deepcopy((self.session, self.exchange))
        now_s = self.now_s
        while session.subscriptions.has_steps():
            session.received(GARBAGE, at(now_s))  # so that it is not cut for silence
            now_s = max(now_s, session.due_s())
            for frame in session.tick(at(now_s)).send:
                exchange.read(frame)

        assert exchange.carries == {
            self.name(wanted) for wanted, state in self.wanted.items() if state is not Subscribed.REFUSED
        }

    @invariant()
    def due_s_never_lies(self) -> None:
        """Nothing happens before it, something happens at it: else the thread sleeps too long, or not at all."""
        due_s = self.session.due_s()
        if due_s > self.now_s:
            early = copy.deepcopy(self.session)
            assert early.tick(at(min(math.nextafter(due_s, -math.inf), 1e9))) == Reaction()
            assert self.shows(early) == self.shows(self.session)
        if due_s < math.inf:
            late = copy.deepcopy(self.session)
            reaction = late.tick(at(max(due_s, self.now_s)))
            assert reaction.send or reaction.hang_up or late.state is not self.session.state
            assert reaction.hang_up or late.due_s() > max(due_s, self.now_s)

    @staticmethod
    def shows(session: Session) -> tuple[object, ...]:
        """Give what a tick could have changed."""
        return session.state, session.due_s(), session.subscriptions.has_steps()


class SimpleLine(Line):
    """The same in the simple dialect, where two topics may be spelt alike and a refusal answers an id."""

    dialect = "simple"
    topics = SIMPLE_TOPICS
    name = staticmethod(simple_name)

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[Topic, str] = {}

    def follow(self, reaction: Reaction) -> Reaction:
        """Note which topic an id was made for: only one of a name can be wanted."""
        for fields in map(json.loads, reaction.send):
            if "sub" in fields:
                (asked,) = [wanted for wanted in self.wanted if self.name(wanted) == fields["sub"]]
                self.ids[asked] = fields["id"]
        return super().follow(reaction)

    @rule(index=st.integers(0, len(TOPICS) - 1))
    def push(self, index: int) -> None:
        """An ack comes for what the exchange carries."""
        name = self.name(self.topics[index])
        if name not in self.exchange.carries:
            return
        self.follow(self.session.received(json.dumps({"status": "ok", "subbed": name}), at(self.now_s)))
        for wanted in self.wanted:
            if self.name(wanted) == name and self.asked_last(wanted) and self.wanted[wanted] is Subscribed.WAITING:
                self.wanted[wanted] = Subscribed.LIVE

    @rule(pair=st.sampled_from(PAIRS), index=st.integers(0, len(TOPICS) - 1))
    def denied(self, pair: str, index: int) -> None:
        """The exchange refuses what it was asked for last under a name."""
        refused = self.topics[index]
        number = self.exchange.ids.get(self.name(refused))
        if number is None or not self.asked_last(refused):
            return
        self.exchange.carries.discard(self.name(refused))
        self.exchange.ids.pop(self.name(refused))
        if refused in self.wanted:
            self.wanted[refused] = Subscribed.REFUSED
        self.follow(
            self.session.received(json.dumps({"status": "error", "id": number, "err-msg": "no"}), at(self.now_s))
        )

    def asked_last(self, asked: Topic) -> bool:
        """Tell whether the exchange heard of a name through this topic; ids belong to topics."""
        return asked in self.ids and self.ids[asked] == self.exchange.ids.get(self.name(asked))


# Nothing is written to disk, and a busy machine is no failure.
_SETTINGS = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
Line.TestCase.settings = _SETTINGS
SimpleLine.TestCase.settings = _SETTINGS
TestLine = Line.TestCase
TestSimpleLine = SimpleLine.TestCase
