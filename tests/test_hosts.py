"""Which host is dialled next: every rule, and what holds after any history."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost, UsageError
from lbank_ws.feed.hosts import HEALTHY_S, LONGEST_REST_S, Hosts, Standing

A, B, C = "wss://a/ws/V2/", "wss://b/ws/V2/", "wss://c/ws/V2/"
BROKEN = ConnectionLost(Cause.BROKEN, "reading failed")
DEAD = ConnectionLost(Cause.UNREACHABLE, "no answer within 5 s")
STOPPED = ConnectionLost(Cause.CLOSED, "stopped")


def strikes(hosts: Hosts, url: str = A, now_s: float = 0.0) -> float:
    return next(standing.strikes for standing in hosts.standing(now_s) if standing.url == url)


def rests_for_s(hosts: Hosts, now_s: float, url: str = A) -> float:
    return next(standing.rests_for_s for standing in hosts.standing(now_s) if standing.url == url)


def resting(*urls: str, at_s: float = 0.0) -> Hosts:
    """Give three hosts of which these rest, sent there one second after the other."""
    hosts = Hosts([A, B, C])
    for number, url in enumerate(urls):
        hosts.failed(url, DEAD, at_s + number)
        hosts.failed(url, DEAD, at_s + number)
    return hosts


# Which is chosen.


@pytest.mark.parametrize(
    ("rests", "chosen"),
    [
        ([], A),
        ([A], B),
        ([B], A),
        ([A, B], C),
        ([A, C], B),
        ([B, C], A),
    ],
)
def test_first_host_that_does_not_rest_is_chosen(rests: list[str], chosen: str):
    """The order is the user's preference; only trouble may overrule it."""
    assert resting(*rests).choose(10.0) == chosen


@pytest.mark.parametrize("order", [[A, B, C], [B, C, A], [C, A, B]], ids=["A first", "B first", "C first"])
def test_when_all_rest_the_one_whose_rest_ends_first_is_chosen(order: list[str]):
    """There is always somebody to dial: the trouble may be over, or it was our own network's."""
    assert resting(*order).choose(10.0) == order[0]


def test_when_all_rest_equally_long_the_first_is_chosen():
    """The order is the user's preference here too."""
    hosts = Hosts([B, A])
    for url in (A, B, A, B):
        hosts.failed(url, DEAD, 0.0)

    assert hosts.choose(1.0) == B


def test_preferred_host_is_chosen_again_when_its_rest_is_over():
    """A bad day ends, and nobody should have to restart a collector for that."""
    hosts = resting(A)

    assert hosts.choose(59.9) == B
    assert hosts.choose(60.0) == A


def test_one_host_is_always_chosen():
    """`url=` names one address; there is nowhere else to go."""
    hosts = Hosts([A])
    for number in range(20):
        assert hosts.choose(float(number)) == A
        hosts.failed(A, DEAD, float(number))

    assert hosts.choose(20.0) == A


def test_host_that_is_named_twice_counts_once():
    """Or its twin would be dialled while it rests."""
    hosts = Hosts([A, A, B])
    hosts.failed(A, DEAD, 0.0)
    hosts.failed(A, DEAD, 0.0)

    assert hosts.choose(1.0) == B
    assert [standing.url for standing in hosts.standing(1.0)] == [A, B]


def test_no_host_at_all_is_refused():
    """It would only show at the first dial, on another thread."""
    with pytest.raises(UsageError, match="name at least one"):
        Hosts([])


# What counts against a host.


@pytest.mark.parametrize("cause", Cause)
def test_failed_dial_counts_one(cause: Cause):
    """Whatever the reason was, nothing came of it."""
    hosts = Hosts([A, B])

    hosts.failed(A, ConnectionLost(cause, "x"), 0.0)

    assert (strikes(hosts), hosts.choose(0.0)) == (1.0, A)


