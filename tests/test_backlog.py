"""What waits for a slow callback, what is given up, and how that is told: without threads."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Flaw, GapCause
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import Refused, UsageError
from lbank_ws.events import Depth, Event, Gap, Kline, OrderStatus, OrderUpdate, Receipt, Status, Ticker, Trade
from lbank_ws.feed.backlog import POLICIES, QUEUE_EVENTS, Backlog, Policy, checked_policies

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
# A word is a letter and a number, which says when it came: T3 is the BTC ticker of second 3.
TOPICS = {
    "T": topic("ticker", "btc_usdt"),
    "U": topic("ticker", "eth_usdt"),
    "G": topic("depth", "btc_usdt"),  # a good book
    "F": topic("depth", "btc_usdt"),  # a faulty one of the same topic
    "H": topic("depth", "btc_usdt", levels=5),  # the same pair, another topic
    "X": topic("trade", "btc_usdt"),
    "Y": topic("trade", "eth_usdt"),
    "K": topic("kline", "btc_usdt"),
    "O": topic("order", "all"),
}
STATUS, FAULT = "S", "!"


def event(letter: str, number: int) -> Event:
    """Give the event that a word stands for."""
    receipt = Receipt(ns=int((NOW + timedelta(seconds=number)).timestamp()) * 10**9)
    pair, one = TOPICS[letter].pair, Decimal(number)
    match TOPICS[letter].channel:
        case Channel.TICKER:
            return Ticker(pair=pair, last=one, receipt=receipt)
        case Channel.DEPTH:
            flaw = Flaw.CROSSED if letter == "F" else None
            return Depth(pair=pair, bids=(), asks=(), levels=TOPICS[letter].levels, fault=flaw, receipt=receipt)
        case Channel.TRADE:
            return Trade(pair=pair, price=one, amount=one, value=None, side="buy", receipt=receipt)
        case Channel.ORDER:
            return OrderUpdate(pair="btc_usdt", order_id="1", status=OrderStatus.OPEN, receipt=receipt)
    return Kline(
        pair=pair, interval="1min", opened_at=NOW, open=one, high=one, low=one, close=one, volume=one, receipt=receipt
    )


def second(moment: datetime) -> int:
    return int((moment - NOW).total_seconds())


def word(came: tuple[Topic | None, Any]) -> str:
    """Spell what was taken; `X4-6:3` is a gap of three trades."""
    of, content = came
    if isinstance(content, Status):
        return f"{STATUS}{content.attempts}"
    if isinstance(content, Refused):
        return f"{FAULT}{content.code}"
    if isinstance(content, Gap):
        assert (of, content.cause, content.filled) == (None, GapCause.SLOW_CALLBACK, 0)
        assert content.ended_at is not None
        letter = next(letter for letter, known in TOPICS.items() if known == content.topic)
        return f"{letter}{second(content.started_at)}-{second(content.ended_at)}:{content.missed}"
    letter = "F" if getattr(content, "fault", None) else next(known for known in TOPICS if TOPICS[known] == of)
    return f"{letter}{second(content.received_at)}"


def put(backlog: Backlog, letter: str, number: int) -> None:
    if letter == STATUS:
        backlog.put_status(Status(kind="lost", at=NOW, attempts=number))
    elif letter == FAULT:
        backlog.put_fault(Refused(number, "no"))
    else:
        backlog.put(TOPICS[letter], event(letter, number))


def played(backlog: Backlog, words: str) -> str:
    """Put every word, take one for each `-`, take all at the end, and spell what came."""
    came = []
    for each in words.split():
        if each == "-":
            came.append(backlog.take())
        else:
            put(backlog, each[0], int(each[1:]))
    while (taken := backlog.take()) is not None:
        came.append(taken)
    return " ".join(word(taken) for taken in came if taken is not None)


# What waits.


@pytest.mark.parametrize(
    ("puts", "comes", "merged"),
    [
        ("T1 T2 T3", "T3", 2),
        ("T1 - T2", "T1 T2", 0),
        ("T1 X2 T3", "T3 X2", 1),  # in the place of the one before
        ("T1 U2 T3 U4", "T3 U4", 2),
        ("G1 H2 G3", "G3 H2", 1),  # another number of levels is another topic
        ("X1 X2 X3", "X1 X2 X3", 0),
        ("K1 K2 K3", "K1 K2 K3", 0),
        ("S1 !2 S3", "S1 !2 S3", 0),
    ],
)
def test_newest_ticker_and_book_wait_and_every_trade_and_bar(puts: str, comes: str, merged: int):
    """Who is behind wants the price of now, and every trade."""
    backlog = Backlog(limit=3)

    assert played(backlog, puts) == comes
    assert (backlog.merged, backlog.dropped) == (merged, 0)


@pytest.mark.parametrize(
    ("puts", "comes"),
    [
        ("G1 F2", "G1 F2"),
        ("G1 F2 F3 F4", "G1 F4"),
        ("F1 G2 G3", "F1 G3"),
        ("F1 G2 - G3", "F1 G3"),
        ("G1 F2 - G3 F4", "G1 G3 F4"),
    ],
)
def test_faulty_book_never_takes_the_place_of_a_good_one(puts: str, comes: str):
    """Else one bad push would leave a slow callback without any book to act on."""
    assert played(Backlog(), puts) == comes


@pytest.mark.parametrize(
    ("puts", "comes"),
    [("G1 F2 G3", "F2 G3"), ("F1 G2 F3", "G2 F3"), ("G1 X2 F3 Y4 G5", "F3 X2 G5 Y4"), ("G1 F2 G3 F4", "G3 F4")],
)
def test_older_book_never_comes_behind_a_newer_one(puts: str, comes: str):
    """A callback takes the last book that it heard for the present one."""
    assert played(Backlog(), puts) == comes


def test_policies_are_by_channel():
    """A charting program wants the last bar alone; a collector wants each ticker."""
    backlog = Backlog(policies=checked_policies({"ticker": "keep", "kline": "merge"}))

    assert played(backlog, "T1 K2 T3 K4") == "T1 K4 T3"


def test_keep_all_replaces_nothing_and_has_room():
    """In a replay every event is called back, whatever the client's own queue is."""
    backlog = Backlog(limit=1)
    put(backlog, "T", 1)

    backlog.keep_all()

    assert played(backlog, "T2 G3 G4 T5") == "T1 T2 G3 G4 T5"
    for number in range(QUEUE_EVENTS):
        put(backlog, "T", number)
    assert backlog.dropped == 0


