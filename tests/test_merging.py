"""Which trades are the same, and which are missing."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.events import Receipt, Side, Trade
from lbank_ws.feed.merging import Identity, Seen, identity, in_time_order, united
from lbank_ws.trading.rest import Rest
from lbank_ws.wire import V2, Push
from tests.raw_server import RawServer

BEGIN = datetime(2026, 9, 14, 1, 12, 8, tzinfo=timezone.utc)


def at(made_ms: int) -> datetime:
    return BEGIN + timedelta(milliseconds=made_ms)


def ms(count: int) -> timedelta:
    return timedelta(milliseconds=count)


def trade(made_ms: int, price: str = "1", amount: str = "1", side: Side = "buy", **more: Any) -> Trade:
    return Trade(
        pair="btc_usdt",
        price=Decimal(price),
        amount=Decimal(amount),
        value=None,
        side=side,
        traded_at=at(made_ms),
        **more,
    )


def identities(trades: list[Trade]) -> Counter[Identity | None]:
    return Counter(map(identity, trades))


# Histories in which a lot is equal: few moments, few prices, two amounts.
MOMENTS = st.lists(st.integers(0, 12), max_size=60).map(sorted)


@st.composite
def histories(draw: st.DrawFn) -> list[Trade]:
    return [
        trade(made_ms, draw(st.sampled_from("12")), draw(st.sampled_from("12")), draw(st.sampled_from(["buy", "sell"])))
        for made_ms in draw(MOMENTS)
    ]


class TestIdentity:
    """What tells one trade from another."""

    @pytest.mark.parametrize(
        ("order_type", "side", "taker"),
        [
            (None, "buy", "buy"),
            (None, "sell", "sell"),
            ("market", "buy", "buy"),
            ("ioc", "sell", "sell"),
            ("fok", "buy", "buy"),
            ("maker", "buy", "sell"),
            ("maker", "sell", "buy"),
        ],
    )
    def test_side_is_that_of_who_took(self, order_type: str | None, side: Side, taker: str):
        """REST knows no kinds of orders, and calls a `sell_maker` of the push a buy."""
        known = identity(trade(0, side=side, order_type=order_type))

        assert known is not None
        assert known.taker == taker

    def test_numbers_count_and_not_their_spelling(self):
        """The push says 19.0 where REST says 19."""
        assert identity(trade(0, "0.70", "19.0")) == identity(trade(0, "7E-1", "19"))

    def test_trade_without_a_moment_has_none(self):
        """It cannot be told from the next one."""
        timeless = Trade(pair="btc_usdt", price=Decimal(1), amount=Decimal(1), value=None, side="buy")

        assert identity(timeless) is None

    def test_push_and_rest_say_the_same_of_one_trade(self):
        """The push prints wall clock of UTC+8 with milliseconds and a Java double, REST epoch milliseconds."""
        push = json.dumps(
            {
                "trade": {
                    "volume": 0.01849,
                    "amount": 1250.2534918,
                    "price": 67617.82,
                    "direction": "sell_market",
                    "TS": "2026-03-01T11:00:00.388",
                },
                "SERVER": "V2",
                "type": "trade",
                "pair": "btc_usdt",
                "TS": "2026-03-01T11:00:00.391",
            }
        )
        row = {"quoteQty": 1250.2534918, "price": 67617.82, "qty": 0.01849, "id": "3f", "time": 1772334000388}
        answer = json.dumps({"result": "true", "error_code": 0, "data": [{**row, "isBuyerMaker": True}]})
        reply = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode()

        def act(sock: Any, server: RawServer) -> None:
            server.request(sock)
            sock.sendall(reply)

        message = V2().decode(push, Receipt(0))
        with RawServer(act) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            (fetched,) = rest.trades("btc_usdt")
            rest.close()

        assert isinstance(message, Push)
        assert isinstance(message.events[0], Trade)
        assert identity(message.events[0]) == identity(fetched)
        assert fetched.source == "backfill"


class TestSeen:
    """What is missing of what was fetched."""

    def test_the_nth_equal_trade_is_its_own(self):
        """A market maker's robot sells the same amount at the same price again and again."""
        seen = Seen()
        for known in [identity(trade(0)), identity(trade(5)), identity(trade(5))]:
            assert known is not None
            seen.add(known)

        missing = seen.missing([trade(5)] * 5, from_at=at(0))

        assert missing == [trade(5)] * 3

    def test_what_was_never_asked_for_is_not_missing(self):
        """Who subscribes now does not want what was traded before."""
        seen = Seen()
        known = identity(trade(5))
        assert known is not None
        seen.add(known)

        assert seen.missing([trade(4), trade(5), trade(6)], from_at=at(0)) == [trade(6)]

    def test_memory_is_bounded_and_what_was_forgotten_is_not_handed_out_again(self):
        """Twice would be worse than never: it is counted as volume."""
        seen = Seen(limit=10)
        history = [trade(made_ms) for made_ms in range(100)]
        for known in filter(None, map(identity, history)):
            seen.add(known)

        assert len(seen) == 10
        assert seen.missing(history, from_at=at(0)) == []
        assert not seen.knows(at(89))
        assert seen.knows(at(90))

    def test_what_was_forgotten_once_stays_so(self):
        """Trades come out of order, and an older one must not open what is closed."""
        seen = Seen()
        seen.forget_until(at(50))
        seen.forget_until(at(40))

        assert not seen.knows(at(50))
        assert seen.missing([trade(45), trade(50), trade(51)], from_at=at(0)) == [trade(51)]

    @given(
        history=histories(),
        cuts=st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted),
        wider_ms=st.tuples(st.integers(0, 5), st.integers(0, 5)),
        order=st.randoms(use_true_random=False),
    )
    def test_live_part_hole_and_overlapping_fetch_give_back_the_history(
        self, history: list[Trade], cuts: list[int], wider_ms: tuple[int, int], order: Any
    ):
        """None twice, none missing, in time order, however many of them are equal."""
        lost, back = (min(cut, len(history)) for cut in cuts)
        before, after = history[:lost], history[back:]
        seen = Seen()
        for known in filter(None, map(identity, before)):
            seen.add(known)
        # A fetch has whole moments, at least from the last that was seen to the first that was pushed again.
        since_at = (before[-1].traded_at if before else None) or at(0)
        until_at = (after[0].traded_at if after else None) or at(99)
        fetched = [
            one
            for one in history
            if one.traded_at is not None and since_at - ms(wider_ms[0]) <= one.traded_at <= until_at + ms(wider_ms[1])
        ]
        order.shuffle(fetched)

        missing = seen.missing(fetched, after, from_at=since_at)
        given_out = in_time_order([*before, *missing, *after])

        assert missing == in_time_order(missing)
        assert identities(given_out) == identities(history)
        assert [one.traded_at for one in given_out] == [one.traded_at for one in history]


