"""What an answer proves, and what none does; and how long an order that nobody knows is looked for."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from lbank_ws.errors import RestFailed
from lbank_ws.trading.fates import Fate, verdict_of_answer, verdict_of_failure, verdict_of_refusal
from lbank_ws.trading.inquiry import CAP_S, Inquiry, Question
from lbank_ws.trading.journal import Entry
from lbank_ws.trading.refusals import refusal
from lbank_ws.trading.ticket import order_request

PATH = "/v2/supplement/create_order.do"
AT = 1_700_000_000_000


@pytest.mark.parametrize("code", [10007, 10008, 10010, 10014, 10016, 10022, 10126, 10127, 10205, 10600])
def test_a_refusal_before_matching_is_proof(code):
    """Signature, parameters, precision, minimum, balance: told before an order could meet another."""
    assert verdict_of_failure(refusal(PATH, "no", code)).fate is Fate.REFUSED


@pytest.mark.parametrize("code", [10000, 10004, 10017, 10033, 10036, 10037, 10125, 12345, None])
def test_every_other_number_proves_nothing(code):
    """The exchange's own mishaps, a repeated id, numbers that nobody has documented."""
    assert verdict_of_refusal(code, "hm").fate is Fate.UNKNOWN


def test_a_failure_proves_nothing_unless_nothing_left():
    """A timeout, a reset, half an answer, a page of HTML; an HTTP error that quotes a number as well."""
    assert verdict_of_failure(RestFailed(PATH, "no answer")).fate is Fate.UNKNOWN
    assert verdict_of_failure(RestFailed(PATH, "HTTP 502: not enough", 10014)).fate is Fate.UNKNOWN
    assert verdict_of_failure(RestFailed(PATH, "no network", was_sent=False)).fate is Fate.UNSENT


@pytest.mark.parametrize(
    ("order_id", "told", "fate"),
    [
        ("o-1", "mine", Fate.PLACED),
        ("o-1", "yours", Fate.UNKNOWN),
        ("o-1", None, Fate.UNKNOWN),
        ("", "mine", Fate.UNKNOWN),
    ],
)
def test_a_yes_counts_with_an_order_and_our_own_id(order_id, told, fate):
    """An answer to another request may come on a connection that was used before."""
    assert verdict_of_answer("mine", order_id, told).fate is fate


def inquiry(since_ms: int | None = AT) -> Inquiry:
    order = order_request("btc_usdt", "buy", "limit", price="1", amount="1", client_id="mine")
    entry = Entry(order, Fate.UNKNOWN, datetime.now(timezone.utc), unknown_since_ms=since_ms)
    return Inquiry(entry, 0.0)


def test_an_order_that_is_missing_stays_unknown_while_it_could_appear():
    """The answer says "no such order", and five seconds later it is there."""
    search = inquiry()
    now_s = 0.0
    asked = []
    while now_s < 64.9:
        now_s = search.due_s
        if now_s >= 65:
            break
        asked.append(search.question)
        assert search.missing(AT + int(now_s * 1000), now_s) is Fate.UNKNOWN

    assert set(asked) == {Question.BY_ID}
    assert 6 <= len(asked) <= 14
    assert search.due_s <= 65 + 0.1


def test_not_placed_needs_three_answers_after_that_time():
    """One look-up may be wrong by itself; the open orders and the history are kept elsewhere."""
    search = inquiry()
    late_ms = AT + 65_001

    assert search.missing(late_ms, 65.0) is Fate.UNKNOWN
    assert search.question is Question.OPEN_ORDERS
    assert search.missing(late_ms, 65.0) is Fate.UNKNOWN
    assert search.question is Question.HISTORY
    assert search.missing(late_ms, 65.0) is Fate.NOT_PLACED


def test_a_question_that_fails_is_no_evidence_and_the_answers_before_it_count_no_more():
    """The three have to say the same, one after the other."""
    search = inquiry()
    search.missing(AT + 65_001, 65.0)
    search.missing(AT + 65_001, 65.0)

    search.failed(65.0)

    assert search.question is Question.BY_ID
    assert search.due_s > 65.0


def test_an_order_of_a_run_that_was_killed_counts_from_the_first_answer():
    """Nobody wrote down when it left; before this run in any case."""
    search = inquiry(None)

    assert search.missing(AT, 0.0) is Fate.UNKNOWN
    assert search.missing(AT + 64_000, 64.0) is Fate.UNKNOWN
    assert search.question is Question.BY_ID
    search.missing(AT + 65_001, 65.0)
    assert search.question is Question.OPEN_ORDERS


def test_a_new_line_makes_it_ask_at_once_and_questions_never_stop():
    """The exchange was out of reach for an hour."""
    search = inquiry()
    for now_s in range(0, 3600, 60):
        search.failed(now_s)
    assert search.due_s <= 3540 + CAP_S

    search.hurry(3541.0)

    assert search.due_s == 3541.0