# What is given up.


@pytest.mark.parametrize(
    ("puts", "comes", "dropped"),
    [
        ("X1 X2 X3 X4 X5", "X1 X2 X3 X4-5:2", 2),  # at the end
        ("X1 X2 X3 X4 X5 - X6", "X1 X2 X3 X4-5:2 X6", 2),  # before the next that comes
        ("X1 X2 X3 X4 - X5 X6 - X7", "X1 X2 X3 X4-4:1 X5 X6-6:1 X7", 2),
        ("X1 X2 X3 X4 - Y5 X6", "X1 X2 X3 Y5 X4-6:2", 2),  # of that topic
        ("X1 X2 X3 Y4 X5 Y6", "X1 X2 X3 Y4-6:2 X5-5:1", 3),  # each topic by itself, in the order in which they began
        ("X1 X2 X3 X4 - - - - X5", "X1 X2 X3 X4-4:1 X5", 1),  # as soon as nothing waits
        ("X1 X2 X3 T4 T5", "X1 X2 X3 T4-5:2", 2),  # of these none waits
        ("T1 X2 X3 T4 T5", "T5 X2 X3", 0),  # of these one does
        ("X1 X2 X3 T4 - T5 T6", "X1 X2 X3 T4-4:1 T6", 1),
    ],
)
def test_what_finds_no_room_is_a_gap_in_its_place(puts: str, comes: str, dropped: int):
    """Whoever adds trades up must learn which are missing before adding the next one."""
    backlog = Backlog(limit=3)

    assert played(backlog, puts) == comes
    assert backlog.dropped == dropped


