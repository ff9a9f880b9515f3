"""What a line decides about everything that can happen to it, without a socket, a thread or a clock."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lbank_ws.causes import Cause
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import ConnectionLost, DecodeError, GaveUp, Refused, StalePrice, SubscriptionRefused
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import MOVES, Signal, State
from lbank_ws.feed.wanted import Subscribed
from lbank_ws.wire import dialect_named

SAMPLES = Path(__file__).parent / "samples"
GARBAGE = '{"type":"tick"'
APART_S = Habits().send_apart_s

BTC_TICKER = topic("ticker", "btc_usdt")
BTC_TRADE = topic("trade", "btc_usdt")
BTC_DEPTH = topic("depth", "btc_usdt", levels=100)
BTC_DEPTH_10 = topic("depth", "btc_usdt", levels=10)
BTC_BARS = topic("kline", "btc_usdt", interval="1min")
ETH_TICKER = topic("ticker", "eth_usdt")
ETH_DEPTH = topic("depth", "eth_usdt", levels=100)

GONE = ConnectionLost(Cause.BROKEN, "the cable is out")


def at(s: float) -> Moment:
    """Give the moment at so many seconds."""
    return Moment(s, 1_700_000_000_000_000_000 + round(s * 1e9))


def sample(name: str) -> str:
    """Give the frame of a sample, without its ending: `v2/ping_2019`."""
    frame: str = json.loads((SAMPLES / f"{name}.json").read_text())["frame"]
    return frame


def push(wanted: Topic) -> str:
    """Give V2's push for a topic: a sample with another pair, depth or interval."""
    names = {
        Channel.TICKER: "v2/tick_eth_btc_2019",
        Channel.DEPTH: "v2/depth_coinalpha_hbot_2022",
        Channel.TRADE: "v2/trade_btc_usdt_2019",
        Channel.KLINE: "v2/kbar_btc_usdt_2026",
    }
    fields = json.loads(sample(names[wanted.channel])) | {"pair": wanted.pair}
    if wanted.channel is Channel.DEPTH:
        fields["count"] = wanted.levels
    if wanted.channel is Channel.KLINE:
        fields["kbar"]["slot"] = wanted.interval
    return json.dumps(fields)


def denial(pair: str) -> str:
    """Give V2's refusal of a pair."""
    return sample("v2/error_unknown_pair_2025").replace("aiausdt", pair)


def read(frame: str) -> str:
    """Read a frame of ours in words: `subscribe depth/btc_usdt/100`."""
    fields = json.loads(frame)
    if "subscribe" not in fields:
        return frame
    channel = fields["subscribe"]
    parts = [channel, fields["pair"], fields.get("depth") or fields.get("kbar")]
    return f"{fields['action']} " + "/".join(part for part in parts if part is not None)


def read_all(frames: Sequence[str]) -> list[str]:
    """Read frames of ours in words."""
    return [read(frame) for frame in frames]


def longest(_low: float, high: float) -> float:
    """Make every wait as long as it can be."""
    return high


def session_of(*wanted: Topic, dialect: str = "v2", habits: Habits | None = None, **waits: float) -> Session:
    """Give a session that wants these topics, whose waits are 1, 2, 3, 3, ... seconds, and that suspects nothing."""
    patient = Habits(stale_after_s=math.inf)
    session = Session(dialect_named(dialect), Backoff(uniform=longest, **waits), habits or patient)
    session.subscribe(*wanted)
    return session


def opened_session(*wanted: Topic, dialect: str = "v2", habits: Habits | None = None, **waits: float) -> Session:
    """Give a session whose line opened at second 0 and has asked for everything at second 1 (for up to ten topics)."""
    session = session_of(*wanted, dialect=dialect, habits=habits, **waits)
    session.start(at(0))
    session.opened(at(0))
    sent(session, since_s=0, until_s=1)
    return session


def sent(session: Session, *, since_s: float, until_s: float) -> list[tuple[float, str]]:
    """Tick whenever the session says so, and give the frames that leave, each with its second."""
    frames = []
    now_s = max(since_s, session.due_s())
    while now_s <= until_s:
        frames += [(now_s, frame) for frame in session.tick(at(now_s)).send]
        later_s = session.due_s()
        assert later_s > now_s, "a tick at due_s leaves nothing that is due"
        now_s = later_s
    return frames


def after(session: Session, until_s: float) -> list[str]:
    """Give what leaves until then, in words."""
    return [read(frame) for _, frame in sent(session, since_s=0, until_s=until_s)]


def session_in(state: State) -> Session:
    """Give a session in a state, at second 10, that wants a ticker."""
    session = session_of(BTC_TICKER)
    before: dict[State, list[Callable[[], object]]] = {
        State.IDLE: [],
        State.CONNECTING: [lambda: session.start(at(10))],
        State.OPEN: [lambda: session.start(at(10)), lambda: session.opened(at(10))],
        State.WAITING: [lambda: session.start(at(10)), lambda: session.lost(at(10), GONE)],
        State.CLOSING: [
            lambda: session.start(at(10)),
            lambda: session.opened(at(10)),
            lambda: session.stop(at(10)),
        ],
        State.CLOSED: [lambda: session.stop(at(10))],
    }
    for step in before[state]:
        step()
    assert session.state is state
    return session


