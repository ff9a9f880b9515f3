"""A line lives while its data is old, frozen, gone or another node's: noticed in time, named, and not served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws import (
    Cause,
    ConnectionLost,
    Depth,
    Ended,
    Flaw,
    LBankClient,
    Stale,
    StalePrice,
    Status,
    Subscribed,
    Trade,
)
from lbank_ws.feed.caretaker import OUT_OF_TURN_S, STRAYED_FOR_S
from lbank_ws.feed.freshness import ANSWER_S, LATE_IN_A_ROW, RECHECK_S, RENEW_LATE_S, RHYTHMS
from lbank_ws.sandbox import Sandbox
from tests.plain_exchange import TICK, PlainExchange
from tests.waiting import line_kinds, wait_until

STALE_S = LATE_S = 1.0
PAUSE_S = {"depth": 0.7, "ticker": 0.5, "kline": 1.7}  # between two news of btc_usdt on the practice exchange, at most
SLACK_S = 2.0  # for a ping, a question, a push in between and a busy machine


def suspected_s(channel: str) -> float:
    """Tell after how long an answer has spoken against a subscription, at most."""
    return max(STALE_S, RHYTHMS * PAUSE_S[channel]) + SLACK_S


class Patient:
    """A client that wants one thing of btc_usdt, which falls ill, and the trades of eth_usdt on another line."""

    def __init__(self, client: LBankClient, channel: str, box: Sandbox) -> None:
        self.client = client
        self.box = box
        self.statuses: list[Status] = []
        self.heard: list[Trade] = []
        client.on_status(self.statuses.append)
        self.subscription = client.subscribe(channel, "btc_usdt")
        client.on_trade("eth_usdt")(self.heard.append)

    def is_warm(self) -> bool:
        """Tell whether its rhythm is known, and a first healthy trade came."""
        return self.client.stats()[0].pushes >= 5 and bool(self.heard)

    def why(self) -> Flaw | None:
        """Tell why there is no present state of btc_usdt, or None when there is one."""
        ask = self.client.book if self.subscription.topic.channel == "depth" else self.client.last
        try:
            ask("btc_usdt")
        except Stale as stale:
            return stale.why
        return None

    def told(self, kind: str) -> list[Cause | None]:
        """Give the causes of the statuses of a kind that are about what fell ill, or about its line."""
        return [
            status.cause.cause if isinstance(status.cause, ConnectionLost) else None
            for status in self.statuses
            if status.kind == kind and status.line == 1
        ]

    def is_healthy_elsewhere(self) -> bool:
        """Tell whether every trade of eth_usdt since the first that was heard was heard, once and in order."""
        heard = [(trade.price, trade.amount) for trade in self.heard]
        made = [
            (each.listing.price_of(each.price), each.listing.amount_of(each.volume))
            for each in self.box.truth.trades("eth_usdt")
        ]
        return heard == made[made.index(heard[0]) :] and self.client.lines()[1].losses == 0


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt", "eth_usdt"]) as box:
        yield box


@pytest.fixture
def patient(box: Sandbox, make_client: Callable[..., LBankClient]) -> Callable[..., Patient]:
    """Give a maker of clients that run, with limits short enough for a test."""

    def make(channel: str, **options: Any) -> Patient:
        limits = {"stale_after_s": STALE_S, "late_after_s": LATE_S, "subscriptions_a_line": 1}
        made = Patient(make_client(box.url, **limits, **options), channel, box)
        made.client.start()
        wait_until(made.is_warm, 15, "some pushes")
        return made

    return make


# Late.


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["depth", "ticker"])
def test_late_pushes_are_not_served_and_fresh_ones_are_again(patient, box, caplog, channel):
    """A minute-old price looks like any other; only its age tells."""
    ill = patient(channel)
    books: list[Depth] = []
    ill.client.on_depth(books.append)

    with box.fault("late", delay_s=LATE_S + 0.5):
        wait_until(lambda: ill.why() is Flaw.LATE, LATE_S + 0.5 + PAUSE_S[channel] + SLACK_S)
        wait_until(lambda: ill.told("stale") == [Cause.LATE], LATE_IN_A_ROW * PAUSE_S[channel] + SLACK_S)
        assert ill.subscription.state is Subscribed.STALE
        assert ill.client.stats()[0].late >= LATE_IN_A_ROW
        assert LATE_S < ill.client.stats()[0].last_age_s < LATE_S + SLACK_S

    wait_until(lambda: ill.why() is None, PAUSE_S[channel] + SLACK_S)
    wait_until(lambda: ill.subscription.state is Subscribed.LIVE)
    wait_until(lambda: ill.told("live")[1:] == [None])  # told on the dispatch thread, behind the state
    assert all(book.fault is Flaw.LATE for book in books if book.late)
    assert f"{ill.subscription.topic} is stale (late" in caplog.text
    assert ill.told("lost") == []


@pytest.mark.slow
def test_line_that_brings_only_late_books_is_made_anew_and_no_other(patient, box):
    """The exchange lets what a socket does not take wait: a new socket has no queue."""
    ill = patient("depth")

    with box.fault("late", bytes_a_second=1000):
        wait_until(lambda: ill.told("stale") == [Cause.LATE], 10 + SLACK_S)
        wait_until(lambda: ill.told("lost") == [Cause.LATE], RENEW_LATE_S + SLACK_S)
        wait_until(lambda: line_kinds(ill.statuses, 1) == ["opened", "lost", "reconnected"])
        assert ill.client.lines()[0].losses == 1

    wait_until(lambda: ill.why() is None)
    wait_until(ill.is_healthy_elsewhere)


# Frozen, or silent.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "channel"),
    [("freeze", "depth"), ("freeze", "ticker"), ("freeze", "kline"), ("mute", "depth"), ("mute", "ticker")],
)
def test_stream_that_says_something_else_than_the_exchange_is_renewed(patient, box, caplog, fault, channel):
    """Its pushes, if there are any, have fresh times, and its line answers pings; only asking tells."""
    ill = patient(channel)

    with box.fault(fault, pair="btc_usdt", channel=channel):
        if channel != "kline":
            wait_until(lambda: ill.why() is Flaw.FROZEN, suspected_s(channel))
        wait_until(lambda: ill.told("stale") == [Cause.FROZEN], suspected_s(channel) + RECHECK_S)
        wait_until(lambda: line_kinds(ill.statuses, 1) == ["opened", "lost", "reconnected"])
        assert ill.told("lost") == [Cause.FROZEN]
        assert ill.subscription.state is Subscribed.STALE
        assert channel == "kline" or ill.why() is not None  # the new line repeats the past as well

    wait_until(lambda: ill.subscription.state is Subscribed.LIVE, PAUSE_S[channel] + SLACK_S)
    wait_until(lambda: ill.told("live") == [None, None])
    assert channel == "kline" or ill.why() is None
    assert f"{ill.subscription.topic} is stale (frozen" in caplog.text
    wait_until(ill.is_healthy_elsewhere)


class FrozenTicker(PlainExchange):
    """Pushes one price for ever, under fresh times, and answers another when it is asked."""

    def push(self) -> None:
        """Say the same again."""
        self.say(self._ticker(TICK))

    def _answers(self, frame: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
        if frame.get("action") == "request":
            return [self._ticker({**TICK, "latest": 79000.5})]
        return [self._ticker(TICK)] if frame.get("action") == "subscribe" else super()._answers(frame, asked)

    def _ticker(self, tick: dict[str, Any]) -> dict[str, Any]:
        stamp = datetime.now(timezone(timedelta(hours=8))).isoformat(timespec="milliseconds")[:23]
        return {"tick": tick, "type": "tick", "pair": "btc_usdt", "SERVER": "V2", "TS": stamp}


@pytest.fixture
def frozen(make_client: Callable[..., LBankClient]) -> Iterator[Callable[[Callable[[LBankClient], bool]], bool]]:
    """Give a question about a client whose ticker is frozen; the same price is pushed before each answer."""
    with FrozenTicker() as exchange:
        client = make_client(exchange.url, stale_after_s=STALE_S)
        subscription = client.subscribe("ticker", "btc_usdt")
        client.start()
        subscription.wait()

        def ask(question: Callable[[LBankClient], bool]) -> bool:
            exchange.push()
            return question(client)

        yield ask


def test_frozen_price_is_not_served_although_its_answer_looks_like_a_push(frozen):
    """The answer that proves it must neither be taken for the present price nor for news of the stream."""

    def is_refused(client: LBankClient) -> bool:
        try:
            assert client.last("btc_usdt").last != Decimal("79000.5")
        except StalePrice as stale:
            return stale.why is Flaw.FROZEN
        return False

    wait_until(lambda: frozen(is_refused), STALE_S + SLACK_S)


@pytest.mark.slow
def test_frozen_ticker_is_stale_and_its_line_is_renewed(frozen):
    """As it is for a frozen book."""

    def is_renewed(client: LBankClient) -> bool:
        return client.subscriptions()[0].state is Subscribed.STALE and client.lines()[0].losses == 1

    wait_until(lambda: frozen(is_renewed), STALE_S + RECHECK_S + SLACK_S)


class DeafEar(PlainExchange):
    """Answers every ping, and nothing about btc_usdt."""

    is_deaf = True

    def _answers(self, frame: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
        return [] if self.is_deaf and frame.get("pair") == "btc_usdt" else super()._answers(frame, asked)


@pytest.mark.slow
def test_subscription_that_never_brings_anything_is_silent(make_client):
    """On a line that lives, two questions without an answer are as good as proof."""
    with DeafEar() as exchange:
        client = make_client(exchange.url, stale_after_s=STALE_S, subscriptions_a_line=1)
        statuses: list[Status] = []
        client.on_status(statuses.append)
        subscription = client.subscribe("ticker", "btc_usdt")
        client.subscribe("trade", "eth_usdt")
        client.start()

        wait_until(lambda: "lost" in line_kinds(statuses), STALE_S + 2 * ANSWER_S + RECHECK_S + SLACK_S)

        (lost,) = [status for status in statuses if status.kind == "lost"]
        assert (lost.line, lost.cause.cause) == (1, Cause.SILENT)
        assert subscription.state is Subscribed.WAITING
        with pytest.raises(StalePrice):
            client.last("btc_usdt")

        exchange.is_deaf = False
        subscription.wait()
        assert client.lines()[1].losses == 0


@pytest.mark.slow
def test_quiet_market_is_not_taken_for_a_dead_one(make_client, tmp_path):
    """A pair may be quiet for hours; who cuts its line then loses the one trade that comes."""
    tape = tmp_path / "tape.jsonl"
    with Sandbox(pairs=["btc_usdt"], speed=0) as box:
        client = make_client(box.url, stale_after_s=0.5, record=tape)
        statuses: list[Status] = []
        client.on_status(statuses.append)
        for channel in ("depth", "ticker", "trade", "kline"):
            client.subscribe(channel, "btc_usdt")

        # Asked after 0.5 s, and where the answer was not believed, again after RECHECK_S.
        limit_s = 0.5 + RECHECK_S + SLACK_S
        ended = client.run(limit_s, until=lambda: any(status.kind in ("stale", "lost") for status in statuses))

    assert ended is Ended.TIME_OVER
    asked = [line for line in tape.read_text().splitlines() if '\\"request\\"' in line]
    assert len(asked) >= 4


# Books that are none.


@pytest.mark.parametrize(
    ("fault", "flaw"),
    [
        ("wrong_node", Flaw.WRONG_NODE),
        ("crossed_book", Flaw.CROSSED),
        ("empty_side", Flaw.EMPTY_SIDE),
    ],
)
def test_faulty_book_is_marked_and_never_served(patient, box, fault, flaw):
    """Whoever trades on the book of another node trades at another market's prices."""
    ill = patient("depth")
    every: list[Depth] = []
    good: list[Depth] = []
    ill.client.on_depth("btc_usdt")(every.append)
    ill.client.on_depth("btc_usdt", good_only=True)(good.append)

    with box.fault(fault, pair="btc_usdt"):
        wait_until(lambda: any(book.fault for book in every), PAUSE_S["depth"] + SLACK_S)
        assert ill.why() is None  # one such push does not spoil the book before it
        wait_until(lambda: ill.why() is flaw, LATE_S + PAUSE_S["depth"] + SLACK_S)
        assert {book.fault for book in every if book.fault} == {flaw}
        assert ill.subscription.state is Subscribed.LIVE
        wrong = sum(book.fault is Flaw.WRONG_NODE for book in every)
        assert ill.client.stats()[0].wrong_nodes >= wrong >= (1 if flaw is Flaw.WRONG_NODE else 0)

    wait_until(lambda: ill.why() is None, PAUSE_S["depth"] + SLACK_S)
    wait_until(lambda: good and good[-1] == every[-1])
    assert all(book.fault is None for book in good)
    assert ill.told("lost") == []
    wait_until(ill.is_healthy_elsewhere)


