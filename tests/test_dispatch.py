"""Which callback hears what, in which order, and what happens when it raises, is slow or never returns."""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import (
    CallbackError,
    Cause,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    LBankError,
    Refused,
    SubscriptionRefused,
)
from lbank_ws.events import Status, Ticker
from lbank_ws.feed import logbook
from lbank_ws.feed.dispatch import Dispatch, name_of
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.session import Reaction
from lbank_ws.wire import Push, dialect_named
from tests.test_session import push
from tests.waiting import wait_until

BTC_TICKER = topic("ticker", "btc_usdt")
ETH_TICKER = topic("ticker", "eth_usdt")
BTC_DEPTH = topic("depth", "btc_usdt", levels=100)
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
OPENED = Status(kind="opened", at=NOW)
DEADLINE_S = 5.0


def ticker(number: int = 1, pair: str = "btc_usdt") -> Ticker:
    """Give a ticker that can be told from others by its price."""
    return Ticker(pair=pair, last=Decimal(number))


def brought(*events: Ticker, wanted: Topic = BTC_TICKER) -> Reaction:
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


def finish(dispatch: Dispatch) -> None:
    """Let every callback run that was queued."""
    dispatch.stop()
    assert dispatch.join(DEADLINE_S), "the callbacks did not end"


class TestWhoIsCalled:
    """Routes and order."""

    def test_events_come_in_order(self, dispatch: Dispatch):
        """A later price must never be overwritten by an earlier one."""
        heard: list[Ticker] = []
        dispatch.on_topic(BTC_TICKER, heard.append)

        for number in range(1000):
            dispatch.put(brought(ticker(number)))
        finish(dispatch)

        assert [int(event.last) for event in heard] == list(range(1000))

    def test_callbacks_of_a_topic_and_of_its_channel_all_hear_it(self, dispatch: Dispatch):
        """First those of the topic, then those of the channel, each in the order of registration."""
        heard: list[str] = []
        dispatch.on_channel(Channel.TICKER, lambda _: heard.append("every ticker"))
        dispatch.on_channel(Channel.TRADE, lambda _: heard.append("every trade"))
        dispatch.on_topic(BTC_TICKER, lambda _: heard.append("first"))
        dispatch.on_topic(BTC_TICKER, lambda _: heard.append("second"))
        dispatch.on_topic(ETH_TICKER, lambda _: heard.append("other pair"))

        dispatch.put(brought(ticker()))
        finish(dispatch)

        assert heard == ["first", "second", "every ticker"]

    def test_removed_callback_hears_no_more(self, dispatch: Dispatch):
        """And only that one is removed."""
        gone: list[Ticker] = []
        stays: list[Ticker] = []
        # A method is made anew each time that it is named.
        removed = gone.append
        dispatch.on_topic(BTC_TICKER, removed)
        dispatch.on_topic(BTC_TICKER, stays.append)
        dispatch.off_topic(BTC_TICKER, removed)
        dispatch.off_topic(ETH_TICKER, removed)

        dispatch.put(brought(ticker()))
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
        dispatch.on_topic(BTC_TICKER, lambda _: names.append(threading.current_thread().name))
        dispatch.on_status(lambda _: names.append(threading.current_thread().name))

        dispatch.put(brought(ticker(), ticker()))
        dispatch.put(Reaction(statuses=[OPENED]))
        finish(dispatch)

        assert names == ["lbank-ws-dispatch"] * 3

    def test_callback_may_register_another(self, dispatch: Dispatch):
        """It hears the next event; the one that is being handed out is not handed out twice."""
        heard: list[Ticker] = []

        def register(_: Ticker) -> None:
            dispatch.on_topic(BTC_TICKER, heard.append)

        dispatch.on_topic(BTC_TICKER, register)
        dispatch.put(brought(ticker(1), ticker(2)))
        finish(dispatch)

        assert [int(event.last) for event in heard] == [2]

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
        heard: list[Ticker] = []

        def clumsy(event: Ticker) -> None:
            raise ZeroDivisionError("oh")

        dispatch.on_topic(BTC_TICKER, clumsy)
        dispatch.on_topic(BTC_TICKER, heard.append)
        dispatch.on_error(faults.append)

        dispatch.put(brought(ticker(1), ticker(2)))
        finish(dispatch)

        assert [int(event.last) for event in heard] == [1, 2]
        assert len(faults) == 2
        fault = faults[0]
        assert isinstance(fault, CallbackError)
        assert fault.callback.endswith("clumsy")
        assert fault.event == ticker(1)
        assert isinstance(fault.__cause__, ZeroDivisionError)
        assert fault.__cause__.__traceback__ is not None
        assert fault.__cause__.__traceback__.tb_next is not None
        assert fault.__cause__.__traceback__.tb_next.tb_frame.f_code.co_name == "clumsy"

    def test_every_on_error_hears_it(self, dispatch: Dispatch):
        """And one that raises does not keep it from the next."""
        faults: list[LBankError] = []

        def clumsy(_: object) -> None:
            raise ValueError("oh")

        dispatch.on_topic(BTC_TICKER, clumsy)
        dispatch.on_error(clumsy)
        dispatch.on_error(faults.append)

        dispatch.put(brought(ticker()))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [CallbackError]

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    def test_sys_exit_in_a_callback_does_not_end_the_callbacks(self, dispatch: Dispatch, error: BaseException):
        """It would end the thread without a word, and leave a client that runs and calls nobody."""
        faults: list[LBankError] = []
        heard: list[Ticker] = []

        def leave(event: Ticker) -> None:
            heard.append(event)
            raise error

        dispatch.on_topic(BTC_TICKER, leave)
        dispatch.on_error(faults.append)

        dispatch.put(brought(ticker(1), ticker(2)))
        finish(dispatch)

        assert [int(event.last) for event in heard] == [1, 2]
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
        message = dialect_named("v2").decode(push(BTC_DEPTH).replace('"1161.58"', '"a lot"'), 0)
        assert isinstance(message, Push)
        dispatch.on_topic(BTC_DEPTH, lambda event: event.best_ask)
        dispatch.on_topic(BTC_DEPTH, lambda event: bids.append(event.best_bid))
        dispatch.on_error(faults.append)

        dispatch.put(Reaction(events=[(BTC_DEPTH, message.events[0])]))
        finish(dispatch)

        assert [type(fault) for fault in faults] == [DecodeError]
        assert len(bids) == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give the logbook's clock, which stands still until a test moves it."""
    standing = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(logbook, "time", SimpleNamespace(monotonic=lambda: standing.now_s))
    return standing


