"""How long a line waits between dials: one client, an hour's outage, a crowd."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from lbank_ws.feed.backoff import Backoff

SEEDS = range(50)


def lowest(low: float, _high: float) -> float:
    """Make every wait as short as it can be."""
    return low


def highest(_low: float, high: float) -> float:
    """Make every wait as long as it can be."""
    return high


def seeded(seed: int, first_s: float = 1.0, cap_s: float = 30.0, give_up_after_s: float | None = None) -> Backoff:
    """Give a backoff that chooses the same waits for the same seed."""
    return Backoff(first_s, cap_s, give_up_after_s, uniform=random.Random(seed).uniform)


def waits(backoff: Backoff, *, until_s: float, refused: bool = False) -> Iterator[tuple[float, float]]:
    """Give the moment of each failure, from 0 on, and the wait behind it, when dials fail at once."""
    now_s = 0.0
    while now_s < until_s:
        wait_s = backoff.lost(now_s, refused=refused)
        if wait_s is None:
            return
        yield now_s, wait_s
        now_s += wait_s


def dials(backoff: Backoff, *, until_s: float, refused: bool = False) -> list[float]:
    """Give the moments of the dials that follow a loss at 0."""
    moments = [at_s + wait_s for at_s, wait_s in waits(backoff, until_s=until_s, refused=refused)]
    return [moment_s for moment_s in moments if moment_s <= until_s]


def test_first_wait_is_spread_over_the_whole_first_second():
    """A crowd that lost its exchange must not come back in one instant; nor may one client wait for nothing."""
    firsts = [next(waits(seeded(seed), until_s=1))[1] for seed in range(1000)]

    assert min(firsts) >= 0.1
    assert max(firsts) <= 1
    for tenth in range(1, 10):
        share = sum(tenth / 10 <= wait_s < (tenth + 1) / 10 for wait_s in firsts) / len(firsts)
        assert 0.07 < share < 0.16


def test_waits_double_up_to_three_seconds_while_the_outage_is_young():
    """Most outages are over in seconds, and the feed should be back with them (N01)."""
    young = [wait_s for at_s, wait_s in waits(Backoff(uniform=highest), until_s=10)]

    assert young == [1, 2, 3, 3, 3]


def test_waits_are_drawn_from_a_range():
    """Each is at least a third of the longest, so that bad luck does not make a storm of dials."""
    asked = []

    def noting(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    list(waits(Backoff(uniform=noting), until_s=30))

    assert asked == [
        (0.1, 1),
        (pytest.approx(2 / 3), 2),
        (1, 3),
        (1, 3),
        (1, 3),
        (8, 24),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_waits_grow_with_the_outage_up_to_the_cap(seed: int):
    """Short at first, never short again later, never longer than a tenth over the cap."""
    for at_s, wait_s in waits(seeded(seed), until_s=600):
        if at_s < 10:
            assert 0.1 <= wait_s <= 3
        elif at_s < 30:
            longest_s = min(2 * at_s, 30)
            assert longest_s / 3 <= wait_s <= longest_s
        else:
            assert 30 <= wait_s <= 33


@pytest.mark.parametrize("seed", SEEDS)
def test_an_hour_without_the_exchange_takes_at_most_125_dials(seed: int):
    """And when it returns, the next dial is at most 33 s away (N05)."""
    hour = list(waits(seeded(seed), until_s=3600))

    assert 100 < len(hour) <= 125
    assert hour[-1][1] <= 33


@pytest.mark.parametrize("dial_s", [0.0, 0.5, 5.0])
def test_slow_dials_make_no_difference_to_the_bounds(dial_s: float):
    """A black hole costs the whole connect timeout each time."""
    backoff = seeded(1)
    now_s, count = 0.0, 0
    while now_s < 3600:
        wait_s = backoff.lost(now_s)
        assert wait_s is not None
        assert wait_s <= (3 if now_s < 10 else 33)
        now_s += wait_s + dial_s
        count += 1

    assert count <= 125


def busiest(crowd: list[list[float]], *, from_s: float, until_s: float, window_s: float = 2.0) -> float:
    """Give the largest share of a crowd that dials within any window that starts in a span of time."""
    moments = sorted((moment_s, who) for who, dialled in enumerate(crowd) for moment_s in dialled)
    most = 0
    for index, (first_s, _) in enumerate(moments):
        if from_s <= first_s < until_s:
            there = set()
            for moment_s, who in moments[index:]:
                if moment_s >= first_s + window_s:
                    break
                there.add(who)
            most = max(most, len(there))
    return most / len(crowd)


@pytest.fixture(scope="module")
def crowd() -> list[list[float]]:
    """Give the dials of a hundred clients over ten minutes without the exchange."""
    return [dials(seeded(seed), until_s=600) for seed in range(100)]


class TestCrowd:
    """A hundred clients lose the line in the same instant (N06)."""

    def test_first_dials_are_spread(self, crowd: list[list[float]]):
        """Over nearly all of the first second, with no tenth of it much fuller than the others."""
        firsts = [dialled[0] for dialled in crowd]

        assert max(firsts) - min(firsts) >= 0.8
        assert busiest([[first_s] for first_s in firsts], from_s=0, until_s=1, window_s=0.1) <= 0.25

    def test_the_crowd_thins_out_once_the_outage_is_twenty_seconds_old(self, crowd: list[list[float]]):
        """No two seconds hold more than a quarter of them from then on.

        Before that they must: whoever is to be back within seconds of a short outage dials every few seconds.
        """
        assert busiest(crowd, from_s=20, until_s=590) <= 0.25

    def test_the_crowd_does_not_fall_into_step_at_the_cap(self, crowd: list[list[float]]):
        """Waits of exactly 30 s would keep for ever whatever bunches there are."""
        assert busiest(crowd, from_s=300, until_s=590) <= 0.2

    def test_the_measure_itself_sees_a_crowd_in_step(self):
        """So that the two tests above mean something."""
        in_step = [[30.0, 60.0], [31.0, 61.0], [31.9, 61.9], [45.0, 75.0]]

        assert busiest(in_step, from_s=20, until_s=80) == 0.75


class TestRefused:
    """A server that answered, and said no."""

    @pytest.mark.parametrize("seed", SEEDS)
    def test_at_most_four_dials_in_six_seconds(self, seed: int):
        """The first one included (N13)."""
        moments = [0.0, *dials(seeded(seed), until_s=6, refused=True)]

        assert len(moments) <= 4

    @pytest.mark.parametrize("seed", SEEDS)
    def test_every_wait_is_at_least_two_seconds(self, seed: int):
        """It will not change its mind sooner; a young outage still never waits for more than three."""
        for at_s, wait_s in waits(seeded(seed), until_s=60, refused=True):
            assert wait_s >= 2
            assert wait_s <= (3 if at_s < 10 else 33)

    def test_refused_clients_do_not_come_back_in_step(self):
        """Two seconds exactly, for all of them, would be a storm."""
        firsts = [next(waits(seeded(seed), until_s=1, refused=True))[1] for seed in range(100)]

        assert max(firsts) - min(firsts) >= 0.8

    @pytest.mark.parametrize("asked_s", [0.0, 5.0, 30.0, 120.0, 86400.0])
    @pytest.mark.parametrize("uniform", [lowest, highest])
    def test_retry_after_is_honoured(self, asked_s: float, uniform: Callable[[float, float], float]):
        """Also when it is longer than the cap; and at most a second later, at random (N14)."""
        wait_s = Backoff(uniform=uniform).lost(0.0, refused=True, not_before_s=asked_s)

        assert wait_s is not None
        assert max(asked_s, 2) <= wait_s <= max(asked_s + 1, 3)


class TestStartingOver:
    """What ends an outage."""

    def test_a_line_that_lived_starts_over(self):
        """Its loss is a new outage, with short waits and a whole budget."""
        backoff = Backoff(give_up_after_s=100, uniform=highest)
        list(waits(backoff, until_s=60))
        backoff.lived()

        wait_s = backoff.lost(5000.0)

        assert wait_s == 1
        assert backoff.age_s(5000.5) == 0.5
        assert backoff.attempts == 0

    def test_a_line_that_did_not_live_goes_on(self):
        """An exchange that takes each dial and drops it at once must not be dialled every second."""
        backoff = Backoff(uniform=highest)

        taken = [backoff.lost(now_s) for now_s in (0.0, 1.1, 3.2, 40.0)]

        assert taken == [1, 2, 3, pytest.approx(8)]

    def test_dials_are_counted_from_the_first(self):
        """The figure stands in `GaveUp`."""
        backoff = Backoff()
        backoff.started(0.0)
        backoff.dialled()
        backoff.dialled()

        assert backoff.attempts == 3


class TestBudget:
    """When to give up."""

    @pytest.mark.parametrize("budget_s", [0.5, 5.0, 60.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_the_last_dial_falls_on_the_end_of_the_budget(self, budget_s: float, seed: int):
        """Neither less is tried than was allowed, nor more."""
        moments = dials(seeded(seed, give_up_after_s=budget_s), until_s=1000)

        assert moments[-1] == pytest.approx(budget_s)

    def test_no_budget_allows_no_second_dial(self):
        """`give_up_after_s=0` is for scripts that check once."""
        backoff = Backoff(give_up_after_s=0)
        backoff.started(3.0)

        assert backoff.lost(3.0) is None

    def test_the_budget_of_a_first_line_counts_from_the_first_dial(self):
        """A dial that took the whole budget is the last."""
        backoff = Backoff(give_up_after_s=5)
        backoff.started(0.0)

        assert backoff.lost(5.0) is None

    def test_a_server_that_asks_for_more_than_the_budget_ends_it(self):
        """Waiting would break the caller's limit, dialling earlier the server's."""
        backoff = Backoff(give_up_after_s=60)

        assert backoff.lost(0.0, refused=True, not_before_s=120.0) is None

    def test_a_server_that_asks_for_less_than_the_budget_is_dialled_in_between(self):
        """Both limits hold."""
        wait_s = Backoff(give_up_after_s=60, uniform=highest).lost(0.0, refused=True, not_before_s=59.5)

        assert wait_s == 60


class TestShortWaits:
    """Tests and simulations ask for waits that no exchange would like, and get them."""

    def test_tiny_waits_are_honoured(self):
        """No floor of a tenth of a second then."""
        tiny = [wait_s for _, wait_s in waits(seeded(1, first_s=0.02, cap_s=0.02), until_s=2)]

        assert len(tiny) > 80
        assert max(tiny) <= 0.022

    def test_a_tiny_first_wait_is_honoured_under_the_usual_cap(self):
        """It is the longest first wait, whatever chance says."""
        firsts = [next(waits(seeded(seed, first_s=0.02), until_s=1))[1] for seed in SEEDS]

        assert max(firsts) <= 0.02

    def test_a_tiny_first_wait_still_grows(self):
        """To the cap that was given."""
        grown = [wait_s for _, wait_s in waits(Backoff(0.02, 0.1, uniform=highest), until_s=1)]

        assert grown[:4] == [0.02, 0.04, 0.08, pytest.approx(0.11)]

    def test_a_cap_below_the_first_wait_wins(self):
        """Whoever sets a cap of 50 ms waits no longer."""
        capped = [wait_s for _, wait_s in waits(seeded(1, first_s=1.0, cap_s=0.05), until_s=1)]

        assert max(capped) <= 0.055

    def test_a_refusal_waits_for_the_cap_when_that_is_shorter(self):
        """Two seconds are for real exchanges."""
        wait_s = Backoff(0.02, 0.05, uniform=highest).lost(0.0, refused=True)

        assert wait_s == pytest.approx(0.055)