def test_books_of_every_node_are_served_to_who_asks_for_them(box, make_client):
    """On another day the other nodes may be the right ones."""
    with box.fault("wrong_node", pair="btc_usdt", off=0.04):
        client = make_client(box.url, nodes=None)
        subscription = client.subscribe("depth", "btc_usdt")
        with client:
            subscription.wait()

            book = client.book("btc_usdt")

    assert book.node == "m-07"
    assert book.fault is None


# The pair itself, and the clock.


def test_delisted_pair_is_refused_when_it_is_asked_for_again(patient, box):
    """An old subscription of a pair that is gone gets no error; silence must not be the last word."""
    ill = patient("ticker", rest_url=box.rest_url)

    with box.fault("delisted", pair="btc_usdt"):
        wait_until(lambda: ill.told("refused"), suspected_s("ticker"))

        assert ill.why() is Flaw.REFUSED
        assert ill.subscription.state is Subscribed.REFUSED
        assert ill.told("lost") == []
        assert "try again later" in ill.subscription.refusal.advice  # it was listed when the client began

    wait_until(ill.is_healthy_elsewhere)


def test_what_was_refused_is_not_served_when_pushes_come_again(patient, box):
    """The exchange said no; what an old subscription still brings is not what was asked for."""
    ill = patient("ticker")
    with box.fault("delisted", pair="btc_usdt"):
        wait_until(lambda: ill.told("refused"), suspected_s("ticker"))
    pushes = ill.client.stats()[0].pushes

    wait_until(lambda: ill.client.stats()[0].pushes > pushes + 2, what="pushes of what was refused")

    assert ill.why() is Flaw.REFUSED