INPUTS: dict[str, Callable[[Session], Reaction]] = {
    "start": lambda session: session.start(at(11)),
    "opened": lambda session: session.opened(at(11)),
    "lost": lambda session: session.lost(at(11), GONE),
    "time": lambda session: session.tick(at(12)),
    "stop": lambda session: session.stop(at(11)),
}
LEADS_TO: dict[tuple[State, str], State] = {
    (State.IDLE, "start"): State.CONNECTING,
    (State.IDLE, "stop"): State.CLOSED,
    (State.CONNECTING, "opened"): State.OPEN,
    (State.CONNECTING, "lost"): State.WAITING,
    (State.CONNECTING, "stop"): State.CLOSED,
    (State.OPEN, "lost"): State.WAITING,
    (State.OPEN, "stop"): State.CLOSING,
    (State.WAITING, "time"): State.CONNECTING,
    (State.WAITING, "stop"): State.CLOSED,
    (State.CLOSING, "lost"): State.CLOSED,
    (State.CLOSING, "time"): State.CLOSED,
}


def looks(session: Session) -> tuple[object, ...]:
    """Give all that can be seen of a session."""
    known = [(each.topic, each.state, each.refusal) for each in session.subscriptions.all()]
    return session.state, session.due_s(), session.ended, session.ignored, known, session.subscriptions.has_steps()


class TestMoves:
    """The table of states."""

    def test_every_state_has_a_row(self):
        """A missing row would be a KeyError on the socket thread."""
        assert set(MOVES) == set(State)

    @pytest.mark.parametrize("state", State)
    @pytest.mark.parametrize("name", INPUTS)
    def test_an_input_leads_where_the_table_says(self, state: State, name: str):
        """Every cell of the table, also the empty ones: those change nothing and ask for nothing."""
        session = session_in(state)
        before = looks(session)

        reaction = INPUTS[name](session)

        if (state, name) in LEADS_TO:
            assert session.state is LEADS_TO[state, name]
        else:
            assert looks(session) == before
            assert reaction == Reaction()

    def test_the_tests_table_and_the_codes_table_are_one(self):
        """The diagram in the docs is drawn from MOVES, so MOVES must hold every move and no other."""
        names = {
            "start": Signal.START,
            "opened": Signal.OPENED,
            "lost": Signal.LOST,
            "stop": Signal.STOP,
        }
        times = {State.WAITING: Signal.RETRY, State.CLOSING: Signal.TIME}
        tried: dict[State, dict[Signal, State]] = {state: {} for state in State}
        for (state, name), target in LEADS_TO.items():
            tried[state][names[name] if name != "time" else times[state]] = target
        # A give-up follows a loss in the same breath: TestGiveUp.
        tried[State.WAITING][Signal.GIVE_UP] = State.CLOSED

        assert tried == MOVES

    @pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
    @pytest.mark.parametrize(
        "frame",
        [push(BTC_TICKER), sample("v2/ping_2019"), denial("btc_usdt"), GARBAGE],
        ids=["push", "ping", "no", "x"],
    )
    def test_frames_count_on_an_open_line_only(self, state: State, frame: str):
        """What is read while the line closes must not send, nor reach callbacks after stop()."""
        session = session_in(state)
        before = looks(session)

        reaction = session.received(frame, at(11))

        assert reaction == Reaction()
        assert looks(session) == before


class TestLifeOfALine:
    """Opening, losing, coming back."""

    def test_reopened_session_asks_again_for_what_was_wanted(self):
        """A dropped line must not silently end a subscription."""
        session = opened_session(BTC_TICKER, BTC_DEPTH)
        session.lost(at(5), GONE)
        session.tick(at(6))

        reaction = session.opened(at(6))

        assert read_all(reaction.send) + after(session, 7) == [
            "subscribe tick/btc_usdt",
            "subscribe depth/btc_usdt/100",
        ]

    def test_reopened_session_asks_for_nothing_else(self):
        """Refused and left ones stay away, and an end that was not sent yet need not be sent on the new line."""
        session = opened_session(BTC_TICKER, ETH_TICKER, BTC_DEPTH, ETH_DEPTH, BTC_BARS)
        session.unsubscribe(BTC_DEPTH)
        after(session, 2)
        session.unsubscribe(BTC_BARS)
        session.received(denial("eth_usdt"), at(2))
        session.lost(at(2), GONE)
        session.tick(at(3))

        reaction = session.opened(at(3))

        assert read_all(reaction.send) + after(session, 10) == ["subscribe tick/btc_usdt"]

    def test_opened_asks_in_the_order_of_wanting(self):
        """The first pair of a script is the one its author waits for."""
        session = session_of(ETH_TICKER, BTC_TICKER, BTC_BARS)
        session.subscribe(BTC_TRADE)
        session.start(at(0))

        reaction = session.opened(at(0))

        assert read_all(reaction.send) + after(session, 1) == [
            "subscribe tick/eth_usdt",
            "subscribe tick/btc_usdt",
            "subscribe kbar/btc_usdt/1min",
            "subscribe trade/btc_usdt",
        ]

    def test_frames_leave_a_tenth_of_a_second_apart(self):
        """The exchange may cut a client that is faster (wire.md, "Limits")."""
        session = session_of(*(topic("ticker", f"a{number}_usdt") for number in range(5)))
        session.start(at(0))
        session.opened(at(0))

        moments = [moment_s for moment_s, _ in sent(session, since_s=0, until_s=10)]

        assert moments == pytest.approx([number * APART_S for number in (1, 2, 3, 4)])

    def test_never_more_than_ten_frames_in_a_second(self):
        """Also when our own ping falls among two hundred subscriptions that nobody answers."""
        session = session_of(*(topic("depth", f"a{number}_usdt") for number in range(200)))
        session.start(at(0))
        frames = [(0.0, frame) for frame in session.opened(at(0)).send]

        frames += sent(session, since_s=0, until_s=29)

        moments = [moment_s for moment_s, _ in frames]
        assert any('"ping"' in frame for _, frame in frames)
        assert len(frames) > 200
        # A sum of floats may end some 1e-13 off.
        assert all(eleventh - first > 1 - 1e-9 for first, eleventh in zip(moments, moments[10:], strict=False))

    def test_a_late_tick_sends_one_frame_and_not_all_that_are_due(self):
        """After a stall the frames must not leave in a burst."""
        session = session_of(BTC_TICKER, BTC_DEPTH, BTC_TRADE)
        session.start(at(0))
        session.opened(at(0))

        reaction = session.tick(at(5))

        assert read_all(reaction.send) == ["subscribe depth/btc_usdt/100"]
        assert session.due_s() == pytest.approx(5 + APART_S)

    def test_a_stopped_line_serves_no_price_whose_close_was_not_answered(self):
        """What is held when the time for a polite end is over will never be renewed."""
        session = opened_session(BTC_TICKER)
        session.received(push(BTC_TICKER), at(2))
        session.stop(at(3))

        session.tick(at(session.due_s()))

        assert session.state is State.CLOSED
        with pytest.raises(StalePrice):
            session.current(BTC_TICKER, at(4))

    def test_a_stopped_line_closes_within_its_time(self):
        """A peer that does not answer our goodbye must not hold up stop()."""
        session = opened_session(BTC_TICKER, habits=Habits(close_s=0.5))
        session.received(push(BTC_TICKER), at(2))
        session.stop(at(3))

        session.tick(at(3.4))
        before = session.state
        session.tick(at(3.5))

        assert (before, session.state) == (State.CLOSING, State.CLOSED)
        assert session.subscriptions.all()[0].state is Subscribed.WAITING

    @pytest.mark.parametrize("state", [State.OPEN, State.CLOSING, State.CLOSED])
    def test_stopping_twice_is_stopping_once(self, state: State):
        """`with` calls stop() behind the user's own."""
        session = session_in(state)
        session.stop(at(10.1))
        due_s = session.due_s()

        session.stop(at(10.2))

        assert session.due_s() == due_s
        assert session.state in (State.CLOSING, State.CLOSED)


