"""The short forms of what `make soak` does for an hour."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws import Trade
from lbank_ws.sandbox import Sandbox
from tests.faults import soak


def test_the_check_of_trades_is_not_led_astray_by_what_comes_while_it_counts():
    """Storms of minutes failed by it, and no trade was wrong."""
    with Sandbox(pairs=[soak.PAIR], speed=0) as box:
        box.step(30)
        came = [told(each) for each in box.truth.trades()]
        doubled = [*came, came[-1]]

        def truth() -> list[Any]:
            before = box.truth.trades()
            box.step(30)
            came.extend(told(each) for each in box.truth.trades()[len(before) :])
            return before

        assert soak.check_trades(came, truth) < len(came)
        with pytest.raises(AssertionError, match="twice"):
            soak.check_trades(doubled, box.truth.trades)


def told(made: Any) -> Trade:
    """Give a trade as the client tells it."""
    return Trade(
        soak.PAIR,
        made.listing.price_of(made.price),
        made.listing.amount_of(made.volume),
        Decimal(0),
        "buy",
        traded_at=datetime.fromtimestamp(made.traded_at_ms / 1000, timezone.utc),
    )


@pytest.mark.slow
def test_reconnects_leave_nothing_behind_and_each_is_one_gap():
    """A thousand in the long form: a process that runs for weeks meets more of them."""
    figures = soak.reconnects(10, seed=1)

    assert figures.gaps == 2 * sum(figures.faults.values())


@pytest.mark.slow
def test_one_fault_after_the_other_costs_no_subscription_and_doubles_no_trade():
    """Each kind alone is tried elsewhere; here none finds the traces of the one before."""
    figures = soak.storm(12, seed=1)

    assert sum(figures.faults.values()) >= 5
    assert figures.trades
