"""Simulated time: thousands of faults of some forty kinds, by seed, in seconds."""

from __future__ import annotations

import pytest

from tests.faults.simulation import KINDS
from tests.faults.story import Story

pytestmark = pytest.mark.slow

HOUR_S = 3600.0


def test_thousand_faults_are_each_told_and_lose_no_price_that_came():
    """Two hours; `make soak` plays a day."""
    story = Story(1, for_s=2 * HOUR_S, mean_s=8.0)

    story.check()
    assert set(story.world.faults) == set(KINDS)
    assert sum(story.world.faults.values()) > 1000
    assert len(story.prices) > 3000


def test_the_same_seed_tells_the_same_story():
    """A story that cannot be told again cannot be looked into."""
    one, other = (Story(7, for_s=0.3 * HOUR_S, mean_s=8.0) for _ in range(2))

    assert one.words() == other.words()
    assert one.prices == other.prices