# Each row: what is done to one ticker, and which frames leave because of it.
STORIES: dict[str, tuple[str, list[str]]] = {
    "wanted before the start": ("want start open send", ["subscribe"]),
    "wanted while connecting": ("start want open send", ["subscribe"]),
    "wanted on an open line": ("start open want send", ["subscribe"]),
    "wanted while waiting": ("start open lose want retry open send", ["subscribe"]),
    "wanted while dialling again": ("start open lose retry want open send", ["subscribe"]),
    "wanted after the stop": ("start open stop want send", []),
    "wanted after the end": ("stop want send", []),
    "wanted twice before it was sent": ("want want start open send", ["subscribe"]),
    "wanted twice, after it was sent too": ("want start open want send", ["subscribe"]),
    "left before the start": ("want leave start open send", []),
    "left while connecting": ("want start leave open send", []),
    "left before it was sent": ("start open want leave send", []),
    "left after it was sent": ("want start open leave send", ["subscribe", "unsubscribe"]),
    "left twice": ("want start open leave leave send", ["subscribe", "unsubscribe"]),
    "left twice, once it was sent": ("want start open leave send leave send", ["subscribe", "unsubscribe"]),
    "left while waiting": ("want start open lose leave retry open send", ["subscribe"]),
    "left, line lost before the end was sent": ("want start open leave lose retry open send", ["subscribe"]),
    "left after the stop": ("want start open stop leave send", ["subscribe"]),
    "left, never wanted": ("start open leave send", []),
    "left and wanted before the start": ("want leave want start open send", ["subscribe"]),
    "left and wanted before it was sent": ("start open want leave want send", ["subscribe"]),
    "left and wanted before the end was sent": ("want start open leave want send", ["subscribe"]),
    "left and wanted three times": ("want start open leave want leave want leave want send", ["subscribe"]),
    "left, wanted and left": ("want start open leave want leave send", ["subscribe", "unsubscribe"]),
    "left and wanted after the end was sent": (
        "want start open leave send want send",
        ["subscribe", "unsubscribe", "subscribe"],
    ),
    "left, wanted and left after the end was sent": (
        "want start open leave send want leave send",
        ["subscribe", "unsubscribe"],
    ),
    "left and wanted while waiting": ("want start open lose leave want retry open send", ["subscribe", "subscribe"]),
    "line lost before it was sent": ("start open want lose retry open send", ["subscribe"]),
    "line lost after it was sent": ("want start open send lose retry open send", ["subscribe", "subscribe"]),
    "dial failed": ("want start lose retry open send", ["subscribe"]),
}