@pytest.mark.parametrize("by_s", [30, -30])
@pytest.mark.parametrize("has_rest", [True, False])
def test_clock_that_is_wrong_makes_no_push_late(make_client, has_rest, by_s):
    """Most computers' clocks are off; a push is not old for that."""
    with Sandbox(pairs=["btc_usdt"], faults=[f"0 clock_skew by_s={by_s}"]) as box:
        client = make_client(box.url, rest_url=box.rest_url if has_rest else None)
        ages: list[float] = []
        client.on_ticker("btc_usdt")(lambda ticker: ages.append(ticker.age_s))

        client.run(for_s=10, until=lambda: len(ages) >= 5)

        assert all(-0.5 < age_s < LATE_S for age_s in ages)
        assert client.stats()[0].late == 0


@pytest.mark.slow
def test_exchange_clock_that_is_set_makes_pushes_late_for_seconds_only(box, make_client):
    """Otherwise every price would be refused until the clocks are compared in turn, ten minutes later."""
    client = make_client(box.url, rest_url=box.rest_url, late_after_s=LATE_S)
    ages: list[float] = []
    client.on_ticker("btc_usdt")(lambda ticker: ages.append(ticker.age_s))
    client.start()
    wait_until(lambda: ages)

    with box.fault("clock_skew", by_s=30):
        told = len(ages)
        wait_until(lambda: len(ages) >= told + 3, 3 * PAUSE_S["ticker"] + SLACK_S)
        assert ages[-1] < LATE_S
    wait_until(lambda: ages[-1] > LATE_S, PAUSE_S["ticker"] + SLACK_S, "the clock set back")

    wait_until(lambda: -0.5 < ages[-1] < LATE_S, OUT_OF_TURN_S + STRAYED_FOR_S + SLACK_S, "the clocks compared again")
