"""What a callback receives."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lbank_ws.channels import Channel
from lbank_ws.events import Depth, Event, Kline, Level, Receipt, Status, Ticker, Trade
from lbank_ws.wire import V2, Push
from tests.samples import sample

SENT_AT = datetime(2026, 9, 6, 5, 29, 39, 31_000, tzinfo=timezone.utc)
SENT_NS = 1_788_672_579_031_000_000


def ticker(*, exchange_at: datetime | None = SENT_AT, received_ns: int = SENT_NS) -> Ticker:
    return Ticker(pair="btc_usdt", last=Decimal("79846.48"), exchange_at=exchange_at, receipt=Receipt(received_ns))


def depth(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> Depth:
    sides = [tuple(Level(Decimal(price), Decimal(amount)) for price, amount in side) for side in (bids, asks)]
    return Depth(pair="btc_usdt", bids=sides[0], asks=sides[1])


def one_of_each() -> list[Event]:
    names = ["tick_eth_btc_2019", "depth_eth_btc_2019", "trade_btc_usdt_2019", "kbar_eth_btc_2019"]
    messages = [V2().decode(sample("v2", name).frame, Receipt(SENT_NS)) for name in names]
    return [event for message in messages if isinstance(message, Push) for event in message.events]


ONE_OF_EACH = pytest.mark.parametrize("event", one_of_each(), ids=lambda event: str(event.channel))


@ONE_OF_EACH
def test_event_cannot_be_changed(event: Event):
    """The same object goes to every callback; one of them must not spoil it for the others."""
    for one in fields(event):
        with pytest.raises(FrozenInstanceError):
            setattr(event, one.name, None)

    with pytest.raises((AttributeError, TypeError)):
        event.note = "mine"  # type: ignore[union-attr]  # that there is no such field is the point


@ONE_OF_EACH
def test_event_can_be_copied_sent_to_a_process_and_be_a_key(event: Event):
    """Scripts put events in sets, and heavy ones hand them to worker processes."""
    twins = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]

    assert twins == [event] * 3
    assert {event, *twins} == {event}


@ONE_OF_EACH
def test_event_prints_its_fields_but_not_its_frame(event: Event):
    """print(event) is the first thing that anyone tries."""
    shown = repr(event)

    assert shown.startswith(f"{type(event).__name__}(")
    assert "pair='" in shown
    assert "SERVER" not in shown


@pytest.mark.parametrize(
    ("event", "channel"),
    [(Ticker, Channel.TICKER), (Depth, Channel.DEPTH), (Trade, Channel.TRADE), (Kline, Channel.KLINE)],
)
def test_type_names_its_channel(event: type[Event], channel: Channel):
    """A callback that takes every event tells them apart by it."""
    assert event.channel is channel


def test_best_middle_and_spread_are_exact_decimals():
    """As floats, 0.3 less 0.1 would not be 0.2."""
    book = depth(bids=[("0.1", "5"), ("0.05", "9")], asks=[("0.3", "7")])

    assert book.best_bid == Level(Decimal("0.1"), Decimal(5))
    assert book.best_ask == Level(Decimal("0.3"), Decimal(7))
    assert (str(book.mid), str(book.spread)) == ("0.2", "0.2")


def test_crossed_book_has_a_spread_below_zero():
    """They do occur, and hiding one would hide a stale book."""
    assert depth(bids=[("2", "1")], asks=[("1.5", "1")]).spread == Decimal("-0.5")


@pytest.mark.parametrize(
    ("bids", "asks"), [([], [("1", "1")]), ([("1", "1")], []), ([], [])], ids=["no bids", "no asks", "neither"]
)
def test_book_with_an_empty_side_has_neither_middle_nor_spread(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]]
):
    """A zero would look like a price."""
    book = depth(bids, asks)

    assert (book.mid, book.spread) == (None, None)
    assert (book.best_bid is None, book.best_ask is None) == (not bids, not asks)


@pytest.mark.parametrize(("late_ns", "age_s"), [(0, 0.0), (2_500_000_000, 2.5), (-1_000_000_000, -1.0)])
def test_age_is_how_long_it_was_on_its_way(late_ns: int, age_s: float):
    """The exchange was seen to hold pushes back for a minute on a line that looked alive."""
    assert ticker(received_ns=SENT_NS + late_ns).age_s == pytest.approx(age_s, abs=1e-5)


def test_age_without_the_time_of_the_exchange_is_unknown():
    """Zero would read as fresh."""
    assert ticker(exchange_at=None).age_s is None


def test_moment_of_reading_is_aware_utc():
    """A naive one would be read in the zone of whatever machine runs the script."""
    received_at = ticker(received_ns=SENT_NS + 1999).received_at

    assert received_at == SENT_AT + timedelta(microseconds=1)
    assert received_at.utcoffset() == timedelta(0)


def test_status_cannot_be_changed():
    """It goes to every callback too."""
    status = Status(kind="opened", at=SENT_AT)

    with pytest.raises(FrozenInstanceError):
        status.kind = "lost"  # type: ignore[misc]  # that it is frozen is the point
