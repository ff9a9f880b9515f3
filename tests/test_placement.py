"""Which subscription rides on which line: every rule, and what holds after any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import UsageError
from lbank_ws.feed.placement import Placement


def named(words: str) -> list[Topic]:
    """Give topics by `ticker/a depth/a/10 kline/a/day`."""
    topics = []
    for word in words.split():
        channel, pair, *rest = word.split("/")
        levels = int(rest[0]) if rest and channel == "depth" else None
        interval = rest[0] if rest and channel == "kline" else None
        topics.append(topic(channel, f"{pair}_usdt", levels=levels, interval=interval))
    return topics


def lines(placement: Placement, *topics: Topic) -> list[int]:
    """Place these topics, and give the numbers of their lines."""
    return [placement.place(each) for each in topics]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("ticker/a", [1]),
        ("depth/a", [1]),
        ("ticker/a trade/a kline/a/1min kline/a/day ticker/b", [1, 1, 1, 1, 1]),
        ("depth/a depth/b depth/c", [1, 2, 3]),
        ("depth/a/10 depth/a/100", [1, 1]),
        ("ticker/a depth/a", [1, 2]),
        ("depth/a ticker/a", [1, 2]),
        ("depth/a ticker/a depth/b ticker/b", [1, 2, 3, 2]),
        ("ticker/a ticker/a depth/a depth/a", [1, 1, 2, 2]),
    ],
)
def test_books_ride_alone_and_the_rest_together(words: str, numbers: list[int]):
    """Books are most of the bytes, and a socket brings some 14 kB/s; a pair that is liked twice is one pair."""
    assert lines(Placement(), *named(words)) == numbers


def test_ten_of_the_others_fill_a_line():
    """The eleventh dials."""
    others = named(" ".join(f"{channel}/a{number}" for number in range(7) for channel in ("ticker", "trade", "kline")))

    assert lines(Placement(), *others) == [1] * 10 + [2] * 10 + [3]


@pytest.mark.parametrize(
    ("depth_pairs", "others", "numbers"),
    [
        (1, 10, [1, 2, 3, 3, 3, 4, 5, 3]),
        (2, 10, [1, 1, 2, 2, 2, 3, 3, 2]),
        (1, 2, [1, 2, 3, 3, 4, 5, 6, 4]),
        (9, 9, [1, 1, 2, 2, 2, 1, 1, 2]),
    ],
)
def test_the_limits_can_be_set(depth_pairs: int, others: int, numbers: list[int]):
    """A collector of thin pairs wants fewer sockets."""
    topics = named("depth/a depth/b ticker/a ticker/b ticker/c depth/c depth/d ticker/d")

    assert lines(Placement(depth_pairs, others), *topics) == numbers


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1", None])
@pytest.mark.parametrize("name", ["depth_pairs_a_line", "subscriptions_a_line"])
def test_a_limit_is_a_whole_number_above_0(name: str, limit: object):
    """Zero would dial for ever."""
    with pytest.raises(UsageError, match=name):
        Placement(**{name: limit})  # type: ignore[arg-type]  # that is the point


class TestLeaving:
    """What becomes of a line."""

    def test_a_line_without_anything_to_carry_ends(self):
        """An idle socket costs a thread and a place at the exchange."""
        placement = Placement()
        ticker, book = named("ticker/a depth/a")
        lines(placement, ticker, book)

        assert placement.leave(book) == 2
        assert placement.numbers() == [1]

    def test_a_line_that_still_carries_something_stays(self):
        """Nothing that is wanted moves."""
        placement = Placement()
        ticker, trade, book = named("ticker/a trade/a depth/a")
        lines(placement, ticker, trade, book)

        assert placement.leave(ticker) is None
        assert placement.line_of(trade) == 1

    def test_the_last_line_stays(self):
        """It is the client; a topic that comes later rides on it."""
        placement = Placement()
        ticker, book = named("ticker/a depth/a")
        placement.place(ticker)

        assert placement.leave(ticker) is None
        assert placement.numbers() == [1]
        assert placement.place(book) == 1

    def test_leaving_what_is_not_there_changes_nothing(self):
        """`unsubscribe` twice."""
        placement = Placement()
        (ticker,) = named("ticker/a")

        assert placement.leave(ticker) is None
        assert placement.numbers() == [1]

    def test_room_is_used_again(self):
        """Also on a line that is not the newest."""
        placement = Placement(subscriptions_a_line=2)
        topics = named("ticker/a ticker/b ticker/c ticker/d ticker/e")
        lines(placement, *topics[:4])
        placement.leave(topics[0])

        assert placement.place(topics[4]) == 1

    def test_a_number_is_never_used_again(self):
        """The logs of two lines must not look like one line's."""
        placement = Placement()
        ticker, book, other = named("ticker/a depth/a depth/b")
        lines(placement, ticker, book)
        placement.leave(book)

        assert placement.place(other) == 3


