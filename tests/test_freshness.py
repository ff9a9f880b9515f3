"""Quiet or dead: what a silence means, rule by rule. What follows for the line is `test_vigil.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.events import Depth, Event, Kline, Level, Ticker, Trade
from lbank_ws.feed.freshness import (
    ANSWER_S,
    LATE_IN_A_ROW,
    LONGEST_S,
    RECHECK_S,
    RENEW_LATE_S,
    RHYTHMS,
    Stage,
    Watch,
    agrees,
    content_of,
    newest,
    rows_of,
)
from lbank_ws.wire.levels import Levels
from tests.test_session import at

FLOOR_S = 10.0
TOPICS: dict[str, Topic] = {
    "ticker": topic("ticker", "btc_usdt"),
    "depth": topic("depth", "btc_usdt", levels=100),
    "trade": topic("trade", "btc_usdt"),
    "kline": topic("kline", "btc_usdt", interval="1min"),
}
ASKED_OF = ["depth", "trade", "kline"]  # their answers do not look like pushes


def ticker(last: int = 100, volume: int = 1) -> Ticker:
    """Give a ticker with this price."""
    return Ticker(pair="btc_usdt", last=Decimal(last), volume=Decimal(volume))


def depth(bid: int = 100) -> Depth:
    """Give a book with this best bid."""
    ask = Level(Decimal(bid + 1), Decimal(1))
    return Depth(pair="btc_usdt", bids=(Level(Decimal(bid), Decimal(1)),), asks=(ask,))


def trade(price: int = 100, *, made_at: datetime | None = None) -> Trade:
    """Give a trade at this price."""
    return Trade(
        pair="btc_usdt", price=Decimal(price), amount=Decimal(1), value=None, side="buy", traded_at=made_at or at(0).utc
    )


def kline(close: int = 100, *, volume: int = 1, minute: int = 0) -> Kline:
    """Give a bar that ends at this price."""
    price = Decimal(close)
    return Kline(
        pair="btc_usdt",
        interval="1min",
        opened_at=at(60 * minute).utc,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(volume),
    )


SAYS: dict[str, Callable[[int], Event]] = {"ticker": ticker, "depth": depth, "trade": trade, "kline": kline}


def watch_of(channel: str, *, news_s: tuple[float, ...] = (), opened_s: float = 0.0) -> Watch:
    """Give a watch whose line opened, and that got news at these seconds: prices 1, 2, 3, ..."""
    watch = Watch(TOPICS[channel])
    watch.line_opened(opened_s)
    for number, now_s in enumerate(news_s, 1):
        watch.pushed(SAYS[channel](number), now_s, late=False)
    return watch


def asked_at(watch: Watch, now_s: float) -> Watch:
    """Let the line be asked, and the question leave, at this second."""
    watch.pinged(now_s)
    watch.asked(now_s)
    return watch


class TestRhythm:
    """When a silence is suspicious."""

    @pytest.mark.parametrize(
        ("news_s", "due_s"),
        [
            ((), FLOOR_S),
            ((1,), 1 + FLOOR_S),
            ((1, 2, 3), 3 + FLOOR_S),
            ((20,), 20 + RHYTHMS * 20),
            ((20, 40, 60), 60 + RHYTHMS * 20),
            ((200, 400, 600), 600 + LONGEST_S),
        ],
        ids=["nothing yet", "one", "a quick one", "a slow one", "steady", "too slow to wait for"],
    )
    def test_suspicion_comes_far_beyond_the_rhythm_and_the_floor(self, news_s: tuple[float, ...], due_s: float):
        """A pair that is quiet by nature must not be asked about all day, and none for ever."""
        assert watch_of("depth", news_s=news_s).due_s(FLOOR_S) == pytest.approx(due_s)

    def test_the_rhythm_follows_the_market(self):
        """A pair that was slow at night is quick in the morning."""
        slow = watch_of("depth", news_s=(20, 40, 60))

        for number in range(100):
            slow.pushed(depth(1000 + number), 61 + number, late=False)

        assert slow.pause_s == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize("channel", ["ticker", "depth", "kline"])
    def test_what_is_known_already_is_no_news(self, channel: str):
        """A frozen feed has plenty of it."""
        watch = watch_of(channel, news_s=(1,))

        has_news = [watch.pushed(SAYS[channel](1), second, late=False) for second in (2, 3, 4)]

        assert has_news == [False] * 3
        assert watch.due_s(FLOOR_S) == 1 + FLOOR_S
        assert watch.is_heard

    def test_two_equal_trades_are_two_trades(self):
        """Two people may buy the same amount at the same price."""
        watch = watch_of("trade", news_s=(1,))

        assert watch.pushed(trade(1), 2, late=False)
        assert watch.due_s(FLOOR_S) == 2 + FLOOR_S

    def test_a_bar_without_a_trade_is_no_news(self):
        """It comes each minute from a pair that nobody trades, and from a stream that has lost its market."""
        watch = watch_of("kline", news_s=(1,))

        has_news = [watch.pushed(kline(1, volume=0, minute=minute), 60.0 * minute, late=False) for minute in (1, 2)]

        assert has_news == [False, False]
        assert watch.due_s(FLOOR_S) == 1 + FLOOR_S

    def test_an_infinite_floor_suspects_nothing(self):
        """`stale_after_s=inf` switches it off."""
        assert watch_of("depth", news_s=(1, 2)).due_s(float("inf")) == float("inf")

    def test_a_floor_above_the_longest_wait_holds(self):
        """Whoever sets ten minutes gets ten minutes."""
        assert watch_of("depth", news_s=(1, 2)).due_s(600) == 602

    def test_a_new_line_begins_anew(self):
        """The minutes that the line was away are no silence of the subscription."""
        watch = asked_at(watch_of("depth", news_s=(1, 2)), 12)

        watch.line_opened(100)

        assert (watch.stage, watch.is_heard, watch.is_suspected) == (Stage.CALM, False, False)
        assert watch.due_s(FLOOR_S) == 100 + FLOOR_S

    @given(st.lists(st.floats(0.01, 4000), max_size=30), st.floats(0.1, 1000))
    def test_no_rhythm_makes_the_wait_shorter_than_the_floor_or_longer_than_the_longest(
        self, pauses_s: list[float], floor_s: float
    ):
        """Whatever a market does."""
        watch, now_s = watch_of("trade"), 0.0
        for pause_s in pauses_s:
            now_s += pause_s
            watch.pushed(trade(), now_s, late=False)

        waits_s = watch.due_s(floor_s) - now_s
        assert floor_s - 1e-6 <= waits_s <= max(floor_s, LONGEST_S) + 1e-6


class TestQuestions:
    """Ping, question, answer."""

    def test_the_question_follows_the_ping_at_once(self):
        """Both are on their way before the answer to the first is back."""
        watch = watch_of("depth", news_s=(1,))
        watch.pinged(11)

        assert (watch.stage, watch.due_s(FLOOR_S)) == (Stage.PINGED, 11)

    def test_an_answer_may_take_five_seconds(self):
        """Then there is something to decide."""
        watch = asked_at(watch_of("depth", news_s=(1,)), 11)

        assert (watch.stage, watch.due_s(FLOOR_S)) == (Stage.ASKED, 11 + ANSWER_S)

    @pytest.mark.parametrize("stage", [Stage.PINGED, Stage.ASKED])
    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_news_end_a_question(self, channel: str, stage: Stage):
        """They answer it better than any answer."""
        watch = watch_of(channel, news_s=(1,))
        watch.pinged(11)
        if stage is Stage.ASKED:
            watch.asked(11)

        watch.pushed(SAYS[channel](2), 12, late=False)

        assert (watch.stage, watch.is_suspected) == (Stage.CALM, False)

    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_an_answer_that_says_the_same_means_a_quiet_market(self, channel: str):
        """And the next question comes twice as late, up to the longest wait."""
        watch = watch_of(channel, news_s=(1,))
        waits_s = []

        for _ in range(8):
            now_s = watch.due_s(FLOOR_S)
            asked_at(watch, now_s)
            watch.answered(SAYS[channel](1), now_s + 0.1)
            waits_s.append(watch.due_s(FLOOR_S) - now_s - 0.1)

        assert waits_s == pytest.approx([20, 40, 80, 160, 300, 300, 300, 300])
        assert watch.verdict(10_000) is None

    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_news_end_the_doubling(self, channel: str):
        """A market that woke up is watched as closely as any."""
        watch = watch_of(channel, news_s=(1,))
        asked_at(watch, 11)
        watch.answered(SAYS[channel](1), 11.1)

        watch.pushed(SAYS[channel](2), 12, late=False)

        assert watch.due_s(FLOOR_S) == pytest.approx(12 + max(FLOOR_S, RHYTHMS * (watch.pause_s or 0)))

    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_an_answer_without_content_means_a_quiet_market(self, channel: str):
        """The only list of trades that was ever captured was empty."""
        watch = asked_at(watch_of(channel, news_s=(1,)), 11)

        watch.answered(None, 12)

        assert (watch.is_suspected, watch.due_s(FLOOR_S)) == (False, 12 + 2 * FLOOR_S)

    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_one_answer_that_differs_may_have_crossed_a_push(self, channel: str):
        """So it is asked again, some pushes later."""
        watch = asked_at(watch_of(channel, news_s=(1,)), 11)

        watch.answered(SAYS[channel](2), 12)

        assert watch.verdict(12) is None
        assert (watch.is_suspected, watch.is_contradicted) == (True, True)
        assert watch.due_s(FLOOR_S) == 12 + RECHECK_S

    @pytest.mark.parametrize("channel", ["ticker", *ASKED_OF])
    def test_two_answers_that_differ_prove_it_frozen(self, channel: str):
        """The exchange knows better than what it pushes."""
        watch = watch_of(channel, news_s=(1,))

        for now_s in (11, 15):
            asked_at(watch, now_s)
            watch.answered(SAYS[channel](now_s), now_s + 0.1)

        assert watch.verdict(15.1) is Cause.FROZEN

    @pytest.mark.parametrize("between", ["an equal answer", "news"])
    def test_two_answers_that_differ_must_follow_each_other(self, between: str):
        """Two crossings within a day are no proof."""
        watch = watch_of("depth", news_s=(1,))
        asked_at(watch, 11)
        watch.answered(depth(2), 12)

        if between == "news":
            watch.pushed(depth(2), 13, late=False)
            asked_at(watch, 40)
            watch.answered(depth(3), 41)
        else:
            asked_at(watch, 15)
            watch.answered(depth(1), 15.1)
            asked_at(watch, 40)
            watch.answered(depth(2), 41)

        assert watch.verdict(41) is None

    def test_two_questions_without_an_answer_prove_it_silent(self):
        """One may have been lost."""
        watch = watch_of("depth", news_s=(1,))
        verdicts = []

        for now_s in (11, 19):
            asked_at(watch, now_s)
            watch.unanswered(now_s + ANSWER_S)
            verdicts.append(watch.verdict(now_s + ANSWER_S))

        assert verdicts == [None, Cause.SILENT]
        assert watch.is_contradicted is False

    def test_an_answer_starts_the_misses_over(self):
        """It was not silent."""
        watch = watch_of("depth", news_s=(1,))
        asked_at(watch, 11)
        watch.unanswered(16)
        asked_at(watch, 19)
        watch.answered(depth(2), 20)
        asked_at(watch, 23)
        watch.unanswered(28)

        assert watch.verdict(28) is None

    @pytest.mark.parametrize("channel", ASKED_OF)
    def test_an_answer_that_nobody_asked_for_proves_nothing(self, channel: str):
        """It may be an old one."""
        watch = watch_of(channel, news_s=(1,))

        watch.answered(SAYS[channel](2), 5)

        assert (watch.is_suspected, watch.due_s(FLOOR_S)) == (False, 1 + FLOOR_S)

    @pytest.mark.parametrize("channel", ["trade", "kline"])
    def test_what_was_traded_before_the_subscription_is_no_contradiction(self, channel: str):
        """Trades and bars are pushed when somebody trades; a thin pair may not for an hour after we came."""
        watch = asked_at(watch_of(channel), 10)
        watch.answered(SAYS[channel](7), 11)
        quiet = watch.is_suspected

        asked_at(watch, 40)
        watch.answered(SAYS[channel](8), 41)

        assert (quiet, watch.is_contradicted) == (False, True)

    @pytest.mark.parametrize("channel", ["trade", "kline"])
    def test_what_was_traded_while_the_line_was_away_is_no_contradiction(self, channel: str):
        """Else a thin pair would be redialled after every outage, and again and again until somebody trades."""
        watch = watch_of(channel, news_s=(1,))
        watch.line_opened(100)

        asked_at(watch, 110)
        watch.answered(SAYS[channel](2), 111)

        assert not watch.is_suspected

    @pytest.mark.parametrize("channel", ["ticker", "depth", "kline"])
    def test_a_new_line_that_pushes_the_old_state_brings_no_news(self, channel: str):
        """A feed that was frozen may be frozen at the next node too."""
        watch = watch_of(channel, news_s=(1,))
        watch.line_opened(100)

        assert not watch.pushed(SAYS[channel](1), 101, late=False)

    @pytest.mark.parametrize("channel", ["ticker", "depth"])
    def test_an_answer_where_nothing_was_ever_pushed_is_a_contradiction(self, channel: str):
        """Books and prices are pushed at once; a stream that brings none is dead, whatever the exchange knows."""
        watch = asked_at(watch_of(channel), 10)

        watch.answered(SAYS[channel](7), 11)

        assert watch.is_contradicted

    def test_suspect_makes_the_question_due_at_once(self):
        """After a sleep nobody waits for the rhythm."""
        watch = watch_of("depth", news_s=(1,))

        watch.suspect(2)

        assert watch.due_s(FLOOR_S) == 2

    def test_suspect_does_not_disturb_a_question_that_is_on_its_way(self):
        """Its answer is as good."""
        watch = asked_at(watch_of("depth", news_s=(1,)), 11)

        watch.suspect(12)

        assert (watch.stage, watch.due_s(FLOOR_S)) == (Stage.ASKED, 11 + ANSWER_S)

    def test_a_subscription_is_watched_from_the_moment_it_was_asked_for(self):
        """The hundredth leaves ten seconds after the line opened."""
        watch = watch_of("depth")

        watch.asked_for(9)

        assert watch.due_s(FLOOR_S) == 9 + FLOOR_S


class TestTickers:
    """The answer to a question about a ticker looks like a push."""

    def test_another_price_after_a_question_counts_as_its_answer(self):
        """It is not handed on as news: else every answer would thaw a frozen stream."""
        watch = asked_at(watch_of("ticker", news_s=(1,)), 11)

        has_news = watch.pushed(ticker(2), 12, late=False)

        assert not has_news
        assert watch.is_contradicted

    def test_the_same_price_with_another_volume_agrees(self):
        """A day's volume moves while nobody trades."""
        watch = asked_at(watch_of("ticker", news_s=(1,)), 11)

        watch.pushed(ticker(1, volume=9), 12, late=False)

        assert (watch.stage, watch.is_suspected) == (Stage.CALM, False)

    def test_a_push_and_then_the_answer_are_news_after_all(self):
        """The market moved just when it was asked about."""
        watch = asked_at(watch_of("ticker", news_s=(1,)), 11)

        has_news = [watch.pushed(ticker(2), 11.1, late=False), watch.pushed(ticker(2), 11.2, late=False)]

        assert has_news == [False, True]
        assert not watch.is_suspected

    def test_what_is_known_coming_again_is_an_answer_when_its_time_is_over(self):
        """A quiet market answers with what was pushed last."""
        watch = asked_at(watch_of("ticker", news_s=(1,)), 11)
        watch.pushed(ticker(1), 11.1, late=False)

        watch.unanswered(16)

        assert not watch.is_suspected

    def test_what_came_before_the_question_is_no_answer_to_it(self):
        """Only what comes later can be."""
        watch = watch_of("ticker", news_s=(1,))
        watch.pushed(ticker(1), 10, late=False)
        asked_at(watch, 11)

        watch.unanswered(16)

        assert watch.is_suspected

    def test_repeated_books_are_no_answer(self):
        """The answer to a question about a book has a shape of its own."""
        watch = asked_at(watch_of("depth", news_s=(1,)), 11)
        watch.pushed(depth(1), 12, late=False)

        watch.unanswered(16)

        assert watch.is_suspected