@pytest.mark.parametrize(
    ("puts", "comes"),
    [
        ("G1 X2 X3 F4 G5", "G4-4:1 G5 X2 X3"),
        ("G1 X2 X3 F4 G5 F6 G7", "G4-6:2 G7 X2 X3"),  # they lay on both sides of a book that was replaced
        ("G1 X2 X3 F4 - F5 G6 G7", "G1 X2 X3 G4-4:1 F5 G6-7:2"),
        ("X1 X2 G3 F4 - F5 G6", "X1 X2 G4-4:1 F5 G6"),  # the faulty one moves up, with what is missing before it
    ],
)
def test_gap_of_a_book_is_told_before_the_book_that_follows(puts: str, comes: str):
    """Also where that one needed no room, because it replaced another."""
    assert played(Backlog(limit=3), puts) == comes


def test_gap_says_which_topic_and_when():
    """From the receive time of the first missing event to that of the last."""
    backlog = Backlog(limit=1)
    for number in range(1, 5):
        put(backlog, "X", number)
    backlog.take()

    assert backlog.take() == (
        None,
        Gap(
            topic=TOPICS["X"],
            started_at=NOW + timedelta(seconds=2),
            ended_at=NOW + timedelta(seconds=4),
            cause=GapCause.SLOW_CALLBACK,
            missed=3,
            filled=0,
        ),
    )
    assert backlog.take() is None


def test_statuses_find_room_for_twice_as_long_and_faults_do_not():
    """That the line is gone matters most to those who are behind."""
    backlog = Backlog(limit=2)

    assert played(backlog, "X1 X2 !3 S4 S5 S6 X7") == "X1 X2 S4 S5 X7-7:1"
    assert backlog.dropped == 3


def test_what_belongs_to_an_account_finds_room_for_twice_as_long():
    """A flood of trades must not cost an order, and none is replaced by a newer one."""
    backlog = Backlog(limit=2)

    assert played(backlog, "X1 X2 X3 O4 O5 O6") == "X1 X2 O4 O5 X3-3:1 O6-6:1"
    assert backlog.dropped == 2


def test_call_comes_behind_what_was_put_before_it_and_takes_no_room():
    """Somebody waits for it, and it is no event that a slow callback lets wait."""
    backlog = Backlog(limit=2)
    put(backlog, "T", 1)
    backlog.put_call(print)
    put(backlog, "X", 2)

    waiting = len(backlog)
    first, second_, third = backlog.take(), backlog.take(), backlog.take()

    assert first is not None
    assert third is not None
    assert (waiting, word(first), second_, word(third)) == (2, "T1", (None, print), "X2")
    assert (len(backlog), backlog.take(), backlog.dropped) == (0, None, 0)


# Whatever comes.


class Model:
    """The same rules, slowly: places in a queue, and which numbers wait of each topic."""

    def __init__(self, limit: int, policies: dict[Channel, Policy]) -> None:
        self.limit = limit
        self.policies = policies
        self.places: list[Topic | str] = []
        self.waits: dict[Topic, list[tuple[int, str]]] = {known: [] for known in TOPICS.values()}
        self.merged = self.dropped = 0
        self.missing: list[tuple[Topic, int]] = []

    def put(self, letter: str, number: int) -> None:
        of = TOPICS.get(letter)
        if of is not None and self.policies.get(of.channel) is Policy.MERGE:
            replaced = [each for each in self.waits[of] if (each[1] == "F") == (letter == "F")]
            if replaced:
                self.waits[of].remove(*replaced)
                self.waits[of].append((number, letter))
                self.merged += 1
                return
        if len(self.places) >= self.limit * (2 if letter in (STATUS, "O") else 1):
            self.dropped += 1
            if of is not None:
                self.missing.append((of, number))
            return
        self.places.append(of or f"{letter}{number}")
        if of is not None:
            self.waits[of].append((number, letter))

    def take(self) -> str | None:
        if not self.places:
            return None
        place = self.places.pop(0)
        if isinstance(place, str):
            return place
        number, letter = self.waits[place].pop(0)
        return f"{letter}{number}"


