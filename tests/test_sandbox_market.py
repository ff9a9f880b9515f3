"""The practice exchange's market: believable, repeatable, and exact.

Time is an argument here, so nothing waits.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox import pit as pit_module
from lbank_ws.sandbox.bars import DAY_MS, HOUR_MS, INTERVALS, MINUTE_MS, bar_start, merged
from lbank_ws.sandbox.listings import LISTINGS, listing_of
from lbank_ws.sandbox.market import LONGEST_STEP_MS, SLOT_MS, Book, Happening, Klines, Market, Tick, Trade
from lbank_ws.sandbox.orders import Kind, Order, Side

OPENED_AT_MS = 1_795_399_447_031
BUSY, THIN = "btc_usdt", "lbk_usdt"
FEW = settings(max_examples=15, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32)


def opened_market(*pairs: str, seed: int = 1) -> Market:
    return Market(pairs or (BUSY,), seed, OPENED_AT_MS)


def played(seconds: float, *pairs: str, seed: int = 1) -> tuple[Market, list[Happening]]:
    market = opened_market(*pairs, seed=seed)
    return market, market.advance(OPENED_AT_MS + int(seconds * 1000))


def trades(happened: list[Happening]) -> list[Trade]:
    return [each for each in happened if isinstance(each, Trade)]


def an_order(side: Side, price: int, amount: int, kind: Kind = Kind.LIMIT, value: int = 0, name: str = "mine") -> Order:
    return Order(name, listing_of(BUSY), side, kind, price, amount, value, owner="user")


def test_same_seed_gives_the_same_market():
    """A failing test of a user must fail again tomorrow."""
    first, second = played(30, BUSY, THIN), played(30, BUSY, THIN)

    assert first[1] == second[1]
    assert first[0].book(BUSY) == second[0].book(BUSY)
    assert first[0].bars(THIN, "day") == second[0].bars(THIN, "day")


def test_another_seed_gives_another_market():
    """Otherwise the seed would be an empty promise."""
    assert played(5, seed=1)[1] != played(5, seed=2)[1]


def test_a_pair_walks_the_same_whichever_others_are_listed():
    """Listing one more pair must not change what a test sees on the others."""
    alone = played(20, BUSY)[1]

    in_company = [each for each in played(20, THIN, BUSY)[1] if each.listing.pair == BUSY]

    assert in_company == alone


@FEW
@given(seed=seeds, steps_ms=st.lists(st.integers(min_value=0, max_value=1500), max_size=12))
def test_what_happens_does_not_depend_on_how_often_one_asks(seed, steps_ms):
    """The server's timer is never exact; the market must not notice."""
    in_steps, at_once = opened_market(seed=seed), opened_market(seed=seed)
    happened: list[Happening] = []
    now_ms = OPENED_AT_MS
    for step_ms in steps_ms:
        now_ms += step_ms
        happened += in_steps.advance(now_ms)

    assert happened == at_once.advance(now_ms)
    assert in_steps.book(BUSY) == at_once.book(BUSY)


@FEW
@given(seed=seeds, pair=st.sampled_from([*LISTINGS, "new_usdt"]))
def test_a_book_is_deep_sorted_and_never_crossed(seed, pair):
    """A crossed book from the box would be a false alarm in every client that looks for them."""
    market, happened = played(20, pair, seed=seed)

    books = [market.book(pair), *(each for each in happened if isinstance(each, Book))]

    for book in books:
        bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]
        assert bids[-1] > 0
        assert bids[0] < asks[0]
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert len(bids) == len(asks) == 200
        assert all(amount > 0 for _, amount in book.bids + book.asks)


@pytest.mark.parametrize("pair", ["pepe_usdt", "new_usdt"])
def test_a_walk_on_a_coarse_grid_goes_up_as_well_as_down(pair):
    """An order above the market would wait for ever if prices only fell from where they began."""
    start = listing_of(pair).price
    highest = [max(each.price for each in trades(played(600, pair, seed=seed)[1])) for seed in range(6)]
    lowest = [min(each.price for each in trades(played(600, pair, seed=seed)[1])) for seed in range(6)]

    assert max(highest) - start > 10
    assert start - min(lowest) > 10


@FEW
@given(seed=seeds, pair=st.sampled_from([*LISTINGS, "new_usdt"]))
def test_the_figures_of_24_hours_fit_together(seed, pair):
    """Users check a feed by these relations; the box must not break them."""
    market, happened = played(60, pair, seed=seed)

    for tick in [market.tick(pair), *(each for each in happened if isinstance(each, Tick))]:
        assert tick.low <= tick.latest <= tick.high
        assert tick.low * tick.volume <= tick.turnover <= tick.high * tick.volume
        assert tick.bid < tick.ask


