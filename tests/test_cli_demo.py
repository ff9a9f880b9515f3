"""The tour shows what it says, in its order, and ends when it is told to."""

from __future__ import annotations

import re

import pytest

from tests.blocks import Shape, Shell

TOUR = """
1 of 5: prices
  btc_usdt  74000.1
2 of 5: a drop
  -- the line is lost
  btc_usdt  no price: line down
3 of 5: the recovery
  -- the line is back after 1.0 s, attempt 2
  btc_usdt  74000.1
4 of 5: the gap, filled
  -- a hole of 2.0 s in trade/btc_usdt: line lost
  -- 5 trades were fetched; nothing is missing
5 of 5: an order, on paper
  -- filled: 0.0013 bought for 100 usdt, at 74000.10
  -- the paper account has 9900.0 usdt, 0.0013 btc
What next?
"""

pytestmark = pytest.mark.slow


def test_the_tour_shows_a_drop_its_recovery_and_an_order(tmp_path):
    """It is the first thing that many see."""
    with Shell(tmp_path).running("lbank-ws demo --for 8s") as run:
        assert run.code(60) == 0, run.text

    assert Shape(TOUR).came(run.text), run.text
    fetched = re.search(r"(\d+) trades were fetched", run.text)
    assert fetched is not None
    assert int(fetched[1]) > 0
    paid = re.search(r"has (\S+) usdt", run.text)
    assert paid is not None
    assert 9899.9 < float(paid[1]) < 9900.1


def test_the_tour_can_be_left(tmp_path):
    """By Ctrl-C, at once."""
    with Shell(tmp_path).running("lbank-ws demo") as run:
        run.until(lambda text: "  btc_usdt" in text, "a price")
        run.interrupt()

        assert run.code(10) == 130
    assert "Traceback" not in run.text
