"""The short form of half an hour of trading and collecting under faults."""

from __future__ import annotations

from collections import Counter

import pytest

from lbank_ws import Fate
from tests.faults import business
from tests.faults.business import Business

WELL = {"faults": Counter({"cut": 1}), "orders": 3, "segments": 2}


@pytest.mark.slow
def test_faults_double_no_order_change_no_closed_segment_and_let_no_secret_out(tmp_path):
    """Each of the three is tried alone elsewhere; a bot does all of it at once."""
    seen = business.business(15, 1, tmp_path)

    seen.check()
    assert sum(seen.faults.values()) >= 8


@pytest.mark.parametrize(
    "broken",
    [{"orders": 0}, {"segments": 0}, {"doubled": 1}, {"wrong": ["a: placed"]}, {"changed": ["raw"]}, {"leaked": ["x"]}],
)
def test_the_check_sees_each_broken_promise(broken):
    """A check that sees nothing proves nothing."""
    Business(**WELL).check()
    with pytest.raises(AssertionError):
        Business(**{**WELL, **broken}).check()


@pytest.mark.parametrize(
    ("believed", "placed", "wrong"),
    [
        ({"a": Fate.PLACED, "b": Fate.REFUSED}, ["a"], []),
        ({"a": Fate.PLACED}, [], ["a: placed, and the exchange has 0"]),
        ({"a": Fate.UNKNOWN}, ["a"], ["a: unknown, and the exchange has 1"]),
        ({"a": Fate.NOT_PLACED}, ["a"], ["a: not placed, and the exchange has 1"]),
        ({"a": Fate.PLACED}, ["a", "b"], ["b: nobody placed it"]),
    ],
)
def test_what_is_believed_is_held_against_the_exchange(believed, placed, wrong):
    """In both directions."""
    assert business.wrong(believed, Counter(placed)) == wrong
