"""Past trades and bars over REST: what they give, how often they are asked for, and when they are asked for twice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.channels import INTERVALS
from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import Trade
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.pacing import Pacing
from lbank_ws.trading.rest import BAR_TYPES, Rest
from tests.raw_server import RawServer
from tests.samples import sample

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
PAIR = "btc_usdt"
LONG_AGO = datetime(2025, 12, 31, 23, tzinfo=timezone.utc)
SHORT = ("1min", "5min", "15min", "30min")
ROW = {"quoteQty": 2.0, "price": 2, "qty": 1, "id": "3f", "time": 1772334000388, "isBuyerMaker": False}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Give a market that has gone on for 20 minutes and stands still."""
    with Sandbox(seed=1, speed=0, pairs=[PAIR]) as box:
        box.step(1200)
        yield box


@pytest.fixture
def rest(box: Sandbox) -> Iterator[Rest]:
    rest = Rest(box.rest_url)
    yield rest
    rest.close()


def at(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def made(box: Sandbox) -> list[tuple[datetime, Decimal, Decimal, Decimal, str]]:
    """Give the trades of the exchange's own log."""
    return [
        (
            at(each.traded_at_ms),
            each.listing.price_of(each.price),
            each.listing.amount_of(each.volume),
            each.listing.value_of(each.value),
            each.side,
        )
        for each in box.truth.trades(PAIR)
    ]


def told(trades: list[Trade]) -> list[tuple[datetime | None, Decimal, Decimal, Decimal | None, str]]:
    return [(each.traded_at, each.price, each.amount, each.value, each.side) for each in trades]


def answer(data: object) -> bytes:
    body = json.dumps({"result": "true", "error_code": 0, "ts": 1772335196000, "data": data}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Answers:
    """Gives each request the next answer; an empty one hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __call__(self, sock: socket.socket, server: RawServer) -> None:
        while True:
            server.request(sock)
            reply = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if not reply:
                return
            sock.sendall(reply)


class TestTrades:
    """What was traded."""

    def test_newest_trades_are_those_of_the_exchange(self, box: Sandbox, rest: Rest):
        """Exact to the last digit, or one that was seen would not be recognised."""
        trades = rest.trades(PAIR)

        assert len(trades) == 500
        assert told(trades) == made(box)[-500:]

    def test_trades_after_a_moment_are_the_first_that_followed_it(self, box: Sandbox, rest: Rest):
        """So a hole of more than 500 is filled page by page."""
        everything = made(box)[-2000:]  # the practice exchange remembers no more
        start_at = everything[100][0]

        trades = rest.trades(PAIR, size=50, after=start_at)

        assert told(trades) == [each for each in everything if each[0] > start_at][:50]

    def test_a_fetched_trade_says_so(self, rest: Rest):
        """Who measures how old pushes are leaves it out."""
        (trade,) = rest.trades(PAIR, size=1)

        assert (trade.source, trade.raw, trade.order_type) == ("backfill", "", None)
        assert trade.exchange_at is not None
        assert abs(trade.received_ns / 1e9 - time.time()) < 60

    def test_sample_of_the_exchange_is_read(self):
        """A maker who buys was hit by a seller."""
        frame = sample("rest", "trades").frame.encode()
        with RawServer(Answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(frame) + frame)) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            trades = rest.trades(PAIR, size=3, after=at(1772334000000))
            rest.close()
            asked = server.requests[0].split(b" ")[1]

        assert asked == b"/v2/supplement/trades.do?symbol=btc_usdt&size=3&time=1772334000000"
        assert told(trades)[0] == (
            at(1772334000388),
            Decimal("67617.82"),
            Decimal("0.01849"),
            Decimal("1250.2534918"),
            "sell",
        )
        assert [each.side for each in trades] == ["sell", "buy", "buy"]

    def test_trades_come_in_time_order_whatever_the_exchange_does(self):
        """Their order is not documented."""
        rows = [{**ROW, "time": 1772334000000 + ms} for ms in (5, 1, 9, 5)]
        with RawServer(Answers(answer(rows))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            moments = [each.traded_at for each in rest.trades(PAIR)]
            rest.close()

        assert moments == [at(1772334000000 + ms) for ms in (1, 5, 5, 9)]

    @pytest.mark.parametrize(
        "data",
        [
            None,
            {},
            "x",
            [5],
            [[]],
            [{}],
            [{**ROW, "isBuyerMaker": "true"}],
            [{**ROW, "price": -1}],
            [{**ROW, "price": "NaN"}],
            [{**ROW, "time": None}],
            [{**ROW, "time": "now"}],
            [{**ROW, "time": 10**30}],
            [{**ROW, "quoteQty": "x"}],
            [ROW, {}],
        ],
    )
    def test_answer_that_is_none_is_a_failure(self, data: object):
        """Half an answer, taken as a whole one, would be a hole that nobody knows of."""
        with RawServer(Answers(answer(data))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed, match="the answer cannot be read"):
                rest.trades(PAIR)
            rest.close()


class TestKlines:
    """Past bars."""

    @pytest.mark.parametrize("interval", BAR_TYPES)
    def test_bars_are_those_of_the_exchange(self, interval: str, box: Sandbox, rest: Rest):
        """They replace what was pushed before a drop."""
        bars = rest.klines(PAIR, interval, start_at=LONG_AGO - timedelta(days=0 if interval in SHORT else 40))

        opened = [bar.opened_at for bar in bars]
        assert opened == sorted(set(opened))
        newest = bars[-1]
        trades = [
            each for each in made(box) if each[0] >= max(newest.opened_at, datetime(2026, 1, 1, tzinfo=timezone.utc))
        ]
        assert newest.close == (trades or made(box))[-1][1]
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        assert {(bar.pair, bar.interval, bar.source, bar.turnover, bar.trades) for bar in bars} == {
            (PAIR, interval, "backfill", None, None)
        }

    def test_every_interval_but_the_year_has_a_name(self, rest: Rest):
        """A new one must not be forgotten here."""
        assert set(INTERVALS) - set(BAR_TYPES) == {"year"}
        with pytest.raises(UsageError, match="REST has no bars of year; write one of: 1min, "):
            rest.klines(PAIR, "year", start_at=LONG_AGO)

    def test_bars_begin_and_end_where_they_are_asked_to(self, rest: Rest):
        """Both ends included."""
        start_at = datetime(2026, 1, 1, 0, 3, tzinfo=timezone.utc)

        bars = rest.klines(PAIR, "1min", start_at=start_at, end_at=start_at + timedelta(minutes=4))

        assert [bar.opened_at for bar in bars] == [start_at + timedelta(minutes=number) for number in range(5)]
        assert len(rest.klines(PAIR, "1min", start_at=start_at, size=2)) == 2

    def test_sample_of_the_exchange_is_read(self):
        """It is its own documentation's."""
        frame = sample("rest", "kline").frame.encode()
        with RawServer(Answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(frame) + frame)) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            bars = rest.klines(PAIR, "day", start_at=at(1769875200_000))
            rest.close()
            asked = server.requests[0].split(b" ")[1]

        assert asked == b"/v2/kline.do?symbol=btc_usdt&size=2000&type=day1&time=1769875200"
        first = bars[0]
        assert (first.opened_at, first.open, first.high) == (
            at(1769875200_000),
            Decimal("81300.5"),
            Decimal("82110.88"),
        )
        assert (first.low, first.close, first.volume) == (
            Decimal("75855.7"),
            Decimal("77594.65"),
            Decimal("16848.64871"),
        )
        assert len(bars) == 3

    @pytest.mark.parametrize(
        "data", [None, [5], [[]], [[1, 2, 3, 4, 5]], [["x", 1, 1, 1, 1, 1]], [[1, 1, 1, 1, None, 1]]]
    )
    def test_answer_that_is_none_is_a_failure(self, data: object):
        """Half an answer, taken as a whole one, would be a hole that nobody knows of."""
        with RawServer(Answers(answer(data))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed, match="the answer cannot be read"):
                rest.klines(PAIR, "1min", start_at=at(0))
            rest.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda rest: rest.trades("BTC/USDT"),
        lambda rest: rest.trades(PAIR, size=0),
        lambda rest: rest.trades(PAIR, size=501),
        lambda rest: rest.trades(PAIR, size=True),
        lambda rest: rest.trades(PAIR, after=datetime(2026, 1, 1)),  # noqa: DTZ001 - that is what is refused
        lambda rest: rest.klines("btc&size=9_usdt", "1min", start_at=LONG_AGO),
        lambda rest: rest.klines(PAIR, "2min", start_at=LONG_AGO),
        lambda rest: rest.klines(PAIR, "1min", start_at=LONG_AGO, size=2001),
        lambda rest: rest.klines(PAIR, "1min", start_at=LONG_AGO.replace(tzinfo=None)),
        lambda rest: rest.klines(PAIR, "1min", start_at=LONG_AGO, end_at=LONG_AGO.replace(tzinfo=None)),
    ],
)
def test_mistake_of_the_caller_is_told_before_anything_is_sent(call: Any):
    """The exchange's own words would be `Validation failed`."""
    with RawServer(Answers(answer([]))) as server:
        rest = Rest(f"http://127.0.0.1:{server.port}")
        with pytest.raises(UsageError):
            call(rest)

        assert server.connections == 0


