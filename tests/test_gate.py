"""The log-in of a line and the orders that pass it: what leaves, what comes back, what is given up."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost, GaveUp, LoginRefused, UsageError
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.gate import ANSWER_S
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.feed.submissions import Fate, Outcome, Submission
from lbank_ws.wire import V2, OrderRequest, dialect_named

BEGAN_NS = 1_700_000_000_000_000_000
GONE = ConnectionLost(Cause.BROKEN, "the cable is out")
IN = {"op": "auth", "success": True}


def at(s: float) -> Moment:
    return Moment(s, BEGAN_NS + round(s * 1e9))


def signed(at_ms: int) -> tuple[str, str, str]:
    return "key", str(at_ms), f"signature of {at_ms}"


def session(**waits: float) -> Session:
    """Give a session of a line for orders that dials at second 0."""
    made = Session(dialect_named("simple"), Backoff(uniform=lambda _low, high: high, **waits), sign=signed)
    made.start(at(0))
    return made


def opened() -> tuple[Session, list[str]]:
    """Give one whose line opened at second 0, and what it sent then."""
    made = session()
    return made, made.opened(at(0)).send


def logged_in(s: float = 0.5) -> Session:
    """Give one that is logged in at second 0.5."""
    made, _ = opened()
    made.received(json.dumps(IN), at(s))
    return made


class Order(Submission):
    """A submission that keeps what it was told."""

    def __init__(self, client_id: str = "mine", within_s: float = 10.0) -> None:
        wanted = OrderRequest("btc_usdt", "buy", "limit", Decimal("30000"), Decimal("0.01"), None, client_id)
        self.outcomes: list[Outcome] = []
        super().__init__(wanted, within_s, self.outcomes.append)


def settled(reaction: Reaction) -> list[tuple[str, Fate]]:
    """Give what a reaction says of orders, and tell them as a line does."""
    for submission, outcome in reaction.settled:
        submission.on_outcome(outcome)
    return [(submission.order.client_id, outcome.fate) for submission, outcome in reaction.settled]


def ticked(made: Session, until_s: float) -> tuple[list[str], list[tuple[str, Fate]], ConnectionLost | None]:
    """Tick whenever something is due; give what left, what ended, and why the line is to be cut."""
    sent: list[str] = []
    ended: list[tuple[str, Fate]] = []
    now_s = made.due_s()
    while now_s <= until_s:
        reaction = made.tick(at(now_s))
        sent += reaction.send
        ended += settled(reaction)
        if reaction.hang_up is not None:
            return sent, ended, reaction.hang_up
        assert made.due_s() > now_s
        now_s = made.due_s()
    return sent, ended, None


def orders_in(frames: list[str]) -> list[str]:
    """Give the client ids of the orders that left."""
    return [json.loads(frame)["args"][0]["custom_id"] for frame in frames if '"op":"order"' in frame]


def answer(number: str | None, **said: Any) -> str:
    fields = {"op": "order", "success": True, "data": {"order_id": "7"}, "id": number, **said}
    return json.dumps({key: value for key, value in fields.items() if value is not None})


# The log-in.


def test_a_line_for_orders_logs_in_first_with_the_clock_of_the_exchange():
    """The signature is over the timestamp; nothing else may leave before the answer."""
    _, sent = opened()

    timestamp = str(BEGAN_NS // 1_000_000)
    assert [json.loads(frame) for frame in sent] == [
        {"op": "auth", "args": ["key", timestamp, f"signature of {timestamp}"]}
    ]


def test_no_order_leaves_before_the_log_in_is_answered():
    """The guide's own code sends the order right behind the log-in."""
    made, _ = opened()
    order = Order()

    assert settled(made.submit(order, at(0.1))) == []
    before, _, _ = ticked(made, 4.0)
    made.received(json.dumps(IN), at(4.1))
    after, _, _ = ticked(made, 4.5)

    assert (orders_in(before), orders_in(after)) == ([], ["mine"])


def test_a_refused_log_in_ends_the_line_and_is_not_tried_again():
    """With the same credentials it would be refused again, and an exchange bans those who go on."""
    made, _ = opened()

    reaction = made.received(json.dumps({"op": "auth", "success": False, "code": 10007, "msg": "bad"}), at(0.5))

    assert [type(fault) for fault in reaction.faults] == [LoginRefused]
    assert isinstance(made.ended, LoginRefused)
    assert (made.ended.code, made.ended.reason) == (10007, "bad")
    assert made.state is State.CLOSING
    made.lost(at(1), GONE)
    assert made.state is State.CLOSED


def test_a_log_in_that_nobody_answers_costs_the_line():
    """A line that is open and of no use must not look healthy for ever."""
    made, _ = opened()

    _, _, hang_up = ticked(made, ANSWER_S + 1)

    assert hang_up is not None
    assert (hang_up.cause, made.ended) == (Cause.STALLED, None)