class TestLate:
    """Pushes that are old when they come."""

    @pytest.mark.parametrize(
        ("lates", "now_s", "verdict"),
        [
            ((0, 1), 20, None),
            ((0, 1, 2), RENEW_LATE_S - 0.1, None),
            ((0, 1, 2), RENEW_LATE_S, Cause.LATE),
            ((0, 5, RENEW_LATE_S), RENEW_LATE_S, Cause.LATE),
        ],
        ids=str,
    )
    def test_late_for_long_enough_and_often_enough_is_a_verdict(
        self, lates: tuple[float, ...], now_s: float, verdict: Cause | None
    ):
        """A hiccup passes by itself; a line that lags goes on lagging."""
        watch = watch_of("depth")

        for number, second in enumerate(lates):
            watch.pushed(depth(number), second, late=True)

        assert watch.lates == len(lates)
        assert watch.verdict(now_s) is verdict

    def test_a_fresh_push_starts_over(self):
        """In a row is in a row."""
        watch = watch_of("depth")
        for number in range(LATE_IN_A_ROW):
            watch.pushed(depth(number), number, late=True)
        watch.pushed(depth(50), 5, late=False)

        for number in range(LATE_IN_A_ROW):
            watch.pushed(depth(60 + number), 6 + number, late=True)

        assert (watch.verdict(6 + RENEW_LATE_S - 0.1), watch.verdict(6 + RENEW_LATE_S)) == (None, Cause.LATE)

    def test_repeated_late_pushes_count(self):
        """Lateness is about the line, whatever it carries."""
        watch = watch_of("depth")

        for second in (0, 5, 10):
            watch.pushed(depth(1), second, late=True)

        assert watch.verdict(10) is Cause.LATE


