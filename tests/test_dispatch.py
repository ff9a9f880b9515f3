"""Which callback hears what, in which order, and what happens when it raises, is slow or never returns."""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

import lbank_ws
from lbank_ws.callbacks import Callbacks
from lbank_ws.causes import Cause, Flaw
from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import (
    CallbackError,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    LBankError,
    Refused,
    SlowCallback,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.events import Depth, Event, Gap, Receipt, Status, Ticker, Trade
from lbank_ws.feed import dispatch as dispatch_module
from lbank_ws.feed import logbook
from lbank_ws.feed.dispatch import Dispatch, name_of
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.reaction import Reaction
from lbank_ws.wire import Push, dialect_named
from tests.blocks import ROOT, Shape, blocks
from tests.test_session import push
from tests.waiting import wait_until

BTC_TRADE = topic("trade", "btc_usdt")
ETH_TRADE = topic("trade", "eth_usdt")
BTC_TICKER = topic("ticker", "btc_usdt")
BTC_DEPTH = topic("depth", "btc_usdt", levels=100)
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
OPENED = Status(kind="opened", at=NOW)
DEADLINE_S = 5.0
PAGE = ROOT / "docs" / "howto" / "slow-callbacks.md"


def trade(number: int = 1, pair: str = "btc_usdt") -> Trade:
    """Give a trade that can be told from others by its price; of these each waits for its callback."""
    return Trade(pair=pair, price=Decimal(number), amount=Decimal(1), value=None, side="buy", receipt=received(number))


def ticker(number: int = 1, pair: str = "btc_usdt") -> Ticker:
    """Give a ticker that can be told from others by its price; of these the newest waits."""
    return Ticker(pair=pair, last=Decimal(number), receipt=received(number))


def received(number: int) -> Receipt:
    """Give a receipt, so many seconds after `NOW`."""
    return Receipt(ns=int((NOW.timestamp() + number) * 1e9))


def brought(*events: Event, wanted: Topic = BTC_TRADE) -> Reaction:
    """Give what a line hands on when these came."""
    return Reaction(events=[(wanted, event) for event in events])


class Held:
    """A callback that stays inside until it is released."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)
        self.entered.set()
        self.released.wait(30)


@pytest.fixture
def make_dispatch() -> Iterator[Callable[..., Dispatch]]:
    """Give a maker of running dispatches, each ended with the test."""
    made = []

    def make(**options: Any) -> Dispatch:
        made.append(Dispatch(Logbook(), **options))
        made[-1].start()
        return made[-1]

    yield make
    for dispatch in made:
        dispatch.stop()
        assert dispatch.join(DEADLINE_S)


@pytest.fixture
def dispatch(make_dispatch: Callable[..., Dispatch]) -> Dispatch:
    """Give a running dispatch."""
    return make_dispatch()


@pytest.fixture
def held() -> Iterator[Held]:
    """Give a callback that stays inside, and let it go when the test ends."""
    callback = Held()
    yield callback
    callback.released.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give the clock of the dispatch and its logbook, which stands still until a test moves it."""
    standing = SimpleNamespace(now_s=1000.0)
    for module in (dispatch_module, logbook):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: standing.now_s))
    return standing


def finish(dispatch: Dispatch) -> None:
    """Let every callback run that was queued."""
    dispatch.stop()
    assert dispatch.join(DEADLINE_S), "the callbacks did not end"


class TestWhoIsCalled:
    """Routes and order."""

    def test_events_come_in_order(self, dispatch: Dispatch):
        """A later price must never be overwritten by an earlier one."""
        heard: list[Trade] = []
        dispatch.on_topic(BTC_TRADE, heard.append)

        for number in range(1000):
            dispatch.put(brought(trade(number)))
        finish(dispatch)

        assert [int(event.price) for event in heard] == list(range(1000))

    def test_callbacks_of_a_topic_and_of_its_channel_all_hear_it(self, dispatch: Dispatch):
        """First those of the topic, then those of the channel, each in the order of registration."""
        heard: list[str] = []
        dispatch.on_channel(Channel.TRADE, lambda _: heard.append("every trade"))
        dispatch.on_channel(Channel.TICKER, lambda _: heard.append("every ticker"))
        dispatch.on_topic(BTC_TRADE, lambda _: heard.append("first"))
        dispatch.on_topic(BTC_TRADE, lambda _: heard.append("second"))
        dispatch.on_topic(ETH_TRADE, lambda _: heard.append("other pair"))

        dispatch.put(brought(trade()))
        finish(dispatch)

        assert heard == ["first", "second", "every trade"]

    def test_removed_callback_hears_no_more(self, dispatch: Dispatch):
        """And only that one is removed."""
        gone: list[Trade] = []
        stays: list[Trade] = []
        # A method is made anew each time that it is named.
        removed = gone.append
        dispatch.on_topic(BTC_TRADE, removed)
        dispatch.on_topic(BTC_TRADE, stays.append)
        dispatch.off_topic(BTC_TRADE, removed)
        dispatch.off_topic(ETH_TRADE, removed)

        dispatch.put(brought(trade()))
        finish(dispatch)

        assert (len(gone), len(stays)) == (0, 1)

    def test_statuses_and_faults_go_to_their_own_callbacks(self, dispatch: Dispatch):
        """`on_error` hears no status, `on_status` no fault."""
        statuses: list[Status] = []
        faults: list[LBankError] = []
        refusal = SubscriptionRefused("ticker/x_usdt", None, "no")
        dispatch.on_status(statuses.append)
        dispatch.on_error(faults.append)

        dispatch.put(Reaction(statuses=[OPENED], faults=[refusal]))
        finish(dispatch)

        assert statuses == [OPENED]
        assert faults == [refusal]

    def test_callbacks_run_on_one_named_thread(self, dispatch: Dispatch):
        """Beginners' callbacks are not thread-safe; the name shows in their logs."""
        names: list[str] = []
        dispatch.on_topic(BTC_TRADE, lambda _: names.append(threading.current_thread().name))
        dispatch.on_status(lambda _: names.append(threading.current_thread().name))

        dispatch.put(brought(trade(), trade()))
        dispatch.put(Reaction(statuses=[OPENED]))
        finish(dispatch)

        assert names == ["lbank-ws-dispatch"] * 3

    def test_callback_may_register_another(self, dispatch: Dispatch):
        """It hears the next event; the one that is being handed out is not handed out twice."""
        heard: list[Trade] = []

        def register(_: Trade) -> None:
            dispatch.on_topic(BTC_TRADE, heard.append)

        dispatch.on_topic(BTC_TRADE, register)
        dispatch.put(brought(trade(1), trade(2)))
        finish(dispatch)

        assert [int(event.price) for event in heard] == [2]

    @pytest.mark.parametrize(
        ("callback", "name"),
        [
            (print, "print"),
            (Held.__call__, "Held.__call__"),
            (functools.partial(print, 1), "functools.partial(<built-in function print>, 1)"),
        ],
        ids=["function", "method", "partial"],
    )
    def test_every_callback_has_a_name(self, callback: Callable[..., object], name: str):
        """An error says which one it was."""
        assert name_of(callback) == name