@pytest.mark.parametrize(("is_in", "ended"), [(False, GaveUp), (True, type(None))])
def test_a_line_that_is_not_logged_in_does_not_end_the_outage(is_in: bool, ended: type):
    """Else an exchange that answers no log-in would be dialled for ever, whatever `give_up_after_s` says."""
    made = session(give_up_after_s=5)
    made.opened(at(0))
    if is_in:
        made.received(json.dumps(IN), at(0.5))
    made.received('{"ping":1}', at(5))

    made.lost(at(ANSWER_S), GONE)

    assert type(made.ended) is ended


def test_after_a_drop_it_logs_in_again_and_sends_no_order_again():
    """Only subscriptions are replayed."""
    made = logged_in()
    order = Order()
    made.submit(order, at(0.6))
    ticked(made, 1.0)
    settled(made.lost(at(2), GONE))
    made.tick(at(made.due_s()))

    sent = made.opened(at(5)).send
    made.received(json.dumps(IN), at(5.5))
    later, _, _ = ticked(made, 10)

    assert [json.loads(frame)["op"] for frame in sent] == ["auth"]
    assert orders_in(later) == []
    assert [outcome.fate for outcome in order.outcomes] == [Fate.UNKNOWN]


@pytest.mark.parametrize(
    "frame",
    [
        '{"op":"auth","success":true}',
        '{"op":"auth","success":false}',
        '{"op":"order","success":true,"data":{"order_id":"7"},"id":"1"}',
    ],
)
def test_an_answer_to_nothing_means_nothing(frame: str):
    """An exchange that answers twice must neither end the client nor settle another order."""
    made = logged_in()

    reaction = made.received(frame, at(1))

    assert (reaction.faults, reaction.settled, made.state) == ([], [], State.OPEN)


# Orders.


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({}, Outcome(Fate.ACCEPTED, "7")),
        ({"data": None, "order_id": 8}, Outcome(Fate.ACCEPTED, "8")),
        ({"success": None, "status": "ok"}, Outcome(Fate.ACCEPTED, "7")),
        ({"success": None, "code": 0}, Outcome(Fate.ACCEPTED, "7")),
        ({"success": None, "err-code": "0"}, Outcome(Fate.ACCEPTED, "7")),
        ({"data": None}, Outcome(Fate.UNKNOWN, reason="the exchange said yes and named no order")),
        (
            {"success": False, "code": 10014, "msg": "not enough", "data": None},
            Outcome(Fate.REFUSED, code=10014, reason="not enough"),
        ),
        ({"success": None, "status": "error", "err-code": "bad", "err-msg": "no"}, Outcome(Fate.REFUSED, reason="no")),
        ({"success": None}, Outcome(Fate.REFUSED, reason="no reason was given")),
    ],
)
def test_an_answer_settles_the_order_that_it_names(said: dict[str, Any], outcome: Outcome):
    """A yes without an order's id is no proof of one."""
    made = logged_in()
    first, second = Order("first"), Order("second")
    made.submit(first, at(0.6))
    made.submit(second, at(0.6))
    sent, _, _ = ticked(made, 2)
    numbers = [json.loads(frame)["id"] for frame in sent]

    settled(made.received(answer(numbers[1], **said), at(2)))

    assert (first.outcomes, second.outcomes) == ([], [outcome])


def test_an_answer_without_a_number_is_that_of_the_only_order():
    """The guide shows no answer at all, so it may name none."""
    made = logged_in()
    order = Order()
    made.submit(order, at(0.6))
    ticked(made, 1)

    assert settled(made.received(answer(None), at(1))) == [("mine", Fate.ACCEPTED)]


def test_an_answer_without_a_number_is_that_of_none_of_several():
    """A guess would tell a caller that an order exists which does not."""
    made = logged_in()
    for name in ("first", "second"):
        made.submit(Order(name), at(0.6))
    ticked(made, 1)

    assert settled(made.received(answer(None), at(1))) == []
    assert ticked(made, 11)[1] == [("first", Fate.UNKNOWN), ("second", Fate.UNKNOWN)]


def test_an_order_without_an_answer_in_time_is_unknown_and_stays_so():
    """The answer may come late; whoever was told unknown looks the order up."""
    made = logged_in()
    order = Order(within_s=3)
    made.submit(order, at(1))
    sent, ended, _ = ticked(made, 5)
    late = made.received(answer("1"), at(6))

    assert (orders_in(sent), ended, late.settled) == (["mine"], [("mine", Fate.UNKNOWN)], [])


def test_an_order_that_could_not_leave_in_time_never_does():
    """A price of half a minute ago must not be ordered now."""
    made, _ = opened()
    made.submit(Order(within_s=3), at(0.1))
    _, ended, _ = ticked(made, 5)
    made.received(json.dumps(IN), at(6))

    sent, _, _ = ticked(made, 7)

    assert (ended, orders_in(sent)) == ([("mine", Fate.UNSENT)], [])