class TestWantingAndLeaving:
    """What leaves for a topic, in whatever order and state it is wanted and left."""

    @pytest.mark.parametrize("name", STORIES)
    def test_the_line_sends_just_what_the_story_needs(self, name: str):
        """One frame too few is a silent feed, one too many a duplicate."""
        session = session_of()
        moments = iter([3, 6, 9, 12])
        now = at(0)
        steps: dict[str, Callable[[], object]] = {
            "want": lambda: session.subscribe(BTC_TICKER),
            "leave": lambda: session.unsubscribe(BTC_TICKER),
            "start": lambda: session.start(now),
            "open": lambda: session.opened(now),
            "lose": lambda: session.lost(now, GONE),
            "retry": lambda: session.tick(now),
            "send": lambda: session.tick(now),
            "stop": lambda: session.stop(now),
        }
        frames = []
        for step in STORIES[name][0].split():
            if step in ("send", "retry", "lose"):
                now = at(next(moments))
            reaction = steps[step]()
            frames += reaction.send if isinstance(reaction, Reaction) else []

        assert read_all(frames) == [f"{word} tick/btc_usdt" for word in STORIES[name][1]]

    def test_wanting_again_gives_the_same_subscription(self):
        """Two decorators on one topic are one subscription."""
        session = session_of()

        first, second = session.subscribe(BTC_TICKER), session.subscribe(BTC_TICKER, BTC_TRADE)

        assert second[0] is first[0]
        assert [known.topic for known in session.subscriptions.all()] == [BTC_TICKER, BTC_TRADE]

    def test_leaving_tells_whether_it_was_wanted(self):
        """`unsubscribe` must tell a typing mistake from an end."""
        session = session_of(BTC_TICKER)

        told = [session.unsubscribe(ETH_TICKER), session.unsubscribe(BTC_TICKER), session.unsubscribe(BTC_TICKER)]

        assert told == [False, True, False]

    def test_leaving_one_topic_leaves_the_others_alone(self):
        """Ends are sent for what was left, in its own place in the queue."""
        session = opened_session(BTC_TICKER, ETH_TICKER, BTC_DEPTH)

        session.unsubscribe(BTC_DEPTH)
        session.unsubscribe(BTC_TICKER)

        assert after(session, 3) == ["unsubscribe depth/btc_usdt/100", "unsubscribe tick/btc_usdt"]
        assert [known.topic for known in session.subscriptions.all()] == [ETH_TICKER]


class TestData:
    """What a push, an ack or anything else on the line means."""

    @pytest.mark.parametrize("wanted", [BTC_TICKER, BTC_DEPTH, BTC_TRADE, BTC_BARS], ids=str)
    def test_first_push_makes_a_subscription_live(self, wanted: Topic):
        """V2 acknowledges nothing, so data is the only proof."""
        session = opened_session(wanted)
        before = session.subscriptions.all()[0].state

        reaction = session.received(push(wanted), at(2))

        assert (before, session.subscriptions.all()[0].state) == (Subscribed.WAITING, Subscribed.LIVE)
        assert [(known, event.pair) for known, event in reaction.events] == [(wanted, "btc_usdt")]
        assert reaction.events[0][1].received_ns == at(2).ns

    def test_lost_line_makes_live_subscriptions_wait(self):
        """`live` must never be said of a line that is gone."""
        session = opened_session(BTC_TICKER, ETH_TICKER)
        session.received(push(BTC_TICKER), at(2))

        session.lost(at(3), GONE)

        assert [known.state for known in session.subscriptions.all()] == [Subscribed.WAITING, Subscribed.WAITING]

    def test_ack_makes_a_subscription_live(self):
        """The simple dialect may acknowledge before there is data."""
        session = opened_session(BTC_TICKER, dialect="simple")

        reaction = session.received(sample("simple/ack_sub"), at(2))

        assert session.subscriptions.all()[0].state is Subscribed.LIVE
        assert [(status.kind, status.topic) for status in reaction.statuses] == [("live", BTC_TICKER)]
        assert reaction == Reaction(statuses=reaction.statuses)

    @pytest.mark.parametrize(
        "frame",
        [
            sample("simple/ack_unsub").replace("depth", "ticker"),
            '{"status":"ok"}',
            '{"status":"ok","subbed":"market.ethusdt.ticker"}',
        ],
        ids=["of an end", "of nothing", "of another"],
    )
    def test_other_acks_confirm_nothing(self, frame: str):
        """An ack must name what it confirms."""
        session = opened_session(BTC_TICKER, dialect="simple")

        session.received(frame, at(2))

        assert session.subscriptions.all()[0].state is Subscribed.WAITING

    def test_a_late_ack_of_a_left_topic_changes_nothing(self):
        """The ack may cross our end on the wire."""
        session = opened_session(BTC_TICKER, dialect="simple")
        session.unsubscribe(BTC_TICKER)

        reaction = session.received(sample("simple/ack_sub"), at(2))

        assert reaction == Reaction()
        assert session.subscriptions.all() == []

    @pytest.mark.parametrize(
        "unwanted",
        [
            ETH_TICKER,
            BTC_TRADE,
            ETH_DEPTH,
            topic("kline", "btc_usdt", interval="5min"),
            topic("kline", "eth_usdt", interval="1min"),
        ],
        ids=str,
    )
    def test_pushes_that_nobody_wants_are_ignored_and_counted(self, unwanted: Topic):
        """Data of another pair must never be stored under the wrong name (N20)."""
        session = opened_session(BTC_TICKER, BTC_DEPTH, BTC_BARS)

        reaction = session.received(push(unwanted), at(2))

        assert reaction == Reaction()
        assert session.ignored == 1
        assert {known.state for known in session.subscriptions.all()} == {Subscribed.WAITING}

    def test_pushes_of_a_left_topic_are_ignored(self):
        """They come until the exchange has read the end."""
        session = opened_session(BTC_TICKER)
        session.unsubscribe(BTC_TICKER)

        reaction = session.received(push(BTC_TICKER), at(2))

        assert (reaction.events, session.ignored) == ([], 1)

    def test_a_late_push_does_not_stand_for_the_subscription_that_follows(self):
        """Left and wanted again: what comes in between does not make the new request needless."""
        session = opened_session(BTC_TICKER)
        session.unsubscribe(BTC_TICKER)
        session.tick(at(2))
        session.subscribe(BTC_TICKER)

        session.received(push(BTC_TICKER), at(2.05))

        assert after(session, 3) == ["subscribe tick/btc_usdt"]

    def test_two_depths_of_one_pair_are_told_apart(self):
        """Each callback gets the book that it asked for."""
        session = opened_session(BTC_DEPTH, BTC_DEPTH_10)

        brought = [
            session.received(push(BTC_DEPTH_10), at(2)),
            session.received(push(BTC_DEPTH), at(2)),
            session.received(push(topic("depth", "btc_usdt", levels=50)), at(2)),
        ]

        assert [[known for known, _ in reaction.events] for reaction in brought] == [[BTC_DEPTH_10], [BTC_DEPTH], []]
        assert session.ignored == 1

    def test_the_only_depth_of_a_pair_takes_any_count(self):
        """The exchange may give fewer levels than were asked for; that is no reason to drop the book."""
        session = opened_session(BTC_DEPTH)

        reaction = session.received(push(topic("depth", "btc_usdt", levels=50)), at(2))

        assert [(known, event.levels) for known, event in reaction.events] == [(BTC_DEPTH, 50)]

    def test_several_trades_in_one_frame_all_arrive(self):
        """The simple dialect may bundle them."""
        session = opened_session(BTC_TRADE, dialect="simple")

        reaction = session.received(sample("simple/trade_list"), at(2))

        assert len(reaction.events) > 1
        assert {known for known, _ in reaction.events} == {BTC_TRADE}

    @pytest.mark.parametrize("name", ["v2/reply_depth_btc_usdt_2024", "v2/order_update_eth_btc_2019"])
    def test_frames_that_nobody_asked_for_are_counted(self, name: str):
        """Nothing is dropped uncounted."""
        session = opened_session(BTC_DEPTH)

        reaction = session.received(sample(name), at(2))

        assert reaction == Reaction()
        assert session.ignored == 1

    def test_a_frame_that_cannot_be_read_is_a_fault_and_nothing_more(self):
        """One bad frame must not cost the line or a subscription (N11)."""
        session = opened_session(BTC_TICKER)
        session.received(push(BTC_TICKER), at(2))
        _, _, *before = looks(session)

        reaction = session.received(GARBAGE, at(2))

        assert [type(fault) for fault in reaction.faults] == [DecodeError]
        assert replace(reaction, faults=[]) == Reaction()
        assert session.state is State.OPEN
        assert list(looks(session)[2:]) == before