class TestRaisingCallbacks:
    """A callback's error stops neither the others nor the feed."""

    def test_error_reaches_on_error_and_the_others_still_run(self, dispatch: Dispatch):
        """With the callback's name, what it was called with, and its own exception, traceback and all."""
        faults: list[LBankError] = []
        heard: list[Trade] = []

        def clumsy(event: Trade) -> None:
            raise ZeroDivisionError("oh")

        dispatch.on_topic(BTC_TRADE, clumsy)
        dispatch.on_topic(BTC_TRADE, heard.append)
        dispatch.on_error(faults.append)

        dispatch.put(brought(trade(1), trade(2)))
        finish(dispatch)

        assert [int(event.price) for event in heard] == [1, 2]
        assert len(faults) == 2
        fault = faults[0]
        assert isinstance(fault, CallbackError)
        assert fault.callback.endswith("clumsy")
        assert fault.event == trade(1)
        assert isinstance(fault.__cause__, ZeroDivisionError)
        assert fault.__cause__.__traceback__ is not None
        assert fault.__cause__.__traceback__.tb_next is not None
        assert fault.__cause__.__traceback__.tb_next.tb_frame.f_code.co_name == "clumsy"

    def test_every_on_error_hears_it(self, dispatch: Dispatch):
        """And one that raises does not keep it from the next."""
        faults: list[LBankError] = []

        def clumsy(_: object) -> None:
            raise ValueError("oh")

        dispatch.on_topic(BTC_TRADE, clumsy)
        dispatch.on_error(clumsy)
        dispatch.on_error(faults.append)

        dispatch.put(brought(trade()))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [CallbackError]

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    def test_sys_exit_in_a_callback_does_not_end_the_callbacks(self, dispatch: Dispatch, error: BaseException):
        """It would end the thread without a word, and leave a client that runs and calls nobody."""
        faults: list[LBankError] = []
        heard: list[Trade] = []

        def leave(event: Trade) -> None:
            heard.append(event)
            raise error

        dispatch.on_topic(BTC_TRADE, leave)
        dispatch.on_error(faults.append)

        dispatch.put(brought(trade(1), trade(2)))
        finish(dispatch)

        assert [int(event.price) for event in heard] == [1, 2]
        assert [fault.__cause__ for fault in faults] == [error, error]

    def test_status_callback_that_raises_is_reported_too(self, dispatch: Dispatch):
        """Its event is the status."""
        faults: list[LBankError] = []

        def clumsy(_: Status) -> None:
            raise ValueError("oh")

        dispatch.on_status(clumsy)
        dispatch.on_error(faults.append)

        dispatch.put(Reaction(statuses=[OPENED]))
        finish(dispatch)

        assert [fault.event for fault in faults if isinstance(fault, CallbackError)] == [OPENED]

    def test_level_that_cannot_be_read_is_the_exchanges_fault(self, dispatch: Dispatch):
        """Levels become numbers when a callback looks at them; that one is not to blame, and later ones are fine."""
        faults: list[LBankError] = []
        bids: list[object] = []
        message = dialect_named("v2").decode(push(BTC_DEPTH).replace('"1161.58"', '"a lot"'), Receipt())
        assert isinstance(message, Push)
        dispatch.on_topic(BTC_DEPTH, lambda event: event.best_ask)
        dispatch.on_topic(BTC_DEPTH, lambda event: bids.append(event.best_bid))
        dispatch.on_error(faults.append)

        dispatch.put(Reaction(events=[(BTC_DEPTH, message.events[0])]))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [DecodeError]
        assert len(bids) == 1


