"""Which bar follows which, which one is wrong, and which version of one counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Flaw
from lbank_ws.channels import INTERVALS
from lbank_ws.events import Kline
from lbank_ws.feed.bars import Series, checked, holes, is_newer, merged, next_opening
from lbank_ws.sandbox.bars import bar_start

BEGIN = datetime(2026, 9, 6, 5, 29, tzinfo=timezone.utc)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def minute(number: float) -> datetime:
    return BEGIN + timedelta(minutes=number)


def bar(number: int, volume: str = "1", *, sent: float | None = None, **more: Any) -> Kline:
    """Give a bar of a minute; `sent` is the minute at which the exchange sent it."""
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), Decimal(5))
    return Kline(
        pair="btc_usdt",
        interval="1min",
        opened_at=minute(number),
        **{**prices, **more},
        volume=Decimal(volume),
        exchange_at=None if sent is None else minute(sent),
    )


def told(bars: list[Kline]) -> list[tuple[int, str, bool]]:
    """Give number, volume and whether it is closed."""
    return [(round((one.opened_at - BEGIN) / timedelta(minutes=1)), str(one.volume), one.closed) for one in bars]


@pytest.mark.parametrize("interval", INTERVALS)
@given(day=st.integers(0, 40_000), s=st.integers(0, 86_399))
def test_the_next_bar_starts_where_this_one_ends(interval: str, day: int, s: int):
    """Compared with how the practice exchange cuts its bars; months and years have several lengths."""
    opened_ms = bar_start(interval, (day * 86_400 + s) * 1000)
    opened_at = EPOCH + timedelta(milliseconds=opened_ms)

    next_at = next_opening(interval, opened_at)

    next_ms = (next_at - EPOCH) // timedelta(milliseconds=1)
    assert next_ms > opened_ms
    assert bar_start(interval, next_ms) == next_ms
    assert bar_start(interval, next_ms - 1) == opened_ms


@pytest.mark.parametrize(
    ("prices", "fault"),
    [
        ({"open": 5, "high": 9, "low": 1, "close": 7}, None),
        ({"open": 5, "high": 5, "low": 5, "close": 5}, None),
        ({"open": 5, "high": 7, "low": 5, "close": 7}, None),
        ({"open": 9, "high": 8, "low": 1, "close": 7}, Flaw.IMPOSSIBLE),
        ({"open": 5, "high": 6, "low": 1, "close": 7}, Flaw.IMPOSSIBLE),
        ({"open": 5, "high": 9, "low": 6, "close": 7}, Flaw.IMPOSSIBLE),
        ({"open": 8, "high": 9, "low": 6, "close": 5}, Flaw.IMPOSSIBLE),
        ({"open": 5, "high": 1, "low": 9, "close": 5}, Flaw.IMPOSSIBLE),
    ],
)
def test_the_highest_price_is_the_highest(prices: dict[str, int], fault: Flaw | None):
    """A broken bar must not become the day's low of somebody's stop."""
    assert checked(bar(0, **{name: Decimal(price) for name, price in prices.items()})).fault is fault


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        (bar(0, "1", sent=2), bar(0, "9", sent=1), True),
        (bar(0, "9", sent=1), bar(0, "1", sent=2), False),
        (bar(0, "1", sent=1), bar(0, "1", sent=1), True),
        (bar(0, "2", sent=1), bar(0, "1"), True),
        (bar(0, "1"), bar(0, "2", sent=1), False),
        (bar(0, "2"), bar(0, "2"), True),
    ],
)
def test_the_version_that_was_sent_later_is_newer(one: Kline, other: Kline, newer: bool):
    """Where nobody says when, a bar only grows."""
    assert is_newer(one, other) is newer


class TestMerged:
    """Fetched bars and pushed ones."""

    def test_the_newest_version_of_each_comes_once_in_order(self):
        """A fetched bar is whole, a pushed one of before the drop is not."""
        live = [bar(0, "1", sent=0.5), bar(3, "1", sent=3.1), bar(3, "2", sent=3.2)]
        fetched = [bar(2, "8", sent=3.15), bar(3, "1", sent=3.15), bar(0, "7", sent=3.15)]

        assert told(merged([*live, *fetched])) == [(0, "7", True), (2, "8", True), (3, "2", False)]

    def test_a_faulty_bar_replaces_nothing(self):
        """The exchange would have to be believed that 9 is less than 1."""
        faulty = bar(0, "9", sent=9, low=Decimal(6))

        assert told(merged([bar(0, "1", sent=1), faulty])) == [(0, "1", False)]

    @given(
        numbers=st.lists(st.integers(0, 20), max_size=40),
        split=st.integers(0, 40),
        order=st.randoms(use_true_random=False),
    )
    def test_any_split_gives_the_same_bars(self, numbers: list[int], split: int, order: Any):
        """Neither the order nor who told of a bar matters; none is invented and none is lost."""
        versions = [bar(number, str(place), sent=number + place / 100) for place, number in enumerate(sorted(numbers))]
        live, fetched = versions[:split], versions[split // 2 :]
        order.shuffle(fetched)

        found = merged([*fetched, *live])

        assert [one.opened_at for one in found] == sorted({one.opened_at for one in versions})
        newest = {one.opened_at: str(one.volume) for one in versions}
        assert {one.opened_at: str(one.volume) for one in found} == newest
        assert [one.closed for one in found] == [True] * (len(found) - 1) + [False] * bool(found)


@given(numbers=st.sets(st.integers(0, 30)))
def test_every_missing_bar_lies_in_one_hole(numbers: set[int]):
    """What lies between the first and the last is there, or in a hole."""
    found = holes(bar(number) for number in sorted(numbers))

    in_holes = {number for number in range(31) for start_at, end_at in found if start_at <= minute(number) < end_at}
    inner = set(range(min(numbers), max(numbers) + 1)) if numbers else set()
    assert in_holes == inner - numbers


class TestSeries:
    """Bars as they are pushed."""

    def test_a_bar_is_closed_when_the_next_one_starts(self):
        """Nothing on the wire says that a bar has ended."""
        series = Series()

        given_out = [told(series.put(one)) for one in (bar(0, "1"), bar(0, "2"), bar(1, "1"), bar(2, "3"))]

        assert given_out == [
            [(0, "1", False)],
            [(0, "2", False)],
            [(0, "2", True), (1, "1", False)],
            [(1, "1", True), (2, "3", False)],
        ]

    def test_a_hole_shows_at_the_bar_behind_it(self):
        """It is a gap, though the line was never lost."""
        series = Series()
        assert not series.skips(bar(5))
        series.put(bar(5))

        assert [series.skips(bar(number)) for number in (4, 5, 6, 7)] == [False, False, False, True]

    def test_a_bar_that_was_cut_off_is_not_called_closed(self):
        """Its last minutes were not seen, and nothing is invented."""
        series = Series()
        series.put(bar(0))

        assert told(series.put(bar(2), is_joined=False)) == [(2, "1", False)]

    def test_an_older_version_is_not_handed_out_behind_a_newer_one(self):
        """Volume would fall."""
        series = Series()
        series.put(bar(0, "5", sent=0.5))

        assert series.put(bar(0, "4", sent=0.4)) == []
        assert series.last == bar(0, "5", sent=0.5)

    def test_a_late_version_of_an_earlier_bar_is_closed_and_ends_nothing(self):
        """The exchange corrected it."""
        series = Series()
        series.put(bar(0))
        series.put(bar(1))

        assert told(series.put(bar(0, "9"))) == [(0, "9", True)]
        assert series.last == bar(1)

    def test_a_faulty_bar_is_handed_out_as_such_and_counts_for_nothing(self):
        """Hiding it would hide that the exchange is confused."""
        series = Series()
        series.put(bar(0))
        faulty = bar(1, low=Decimal(6))

        assert series.put(faulty) == [replace(faulty, fault=Flaw.IMPOSSIBLE)]
        assert series.last == bar(0)

    def test_a_closed_bar_is_not_told_twice(self):
        """A fetched bar is closed already."""
        series = Series()
        series.put(replace(bar(0), closed=True))

        assert told(series.put(bar(1))) == [(1, "1", False)]