class TestDenials:
    """What a refusal of the exchange means."""

    def test_denied_pair_refuses_all_its_channels_and_no_other_pair(self):
        """V2 names the pair alone; the others must live on."""
        session = opened_session(BTC_TICKER, ETH_TICKER, ETH_DEPTH, BTC_DEPTH)

        reaction = session.received(denial("eth_usdt"), at(2))

        assert [(type(fault), str(fault.topic)) for fault in reaction.faults] == [
            (SubscriptionRefused, "ticker/eth_usdt"),
            (SubscriptionRefused, "depth/eth_usdt/100"),
        ]
        assert {str(known.topic): str(known.state) for known in session.subscriptions.all()} == {
            "ticker/btc_usdt": "waiting",
            "ticker/eth_usdt": "refused",
            "depth/eth_usdt/100": "refused",
            "depth/btc_usdt/100": "waiting",
        }
        assert session.subscriptions.all()[1].refusal is reaction.faults[0]

    def test_the_same_refusal_again_is_not_reported_again(self):
        """Ticker and depth of one unknown pair are two frames and two refusals of the same."""
        session = opened_session(ETH_TICKER, ETH_DEPTH)
        session.received(denial("eth_usdt"), at(2))

        reaction = session.received(denial("eth_usdt"), at(2))

        assert reaction == Reaction()

    def test_denied_pair_is_not_asked_for_any_more(self):
        """What still waits to be sent for it would be refused too."""
        session = session_of(ETH_TICKER, ETH_DEPTH, BTC_TICKER)
        session.start(at(0))
        session.opened(at(0))

        session.received(denial("eth_usdt"), at(0.05))

        assert after(session, 14) == ["subscribe tick/btc_usdt"]

    def test_simple_denial_refuses_the_topic_that_it_answers(self):
        """The simple dialect names the frame by its id."""
        session = opened_session(BTC_TICKER, topic("depth", "btc_usdt"), BTC_TRADE, dialect="simple")

        reaction = session.received(sample("simple/refusal"), at(2))

        assert [str(fault.topic) for fault in reaction.faults] == ["trade/btc_usdt"]
        assert [str(known.state) for known in session.subscriptions.all()] == ["waiting", "waiting", "refused"]

    @pytest.mark.parametrize("frame", [sample("v2/error_missing_parameter_2024"), denial("xrp_usdt")])
    def test_denial_of_nothing_we_know_is_handed_on(self, frame: str):
        """It may be about anything, so it refuses no subscription and is not lost."""
        session = opened_session(BTC_TICKER)

        reaction = session.received(frame, at(2))

        assert [type(fault) for fault in reaction.faults] == [Refused]
        assert session.subscriptions.all()[0].state is Subscribed.WAITING

    def test_a_refused_topic_can_be_wanted_again(self):
        """A pair that is listed today may have been refused yesterday."""
        session = opened_session(ETH_TICKER, BTC_TICKER)
        session.received(denial("eth_usdt"), at(2))
        (refused, _) = session.subscriptions.all()

        (again,) = session.subscribe(ETH_TICKER)
        frames = after(session, 3)
        session.received(push(ETH_TICKER), at(3))

        assert frames == ["subscribe tick/eth_usdt"]
        assert (refused.state, again.state, again.refusal) == (Subscribed.REFUSED, Subscribed.LIVE, None)

    def test_a_refused_topic_can_be_left(self):
        """And then nothing is sent: the exchange never had it."""
        session = opened_session(ETH_TICKER, BTC_TICKER)
        session.received(denial("eth_usdt"), at(2))

        was_wanted = session.unsubscribe(ETH_TICKER)

        assert was_wanted
        assert after(session, 10) == []
        assert [known.topic for known in session.subscriptions.all()] == [BTC_TICKER]

    def test_wanting_again_what_was_refused_after_it_was_left_asks_again(self):
        """Left and refused before the end was sent: the line does not bring the topic, so it must be asked for."""
        session = opened_session(ETH_TICKER)
        session.unsubscribe(ETH_TICKER)
        session.received(denial("eth_usdt"), at(2))

        session.subscribe(ETH_TICKER)

        assert after(session, 3) == ["subscribe tick/eth_usdt"]

    @pytest.mark.parametrize(("denied", "is_over"), [("btc_usdt", False), ("eth_usdt", False), ("both", True)])
    def test_refused_for_good_means_that_nothing_is_left(self, denied: str, is_over: bool):
        """run() ends with the refusal when there is nothing to wait for, and only then."""
        session = opened_session(BTC_TICKER, ETH_TICKER)
        for pair in ["btc_usdt", "eth_usdt"]:
            if denied in (pair, "both"):
                session.received(denial(pair), at(2))

        refusal = session.refused_for_good()

        assert (refusal is not None) is is_over
        assert session_of().refused_for_good() is None