def _waiting(made: Session) -> None:
    made.lost(at(1), GONE)


def _nothing(_made: Session) -> None:
    pass


@pytest.mark.parametrize("before", [_nothing, _waiting])
@pytest.mark.parametrize(
    "end",
    [
        lambda made: made.lost(at(2), GONE),
        lambda made: made.stop(at(2)),
        lambda made: made.given_up(),
    ],
)
def test_whatever_ends_a_line_settles_what_waits(before: Callable[[Session], None], end: Callable[[Session], Reaction]):
    """Nobody may wait for an outcome that never comes."""
    made, _ = opened()
    before(made)
    order = Order()
    made.submit(order, at(1.5))

    settled(end(made))
    if made.state is State.CLOSING:
        settled(made.lost(at(2.1), GONE))

    told = [outcome.fate for outcome in order.outcomes]
    assert told == [Fate.UNSENT] or (made.state is State.WAITING and before is _waiting)


def test_a_line_that_has_ended_takes_no_order():
    """It is told at once, where it was handed over."""
    made = logged_in()
    made.stop(at(1))

    assert settled(made.submit(Order(), at(2))) == [("mine", Fate.UNSENT)]


@given(
    st.lists(
        st.sampled_from(["submit", "tick", "in", "out", "yes", "no", "numberless", "lost", "open", "stop"]), max_size=40
    )
)
@example(["submit"] * 13 + ["out", "tick"])  # the answer to the log-in is overdue, and waited for no more
@example(["submit"] * 13 + ["stop", "tick"])
def test_whatever_happens_an_order_leaves_at_most_once_and_is_settled_once(steps: list[str]):
    """The two promises on which never sending an order twice is built."""
    made, _ = opened()
    orders: list[Order] = []
    sent: list[str] = []
    now_s = 1.0
    for step in steps:
        now_s += 0.7
        reaction = Reaction()
        match step:
            case "submit":
                orders.append(Order(str(len(orders)), within_s=3))
                reaction = made.submit(orders[-1], at(now_s))
            case "tick":
                frames, _, hang_up = ticked(made, now_s)
                sent += frames
                reaction = made.lost(at(now_s), hang_up) if hang_up is not None else reaction
            case "in" | "out":
                reaction = made.received(json.dumps({"op": "auth", "success": step == "in"}), at(now_s))
            case "yes" | "no":
                reaction = made.received(answer(str(len(orders)), success=step == "yes"), at(now_s))
            case "numberless":
                reaction = made.received(answer(None), at(now_s))
            case "lost":
                reaction = made.lost(at(now_s), GONE)
            case "open":
                settled(made.tick(at(now_s)))
                reaction = made.opened(at(now_s))
            case "stop":
                reaction = made.stop(at(now_s))
        sent += reaction.send
        settled(reaction)
    settled(made.stop(at(now_s)))
    settled(made.lost(at(now_s + 1), GONE))
    settled(made.given_up())

    left = orders_in(sent)
    assert len(left) == len(set(left))
    assert [len(order.outcomes) for order in orders] == [1] * len(orders)
    unsent = {order.order.client_id for order in orders if order.outcomes[0].fate is Fate.UNSENT}
    assert not unsent & set(left)


# The frames.


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            OrderRequest("btc_usdt", "buy", "limit", Decimal("30000"), Decimal("8.47E-8"), None, "a"),
            {"symbol": "btcusdt", "type": "buy", "price": "30000", "amount": "0.0000000847", "custom_id": "a"},
        ),
        (
            OrderRequest("btc_usdt", "sell", "maker", Decimal("3E+4"), Decimal("1"), None, "a"),
            {"symbol": "btcusdt", "type": "sell_maker", "price": "30000", "amount": "1", "custom_id": "a"},
        ),
        (
            OrderRequest("lbk_usdt", "buy", "market", None, None, Decimal("5"), "a"),
            {"symbol": "lbkusdt", "type": "buy_market", "price": "5", "custom_id": "a"},
        ),
        (
            OrderRequest("lbk_usdt", "sell", "market", None, Decimal("5"), None, "a"),
            {"symbol": "lbkusdt", "type": "sell_market", "amount": "5", "custom_id": "a"},
        ),
    ],
)
def test_an_order_is_spelt_as_the_guide_and_rest_have_it(order: OrderRequest, said: dict[str, str]):
    """Numbers in plain notation: another one may be read as another number."""
    frame = json.loads(dialect_named("simple").order("3", order))

    assert frame == {"op": "order", "args": [said], "id": "3"}


def test_v2_has_neither_a_log_in_nor_orders_on_its_socket():
    """Orders of V2 go over REST."""
    with pytest.raises(UsageError):
        V2().log_in("key", "1", "signature")
    with pytest.raises(UsageError):
        V2().order("1", Order().order)