def test_the_24_hours_are_the_last_1440_minutes_and_the_one_in_progress():
    """They move on with every minute; figures that only grow would give a slow false alarm."""
    market, _ = played(200)

    tick, minutes = market.tick(BUSY), market.bars(BUSY, "1min")[-1441:]

    day = merged(0, minutes)
    assert (tick.open, tick.high, tick.low) == (day.open, day.high, day.low)
    assert (tick.volume, tick.turnover) == (day.volume, day.turnover)


def test_a_taker_eats_into_the_book_from_the_best_price_on():
    """A trade must be at a price that the book showed, and leave less there."""
    market = opened_market()
    (first, first_amount), (second, second_amount) = market.book(BUSY).asks[:2]
    bids = market.book(BUSY).bids

    happened = market.place(an_order("buy", second, first_amount + 3), market.now_ms)

    assert [(each.price, each.volume) for each in trades(happened)] == [(first, first_amount), (second, 3)]
    assert market.book(BUSY).asks[0] == (second, second_amount - 3)
    assert market.book(BUSY).bids == bids


def test_latest_is_the_price_of_the_last_trade():
    """A ticker that disagrees with the trades beside it would look like a lost trade."""
    latest = None
    for each in played(60)[1]:
        if isinstance(each, Trade):
            latest = each.price
        elif isinstance(each, Tick) and latest is not None:
            assert each.latest == latest

    assert latest is not None


def test_a_trade_is_a_few_ms_older_than_its_frame_and_in_its_slot():
    """The age of a trade is what users measure."""
    trades = [each for each in played(120, BUSY, THIN)[1] if isinstance(each, Trade)]

    assert trades
    assert all(3 <= trade.at_ms - trade.traded_at_ms <= 30 for trade in trades)


def test_happenings_come_in_time_order_and_none_from_the_future():
    """A push from the future has a negative age."""
    market, happened = played(30, *LISTINGS)

    moments = [each.at_ms for each in happened]

    assert moments == sorted(moments)
    assert moments[-1] <= market.now_ms <= OPENED_AT_MS + 30_000
    assert moments[0] > OPENED_AT_MS - SLOT_MS


def test_every_pair_publishes_ticks_and_books_within_two_seconds():
    """A beginner who subscribes must see prices at once, on thin pairs too."""
    published: dict[tuple[str, type], list[int]] = defaultdict(list)
    for each in played(120, *LISTINGS)[1]:
        published[each.listing.pair, type(each)].append(each.at_ms)

    for pair in LISTINGS:
        for kind in (Tick, Book):
            assert max(later - sooner for sooner, later in pairwise(published[pair, kind])) <= 2000


def test_books_are_published_at_most_every_600_ms():
    """LBank does so; a collector sized on the box must not be surprised by the exchange."""
    for pair in (BUSY, THIN):
        moments = [each.at_ms for each in played(60, pair)[1] if isinstance(each, Book)]
        assert min(later - sooner for sooner, later in pairwise(moments)) >= 600


def test_busy_pairs_trade_every_second_and_the_thinnest_twice_a_minute():
    """Both kinds are needed: one to load a client, one to tell quiet from dead."""
    happened = played(600, BUSY, THIN)[1]
    takers = {
        pair: len({each.traded_at_ms for each in happened if isinstance(each, Trade) and each.listing.pair == pair})
        for pair in (BUSY, THIN)
    }
    ticks = sum(isinstance(each, Tick) and each.listing.pair == BUSY for each in happened)

    assert 1 <= takers[BUSY] / 600 <= 4
    assert 10 <= takers[THIN] <= 60
    assert 4 <= ticks / 600 <= 10


def test_every_trade_is_in_every_bar_in_progress():
    """Whoever rebuilds bars from trades must find the same bars."""
    market = opened_market()
    before = {interval: market.bar(BUSY, interval) for interval in INTERVALS}
    now_ms = OPENED_AT_MS + 20_000
    assert bar_start("1min", OPENED_AT_MS) == bar_start("1min", now_ms - 1), "the test must not cross a minute"

    trades = [each for each in market.advance(now_ms) if isinstance(each, Trade)]

    for interval in INTERVALS:
        bar = market.bar(BUSY, interval)
        assert bar.trades - before[interval].trades == len(trades) > 0
        assert bar.volume - before[interval].volume == sum(trade.volume for trade in trades)
        assert bar.turnover - before[interval].turnover == sum(trade.value for trade in trades)
        assert bar.close == trades[-1].price


def test_a_new_minute_begins_a_new_bar_where_the_last_one_ended():
    """Nothing marks a bar as closed but the next one."""
    bars = [
        bar
        for each in played(150, THIN)[1]
        if isinstance(each, Klines)
        for interval, bar in each.bars
        if interval == "1min"
    ]

    starts = sorted({bar.start_ms for bar in bars})

    assert [later - sooner for sooner, later in pairwise(starts)] == [MINUTE_MS] * (len(starts) - 1)
    assert len(starts) >= 2
    assert all(later.open == sooner.close for sooner, later in pairwise(bars) if later.start_ms > sooner.start_ms)