class TestPages:
    """Pages of one history that overlap."""

    @given(history=histories(), sizes=st.lists(st.integers(1, 9), max_size=9), order=st.randoms(use_true_random=False))
    def test_pages_give_back_the_history(self, history: list[Trade], sizes: list[int], order: Any):
        """Each page begins with the whole of the last moment of the one before, which may be cut through."""
        pages: list[list[Trade]] = []
        begin = 0
        for size in sizes:
            pages.append(history[begin : begin + size])
            last_at = pages[-1][-1].traded_at if pages[-1] else None
            begin = next((number for number, one in enumerate(history) if one.traded_at == last_at), begin)
        pages.append(history[begin:])
        order.shuffle(pages)

        together = united(pages)

        assert identities(together) == identities(history)
        assert [one.traded_at for one in together] == [one.traded_at for one in history]

    def test_of_a_moment_that_is_cut_through_the_fuller_page_counts(self):
        """Added up, they would give trades that never were."""
        together = united([[trade(1), trade(2), trade(2)], [trade(2), trade(2), trade(2), trade(3)]])

        assert together == [trade(1), trade(2), trade(2), trade(2), trade(3)]

    def test_order_of_pages_does_not_matter(self):
        """The newest one comes first."""
        assert united([[trade(3)], [trade(1), trade(2)]]) == [trade(1), trade(2), trade(3)]
