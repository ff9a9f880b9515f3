"""What a line makes of pushes that are late, repeated or missing: rhythm, question, answer, verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from lbank_ws.causes import Cause, Flaw
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import ConnectionLost, StaleBook
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.freshness import ANSWER_S, RECHECK_S
from lbank_ws.feed.offset import DOUBT_S
from lbank_ws.feed.reaction import Habits, Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.wanted import Subscribed
from lbank_ws.wire import dialect_named
from tests.test_session import (
    APART_S,
    BTC_BARS,
    BTC_DEPTH,
    BTC_DEPTH_10,
    BTC_TICKER,
    BTC_TRADE,
    GONE,
    at,
    denial,
    longest,
    read,
    sample,
    sent,
    session_of,
)

PONG = sample("v2/pong_2019")
DAY_S = 86_400
FROM_S = 20.0  # the last push of a story; before that there is one a second

BY_NAME: dict[str, Topic] = {"ticker": BTC_TICKER, "depth": BTC_DEPTH, "trade": BTC_TRADE, "kline": BTC_BARS}
REPEATED = ["ticker", "depth", "kline"]  # what is known comes again on these, and is no news
REPLIED = ["depth", "trade", "kline"]  # answers on these have a shape of their own
SPELT = {
    "ticker": "tick/btc_usdt",
    "depth": "depth/btc_usdt/100",
    "trade": "trade/btc_usdt",
    "kline": "kbar/btc_usdt/1min",
}


def written(s: float) -> str:
    """Give a moment as V2 writes it: in UTC+8, to the millisecond."""
    moment = datetime.fromtimestamp(at(s).ns / 1e9, timezone.utc) + timedelta(hours=8)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def pushed(wanted: Topic, s: float, price: float = 100, *, age_s: float = 0.1, node: str | None = None) -> str:
    """Give V2's push of a topic that comes at this second; all that it says follows from one price."""
    fields: dict[str, object] = {"type": "tick", "pair": wanted.pair, "SERVER": "V2", "TS": written(s - age_s)}
    if node is not None:
        fields["s"] = node
    if wanted.channel is Channel.TICKER:
        fields["tick"] = {"latest": price, "vol": price * 10}
    elif wanted.channel is Channel.DEPTH:
        fields |= {"type": "depth", "count": wanted.levels}
        fields["depth"] = {"bids": [[str(price), "1"]], "asks": [[str(price + 1), "1"]]}
    elif wanted.channel is Channel.TRADE:
        trade = {"price": price, "volume": 1, "amount": price, "direction": "buy", "TS": written(s - age_s)}
        fields |= {"type": "trade", "trade": trade}
    else:
        bar = {"t": written(60 * (s // 60)), "slot": wanted.interval, "v": 1, "n": 1, "a": price}
        fields |= {"type": "kbar", "kbar": bar | dict.fromkeys("ohlc", price)}
    return json.dumps(fields)


def replied(wanted: Topic, s: float, price: float = 100, *, node: str | None = None) -> str:
    """Give V2's answer to a question about a topic; a ticker's looks like a push."""
    if wanted.channel is Channel.TICKER:
        return pushed(wanted, s, price)
    fields: dict[str, object] = {"pair": wanted.pair, "SERVER": "V2", "TS": written(s - 0.1)}
    if node is not None:
        fields["s"] = node
    if wanted.channel is Channel.DEPTH:
        fields |= {"type": "depth", "count": wanted.levels, "bids": [[price, 1]], "asks": [[price + 1, 1.0]]}
    elif wanted.channel is Channel.TRADE:
        fields |= {"type": "trade", "columns": ["timestamp", "price", "volume", "direction"]}
        fields["trades"] = [[round(at(s).ns / 1e9) - 5, price, 1, "buy"]]
    else:
        columns = ["timestamp", "open", "high", "low", "close", "volume", "turnover", "count"]
        opened = 60 * int(at(s).ns / 60e9)
        fields |= {"type": "kbar", "kbar": wanted.interval, "columns": columns}
        fields["records"] = [[opened, price, price, price, price, 1, price, 1]]
    return json.dumps(fields)


def words(frame: str) -> str:
    """Read a frame of ours in words: `ping`, `request depth/btc_usdt`, `subscribe tick/btc_usdt`."""
    fields = json.loads(frame)
    if fields.get("action") == "request":
        return f"request {fields['request']}/{fields['pair']}"
    return str(fields["action"]) if "ping" in fields or "pong" in fields else read(frame)


class Story:
    """One line, and everything that its session answered.

    Args:
        wanted: What is subscribed to.
        answer: Gives the frames that answer a frame of ours, which it gets in words, at that second.
    """

    def __init__(
        self,
        *wanted: Topic,
        habits: Habits | None = None,
        dialect: str = "v2",
        answer: Callable[[str, float], list[str]] | None = None,
    ) -> None:
        self.session = session_of(*wanted, habits=habits or Habits(), dialect=dialect)
        self.answer = answer or (lambda asked, s: [PONG] if asked == "ping" else [])
        self.frames: list[tuple[float, str]] = []
        self.statuses: list[tuple[float, str, Cause | None]] = []
        self.cut: tuple[float, Cause] | None = None
        self.now_s = 0.0
        self.session.start(at(0))
        self.follow(self.session.opened(at(0)), 0)

    def follow(self, reaction: Reaction, s: float) -> Reaction:
        """Write down a reaction, and let the exchange answer what was sent."""
        self.now_s = s
        for status in reaction.statuses:
            if status.topic is not None:
                cause = status.cause.cause if isinstance(status.cause, ConnectionLost) else None
                self.statuses.append((s, status.kind, cause))
        for frame in reaction.send:
            asked = words(frame) if '"action"' in frame else "simple"
            self.frames.append((s, asked))
        if reaction.hang_up is not None:
            self.cut = (s, reaction.hang_up.cause)
        for frame in reaction.send:
            for answer in self.answer(words(frame) if '"action"' in frame else frame, s):
                if self.cut is None:
                    self.receive(answer, s)
        return reaction

    def receive(self, frame: str, s: float) -> Reaction:
        """Let a frame come."""
        return self.follow(self.session.received(frame, at(s)), s)

    def run(self, until_s: float, *, pushes: Callable[[float], list[str]] | None = None, every_s: float = 1.0) -> None:
        """Tick whenever the session says so, and let pushes come now and then, until the line is cut."""
        next_s = self.now_s + every_s
        while self.cut is None:
            push_s = next_s if pushes is not None else math.inf
            s = min(max(self.now_s, self.session.due_s()), push_s)
            if s > until_s:
                self.now_s = until_s
                return
            if s == push_s and pushes is not None:
                for frame in pushes(s):
                    if self.cut is None:
                        self.receive(frame, s)
                next_s += every_s
            else:
                self.follow(self.session.tick(at(s)), s)

    def renew(self) -> float:
        """Lose the line as the session asked for, and open the next; give its second."""
        assert self.cut is not None
        s, cause = self.cut
        self.cut = None
        self.session.lost(at(s), ConnectionLost(cause, "cut"))
        opened_s = self.session.due_s()
        self.session.tick(at(opened_s))
        self.follow(self.session.opened(at(opened_s)), opened_s)
        return opened_s

    def state(self, wanted: Topic) -> Subscribed:
        """Give the state of a subscription."""
        known = self.session.subscriptions.get(wanted)
        assert known is not None
        return known.state

    def since(self, s: float) -> list[str]:
        """Give the frames that left later than this, in words."""
        return [frame for moment_s, frame in self.frames if moment_s > s]

    def asked_s(self, wanted: str = "request") -> list[float]:
        """Give the moments at which questions left."""
        return [moment_s for moment_s, frame in self.frames if frame.startswith(wanted)]


def lively(
    wanted: Topic, *, answer: Callable[[str, float], list[str]] | None = None, habits: Habits | None = None
) -> Story:
    """Give a story in which a topic brought news each second until FROM_S, where the price is 100 + FROM_S."""
    story = Story(wanted, answer=answer, habits=habits)
    story.run(FROM_S, pushes=lambda s: [pushed(wanted, s, 100 + s)])
    assert story.state(wanted) is Subscribed.LIVE
    assert story.asked_s() == []
    return story


def answering(wanted: Topic, price: float | Callable[[float], float]) -> Callable[[str, float], list[str]]:
    """Let the exchange answer pings and questions about a topic."""

    def answer(asked: str, s: float) -> list[str]:
        if asked == "ping":
            return [PONG]
        if not asked.startswith("request"):
            return []
        return [replied(wanted, s, price(s) if callable(price) else price)]

    return answer


LAST = 100 + FROM_S
OTHER = 7.0


class TestLate:
    """Pushes that are old when they come."""

    def late(self, story: Story, count: int, *, since_s: float, every_s: float = 1.0) -> None:
        """Let late pushes come."""
        for number in range(count):
            s = since_s + number * every_s
            if story.cut is None:
                story.receive(pushed(BTC_DEPTH, s, 300 + s, age_s=4), s)

    def test_three_late_pushes_in_a_row_make_a_subscription_stale(self):
        """One late push is a hiccup; three are a line that lags."""
        story = lively(BTC_DEPTH)
        states = []

        for number in range(3):
            self.late(story, 1, since_s=21 + number)
            states.append(story.state(BTC_DEPTH))

        assert states == [Subscribed.LIVE, Subscribed.LIVE, Subscribed.STALE]
        assert story.statuses[-1] == (23, "stale", Cause.LATE)

    def test_stale_is_reported_once(self):
        """Not with each push."""
        story = lively(BTC_DEPTH)

        self.late(story, 6, since_s=21)

        assert [kind for _, kind, _ in story.statuses] == ["live", "stale"]

    @pytest.mark.parametrize("price", [LAST, OTHER], ids=["what was known", "news"])
    def test_the_next_fresh_push_makes_it_live_again(self, price: float):
        """Whatever it says: the line is on time again."""
        story = lively(BTC_DEPTH)
        self.late(story, 3, since_s=21)

        story.receive(pushed(BTC_DEPTH, 24, price), 24)

        assert story.state(BTC_DEPTH) is Subscribed.LIVE
        assert story.statuses[-1] == (24, "live", None)

    def test_a_fresh_push_in_between_starts_the_count_over(self):
        """In a row is in a row."""
        story = lively(BTC_DEPTH)
        self.late(story, 2, since_s=21)
        story.receive(pushed(BTC_DEPTH, 23, 1), 23)

        self.late(story, 2, since_s=24)

        assert story.state(BTC_DEPTH) is Subscribed.LIVE

    def test_the_book_is_not_served_from_the_first_late_push_on(self):
        """An order book that is four seconds old is a wrong order book."""
        story = lively(BTC_DEPTH)

        self.late(story, 1, since_s=21)

        with pytest.raises(StaleBook) as stale:
            story.session.current(BTC_DEPTH, at(21))
        assert (stale.value.why, stale.value.since) == (Flaw.LATE, at(21).utc)

    def test_a_line_that_lags_for_ten_seconds_is_renewed(self):
        """A fresh socket has no backlog."""
        story = lively(BTC_DEPTH)

        self.late(story, 30, since_s=21)

        assert story.cut == (31, Cause.LATE)

    def test_the_next_line_is_given_twice_the_time(self):
        """An exchange that lags everywhere must not be redialled every ten seconds."""
        story = lively(BTC_DEPTH)
        self.late(story, 30, since_s=21)
        opened_s = story.renew()

        self.late(story, 40, since_s=opened_s + 1)

        assert story.cut == (opened_s + 21, Cause.LATE)

    def test_on_time_is_what_late_after_s_says(self):
        """Whoever sits far away sets it higher."""
        story = lively(BTC_DEPTH, habits=Habits(late_after_s=5))

        self.late(story, 5, since_s=21)

        assert story.state(BTC_DEPTH) is Subscribed.LIVE


class TestFrozen:
    """The line lives, and one subscription on it repeats the past, under fresh times."""

    @pytest.mark.parametrize("channel", REPEATED)
    def test_a_stream_that_repeats_the_past_is_found_out_and_its_line_renewed(self, channel: str):
        """The exchange knows another price than it pushes, twice in a row."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, lambda s: s))

        story.run(60, pushes=lambda s: [pushed(wanted, s, LAST)])

        assert story.cut is not None
        cut_s, cause = story.cut
        assert cause is Cause.FROZEN
        assert FROM_S + 10 < cut_s < FROM_S + 10 + RECHECK_S + 2 * ANSWER_S
        assert story.statuses[-1] == (cut_s, "stale", Cause.FROZEN)
        assert story.state(wanted) is Subscribed.STALE

    @pytest.mark.parametrize("channel", REPLIED)
    def test_a_stream_that_stopped_is_found_out_the_same_way(self, channel: str):
        """The exchange answers, and says that there is more."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, lambda s: s))

        story.run(60)

        assert story.cut is not None
        assert story.cut[1] is Cause.FROZEN

    @pytest.mark.parametrize("channel", REPEATED)
    def test_ping_question_subscription_and_question_leave_in_this_order(self, channel: str):
        """First whether the line lives; a subscription that the exchange lost comes back by asking for it again."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, lambda s: s))

        story.run(60, pushes=lambda s: [pushed(wanted, s, LAST)])

        asked = f"request {SPELT[channel].split('/')[0]}/btc_usdt"
        assert story.since(FROM_S) == ["ping", asked, "ping", f"subscribe {SPELT[channel]}", asked]

    def test_the_frames_keep_their_distance(self):
        """Questions count among the ten frames a second."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, lambda s: s))

        story.run(60, pushes=lambda s: [pushed(BTC_DEPTH, s, LAST)])

        moments = [s for s, _ in story.frames if s > FROM_S]
        assert moments[0] == FROM_S + 10
        assert moments[1] == pytest.approx(FROM_S + 10 + APART_S)
        assert moments[2] == pytest.approx(FROM_S + 10 + APART_S + RECHECK_S)

    def test_the_book_is_not_served_from_the_first_different_answer_on(self):
        """It is a suspicion, and a book that is suspected is not the current one."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, lambda s: s))

        story.run(FROM_S + 11, pushes=lambda s: [pushed(BTC_DEPTH, s, LAST)])

        assert story.state(BTC_DEPTH) is Subscribed.LIVE
        with pytest.raises(StaleBook) as stale:
            story.session.current(BTC_DEPTH, at(story.now_s))
        assert stale.value.why is Flaw.FROZEN

    def test_the_second_question_may_clear_it(self):
        """The first answer crossed a push."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, lambda s: OTHER if s < FROM_S + 12 else LAST))

        story.run(FROM_S + 15, pushes=lambda s: [pushed(BTC_DEPTH, s, LAST)])

        assert story.cut is None
        assert story.session.current(BTC_DEPTH, at(story.now_s)).pair == "btc_usdt"

    @pytest.mark.parametrize("channel", REPEATED)
    def test_news_in_time_clear_it(self, channel: str):
        """A slow market is no frozen one."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, lambda s: OTHER))
        story.run(FROM_S + 11, pushes=lambda s: [pushed(wanted, s, LAST)])

        story.receive(pushed(wanted, FROM_S + 12, OTHER), FROM_S + 12)
        story.run(FROM_S + 21)

        assert story.cut is None
        assert story.state(wanted) is Subscribed.LIVE

    @pytest.mark.parametrize("channel", REPEATED)
    def test_what_is_frozen_again_on_the_next_line_is_given_twice_the_time(self, channel: str):
        """It may be frozen at every node, and dialling does not thaw it."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, lambda s: s))
        story.run(60, pushes=lambda s: [pushed(wanted, s, LAST)])
        waits_s = []

        for _ in range(3):
            opened_s = story.renew()
            story.run(opened_s + 600, pushes=lambda s: [pushed(wanted, s, LAST)])
            assert story.cut is not None
            waits_s.append(next(s for s in story.asked_s() if s > opened_s) - opened_s)

        assert waits_s == pytest.approx([20, 40, 80], abs=1)
        assert story.cut[1] is Cause.FROZEN
        assert story.state(wanted) is Subscribed.STALE

    def test_the_next_line_heals_with_its_first_news(self):
        """And is watched as closely as any."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, lambda s: s))
        story.run(60, pushes=lambda s: [pushed(BTC_DEPTH, s, LAST)])
        opened_s = story.renew()

        story.receive(pushed(BTC_DEPTH, opened_s + 1, OTHER), opened_s + 1)

        assert story.statuses[-1] == (opened_s + 1, "live", None)
        assert story.session.current(BTC_DEPTH, at(opened_s + 1)).pair == "btc_usdt"


class TestQuiet:
    """A market in which nothing happens."""

    @pytest.mark.parametrize("pushing", [True, False], ids=["pushed again", "not pushed"])
    @pytest.mark.parametrize("channel", REPEATED)
    def test_equal_answers_mean_a_quiet_market(self, channel: str, pushing: bool):
        """Nothing is reported and nothing is cut, however long it lasts; each question comes twice as late."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, LAST))

        story.run(3000, pushes=(lambda s: [pushed(wanted, s, LAST)]) if pushing else None)

        assert story.cut is None
        assert [kind for _, kind, _ in story.statuses] == ["live"]
        asked_s = story.asked_s()
        pauses_s = [later_s - s for s, later_s in zip([FROM_S, *asked_s], asked_s, strict=False)]
        assert pauses_s[:6] == pytest.approx([10, 20, 40, 80, 160, 300], abs=ANSWER_S + 1)
        assert all(pause_s > 290 for pause_s in pauses_s[5:])

    def test_a_quiet_trade_is_no_dead_trade(self):
        """The last trade is the one that was pushed."""
        story = lively(BTC_TRADE, answer=answering(BTC_TRADE, LAST))

        story.run(3000)

        assert (story.cut, story.state(BTC_TRADE)) == (None, Subscribed.LIVE)

    def test_the_book_of_a_quiet_market_is_served(self):
        """It is the current one, although an hour old."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, LAST))

        story.run(3000)

        assert story.session.current(BTC_DEPTH, at(3000)).received_ns == at(FROM_S).ns

    def test_a_market_that_wakes_up_is_asked_about_after_ten_seconds_again(self):
        """News end the doubling."""
        story = lively(BTC_DEPTH, answer=answering(BTC_DEPTH, lambda s: LAST if s < 400 else 1000))
        story.run(400)
        for number in range(20):
            story.receive(pushed(BTC_DEPTH, 400 + number, 981 + number), 400 + number)

        story.run(500)

        assert next(s for s in story.asked_s() if s > 400) - 419 < 300

    def test_answers_of_nodes_that_do_not_count_prove_nothing(self):
        """They have other books."""

        def answer(asked: str, s: float) -> list[str]:
            return [PONG] if asked == "ping" else [replied(BTC_DEPTH, s, OTHER, node="m-1")]

        story = lively(BTC_DEPTH, answer=answer)

        story.run(1000, pushes=lambda s: [pushed(BTC_DEPTH, s, LAST)])

        assert (story.cut, story.state(BTC_DEPTH)) == (None, Subscribed.LIVE)

    def test_an_answer_with_fewer_levels_counts_where_there_is_one_depth(self):
        """The exchange may give fewer than were asked for, in pushes and in answers."""
        fewer = topic("depth", "btc_usdt", levels=50)
        story = lively(BTC_DEPTH, answer=answering(fewer, LAST))

        story.run(1000, pushes=lambda s: [pushed(fewer, s, LAST)])

        assert (story.cut, story.state(BTC_DEPTH)) == (None, Subscribed.LIVE)

    def test_the_answer_about_one_depth_says_nothing_about_the_other(self):
        """Two depths of one pair are two subscriptions, and ten levels are not a hundred."""
        story = Story(BTC_DEPTH, BTC_DEPTH_10, answer=answering(BTC_DEPTH, 5))
        for wanted in (BTC_DEPTH, BTC_DEPTH_10):
            story.receive(pushed(wanted, 1, 5), 1)
        story.run(12)

        story.receive(replied(BTC_DEPTH, 12, 9), 12)

        assert story.session.current(BTC_DEPTH_10, at(12)).pair == "btc_usdt"

    def test_the_bars_of_another_interval_are_no_answer(self):
        """A day's bar always has more in it."""
        days = topic("kline", "btc_usdt", interval="day")
        story = lively(BTC_BARS, answer=answering(days, OTHER))

        story.run(1000)

        assert (story.cut, story.state(BTC_BARS)) == (None, Subscribed.LIVE)

    @pytest.mark.parametrize("channel", ["trade", "kline"])
    def test_an_empty_answer_means_nothing_was_traded(self, channel: str):
        """The only capture of a list of trades is empty."""
        wanted = BY_NAME[channel]

        def answer(asked: str, s: float) -> list[str]:
            if asked == "ping":
                return [PONG]
            fields = json.loads(replied(wanted, s))
            return [json.dumps(fields | {key: [] for key in ("trades", "records") if key in fields})]

        story = lively(wanted, answer=answer)

        story.run(3000)

        assert (story.cut, story.state(wanted)) == (None, Subscribed.LIVE)

    @pytest.mark.parametrize("channel", ["trade", "kline"])
    def test_what_was_traded_before_us_or_during_an_outage_is_no_reason_to_redial(self, channel: str):
        """A thin pair says nothing for hours on a line that is fine."""
        wanted = BY_NAME[channel]
        story = Story(wanted, answer=answering(wanted, 5))
        story.run(500)
        first = story.cut
        story.cut = (500, Cause.BROKEN)
        story.answer = answering(wanted, 6)
        opened_s = story.renew()

        story.run(opened_s + 1000)

        assert (first, story.cut) == (None, None)


class TestSilent:
    """Nobody answers."""

    @pytest.mark.parametrize("channel", REPLIED)
    def test_silence_where_questions_were_answered_before_is_a_verdict(self, channel: str):
        """Two questions without an answer, on a line that answers pings."""
        wanted = BY_NAME[channel]
        story = lively(wanted, answer=answering(wanted, LAST))
        story.run(40)
        story.answer = lambda asked, s: [PONG] if asked == "ping" else []

        story.run(200)

        assert story.cut is not None
        cut_s, cause = story.cut
        assert cause is Cause.SILENT
        assert story.statuses[-1] == (cut_s, "stale", Cause.SILENT)
        asked_s = story.asked_s()
        assert cut_s - asked_s[-1] == pytest.approx(ANSWER_S)
        assert asked_s[-1] - asked_s[-2] == pytest.approx(ANSWER_S + RECHECK_S, abs=0.5)

    def test_a_silent_ticker_is_found_out_too(self):
        """Its answers look like pushes, and now there are neither."""
        story = lively(BTC_TICKER, answer=answering(BTC_TICKER, LAST))
        story.run(40)
        story.answer = lambda asked, s: [PONG] if asked == "ping" else []

        story.run(200)

        assert story.cut is not None
        assert story.cut[1] is Cause.SILENT

    @pytest.mark.parametrize("channel", list(BY_NAME))
    def test_where_questions_were_never_answered_silence_proves_nothing(self, channel: str):
        """An exchange that has no such requests must not be redialled all day."""
        story = lively(BY_NAME[channel])

        story.run(3000)

        assert (story.cut, story.state(BY_NAME[channel])) == (None, Subscribed.LIVE)

    @pytest.mark.parametrize("channel", REPEATED)
    def test_a_subscription_that_never_brought_anything_gets_a_new_line(self, channel: str):
        """The exchange was seen to swallow subscriptions; it is asked for again first."""
        wanted = BY_NAME[channel]
        story = Story(wanted)

        story.run(200)

        assert story.cut is not None
        assert story.cut[1] is Cause.SILENT
        assert story.cut[0] < 40
        assert story.state(wanted) is Subscribed.WAITING
        again = [s for s, frame in story.frames if frame == f"subscribe {SPELT[channel]}" and s > 0]
        assert len(again) >= 1

    def test_a_trade_subscription_that_never_brought_anything_is_fine(self):
        """Nobody traded."""
        story = Story(BTC_TRADE)

        story.run(3000)

        assert (story.cut, story.state(BTC_TRADE)) == (None, Subscribed.LIVE)

    def test_lines_that_are_renewed_in_vain_are_renewed_less_and_less_often(self):
        """A pair that brings nothing on any line must not cost a dial every half a minute."""
        story = Story(BTC_TICKER)
        lived_s = []

        opened_s = 0.0
        for _ in range(4):
            story.run(opened_s + 2000)
            assert story.cut is not None
            lived_s.append(story.cut[0] - opened_s)
            opened_s = story.renew()

        assert all(later_s > s + 5 for s, later_s in pairwise(lived_s))

    def test_one_dead_subscription_is_found_among_live_ones(self):
        """Its line alone is cut, but it is: the others' pushes prove nothing about it."""
        story = Story(BTC_TICKER, BTC_TRADE, answer=answering(BTC_TRADE, lambda s: s))
        for s in (2.0, 3.0):
            story.receive(pushed(BTC_TRADE, s, s), s)

        story.run(100, pushes=lambda s: [pushed(BTC_TICKER, s, s)])

        assert story.cut is not None
        assert story.cut[1] is Cause.FROZEN
        assert (story.state(BTC_TICKER), story.state(BTC_TRADE)) == (Subscribed.LIVE, Subscribed.STALE)


class TestNobodyToAskAbout:
    """Where no question leaves."""

    def test_refused_subscriptions_are_never_asked_about(self):
        """The exchange has said no."""
        story = Story(*BY_NAME.values())
        story.receive(denial("btc_usdt"), 2)

        story.run(1000)

        assert story.asked_s() == []
        assert story.cut is None

    def test_left_subscriptions_are_never_asked_about(self):
        """Nobody wants to know."""
        story = lively(BTC_DEPTH)
        story.session.unsubscribe(BTC_DEPTH)

        story.run(1000)

        assert story.asked_s() == []
        assert set(story.since(FROM_S)) == {"ping"}
        assert story.cut is None

    def test_infinity_switches_suspicion_off(self):
        """`stale_after_s=inf`."""
        story = lively(BTC_DEPTH, habits=Habits(stale_after_s=math.inf))

        story.run(1000)

        assert story.asked_s() == []
        assert story.cut is None

    def test_the_simple_dialect_has_pings_alone(self):
        """It has no requests; a line that answers is quiet."""
        story = Story(BTC_TICKER, dialect="simple", answer=lambda frame, s: ['{"pong":1}'] if '"ping"' in frame else [])
        story.receive(sample("simple/ack_sub"), 1)

        frames = [frame for _, frame in sent(story.session, since_s=1, until_s=20)]
        story.run(3000)

        assert frames
        assert all(set(json.loads(frame)) == {"ping"} for frame in frames)
        assert (story.cut, story.state(BTC_TICKER)) == (None, Subscribed.LIVE)

    def test_the_simple_dialect_renews_a_line_that_confirmed_nothing(self):
        """Neither an ack nor data, though it was asked for again."""
        story = Story(BTC_TICKER, dialect="simple", answer=lambda frame, s: ['{"pong":1}'] if '"ping"' in frame else [])

        story.run(200)

        assert story.cut is not None
        assert story.cut[1] is Cause.SILENT


def slept(s: float, *, by_s: float = 3600.0) -> Moment:
    """Give the moment at this second on a computer whose wall clock gained so much on the monotonic one."""
    return Moment(s, at(s + by_s).ns)


class TestClocks:
    """A wall clock that is set, and a computer that slept."""

    def ages(self, story: Story, frame: str, now: Moment) -> list[float | None]:
        """Give the ages of a frame's events."""
        return [event.age_s for _, event in story.session.received(frame, now).events]

    def test_a_jump_ahead_asks_at_once_whether_the_line_lives(self):
        """A socket does not survive an hour in a bag, and nobody tells it."""
        story = lively(BTC_DEPTH)

        story.session.look(slept(21))
        reaction = story.session.tick(slept(21))

        assert [words(frame) for frame in reaction.send] == ["ping"]

    def test_a_line_that_does_not_answer_after_a_jump_is_cut_after_five_seconds(self):
        """Not after half a minute."""
        story = lively(BTC_DEPTH, answer=lambda asked, s: [])
        story.session.look(slept(21))
        s, cut = 21.0, None
        while cut is None:
            s = max(s, story.session.due_s())
            cut = story.session.tick(slept(s)).hang_up

        assert (s, cut.cause) == (26, Cause.SILENT)

    def test_a_line_that_answers_after_a_jump_stays(self):
        """The clock was set, and that is all."""
        story = lively(BTC_DEPTH, answer=lambda asked, s: [])
        story.session.look(slept(21))
        asked = story.session.tick(slept(21)).send

        story.session.received(PONG, slept(22))
        frames = [words(frame) for _, frame in sent(story.session, since_s=22, until_s=26.5)]

        assert [words(frame) for frame in asked] == ["ping"]
        assert "request depth/btc_usdt" in frames

    def test_every_subscription_is_asked_about_after_a_jump(self):
        """Each may have died on its own."""
        story = Story(BTC_DEPTH, BTC_TRADE)
        story.run(1)
        for wanted in (BTC_DEPTH, BTC_TRADE):
            story.receive(pushed(wanted, 2), 2)

        story.session.look(slept(3))
        story.session.received(PONG, slept(3))
        frames = [words(frame) for _, frame in sent(story.session, since_s=3, until_s=4)]

        assert {"request depth/btc_usdt", "request trade/btc_usdt"} <= set(frames)

    def test_ages_are_unknown_for_five_seconds_after_a_jump(self):
        """Was the clock set, or is everything an hour late? Nobody is told either before it is known."""
        story = lively(BTC_DEPTH)
        story.session.look(slept(21))

        told = [
            self.ages(story, pushed(BTC_DEPTH, s, s), slept(s)) for s in (21.1, 23.0, 21 + DOUBT_S - 0.1, 21 + DOUBT_S)
        ]

        assert told[:3] == [[None]] * 3
        assert told[3] == [pytest.approx(0.0, abs=0.01)]

    def test_no_book_is_served_while_its_age_is_unknown(self):
        """It may be an hour old."""
        story = lively(BTC_DEPTH)
        story.session.look(slept(21))

        story.session.received(pushed(BTC_DEPTH, 21.1, 1), slept(21.1))

        with pytest.raises(StaleBook) as stale:
            story.session.current(BTC_DEPTH, slept(21.1))
        assert stale.value.why is Flaw.CLOCK

    @pytest.mark.parametrize("is_looked", [True, False], ids=["seen before", "seen by the push itself"])
    def test_a_push_from_after_the_sleep_explains_it(self, is_looked: bool):
        """The monotonic clock stood still; a push of now says for how long, and ages are back at once."""
        story = lively(BTC_DEPTH)
        if is_looked:
            story.session.look(slept(21))

        first = self.ages(story, pushed(BTC_DEPTH, 3621.1, 1), slept(21.1))
        second = self.ages(story, pushed(BTC_DEPTH, 3622.1, 2, age_s=0.5), slept(22.1))

        assert first == [pytest.approx(0.0, abs=0.01)]
        assert second == [pytest.approx(0.4, abs=0.01)]

    def test_a_push_from_before_the_sleep_is_late_once_that_is_known(self):
        """It lay in the buffer for an hour."""
        story = lively(BTC_DEPTH)
        story.session.look(slept(21))
        story.session.received(pushed(BTC_DEPTH, 3621.1, 1), slept(21.1))

        assert self.ages(story, pushed(BTC_DEPTH, 20.9, 2), slept(21.2)) == [pytest.approx(3600.3, abs=0.01)]

    @pytest.mark.parametrize("by_s", [-3600.0, -2.1, 1.9])
    def test_a_clock_that_is_set_back_or_hardly_moves_changes_nothing(self, by_s: float):
        """Ages run on the monotonic clock, so nothing has to be asked and nothing becomes late."""
        story = lively(BTC_DEPTH)
        story.session.look(slept(21, by_s=by_s))

        told = self.ages(story, pushed(BTC_DEPTH, 21.1, 1), slept(21.1, by_s=by_s))

        assert sent(story.session, since_s=21, until_s=24) == []
        assert told == [pytest.approx(0.0, abs=0.01)]
        assert story.session.current(BTC_DEPTH, slept(21.1, by_s=by_s)).pair == "btc_usdt"


class ThinExchange:
    """An exchange with one pair that trades once an hour; the rest of the time it answers, and pings each minute."""

    def __init__(self, *, offset_s: float, has_empty_bars: bool) -> None:
        self.offset_s = offset_s  # when within each hour
        self.has_empty_bars = has_empty_bars  # whether it pushes bars without a trade

    def price(self, s: float) -> int:
        """Give the price, which changes with each trade."""
        return 100 + int((s - self.offset_s) // 3600)

    def traded_s(self, s: float) -> float:
        """Give when the last trade was."""
        return self.offset_s + 3600 * ((s - self.offset_s) // 3600)

    def bar(self, wanted: Topic, s: float) -> str:
        """Give the push of the bar of this minute, with or without a trade in it."""
        fields = json.loads(pushed(wanted, s, self.price(s)))
        fields["kbar"]["v"] = int(self.traded_s(s) >= 60 * (s // 60))
        return json.dumps(fields)

    def rows(self, wanted: Topic, s: float) -> str:
        """Give the answer about bars: the last twenty, most of them empty."""
        fields = json.loads(replied(wanted, s))
        fields["records"] = [
            [opened, price, price, price, price, volume, volume, volume]
            for opened in range(60 * int(at(s).ns / 60e9) - 19 * 60, int(at(s).ns / 1e9) + 1, 60)
            for end_s in [min(s, opened - at(0).ns / 1e9 + 59.9)]
            for price in [self.price(end_s)]
            for volume in [int(0 <= end_s - self.traded_s(end_s) < 60)]
        ]
        return json.dumps(fields)

    def trades(self, s: float) -> str:
        """Give the answer about trades: the last one."""
        fields = json.loads(replied(BTC_TRADE, s))
        fields["trades"] = [[int((at(0).ns / 1e9 + self.traded_s(s)) * 1000), self.price(s), 1, "buy"]]
        return json.dumps(fields)

    def answer(self, asked: str, s: float) -> list[str]:
        """Answer a frame of the client."""
        action, _, what = asked.partition(" ")
        price = self.price(s)
        if action == "ping":
            return [PONG]
        if action == "subscribe":
            return {"t": [pushed(BTC_TICKER, s, price)], "d": [pushed(BTC_DEPTH, s, price)]}.get(
                what[:1] if not what.startswith("trade") else "", []
            )
        if what.startswith("depth"):
            return [replied(BTC_DEPTH, s, price)]
        if what.startswith("trade"):
            return [self.trades(s)]
        if what.startswith("kbar"):
            return [self.rows(BTC_BARS, s)]
        return [pushed(BTC_TICKER, s, price)] if action == "request" else []

    def minute(self, s: float) -> list[str]:
        """Give what is sent in a minute."""
        frames = [sample("v2/ping_2019")]
        if self.traded_s(s) > s - 60:
            price = self.price(s)
            frames += [pushed(wanted, s, price) for wanted in (BTC_TRADE, BTC_TICKER, BTC_DEPTH)]
            frames.append(self.bar(BTC_BARS, s))
        elif self.has_empty_bars:
            frames.append(self.bar(BTC_BARS, s))
        return frames


@pytest.mark.parametrize("has_empty_bars", [False, True], ids=["bars with trades", "all bars"])
@pytest.mark.parametrize("lost_s", [None, 20_000.0], ids=["one line", "an outage"])
def test_a_pair_that_trades_once_an_hour_is_not_redialled_all_day(has_empty_bars: bool, lost_s: float | None):
    """Quiet is not dead: a whole day without one needless dial, and with few questions."""
    exchange = ThinExchange(offset_s=-120.0, has_empty_bars=has_empty_bars)
    story = Story(*BY_NAME.values(), answer=exchange.answer)
    if lost_s is not None:
        story.run(lost_s, pushes=exchange.minute, every_s=60)
        assert story.cut is None
        story.session.lost(at(story.now_s), GONE)
        # Somebody trades while the line is away.
        opened_s = 60 * ((lost_s + 4000) // 60)
        story.session.tick(at(opened_s))
        story.follow(story.session.opened(at(opened_s)), opened_s)

    story.run(DAY_S, pushes=exchange.minute, every_s=60)

    assert story.cut is None
    assert all(known.state is Subscribed.LIVE for known in story.session.subscriptions.all())
    assert not any(kind == "stale" for _, kind, _ in story.statuses)
    for name in ("tick", "depth", "trade", "kbar"):
        assert 20 < len(story.asked_s(f"request {name}")) < 600
    assert len(story.asked_s("subscribe")) < 50


def test_two_lines_share_what_is_known_of_the_clock():
    """What one line learns of a jump, all of them act upon."""
    first = lively(BTC_DEPTH)
    offset = first.session._offset
    second = Session(dialect_named("v2"), Backoff(uniform=longest), Habits(), offset=offset, line=2)
    second.subscribe(BTC_TRADE)
    second.start(at(0))
    second.opened(at(0))
    first.session.look(slept(21))

    second.look(slept(21))

    assert [words(frame) for frame in second.tick(slept(21)).send] == ["ping"]
