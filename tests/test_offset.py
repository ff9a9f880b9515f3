"""How far the clocks are apart: from REST, from the pushes, and while nobody can know."""

from __future__ import annotations

import pytest

from lbank_ws.feed.clock import Moment
from lbank_ws.feed.offset import BELIEVED_S, DOUBT_S, JUMP_S, SLACK_S, STRAY_S, Offset

# The monotonic clock begins at 0, the exchange's at THEIRS; this machine's wall clock is 7 s ahead of that.
THEIRS = 1_700_000_000.0
AHEAD_S = 7.0


def at(s: float, *, ahead_s: float = AHEAD_S) -> Moment:
    """Give the moment at which the exchange's clock says THEIRS + s."""
    return Moment(s, round((THEIRS + s + ahead_s) * 1e9))


def measure(offset: Offset, s: float, *, trip_s: float = 0.2, wrong_s: float = 0.0, ahead_s: float = AHEAD_S) -> None:
    """Let REST answer at this second, after a round trip of which both halves took as long."""
    told_ms = round((THEIRS + s - trip_s / 2 + wrong_s) * 1000)
    offset.measured(told_ms, at(s - trip_s, ahead_s=ahead_s), at(s, ahead_s=ahead_s))


def see(offset: Offset, s: float, *, age_s: float = 0.1, ahead_s: float = AHEAD_S) -> None:
    """Let a push of this age come at this second."""
    offset.seen(THEIRS + s - age_s, at(s, ahead_s=ahead_s))


class TestMeasured:
    """Where REST answers."""

    def test_an_answer_is_half_a_round_trip_old(self):
        """Otherwise every age would be wrong by the way back."""
        offset = Offset()

        measure(offset, 10, trip_s=2)

        assert offset.ahead_s(at(11)) == pytest.approx(AHEAD_S, abs=0.01)
        assert offset.source == "rest"

    @pytest.mark.parametrize("ahead_s", [-3600.0, -0.3, 0.0, 0.3, 3600.0])
    def test_a_wrong_wall_clock_is_found_out(self, ahead_s: float):
        """Half of all home computers are off by more than a push is old."""
        offset = Offset()

        measure(offset, 10, ahead_s=ahead_s)

        assert offset.ahead_s(at(11, ahead_s=ahead_s)) == pytest.approx(ahead_s, abs=0.01)

    @pytest.mark.parametrize(
        ("first_s", "second_s", "later_s", "counts"),
        [
            (1.0, 0.1, 1, "second"),
            (1.0, 1.0, 1, "second"),
            (0.1, 1.0, 1, "first"),
            (0.1, 1.0, BELIEVED_S - 1, "first"),
            (0.1, 1.0, BELIEVED_S + 1, "second"),
        ],
        ids=["a quicker one", "one as quick", "a slower one", "a slower one, in time", "a slower one, much later"],
    )
    def test_the_quickest_round_trip_of_some_minutes_counts(
        self, first_s: float, second_s: float, later_s: float, counts: str
    ):
        """A slow answer may have been slow on one way only; an old one knows nothing of a clock that drifts."""
        offset = Offset()

        measure(offset, 10, trip_s=first_s)
        measure(offset, 10 + later_s, trip_s=second_s, wrong_s=0.25)

        wrong_s = 0.25 if counts == "second" else 0.0
        assert offset.ahead_s(at(11 + later_s)) == pytest.approx(AHEAD_S - wrong_s, abs=0.01)

    def test_pushes_do_not_overrule_a_measurement(self):
        """The freshest push may still be a second old; REST knows better."""
        offset = Offset()
        measure(offset, 10)

        see(offset, 11, age_s=1)

        assert offset.ahead_s(at(12)) == pytest.approx(AHEAD_S, abs=0.01)
        assert offset.source == "rest"

    @pytest.mark.parametrize(
        ("age_s", "moved_s"), [(-SLACK_S, 0.0), (-SLACK_S - 0.2, SLACK_S + 0.2), (-3600.0, 3600.0)]
    )
    def test_a_push_from_the_future_corrects_a_measurement(self, age_s: float, moved_s: float):
        """The monotonic clock stood still in a sleeping computer; ages below zero would hide everything late."""
        offset = Offset()
        measure(offset, 10)

        see(offset, 11, age_s=age_s)

        assert offset.ahead_s(at(11)) == pytest.approx(AHEAD_S - moved_s, abs=0.01)

    def test_a_new_measurement_takes_the_place_of_such_a_correction(self):
        """One push with a wrong time must not make the rest of the day late."""
        offset = Offset()
        measure(offset, 10)
        see(offset, 11, age_s=-3600)

        measure(offset, 20)

        assert offset.ahead_s(at(21)) == pytest.approx(AHEAD_S, abs=0.01)

    @pytest.mark.parametrize("wrong_s", [-30.0, 30.0])
    def test_a_slower_answer_that_cannot_be_true_as_well_counts(self, wrong_s: float):
        """The exchange's clock was set; a quick answer of before knows nothing of it."""
        offset = Offset()
        measure(offset, 10, trip_s=0.1)

        measure(offset, 20, trip_s=1.0, wrong_s=wrong_s)

        assert offset.ahead_s(at(21)) == pytest.approx(AHEAD_S - wrong_s, abs=0.01)

    @pytest.mark.parametrize(
        ("ages_s", "since_s"),
        [
            ([0.1, STRAY_S - 0.1], None),
            ([0.1, STRAY_S + 0.1, 30.0], 12),
            ([30.0, 30.0, 0.1], None),
            ([30.0, 0.1, 30.0], 13),
        ],
        ids=["all fresh", "late since the second", "fresh again", "late again"],
    )
    def test_pushes_that_are_all_late_speak_against_the_measurement(self, ages_s: list[float], since_s: float | None):
        """Either they are, or a clock was set; another measurement tells."""
        offset = Offset()
        measure(offset, 10)

        for second, age_s in enumerate(ages_s, start=11):
            see(offset, second, age_s=age_s)

        assert offset.strayed_s == since_s


