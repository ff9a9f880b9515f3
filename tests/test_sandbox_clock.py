"""A market that stands still until it is told to play, and the exchange's own log of what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
import websocket

from lbank_ws.sandbox import Sandbox
from lbank_ws.sandbox.listings import listing_of
from lbank_ws.sandbox.market import Market, Trade
from lbank_ws.sandbox.orders import Kind, Order, OrderStatus
from lbank_ws.sandbox.truth import Truth
from tests.waiting import wait_until

PAIRS = ("btc_usdt", "lbk_usdt")
LAST = "that is all"
WANTED = [
    {"action": "subscribe", "subscribe": "tick", "pair": "btc_usdt"},
    {"action": "subscribe", "subscribe": "depth", "pair": "btc_usdt", "depth": 20},
    {"action": "subscribe", "subscribe": "trade", "pair": "btc_usdt"},
    {"action": "subscribe", "subscribe": "kbar", "kbar": "1min", "pair": "lbk_usdt"},
]


def heard(box: Sandbox, act: Callable[[], object]) -> list[str]:
    """Subscribe, act, and give all frames up to the end of what the act made the box send."""
    line = websocket.create_connection(box.v2_url, timeout=10)
    try:
        for each in WANTED:
            line.send(json.dumps(each))
        wait_until(lambda: any(len(view.subscriptions) == len(WANTED) for view in box.visitors()))
        act()
        box.broadcast(LAST)
        frames = []
        while (frame := line.recv()) != LAST:
            frames.append(frame)
        return frames
    finally:
        line.shutdown()


def test_the_same_seed_and_steps_give_the_very_same_frames():
    """A test of a user that fails must fail again, to the byte."""

    def run() -> list[str]:
        with Sandbox(pairs=PAIRS, seed=5, speed=0) as box:
            return heard(box, lambda: [box.step(each) for each in (0.25, 3, 0, 61)])

    first = run()

    assert len(first) > 300
    assert first == run()


def test_nothing_happens_between_steps():
    """A box that stands still has all the time that a debugger takes."""
    with Sandbox(pairs=PAIRS, speed=0) as box:
        (tick, _, _) = heard(box, lambda: None)
        (later, _, _) = heard(box, lambda: None)

    assert tick == later
    assert json.loads(tick)["TS"] == "2026-01-01T08:00:00.000"


def test_a_step_is_published_when_it_returns():
    """The caller may assert on what clients hear without guessing when."""
    with Sandbox(pairs=PAIRS, speed=0) as box:
        frames = heard(box, lambda: box.step(10))
        made = box.truth.trades("btc_usdt")

    pushed = [json.loads(frame)["trade"] for frame in frames if '"type":"trade"' in frame]
    assert [each["volume"] for each in pushed] == [float(each.listing.amount_of(each.volume)) for each in made]
    assert max(json.loads(frame)["TS"] for frame in frames) <= "2026-01-01T08:00:10.000"


def test_a_long_step_does_not_drop_a_client_that_reads():
    """An hour of pushes is more than may wait at once."""
    with Sandbox(pairs=["sol_usdt"], speed=0) as box:
        line = websocket.create_connection(box.v2_url, timeout=20)
        for interval in ("1min", "5min", "15min", "30min", "1hr", "4hr", "day", "week", "month", "year"):
            line.send(json.dumps({"action": "subscribe", "subscribe": "kbar", "kbar": interval, "pair": "sol_usdt"}))
        wait_until(lambda: any(len(view.subscriptions) == 10 for view in box.visitors()))
        stepping = threading.Thread(target=lambda: (box.step(1500), box.broadcast(LAST)))
        stepping.start()
        count = 0
        while line.recv() != LAST:
            count += 1
        stepping.join()
        line.shutdown()

    assert count > 10_000
    assert box.truth.trade_count > 1000


@pytest.mark.parametrize("speed", [0, 1])
def test_started_at_is_where_the_market_begins(speed):
    """Month ends and other days of interest can be visited."""
    began = datetime(2025, 2, 28, 23, 59, tzinfo=timezone.utc)
    with Sandbox(pairs=PAIRS, speed=speed, started_at=began) as box:
        frame = heard(box, lambda: None)[0]

    at = datetime.fromisoformat(json.loads(frame)["TS"] + "+08:00")
    assert timedelta(0) <= at - began < timedelta(seconds=10)


def test_stepping_is_refused_where_it_makes_no_sense():
    """Time that goes by itself, a box that is not there, and time that goes back."""
    with Sandbox(pairs=PAIRS) as box, pytest.raises(RuntimeError, match="speed=0"):
        box.step(1)
    with pytest.raises(RuntimeError, match="started"):
        Sandbox(pairs=PAIRS, speed=0).step(1)
    with Sandbox(pairs=PAIRS, speed=0) as box, pytest.raises(ValueError, match="back"):
        box.step(-1)
    with pytest.raises(ValueError, match="time zone"):
        Sandbox(pairs=PAIRS, started_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test


# --- the log


def test_the_log_has_every_trade_and_every_change_of_an_order_in_order():
    """It is what a client's view is compared with."""
    market, truth = Market(PAIRS, 1, 1_767_225_600_000), Truth()
    order = Order("mine", listing_of("btc_usdt"), "buy", Kind.LIMIT, 7_402_000, 40_000, owner="user")

    happened = [*market.advance(market.now_ms + 5000), *market.place(order, market.now_ms)]
    for each in happened:
        truth.note(each)

    assert truth.log() == [each for each in happened if each in truth.log()]
    assert truth.trade_count == len(truth.trades()) == sum(isinstance(each, Trade) for each in happened)
    assert truth.trades("btc_usdt") == market.trades("btc_usdt")
    mine = truth.orders("btc_usdt", owner="user")
    assert mine[0].order.status is OrderStatus.OPEN
    assert mine[-1].order.filled == order.filled > 0
    assert truth.order_count == len(mine)
    assert truth.orders(owner="another") == truth.orders("lbk_usdt") == []


def test_the_log_keeps_the_newest_and_counts_all():
    """A box runs beside a collector for weeks."""
    market, truth = Market(PAIRS, 1, 1_767_225_600_000), Truth(kept=10)
    made = [each for each in market.advance(market.now_ms + 60_000) if isinstance(each, Trade)]

    for each in made:
        truth.note(each)

    assert truth.log() == made[-10:]
    assert truth.trade_count == len(made) > 10


def test_the_log_can_be_read_while_the_box_runs():
    """Tests look at it from their own thread."""
    with Sandbox(pairs=PAIRS, speed=100) as box:
        wait_until(lambda: len(box.truth.trades("lbk_usdt")) > 3 and len(box.truth.trades("btc_usdt")) > 50)

        made = box.truth.trades("btc_usdt")

    assert [each.at_ms for each in made] == sorted(each.at_ms for each in made)
