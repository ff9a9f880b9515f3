"""What is remembered of the ages of a subscription's pushes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.feed.ages import REMEMBERED, Ages


def ages_of(*pushed_s: float | None) -> Ages:
    """Give what is known after pushes of these ages, of which those over 3 s were late."""
    ages = Ages()
    for age_s in pushed_s:
        ages.add(age_s, is_late=age_s is not None and age_s > 3)
    return ages


@pytest.mark.parametrize(
    ("pushed_s", "pushes", "late", "last_s"),
    [
        ([], 0, 0, None),
        ([0.1], 1, 0, 0.1),
        ([0.1, 4.0, 0.2], 3, 1, 0.2),
        ([4.0, None], 2, 1, None),
        ([None, None], 2, 0, None),
    ],
    ids=str,
)
def test_every_push_counts_also_one_of_unknown_age(
    pushed_s: list[float | None], pushes: int, late: int, last_s: float | None
):
    """Nothing is dropped uncounted, and an age that is not known is not the one before."""
    ages = ages_of(*pushed_s)

    assert (ages.pushes, ages.late, ages.last_s) == (pushes, late, last_s)


@pytest.mark.parametrize(
    ("pushed_s", "shares", "told"),
    [
        ([], (0.5, 0.99), [None, None]),
        ([None], (0.5,), [None]),
        ([0.3], (0.0, 0.5, 0.99, 1.0), [0.3] * 4),
        ([0.3, 0.1, 0.2], (0.0, 0.5, 1.0), [0.1, 0.2, 0.3]),
        ([None, 0.3, None, 0.1], (0.0, 1.0), [0.1, 0.3]),
        ([number / 100 for number in range(100)], (0.5, 0.99), [0.5, 0.99]),
        ([-0.2, 0.1], (0.0,), [-0.2]),
    ],
    ids=str,
)
def test_shares_are_told_of_the_ages_that_are_known(
    pushed_s: list[float | None], shares: tuple[float, ...], told: list[float | None]
):
    """`lines` shows median and worst; an unknown age must not count as zero."""
    assert ages_of(*pushed_s).at(*shares) == told


def test_only_the_newest_are_remembered():
    """A day of pushes must not fill the memory, and yesterday's jam is not today's median."""
    ages = ages_of(*[9.0] * REMEMBERED, *[1.0] * REMEMBERED)

    assert ages.at(0.0, 1.0) == [1.0, 1.0]
    assert (ages.pushes, ages.late) == (2 * REMEMBERED, REMEMBERED)


def test_the_oldest_one_goes_first():
    """Also the second time around."""
    ages = ages_of(*[5.0] * REMEMBERED, *[1.0] * (REMEMBERED - 1))

    assert ages.at(1.0) == [5.0]
    ages.add(1.0, is_late=False)
    assert ages.at(1.0) == [1.0]


@given(st.lists(st.floats(-10, 100), min_size=1, max_size=200), st.floats(0, 1))
def test_a_share_is_an_age_that_so_many_did_not_exceed(pushed_s: list[float], share: float):
    """That is what the word percentile promises."""
    (told_s,) = ages_of(*pushed_s).at(share)

    assert told_s in pushed_s
    assert sum(age_s <= told_s for age_s in pushed_s) >= math.floor(share * len(pushed_s))
