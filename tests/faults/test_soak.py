"""The short forms of what `make soak` does for an hour."""

from __future__ import annotations

import pytest

from tests.faults import soak

pytestmark = pytest.mark.slow


def test_reconnects_leave_nothing_behind_and_each_is_one_gap():
    """A thousand in the long form: a process that runs for weeks meets more of them."""
    figures = soak.reconnects(10, seed=1)

    assert figures.gaps == 2 * sum(figures.faults.values())


def test_one_fault_after_the_other_costs_no_subscription_and_doubles_no_trade():
    """Each kind alone is tried elsewhere; here none finds the traces of the one before."""
    figures = soak.storm(12, seed=1)

    assert sum(figures.faults.values()) >= 5
    assert figures.trades