class TestSeen:
    """Where REST is out of reach."""

    def test_nothing_is_known_before_the_first_push(self):
        """An age that nobody can know is None and not a guess."""
        offset = Offset()

        assert offset.ahead_s(at(1)) is None
        assert offset.source is None

    @pytest.mark.parametrize("ages_s", [[0.4], [0.4, 30, 2], [30, 0.4, 2], [2, 30, 0.4]], ids=str)
    def test_the_freshest_push_counts_as_new(self, ages_s: list[float]):
        """None can come before it was sent, so the smallest age seen is nearest to the truth, whichever its turn."""
        offset = Offset()

        for second, age_s in enumerate(ages_s):
            see(offset, second, age_s=age_s)

        assert offset.ahead_s(at(len(ages_s))) == pytest.approx(AHEAD_S + 0.4, abs=0.01)
        assert offset.source == "pushes"

    def test_the_freshest_push_is_forgotten_within_minutes(self):
        """Clocks drift: what was the freshest an hour ago says nothing today."""
        offset = Offset()
        see(offset, 0, age_s=-1)

        for second in range(10, 1500, 10):
            see(offset, second, age_s=0.4)

        assert offset.ahead_s(at(1500)) == pytest.approx(AHEAD_S + 0.4, abs=0.01)

    def test_the_freshest_push_is_not_forgotten_at_once(self):
        """A backlog of some minutes must not count as new because everything in it is old."""
        offset = Offset()
        see(offset, 0, age_s=0.1)

        for second in range(500, 1000, 10):
            see(offset, second, age_s=60)

        assert offset.ahead_s(at(1000)) == pytest.approx(AHEAD_S + 0.1, abs=0.01)