class TestLog:
    """Without on_error the log is all that the user sees, and it must not fill a disk."""

    def test_fault_without_on_error_is_logged_with_name_and_traceback(
        self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
    ):
        """A beginner who has no on_error must still see the mistake."""

        def clumsy(_: Trade) -> None:
            raise ZeroDivisionError("oh")

        dispatch.on_topic(BTC_TRADE, clumsy)
        dispatch.put(brought(trade()))
        finish(dispatch)

        (record,) = caplog.records
        assert (record.name, record.levelno) == ("lbank_ws", logging.ERROR)
        assert "clumsy" in record.getMessage()
        assert record.exc_info is not None
        assert "in clumsy" in caplog.text
        assert "ZeroDivisionError: oh" in caplog.text

    def test_the_same_fault_is_logged_once_a_minute_with_a_count(
        self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture, clock: SimpleNamespace
    ):
        """A thousand errors a second are one line a minute (N17)."""
        errors = [ZeroDivisionError, KeyError]

        def clumsy(event: Trade) -> None:
            raise errors[int(event.price)]

        def also_clumsy(_: Trade) -> None:
            raise KeyError

        dispatch.on_topic(BTC_TRADE, clumsy)
        dispatch.on_topic(ETH_TRADE, also_clumsy)
        for moment_s, numbers in [(1000.0, [0] * 500 + [1]), (1059.9, [0]), (1060.0, [0]), (1060.1, [0])]:
            wait_until(lambda: dispatch.waiting == 0)
            settled = threading.Event()
            clock.now_s = moment_s
            dispatch.put(brought(*map(trade, numbers)))
            dispatch.put(brought(trade(0, "eth_usdt"), wanted=ETH_TRADE))
            dispatch.on_status(lambda _, settled=settled: settled.set())
            dispatch.put(Reaction(statuses=[OPENED]))
            assert settled.wait(DEADLINE_S)
        finish(dispatch)

        lines = [record.getMessage() for record in caplog.records]
        assert len([line for line in lines if "ZeroDivisionError" in line]) == 2
        assert [line.partition("(docs: errors#callbackerror)")[2] for line in lines if "ZeroDivisionError" in line] == [
            "",
            " (and 500 more like it since the last such line)",
        ]
        # Another error of the same callback and another callback are other kinds.
        assert len([line for line in lines if ".clumsy" in line and "KeyError" in line]) == 1
        assert len([line for line in lines if "also_clumsy" in line]) == 2

    def test_on_error_keeps_the_log_quiet(self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture):
        """Whoever takes the faults decides what to print."""
        dispatch.on_error(lambda _: None)

        dispatch.put(Reaction(faults=[DecodeError("it is not JSON", "{")]))
        finish(dispatch)

        assert caplog.records == []

    def test_on_error_that_raises_is_logged_and_not_called_with_its_own_error(
        self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
    ):
        """Else one mistake would call it for ever."""
        called: list[LBankError] = []

        def clumsy_reporter(fault: LBankError) -> None:
            called.append(fault)
            raise ZeroDivisionError("oh")

        dispatch.on_error(clumsy_reporter)
        dispatch.put(Reaction(faults=[Refused(1, "no")]))
        finish(dispatch)

        assert [type(fault) for fault in called] == [Refused]
        (record,) = caplog.records
        assert "clumsy_reporter" in record.getMessage()
        assert "ZeroDivisionError: oh" in caplog.text

    def test_on_error_that_raises_what_it_is_given_is_logged_under_its_name(
        self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
    ):
        """The frame was read by nobody there, so it is not the exchange's fault."""

        def strict(fault: LBankError) -> None:
            raise fault

        dispatch.on_error(strict)
        dispatch.put(Reaction(faults=[DecodeError("it is not JSON", "{")]))
        finish(dispatch)

        (record,) = caplog.records
        assert "strict' raised DecodeError" in record.getMessage()

    def test_each_refused_topic_is_logged(self, caplog: pytest.LogCaptureFixture, clock: SimpleNamespace):
        """Two misspelt pairs in one script are two lines, in whatever second they come."""
        book = Logbook()
        for pair in ["xbt_usdt", "eht_usdt", "xbt_usdt"]:
            book.fault(SubscriptionRefused(f"ticker/{pair}", None, "no"))

        assert ["xbt_usdt" in record.getMessage() for record in caplog.records] == [True, False]

    def test_dials_that_fail_for_an_hour_are_a_line_a_minute(
        self, caplog: pytest.LogCaptureFixture, clock: SimpleNamespace
    ):
        """An outage must not fill a disk (N05)."""
        book = Logbook()
        caplog.set_level(logging.INFO)
        lost = ConnectionLost(Cause.UNREACHABLE, "no route")
        for second in range(0, 3600, 5):
            clock.now_s = 1000.0 + second
            book.status(Status(kind="failed", at=NOW, cause=lost, attempts=second // 5, host="api.lbkex.com"))

        assert len(caplog.records) == 60
        assert "attempt 12," in caplog.records[1].getMessage()

    def test_flapping_line_is_a_line_a_minute_of_each_kind(
        self, caplog: pytest.LogCaptureFixture, clock: SimpleNamespace
    ):
        """The losses in between are counted."""
        book = Logbook()
        caplog.set_level(logging.INFO)
        lost = ConnectionLost(Cause.CLOSED, "code 1000")
        for second in range(0, 120, 2):
            clock.now_s = 1000.0 + second
            book.status(Status(kind="lost", at=NOW, cause=lost, host="api.lbkex.com"))
            book.status(Status(kind="reconnected", at=NOW, outage_s=0.5, host="api.lbkex.com"))

        assert [record.getMessage() for record in caplog.records] == [
            "lost the line to api.lbkex.com (closed: code 1000)",
            "back on api.lbkex.com after 0.5 s",
            "lost the line to api.lbkex.com (closed: code 1000) (and 29 more like it since the last such line)",
            "back on api.lbkex.com after 0.5 s",
        ]


class TestFullQueue:
    """The queue is bounded, and what it cannot take is counted."""

    def test_dropped_events_are_counted_and_reported(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """The first that were queued stay, in order; the count is exact."""
        faults: list[EventsDropped] = []
        dispatch = make_dispatch(limit=10)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.on_error(faults.append)
        dispatch.put(brought(trade(0)))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(*(trade(number) for number in range(1, 18))))
        dropped, waiting = dispatch.dropped, dispatch.waiting
        held.released.set()
        wait_until(lambda: faults, what="the report, while the feed goes on")
        finish(dispatch)

        assert (dropped, waiting) == (7, 10)
        assert [int(event.price) for event in held.events] == list(range(11))
        assert [fault.count for fault in faults] == [7]

    def test_reports_add_up_whatever_the_threads_do(self, make_dispatch: Callable[..., Dispatch]):
        """Several lines and a slow callback at once: heard, replaced, dropped and reported are all there is."""
        heard: list[Event] = []
        faults: list[EventsDropped] = []
        gaps: list[Gap] = []
        dispatch = make_dispatch(limit=5)
        dispatch.on_topic(BTC_TRADE, heard.append)
        dispatch.on_topic(BTC_TICKER, heard.append)
        dispatch.on_error(faults.append)
        dispatch.on_gap(gaps.append)

        def feed() -> None:
            for number in range(3000):
                dispatch.put(Reaction(events=[(BTC_TRADE, trade(number)), (BTC_TICKER, ticker(number))]))

        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        lines = [threading.Thread(target=feed) for _ in range(4)]
        for line in lines:
            line.start()
        for line in lines:
            line.join(DEADLINE_S)
        finish(dispatch)
        sys.setswitchinterval(interval_s)

        assert len(heard) + dispatch.merged + dispatch.dropped == 24_000
        assert sum(fault.count for fault in faults) == dispatch.dropped
        assert sum(gap.missed or 0 for gap in gaps) == dispatch.dropped
        assert dispatch.dropped > 0
        assert dispatch.merged > 0

    def test_put_never_blocks_and_memory_is_bounded(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """A callback that never returns must not stop the pongs, nor eat the machine (N16)."""
        dispatch = make_dispatch(limit=100)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)
        one = brought(trade())
        began_s = time.monotonic()

        for _ in range(50_000):
            dispatch.put(one)
        for _ in range(1000):
            dispatch.put(Reaction(statuses=[OPENED], faults=[Refused(None, "no")]))

        assert time.monotonic() - began_s < DEADLINE_S
        assert dispatch.waiting <= 200
        assert dispatch.dropped + dispatch.waiting == 52_000

    def test_full_queue_still_takes_a_status(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """That the line is gone matters most to those who are behind."""
        statuses: list[Status] = []
        dispatch = make_dispatch(limit=3)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.on_status(statuses.append)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)
        dispatch.put(brought(*map(trade, range(5))))

        dispatch.put(Reaction(statuses=[OPENED]))
        held.released.set()
        finish(dispatch)

        assert statuses == [OPENED]
        assert dispatch.dropped == 2

    def test_callback_that_never_returns_stops_nothing_and_eats_nothing(
        self,
        make_dispatch: Callable[..., Dispatch],
        held: Held,
        clock: SimpleNamespace,
        caplog: pytest.LogCaptureFixture,
    ):
        """The socket thread goes on reading for a day, and the log says whose fault it is (N16)."""
        dispatch = make_dispatch()
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.put(brought(ticker(), wanted=BTC_TICKER))
        assert held.entered.wait(DEADLINE_S)
        one = Reaction(events=[(BTC_TICKER, ticker()), (BTC_TRADE, trade()), (ETH_TRADE, trade(pair="eth_usdt"))])
        for _ in range(20_000):  # the queue is full
            dispatch.put(one)
        clock.now_s += 1.5
        tracemalloc.start()
        began_s = time.monotonic()

        for _ in range(180_000):
            dispatch.put(one)

        took_s, grown = time.monotonic() - began_s, tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert dispatch.waiting == 10_000
        assert dispatch.merged == 199_999
        assert dispatch.dropped == 400_000 - 9_999
        assert grown < 100_000, "bytes"
        assert took_s < 180_000 * 50e-6
        (record,) = [record for record in caplog.records if record.threadName == threading.current_thread().name]
        assert record.getMessage().startswith(f"on_ticker {name_of(held)!r} took 1.5 s, 10000 events waiting")


class TestGapsAndMerging:
    """What the backlog decides reaches the callbacks; its own rules are in test_backlog.py."""

    def test_newest_ticker_is_called_back_and_the_replaced_are_counted(self, dispatch: Dispatch, held: Held):
        """After a slow call the next price is that of now, not of then."""
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.put(brought(ticker(0), wanted=BTC_TICKER))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(*map(ticker, range(1, 5)), wanted=BTC_TICKER))
        waiting = dispatch.waiting
        held.released.set()
        finish(dispatch)

        assert [int(event.last) for event in held.events] == [0, 4]
        assert (waiting, dispatch.merged, dispatch.dropped) == (1, 3, 0)

    def test_policies_are_the_callers(self, make_dispatch: Callable[..., Dispatch]):
        """In the words that a caller writes; a misspelt one is refused."""
        heard: list[Ticker] = []
        dispatch = make_dispatch(policies={"ticker": "keep"})
        dispatch.on_topic(BTC_TICKER, heard.append)

        dispatch.put(brought(*map(ticker, range(5)), wanted=BTC_TICKER))
        finish(dispatch)

        assert [int(event.last) for event in heard] == list(range(5))
        with pytest.raises(UsageError, match="merge, keep"):
            Dispatch(Logbook(), policies={"ticker": "latest"})

    def test_keep_all_calls_every_event_back(self, dispatch: Dispatch):
        """A replay that left tickers out would show another day than the one that was recorded."""
        heard: list[Ticker] = []
        dispatch.on_topic(BTC_TICKER, heard.append)

        dispatch.keep_all()
        dispatch.put(brought(*map(ticker, range(5)), wanted=BTC_TICKER))
        finish(dispatch)

        assert [int(event.last) for event in heard] == list(range(5))

    def test_gap_is_told_before_the_next_event_and_at_the_end(
        self, make_dispatch: Callable[..., Dispatch], held: Held, caplog: pytest.LogCaptureFixture
    ):
        """Whoever adds up sees where something is missing; `stop()` does not swallow the last."""
        heard: list[Any] = []
        faults: list[LBankError] = []
        dispatch = make_dispatch(limit=2)
        dispatch.on_topic(BTC_TRADE, heard.append)
        dispatch.on_topic(ETH_TRADE, held)
        dispatch.on_gap(heard.append)
        dispatch.on_error(faults.append)
        dispatch.put(brought(trade(0), wanted=ETH_TRADE))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(*map(trade, range(1, 6))))
        held.entered.clear()
        held.released.set()
        wait_until(lambda: len(heard) == 3)  # the gap, as nothing else waited
        dispatch.put(Reaction(events=[(BTC_TRADE, trade(each)) for each in range(6, 9)]))
        finish(dispatch)

        gaps = [event for event in heard if isinstance(event, Gap)]
        assert [getattr(event, "missed", None) or int(event.price) for event in heard] == [1, 2, 3, 6, 7, 1]
        assert [(gap.topic, gap.started_at, gap.ended_at) for gap in gaps] == [
            (BTC_TRADE, trade(3).received_at, trade(5).received_at),
            (BTC_TRADE, trade(8).received_at, trade(8).received_at),
        ]
        assert sum(fault.count for fault in faults if isinstance(fault, EventsDropped)) == 4
        assert caplog.records == []

    def test_without_on_gap_the_log_has_the_count_alone(
        self, make_dispatch: Callable[..., Dispatch], held: Held, caplog: pytest.LogCaptureFixture
    ):
        """One line says it; a second would say the same."""
        dispatch = make_dispatch(limit=1)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(*map(trade, range(4))))
        held.released.set()
        finish(dispatch)

        assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["3 events were dropped"]

    def test_gap_callback_that_raises_is_reported_like_any(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """Its event is the gap."""
        faults: list[LBankError] = []
        dispatch = make_dispatch(limit=1)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.on_gap(lambda gap: gap.nothing)
        dispatch.on_error(faults.append)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(trade(), trade()))
        held.released.set()
        finish(dispatch)

        assert [type(fault.event) for fault in faults if isinstance(fault, CallbackError)] == [Gap]

    def test_settle_waits_for_all_that_is_queued(self, dispatch: Dispatch, held: Held):
        """A replay goes on only when the callbacks have seen everything, the one that runs included."""
        heard: list[Trade] = []
        dispatch.on_topic(BTC_TRADE, heard.append)
        dispatch.on_topic(ETH_TRADE, held)
        dispatch.put(brought(trade(1), trade(2)))
        dispatch.put(brought(trade(3), wanted=ETH_TRADE))
        assert held.entered.wait(DEADLINE_S)
        dispatch.put(brought(trade(4)))
        settling = threading.Thread(target=dispatch.settle)
        settling.start()
        wait_until(lambda: dispatch._backlog._calls)  # it has asked
        dispatch.put(brought(trade(5)))

        settling.join(0.1)
        was_settling = settling.is_alive()
        held.released.set()
        settling.join(DEADLINE_S)

        assert was_settling
        assert not settling.is_alive()
        assert [int(event.price) for event in heard[:3]] == [1, 2, 4]

    def test_settle_returns_when_nothing_waits(self, dispatch: Dispatch):
        """It wakes the thread itself; nothing else may come."""
        settling = threading.Thread(target=dispatch.settle)
        wait_until(lambda: dispatch._is_idle)

        settling.start()
        settling.join(DEADLINE_S)

        assert not settling.is_alive()

    def test_settle_ends_with_the_thread(self, dispatch: Dispatch):
        """A client that was stopped settles at once, and one that never started."""
        finish(dispatch)

        dispatch.settle()
        Dispatch(Logbook()).settle()


