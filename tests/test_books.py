"""What may be served as the present book or price, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from lbank_ws.causes import Flaw
from lbank_ws.events import Depth, Level, Receipt, Ticker
from lbank_ws.feed.books import PASSING, Shelf, counts, flaw_of
from lbank_ws.wire.levels import Levels
from tests.test_session import at

GOOD = ([["99", "1"]], [["101", "2"]])
LATE_AFTER_S = 3.0


def side(raw: Sequence[object]) -> Levels:
    """Give a side of a book as it comes from the wire."""
    return Levels(list(raw), "the frame")


def book(
    s: float = 0.0,
    bids: Sequence[object] = GOOD[0],
    asks: Sequence[object] = GOOD[1],
    *,
    age_s: float | None = 0.1,
    node: str | None = None,
    ahead_s: float | None = 0.0,
) -> Depth:
    """Give a book that comes at this second; an age of None is a book without a time."""
    return Depth(
        pair="btc_usdt",
        bids=side(bids),
        asks=side(asks),
        node=node,
        exchange_at=None if age_s is None else at(s).utc - timedelta(seconds=age_s),
        receipt=Receipt(at(s).ns, ahead_s, LATE_AFTER_S),
    )


def price(s: float = 0.0, *, age_s: float = 0.1, ahead_s: float | None = 0.0) -> Ticker:
    """Give a ticker that comes at this second."""
    return Ticker(
        pair="btc_usdt",
        last=Decimal(100),
        exchange_at=at(s).utc - timedelta(seconds=age_s),
        receipt=Receipt(at(s).ns, ahead_s, LATE_AFTER_S),
    )


# What is wrong with a book: how it is made, and what is said.
BAD: dict[str, tuple[Depth, Flaw]] = {
    "crossed": (book(1, [["101", "1"]], [["99", "1"]]), Flaw.CROSSED),
    "locked": (book(1, [["100", "1"]], [["100", "1"]]), Flaw.CROSSED),
    "nobody bids": (book(1, []), Flaw.EMPTY_SIDE),
    "nobody asks": (book(1, asks=[]), Flaw.EMPTY_SIDE),
    "nobody at all": (book(1, [], []), Flaw.EMPTY_SIDE),
    "a word for a price": (book(1, [["x", "1"]]), Flaw.UNREADABLE),
    "a price below zero": (book(1, asks=[["-1", "1"]]), Flaw.UNREADABLE),
    "three numbers": (book(1, [["99", "1", "1"]]), Flaw.UNREADABLE),
    "another node": (book(1, node="m-3"), Flaw.WRONG_NODE),
    "another node, and crossed": (book(1, [["101", "1"]], [["99", "1"]], node="m-3"), Flaw.WRONG_NODE),
    "older than the one held": (book(1, age_s=1.2), Flaw.OLDER),
    "late": (book(1, age_s=LATE_AFTER_S + 0.1), Flaw.LATE),
    "late, and crossed": (book(1, [["101", "1"]], [["99", "1"]], age_s=LATE_AFTER_S + 0.1), Flaw.LATE),
    "of unknown age": (book(1, ahead_s=None), Flaw.CLOCK),
}
FINE: dict[str, Depth] = {
    "like the one before": book(1),
    "as old as the one held": book(1, age_s=1.1),
    "almost late": book(4, age_s=LATE_AFTER_S - 0.1),
    "without a time": book(1, age_s=None),
    "without a time, while the clocks are unknown": book(1, age_s=None, ahead_s=None),
    "from a node that counts": book(1, node="t-12"),
    "without a node": book(1, node=None),
    "one level narrow": book(1, [["100.99999999", "1"]]),
    "nothing at a price": book(1, [["99", "0"]]),
}


def shelf_with(held: Depth | Ticker | None = None, nodes: str | None = "t") -> Shelf:
    """Give a shelf on which this lies since second 0."""
    shelf = Shelf(nodes)
    if held is not None:
        shelf.put(held, 0.0)
    return shelf


class TestPut:
    """A push comes."""

    @pytest.mark.parametrize("name", FINE)
    def test_a_good_book_is_held(self, name: str):
        """And nothing is wrong any more."""
        shelf = shelf_with(book())

        given = shelf.put(FINE[name], 1.0)

        assert given is FINE[name]
        assert (shelf.held, shelf.flaw, shelf.since) == (given, None, None)
        assert shelf.why_not(1.0, LATE_AFTER_S) is None

    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_book_is_never_held_and_carries_its_fault(self, name: str):
        """Callbacks get it with a word of warning; `client.book()` must not give it."""
        bad, flaw = BAD[name]
        good = book()
        shelf = shelf_with(good)

        given = shelf.put(bad, 1.0)

        assert isinstance(given, Depth)
        assert (given.fault, given.pair, given.receipt) == (flaw, bad.pair, bad.receipt)
        assert (shelf.held, shelf.flaw, shelf.since) == (good, flaw, at(1).utc)

    @pytest.mark.parametrize("name", BAD)
    def test_the_good_book_before_is_served_through_a_single_bad_push(self, name: str):
        """But not through one that says that all of it is old, and for no longer than a push may be on its way."""
        bad, flaw = BAD[name]
        shelf = shelf_with(book())

        shelf.put(bad, 1.0)

        assert shelf.why_not(LATE_AFTER_S, LATE_AFTER_S) == (None if flaw in PASSING else flaw)
        assert shelf.why_not(LATE_AFTER_S + 0.1, LATE_AFTER_S) is flaw

    @pytest.mark.parametrize("name", [name for name in BAD if BAD[name][1] is not Flaw.OLDER])
    def test_a_bad_first_book_is_not_served(self, name: str):
        """There is none before it to fall back on."""
        bad, flaw = BAD[name]
        shelf = shelf_with()

        shelf.put(bad, 1.0)

        assert shelf.held is None
        assert shelf.why_not(1.0, LATE_AFTER_S) is flaw
        assert shelf.since is None

    def test_nothing_yet_is_said_before_the_first(self):
        """Not `None`, and no empty book."""
        shelf = shelf_with()

        assert shelf.why_not(0.0, LATE_AFTER_S) is Flaw.NOTHING_YET

    @pytest.mark.parametrize(
        ("push", "flaw"),
        [(price(1), None), (price(1, age_s=9), Flaw.LATE), (price(1, age_s=2), Flaw.OLDER)],
        ids=["fresh", "late", "older"],
    )
    def test_a_price_obeys_the_same_rules(self, push: Ticker, flaw: Flaw | None):
        """As far as it has them; the event itself has no word for it."""
        shelf = shelf_with(price())

        given = shelf.put(push, 1.0)

        assert given is push
        assert shelf.flaw is flaw

    def test_an_unknown_clock_spoils_a_price_too(self):
        """Nobody knows how old it is."""
        shelf = shelf_with(price())

        shelf.put(price(1, ahead_s=None), 1.0)

        assert shelf.why_not(1.0, LATE_AFTER_S) is Flaw.CLOCK

    def test_a_clock_of_theirs_that_was_set_back_does_not_block_for_ever(self):
        """Once the book that is held is not served any more, one that calls itself older is better than none."""
        shelf = shelf_with(book(0, age_s=-2.0))

        flaws = []
        for second in (1.0, 2.0, 3.0, 4.0):
            given = shelf.put(book(second, age_s=2.5), second)
            assert isinstance(given, Depth)
            flaws.append(given.fault)

        assert flaws == [Flaw.OLDER, Flaw.OLDER, Flaw.OLDER, None]

    def test_what_is_suspected_of_the_subscription_weighs_more_than_how_a_push_looks(self):
        """A frozen feed is made of books that look perfect."""
        shelf = shelf_with(book())

        given = shelf.put(book(1), 1.0, suspected=Flaw.FROZEN)

        assert isinstance(given, Depth)
        assert given.fault is Flaw.FROZEN
        assert shelf.why_not(1.0, LATE_AFTER_S) is Flaw.FROZEN

    def test_books_of_other_nodes_are_counted(self):
        """So that a user sees why there is no book."""
        shelf = shelf_with()

        for node in ("m-1", "t-1", "m-2", None, "x-1"):
            shelf.put(book(1, node=node), 1.0)

        assert shelf.wrong_nodes == 3

    def test_it_says_since_when_the_first_flaw(self):
        """An outage of a minute began a minute ago, whatever else went wrong meanwhile."""
        shelf = shelf_with(book())
        shelf.put(BAD["crossed"][0], 1.0)

        shelf.put(book(2, []), 2.0)

        assert (shelf.flaw, shelf.since) == (Flaw.EMPTY_SIDE, at(1).utc)


LASTING = [flaw for flaw in Flaw if flaw not in PASSING and flaw is not Flaw.NOTHING_YET]


class TestSpoilAndConfirm:
    """Something is known of the whole subscription."""

    @pytest.mark.parametrize("flaw", LASTING)
    def test_what_is_held_is_not_served_once_it_is_spoilt(self, flaw: Flaw):
        """At once, also when it came a moment ago."""
        shelf = shelf_with(book())

        shelf.spoil(flaw, at(0).utc)

        assert shelf.why_not(0.0, LATE_AFTER_S) is flaw

    @pytest.mark.parametrize("flaw", LASTING)
    @pytest.mark.parametrize("passing", sorted(PASSING))
    def test_a_flaw_of_one_push_does_not_hide_a_lasting_one(self, flaw: Flaw, passing: Flaw):
        """Else a crossed book would bring back the one of before the outage."""
        shelf = shelf_with(book())
        shelf.spoil(flaw, at(0).utc)

        shelf.spoil(passing, at(1).utc)

        assert shelf.why_not(1.0, LATE_AFTER_S) is flaw

    @pytest.mark.parametrize("flaw", LASTING)
    def test_a_good_push_heals(self, flaw: Flaw):
        """It is the present state, whatever was before."""
        shelf = shelf_with(book())
        shelf.spoil(flaw, at(0).utc)

        shelf.put(book(1), 1.0)

        assert shelf.why_not(1.0, LATE_AFTER_S) is None

    @pytest.mark.parametrize("flaw", Flaw)
    def test_an_answer_that_says_the_same_ends_a_suspicion_and_nothing_else(self, flaw: Flaw):
        """The exchange says that this is the present state; it does not say that the line is up."""
        shelf = shelf_with(book())
        shelf.spoil(flaw, at(0).utc)

        shelf.confirm(100.0)

        ends = flaw in (Flaw.FROZEN, Flaw.SILENT)
        assert shelf.why_not(100.0, LATE_AFTER_S) is (None if ends else flaw)

    def test_an_answer_confirms_nothing_where_nothing_is_held(self):
        """No book becomes good by being suspected."""
        shelf = shelf_with()
        shelf.spoil(Flaw.SILENT, at(0).utc)

        shelf.confirm(1.0)

        assert shelf.why_not(1.0, LATE_AFTER_S) is Flaw.SILENT


class TestNodes:
    """Who publishes."""

    @pytest.mark.parametrize(
        ("node", "nodes", "is_counted"),
        [
            ("t-3", "t", True),
            ("m-3", "t", False),
            ("m-3", "tm", True),
            ("m-3", None, True),
            (None, "t", True),
            ("t", "t", True),
            ("tm-1", "t", False),
            ("tm-1", "tm", False),
            ("T-1", "t", False),
        ],
    )
    def test_a_node_counts_by_its_letters(self, node: str | None, nodes: str | None, is_counted: bool):
        """`m-` nodes were seen to publish other books; a book that names none has always been fine."""
        assert counts(book(node=node), nodes) is is_counted
        assert flaw_of(book(node=node), nodes) is (None if is_counted else Flaw.WRONG_NODE)

    def test_other_channels_have_no_node(self):
        """A price counts."""
        assert counts(price(), "t")


def test_a_book_of_our_own_making_is_judged_too():
    """The simple dialect and tests make theirs of plain levels."""
    made = Depth(
        pair="btc_usdt",
        bids=[Level(Decimal(2), Decimal(1))],
        asks=[Level(Decimal(1), Decimal(1))],
        receipt=Receipt(at(0).ns),
    )

    assert flaw_of(made, "t") is Flaw.CROSSED
