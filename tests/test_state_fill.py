"""The state of an account after a drop: what is asked for, what is told before what, and what is older than what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.channels import topic
from lbank_ws.events import BalanceUpdate, Event, Fill, OrderStatus, OrderUpdate
from lbank_ws.feed.asking import Fetch, Step
from lbank_ws.feed.balance_fill import BalanceFill
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.order_fill import MOST_ENDED, MOST_GUESSED, SLACK, OrderFill
from lbank_ws.feed.state_fill import HOLD_S, LONGEST_WAIT_S, StateFill

D = Decimal
BEGAN_AT = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
OPEN, PARTLY, FILLED = OrderStatus.OPEN, OrderStatus.PARTLY_FILLED, OrderStatus.FILLED
CANCELLED = OrderStatus.CANCELLED
LOCKED = [BalanceUpdate(asset="usdt", free=D(1), locked=D(5), total=D(6))]


def at(s: float) -> Moment:
    return Moment(s, round((BEGAN_AT.timestamp() + s) * 1e9))


def order(status: OrderStatus, filled: str = "0", order_id: str = "1", *, s: float = 0, **more: Any) -> OrderUpdate:
    """Give an update of an order of 1 btc, made at a second."""
    return OrderUpdate(
        pair=more.pop("pair", "btc_usdt"),
        order_id=order_id,
        status=status,
        side="buy",
        order_type="limit",
        amount=D(1),
        filled=D(filled),
        updated_at=BEGAN_AT + timedelta(seconds=s),
        **more,
    )


def dealt(filled: str, deal: str, *, s: float = 0, order_id: str = "1") -> OrderUpdate:
    """Give the push of a deal of 0.1 btc."""
    status = FILLED if D(filled) == 1 else PARTLY
    return order(status, filled, order_id, s=s, fill=Fill(D(100), D("0.1"), D(10), deal, "taker"))


def balance(asset: str, free: str, *, s: float | None = None, **more: Any) -> BalanceUpdate:
    moment = None if s is None else BEGAN_AT + timedelta(seconds=s)
    return BalanceUpdate(asset=asset, free=D(free), locked=D(0), total=D(free), updated_at=moment, **more)


class Told:
    """A fill, and all that it told: `resync filled 0.5`."""

    def __init__(self, fill: StateFill) -> None:
        self.fill = fill
        self.events: list[Any] = []
        self.asked: list[str] = []
        self._out: Fetch | None = None

    def took(self, step: Step) -> None:
        self.events += [*step.filled, *step.live]
        if step.fetch is not None:
            self._out = fetch = step.fetch
            words = [fetch.pair or "balances", fetch.order_id, "ended" if fetch.start_at else ""]
            self.asked.append(" ".join(word for word in words if word))

    def back(self, s: float = 0) -> Told:
        self.fill.back(at(s))
        self.took(self.fill.tick(at(s)))
        return self

    def live(self, *events: Event, s: float = 0) -> Told:
        for event in events:
            self.took(self.fill.live(event, at(s)))
        return self

    def answered(self, *answers: Sequence[Event], s: float = 0) -> Told:
        for rows in answers:
            assert self._out is not None
            self.took(self.fill.answered(self._out, rows, at(s)))
        return self

    def failed(self, s: float) -> Told:
        assert self._out is not None
        self.took(self.fill.failed(self._out, at(s)))
        return self

    def ticked(self, s: float) -> Told:
        self.took(self.fill.tick(at(s)))
        return self

    @property
    def said(self) -> list[str]:
        return [f"{event.source} {event.status} {event.filled}" for event in self.events]

    @property
    def balances(self) -> list[str]:
        return [f"{event.source} {event.asset} {event.free}" for event in self.events]


def orders(*pairs: str) -> Told:
    return Told(OrderFill(topic("order", "all"), dict.fromkeys(pairs or ("btc_usdt",), True)))


def balances() -> Told:
    return Told(BalanceFill(topic("balance", "all")))


# What is asked for.


def test_balances_tell_which_pairs_can_have_an_open_order():
    """Open orders are listed by pair alone, and there are 1,400 pairs."""
    told = orders("btc_usdt", "eth_btc", "lbk_usdc").back().answered(LOCKED, [])

    assert told.asked == ["balances", "btc_usdt"]


def test_pairs_that_nobody_named_are_guesses_and_few_of_them_are_asked_for():
    """Who watches two hundred markets trades on few; each guess is a call after each drop."""
    guesses = {f"a{number}_usdt": False for number in range(200)}
    told = Told(OrderFill(topic("order", "all"), {**guesses, "btc_usdt": True}))
    told.live(order(FILLED, "1", pair="eth_usdt", s=1)).back(10).answered(LOCKED, *[[]] * (MOST_GUESSED + 4))

    assert told.asked[:3] == ["balances", "btc_usdt", "eth_usdt"]
    assert told.asked[3 : 3 + MOST_GUESSED] == list(guesses)[:MOST_GUESSED]
    assert told.asked[3 + MOST_GUESSED :] == ["btc_usdt ended", "eth_usdt ended"]


def test_without_anything_held_back_no_pair_is_asked_for():
    """Then there is no open order."""
    told = orders("btc_usdt").back().answered([])

    assert (told.asked, told.fill.due_s()) == (["balances"], float("inf"))


@pytest.mark.parametrize(
    ("row", "unexplained"),
    [(None, {"usdt"}), (order(OPEN), set()), (replace(order(OPEN), side="sell"), {"usdt"})],
)
def test_what_no_known_order_holds_back_is_wondered_at(row: OrderUpdate | None, unexplained: set[str]):
    """An order is open on a pair that nobody named, and there is no list of all."""
    told = orders().back().answered(LOCKED, [] if row is None else [row])

    assert told.fill.unexplained == unexplained  # type: ignore[attr-defined]  # it is the one of orders


def test_what_was_open_and_is_not_listed_is_looked_up():
    """It has ended meanwhile; a list of open orders does not say how."""
    told = orders().live(order(OPEN)).back().answered(LOCKED, [], [], [order(FILLED, "1", s=1)])

    assert told.asked == ["balances", "btc_usdt", "btc_usdt ended", "btc_usdt 1"]
    assert told.said == ["live open 0", "resync filled 1"]


def test_what_was_placed_and_ended_meanwhile_is_found_among_the_ended():
    """Nobody has its id; a list of what has ended since the last news does."""
    told = orders().live(order(FILLED, "1", "old", s=100))
    told.back(200).answered([], [order(FILLED, "1", "new", s=150), order(CANCELLED, "0", "older", s=100 - 61)])

    assert [event.order_id for event in told.events] == ["old", "new"]


def test_what_has_ended_is_not_asked_for_at_the_first_start():
    """Nothing was missed: nobody listened."""
    told = orders().back().answered(LOCKED, [order(OPEN)])

    assert told.asked == ["balances", "btc_usdt"]


def test_a_drop_while_it_is_fetched_goes_back_to_the_same_moment():
    """What ended in the first outage must not be lost in the second."""
    told = orders().live(order(FILLED, "1", "old", s=100))
    told.back(200).live(order(OPEN, "0", "x", s=300), s=201).ticked(201 + HOLD_S)
    assert told.said == ["live filled 1", "live open 0"]
    told.fill.opened()
    told.back(400).answered([])

    assert told.asked[-1] == "btc_usdt ended"
    assert told._out is not None
    assert told._out.start_at == BEGAN_AT + timedelta(seconds=100) - SLACK


def test_a_failed_fetch_is_repeated_later_and_later_and_never_given_up():
    """The state stays unknown until it is fetched; there is no other way to it."""
    told = orders().back()
    waits = []
    s = 0.0
    for _ in range(10):
        told.failed(s)
        waits.append(told.fill.due_s() - s)
        s = told.fill.due_s()
        told.ticked(s)

    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == LONGEST_WAIT_S
    assert set(told.asked) == {"balances"}


def test_what_was_asked_before_is_not_asked_again_after_a_failure():
    """Each call counts against the exchange's limit."""
    told = orders("btc_usdt", "eth_usdt").back().answered(LOCKED, []).failed(0).ticked(1)

    assert told.asked == ["balances", "btc_usdt", "eth_usdt", "eth_usdt"]