class TestRenewals:
    """A line that was cut for a subscription's sake, and did not help."""

    @pytest.mark.parametrize(("renewals", "waits_s"), [(0, 10), (1, 20), (2, 40), (5, 300), (50, 300)])
    def test_patience_doubles_with_each_line(self, renewals: int, waits_s: float):
        """An exchange that is frozen everywhere must not be redialled every quarter of a minute."""
        watch = watch_of("depth", news_s=(1,))
        for _ in range(renewals):
            watch.renewed()

        watch.line_opened(100)

        assert watch.due_s(FLOOR_S) == 100 + waits_s

    def test_patience_with_late_pushes_doubles_too(self):
        """An exchange that lags everywhere must not be redialled every ten seconds; what is new and late is late."""
        watch = watch_of("depth")
        watch.renewed()

        for number in range(LATE_IN_A_ROW):
            watch.pushed(depth(number), number, late=True)
        early, then = watch.verdict(2 * RENEW_LATE_S - 1), watch.verdict(2 * RENEW_LATE_S)

        assert (early, then) == (None, Cause.LATE)

    def test_news_restore_the_patience(self):
        """The new line is as good as any."""
        watch = watch_of("depth", news_s=(1,))
        watch.renewed()
        watch.line_opened(100)

        watch.pushed(depth(2), 101, late=False)

        assert watch.due_s(FLOOR_S) == 101 + FLOOR_S


