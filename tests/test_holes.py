"""Holes on real lines: what was missed is fetched, comes in its place and once, or the gap says what is missing."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from lbank_ws import Gap, GapCause, LBankClient, Trade
from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

PAIRS = ["btc_usdt", "eth_usdt"]
Made = tuple[int, Any, Any]


def known(trade: Trade) -> Made:
    """Give what tells a trade from most others."""
    assert trade.traded_at is not None
    return round(trade.traded_at.timestamp() * 1000), trade.price, trade.amount


def made(box: Sandbox, pair: str) -> list[Made]:
    """Give what was traded, by the exchange's own log."""
    trades = box.truth.trades(pair)
    return [
        (each.traded_at_ms, each.listing.price_of(each.price), each.listing.amount_of(each.volume)) for each in trades
    ]


class Collector:
    """What callbacks of one or of several runs were called with."""

    def __init__(self) -> None:
        self.trades: dict[str, list[Trade]] = {pair: [] for pair in PAIRS}
        self.gaps: list[Gap] = []

    def listen(self, client: LBankClient) -> None:
        client.on_trade(*PAIRS)(lambda trade: self.trades[trade.pair].append(trade))
        client.on_gap(self.gaps.append)

    def is_warm(self) -> bool:
        return all(self.trades.values())

    def is_whole(self, box: Sandbox) -> bool:
        """Tell whether every trade since the first one that was heard was heard by now."""
        return all(len(self.trades[pair]) == len(self.expected(box, pair)) for pair in PAIRS)

    def expected(self, box: Sandbox, pair: str) -> list[Made]:
        trades = made(box, pair)
        return trades[trades.index(known(self.trades[pair][0])) :]

    def check(self, box: Sandbox) -> None:
        """Check that every trade came once, and in time order; within a millisecond there is no order."""
        for pair in PAIRS:
            heard, expected = [known(trade) for trade in self.trades[pair]], self.expected(box, pair)
            assert not Counter(heard) - Counter(expected), f"{pair}: more than was traded"
            assert not Counter(expected[: len(heard) - 20]) - Counter(heard), f"{pair}: trades are missing"
            assert [at for at, _, _ in heard] == sorted(at for at, _, _ in heard), f"{pair}: not in time order"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=PAIRS, speed=3) as box:
        yield box


def opened(gaps: list[Gap]) -> list[Gap]:
    return [gap for gap in gaps if gap.ended_at is None]


def closed(gaps: list[Gap]) -> list[Gap]:
    return [gap for gap in gaps if gap.ended_at is not None]


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_two_hundred_outages_lose_no_trade_and_double_none(box, make_client):
    """The promise: whoever collects trades has those of the exchange, however often its lines drop."""
    luck = random.Random(5)
    collector = Collector()
    client = make_client(box.url, rest_url=box.rest_url, backoff_first_s=0.05, backoff_cap_s=0.2)
    collector.listen(client)
    client.start()
    wait_until(collector.is_warm)

    for _ in range(200):
        box.fault(luck.choice(["reset", "polite_close", "half_close"]))
        until_s = time.monotonic() + luck.uniform(0.02, 0.4)
        wait_until(lambda: time.monotonic() >= until_s, what="the next outage")  # noqa: B023 - waited for here

    wait_until(lambda: len(opened(collector.gaps)) == len(closed(collector.gaps)), 20, "every gap closed")
    wait_until(lambda: collector.is_whole(box), 5, "everything that was traded")
    collector.check(box)
    assert opened(collector.gaps)
    assert {gap.cause for gap in collector.gaps} == {GapCause.LINE_LOST}
    assert all(gap.missing_before is None for gap in closed(collector.gaps))
    fetched = sum(trade.source == "backfill" for pair in PAIRS for trade in collector.trades[pair])
    assert fetched == sum(gap.filled or 0 for gap in closed(collector.gaps)) > 0


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_twenty_restarts_lose_no_trade_and_double_none(box, tmp_path):
    """A collector that cron starts again begins where the last one ended."""
    collector = Collector()
    for run in range(20):
        client = LBankClient(url=box.url, rest_url=box.rest_url, resume=tmp_path / "resume")
        collector.listen(client)
        heard = sum(map(len, collector.trades.values()))
        with client:
            wait_until(
                lambda: (
                    sum(map(len, collector.trades.values())) > heard + 5  # noqa: B023 - waited for here
                    and collector.is_warm()
                    and len(opened(collector.gaps)) == len(closed(collector.gaps)) == 2 * run  # noqa: B023
                ),
                20,
                f"run {run}",
            )

    collector.check(box)
    assert {gap.cause for gap in collector.gaps} == {GapCause.STOPPED}
    assert all(gap.missing_before is None for gap in closed(collector.gaps))


