"""An account's streams on a line: what they wait for, what their silence means, what ends them."""

from __future__ import annotations

import json
import math

import pytest

from lbank_ws.causes import Cause
from lbank_ws.channels import Topic, topic
from lbank_ws.errors import ConnectionLost, Refused, SubscriptionRefused
from lbank_ws.events import BalanceUpdate, OrderUpdate
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.wire import dialect_named
from tests.samples import sample

ORDERS, BALANCES = topic("order", "all"), topic("balance", "all")
BTC_TRADE = topic("trade", "btc_usdt")
KEY, OTHER_KEY = "a1" * 32, "b2" * 32
BAD_KEY = json.dumps({"SERVER": "V2", "message": "Invalid subscribeKey", "status": "error"})
GONE = ConnectionLost(Cause.BROKEN, "the cable is out")
ORDER = sample("v2", "order_update_lbk_usdt_2024").frame
BALANCE = sample("v2", "asset_update_usdt_2021").frame
HABITS = Habits()


def at(s: float) -> Moment:
    return Moment(s, 1_700_000_000_000_000_000 + round(s * 1e9))


def session_of(*wanted: Topic) -> Session:
    """Give a session that wants these; it suspects nothing where the market is among them."""
    patient = Habits(stale_after_s=math.inf) if BTC_TRADE in wanted else HABITS
    session = Session(dialect_named("v2"), Backoff(uniform=lambda _low, high: high), patient)
    session.subscribe(*wanted)
    return session


def opened(*wanted: Topic, key: str | None = KEY) -> Session:
    """Give a session whose line opened at second 0, by default with a key."""
    session = session_of(*(wanted or (ORDERS, BALANCES)))
    if key is not None:
        session.keyed(key, at(0))
    session.start(at(0))
    first = session.opened(at(0))
    session.first = first.send  # type: ignore[attr-defined]  # kept for the tests
    return session


def until(session: Session, s: float) -> Reaction:
    """Tick whenever something is due, answering pings; give all that followed."""
    told = Reaction()
    now_s = session.due_s()
    while now_s <= s:
        reaction = session.tick(at(now_s))
        for frame in reaction.send:
            if '"ping"' in frame:
                session.received('{"action":"pong","pong":"1"}', at(now_s))
        told.send += reaction.send
        told.statuses += reaction.statuses
        told.hang_up = told.hang_up or reaction.hang_up
        assert session.due_s() > now_s
        now_s = session.due_s()
    return told


def asked(frames: list[str]) -> list[tuple[str, str | None]]:
    """Give what was subscribed to, with which key."""
    read = [json.loads(frame) for frame in frames]
    return [(each["subscribe"], each.get("subscribeKey")) for each in read if each.get("action") == "subscribe"]


def states(session: Session) -> list[str]:
    return [str(known.state) for known in session.subscriptions.all()]


def test_both_streams_are_asked_for_with_the_key():
    """The frames that working clients send."""
    session = opened()

    frames = session.first + until(session, 1).send  # type: ignore[attr-defined]  # see `opened`

    assert [json.loads(frame) for frame in frames] == [
        {"action": "subscribe", "subscribe": "orderUpdate", "subscribeKey": KEY, "pair": "all"},
        {"action": "subscribe", "subscribe": "assetUpdate", "subscribeKey": KEY},
    ]


def test_without_a_key_the_market_is_asked_for_and_the_account_waits():
    """A key takes a call; the market's streams need none."""
    session = opened(ORDERS, BTC_TRADE, key=None)
    before = session.first + until(session, 1).send  # type: ignore[attr-defined]  # see `opened`

    session.keyed(KEY, at(1))

    assert asked(before) == [("trade", None)]
    assert asked(until(session, 2).send) == [("orderUpdate", KEY)]


def test_the_streams_are_live_when_no_error_came():
    """There is no acknowledgement, and the first order may come tomorrow."""
    session = opened()

    told = until(session, 5)

    assert [(str(status.topic), status.kind) for status in told.statuses] == [
        ("order/all", "live"),
        ("balance/all", "live"),
    ]


def test_a_day_without_an_order_is_healthy():
    """Quiet is not dead: the line is pinged, and nothing is asked about, doubted, or renewed."""
    session = opened()

    told = until(session, 86_400)

    assert told.hang_up is None
    assert states(session) == ["live", "live"]
    assert {json.loads(frame)["action"] for frame in told.send} == {"subscribe", "ping"}


def test_pushes_belong_to_the_one_topic_whatever_their_pair():
    """Orders name a pair, balances none."""
    session = opened()
    until(session, 1)

    reaction = session.heard((ORDER, BALANCE), at(1))

    assert [(str(wanted), type(event)) for wanted, event in reaction.events] == [
        ("order/all", OrderUpdate),
        ("balance/all", BalanceUpdate),
    ]