@pytest.mark.parametrize(
    ("cause", "lived_s", "has_heard", "counted"),
    [
        *[(cause, 3.0, False, 1.0) for cause in Cause],
        (Cause.SILENT, 500.0, False, 1.0),
        (Cause.CLOSED, 3.0, True, 0.5),
        (Cause.BROKEN, 3.0, True, 0.5),
        (Cause.SILENT, 3.0, True, 0.5),
        (Cause.STALLED, 3.0, True, 0.5),
        (Cause.FROZEN, 3.0, True, 0.5),
        (Cause.TOO_LARGE, 3.0, True, 0.5),
        (Cause.REFUSED, 3.0, True, 0.5),
        (Cause.BROKEN, 59.9, True, 0.5),
        (Cause.BROKEN, 60.0, True, 0.0),
        (Cause.FROZEN, 3600.0, True, 0.0),
        (Cause.LATE, 30.0, True, 1.0),
        (Cause.LATE, 3600.0, True, 1.0),
    ],
)
def test_ended_session_counts_by_what_it_brought(cause: Cause, lived_s: float, has_heard: bool, counted: float):
    """LBank closes good lines now and then; a line without frames, or with late ones, is worth nothing."""
    hosts = Hosts([A])

    hosts.ended(A, ConnectionLost(cause, "x"), 0.0, lived_s=lived_s, has_heard=has_heard)

    assert strikes(hosts) == counted


def test_long_session_clears_the_strikes():
    """One failure a week must not add up."""
    hosts = Hosts([A, B])
    hosts.failed(A, DEAD, 0.0)

    hosts.ended(A, BROKEN, 100.0, lived_s=60.0, has_heard=True)

    assert strikes(hosts) == 0.0
    hosts.failed(A, DEAD, 101.0)
    assert hosts.choose(101.0) == A


def test_long_session_that_ended_late_clears_nothing():
    """Late pushes are what a bad network path looks like; the line itself lives for hours then."""
    hosts = Hosts([A, B])
    hosts.failed(A, DEAD, 0.0)

    hosts.ended(A, ConnectionLost(Cause.LATE, "x"), 4000.0, lived_s=3600.0, has_heard=True)

    assert hosts.choose(4000.0) == B


@pytest.mark.parametrize("history", ["failed", "mute", "short"])
def test_our_own_stop_counts_for_nothing(history: str):
    """A client that is stopped and started again and again finds its preferred host each time."""
    hosts = Hosts([A, B])

    for _ in range(10):
        if history == "failed":
            hosts.failed(A, STOPPED, 0.0)
        else:
            hosts.ended(A, STOPPED, 0.0, lived_s=1.0, has_heard=history == "short")

    assert (strikes(hosts), hosts.choose(0.0)) == (0.0, A)


@pytest.mark.parametrize(("cause", "detail"), [(Cause.CLOSED, "code 1000: stopped"), (Cause.REFUSED, "stopped")])
def test_end_that_only_reads_like_our_stop_counts(cause: Cause, detail: str):
    """The words of a close frame are the exchange's, whatever they are."""
    hosts = Hosts([A])

    hosts.ended(A, ConnectionLost(cause, detail), 0.0, lived_s=1.0, has_heard=True)

    assert strikes(hosts) == 0.5


# Rests.


@pytest.mark.parametrize(
    ("halves", "is_resting"), [("", False), ("1", False), ("111", False), ("1111", True), ("2", False), ("211", True)]
)
def test_two_strikes_send_a_host_to_rest(halves: str, is_resting: bool):
    """One failure proves nothing, a second in a row does."""
    hosts = Hosts([A, B])

    for half in halves:
        hosts.ended(A, BROKEN, 0.0, lived_s=1.0, has_heard=half == "1")

    assert hosts.choose(0.0) == (B if is_resting else A)