class TestOftenEnough:
    """How often is asked."""

    def test_a_read_of_the_past_is_sent_again_when_the_connection_breaks(self):
        """It changes nothing, so twice does no harm."""
        with RawServer(Answers(b"", b"", answer([ROW]))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            assert len(rest.trades(PAIR)) == 1
            rest.close()

            assert len(server.requests) == 3

    def test_it_is_not_sent_again_for_ever(self):
        """Three times are enough; then the caller decides."""
        with RawServer(Answers(b"")) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed, match="the connection broke"):
                rest.trades(PAIR)

            assert len(server.requests) == 3

    def test_what_measures_time_is_sent_once(self):
        """A round trip that holds two tells the wrong time."""
        with RawServer(Answers(b"", answer(1772335196000))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed):
                rest.time_ms()

            assert len(server.requests) == 1
            rest.close()

    @pytest.mark.parametrize("status", [b"503 Service Unavailable\r\nRetry-After: 0", b"429 Too Many Requests"])
    def test_a_bad_status_is_an_answer(self, status: bytes):
        """Who is told to stay away does not ask twice more."""
        reply = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        with RawServer(Answers(reply)) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed, match="HTTP "):
                rest.trades(PAIR)
            rest.close()

            assert len(server.requests) == 1

    def test_all_tries_share_one_deadline(self):
        """A caller who has 0.4 s does not have 1.2."""

        def slow(sock: socket.socket, server: RawServer) -> None:
            server.request(sock)
            server.ended.wait(0.25)

        with RawServer(slow) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}", timeout_s=0.4)
            began_s = time.monotonic()
            with pytest.raises(RestFailed, match=r"no (whole )?answer within 0\.4 s"):
                rest.trades(PAIR)

            assert time.monotonic() - began_s < 0.7

    def test_call_waits_for_its_turn(self, monkeypatch: pytest.MonkeyPatch):
        """The exchange bans who asks too often."""
        monkeypatch.setattr("lbank_ws.trading.calling.Pacing", lambda: Pacing(3, -0.3))  # with its margin 0.2 s
        with RawServer(Answers(answer([ROW]))) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            began_s = time.monotonic()
            for _ in range(7):
                rest.trades(PAIR)
            took_s = time.monotonic() - began_s
            rest.close()

        assert 0.4 <= took_s < 1.5

    def test_too_frequent_is_obeyed(self):
        """Asking on keeps the ban alive."""
        refusal = json.dumps({"result": "false", "error_code": 10004, "msg": "Request too frequent"}).encode()
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(refusal) + refusal
        with RawServer(Answers(reply)) as server:
            rest = Rest(f"http://127.0.0.1:{server.port}")
            with pytest.raises(RestFailed, match="Request too frequent"):
                rest.trades(PAIR)
            with pytest.raises(
                RestFailed, match=r"not sent, because 200 calls in 10 s are allowed; the next may leave in"
            ):
                rest.time_ms()
            rest.close()

            assert len(server.requests) == 1
        assert 9 < rest.wait_s() <= 10.5

    def test_limit_of_the_practice_exchange_is_kept(self):
        """Two hundred calls are answered, and no more are sent in the same 10 s."""
        with Sandbox(seed=1, speed=0, pairs=[PAIR]) as box:
            rest = Rest(box.rest_url, timeout_s=2)
            for _ in range(200):
                rest.time_ms()
            with pytest.raises(RestFailed, match="not sent"):
                rest.time_ms()
            rest.close()