def test_late_news_of_an_order_is_news():
    """The samples are years old; to cut the line for their sake would lose what comes next."""
    session = opened()
    until(session, 1)

    for s in range(1, 30):
        reaction = session.received(ORDER, at(s))
        assert len(reaction.events) == 1
        assert reaction.hang_up is None

    assert states(session)[0] == "live"


def test_the_key_stays_over_a_drop():
    """It lives an hour, whatever becomes of lines."""
    session = opened()
    until(session, 5)
    session.lost(at(6), GONE)
    until(session, 8)

    frames = session.opened(at(8)).send + until(session, 9).send

    assert asked(frames) == [("orderUpdate", KEY), ("assetUpdate", KEY)]


def test_another_key_asks_for_everything_again():
    """What hangs on the old one ends with it."""
    session = opened(ORDERS, BTC_TRADE)
    until(session, 5)

    told = session.keyed(OTHER_KEY, at(6))
    later = until(session, 10)

    assert [(str(status.topic), status.kind) for status in told.statuses] == [("order/all", "stale")]
    assert asked(later.send) == [("orderUpdate", OTHER_KEY)]
    assert [(str(status.topic), status.kind) for status in later.statuses] == [("order/all", "live")]


def test_the_same_key_changes_nothing():
    """A refresh lets the key live on; nothing is to be asked for."""
    session = opened()
    until(session, 5)

    assert session.keyed(KEY, at(6)) == Reaction()
    assert asked(until(session, 10).send) == []


def test_an_error_about_the_key_gives_it_up():
    """Nothing is pushed with it any more, and no later frame would say so again."""
    session = opened(ORDERS, BTC_TRADE)
    until(session, 5)

    reaction = session.received(BAD_KEY, at(6))

    assert (reaction.bad_key, reaction.faults) == (KEY, [])
    assert [(str(status.topic), status.kind) for status in reaction.statuses] == [("order/all", "stale")]
    assert states(session) == ["stale", "live"]
    assert asked(until(session, 20).send) == []
    session.keyed(OTHER_KEY, at(21))
    assert asked(until(session, 22).send) == [("orderUpdate", OTHER_KEY)]


def test_both_errors_of_one_bad_key_are_one():
    """Two subscriptions, two errors; the second must not cost the key that came between."""
    session = opened()
    until(session, 1)
    first = session.received(BAD_KEY, at(1))
    session.keyed(OTHER_KEY, at(1.05))

    second = session.received(BAD_KEY, at(1.1))
    until(session, 2)
    third = session.received(BAD_KEY, at(2))

    assert (first.bad_key, second.bad_key, third.bad_key) == (KEY, None, OTHER_KEY)
    assert second.faults == []


def test_an_error_with_key_in_it_is_a_refusal_where_there_is_no_account():
    """It speaks of something else then."""
    session = opened(BTC_TRADE, key=None)

    reaction = session.received(BAD_KEY, at(1))

    assert (reaction.bad_key, [type(fault) for fault in reaction.faults]) == (None, [Refused])


@pytest.mark.parametrize("state", [State.IDLE, State.OPEN, State.WAITING])
def test_an_account_that_is_refused_leaves_the_market_alone(state: State):
    """A wrong secret is no reason to lose prices."""
    session = session_of(ORDERS, BALANCES, BTC_TRADE) if state is State.IDLE else opened(ORDERS, BALANCES, BTC_TRADE)
    if state is State.WAITING:
        session.lost(at(1), GONE)

    reaction = session.account_refused(10007, "Invalid signature", "check the secret", at(2))

    assert [type(fault) for fault in reaction.faults] == [SubscriptionRefused] * 2
    assert "check the secret" in str(reaction.faults[0])
    assert [status.kind for status in reaction.statuses] == ["refused", "refused"]
    assert states(session)[:2] == ["refused", "refused"]
    assert session.refused_for_good() is None
    assert session.keyed(KEY, at(3)) == Reaction()


def test_leaving_an_account_is_told_with_the_key():
    """The exchange wants it there as well."""
    session = opened()
    until(session, 5)

    session.unsubscribe(ORDERS)

    assert [json.loads(frame) for frame in until(session, 6).send] == [
        {"action": "unsubscribe", "subscribe": "orderUpdate", "subscribeKey": KEY, "pair": "all"}
    ]


def test_without_a_key_nothing_is_due_for_its_sake():
    """A line that waits for a key must not spin."""
    session = opened(key=None)

    assert session.due_s() == HABITS.ping_after_s
    assert session.due_s() < math.inf


def test_the_key_is_in_no_reaction_that_is_printed():
    """Reactions end up in tracebacks of tests and in debuggers."""
    session = opened()
    until(session, 5)

    assert KEY not in repr(session.received(BAD_KEY, at(6)))