def test_an_answer_to_what_was_asked_before_the_drop_is_not_taken():
    """It is older than what happened since."""
    told = orders().back()
    before = told._out
    assert before is not None
    told.back(10)

    told.took(told.fill.answered(before, LOCKED, at(11)))

    assert told.asked == ["balances", "balances"]


# What comes before what.


def test_the_state_comes_before_what_was_pushed_meanwhile():
    """A push says what changed; without the state before it nobody knows what it changed."""
    told = orders().back().live(order(PARTLY, "0.5", s=2)).answered(LOCKED, [order(OPEN, s=1)])

    assert told.said == ["resync open 0", "live partly filled 0.5"]


@pytest.mark.parametrize(
    ("pushed", "row", "said"),
    [
        # The answer is older than what waits: it comes first.
        ([order(PARTLY, "0.5", s=2)], order(OPEN, s=1), ["resync open 0", "live partly filled 0.5"]),
        # It says the same: it is left out.
        ([order(PARTLY, "0.5", s=2)], order(PARTLY, "0.5", s=2), ["live partly filled 0.5"]),
        ([order(CANCELLED, "0.5", s=2)], order(OrderStatus.PARTLY_CANCELLED, "0.5", s=2), ["live cancelled 0.5"]),
        # It lies between two that wait.
        (
            [order(OPEN, s=1), order(FILLED, "1", s=3)],
            order(PARTLY, "0.5", s=2),
            ["live open 0", "live filled 1"],
        ),
        # It is newer than all that waits: it comes last, and the push that is still on its way is no news then.
        ([order(OPEN, s=1)], order(FILLED, "1", s=2), ["live open 0", "resync filled 1"]),
    ],
)
def test_an_answer_takes_its_place_among_the_pushes(pushed: list[OrderUpdate], row: OrderUpdate, said: list[str]):
    """Nothing that is told takes back what was told before."""
    told = orders().back().live(*pushed).answered(LOCKED, [row])

    assert told.said == said


