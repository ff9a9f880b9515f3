"""Which options a client takes: one that cannot work is refused when it is made, and not hours later."""

from __future__ import annotations

import math

import pytest

from lbank_ws.errors import UsageError
from lbank_ws.options import LEAST_MESSAGE_BYTES, check_lengths, checked_message, checked_nodes, checked_queue


@pytest.mark.parametrize(
    ("name", "length_s"),
    [
        ("connect_timeout_s", 0.001),
        ("connect_timeout_s", 5),
        ("connect_timeout_s", math.inf),
        ("silent_after_s", 1),
        ("silent_after_s", 30.0),
        ("stale_after_s", 0.1),
        ("stale_after_s", math.inf),
        ("late_after_s", 0),
        ("late_after_s", 3.0),
        ("late_after_s", math.inf),
        ("give_up_after_s", 0),
        ("give_up_after_s", None),
        ("give_up_after_s", 60.5),
    ],
)
def test_lengths_of_time_are_taken(name: str, length_s: float | None):
    """Whole numbers and infinity are lengths too."""
    check_lengths(**{name: length_s})


@pytest.mark.parametrize(
    ("name", "length_s", "said"),
    [
        ("connect_timeout_s", 0, "connect_timeout_s is a length of time in seconds above 0, not 0"),
        ("connect_timeout_s", -1.5, "above 0, not -1.5"),
        ("connect_timeout_s", math.nan, "above 0, not nan"),
        ("connect_timeout_s", "5", "not '5'"),
        ("connect_timeout_s", True, "not True"),
        ("connect_timeout_s", None, "not None"),
        ("silent_after_s", 0.9, "at least 1, not 0.9"),
        ("silent_after_s", math.nan, "at least 1, not nan"),
        ("silent_after_s", None, "at least 1, not None"),
        ("stale_after_s", 0.05, "at least 0.1, not 0.05"),
        ("late_after_s", -0.1, "late_after_s is a length of time in seconds, not -0.1"),
        ("late_after_s", math.nan, "not nan"),
        ("late_after_s", None, "not None"),
        ("give_up_after_s", -1, "give_up_after_s is a length of time in seconds, or None for ever, not -1"),
        ("give_up_after_s", False, "not False"),
    ],
)
def test_anything_else_is_refused_by_name(name: str, length_s: object, said: str):
    """The sentence names the option and what it takes."""
    with pytest.raises(UsageError) as refused:
        check_lengths(**{name: length_s})  # type: ignore[arg-type]  # that is the point

    assert name in str(refused.value)
    assert said in str(refused.value)


def test_all_of_several_are_checked():
    """The second mistake is as bad as the first."""
    with pytest.raises(UsageError, match="late_after_s"):
        check_lengths(connect_timeout_s=5, late_after_s=-1)


@pytest.mark.parametrize("events", [1, 10_000])
def test_a_queue_holds_whole_events(events: int):
    """One is enough."""
    assert checked_queue(events) == events


@pytest.mark.parametrize("events", [0, -1, 1.0, True, "10", None, math.inf])
def test_a_queue_for_less_than_one_event_is_refused(events: object):
    """Nothing would ever reach a callback."""
    with pytest.raises(UsageError, match="queue_events"):
        checked_queue(events)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("nodes", ["t", "tm", "abc", None])
def test_nodes_are_letters(nodes: str | None):
    """None is all of them."""
    assert checked_nodes(nodes) == nodes


@pytest.mark.parametrize("nodes", ["", "T", "t-3", "t,m", "t\n", " ", 3, ["t"], True])
def test_anything_else_names_no_node(nodes: object):
    """`t-3` would match no node, and every book would be refused for hours."""
    with pytest.raises(UsageError, match="nodes"):
        checked_nodes(nodes)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("size", [LEAST_MESSAGE_BYTES, 4 * 1024 * 1024, 2**40])
def test_a_message_has_whole_bytes(size: int):
    """From what a book takes up to whatever somebody's memory holds."""
    assert checked_message(size) == size


@pytest.mark.parametrize("size", [0, -1, LEAST_MESSAGE_BYTES - 1, 1e6, True, "1MB", None])
def test_a_message_too_small_for_a_book_is_refused(size: object):
    """Each book would cut the line, for ever, and the option would not be suspected."""
    with pytest.raises(UsageError, match="max_message_bytes is a whole number, at least 65536"):
        checked_message(size)  # type: ignore[arg-type]  # that is the point