@pytest.mark.parametrize("options", [{"backfill": False}, {"rest_url": None}], ids=["turned off", "without REST"])
def test_hole_that_nobody_fills_says_until_when_data_is_missing(
    box: Sandbox, make_client: Callable[..., LBankClient], options: dict[str, Any]
):
    """A hole that is not told looks like a quiet market."""
    collector = Collector()
    client = make_client(box.url, **{"rest_url": box.rest_url, **options}, backoff_first_s=0.05)
    collector.listen(client)
    client.start()
    wait_until(collector.is_warm)

    box.fault("reset")
    wait_until(lambda: len(closed(collector.gaps)) == 2)

    for gap in closed(collector.gaps):
        assert (gap.filled, gap.cause) == (0, GapCause.LINE_LOST)
        assert gap.missing_before is not None
        assert gap.missing_before >= gap.started_at
    assert all(trade.source == "live" for pair in PAIRS for trade in collector.trades[pair])


def test_book_and_price_have_a_hole_that_ends_with_their_next_push(box, make_client):
    """Nothing can be fetched of them: the first push is the present state, and what lay between is gone."""
    gaps: list[Gap] = []
    client = make_client(box.url, rest_url=box.rest_url, backoff_first_s=0.05)
    client.on_gap(gaps.append)
    for channel in ("ticker", "depth"):
        client.subscribe(channel, "btc_usdt")
    client.start()
    wait_until(lambda: all(known.pushes > 1 for known in client.stats()))

    box.fault("reset")
    wait_until(lambda: len(closed(gaps)) == 2)

    assert {gap.channel for gap in opened(gaps)} == {"ticker", "depth"}
    assert all(gap.filled == 0 and gap.missing_before == gap.ended_at for gap in closed(gaps))
    assert all(gap.started_at <= gap.ended_at for gap in closed(gaps))


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "is_asked"), [((), True), (("0 no_replies",), False)], ids=["the line", "REST"])
def test_bars_that_closed_during_an_outage_are_fetched(make_client, faults, is_asked):
    """A chart with a hole in it is wrong for ever."""
    bars = []
    with Sandbox(pairs=PAIRS, speed=60, faults=faults) as box:
        client = make_client(box.url, rest_url=box.rest_url, backoff_first_s=0.05)
        client.on_kline("btc_usdt", interval="1min")(bars.append)
        client.start()
        wait_until(lambda: len(bars) > 3)

        with box.fault("refuse_dial"):
            box.fault("reset")
            until_s = time.monotonic() + 4
            wait_until(lambda: time.monotonic() >= until_s, what="some bars")
        wait_until(lambda: bars[-1].source == "live" and any(bar.source == "backfill" for bar in bars), 15)

        starts = sorted({round(bar.opened_at.timestamp()) for bar in bars})
        assert all(later - start == 60 for start, later in pairwise(starts))
        last = {bar.opened_at: bar for bar in bars}
        assert all(bar.closed for opened_at, bar in last.items() if opened_at < max(last))
        fetched = [bar for bar in bars if bar.source == "backfill"]
        # REST tells neither turnover nor number of trades.
        assert all((bar.turnover is not None and bar.trades is not None) == is_asked for bar in fetched)