@pytest.mark.parametrize(
    "stale",
    [
        order(OPEN, s=0),
        order(PARTLY, "0.4", s=9),  # by a clock that is ahead, but less is filled
        order(OPEN, "0.5", s=0),
    ],
)
def test_a_stale_answer_does_not_undo_what_was_told(stale: OrderUpdate):
    """REST may lag behind the socket."""
    told = orders().live(order(PARTLY, "0.5", s=1)).back().answered(LOCKED, [stale], [])

    assert told.said == ["live partly filled 0.5"]


def test_an_end_is_not_undone():
    """Nothing follows it."""
    told = orders().live(order(CANCELLED, "0.5", s=1)).back().answered(LOCKED, [order(OPEN, "0.5", s=9)], [])

    assert told.said == ["live cancelled 0.5"]


def test_pushes_wait_three_seconds_at_most():
    """A fill that is known and not told costs money."""
    told = orders().back().live(order(PARTLY, "0.5", s=1), s=1)
    assert told.said == []
    assert told.fill.due_s() == 1 + HOLD_S

    told.ticked(1 + HOLD_S)
    told.live(order(PARTLY, "0.6", s=2), s=6)

    assert told.said == ["live partly filled 0.5", "live partly filled 0.6"]
    told.answered(LOCKED, [order(OPEN, s=0)])
    assert told.said == ["live partly filled 0.5", "live partly filled 0.6"]


def test_what_waits_is_told_when_the_client_ends():
    """It came, so somebody should hear of it."""
    told = orders().back().live(order(PARTLY, "0.5"))

    told.took(told.fill.given_up(at(1)))

    assert told.said == ["live partly filled 0.5"]


def test_what_waits_when_the_line_drops_is_told_in_time():
    """The next line may come in an hour."""
    told = orders().back().live(order(PARTLY, "0.5"), s=1)
    told.fill.opened()

    told.ticked(1 + HOLD_S)

    assert told.said == ["live partly filled 0.5"]


# Pushes alone.


def test_pushes_out_of_order_go_back_in_nothing():
    """The exchange was seen to push out of order."""
    told = orders().live(order(OPEN, s=2), order(CANCELLED, s=3), order(OPEN, s=2), order(OrderStatus.CANCELLING, s=2))

    assert told.said == ["live open 0", "live cancelled 0"]


def test_a_deal_is_news_however_much_is_known_of_its_order():
    """Its price, its value and its role stand nowhere else."""
    told = orders().back().answered(LOCKED, [order(PARTLY, "0.5", s=5)])

    told.live(dealt("0.4", "a", s=4), dealt("0.5", "b", s=5), dealt("0.5", "b", s=5))

    assert told.said == ["resync partly filled 0.5", "live partly filled 0.4", "live partly filled 0.5"]


def test_the_id_that_an_order_was_placed_with_is_not_lost():
    """A list of what has ended does not name it."""
    told = orders().live(order(OPEN, client_id="mine", s=1))
    told.back(10).answered([], [order(FILLED, "1", s=5)])

    assert [event.client_id for event in told.events] == ["mine", "mine"]


def test_memory_of_ended_orders_is_bounded():
    """A market maker ends a hundred thousand a day."""
    told = orders()
    for number in range(MOST_ENDED + 50):
        told.live(order(FILLED, "1", str(number)))
    told.live(order(OPEN, "0", "0"), order(OPEN, "0", str(MOST_ENDED)))

    assert [event.order_id for event in told.events[MOST_ENDED + 50 :]] == ["0"]


# Balances.