@pytest.mark.parametrize(("longer", "shorter"), [("5min", "1min"), ("4hr", "1hr"), ("day", "1hr"), ("month", "day")])
def test_a_bar_is_the_sum_of_shorter_bars(longer, shorter):
    """Collectors fill holes with other intervals and compare."""
    market, _ = played(400)
    pieces = defaultdict(list)
    for bar in market.bars(BUSY, shorter):
        pieces[bar_start(longer, bar.start_ms)].append(bar)
    newest = market.bars(BUSY, longer)[-4:]

    assert [merged(bar.start_ms, pieces[bar.start_ms]) for bar in newest] == newest


@pytest.mark.parametrize("interval", INTERVALS)
def test_remembered_bars_have_no_holes(interval):
    """A box whose history had holes could not be used to test the filling of holes."""
    market, _ = played(130)

    bars = market.bars(BUSY, interval)

    assert bars[-1] == market.bar(BUSY, interval)
    assert all(bar_start(interval, bar.start_ms) == bar.start_ms for bar in bars)
    for sooner, later in pairwise(bars):
        assert later.open == sooner.close
        assert bar_start(interval, later.start_ms - 1) == sooner.start_ms
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.low * bar.volume <= bar.turnover <= bar.high * bar.volume


def test_memory_stays_bounded_and_the_history_whole_over_weeks():
    """A box that runs beside a collector for weeks must not eat the machine."""
    market = opened_market()
    bars = market._pits[BUSY].bars
    whole = sum(bar.volume for bar in market.bars(BUSY, "year"))
    bars.trade(7_400_000, 5)

    bars.roll(OPENED_AT_MS + 40 * DAY_MS)

    assert len(bars._minutes) <= 2 * DAY_MS // MINUTE_MS
    assert len(bars._hours) <= 30 * DAY_MS // HOUR_MS
    assert sum(bar.volume for bar in market.bars(BUSY, "year")) == whole + 5
    days = market.bars(BUSY, "day")
    assert {later.start_ms - sooner.start_ms for sooner, later in pairwise(days)} == {DAY_MS}


# Each row: interval, a moment, the start of its bar. 1769875200 and 1705364400 are the starts of a day bar and of a
# 5min bar in LBank's own samples.
@pytest.mark.parametrize(
    ("interval", "at_s", "start_s"),
    [
        ("day", 1769875200, 1769875200),
        ("day", 1769875199, 1769875200 - 86400),
        ("5min", 1705364400 + 299, 1705364400),
        ("4hr", 1769875200 + 4 * 3600 - 1, 1769875200),
        ("month", 1769875200, 1769875200),  # 2026-02-01 in UTC+8
        ("month", 1769875199, 1767196800),  # 2026-01-01
        ("year", 1769875200, 1767196800),
        ("week", 1769875200 + 86400, 1769875200 + 86400),  # 2026-02-02 is a Monday
        ("week", 1769875200, 1769875200 - 6 * 86400),
    ],
)
def test_bars_start_on_the_clock_of_utc_plus_8(interval, at_s, start_s):
    """LBank cuts its days there."""
    assert bar_start(interval, at_s * 1000) == start_s * 1000


def test_a_long_sleep_is_a_pause():
    """A laptop that slept for a night must not have to play the night before it serves again."""
    market = opened_market()
    market.advance(OPENED_AT_MS + 1000)

    happened = market.advance(OPENED_AT_MS + 8 * HOUR_MS)

    assert happened[0].at_ms > OPENED_AT_MS + 8 * HOUR_MS - LONGEST_STEP_MS - 2 * SLOT_MS
    starts = [bar.start_ms for bar in market.bars(BUSY, "1min")]
    assert {later - sooner for sooner, later in pairwise(starts)} == {MINUTE_MS}


def test_a_step_back_gives_nothing():
    """Wall clocks are set back at times."""
    market, _ = played(10)

    assert market.advance(OPENED_AT_MS - 5000) == []
    assert market.now_ms > OPENED_AT_MS


def test_recent_trades_are_bounded(monkeypatch):
    """They are asked for again and again; they must not grow for ever."""
    monkeypatch.setattr(pit_module, "KEPT_TRADES", 500)
    market, happened = played(500)
    made = [each for each in happened if isinstance(each, Trade)]

    assert len(made) > 500
    assert market.trades(BUSY) == made[-500:]


@pytest.mark.parametrize("pair", ["BTC_USDT", "btcusdt", "btc-usdt", "", "btc_"])
def test_a_misspelt_pair_is_refused(pair):
    """A box that lists nonsense would make a client's spelling mistake look right."""
    with pytest.raises(ValueError, match="base_quote"):
        listing_of(pair)