class TestContents:
    """What is compared."""

    @pytest.mark.parametrize(
        ("answer", "pushed", "is_same"),
        [
            (depth(1), depth(1), True),
            (depth(1), depth(2), False),
            (trade(1), trade(1, made_at=at(50).utc), True),
            (trade(1), trade(2), False),
            (kline(1), kline(1, minute=3), True),
            (kline(1), kline(1, volume=2), False),
            (ticker(1), ticker(1, volume=2), True),
            (ticker(1), ticker(2), False),
        ],
        ids=range(8),
    )
    def test_an_answer_agrees_when_it_tells_the_same_state(self, answer: Event, pushed: Event, is_same: bool):
        """Moments differ by nature, and of a ticker only the price is the market's own."""
        assert agrees(answer, content_of(answer), content_of(pushed)) is is_same

    def test_levels_are_compared_as_numbers(self):
        """Pushes print text, answers numbers: the two samples do."""
        pushed = Depth(pair="btc_usdt", bids=Levels([["99.0", "1"]], ""), asks=Levels([["101", "2"]], ""))
        answer = Depth(pair="btc_usdt", bids=Levels([[Decimal("99"), 1]], ""), asks=Levels([[101, Decimal("2.0")]], ""))

        assert agrees(answer, content_of(answer), content_of(pushed))

    def test_levels_that_nobody_can_read_are_not_the_same(self):
        """And they are no error here: whoever looks at them is told."""
        broken = Depth(pair="btc_usdt", bids=Levels([["x", "1"]], ""), asks=Levels([], ""))
        good = Depth(pair="btc_usdt", bids=Levels([["99", "1"]], ""), asks=Levels([], ""))
        watch = watch_of("depth")

        has_news = [watch.pushed(broken, 1, late=False), watch.pushed(good, 2, late=False)]

        assert has_news == [True, True]

    @pytest.mark.parametrize(
        ("events", "index"),
        [
            ([], None),
            ([trade(1, made_at=at(1).utc), trade(2, made_at=at(5).utc), trade(3, made_at=at(3).utc)], 1),
            ([kline(1, minute=1), kline(2, minute=2), kline(2, volume=0, minute=3)], 1),
            ([kline(1, volume=0)], None),
            ([depth(1)], 0),
        ],
        ids=["none", "trades", "bars", "an empty bar", "a book"],
    )
    def test_the_newest_of_several_counts_whatever_their_order(self, events: list[Event], index: int | None):
        """Nobody says in which order the exchange lists them, nor whether it pushes bars without a trade."""
        assert newest(events) == (None if index is None else events[index])

    @pytest.mark.parametrize(
        ("channel", "has_rows"),
        [(Channel.TICKER, False), (Channel.DEPTH, False), (Channel.TRADE, True), (Channel.KLINE, True)],
    )
    def test_rows_are_asked_for_where_there_are_rows(self, channel: Channel, has_rows: bool):
        """Few, and more than one: the newest bar may be empty."""
        rows = rows_of(channel)

        assert (rows is not None) is has_rows
        assert rows is None or 1 < rows <= 100


def test_trades_without_a_time_can_be_compared():
    """The simple dialect may give none."""
    untimed = Trade(pair="btc_usdt", price=Decimal(1), amount=Decimal(1), value=None, side="buy")
    timed = trade(2, made_at=at(0).utc + timedelta(seconds=1))

    assert newest([untimed, timed]) is timed