def test_each_rest_is_twice_as_long_as_the_one_before_up_to_ten_minutes():
    """A host that is bad for a day costs one dial in ten minutes; and the first try after a rest decides."""
    hosts = Hosts([A, B])
    hosts.failed(A, DEAD, 0.0)
    now_s, rests = 0.0, []

    for _ in range(7):
        hosts.failed(A, DEAD, now_s)
        rests.append(rests_for_s(hosts, now_s))
        now_s += rests[-1]

    assert rests == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]


def test_a_session_after_the_rest_does_not_shorten_the_next_one():
    """Only a line that worked does; one that was closed after a second proves little."""
    hosts = resting(A)

    for _ in range(2):
        hosts.ended(A, BROKEN, 61.0, lived_s=1.0, has_heard=True)

    assert rests_for_s(hosts, 61.0) == 120.0


@pytest.mark.parametrize("at_s", [30.0, 60.0, 5000.0])
def test_worked_clears_strikes_rest_and_doubling(at_s: float):
    """A host that serves a line for a minute is as good as new, also when it was dialled because all rested."""
    hosts = resting(A, B, C)

    hosts.worked(A, at_s)

    assert hosts.standing(at_s)[0] == Standing(A, 0.0, 0.0)
    assert hosts.choose(at_s) == A
    hosts.failed(A, DEAD, at_s)
    hosts.failed(A, DEAD, at_s)
    assert rests_for_s(hosts, at_s) == 60.0


def test_worked_says_nothing_about_other_hosts():
    """The bad host keeps its rest while its neighbour serves."""
    hosts = resting(A)

    hosts.worked(B, 10.0)

    assert hosts.choose(10.0) == B


@pytest.mark.parametrize("asked_s", [1.0, 30.0, 3600.0])
def test_refusal_that_names_a_wait_rests_that_long_at_once(asked_s: float):
    """Who dials earlier is refused for longer, or banned."""
    hosts = Hosts([A, B])

    hosts.failed(A, ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=asked_s), 100.0)

    assert rests_for_s(hosts, 100.0) == asked_s
    assert hosts.choose(100.0) == B
    hosts.failed(A, DEAD, 100.0 + asked_s)
    assert rests_for_s(hosts, 100.0 + asked_s) == 60.0


@pytest.mark.parametrize(("asked_s", "rest_s"), [(0.0, 60.0), (5.0, 60.0), (90.0, 90.0), (3600.0, 3600.0)])
def test_rest_is_never_shorter_than_the_refusal_asks_for(asked_s: float, rest_s: float):
    """Both reasons to rest hold."""
    hosts = Hosts([A, B])
    hosts.failed(A, DEAD, 0.0)

    hosts.failed(A, ConnectionLost(Cause.REFUSED, "HTTP 503", retry_after_s=asked_s), 0.0)

    assert rests_for_s(hosts, 0.0) == rest_s


def test_refusal_without_a_wait_is_one_strike():
    """`Retry-After: 0` asks for nothing."""
    hosts = Hosts([A, B])

    hosts.failed(A, ConnectionLost(Cause.REFUSED, "HTTP 503", retry_after_s=0.0), 0.0)

    assert hosts.choose(0.0) == A


def test_lines_that_fail_together_make_one_rest():
    """Ten lines that lose one host in one instant must not keep it away for ten minutes."""
    hosts = Hosts([A, B])

    for number in range(10):
        hosts.failed(A, DEAD, number / 10)

    assert rests_for_s(hosts, 1.0) == pytest.approx(59.1)
    for number in range(10):
        hosts.failed(A, DEAD, 61.0 + number / 10)
    assert rests_for_s(hosts, 62.0) == 119.0


def test_a_wait_that_a_resting_host_asks_for_is_kept_too():
    """A line that was dialling already brings the news."""
    hosts = resting(A)

    hosts.failed(A, ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=300.0), 10.0)

    assert hosts.choose(309.0) == B
    assert hosts.choose(310.0) == A


