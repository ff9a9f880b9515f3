"""The client against everything that can go wrong: it comes back with all it wanted, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from lbank_ws import DecodeError, LBankClient, LBankError, Trade
from lbank_ws.sandbox import Sandbox
from tests.waiting import open_sockets, our_threads, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("reader")]

PAIRS = ("btc_usdt", "eth_usdt")
WANTED = {"ticker/btc_usdt", "depth/btc_usdt/20", "trade/btc_usdt", "trade/eth_usdt"}
CHANNELS = {"/".join(wanted.split("/")[:2]) for wanted in WANTED}
BACK_WITHIN_S = 5.0
LINES = 2  # the book has one of its own


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(pairs=PAIRS, speed=20) as box:
        yield box


@pytest.fixture
def box(running: Sandbox) -> Iterator[Sandbox]:
    """One box for all; each test finds it sound."""
    yield running
    running.heal()


class Listener:
    """A client that wants what stands in `WANTED`.

    Attributes:
        heard: How many events came of each channel and pair.
        errors: What was handed to `on_error`.
        trades: All trades, in order.
    """

    def __init__(self, client: LBankClient) -> None:
        self.client = client
        self.heard: dict[str, int] = {}
        self.errors: list[LBankError] = []
        self.trades: list[Trade] = []
        client.on_ticker("btc_usdt")(lambda event: self._note("ticker", event.pair))
        client.on_depth("btc_usdt", levels=20)(lambda event: self._note("depth", event.pair))
        client.on_trade(*PAIRS)(self._trade)
        client.on_error(self.errors.append)

    def _trade(self, trade: Trade) -> None:
        self.trades.append(trade)
        self._note("trade", trade.pair)

    def _note(self, channel: str, pair: str) -> None:
        self.heard[f"{channel}/{pair}"] = self.heard.get(f"{channel}/{pair}", 0) + 1

    def hears_everything(self) -> Callable[[], bool]:
        """Give a question: has something come of each channel and pair since now?"""
        before = dict(self.heard)
        return lambda: all(self.heard.get(name, 0) > before.get(name, 0) for name in CHANNELS)


@pytest.fixture
def listener(box: Sandbox, make_client: Callable[..., LBankClient]) -> Listener:
    """Give a client that has heard of everything it wants, on the only lines there are."""
    wait_until(lambda: not box.visitors(), what="the end of older lines")
    listener = Listener(make_client(box.url, silent_after_s=1.0))
    hears = listener.hears_everything()
    listener.client.start()
    wait_until(hears, what="data of every subscription")
    return listener


def subscriptions(box: Sandbox) -> set[str]:
    """Give what every line together is subscribed to."""
    return {each for view in box.visitors() for each in view.subscriptions}


SHORT_FAULTS = [
    ("polite_close", {"code": 1000}),
    ("polite_close", {"code": 1001, "reason": "back soon"}),
    ("polite_close", {"code": 999}),
    ("polite_close", {"every_s": 0.2, "for_s": 0.7}),
    ("reset", {}),
    ("reset", {"every_s": 0.1, "for_s": 0.7}),
    ("half_close", {}),
    ("cut_frame", {"for_s": 0.3, "at": 0.0}),
    ("cut_frame", {"for_s": 0.3, "at": 0.5, "how": "reset"}),
    ("cut_frame", {"for_s": 0.3, "channel": "depth", "at": 0.99}),
    ("huge_frame", {"size": 8_000_000}),
    ("huge_frame", {"size": 5_000_000, "claims": 2**63}),
    ("maintenance", {"for_s": 0.7}),
    ("ping_storm", {"for_s": 0.3}),
    ("ping_storm", {"for_s": 0.3, "kind": "rfc"}),
    ("no_pings", {"for_s": 0.3}),
    ("no_replies", {"for_s": 0.3}),
    ("late", {"for_s": 0.7, "bytes_a_second": 1000}),
    ("late", {"for_s": 2.5, "delay_s": 60}),
    ("mute", {"for_s": 2.5}),
    ("freeze", {"for_s": 0.3}),
    ("wrong_node", {"for_s": 0.3}),
    ("crossed_book", {"for_s": 0.3}),
    ("empty_side", {"for_s": 0.3, "side": "both"}),
    ("garbage", {"for_s": 0.3, "every_s": 0.02}),
    ("invalid_utf8", {"for_s": 0.3, "every_s": 0.02}),
    ("wrong_types", {"for_s": 0.7}),
    ("unknown_fields", {"for_s": 0.3}),
    ("split_frames", {"for_s": 0.3, "size": 5}),
    ("merged_frames", {"for_s": 0.3}),
    ("fragmented_message", {"for_s": 0.3, "into": 7, "with_pings": True}),
    ("duplicate_trades", {"for_s": 0.3}),
    ("reorder_trades", {"for_s": 0.3}),
    ("clock_skew", {"for_s": 0.3, "by_s": -3600}),
]


@pytest.mark.parametrize(("name", "how"), SHORT_FAULTS, ids=[f"{name}-{how}" for name, how in SHORT_FAULTS])
def test_client_is_back_with_everything_when_a_fault_is_over(listener, box, name, how):
    """The promise of the whole package, one fault at a time."""
    threads = len(threading.enumerate())
    handle = box.fault(name, **how)
    wait_until(lambda: not handle.is_active, timeout_s=10, what="the end of the fault")

    wait_until(lambda: subscriptions(box) == WANTED, BACK_WITHIN_S, "every subscription")
    wait_until(listener.hears_everything(), BACK_WITHIN_S, "data of every subscription")
    assert len(threading.enumerate()) <= threads


DIAL_FAULTS = [
    ("refuse_dial", {"how": "closed"}),
    ("refuse_dial", {"how": "reset"}),
    ("refuse_dial", {"how": "reset", "chance": 0.5}),
    ("accept_silence", {}),
    ("handshake_status", {"status": 502}),
    ("handshake_status", {"status": 429, "retry_after_s": 1}),
    ("handshake_redirect", {}),
]


@pytest.mark.parametrize(("name", "how"), DIAL_FAULTS, ids=[f"{name}-{how}" for name, how in DIAL_FAULTS])
def test_client_is_back_when_it_may_dial_again(listener, box, name, how):
    """Outages end; who gives up, or waits too long, misses what comes after."""
    threads = len(threading.enumerate())
    handle = box.fault(name, **how, for_s=1.0)
    box.fault("reset")
    wait_until(lambda: not handle.is_active, what="the end of the fault")

    wait_until(lambda: subscriptions(box) == WANTED, BACK_WITHIN_S, "every subscription")
    wait_until(listener.hears_everything(), BACK_WITHIN_S, "data of every subscription")
    assert len(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("name", "how"),
    [("garbage", {"every_s": 0.02}), ("invalid_utf8", {"every_s": 0.02}), ("wrong_types", {"channel": "trade"})],
    ids=["garbage", "invalid_utf8", "wrong_types"],
)
def test_what_cannot_be_read_is_reported_and_the_line_stays(listener, box, name, how):
    """One bad frame is no reason to lose the good ones."""
    lines = box.connections

    with box.fault(name, **how):
        wait_until(lambda: any(isinstance(error, DecodeError) for error in listener.errors), what="an error")
    wait_until(listener.hears_everything(), what="good data")

    assert box.connections == lines


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("split_frames", {"size": 7}),
        ("merged_frames", {"of": 7}),
        ("fragmented_message", {"into": 9, "with_pings": True}),
        ("unknown_fields", {}),
        ("ping_storm", {}),
        ("ping_storm", {"kind": "rfc"}),
        ("empty_side", {"side": "both"}),
        ("crossed_book", {}),
    ],
    ids=str,
)
def test_what_is_only_odd_costs_neither_data_nor_the_line(listener, box, name, how):
    """Nothing of it is against the rules."""
    lines = box.connections

    with box.fault(name, **how):
        wait_until(listener.hears_everything(), what="data of every subscription")

    assert (box.connections, listener.errors) == (lines, [])


def test_delisted_pair_leaves_the_others_alone(listener, box):
    """The pair is refused at the next line, by name; the rest is as before."""
    with box.fault("delisted", pair="eth_usdt"):
        box.fault("reset")
        wait_until(lambda: listener.errors, what="the refusal")
        wait_until(lambda: {each for each in WANTED if "btc" in each} == subscriptions(box), what="the other pair")

    assert ["eth_usdt" in str(error) for error in listener.errors] == [True]


def test_fifty_faults_in_a_row_leave_no_thread_and_no_socket(listener, box):
    """A process that runs for weeks meets more of them."""
    threads, sockets = len(our_threads()), open_sockets()

    for number in range(50):
        lines = box.connections
        name = ("reset", "polite_close", "half_close", "cut_frame", "huge_frame")[number % 5]
        how = {"cut_frame": {"for_s": 0.3}, "huge_frame": {"claims": 2**63}}.get(name, {})
        box.fault(name, **how)
        wait_until(lambda: box.connections >= lines + LINES, what=f"the line after {name}")  # noqa: B023 - waited for here
        wait_until(lambda: subscriptions(box) == WANTED, what=f"every subscription after {name}")

    wait_until(lambda: open_sockets() <= sockets, what="the end of old sockets")
    assert len(our_threads()) == threads


def test_trades_of_a_wounded_line_are_true(listener, box):
    """However frames were cut and glued: a price or an amount that nobody paid must not come out."""
    with box.fault("split_frames", size=3, gap_s=0.0), box.fault("fragmented_message"), box.fault("unknown_fields"):
        already = len(listener.trades)
        wait_until(lambda: len(listener.trades) > already + 20, what="twenty trades")
        heard = listener.trades[already : already + 20]

    true = {
        (each.listing.pair, each.listing.price_of(each.price), each.listing.amount_of(each.volume))
        for each in box.truth.trades()
    }
    assert {(trade.pair, trade.price, trade.amount) for trade in heard} <= true