def test_topics_are_told_in_the_order_of_placing():
    """`subscriptions` lists them as the script asked for them, whichever their lines."""
    placement = Placement()
    topics = named("depth/a ticker/a depth/b trade/a")
    lines(placement, *topics)

    assert placement.topics() == topics
    assert [placement.line_of(each) for each in topics] == [1, 2, 3, 2]
    assert placement.line_of(named("ticker/z")[0]) is None


def test_merged_lines_are_one_and_stay_one():
    """A replay has one line, whatever it carries."""
    placement = Placement()
    topics = named("depth/a ticker/a depth/b")
    lines(placement, *topics)

    number = placement.merge()

    assert placement.numbers() == [number]
    assert lines(placement, *topics, *named("depth/c ticker/c")) == [number] * 5


TOPICS = [
    *named(" ".join(f"{channel}/{pair}" for pair in "abcde" for channel in ("ticker", "trade", "kline", "depth"))),
    *(topic("depth", f"{pair}_usdt", levels=10) for pair in "abcde"),
]


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.sampled_from(TOPICS)), max_size=80),
)
def test_limits_hold_and_nothing_moves_in_any_order_of_placing_and_leaving(
    depth_pairs: int, others: int, steps: list[tuple[bool, Topic]]
):
    """A topic that changed its line would be asked for twice, and a line over its limit would be late."""
    placement = Placement(depth_pairs, others)
    expected: dict[Topic, int] = {}
    ended: set[int] = set()
    for is_placed, each in steps:
        if is_placed:
            number = placement.place(each)
            assert expected.setdefault(each, number) == number
            assert number not in ended, "a line that ended is back"
        else:
            was_on = expected.pop(each, None)
            over = placement.leave(each)
            if over is not None:
                assert over == was_on
                ended.add(over)

        assert {known: placement.line_of(known) for known in placement.topics()} == expected
        assert list(placement.topics()) == list(expected)
        carried = {number: [known for known in expected if expected[known] == number] for number in placement.numbers()}
        assert set(expected.values()) <= set(carried)
        assert all(carried.values()) or len(carried) == 1, "a line carries nothing"
        for on_line in carried.values():
            books = [known for known in on_line if known.channel is Channel.DEPTH]
            assert not books or books == on_line, "a book shares its line"
            assert len({known.pair for known in books}) <= depth_pairs
            assert len(on_line) - len(books) <= others


def test_an_account_shares_no_line_with_the_market():
    """A line that is cut because a ticker is late must not cost an order."""
    placement = Placement()
    placed = [
        ("ticker", "btc_usdt"),
        ("order", "all"),
        ("trade", "btc_usdt"),
        ("balance", "all"),
        ("depth", "btc_usdt"),
    ]

    lines = [placement.place(topic(channel, pair)) for channel, pair in placed]

    assert lines == [1, 2, 1, 2, 3]


def test_a_line_that_is_reserved_carries_nothing():
    """Orders leave over it, and what is pushed would hold them up."""
    placement = Placement()
    reserved = placement.reserve()

    lines = {placement.place(topic("depth", pair)) for pair in ("btc_usdt", "eth_usdt")}

    assert reserved not in lines
    assert reserved not in placement.numbers()
