"""The ledger of holes: where each subscription stopped, and what was said about it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Cause, GapCause
from lbank_ws.channels import Topic, topic
from lbank_ws.events import Gap, Receipt, Ticker
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.gaps import Ledger

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BTC = topic("trade", "btc_usdt")
ETH = topic("kline", "eth_usdt")
BOOK = topic("depth", "btc_usdt")


def at(s: float) -> Moment:
    return Moment(s, round(s * 1e9))


def utc(s: float) -> datetime:
    return EPOCH + timedelta(seconds=s)


def ledger_of(*pushed: tuple[Topic, float]) -> Ledger:
    ledger = Ledger()
    for of, s in pushed:
        ledger.pushed(of, push(s))
    return ledger


def push(s: float, *, age_s: float | None = 0.1, ahead_s: float | None = 0.0) -> Ticker:
    """Give something that came at this second; an age of None is a push without a time."""
    sent_at = None if age_s is None else utc(s - age_s)
    return Ticker(pair="btc_usdt", last=Decimal(1), exchange_at=sent_at, receipt=Receipt(at(s).ns, ahead_s))


@pytest.mark.parametrize("cause", list(Cause))
def test_every_loss_of_a_line_is_a_known_cause_of_a_gap(cause: Cause):
    """A cause without a meaning would lose the gap."""
    own = {Cause.FROZEN: GapCause.FROZEN, Cause.SILENT: GapCause.SILENT, Cause.LATE: GapCause.LATE}

    assert GapCause.of(cause) is own.get(cause, GapCause.LINE_LOST)


def test_a_gap_begins_at_the_last_good_push_of_each_subscription():
    """That is until when data is known; the drop itself may be noticed much later."""
    ledger = ledger_of((BTC, 10), (ETH, 12), (BTC, 13))

    gaps = ledger.opened([BTC, ETH], Cause.CLOSED)

    assert gaps == [
        Gap(BTC, started_at=utc(13), ended_at=None, cause=GapCause.LINE_LOST),
        Gap(ETH, started_at=utc(12), ended_at=None, cause=GapCause.LINE_LOST),
    ]
    assert ledger.open_gaps() == gaps


@pytest.mark.parametrize(
    ("last", "began_s"),
    [
        (push(20), 20),
        (push(20, age_s=None), 20),
        (push(20, age_s=0.9), 20),
        (push(20, age_s=-0.5), 20),
        (push(20, age_s=2.5), 17.5),
        (push(20, age_s=9), 11),
        (push(20, ahead_s=None), 10),
        (push(20, age_s=None, ahead_s=None), 20),
    ],
    ids=["new", "without a time", "nearly new", "from the future", "old", "late", "a clock jumped", "neither"],
)
def test_a_gap_begins_when_what_was_read_last_was_sent(last: Ticker, began_s: float):
    """After a sleep, what was sent before it is read first; as if it were new, hours would be missing and not told."""
    ledger = ledger_of((BTC, 10))

    ledger.pushed(BTC, last)

    assert [gap.started_at for gap in ledger.opened([BTC], Cause.CLOSED)] == [utc(began_s)]


def test_a_first_push_of_unknown_age_counts_from_when_it_came():
    """There is nothing better to go by."""
    ledger = Ledger()

    ledger.pushed(BTC, push(20, ahead_s=None))

    assert [gap.started_at for gap in ledger.opened([BTC], Cause.CLOSED)] == [utc(20)]


def test_what_never_brought_anything_has_no_gap():
    """Nothing was promised yet."""
    ledger = ledger_of((BTC, 10))

    assert [gap.topic for gap in ledger.opened([ETH, BTC], GapCause.SLOW_CALLBACK)] == [BTC]
    assert not ledger.is_open(ETH)
    assert ledger.closed(ETH, at(20)) is None


def test_a_gap_stays_one_however_often_the_line_drops():
    """Nothing good came in between, so nothing was closed."""
    ledger = ledger_of((BTC, 10))
    ledger.opened([BTC], Cause.FROZEN)

    assert ledger.opened([BTC], Cause.BROKEN) == []

    gap = ledger.closed(BTC, at(20), filled=3)
    assert gap == Gap(BTC, started_at=utc(10), ended_at=utc(20), cause=GapCause.FROZEN, filled=3)


def test_a_closed_gap_says_what_came_and_what_did_not():
    """`filled` alone would read as if all were there."""
    ledger = ledger_of((BTC, 10))
    (opened,) = ledger.opened([BTC], Cause.BROKEN)

    gap = ledger.closed(BTC, at(20), filled=500, missed=700, missing_before=utc(15))

    assert (opened.filled, opened.missing_before, opened.ended_at) == (None, None, None)
    assert gap is not None
    assert (gap.filled, gap.missed, gap.missing_before) == (500, 700, utc(15))
    assert ledger.closed(BTC, at(21)) is None
    assert ledger.open_gaps() == []


def test_a_gap_does_not_end_before_it_begins():
    """A wall clock may be set back while nobody listens."""
    ledger = ledger_of((BTC, 1000))
    ledger.opened([BTC], Cause.BROKEN)

    gap = ledger.closed(BTC, Moment(30, at(400).ns))

    assert gap is not None
    assert gap.ended_at == gap.started_at == utc(1000)


def test_the_time_between_two_runs_is_a_gap():
    """It began where the earlier run ended."""
    ledger = Ledger()

    gap = ledger.resumed(BTC, utc(5))

    assert gap == Gap(BTC, started_at=utc(5), ended_at=None, cause=GapCause.STOPPED)
    assert ledger.opened([BTC], Cause.UNREACHABLE) == []
    assert ledger.is_open(BTC)


def test_what_is_wanted_no_more_has_no_gap():
    """A gap that never closes would look like a hole that is still open."""
    ledger = ledger_of((BTC, 10), (BOOK, 10))
    ledger.opened([BTC], Cause.BROKEN)
    ledger.left(BTC)
    ledger.left(BOOK)
    ledger.left(ETH)

    assert ledger.opened([BTC, BOOK], Cause.BROKEN) == []
    assert ledger.open_gaps() == []
    assert ledger.good_at(BTC) is None


@given(
    happenings=st.lists(
        st.tuples(st.sampled_from(["push", "open", "close", "leave"]), st.sampled_from([BTC, ETH])), max_size=40
    )
)
def test_every_gap_that_was_opened_is_closed_once_and_none_overlap(happenings: list[tuple[str, Topic]]):
    """A ledger whose entries do not pair up cannot be added up."""
    ledger = Ledger()
    opened: dict[Topic, Gap] = {}
    ended_at: dict[Topic, datetime] = {}
    for s, (what, of) in enumerate(happenings):
        if what == "push" and of not in opened:
            ledger.pushed(of, push(s))
        elif what == "open":
            for gap in ledger.opened([of], Cause.BROKEN):
                assert of not in opened
                assert gap.started_at >= ended_at.get(of, EPOCH) or ledger.good_at(of) == gap.started_at
                opened[of] = gap
        elif what == "close":
            closed = ledger.closed(of, at(s))
            assert (closed is None) is (opened.pop(of, None) is None)
            if closed is not None and closed.ended_at is not None:
                ended_at[of] = closed.ended_at
        elif what == "leave":
            ledger.left(of)
            opened.pop(of, None)

    assert ledger.open_gaps() == sorted(opened.values(), key=lambda gap: ledger.open_gaps().index(gap))