@given(
    limit=st.integers(1, 6),
    policies=st.fixed_dictionaries({channel: st.sampled_from(Policy) for channel in Channel if not channel.is_private}),
    letters=st.lists(st.sampled_from([*TOPICS, STATUS, FAULT, "-", "-", "-"]), max_size=80),
)
def test_whatever_comes_is_handed_out_or_counted(limit: int, policies: dict[Channel, Policy], letters: list[str]):
    """In order, within the bound, and with every dropped event in a gap that stands where it is missing."""
    backlog, model = Backlog(limit, policies), Model(limit, policies)
    came: list[tuple[Topic | None, Any]] = []

    def take() -> bool:
        taken = backlog.take()
        if taken is None:
            assert model.take() is None
            return False
        came.append(taken)
        if not isinstance(taken[1], Gap):
            assert word(taken) == model.take()
        return True

    for number, letter in enumerate(letters):
        if letter == "-":
            take()
        else:
            put(backlog, letter, number)
            model.put(letter, number)
        assert (backlog.merged, backlog.dropped) == (model.merged, model.dropped)
        assert len(backlog) == len(model.places) <= 2 * limit
    while take():
        pass

    for known in TOPICS.values():
        spans = [span(content) for of, content in came if of == known or getattr(content, "topic", None) == known]
        missing = [number for of, number in model.missing if of == known]
        assert all(before.ended < behind.began for before, behind in itertools.pairwise(spans))
        for each in spans:
            assert each.missed == sum(each.began <= number <= each.ended for number in missing)
        assert sum(each.missed for each in spans) == len(missing)


class Span(NamedTuple):
    """Which seconds something that was handed out is about, and how many events it says are missing."""

    began: int
    ended: int
    missed: int


def span(content: Any) -> Span:
    if isinstance(content, Gap):
        assert content.ended_at is not None
        assert content.missed is not None
        return Span(second(content.started_at), second(content.ended_at), content.missed)
    return Span(second(content.received_at), second(content.received_at), 0)


# What a caller asks for.


def test_policies_of_a_caller_are_laid_over_the_usual():
    """Texts and members alike, and nothing changes the usual."""
    kept = dict.fromkeys(("trade", "kline", "order", "balance"), "keep")
    usual = {"ticker": "merge", "depth": "merge", **kept}

    assert checked_policies(None) == checked_policies({}) == usual
    assert checked_policies({"ticker": "keep", "kline": Policy.MERGE}) == {**usual, "ticker": "keep", "kline": "merge"}
    assert checked_policies({Channel.DEPTH: Policy.KEEP}) == {**usual, "depth": "keep"}
    assert dict(POLICIES) == usual
    assert all(isinstance(policy, Policy) for policy in checked_policies({"ticker": "keep"}).values())


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        ({"tikcer": "keep"}, "there is no channel 'tikcer'; write one of: ticker, depth, trade, kline, order, balance"),
        ({"ticker": "drop"}, "there is no policy 'drop' for ticker; write one of: merge, keep"),
        ({Channel.TRADE: None}, "there is no policy None for trade; write one of: merge, keep"),
        ({"order": "merge"}, "the newest order is not the only one that counts: order can only be kept"),
        ("keep", "policies is a dict such as {'ticker': 'keep'}, not 'keep'"),
        ([("ticker", "keep")], "policies is a dict such as {'ticker': 'keep'}, not [('ticker', 'keep')]"),
    ],
)
def test_unknown_policy_is_refused_with_those_that_there_are(policies: Any, told: str):
    """A typing mistake must not silently leave the usual policy."""
    with pytest.raises(UsageError) as caught:
        checked_policies(policies)

    assert caught.value.sentence() == told
