"""Whatever books come, in whatever order: what is served is good, the newest, and was really pushed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.causes import Flaw
from lbank_ws.events import Depth
from lbank_ws.feed.books import Shelf
from tests.fuzzing import TIMES
from tests.test_books import LATE_AFTER_S, book

PRICES = st.sampled_from(["98", "99", "100", "101", "102"]) | st.sampled_from(["1e400", "NaN", "-1", "x", ""])
LEVELS = (
    st.just([["99", "1"]])
    | st.just([["101", "1"]])
    | st.lists(st.tuples(PRICES, st.sampled_from(["0", "1", "?"])).map(list), max_size=3)
)
BIDS = st.just([["99", "1"]]) | LEVELS
ASKS = st.just([["101", "1"]]) | LEVELS
PUSH = st.fixed_dictionaries(
    {
        "after_s": st.sampled_from([0.0, 0.5, 2.0, 10.0]),
        "bids": BIDS,
        "asks": ASKS,
        "age_s": st.sampled_from([None, 0.1, 0.1, 0.2, 2.9, 3.1, 60.0]),
        "node": st.sampled_from([None, "t-1", "t-1", "m-1", "tm-2"]),
        "ahead_s": st.sampled_from([0.0, 0.0, 0.0, None]),
        "suspected": st.sampled_from([None, None, None, None, None, Flaw.FROZEN, Flaw.SILENT, Flaw.LINE_DOWN]),
    }
)


def is_sound(served: Depth) -> bool:
    """Tell whether a book may be shown to somebody who trades: both sides there, and in order."""
    return bool(served.bids and served.asks) and 0 <= served.bids[0].price < served.asks[0].price


@settings(max_examples=300 * TIMES, deadline=None, database=None)
@given(pushes=st.lists(PUSH, max_size=12), look_after_s=st.sampled_from([0.0, 1.0, 4.0]))
def test_what_is_served_is_sound_and_in_time(pushes, look_after_s):
    """A book that looks like any other is what orders are made from."""
    shelf, now_s, pushed = Shelf("t"), 0.0, []

    for push in pushes:
        now_s += push["after_s"]
        one = book(now_s, push["bids"], push["asks"], age_s=push["age_s"], node=push["node"], ahead_s=push["ahead_s"])
        pushed.append(one)
        given_back = shelf.put(one, now_s, suspected=push["suspected"])
        assert isinstance(given_back, Depth)
        assert (given_back.fault is None) == (shelf.held is one)

    now_s += look_after_s
    if shelf.why_not(now_s, LATE_AFTER_S) is None:
        served = shelf.held
        assert isinstance(served, Depth)
        assert any(served is one for one in pushed)
        assert served.fault is None
        assert is_sound(served)
        assert not served.late
        assert served.node is None or served.node.partition("-")[0] == "t"
    else:
        assert not pushes or shelf.since is not None or shelf.held is None