class TestJumps:
    """A wall clock that runs ahead of the monotonic one: somebody set it, or the computer slept."""

    @pytest.mark.parametrize(
        ("by_s", "is_jump"),
        [(JUMP_S + 0.1, True), (3600.0, True), (JUMP_S - 0.1, False), (0.0, False), (-3600.0, False)],
    )
    def test_only_a_clock_that_gains_seconds_jumps(self, by_s: float, is_jump: bool):
        """Time servers correct by less; a clock that is set back means no sleep."""
        offset = Offset()
        measure(offset, 10)
        offset.ahead_s(at(10))

        ahead_s = offset.ahead_s(at(11, ahead_s=AHEAD_S + by_s))

        assert offset.jumps == int(is_jump)
        assert ahead_s == (None if is_jump else pytest.approx(AHEAD_S + by_s, abs=0.01))

    def test_a_clock_that_drifts_slowly_does_not_jump(self):
        """A minute a day is a bad clock and no sleep."""
        offset = Offset()
        measure(offset, 0)

        for second in range(1, 1000):
            offset.ahead_s(at(second, ahead_s=AHEAD_S + second * 0.05))

        assert offset.jumps == 0

    def test_ages_stay_unknown_for_some_seconds_after_a_jump(self):
        """Is everything late now, or was the clock set? Neither is said before it is known."""
        offset = Offset()
        see(offset, 10)
        offset.ahead_s(at(10))
        offset.ahead_s(at(11, ahead_s=3607))

        told = [offset.ahead_s(at(11 + after_s, ahead_s=3607)) for after_s in (0, 1, DOUBT_S - 0.1, DOUBT_S)]

        assert told == [None, None, None, pytest.approx(3607.1, abs=0.01)]

    def test_a_measurement_does_not_outlive_a_jump(self):
        """The monotonic clock may have stood still in between."""
        offset = Offset()
        measure(offset, 10)
        offset.ahead_s(at(10))

        offset.ahead_s(at(11, ahead_s=3607))

        assert offset.source is None

    def test_a_measurement_ends_the_doubt(self):
        """The caretaker asks REST at once; ages are back with its answer."""
        offset = Offset()
        offset.ahead_s(at(10))
        offset.ahead_s(at(11, ahead_s=3607))

        measure(offset, 12, ahead_s=3607)

        assert offset.ahead_s(at(12, ahead_s=3607)) == pytest.approx(3607, abs=0.01)

    def test_a_push_from_after_a_sleep_ends_the_doubt(self):
        """The monotonic clock stood still for an hour: a push from `the future` shows by how much."""
        offset = Offset()
        see(offset, 10)
        offset.ahead_s(at(10))
        offset.ahead_s(at(11, ahead_s=3607))

        offset.seen(THEIRS + 11 + 3600 - 0.1, at(11, ahead_s=3607))

        assert offset.ahead_s(at(11, ahead_s=3607)) == pytest.approx(7.1, abs=0.01)

    def test_a_push_that_explains_nothing_leaves_the_doubt(self):
        """What still lay in the buffer when the lid closed says nothing about the sleep."""
        offset = Offset()
        see(offset, 10)
        offset.ahead_s(at(10))
        offset.ahead_s(at(11, ahead_s=3607))

        see(offset, 11, ahead_s=3607)

        assert offset.ahead_s(at(11, ahead_s=3607)) is None

    @pytest.mark.parametrize("by", ["push", "measurement"])
    def test_whoever_comes_first_after_a_jump_explains_it_all_the_same(self, by: str):
        """The frame that wakes the computer is often the first thing that looks at the clocks."""
        offset = Offset()
        see(offset, 10)
        offset.ahead_s(at(10))

        if by == "push":
            offset.seen(THEIRS + 11 + 3600 - 0.1, at(11, ahead_s=3607))
        else:
            offset.measured(round((THEIRS + 11 + 3600) * 1000), at(11, ahead_s=3607), at(11, ahead_s=3607))

        assert offset.jumps == 1
        assert offset.ahead_s(at(11, ahead_s=3607)) == pytest.approx(7, abs=0.2)