def test_host_that_fails_a_try_during_its_rest_rests_longer():
    """When all rest they are dialled in turn, none of them every second."""
    hosts = resting(A, B, C)
    chosen = []

    for number in range(4):
        chosen.append(hosts.choose(10.0 + number))
        hosts.failed(chosen[-1], DEAD, 10.0 + number)

    assert chosen == [A, B, C, A]
    assert [standing.rests_for_s for standing in hosts.standing(13.0)] == [240.0, 118.0, 119.0]


def test_lines_that_try_a_resting_host_together_make_one_rest():
    """When all hosts rest, all lines try the same one."""
    hosts = resting(A, B, C)
    for _ in range(5):
        assert hosts.choose(10.0) == A

    for _ in range(5):
        hosts.failed(A, DEAD, 10.0)

    assert rests_for_s(hosts, 10.0) == 120.0


def test_failed_try_never_shortens_a_rest():
    """The exchange asked for an hour; that a try failed sooner is no reason to come back sooner."""
    hosts = Hosts([A])
    hosts.failed(A, ConnectionLost(Cause.REFUSED, "HTTP 429", retry_after_s=3600.0), 0.0)

    hosts.choose(1.0)
    hosts.failed(A, DEAD, 1.0)

    assert rests_for_s(hosts, 1.0) == 3599.0


# How it shows.


def test_standing_tells_each_host_in_order():
    """A doctor's report and a bug report need it."""
    hosts = resting(B, at_s=100.0)
    hosts.ended(C, BROKEN, 110.0, lived_s=2.0, has_heard=True)

    assert hosts.standing(110.0) == [Standing(A, 0.0, 0.0), Standing(B, 1.0, 50.0), Standing(C, 0.5, 0.0)]


def test_repr_is_readable():
    """It ends up in somebody's debugger."""
    hosts = Hosts([A, B])
    hosts.ended(A, BROKEN, 0.0, lived_s=2.0, has_heard=True)

    assert repr(hosts) == f"Hosts({A} with 0.5 strikes, {B} with 0 strikes)"


# After any history.


class Happening(NamedTuple):
    """What one line reports, after some seconds."""

    after_s: float
    url: str
    what: str
    loss: ConnectionLost
    lived_s: float


# No refusal here asks for more than the longest rest; one that does is kept, see above.
LOSSES = st.builds(
    ConnectionLost,
    st.sampled_from(Cause),
    st.sampled_from(["x", "stopped"]),
    retry_after_s=st.none() | st.floats(0, LONGEST_REST_S),
)
HISTORIES = st.lists(
    st.builds(
        Happening,
        st.floats(0, 700),
        st.sampled_from([A, B, C]),
        st.sampled_from(["chosen", "failed", "mute", "heard", "worked"]),
        LOSSES,
        st.floats(0, 2 * HEALTHY_S),
    ),
    max_size=40,
)


def play(hosts: Hosts, happening: Happening, now_s: float) -> None:
    if happening.what == "failed":
        hosts.failed(happening.url, happening.loss, now_s)
    elif happening.what == "worked":
        hosts.worked(happening.url, now_s)
    elif happening.what != "chosen":
        has_heard = happening.what == "heard"
        hosts.ended(happening.url, happening.loss, now_s, lived_s=happening.lived_s, has_heard=has_heard)


@given(history=HISTORIES)
def test_what_is_chosen_never_rests_while_another_does_not(history: list[Happening]):
    """Whatever happens in whatever order; and after ten quiet minutes the preferred host is back."""
    hosts, now_s = Hosts([A, B, C]), 1000.0

    for happening in history:
        now_s += happening.after_s
        play(hosts, happening, now_s)

        chosen = hosts.choose(now_s)
        rests = {standing.url: standing.rests_for_s for standing in hosts.standing(now_s)}

        assert rests[chosen] == 0.0 or rests[chosen] == min(rests.values()) > 0.0
        assert max(rests.values()) <= LONGEST_REST_S + 1e-6
        assert all(0.0 <= standing.strikes < 2.0 for standing in hosts.standing(now_s))

    assert hosts.choose(now_s + LONGEST_REST_S + 1e-6) == A
