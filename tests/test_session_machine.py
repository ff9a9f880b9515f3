"""A line under thousands of random histories, held against a small model of the exchange and of what is wanted."""

from __future__ import annotations

import copy
import json
import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lbank_ws.causes import Cause
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import ConnectionLost, StaleBook, StalePrice, UsageError
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import MOVES, Signal, State
from lbank_ws.feed.wanted import Subscribed
from tests.fuzzing import TIMES
from tests.test_session import GARBAGE, at, denial, read, sample, session_of
from tests.test_vigil import pushed, replied

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
    topic("trade", "btc_usdt"),
]
# The first two pairs are spelt alike in the simple dialect.
SIMPLE_TOPICS = [
    *(topic(channel, pair) for pair in ["ab_cusdt", "abc_usdt"] for channel in ("ticker", "depth", "trade")),
    topic("ticker", "btc_usdt"),
    topic("trade", "btc_usdt"),
]
GONE = ConnectionLost(Cause.BROKEN, "the cable is out")
REFUSED = ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=5.0)
HABITS = Habits()
# Why a line, or a subscription, may be given up for dead.
DEATHS = {Cause.SILENT, Cause.FROZEN, Cause.LATE}


class Exchange:
    """What the far end of one line has after reading every frame of ours."""

    def __init__(self) -> None:
        self.carries: set[str] = set()
        self.asked_s: dict[str, float] = {}  # when it was first asked for what it carries
        self.ids: dict[str, str] = {}  # the simple dialect's: which id asked last for a name

    def read(self, frame: str, now_s: float) -> None:
        """Read one frame of V2 or of the simple dialect; pings and questions change nothing."""
        fields = json.loads(frame)
        if "sub" in fields:
            self.carry(fields["sub"], now_s)
            self.ids[fields["sub"]] = fields["id"]
        elif "unsub" in fields:
            self.drop(fields["unsub"])
        elif "subscribe" in fields:
            action, name = read(frame).split(" ")
            if action == "subscribe":
                self.carry(name, now_s)
            else:
                self.drop(name)

    def carry(self, name: str, now_s: float) -> None:
        """Bring what was asked for, perhaps already."""
        self.carries.add(name)
        self.asked_s.setdefault(name, now_s)

    def drop(self, name: str) -> None:
        """Bring it no more."""
        self.carries.discard(name)
        self.asked_s.pop(name, None)
        self.ids.pop(name, None)

    def refuse(self, pair: str) -> None:
        """Drop every channel of a pair."""
        for name in [name for name in self.carries if name.split("/")[1] == pair]:
            self.drop(name)


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
        self.session = session_of(dialect=self.dialect, habits=HABITS, give_up_after_s=300)
        self.exchange = Exchange()
        self.wanted: dict[Topic, Subscribed] = {}
        self.now_s = 0.0
        self.jumped_s = 0.0  # how far the wall clock ran ahead of the monotonic one so far
        self.sent_s = -math.inf
        self.state = State.IDLE

    def now(self, s: float | None = None) -> Moment:
        """Give this moment, or another one, on both clocks."""
        moment_s = self.now_s if s is None else s
        return Moment(moment_s, at(moment_s + self.jumped_s).ns)

    def follow(self, reaction: Reaction) -> Reaction:
        """Let the exchange read what was sent, believe what is told, and hang up when the session says so."""
        for status in reaction.statuses:
            if status.topic is not None:
                self.believe(status.kind, status.topic, status.cause)
        for frame in reaction.send:
            assert self.session.state is State.OPEN, "a frame was sent on a line that is not open"
            if "pong" not in frame:
                assert self.now_s - self.sent_s > 0.11 - 1e-9, "two frames too close to each other"
                self.sent_s = self.now_s
            self.exchange.read(frame, self.now_s)
        if self.session.state is not State.OPEN:
            self.exchange = Exchange()
        if reaction.hang_up is not None:
            assert reaction.hang_up.cause in DEATHS
            self.lost(reaction.hang_up)
        return reaction

    def hears(self, frame: str) -> Reaction:
        """Let a frame come; whoever then takes `unchanged_s` for when something is due must not sleep through it."""
        before_s = self.session.due_s()
        reaction = self.session.received(frame, self.now())
        look_s = min(before_s, self.session.unchanged_s(self.now_s))
        assert look_s <= self.now_s or self.session.due_s() >= look_s  # whoever looks at once sleeps through nothing
        return reaction

    def believe(self, kind: str, known: Topic, cause: object) -> None:
        """Note what is told of a subscription; it must have been possible."""
        if kind == "live":
            assert self.wanted[known] in (Subscribed.WAITING, Subscribed.STALE)
            self.wanted[known] = Subscribed.LIVE
        elif kind == "stale":
            assert self.wanted[known] is Subscribed.LIVE
            assert isinstance(cause, ConnectionLost)
            assert cause.cause in DEATHS
            self.wanted[known] = Subscribed.STALE
        else:
            assert (kind, self.wanted[known]) == ("refused", Subscribed.REFUSED)

    def line_lost(self) -> None:
        """The model's own: what was live waits again; what was stale stays so until there is proof."""
        for wanted, state in self.wanted.items():
            if state is Subscribed.LIVE:
                self.wanted[wanted] = Subscribed.WAITING

    @initialize(wanted=st.sets(st.integers(0, len(TOPICS) - 1)), is_open=st.booleans())
    def begin(self, wanted: set[int], is_open: bool) -> None:
        """Half of the histories begin with a line that is open."""
        for index in sorted(wanted):
            self.subscribe(index)
        if is_open:
            self.follow(self.session.start(self.now()))
            self.state = self.session.state
            self.opened()

    @rule()
    def start(self) -> None:
        """The caller starts it, perhaps again."""
        self.follow(self.session.start(self.now()))

    @rule()
    def opened(self) -> None:
        """A dial succeeds, or a thread says so too late."""
        if self.session.state is State.CONNECTING:
            self.sent_s = -math.inf
        self.follow(self.session.opened(self.now()))

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

    @rule(price=st.integers(1, 3), count=st.integers(1, 15), replies=st.booleans())
    def a_while_passes(self, price: int, count: int, replies: bool) -> None:
        """Ticks in time, on a line that answers pings, and perhaps questions too."""
        for _ in range(count):
            due_s = self.session.due_s()
            if self.session.state is not State.OPEN or due_s == math.inf:
                return
            self.now_s = max(self.now_s, due_s)
            for frame in self.tick().send:
                for answer in self.answers(json.loads(frame), price, replies=replies):
                    self.follow(self.hears(answer))

    def answers(self, asked: dict[str, str], price: int, *, replies: bool) -> list[str]:
        """Give what the exchange says to a frame of ours."""
        if asked["action"] == "ping":
            return [sample("v2/pong_2019")]
        if asked["action"] != "request" or not replies:
            return []
        parts = [asked["request"], asked["pair"], asked.get("depth") or asked.get("kbar")]
        name = "/".join(part for part in parts if part is not None)
        return [replied(wanted, self.now_s, price) for wanted in self.topics if self.name(wanted) == name]

    def tick(self) -> Reaction:
        """Tick; of what waits for data only trades become live by time alone."""
        was_closing = self.session.state is State.CLOSING
        before, asked_s = dict(self.wanted), dict(self.exchange.asked_s)
        reaction = self.follow(self.session.tick(self.now()))
        if was_closing and self.session.state is State.CLOSED:
            self.line_lost()
        for wanted, state in self.wanted.items():
            if before[wanted] is Subscribed.WAITING and state is not Subscribed.WAITING:
                assert wanted.channel is Channel.TRADE
                assert self.now_s >= asked_s[self.name(wanted)] + HABITS.confirm_s
        return reaction

    @rule(by_s=st.sampled_from([-3600.0, 1.0, 60.0, 3600.0]))
    def wall_clock_is_set(self, by_s: float) -> None:
        """Somebody sets it, or the computer slept; the line looks at the clocks."""
        self.jumped_s += by_s
        self.session.look(self.now())

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

    @rule(index=st.integers(0, len(TOPICS) - 1), price=st.integers(1, 3), age_s=st.sampled_from([0.1, 0.1, 4.0]))
    def push(self, index: int, price: int, age_s: float) -> None:
        """Data comes, perhaps for nobody, perhaps old, perhaps what is known."""
        self.brings(self.topics[index], price, age_s)

    @rule(index=st.integers(0, len(TOPICS) - 1), price=st.integers(1, 3), age_s=st.sampled_from([0.1, 4.0]))
    def pushes(self, index: int, price: int, age_s: float) -> None:
        """Data comes several times in a row."""
        for _ in range(4):
            self.brings(self.topics[index], price, age_s)
            self.now_s += 3

    def brings(self, brought: Topic, price: int, age_s: float) -> None:
        """Let a push come; whatever it says, nothing waits for a first one any more."""
        meant = self.meant(brought) if self.session.state is State.OPEN else None

        frame = pushed(brought, self.now_s, price, age_s=age_s)
        reaction = self.hears(frame)
        told = [status.kind for status in reaction.statuses if status.topic == meant]
        was_waiting = meant is not None and self.wanted[meant] is Subscribed.WAITING
        self.follow(reaction)

        assert [known for known, _ in reaction.events] == ([] if meant is None else [meant])
        assert (told[:1] == ["live"]) or not was_waiting

    @rule(index=st.integers(0, len(TOPICS) - 1), price=st.integers(1, 3))
    def answered(self, index: int, price: int) -> None:
        """An answer comes, whether or not somebody asked; a ticker's is a push."""
        wanted = self.topics[index]
        if wanted.channel is Channel.TICKER:
            self.brings(wanted, price, 0.1)
        else:
            self.follow(self.hears(replied(wanted, self.now_s, price)))

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
        self.follow(self.hears(denial(pair)))

    @rule(frame=st.sampled_from([sample("v2/ping_2019"), sample("v2/pong_2019"), GARBAGE, "[]", "{}"]))
    def anything_else(self, frame: str) -> None:
        """A ping, a pong or garbage comes."""
        self.follow(self.hears(frame))

    @rule(really=st.integers(0, 9))
    def stop(self, really: int) -> None:
        """The caller stops it; not too often, for nothing happens afterwards."""
        if really == 0:
            self.follow(self.session.stop(self.now()))

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
            session.received(GARBAGE, self.now(now_s))  # so that it is not cut for silence
            now_s = max(now_s, session.due_s())
            reaction = session.tick(self.now(now_s))
            for frame in reaction.send:
                exchange.read(frame, now_s)
            if reaction.hang_up is not None:
                return  # the next line begins anew

        assert exchange.carries == {
            self.name(wanted) for wanted, state in self.wanted.items() if state is not Subscribed.REFUSED
        }

    @invariant()
    def due_s_never_lies(self) -> None:
        """Nothing happens before it, something happens at it: else the thread sleeps too long, or not at all."""
        due_s = self.session.due_s()
        if due_s > self.now_s:
            early = copy.deepcopy(self.session)
            assert early.tick(self.now(min(math.nextafter(due_s, -math.inf), 1e9))) == Reaction()
            assert self.shows(early) == self.shows(self.session)
        if due_s < math.inf:
            late = copy.deepcopy(self.session)
            reaction = late.tick(self.now(max(due_s, self.now_s)))
            assert reaction != Reaction() or self.shows(late)[0] != self.shows(self.session)[0]
            assert reaction.hang_up or late.due_s() > max(due_s, self.now_s)

    @invariant()
    def quiet_trades_are_live_in_time(self) -> None:
        """Two seconds without an error are enough, and the thread must not sleep through them."""
        for wanted, state in self.wanted.items():
            if wanted.channel is Channel.TRADE and state is Subscribed.WAITING:
                asked_s = self.exchange.asked_s.get(self.name(wanted), math.inf)
                assert not self.asked_last(wanted) or self.session.due_s() <= asked_s + HABITS.confirm_s

    @invariant()
    def nothing_stale_is_served(self) -> None:
        """A book or a price is given on an open line, of a live subscription, and on time; else it is an error."""
        for wanted, state in self.wanted.items():
            if wanted.channel not in (Channel.DEPTH, Channel.TICKER):
                continue
            try:
                served = self.session.current(wanted, self.now())
            except (StaleBook, StalePrice):
                continue
            assert self.session.state in (State.OPEN, State.CLOSING)
            assert state is Subscribed.LIVE
            assert not served.late

    def asked_last(self, asked: Topic) -> bool:
        """Tell whether what the exchange heard of a name was meant for this topic."""
        return True

    @staticmethod
    def shows(session: Session) -> tuple[object, ...]:
        """Give what a tick could have changed; first what it may change without a word."""
        watches = [(known.watch.stage, known.watch.is_suspected) for known in session.subscriptions.all()]
        return (session.state, watches), session.due_s(), session.subscriptions.has_steps()


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

    def brings(self, brought: Topic, price: int, age_s: float) -> None:
        """An ack comes for what the exchange carries; what it says or how old it is plays no part."""
        name = self.name(brought)
        if name not in self.exchange.carries:
            return
        meant = [
            wanted
            for wanted, state in self.wanted.items()
            if self.name(wanted) == name and self.asked_last(wanted) and state is Subscribed.WAITING
        ]

        self.follow(self.session.received(json.dumps({"status": "ok", "subbed": name}), self.now()))

        assert all(self.wanted[wanted] is Subscribed.LIVE for wanted in meant)

    def answers(self, asked: dict[str, str], price: int, *, replies: bool) -> list[str]:
        """Only pings are answered."""
        return ['{"pong":1}'] if "ping" in asked else []

    @rule()
    def answered(self) -> None:
        """There are no questions to answer."""

    @rule(pair=st.sampled_from(PAIRS), index=st.integers(0, len(TOPICS) - 1))
    def denied(self, pair: str, index: int) -> None:
        """The exchange refuses what it was asked for last under a name."""
        refused = self.topics[index]
        number = self.exchange.ids.get(self.name(refused))
        if number is None or not self.asked_last(refused):
            return
        self.exchange.drop(self.name(refused))
        if refused in self.wanted:
            self.wanted[refused] = Subscribed.REFUSED
        self.follow(self.session.received(json.dumps({"status": "error", "id": number, "err-msg": "no"}), self.now()))

    def asked_last(self, asked: Topic) -> bool:
        """Two topics may share a name; an id belongs to one of them."""
        return asked in self.ids and self.ids[asked] == self.exchange.ids.get(self.name(asked))


# Nothing is written to disk, and a busy machine is no failure.
_SETTINGS = settings(
    max_examples=200 * TIMES,
    stateful_step_count=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
Line.TestCase.settings = _SETTINGS
SimpleLine.TestCase.settings = _SETTINGS
TestLine = Line.TestCase
TestSimpleLine = SimpleLine.TestCase