def test_balances_that_are_not_zero_are_told():
    """LBank answers with five thousand assets, nearly all of them empty."""
    told = balances().back().answered([balance("usdt", "5"), balance("btc", "0")])

    assert told.balances == ["resync usdt 5"]


def test_a_balance_that_became_zero_is_told_where_another_was_told():
    """Else the last that was told would stand for ever."""
    told = balances().live(balance("btc", "1", s=1)).back().answered([balance("btc", "0"), balance("eth", "0")])

    assert told.balances == ["live btc 1", "resync btc 0"]


def test_a_push_since_the_stream_was_asked_for_counts_more_than_an_answer():
    """The answer may be from before it, and does not say."""
    told = balances().back().live(balance("usdt", "7", s=1)).answered([balance("usdt", "5"), balance("btc", "1")])

    assert told.balances == ["resync btc 1", "live usdt 7"]


def test_so_does_one_that_could_not_wait_for_the_answer():
    """It was told; the answer comes later, and is older all the same."""
    told = balances().back().live(balance("usdt", "7", s=1), s=1).ticked(1 + HOLD_S).answered([balance("usdt", "5")])

    assert told.balances == ["live usdt 7"]


def test_an_answer_from_before_the_last_push_is_no_news():
    """A cache on the way may be a minute old."""
    old = balance("usdt", "5", exchange_at=BEGAN_AT + timedelta(seconds=9))
    told = balances().live(balance("usdt", "7", s=10)).back().answered([old])

    assert told.balances == ["live usdt 7"]


def test_balances_out_of_order_are_left_out():
    """The exchange was seen to push them so; the later one counts."""
    told = balances().live(balance("usdt", "7", s=10), balance("usdt", "5", s=9), balance("usdt", "8", s=10))

    assert told.balances == ["live usdt 7", "live usdt 8"]


# Whatever happens.


@given(
    moves=st.lists(st.sampled_from(["deal", "deal", "cancel", "lose", "back", "answer", "fail", "wait"]), max_size=40),
    lag=st.integers(0, 2),
)
def test_whatever_happens_nothing_goes_back_and_the_end_is_told(moves: list[str], lag: int):
    """An exchange with one order, a line that drops, and a REST interface that may lag behind."""
    told = orders().back().answered([])
    history = [order(OPEN)]
    told.live(history[0])
    pushed = [history[0]]
    is_up, asked_at, s = True, None, 1.0
    for move in moves:
        s += 1
        if move in ("deal", "cancel") and not history[-1].status.is_final:
            filled = (history[-1].filled or D(0)) + D("0.1")
            ends = order(CANCELLED, str(history[-1].filled), s=s)
            history.append(dealt(str(filled), f"deal {s}", s=s) if move == "deal" else ends)
            if is_up:
                pushed.append(history[-1])
                told.live(history[-1], s=s)
        elif move == "lose" and is_up:
            is_up, asked_at = False, None
            told.fill.opened()
        elif move == "back" and not is_up:
            is_up, asked_at = True, len(history)
            told.back(s)
        elif move in ("answer", "fail") and is_up and told._out is not None and asked_at is not None:
            _answer(told, history, lag, move, s)
        told.ticked(s)
    if is_up and lag:  # what an answer out of the past left out is told with the next line, or the next push
        is_up = False
        told.fill.opened()
    for _ in range(12):
        s += LONGEST_WAIT_S
        if not is_up:
            is_up = True
            told.back(s)
        told.ticked(s)
        if told._out is not None:
            _answer(told, history, 0, "answer", s)

    resynced: OrderUpdate | None = None
    for event in told.events:
        if event.source == "resync":
            assert resynced is None or not event.is_older_than(resynced)
        if resynced is None or not event.is_older_than(resynced):
            resynced = event
    assert resynced is not None
    assert (resynced.filled, resynced.status.is_final) == (history[-1].filled, history[-1].status.is_final)
    deals = [event.fill.id for event in told.events if event.fill is not None]
    assert sorted(deals) == sorted(event.fill.id for event in pushed if event.fill is not None)


def _answer(told: Told, history: list[OrderUpdate], lag: int, move: str, s: float) -> None:
    """Answer what was asked by a state that is a few changes old, or fail."""
    fetch = told._out
    assert fetch is not None
    told._out = None
    if move == "fail":
        told.took(told.fill.failed(fetch, at(s)))
        return
    state = replace(history[max(0, len(history) - 1 - lag)], fill=None)
    rows: list[Event] = []
    if not fetch.pair:
        rows = [] if state.status.is_final else list(LOCKED)
    elif fetch.order_id or state.status.is_final is (fetch.start_at is not None):
        rows = [state]
    told.took(told.fill.answered(fetch, rows, at(s)))
