"""How a hole is filled: what is fetched, when, and what becomes of the answers."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from lbank_ws.causes import Flaw
from lbank_ws.channels import topic
from lbank_ws.events import Event, Kline, Receipt, Side, Trade
from lbank_ws.feed.asking import Fetch, Fill, FillHabits, Outcome, Step
from lbank_ws.feed.backfill import fill_for
from lbank_ws.feed.bar_fill import BarFill
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.merging import identity
from lbank_ws.feed.trade_fill import TradeFill
from lbank_ws.sandbox import Sandbox
from lbank_ws.sandbox.frames import v2_trade
from lbank_ws.trading.rest import Rest
from lbank_ws.wire import V2, Push

BEGIN = datetime(2026, 9, 14, 1, 12, tzinfo=timezone.utc)
TRADES = topic("trade", "btc_usdt")
BARS = topic("kline", "btc_usdt")
HABITS = FillHabits()


def utc(s: float) -> datetime:
    return BEGIN + timedelta(milliseconds=round(s * 1000))


def at(s: float) -> Moment:
    return Moment(
        s, (BEGIN - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000 + round(s * 1e9)
    )


def trade(s: float, price: int = 1, amount: int = 1, side: Side = "buy", **more: Any) -> Trade:
    return Trade(
        pair="btc_usdt",
        price=Decimal(price),
        amount=Decimal(amount),
        value=None,
        side=side,
        traded_at=utc(s),
        **more,
    )


def moments(events: Sequence[Event]) -> list[float]:
    return [
        (each.traded_at - BEGIN) / timedelta(seconds=1)
        for each in events
        if isinstance(each, Trade) and each.traded_at is not None
    ]


def bar(number: int, volume: int = 1, sent_s: float | None = None, **more: Any) -> Kline:
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), Decimal(5))
    return Kline(
        pair="btc_usdt",
        interval="1min",
        opened_at=utc(60 * number),
        **{**prices, **more},
        volume=Decimal(volume),
        exchange_at=None if sent_s is None else utc(sent_s),
    )


def told(events: Sequence[Event]) -> list[tuple[int, int, bool, str]]:
    """Give number, volume, whether it is closed, and where it comes from."""
    return [
        (round((each.opened_at - BEGIN) / timedelta(minutes=1)), int(each.volume), each.closed, each.source)
        for each in events
        if isinstance(each, Kline)
    ]


def asked(step: Step) -> Fetch:
    assert step.fetch is not None
    return step.fetch


# The whole of it, against an exchange that knows the truth.


@dataclass
class Network:
    """How a line and REST behave; lengths in seconds.

    Attributes:
        joins_s: So long after it was asked for a subscription holds.
        push_s: So long a push is on its way.
        call_s: So long a call is on its way, there and back alike.
        lag_s: So far REST is behind.
        fails: How likely a call fails.
        remembers: How many trades or bars REST remembers.
        pages: Whether REST can begin anywhere.
    """

    joins_s: float = 0.1
    push_s: float = 0.1
    call_s: float = 0.1
    lag_s: float = 0.0
    fails: float = 0.0
    remembers: int = 10**6
    pages: bool = True


class World:
    """Plays a history to a `Fill`, with outages, and notes what comes out.

    Args:
        fill: What is tested.
        history: What happened, each with its second; in time order.
        outages: From when to when the line is away.
        network: How it behaves.
        rows: Gives the answer to a fetch from what had happened by then.
        rng: Decides which calls fail.
    """

    def __init__(
        self,
        fill: Fill,
        history: Sequence[tuple[float, Event]],
        outages: Sequence[tuple[float, float]],
        network: Network,
        rows: Callable[[Fetch, list[tuple[float, Event]]], list[Event]],
        rng: Random,
    ) -> None:
        self.events: list[Event] = []
        self.outcomes: list[Outcome] = []
        self.fetches: list[Fetch] = []
        self.skipped = 0
        self.is_forgetful = False
        self.fill = fill
        self.history = history
        self.network = network
        self._rows = rows
        self._rng = rng
        self._queue: list[tuple[float, int, Callable[[Moment], Step | None]]] = []
        ups = [0.0, *(up + network.joins_s for _, up in outages)]
        downs = [*(down for down, _ in outages), math.inf]
        for down, up in outages:
            self._at(down, lambda _: fill.opened())
            self._at(up, fill.back)
        for s, event in history:
            if any(up <= s and s + network.push_s < down for up, down in zip(ups, downs, strict=True)):
                self._at(s + network.push_s, lambda now, event=event: fill.live(event, now))  # type: ignore[misc]

    def __repr__(self) -> str:
        return "a world"

    def _at(self, s: float, do: Callable[[Moment], Step | None]) -> None:
        heapq.heappush(self._queue, (s, len(self._queue) + 1000 * len(self.events) + len(self.fetches), do))

    def run(self, until_s: float) -> None:
        now_s = 0.0
        while True:
            due_s = self.fill.due_s()
            if self._queue and self._queue[0][0] <= due_s:
                now_s, _, do = heapq.heappop(self._queue)
                self._take(do(at(now_s)), now_s)
            elif due_s <= until_s:
                now_s = max(now_s, due_s)
                self._take(self.fill.tick(at(now_s)), now_s)
            else:
                return

    def _take(self, step: Step | None, now_s: float) -> None:
        if step is None:
            return
        self.events += step.filled
        if step.outcome is not None:
            self.outcomes.append(step.outcome)
        self.events += step.live
        self.skipped += step.skipped
        if step.fetch is not None:
            self._call(step.fetch, now_s)

    def _call(self, fetch: Fetch, now_s: float) -> None:
        self.fetches.append(fetch)
        seen_s = now_s + self.network.call_s
        back_s = seen_s + self.network.call_s
        if self._rng.random() < self.network.fails:
            self._at(back_s, lambda now: self.fill.failed(fetch, now))
            return
        known = [(s, event) for s, event in self.history if s <= seen_s - self.network.lag_s]
        rows = self._rows(fetch, known[-self.network.remembers :])
        self._at(back_s, lambda now: self.fill.answered(fetch, rows, now))


def past_trades(pages: bool) -> Callable[[Fetch, list[tuple[float, Event]]], list[Event]]:
    """Answer like `supplement/trades.do`; where it has no pages it gives the newest whatever is asked."""

    def rows(fetch: Fetch, known: list[tuple[float, Event]]) -> list[Event]:
        made = [replace(event, order_type=None) for _, event in known if isinstance(event, Trade)]
        if fetch.by == "request":
            return []
        if fetch.start_at is None or not pages:
            return list(made[-fetch.size :])
        return [each for each in made if each.traded_at and each.traded_at > fetch.start_at][: fetch.size]

    return rows


@st.composite
def trade_worlds(draw: st.DrawFn) -> World:
    """Give worlds in which a lot is equal, and moments have several trades."""
    rng = Random(draw(st.integers(0, 10**6)))
    length_s = 60
    count = draw(st.integers(0, 150))
    coarse = draw(st.sampled_from([1, 50, 1000]))  # in ms: how many share a moment
    marks = sorted(rng.randrange(0, length_s * 1000) // coarse * coarse for _ in range(count))
    history = [trade(ms / 1000, rng.choice((1, 2)), 1, rng.choice(("buy", "sell"))) for ms in marks]
    network = Network(
        joins_s=draw(st.sampled_from([0.0, 0.05, 0.7])),
        push_s=draw(st.sampled_from([0.0, 0.01, 0.3])),
        call_s=draw(st.sampled_from([0.01, 0.4])),
        lag_s=draw(st.sampled_from([0.0, 0.3, 3.0])),
        fails=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        remembers=draw(st.sampled_from([20, 10**6])),
        pages=draw(st.booleans()),
    )
    cuts = sorted(rng.uniform(0.5, length_s) for _ in range(2 * draw(st.integers(0, 4))))
    outages = list(zip(cuts[::2], cuts[1::2], strict=True))
    fill = TradeFill(TRADES, habits=replace(HABITS, trades=draw(st.sampled_from([10, 30, 500])), pages=4))
    note(f"{network} {outages} {marks} {fill.habits}")
    timed: list[tuple[float, Event]] = [(ms / 1000, event) for ms, event in zip(marks, history, strict=True)]
    return World(fill, timed, outages, network, past_trades(network.pages), rng)


@given(world=trade_worlds())
@settings(max_examples=200, deadline=None)
def test_the_callback_sees_every_trade_once_or_is_told_which_are_missing(world: World):
    """Whatever is lost, late, doubled or equal."""
    fill, history = world.fill, [event for _, event in world.history if isinstance(event, Trade)]
    world.run(200)
    note(f"{moments(world.events)} {world.outcomes} {world.fetches}")

    assert not fill.is_open
    assert math.isinf(fill.due_s())
    came = Counter(identity(each) for each in world.events if isinstance(each, Trade))
    was = Counter(map(identity, history))
    assert came - was == Counter()
    missing_before = max((each.missing_before for each in world.outcomes if each.missing_before), default=None)
    first_at = min((each.traded_at_of for each in map(Told, world.events)), default=None)
    for known in (was - came).elements():
        assert known is not None
        # What was traded before anything came was never promised.
        assert (first_at is None or known.traded_at < first_at) or (
            missing_before is not None and known.traded_at <= missing_before
        )
    assert moments(world.events) == sorted(moments(world.events))
    assert sum(each.filled for each in world.outcomes) == sum(each.source == "backfill" for each in world.events)


@dataclass
class Told:
    """A trade that was handed out."""

    event: Event

    @property
    def traded_at_of(self) -> datetime:
        assert isinstance(self.event, Trade)
        assert self.event.traded_at is not None
        return self.event.traded_at


@st.composite
def good_trade_worlds(draw: st.DrawFn) -> World:
    """Give worlds in which REST works: within a second it knows everything, and it can begin anywhere."""
    rng = Random(draw(st.integers(0, 10**6)))
    coarse = draw(st.sampled_from([1, 50, 1000]))
    marks = sorted(rng.randrange(0, 60_000) // coarse * coarse for _ in range(draw(st.integers(0, 150))))
    history = [trade(ms / 1000, rng.choice((1, 2)), 1, rng.choice(("buy", "sell"))) for ms in marks]
    network = Network(
        joins_s=draw(st.sampled_from([0.0, 0.05, 0.7])),
        push_s=draw(st.sampled_from([0.0, 0.01, 0.3])),
        call_s=draw(st.sampled_from([0.01, 0.4])),
        lag_s=draw(st.sampled_from([0.0, 0.2])),
    )
    cuts = sorted(rng.uniform(0.5, 60) for _ in range(2 * draw(st.integers(0, 6))))
    outages = list(zip(cuts[::2], cuts[1::2], strict=True))
    rows = draw(st.sampled_from([60, 500]))
    fill = TradeFill(TRADES, habits=replace(HABITS, trades=rows, pages=10))
    timed: list[tuple[float, Event]] = [(ms / 1000, event) for ms, event in zip(marks, history, strict=True)]
    note(f"{network} {outages} {marks} {fill.habits}")
    return World(fill, timed, outages, network, past_trades(pages=True), rng)


@given(world=good_trade_worlds())
@settings(max_examples=200, deadline=None)
def test_where_rest_works_nothing_is_missing(world: World):
    """Saying of everything that it is missing would be true to the letter, and of no use."""
    fill, history = world.fill, [event for _, event in world.history if isinstance(event, Trade)]
    world.run(200)
    note(f"{moments(world.events)} {world.outcomes} {world.fetches}")

    first_at = moments(world.events)[0] if world.events else math.inf
    promised = [each for each in history if each.traded_at and each.traded_at >= utc(min(first_at, 1e6))]
    assert Counter(map(identity, promised)) == Counter(
        identity(each) for each in world.events if isinstance(each, Trade)
    )
    assert [each.missing_before for each in world.outcomes] == [None] * len(world.outcomes)
    assert moments(world.events) == sorted(moments(world.events))
    assert not fill.is_open


def past_bars(remembers: int) -> Callable[[Fetch, list[tuple[float, Event]]], list[Event]]:
    """Answer like a request for `kbar`: the newest version of each bar, the first ones from `start` on."""

    def rows(fetch: Fetch, known: list[tuple[float, Event]]) -> list[Event]:
        newest = {each.opened_at: each for _, each in known if isinstance(each, Kline)}
        kept = [newest[opened_at] for opened_at in sorted(newest)][-remembers:]
        assert fetch.start_at is not None
        assert fetch.end_at is not None
        return [each for each in kept if fetch.start_at <= each.opened_at <= fetch.end_at][: fetch.size]

    return rows


@st.composite
def bar_worlds(draw: st.DrawFn) -> World:
    """Give worlds in which some bars are missing at the exchange itself, and lines drop in the middle of bars."""
    rng = Random(draw(st.integers(0, 10**6)))
    sparse = draw(st.sampled_from([0.0, 0.3]))
    history: list[tuple[float, Event]] = []
    for number in range(draw(st.integers(0, 30))):
        if rng.random() >= sparse:
            sent = sorted(rng.uniform(0, 59.9) for _ in range(rng.randrange(1, 5)))
            history += [
                (60 * number + s, bar(number, volume, 60 * number + s)) for volume, s in enumerate(sent, start=1)
            ]
    network = Network(
        push_s=draw(st.sampled_from([0.0, 0.3])),
        call_s=draw(st.sampled_from([0.01, 0.4])),
        lag_s=draw(st.sampled_from([0.0, 0.2])),
        fails=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        remembers=10**6,
    )
    remembers = draw(st.sampled_from([5, 10**6]))
    cuts = sorted(rng.uniform(0.5, 1800) for _ in range(2 * draw(st.integers(0, 4))))
    outages = list(zip(cuts[::2], cuts[1::2], strict=True))
    fill = BarFill(BARS, habits=replace(HABITS, bars=draw(st.sampled_from([3, 2000]))))
    note(f"{network} {outages} {told([each for _, each in history])} {remembers} {fill.habits}")
    world = World(fill, history, outages, network, past_bars(remembers), rng)
    # Three bars a call may take longer than pushes wait.
    world.is_forgetful = remembers < 30 or fill.habits.bars < 30
    return world


@given(world=bar_worlds())
@settings(max_examples=200, deadline=None)
def test_the_callback_sees_every_bar_as_it_ended_or_is_told_which_are_missing(world: World):
    """None out of order, none invented, none closed that was cut off."""
    world.run(3000)
    note(f"{told(world.events)} {world.outcomes} {world.fetches}")

    bars = [each for each in world.events if isinstance(each, Kline)]
    truth = {each.opened_at: int(each.volume) for _, each in world.history if isinstance(each, Kline)}
    opened = [each.opened_at for each in bars]
    assert opened == sorted(opened)
    assert set(opened) <= set(truth)
    closed = {each.opened_at: int(each.volume) for each in bars if each.closed}
    assert len(closed) == sum(each.closed for each in bars)
    spoilt = [each.missing_before for each in world.outcomes if each.missing_before is not None]
    if opened:
        for opened_at in (each for each in truth if opened[0] <= each < opened[-1]):
            if not any(opened_at <= each for each in spoilt):
                assert closed.get(opened_at) == truth[opened_at]
    if world.network.fails == 0 and not world.is_forgetful:
        assert spoilt == []
    assert not world.fill.is_open
    assert sum(each.filled for each in world.outcomes) <= sum(each.source == "backfill" for each in bars)


def test_a_hole_between_bars_is_a_gap_that_no_outage_explains():
    """The line never dropped, and a bar did not come."""
    fill = BarFill(BARS)
    fill.live(bar(0, sent_s=1), at(1))

    found = fill.live(bar(2, sent_s=121), at(121))

    assert found == Step(skipped=True)
    fetch = asked(fill.tick(at(122)))
    assert (fetch.by, fetch.start_at, fetch.end_at) == ("request", utc(0), utc(180))
    step = fill.answered(fetch, [bar(0, 3, 122), bar(1, 4, 122), bar(2, 1, 122)], at(122.1))
    assert told(step.filled) == [(0, 3, True, "backfill"), (1, 4, True, "backfill")]
    assert step.outcome == Outcome(2, None)
    assert told(step.live) == [(2, 1, False, "live")]


def test_a_bar_that_the_exchange_does_not_have_is_not_invented():
    """Nobody traded in it, perhaps."""
    fill = BarFill(BARS)
    fill.live(bar(0, sent_s=1), at(1))
    fill.live(bar(2, sent_s=121), at(121))

    step = fill.answered(asked(fill.tick(at(122))), [bar(0, 1, 122), bar(2, 1, 122)], at(122.1))

    assert told([*step.filled, *step.live]) == [(0, 1, True, "live"), (2, 1, False, "live")]
    assert step.outcome == Outcome(0, None)


def test_a_faulty_bar_waits_for_nothing_and_opens_nothing():
    """It is handed out with its fault, whatever else goes on."""
    fill = BarFill(BARS)
    fill.live(bar(0), at(1))

    step = fill.live(bar(7, low=Decimal(6)), at(2))

    assert [each.fault for each in step.live if isinstance(each, Kline)] == [Flaw.IMPOSSIBLE]
    assert not fill.is_open


@pytest.mark.parametrize(
    ("name", "has_requests", "has_rest", "ways"),
    [
        ("trade/btc_usdt", True, True, ["rest", "request", "rest", "request"]),
        ("trade/btc_usdt", False, True, ["rest"] * 4),
        ("kline/1min", True, True, ["request", "rest", "request", "rest"]),
        ("kline/1min", False, True, ["rest"] * 4),
        ("kline/year", True, True, ["request"] * 4),
        ("kline/1min", False, False, []),
        ("trade/btc_usdt", False, False, []),
        ("trade/btc_usdt", True, False, []),
    ],
)
def test_each_way_is_tried_in_turn(name: str, has_requests: bool, has_rest: bool, ways: list[str]):
    """The one that fails today may be the other one tomorrow."""
    channel, _, interval = name.partition("/")
    of = topic(channel, "btc_usdt", interval=interval if channel == "kline" else None)
    fill = fill_for(of, has_requests=has_requests, has_rest=has_rest)
    assert fill is not None
    event: Event = trade(0) if channel == "trade" else replace(bar(0), interval=interval)
    fill.live(event, at(0))
    fill.opened()
    fill.back(at(5))
    tried, outcome = [], None
    while outcome is None:
        now = at(fill.due_s())
        step = fill.tick(now)
        if step.fetch is not None:
            tried.append(step.fetch.by)
            step = fill.failed(step.fetch, now)
        outcome = step.outcome

    assert tried == ways
    assert outcome.filled == 0
    assert outcome.missing_before is not None


@pytest.mark.parametrize(("has_rest", "is_over"), [(False, True), (True, False)], ids=["the only way", "REST is next"])
def test_a_line_that_answers_nothing_is_not_asked_again(has_rest: bool, is_over: bool):
    """Bars wait for the answer; who serves a recording gives none."""
    fill = fill_for(BARS, has_requests=True, has_rest=has_rest)
    assert fill is not None
    fill.live(bar(0), at(0))
    fill.opened()
    fill.back(at(5))
    asked = fill.tick(at(fill.due_s()))
    assert asked.fetch is not None

    late_s = fill.due_s()
    step = fill.tick(at(late_s))

    assert late_s < 5 + 5
    assert (step.outcome is not None) == is_over


@pytest.mark.parametrize("of", [topic("ticker", "btc_usdt"), topic("depth", "btc_usdt")])
def test_a_state_needs_no_filling(of: Any):
    """The first push says all."""
    assert fill_for(of, has_requests=True, has_rest=True) is None


def test_pushes_wait_until_the_fetched_ones_are_out():
    """Otherwise time would run backwards in the callback."""
    fill = TradeFill(TRADES)
    assert fill.live(trade(1), at(1)).live == [trade(1)]
    fill.opened()
    fill.back(at(10))
    assert fill.live(trade(10.5), at(10.5)) == Step()
    assert fill.due_s() == 11.5

    fetch = asked(fill.tick(at(11.5)))
    assert fill.live(trade(11.6), at(11.6)) == Step()
    step = fill.answered(fetch, [trade(1), trade(4), trade(10.5), trade(11.3)], at(11.7))

    assert step.filled == [trade(4, source="backfill"), trade(10.5)]
    assert step.live == [trade(11.6)]
    assert step.outcome == Outcome(1, None)


def test_an_empty_answer_to_a_request_for_trades_is_none():
    """The one capture has no rows although there were trades."""
    fill = TradeFill(TRADES, ["request"])
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))

    step = fill.answered(asked(fill.tick(at(11))), [], at(11.1))

    assert step == Step()
    assert fill.due_s() == 11.1 + HABITS.again_s


def test_nothing_waits_longer_than_promised():
    """A feed that stands still because REST hangs is worse than one with a hole."""
    fill = TradeFill(TRADES)
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))
    fill.live(trade(10.5), at(10.5))
    now_s, fetches = 10.5, []
    while fill.is_open:
        now_s = fill.due_s()
        step = fill.tick(at(now_s))
        fetches.append(step.fetch)

    assert now_s <= 10.5 + HABITS.hold_s
    assert step.live == [trade(10.5)]
    assert step.outcome == Outcome(0, utc(10.5))
    for late in filter(None, fetches):
        assert fill.answered(late, [trade(1), trade(4)], at(30)) == Step()
        assert fill.failed(late, at(30)) == Step()


def test_no_more_wait_than_there_is_room():
    """Memory stays bounded, however busy the pair."""
    fill = TradeFill(TRADES, habits=replace(HABITS, held=3))
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))

    steps = [fill.live(trade(10 + n / 10), at(10 + n / 10)) for n in range(1, 5)]

    assert [len(step.live) for step in steps] == [0, 0, 0, 4]
    assert steps[-1].outcome == Outcome(0, utc(10.1))


def test_trades_without_a_moment_are_never_filled():
    """Nothing could tell whether one was seen."""
    fill = TradeFill(TRADES)
    timeless = replace(trade(2), traded_at=None)
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))

    step = fill.live(timeless, at(10.2))

    assert step.live == [timeless]
    assert step.outcome is not None
    assert step.outcome.missing_before == at(10.2).utc


def test_the_end_of_the_client_hands_out_what_waits():
    """It was received, and nobody will come for it later."""
    for fill, event in ((TradeFill(TRADES), trade(11)), (BarFill(BARS), bar(5))):
        assert fill.given_up(at(0)) == Step()
        fill.live(trade(1) if isinstance(event, Trade) else bar(0), at(1))
        fill.opened()
        fill.live(event, at(11))

        step = fill.given_up(at(12))

        assert step.live == [event]
        assert step.outcome is not None
        assert step.outcome.missing_before is not None
        assert not fill.is_open


def test_what_was_seen_in_an_earlier_run_is_not_handed_out_again():
    """The next start begins with the hole since the last one."""
    fill = TradeFill(TRADES)
    for known in (identity(trade(1)), identity(trade(1)), identity(trade(2))):
        assert known is not None
        fill.seen.add(known)
    fill.opened(since=utc(2))
    fill.back(at(100))
    fill.live(trade(100.1), at(100.2))

    history = [trade(1), trade(1), trade(2), trade(2), trade(50), trade(100.1)]
    step = fill.answered(asked(fill.tick(at(101.2))), history, at(101.3))

    assert step.filled == [trade(2, source="backfill"), trade(50, source="backfill"), trade(100.1)]
    assert step.outcome == Outcome(2, None)


def test_a_wait_that_rest_asks_for_is_kept():
    """It was told that the calls were too frequent."""
    fill = TradeFill(TRADES)
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))

    assert fill.failed(asked(fill.tick(at(11))), at(11.1), wait_s=7) == Step()

    assert fill.due_s() == 18.1


def test_a_fetched_trade_that_is_pushed_later_comes_once():
    """The exchange was seen to hold pushes back for a minute; REST does not wait for them."""
    fill = TradeFill(TRADES)
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))
    fill.answered(asked(fill.tick(at(11))), [trade(1), trade(10.2), trade(10.2)], at(11.1))
    step = fill.answered(asked(fill.tick(at(20))), [trade(1), trade(10.2), trade(10.2)], at(20.1))
    assert step.outcome == Outcome(2, None)

    pushed = [fill.live(trade(10.2), at(25)).live for _ in range(3)]

    assert pushed == [[], [], [trade(10.2)]]
    assert fill.live(trade(30), at(30)).live == [trade(30)]


def test_a_trade_that_was_lost_out_of_order_is_found():
    """The one that was pushed last need not be the one that was made last."""
    fill = TradeFill(TRADES)
    for s in (1, 5):
        fill.live(trade(s), at(s))
    fill.opened()
    fill.back(at(10))
    fill.live(trade(10.1), at(10.2))

    history = [trade(1), trade(3.9), trade(4.8), trade(5), trade(10.1)]
    step = fill.answered(asked(fill.tick(at(11.2))), history, at(11.3))

    assert step.filled == [trade(4.8, source="backfill"), trade(10.1)]


def test_a_bar_that_came_between_two_drops_is_fetched_as_it_ended():
    """It was pushed once, and then nobody saw its end."""
    fill = BarFill(BARS)
    fill.live(bar(0, sent_s=1), at(1))
    fill.opened()
    fill.back(at(130))
    fill.live(bar(2, 1, 130), at(130))
    fill.opened()
    fill.back(at(200))
    assert fill.due_s() == 201

    rows = [bar(0, 7, 201), bar(1, 8, 201), bar(2, 9, 201), bar(3, 1, 201)]
    step = fill.answered(asked(fill.tick(at(201))), rows, at(201.1))
    assert told(step.filled) == [
        (0, 7, True, "backfill"),
        (1, 8, True, "backfill"),
        (2, 9, True, "backfill"),
        (3, 1, False, "backfill"),
    ]
    assert fill.due_s() == 210

    step = fill.live(bar(4, 1, 240), at(240))
    step = fill.answered(asked(fill.tick(at(241))), [*rows[:3], bar(3, 5, 241), bar(4, 1, 241)], at(241.1))
    assert told([*step.filled, *step.live]) == [(3, 5, True, "backfill"), (4, 1, False, "live")]
    assert step.outcome == Outcome(4, None)


def test_bars_are_fetched_page_by_page():
    """A call gives 2,000 at most; so many minutes are less than a day and a half."""
    fill = BarFill(BARS, habits=replace(HABITS, bars=2))
    fill.live(bar(0, sent_s=1), at(1))
    fill.opened()
    fill.back(at(190))
    fill.live(bar(3, 1, 190), at(190))

    step = fill.answered(asked(fill.tick(at(191))), [bar(0, 1, 191), bar(1, 1, 191)], at(191))
    step = fill.answered(asked(step), [bar(1, 1, 191), bar(2, 1, 191)], at(191))
    fetch = asked(step)
    assert fetch.start_at == utc(120)
    step = fill.answered(fetch, [bar(2, 1, 191), bar(3, 1, 191)], at(191))

    assert [number for number, *_ in told(step.filled)] == [0, 1, 2]
    assert step.outcome == Outcome(2, None)


def test_bars_that_the_exchange_has_forgotten_are_missing():
    """It was away for longer than the exchange remembers."""
    fill = BarFill(BARS)
    fill.live(bar(0, sent_s=1), at(1))
    fill.opened()
    fill.back(at(600))
    fill.live(bar(10, 1, 600), at(600))

    step = fill.answered(asked(fill.tick(at(601))), [bar(8, 1, 601), bar(9, 1, 601), bar(10, 1, 601)], at(601))

    assert [number for number, *_ in told(step.filled)] == [8, 9]
    assert step.outcome == Outcome(2, utc(480))


def test_pages_that_lead_nowhere_end():
    """A whole page of one moment: the next one would be the same."""
    fill = TradeFill(TRADES, habits=replace(HABITS, trades=2))
    fill.live(trade(1), at(1))
    fill.opened()
    fill.back(at(10))
    fill.live(trade(9), at(10))

    step = fill.answered(asked(fill.tick(at(11))), [trade(8), trade(9)], at(11))
    assert asked(step).start_at == utc(0.999)
    step = fill.answered(asked(step), [trade(1), trade(1)], at(11))

    assert step.outcome == Outcome(2, utc(8))


def test_sixty_drops_against_the_practice_exchange():
    """Frames of the socket and answers of REST, told by the exchange's own log."""
    rng = Random(6)
    fill = TradeFill(TRADES)
    given_out: list[Event] = []
    outcomes: list[Outcome] = []

    def take(step: Step, now_s: float) -> None:
        given_out.extend([*step.filled, *step.live])
        outcomes.extend([step.outcome] if step.outcome else [])
        if step.fetch is not None:
            rows = rest.trades("btc_usdt", size=step.fetch.size, after=step.fetch.start_at)
            take(fill.answered(step.fetch, rows, at(now_s)), now_s)

    with Sandbox(seed=3, speed=0, pairs=["btc_usdt"]) as box, closing(Rest(box.rest_url)) as rest:
        now_s, count, is_up, opened = 0.0, 0, True, 0
        while opened < 60 or fill.is_open:
            box.step(0.5)
            now_s += 0.5
            made = box.truth.trades("btc_usdt")
            for each in made[count:] if is_up else []:
                message = V2().decode(v2_trade(each), Receipt(0))
                assert isinstance(message, Push)
                take(fill.live(message.events[0], at(now_s)), now_s)
            count = len(made)
            while now_s >= fill.due_s():
                take(fill.tick(at(now_s)), now_s)
            if opened < 60 and rng.random() < 0.2:
                is_up = not is_up
                if is_up:
                    fill.back(at(now_s))
                elif given_out:
                    fill.opened()
                    opened += 1
            elif opened >= 60 and not is_up:
                is_up = True
                fill.back(at(now_s))

    expected = [
        (each.traded_at_ms, each.listing.price_of(each.price), each.listing.amount_of(each.volume), each.side)
        for each in made
    ]
    seen = [
        (round(each.traded_at.timestamp() * 1000), each.price, each.amount, each.side)
        for each in given_out
        if isinstance(each, Trade) and each.traded_at is not None
    ]
    assert sum(outcome.filled for outcome in outcomes) > 100
    assert [outcome.missing_before for outcome in outcomes] == [None] * len(outcomes)
    assert Counter(seen) == Counter(expected)
    assert [ms for ms, *_ in seen] == [ms for ms, *_ in expected]
