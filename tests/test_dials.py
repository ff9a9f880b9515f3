"""What the socket threads of one client share when they dial."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.dials import APART_S, Dials
from lbank_ws.feed.hosts import HEALTHY_S, Hosts

A, B = "wss://a/ws/V2/", "wss://b/ws/V2/"
DEAD = ConnectionLost(Cause.UNREACHABLE, "no answer within 5 s")
BROKEN = ConnectionLost(Cause.BROKEN, "reading failed")


def dials_of(**options: float) -> Dials:
    """Give the dials of a client that knows two hosts."""
    return Dials(Hosts([A, B]), **options)


@pytest.mark.parametrize(
    ("asked_s", "turns_s"),
    [
        ([5.0], [5.0]),
        ([5.0, 5.0, 5.0], [5.0, 5.1, 5.2]),
        ([5.0, 5.05, 5.3], [5.0, 5.1, 5.3]),
        ([5.0, 6.0], [5.0, 6.0]),
        ([5.0, 4.0], [5.0, 5.1]),
    ],
    ids=str,
)
def test_dials_are_a_tenth_of_a_second_apart(asked_s: list[float], turns_s: list[float]):
    """The exchange refused hundreds of dials at once; a turn that nobody contests costs nothing."""
    dials = dials_of()

    assert [dials.turn_s(now_s) for now_s in asked_s] == pytest.approx(turns_s)


def test_two_hundred_lines_begin_to_dial_within_twenty_seconds():
    """The distance is a tenth of a second, not one a line."""
    dials = dials_of()

    turns_s = [dials.turn_s(0.0) for _ in range(200)]

    assert turns_s[-1] == pytest.approx(199 * APART_S)


def test_the_distance_can_be_taken_away():
    """A sandbox has no limits."""
    dials = dials_of(apart_s=0.0)

    assert [dials.turn_s(1.0), dials.turn_s(1.0)] == [1.0, 1.0]


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_no_two_turns_are_closer_and_none_lies_in_the_past(asked_s: list[float]):
    """Whenever the lines ask, and their clocks may be read in any order."""
    dials = dials_of()

    turns_s = [dials.turn_s(now_s) for now_s in asked_s]

    assert all(turn_s >= now_s for turn_s, now_s in zip(turns_s, asked_s, strict=True))
    assert all(later_s - turn_s >= APART_S - 1e-9 for turn_s, later_s in pairwise(turns_s))


def test_what_one_line_learns_of_a_host_all_know():
    """Ten lines must not find out one by one that a host is dead."""
    dials = dials_of()

    first = dials.choose(0.0)
    dials.failed(A, DEAD, 0.0)
    dials.failed(A, DEAD, 0.1)

    assert (first, dials.choose(0.2)) == (A, B)
    assert [standing.url for standing in dials.standing(0.2)] == [A, B]
    assert dials.standing(0.2)[0].rests_for_s > 0


def test_an_open_line_that_ends_and_one_that_works_are_told_too():
    """A line that died young speaks against its host, one that lives for it."""
    dials = dials_of()
    dials.ended(A, BROKEN, 1.0, lived_s=0.5, has_heard=False)
    against = dials.standing(1.0)[0].strikes

    dials.worked(A, 1.0 + dials.healthy_s)

    assert against > 0
    assert dials.standing(1.0 + dials.healthy_s)[0].strikes < against
    assert dials.healthy_s == HEALTHY_S
