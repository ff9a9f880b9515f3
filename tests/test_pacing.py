"""How soon the next REST call may leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.sandbox.rate_limits import LIMITS, RateLimits
from lbank_ws.trading.pacing import CALLS, MARGIN_S, WINDOW_S, Pacing


def test_calls_are_free_until_the_window_is_full():
    """A start asks a lot at once."""
    pacing = Pacing()
    for _ in range(CALLS):
        assert pacing.wait_s(100.0) == 0
        pacing.called(100.0)

    assert pacing.wait_s(100.0) == WINDOW_S + MARGIN_S
    assert pacing.wait_s(104.0) == WINDOW_S + MARGIN_S - 4
    assert pacing.wait_s(100.0 + WINDOW_S + MARGIN_S) == 0


def test_a_refusal_is_obeyed_for_a_window():
    """Somebody else calls from the same address, and asking on would keep both out."""
    pacing = Pacing()
    pacing.called(100.0)
    pacing.refused(100.0)

    assert pacing.wait_s(101.0) == WINDOW_S + MARGIN_S - 1
    assert pacing.wait_s(100.0 + WINDOW_S + MARGIN_S) == 0


def test_an_early_refusal_does_not_shorten_a_later_one():
    """Answers may come out of order."""
    pacing = Pacing()
    pacing.refused(105.0)
    pacing.refused(100.0)

    assert pacing.wait_s(105.0) == WINDOW_S + MARGIN_S


@given(pauses=st.lists(st.floats(0, 0.2), max_size=700), delays=st.lists(st.floats(0, MARGIN_S / 2), min_size=1))
def test_who_waits_as_told_is_never_refused(pauses: list[float], delays: list[float]):
    """By the limit that LBank documents, on a network that takes now longer and now shorter."""
    pacing, limits = Pacing(), RateLimits()
    now_s, arrived_s = 1000.0, 0.0
    for number, pause_s in enumerate(pauses):
        now_s += pause_s
        now_s += pacing.wait_s(now_s)
        pacing.called(now_s)
        arrived_s = max(arrived_s, now_s + delays[number % len(delays)])

        assert limits.allows("me", "others", round(arrived_s * 1000))

    assert LIMITS["others"] == CALLS