class Slow:
    """A callback that takes its time, by a clock that nobody else moves."""

    def __init__(self, clock: SimpleNamespace, took_s: float) -> None:
        self._clock = clock
        self._took_s = took_s
        self.__qualname__ = "slow"

    def __call__(self, _: object) -> None:
        self._clock.now_s += self._took_s


def book(fault: Flaw | None = None) -> Depth:
    return Depth(pair="btc_usdt", bids=(), asks=(), levels=100, fault=fault)


BEHIND = Refused(None, "this waits behind it")


class TestSlowCalls:
    """Who lets the others wait is named."""

    @pytest.mark.parametrize(
        ("decorator", "register", "reaction"),
        [
            (
                "on_ticker",
                lambda dispatch, slow: dispatch.on_channel(Channel.TICKER, slow),
                brought(ticker(), wanted=BTC_TICKER),
            ),
            (
                "on_depth",
                lambda dispatch, slow: dispatch.on_topic(BTC_DEPTH, slow),
                brought(book(), wanted=BTC_DEPTH),
            ),
            ("on_trade", lambda dispatch, slow: dispatch.on_topic(BTC_TRADE, slow), brought(trade())),
            ("on_trade", lambda dispatch, slow: dispatch.on_channel(Channel.TRADE, slow), brought(trade())),
            ("on_status", lambda dispatch, slow: dispatch.on_status(slow), Reaction(statuses=[OPENED])),
        ],
    )
    def test_slow_call_is_a_fault_with_name_and_decorator(
        self,
        dispatch: Dispatch,
        clock: SimpleNamespace,
        decorator: str,
        register: Callable[[Dispatch, Slow], None],
        reaction: Reaction,
    ):
        """Of many callbacks it says which, and how many wait because of it."""
        faults: list[LBankError] = []
        dispatch.on_error(faults.append)
        register(dispatch, Slow(clock, 1.5))
        dispatch.on_channel(Channel.TRADE, lambda _: None)

        dispatch.put(Reaction(events=reaction.events, statuses=reaction.statuses, faults=[BEHIND]))
        finish(dispatch)

        assert [str(fault) for fault in faults] == [str(SlowCallback("slow", decorator, 1.5, 1)), str(BEHIND)]

    def test_slow_on_gap_is_named_too(self, make_dispatch: Callable[..., Dispatch], clock: SimpleNamespace):
        """It runs on the same thread as the others."""
        faults: list[LBankError] = []
        dispatch = make_dispatch(limit=2)
        more = {0: [1, 2, 3], 1: [4]}  # 3 finds no room, and 4 waits behind the gap

        @functools.partial(dispatch.on_topic, BTC_TRADE)
        def bring(event: Trade) -> None:
            dispatch.put(brought(*map(trade, more.get(int(event.price), []))))

        dispatch.on_gap(Slow(clock, 1.5))
        dispatch.on_error(faults.append)

        dispatch.put(brought(trade(0)))
        wait_until(lambda: dispatch.dropped and not dispatch.waiting)
        finish(dispatch)

        slow = [fault for fault in faults if isinstance(fault, SlowCallback)]
        assert [(fault.decorator, fault.waiting) for fault in slow] == [("on_gap", 1)]

    @pytest.mark.parametrize(("took_s", "behind"), [(1.0, [BEHIND]), (1.5, [])], ids=["short", "alone"])
    def test_call_that_is_short_or_lets_nobody_wait_is_none(
        self, dispatch: Dispatch, clock: SimpleNamespace, took_s: float, behind: list[LBankError]
    ):
        """A program that works for a minute once a day is fine."""
        faults: list[LBankError] = []
        dispatch.on_error(faults.append)
        dispatch.on_topic(BTC_TRADE, Slow(clock, took_s))

        dispatch.put(Reaction(events=[(BTC_TRADE, trade())], faults=behind))
        dispatch.settle()
        finish(dispatch)

        assert faults == behind

    def test_slow_after_is_the_callers(self, make_dispatch: Callable[..., Dispatch], clock: SimpleNamespace):
        """And each call of a row is measured by itself, what on_error takes in between left out."""
        faults: list[LBankError] = []
        dispatch = make_dispatch(slow_after_s=0.2)

        def clumsy(_: Trade) -> None:
            clock.now_s += 0.15
            raise ValueError("oh")

        def note(fault: LBankError) -> None:
            faults.append(fault)
            clock.now_s += 0.15

        for callback in (clumsy, Slow(clock, 0.15), Slow(clock, 0.25)):
            dispatch.on_topic(BTC_TRADE, callback)
        dispatch.on_error(note)

        dispatch.put(Reaction(events=[(BTC_TRADE, trade())], faults=[BEHIND]))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [CallbackError, SlowCallback, Refused]
        assert isinstance(faults[1], SlowCallback)
        assert faults[1].took_s == pytest.approx(0.25)

    def test_slow_call_that_raises_is_both(self, dispatch: Dispatch, clock: SimpleNamespace):
        """A time-out of the user's own, for example."""
        faults: list[LBankError] = []

        def clumsy(_: Trade) -> None:
            clock.now_s += 2
            raise TimeoutError

        dispatch.on_topic(BTC_TRADE, clumsy)
        dispatch.on_error(faults.append)

        dispatch.put(Reaction(events=[(BTC_TRADE, trade())], faults=[BEHIND]))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [CallbackError, SlowCallback, Refused]

    def test_slow_on_error_is_logged_and_not_called_with_its_own_slowness(
        self, dispatch: Dispatch, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """Else it would be called for ever, and the events would wait behind that."""
        called: list[LBankError] = []

        def note(fault: LBankError) -> None:
            called.append(fault)
            clock.now_s += 2

        dispatch.on_error(note)
        dispatch.put(Reaction(faults=[BEHIND, BEHIND]))
        finish(dispatch)

        assert called == [BEHIND, BEHIND]
        (record,) = caplog.records
        assert record.getMessage().startswith("on_error ")
        assert "note' took 2.0 s, 1 events waiting" in record.getMessage()

    def test_slow_callbacks_are_logged_once_a_minute_each(
        self, dispatch: Dispatch, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """By name and decorator, with the count between."""
        slow = Slow(clock, 12.0)
        dispatch.on_topic(BTC_TRADE, slow)
        dispatch.on_topic(BTC_TICKER, slow)

        dispatch.put(Reaction(events=[*((BTC_TRADE, trade()) for _ in range(7)), (BTC_TICKER, ticker())], faults=[]))
        dispatch.put(Reaction(statuses=[OPENED]))
        finish(dispatch)

        lines = [record.getMessage() for record in caplog.records]
        assert [line.partition(",")[0] for line in lines] == [
            "on_trade 'slow' took 12.0 s",
            "on_trade 'slow' took 12.0 s",
            "on_ticker 'slow' took 12.0 s",
        ]
        assert lines[1].endswith("(and 4 more like it since the last such line)")


class TestCallsThatDoNotReturn:
    """Nobody can be called back while one runs; the socket thread notices."""

    def test_call_that_still_runs_is_logged_from_put_once_a_minute(
        self, dispatch: Dispatch, held: Held, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """With how long so far; a stack of a thousand pushes is not a thousand lines, nor counted as such."""
        faults: list[LBankError] = []
        dispatch.on_error(faults.append)
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)

        for clock.now_s in [1000.5, 1001.0, 1001.5, 1002.0, 1030.0, 1061.4, 1061.6, 1062.0, 1130.0]:
            for _ in range(10):
                dispatch.put(brought(trade()))

        lines = [(record.threadName, record.getMessage()) for record in caplog.records]
        here = threading.current_thread().name
        assert [(name, line.partition(";")[0]) for name, line in lines] == [
            (here, f"on_trade {name_of(held)!r} took 1.5 s, 21 events waiting"),
            (here, f"on_trade {name_of(held)!r} took 61.6 s, 61 events waiting"),
            (here, f"on_trade {name_of(held)!r} took 130.0 s, 81 events waiting"),
        ]
        assert not any("more like it" in line for _, line in lines)
        assert faults == []
        held.released.set()
        finish(dispatch)
        assert [fault.took_s for fault in faults if isinstance(fault, SlowCallback)] == [130.0]
        assert len(caplog.records) == 3

    def test_call_that_was_logged_while_it_ran_is_not_logged_again_in_that_minute(
        self, dispatch: Dispatch, held: Held, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """One call, one line: what it is when it returns is neither logged again nor counted."""
        release, entered = threading.Event(), threading.Event()

        def stuck(event: Trade) -> None:
            entered.set()
            release.wait(30)
            clock.now_s += 59.0 * int(event.price)  # 0 at first

        dispatch.on_topic(BTC_TRADE, stuck)
        dispatch.put(brought(trade(0)))
        assert entered.wait(DEADLINE_S)
        clock.now_s += 2
        dispatch.put(brought(trade(1), trade(1), trade(1), trade(1)))
        release.set()
        finish(dispatch)

        lines = [record.getMessage() for record in caplog.records]
        assert [line.partition("stuck' ")[2].partition(",")[0] for line in lines] == ["took 2.0 s", "took 59.0 s"]
        assert lines[1].endswith("(and 1 more like it since the last such line)"), "the one in between"

    def test_call_that_has_returned_is_not_blamed_for_a_quiet_minute(
        self, dispatch: Dispatch, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """A pair without a trade for a minute says nothing about the callback."""
        dispatch.on_topic(BTC_TRADE, lambda _: None)
        dispatch.put(brought(trade()))
        dispatch.settle()
        clock.now_s += 60

        dispatch.put(brought(trade()))
        finish(dispatch)

        assert caplog.records == []

    def test_call_that_lets_nobody_wait_is_left_alone(
        self, dispatch: Dispatch, held: Held, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ):
        """A put without events, of a ping for example, blames nobody."""
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)
        clock.now_s += 100

        dispatch.put(Reaction())

        assert caplog.records == []

    def test_stop_takes_no_more(self, dispatch: Dispatch, held: Held):
        """What comes behind a stop must not fill a queue that nobody empties."""
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)

        dispatch.stop()
        dispatch.put(brought(trade(), trade()))

        assert dispatch.waiting == 0


class Decorated(Callbacks):
    """The decorators on a dispatch, without a line; it can stand in for the client of a page."""

    def __init__(self, queue_events: int = 10_000, policies: Any = None) -> None:
        self.asked: list[tuple[Topic, ...]] = []
        self._pool: Any = SimpleNamespace(subscribe=lambda *wanted: self.asked.append(wanted))
        self._dispatch = Dispatch(Logbook(), queue_events, policies)

    def heard(self, reaction: Reaction) -> None:
        """Call back with what a line brought."""
        self._dispatch.start()
        self._dispatch.put(reaction)
        finish(self._dispatch)


class TestDecorators:
    """The part of the client that names the callbacks."""

    @pytest.mark.parametrize(
        "use",
        [
            lambda client: client.on_depth("btc_usdt", levels=100, good_only=True),
            lambda client: client.on_depth(good_only=True),
            lambda client: functools.partial(client.on_depth, good_only=True),
        ],
        ids=["pair", "no pair", "bare"],
    )
    def test_good_only_leaves_faulty_books_out(self, use: Callable[[Decorated], Callable[[Any], Any]]):
        """A strategy that must never act on a late or crossed book says so once."""
        client = Decorated(policies={"depth": "keep"})
        good: list[Depth] = []
        every: list[Depth] = []
        callback = good.append

        returned = use(client)(callback)
        client.on_depth(every.append)
        client.heard(brought(book(), book(Flaw.CROSSED), book(Flaw.LATE), book(), wanted=BTC_DEPTH))

        assert [each.fault for each in good] == [None, None]
        assert len(every) == 4
        assert returned is callback

    def test_good_only_callback_keeps_its_name_in_errors(self, clock: SimpleNamespace):
        """Its author must find it."""
        client = Decorated()
        faults: list[Any] = []
        client.on_error(faults.append)

        @client.on_depth("btc_usdt", levels=100, good_only=True)
        def clumsy(_: Depth) -> None:
            clock.now_s += 2
            raise ValueError("oh")

        client.heard(Reaction(events=[(BTC_DEPTH, book())], faults=[BEHIND]))

        assert [type(fault) for fault in faults] == [CallbackError, SlowCallback, Refused]
        assert faults[0].callback == faults[1].callback == clumsy.__qualname__
        assert "in clumsy" in "".join(traceback.format_exception(faults[0].__cause__))

    def test_decorators_subscribe_and_give_the_function_back(self):
        """So that several can stand on one function."""
        client = Decorated()

        @client.on_gap
        @client.on_error
        @client.on_status
        @client.on_ticker
        @client.on_kline("btc_usdt", interval="5min")
        @client.on_trade("btc_usdt", "eth_usdt")
        def heard(event: object) -> None:
            events.append(event)

        events: list[object] = []
        client.heard(Reaction(statuses=[OPENED], events=[(ETH_TRADE, trade(pair="eth_usdt"))], faults=[BEHIND]))

        assert client.asked == [(topic("kline", "btc_usdt", interval="5min"),), (BTC_TRADE, ETH_TRADE)]
        assert events == [OPENED, trade(pair="eth_usdt"), BEHIND]

    def test_on_gap_hears_gaps(self):
        """And nothing else does."""
        client = Decorated(queue_events=1)
        gaps: list[Gap] = []
        others: list[object] = []
        client.on_gap(gaps.append)
        client.on_trade(others.append)
        client.on_status(others.append)

        client.heard(brought(trade(1), trade(2), trade(3)))

        assert [(gap.topic, gap.missed) for gap in gaps] == [(BTC_TRADE, 2)]
        assert others == [trade(1)]


class TestPage:
    """docs/howto/slow-callbacks.md."""

    def test_its_mistake_is_told_as_it_says(
        self, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        """People hold their own output against it."""
        shown = {block.more or block.language: block.text for block in blocks(PAGE)}
        trades = Reaction(events=[(BTC_TRADE, trade(number)) for number in range(1007)])
        monkeypatch.setattr(lbank_ws, "LBankClient", Decorated)
        monkeypatch.setattr(Decorated, "run", lambda client: client.heard(trades), raising=False)
        program = shown["slow.py"].replace("time.sleep(2)", "clock.now_s += 2")
        assert program != shown["slow.py"]

        exec(program, {"clock": clock})

        output = capsys.readouterr().out
        assert Shape(shown["text"]).strangers(output) == []
        assert Shape(shown["text"]).came(output)
        assert "missing: 7 x trade btc_usdt, 00:16:40 to 00:16:46" in output

    def test_its_other_policies_and_its_thread_work(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        """A block that nobody runs is wrong one day."""
        monkeypatch.setattr(lbank_ws, "LBankClient", Decorated)
        monkeypatch.setattr(Decorated, "run", lambda client: client.heard(brought(trade(7))), raising=False)
        programs = {block.more: block.text for block in blocks(PAGE) if block.language == "python"}

        exec(programs[""], {"LBankClient": Decorated})
        exec(programs["handed_over.py"], {})

        printed: list[str] = []

        def is_printed() -> bool:
            printed.append(capsys.readouterr().out)
            return "".join(printed) == "btc_usdt 7 1\n"

        wait_until(is_printed, what="the printed trade")


class TestEnd:
    """How the thread ends."""

    def test_stop_comes_behind_the_last_event(self, dispatch: Dispatch):
        """What was received before stop() is still delivered, what comes later is not."""
        heard: list[Trade] = []
        dispatch.on_topic(BTC_TRADE, heard.append)
        dispatch.put(brought(*map(trade, range(500))))

        dispatch.stop()
        dispatch.put(brought(trade(1000)))
        assert dispatch.join(DEADLINE_S)

        assert [int(event.price) for event in heard] == list(range(500))

    def test_stop_from_a_callback(self, dispatch: Dispatch):
        """It must not wait for itself; what was queued before is still delivered."""
        told: list[tuple[bool, bool]] = []

        def leave(_: Trade) -> None:
            dispatch.stop()
            told.append((dispatch.is_current(), dispatch.join(DEADLINE_S)))

        dispatch.on_topic(BTC_TRADE, leave)
        dispatch.put(brought(trade()))

        wait_until(lambda: told)
        assert dispatch.join(DEADLINE_S)
        assert told == [(True, True)]
        assert not dispatch.is_current()

    def test_callback_that_never_returns_does_not_hold_up_stop(self, dispatch: Dispatch, held: Held):
        """The caller gets its thread back, and hears that a callback still runs (N16)."""
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)
        began_s = time.monotonic()

        dispatch.stop()
        has_ended = dispatch.join(0.1)

        assert not has_ended
        assert 0.1 <= time.monotonic() - began_s < 1

    def test_thread_does_not_keep_the_program_alive(self, dispatch: Dispatch, held: Held):
        """A finished script must end, whatever its callbacks do."""
        dispatch.on_topic(BTC_TRADE, held)
        dispatch.put(brought(trade()))
        assert held.entered.wait(DEADLINE_S)

        (thread,) = [known for known in threading.enumerate() if known.name == "lbank-ws-dispatch"]

        assert thread.daemon

    def test_stopping_what_never_started(self):
        """`with` on a client that failed to start."""
        dispatch = Dispatch(Logbook())

        dispatch.stop()

        assert dispatch.join(0)

    def test_stopping_twice(self, dispatch: Dispatch):
        """`with` calls stop() behind the user's own."""
        dispatch.stop()
        dispatch.stop()

        assert dispatch.join(DEADLINE_S)