LIFE_SIGNS = {
    "push": push(BTC_TICKER),
    "push for nobody": push(ETH_TICKER),
    "pong": sample("v2/pong_2019"),
    "ping": sample("v2/ping_2019"),
    "refusal": denial("eth_usdt"),
    "garbage": GARBAGE,
    "unknown": '{"type":"news"}',
}


class TestHeartbeat:
    """Quiet is not dead: ask before cutting."""

    @pytest.mark.parametrize("name", ["ping_2019", "ping_2024_11", "ping_hummingbot"])
    def test_ping_is_answered_in_the_same_reaction(self, name: str):
        """The exchange hangs up a minute after an unanswered ping, so pacing does not hold it up."""
        session = session_of(BTC_TICKER, BTC_DEPTH)
        session.start(at(0))
        session.opened(at(0))

        reaction = session.received(sample(f"v2/{name}"), at(0.01))

        asked = json.loads(sample(f"v2/{name}"))
        assert [json.loads(frame) for frame in reaction.send] == [{"action": "pong", "pong": asked["ping"]}]
        assert after(session, APART_S) == ["subscribe depth/btc_usdt/100"]

    def test_simple_ping_is_answered(self):
        """The same in the other dialect."""
        session = opened_session(BTC_TICKER, dialect="simple")

        reaction = session.received('{"ping":1E5}', at(2))

        assert reaction.send == ['{"pong":1E5}']

    def test_silent_line_is_asked_once_and_then_cut(self):
        """After half the silence the exchange is asked, after all of it the line is cut with cause SILENT."""
        session = opened_session(BTC_TICKER)

        frames = sent(session, since_s=1, until_s=29.9)
        still = session.tick(at(29.999))
        reaction = session.tick(at(30))

        assert [(moment_s, json.loads(frame)) for moment_s, frame in frames] == [(15, {"action": "ping", "ping": "1"})]
        assert still == Reaction()
        assert reaction.hang_up is not None
        assert (reaction.hang_up.cause, reaction.hang_up.detail) == (Cause.SILENT, "no frame for 30 s")
        assert replace(reaction, hang_up=None) == Reaction()

    @pytest.mark.parametrize("name", LIFE_SIGNS)
    def test_any_frame_is_a_sign_of_life(self, name: str):
        """Also one that nobody can read."""
        session = opened_session(BTC_TICKER)
        session.received(LIFE_SIGNS[name], at(14))

        frames = sent(session, since_s=14, until_s=43)
        reaction = session.tick(at(44))

        assert [moment_s for moment_s, _ in frames] == [29]
        assert reaction.hang_up is not None

    def test_each_silence_has_a_ping_of_its_own(self):
        """With a number of its own, so that a capture shows which pong answers which."""
        session = opened_session(BTC_TICKER)
        first = session.tick(at(15)).send
        session.received(sample("v2/pong_2019"), at(15.1))

        second = sent(session, since_s=15, until_s=40)

        assert [json.loads(frame)["ping"] for frame in first] == ["1"]
        assert [(moment_s, json.loads(frame)["ping"]) for moment_s, frame in second] == [(pytest.approx(30.1), "2")]

    def test_new_line_has_its_own_silence(self):
        """The silence of the line before must not cut the new one."""
        session = opened_session(BTC_TICKER)
        session.lost(at(40), GONE)
        session.tick(at(41))
        session.opened(at(41))

        frames = sent(session, since_s=41, until_s=70)

        assert [moment_s for moment_s, _ in frames] == [56]
        assert session.tick(at(71)).hang_up is not None

    def test_ping_keeps_its_distance_from_other_frames(self):
        """It counts among the ten a second, and it goes before what waits."""
        session = opened_session()
        session.subscribe(BTC_TICKER)
        session.tick(at(14.95))
        session.subscribe(ETH_TICKER)

        frames = sent(session, since_s=15, until_s=16)

        assert [moment_s for moment_s, _ in frames] == pytest.approx([14.95 + APART_S, 14.95 + 2 * APART_S])
        assert '"ping"' in frames[0][1]

    def test_line_is_cut_on_time_when_a_ping_would_come_too_late(self):
        """Whoever sets the ping behind the cut has no ping."""
        session = opened_session(BTC_TICKER, habits=Habits(ping_after_s=60, cut_after_s=5))

        frames = sent(session, since_s=1, until_s=4.9)

        assert frames == []
        assert session.due_s() == 5
        assert session.tick(at(5)).hang_up is not None


