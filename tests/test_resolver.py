"""Looking for an order that nobody knows about, at an exchange whose every answer the test decides."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lbank_ws.errors import RestFailed
from lbank_ws.events import OrderStatus, OrderUpdate
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.refusals import NO_SUCH_ORDER, refusal
from lbank_ws.trading.resolver import Resolver
from lbank_ws.trading.ticket import order_request

AT = 1_700_000_000_000
LATE = AT + 65_001


class Shelf:
    """What the exchange has, and in which way each list of it is out of order.

    Attributes:
        by_id: By the client's or the exchange's id; an error is raised in its place.
        open: The open orders.
        ended: Those that ended.
        asked: What was asked, in order.
    """

    def __init__(self) -> None:
        self.now_ms = AT
        self.by_id: dict[str, OrderUpdate | RestFailed] = {}
        self.open: list[OrderUpdate] = []
        self.ended: list[OrderUpdate] = []
        self.asked: list[str] = []

    def exchange_ms(self) -> int:
        return self.now_ms

    def order(self, pair: str, *, order_id: str | None = None, client_id: str | None = None) -> OrderUpdate:
        self.asked.append("by id" if client_id else "by order id")
        found = self.by_id.get(order_id or client_id or "", refusal("/", "no such order", NO_SUCH_ORDER))
        if isinstance(found, RestFailed):
            raise found
        return found

    def open_orders(self, pair: str) -> list[OrderUpdate]:
        self.asked.append("open")
        return self.open

    def history(self, pair: str) -> list[OrderUpdate]:
        self.asked.append("history")
        return self.ended


def update(order_id: str, client_id: str | None = None, **more) -> OrderUpdate:
    said = {"side": "buy", "order_type": "limit", "price": Decimal(1), "amount": Decimal(1), **more}
    return OrderUpdate(pair="btc_usdt", order_id=order_id, status=OrderStatus.FILLED, client_id=client_id, **said)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def journal():
    journal = Journal(None, "live")
    journal.intend(order_request("btc_usdt", "buy", "limit", price="1", amount="1", client_id="mine"))
    journal.settle("mine", Verdict(Fate.UNKNOWN, reason="no answer"), AT)
    return journal


@pytest.fixture
def resolver(journal, shelf):
    return Resolver(journal, shelf)


def test_not_placed_takes_three_lists_and_the_time(resolver, shelf):
    """And then nothing is asked any more."""
    assert resolver.resolve("mine", 0).fate is Fate.UNKNOWN
    shelf.now_ms = LATE

    assert resolver.resolve("mine", 0).fate is Fate.NOT_PLACED

    assert shelf.asked == ["by id", "by id", "open", "history"]
    assert not resolver.step()


@pytest.mark.parametrize(
    "no", [refusal("/", "too often", 10004), refusal("/", "closed", 10601), RestFailed("/", "no answer")], ids=repr
)
def test_an_answer_that_is_not_about_the_order_proves_nothing(resolver, shelf, no):
    """The exchange is asked too often, or is being maintained: it did not say that there is no order."""
    shelf.now_ms = LATE
    shelf.by_id["mine"] = no

    assert resolver.resolve("mine", 0).fate is Fate.UNKNOWN
    assert shelf.asked == ["by id"]


def test_an_answer_about_another_order_proves_nothing(resolver, shelf):
    """It may have come on a connection that was used before."""
    shelf.now_ms = LATE
    shelf.by_id["mine"] = update("o-1", "yours")

    assert resolver.resolve("mine", 0).fate is Fate.UNKNOWN


def test_an_order_that_one_list_alone_has_is_found(resolver, shelf):
    """The look-up by id may lag behind."""
    shelf.now_ms = LATE
    shelf.open = [update("o-0", "yours"), update("o-1", "mine")]

    found = resolver.resolve("mine", 0)

    assert (found.fate, found.order_id) == (Fate.PLACED, "o-1")


def test_an_order_in_the_history_is_recognised_by_asking_for_it(resolver, shelf, journal):
    """Rows there have no id of ours; what looks alike may be somebody else's."""
    shelf.now_ms = LATE
    journal.intend(order_request("btc_usdt", "buy", "limit", price="1", amount="1", client_id="other"))
    journal.settle("other", Verdict(Fate.PLACED, "o-known"))
    long_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    shelf.ended = [
        update("o-known"),
        update("o-dear", price=Decimal(2)),
        update("o-sell", side="sell"),
        update("o-old", updated_at=long_ago),
        update("o-yours"),
        update("o-mine"),
    ]
    shelf.by_id |= {"o-yours": update("o-yours", "yours"), "o-mine": update("o-mine", "mine")}

    assert resolver.resolve("mine", 0).order_id == "o-mine"
    assert shelf.asked[-3:] == ["history", "by order id", "by order id"]


def test_too_many_that_look_alike_prove_nothing(resolver, shelf):
    """Not all of them can be asked for; and one of them may be it."""
    shelf.now_ms = LATE
    shelf.ended = [update(f"o-{number}") for number in range(6)]
    shelf.by_id |= {f"o-{number}": update(f"o-{number}", "yours") for number in range(6)}

    assert resolver.resolve("mine", 0).fate is Fate.UNKNOWN


def test_an_order_that_is_seen_after_all_becomes_placed(resolver, shelf, journal):
    """Whatever was believed before."""
    shelf.now_ms = LATE
    assert resolver.resolve("mine", 0).fate is Fate.NOT_PLACED

    resolver.notice(update("o-1", "mine"))

    assert resolver.resolve("mine", 0).fate is Fate.PLACED


def test_whoever_waits_is_told_what_came_of_it(journal, shelf):
    """By the callbacks of the client."""
    found, lost = [], []
    resolver = Resolver(journal, shelf, found=found.append, lost=lost.append)
    journal.intend(order_request("btc_usdt", "buy", "limit", price="1", amount="1", client_id="other"))
    resolver.mind(journal.settle("other", Verdict(Fate.UNKNOWN), AT))
    shelf.now_ms = LATE
    shelf.by_id["other"] = update("o-1", "other")

    while resolver.step():
        pass

    assert [each.client_id for each in found] == ["other"]
    assert [each.client_id for each in lost] == ["mine"]
    assert "never" not in str(lost[0])