class TestLog:
    """Without on_error the log is all that the user sees, and it must not fill a disk."""

    def test_fault_without_on_error_is_logged_with_name_and_traceback(
        self, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
    ):
        """A beginner who has no on_error must still see the mistake."""

        def clumsy(_: Ticker) -> None:
            raise ZeroDivisionError("oh")

        dispatch.on_topic(BTC_TICKER, clumsy)
        dispatch.put(brought(ticker()))
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

        def clumsy(event: Ticker) -> None:
            raise errors[int(event.last)]

        def also_clumsy(_: Ticker) -> None:
            raise KeyError

        dispatch.on_topic(BTC_TICKER, clumsy)
        dispatch.on_topic(ETH_TICKER, also_clumsy)
        for moment_s, numbers in [(1000.0, [0] * 500 + [1]), (1059.9, [0]), (1060.0, [0]), (1060.1, [0])]:
            wait_until(lambda: dispatch.waiting == 0)
            settled = threading.Event()
            clock.now_s = moment_s
            dispatch.put(brought(*map(ticker, numbers)))
            dispatch.put(brought(ticker(0, "eth_usdt"), wanted=ETH_TICKER))
            dispatch.on_status(lambda _, settled=settled: settled.set())
            dispatch.put(Reaction(statuses=[OPENED]))
            assert settled.wait(DEADLINE_S)
        finish(dispatch)

        lines = [record.getMessage() for record in caplog.records]
        assert len([line for line in lines if "ZeroDivisionError" in line]) == 2
        assert [line.partition("goes on")[2] for line in lines if "ZeroDivisionError" in line] == [
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
            book.status("api.lbkex.com", Status(kind="failed", at=NOW, cause=lost, attempts=second // 5))

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
            book.status("api.lbkex.com", Status(kind="lost", at=NOW, cause=lost))
            book.status("api.lbkex.com", Status(kind="reconnected", at=NOW, outage_s=0.5))

        assert [record.getMessage() for record in caplog.records] == [
            "lost the line to api.lbkex.com (closed: code 1000)",
            "back on api.lbkex.com after 0.5 s",
            "lost the line to api.lbkex.com (closed: code 1000) (and 29 more like it since the last such line)",
            "back on api.lbkex.com after 0.5 s",
        ]


class TestSlowCallbacks:
    """The queue is bounded, and what it cannot take is counted."""

    def test_dropped_events_are_counted_and_reported(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """The first that were queued stay, in order; the count is exact."""
        faults: list[EventsDropped] = []
        dispatch = make_dispatch(limit=10)
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.on_error(faults.append)
        dispatch.put(brought(ticker(0)))
        assert held.entered.wait(DEADLINE_S)

        dispatch.put(brought(*(ticker(number) for number in range(1, 18))))
        dropped, waiting = dispatch.dropped, dispatch.waiting
        held.released.set()
        wait_until(lambda: faults, what="the report, while the feed goes on")
        finish(dispatch)

        assert (dropped, waiting) == (7, 10)
        assert [int(event.last) for event in held.events] == list(range(11))
        assert [fault.count for fault in faults] == [7]

    def test_reports_add_up_whatever_the_threads_do(self, make_dispatch: Callable[..., Dispatch]):
        """Several lines and a slow callback at once: heard, dropped and reported are all there is."""
        heard: list[Ticker] = []
        faults: list[EventsDropped] = []
        dispatch = make_dispatch(limit=5)
        dispatch.on_topic(BTC_TICKER, heard.append)
        dispatch.on_error(faults.append)

        def feed() -> None:
            for number in range(3000):
                dispatch.put(brought(ticker(number)))

        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        lines = [threading.Thread(target=feed) for _ in range(4)]
        for line in lines:
            line.start()
        for line in lines:
            line.join(DEADLINE_S)
        finish(dispatch)
        sys.setswitchinterval(interval_s)

        assert len(heard) + dispatch.dropped == 12_000
        assert sum(fault.count for fault in faults) == dispatch.dropped
        assert dispatch.dropped > 0

    def test_put_never_blocks_and_memory_is_bounded(self, make_dispatch: Callable[..., Dispatch], held: Held):
        """A callback that never returns must not stop the pongs, nor eat the machine (N16)."""
        dispatch = make_dispatch(limit=100)
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.put(brought(ticker()))
        assert held.entered.wait(DEADLINE_S)
        one = brought(ticker())
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
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.on_status(statuses.append)
        dispatch.put(brought(ticker()))
        assert held.entered.wait(DEADLINE_S)
        dispatch.put(brought(*map(ticker, range(5))))

        dispatch.put(Reaction(statuses=[OPENED]))
        held.released.set()
        finish(dispatch)

        assert statuses == [OPENED]
        assert dispatch.dropped == 2


class TestEnd:
    """How the thread ends."""

    def test_stop_comes_behind_the_last_event(self, dispatch: Dispatch):
        """What was received before stop() is still delivered, what comes later is not."""
        heard: list[Ticker] = []
        dispatch.on_topic(BTC_TICKER, heard.append)
        dispatch.put(brought(*map(ticker, range(500))))

        dispatch.stop()
        dispatch.put(brought(ticker(1000)))
        assert dispatch.join(DEADLINE_S)

        assert [int(event.last) for event in heard] == list(range(500))

    def test_stop_from_a_callback(self, dispatch: Dispatch):
        """It must not wait for itself; what was queued before is still delivered."""
        told: list[tuple[bool, bool]] = []

        def leave(_: Ticker) -> None:
            dispatch.stop()
            told.append((dispatch.is_current(), dispatch.join(DEADLINE_S)))

        dispatch.on_topic(BTC_TICKER, leave)
        dispatch.put(brought(ticker()))

        wait_until(lambda: told)
        assert dispatch.join(DEADLINE_S)
        assert told == [(True, True)]
        assert not dispatch.is_current()

    def test_callback_that_never_returns_does_not_hold_up_stop(self, dispatch: Dispatch, held: Held):
        """The caller gets its thread back, and hears that a callback still runs (N16)."""
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.put(brought(ticker()))
        assert held.entered.wait(DEADLINE_S)
        began_s = time.monotonic()

        dispatch.stop()
        has_ended = dispatch.join(0.1)

        assert not has_ended
        assert 0.1 <= time.monotonic() - began_s < 1

    def test_thread_does_not_keep_the_program_alive(self, dispatch: Dispatch, held: Held):
        """A finished script must end, whatever its callbacks do."""
        dispatch.on_topic(BTC_TICKER, held)
        dispatch.put(brought(ticker()))
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