class TestAskingAgain:
    """A depth that brings nothing is asked for again."""

    def test_unanswered_depth_is_asked_for_again_and_again(self):
        """The exchange was seen to swallow subscriptions; depth always pushes at once, so silence means that (N20)."""
        session = opened_session(BTC_DEPTH, BTC_TICKER)
        for second in range(1, 25):
            session.received(push(BTC_TICKER), at(second))
            frames = sent(session, since_s=second, until_s=second + 0.99)

            assert read_all([frame for _, frame in frames]) == (
                ["subscribe depth/btc_usdt/100"] if second in (10, 20) else []
            )

    def test_due_s_knows_of_it_on_a_silent_line(self):
        """Nobody ticks a silent line before due_s."""
        session = opened_session(BTC_DEPTH)

        frames = sent(session, since_s=1, until_s=14)

        assert [(moment_s, read(frame)) for moment_s, frame in frames] == [(10, "subscribe depth/btc_usdt/100")]

    @pytest.mark.parametrize("wanted", [BTC_TICKER, BTC_TRADE, BTC_BARS], ids=str)
    def test_other_channels_may_be_quiet(self, wanted: Topic):
        """A quiet pair trades nothing for hours."""
        session = opened_session(wanted)

        assert after(session, 14) == []

    def test_live_depth_is_not_asked_for_again(self):
        """It has shown that it works."""
        session = opened_session(BTC_DEPTH)
        session.received(push(BTC_DEPTH), at(5))

        assert after(session, 19) == []

    def test_depth_that_comes_just_before_is_not_asked_for_again(self):
        """What was planned but not sent is planned no more."""
        session = opened_session(BTC_DEPTH, ETH_DEPTH)
        session.tick(at(10.1))

        session.received(push(ETH_DEPTH), at(10.15))

        assert after(session, 14) == []

    def test_left_depth_is_not_asked_for_again(self):
        """Only its end is sent."""
        session = opened_session(BTC_DEPTH)
        session.unsubscribe(BTC_DEPTH)

        assert after(session, 14) == ["unsubscribe depth/btc_usdt/100"]

    def test_depth_left_and_wanted_again_is_still_asked_for_again(self):
        """Its end was not sent, but nothing has come either."""
        session = opened_session(BTC_DEPTH)
        session.unsubscribe(BTC_DEPTH)
        session.subscribe(BTC_DEPTH)

        frames = sent(session, since_s=1, until_s=14)

        assert [(moment_s, read(frame)) for moment_s, frame in frames] == [(10, "subscribe depth/btc_usdt/100")]

    def test_refused_depth_is_not_asked_for_again(self):
        """The exchange has said no."""
        session = opened_session(BTC_DEPTH)
        session.received(denial("btc_usdt"), at(2))

        assert after(session, 16) == []


class TestFetching:
    """What is missing can be asked for on the line itself."""

    FETCH = Fetch(3, BTC_BARS, "request", 100, at(0.0).utc, at(60.0).utc)

    def test_question_leaves_and_its_answer_names_the_fetch(self):
        """The fill that asked must get it, and nobody's callback."""
        session = opened_session(BTC_BARS)

        assert session.fetch(self.FETCH)
        ((_, frame),) = sent(session, since_s=1.0, until_s=2.0)
        reaction = session.received(sample("v2/reply_kbar_btc_usdt_2024").replace("5min", "1min"), at(2.0))

        assert json.loads(frame) == {
            "action": "request",
            "request": "kbar",
            "kbar": "1min",
            "pair": "btc_usdt",
            "start": "2023-11-15T06:13:20",
            "end": "2023-11-15T06:14:20",
            "size": "100",
        }
        ((fetch, rows),) = reaction.answers
        assert (fetch, len(rows) > 0, reaction.events, session.ignored) == (self.FETCH, True, [], 0)

    def test_line_that_does_not_carry_the_topic_cannot_be_asked(self):
        """Whoever wants to know asks elsewhere then, at once."""
        session = opened_session(BTC_BARS)
        assert not session_of(BTC_BARS).fetch(self.FETCH)
        assert not session.fetch(self.FETCH._replace(topic=topic("kline", "eth_usdt", interval="1min")))

    def test_question_that_was_not_sent_is_not_sent_on_the_next_line(self):
        """That line's own fetch follows; the answer to an old one would be taken for it."""
        session = opened_session(BTC_BARS)
        session.fetch(self.FETCH)
        session.lost(at(1.0), GONE)
        session.tick(at(60.0))
        session.opened(at(60.0))

        assert [frame for _, frame in sent(session, since_s=60.0, until_s=65.0) if '"request"' in frame] == []


