"""An answer names no question: which of several does it belong to?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbank_ws.channels import Topic, topic
from lbank_ws.events import Event
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.questions import FORGET_S, Questions
from lbank_ws.wire import Reply
from tests.test_backfill import bar

MINUTES = topic("kline", "btc_usdt", interval="1min")
DAYS = topic("kline", "btc_usdt", interval="day")
TRADES = topic("trade", "btc_usdt")


def fetch_of(asked: Topic, number: int = 1) -> Fetch:
    return Fetch(number, asked, "request", 100)


def reply_to(asked: Topic, *events: Event) -> Reply:
    return Reply(asked.channel, asked.pair, events)


def test_answers_come_in_the_order_of_the_questions():
    """A fetch that takes the twenty newest bars for its own would call the rest missing."""
    questions = Questions()
    questions.asked(MINUTES, 0.0)
    questions.asked(MINUTES, 1.0, fetch_of(MINUTES, 7))

    assert questions.take(reply_to(MINUTES), 2.0) is None
    assert questions.take(reply_to(MINUTES), 2.0) == fetch_of(MINUTES, 7)
    assert questions.take(reply_to(MINUTES), 2.0) is None


@pytest.mark.parametrize("other", [TRADES, topic("kline", "eth_usdt", interval="1min")], ids=str)
def test_other_streams_have_answers_of_their_own(other):
    """Trades are no bars, and one pair is not another."""
    questions = Questions()
    questions.asked(MINUTES, 0.0, fetch_of(MINUTES))

    assert questions.take(reply_to(other), 1.0) is None
    assert questions.take(reply_to(MINUTES), 1.0) == fetch_of(MINUTES)


def test_intervals_are_told_apart_where_the_answer_has_bars():
    """Bars of a day in a chart of minutes are wrong by a day."""
    questions = Questions()
    questions.asked(MINUTES, 0.0, fetch_of(MINUTES))
    questions.asked(DAYS, 0.0, fetch_of(DAYS))

    assert questions.take(reply_to(DAYS, replace(bar(0), interval="day")), 1.0) == fetch_of(DAYS)
    assert questions.take(reply_to(MINUTES, bar(0)), 1.0) == fetch_of(MINUTES)


def test_a_question_without_an_answer_takes_no_later_one():
    """Else every answer after it would go to the question before its own."""
    questions = Questions()
    questions.asked(TRADES, 0.0, fetch_of(TRADES, 1))
    questions.asked(TRADES, 1.0, fetch_of(TRADES, 2))

    assert questions.take(reply_to(TRADES), FORGET_S) == fetch_of(TRADES, 2)


def test_another_line_has_heard_no_question():
    """What comes on it answers what was asked on it."""
    questions = Questions()
    questions.asked(TRADES, 0.0, fetch_of(TRADES))
    questions.line_opened()

    assert questions.take(reply_to(TRADES), 1.0) is None