class TestStatuses:
    """What is reported about the line."""

    def test_first_opening_and_a_reconnection(self):
        """`outage_s` runs from the loss to the return; `attempts` counts the dials in between."""
        session = session_of(BTC_TICKER)
        session.start(at(0))
        statuses = session.opened(at(0.5)).statuses
        statuses += session.lost(at(100), GONE).statuses
        session.tick(at(101))
        statuses += session.lost(at(102), GONE).statuses
        session.tick(at(104))

        statuses += session.opened(at(104.5)).statuses

        assert [(each.kind, each.attempts, each.outage_s, each.cause) for each in statuses] == [
            ("opened", 1, None, None),
            ("lost", 0, None, GONE),
            ("failed", 1, None, GONE),
            ("reconnected", 2, 4.5, None),
        ]
        assert [each.at.timestamp() for each in statuses] == [1_700_000_000 + s for s in (0.5, 100, 102, 104.5)]

    def test_first_line_after_failed_dials_is_opened_and_not_reconnected(self):
        """There was no line to come back."""
        session = session_of(BTC_TICKER)
        session.start(at(0))
        statuses = session.lost(at(1), GONE).statuses
        session.tick(at(2))

        statuses += session.opened(at(3)).statuses

        assert [(each.kind, each.attempts, each.outage_s) for each in statuses] == [
            ("failed", 1, None),
            ("opened", 2, None),
        ]

    def test_each_outage_counts_its_own_dials(self):
        """Also when the line in between did not live long enough to start the waits over."""
        session = opened_session(BTC_TICKER)
        statuses = []
        for lost_s in (10, 20, 30):
            session.lost(at(lost_s), GONE)
            session.tick(at(lost_s + 4))
            statuses += session.opened(at(lost_s + 5)).statuses

        assert [(each.kind, each.attempts, each.outage_s) for each in statuses] == [("reconnected", 1, 5)] * 3

    def test_opening_is_reported_behind_the_first_request(self):
        """Whoever waits for `opened` must not wait for data that nobody has asked for."""
        session = session_of(BTC_TICKER)
        session.start(at(0))

        reaction = session.opened(at(0))

        assert read_all(reaction.send) == ["subscribe tick/btc_usdt"]
        assert [status.kind for status in reaction.statuses] == ["opened"]

    def test_stopping_is_not_reported_as_a_loss(self):
        """The caller knows."""
        session = opened_session(BTC_TICKER)
        session.stop(at(2))

        assert session.lost(at(2.1), GONE) == Reaction()


class TestGiveUp:
    """When a line is given up, and with which figures."""

    def test_dials_that_fail_for_the_whole_budget(self):
        """Dials at 0, 1, 3 and 5 s; the last wait is cut so that the last dial falls on the end of the budget."""
        session = session_of(BTC_TICKER, give_up_after_s=5)
        session.start(at(0))
        dials = [0.0]
        while not (reaction := session.lost(at(dials[-1]), GONE)).faults:
            dials.append(session.due_s())
            session.tick(at(dials[-1]))

        (fault,) = reaction.faults

        assert dials == [0, 1, 3, 5]
        assert isinstance(fault, GaveUp)
        assert (fault.after_s, fault.attempts, fault.last) == (5, 4, GONE)
        assert session.ended is fault
        assert session.state is State.CLOSED
        assert [(status.kind, status.attempts) for status in reaction.statuses] == [("failed", 4)]

    def test_the_budget_of_a_lived_line_counts_from_its_loss(self):
        """A line that worked for a day has a whole budget again."""
        session = opened_session(BTC_TICKER, give_up_after_s=5)
        session.received(push(BTC_TICKER), at(2))
        session.lost(at(1000), GONE)
        dials = []
        while session.state is State.WAITING:
            dials.append(session.due_s())
            session.tick(at(dials[-1]))
            session.lost(at(dials[-1]), GONE)

        assert dials == [1001, 1003, 1005]
        assert session.ended is not None
        assert (session.ended.after_s, session.ended.attempts) == (5, 3)

    def test_no_budget_gives_up_at_the_first_failure(self):
        """`give_up_after_s=0` is for scripts that check once."""
        session = session_of(BTC_TICKER, give_up_after_s=0)
        session.start(at(7))

        reaction = session.lost(at(7), GONE)

        (fault,) = reaction.faults
        assert isinstance(fault, GaveUp)
        assert (fault.after_s, fault.attempts) == (0, 1)
        assert session.state is State.CLOSED

    def test_no_budget_gives_up_at_the_first_drop_without_a_dial(self):
        """The figures say so."""
        session = opened_session(BTC_TICKER, give_up_after_s=0)
        session.received(push(BTC_TICKER), at(2))

        reaction = session.lost(at(3), GONE)

        (fault,) = reaction.faults
        assert isinstance(fault, GaveUp)
        assert (fault.after_s, fault.attempts) == (0, 0)
        assert [(status.kind, status.attempts) for status in reaction.statuses] == [("lost", 0)]

    def test_a_line_that_never_lives_is_given_up(self):
        """An exchange that takes every dial and drops it at once is as bad as none."""
        session = session_of(BTC_TICKER, give_up_after_s=20)
        session.start(at(0))
        now_s, dials = 0.0, 1
        while session.state is not State.CLOSED:
            session.opened(at(now_s))
            session.received(push(BTC_TICKER), at(now_s + 0.1))
            session.lost(at(now_s + 0.2), GONE)
            if session.state is State.WAITING:
                now_s = session.due_s()
                session.tick(at(now_s))
                dials += 1

        assert session.ended is not None
        assert session.ended.attempts == dials
        assert session.ended.after_s == pytest.approx(20.2)

    def test_refusing_server_is_not_asked_again_at_once(self):
        """And not before it asked for."""
        waits = []
        for loss in [
            ConnectionLost(Cause.REFUSED, "HTTP 403"),
            ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=120.0),
        ]:
            session = session_of(BTC_TICKER)
            session.start(at(0))
            session.lost(at(0), loss)
            waits.append(session.due_s())

        assert waits[0] >= 2
        assert waits[1] >= 120


class TestDue:
    """`due_s` tells the socket thread how long it may sleep; the state machine holds it to the rest."""

    @pytest.mark.parametrize(
        ("state", "due_s"),
        [
            (State.IDLE, math.inf),
            (State.CONNECTING, math.inf),
            (State.OPEN, 25),
            (State.WAITING, 11),
            (State.CLOSING, 10.5),
            (State.CLOSED, math.inf),
        ],
    )
    def test_each_state_says_when_time_alone_matters(self, state: State, due_s: float):
        """Infinity where only a call can change anything: a thread that polled there would burn the processor."""
        session = session_in(state)

        assert session.due_s() == due_s
