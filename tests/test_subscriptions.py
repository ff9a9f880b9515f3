"""The bookkeeping of subscriptions, where `test_session.py` does not reach: spellings that clash, the small table."""

from __future__ import annotations

import pytest

from lbank_ws.channels import Channel, Topic, topic
from lbank_ws.errors import UsageError
from lbank_ws.feed.subscriptions import Subscriptions
from lbank_ws.feed.wanted import MOVES, Happened, Subscribed, Wanted
from lbank_ws.wire import dialect_named

BTC_TICKER = topic("ticker", "btc_usdt")
LEADS_TO = {
    (Subscribed.WAITING, Happened.DATA): Subscribed.LIVE,
    (Subscribed.WAITING, Happened.UNOPPOSED): Subscribed.LIVE,
    (Subscribed.WAITING, Happened.DENIED): Subscribed.REFUSED,
    (Subscribed.WAITING, Happened.UNSUBSCRIBE): Subscribed.LEFT,
    (Subscribed.LIVE, Happened.LOST): Subscribed.WAITING,
    (Subscribed.LIVE, Happened.DOUBTED): Subscribed.STALE,
    (Subscribed.LIVE, Happened.DENIED): Subscribed.REFUSED,
    (Subscribed.LIVE, Happened.UNSUBSCRIBE): Subscribed.LEFT,
    (Subscribed.STALE, Happened.FRESH): Subscribed.LIVE,
    (Subscribed.STALE, Happened.DENIED): Subscribed.REFUSED,
    (Subscribed.STALE, Happened.UNSUBSCRIBE): Subscribed.LEFT,
    (Subscribed.REFUSED, Happened.UNSUBSCRIBE): Subscribed.LEFT,
}


def subscriptions_of(*wanted: Topic, dialect: str = "v2") -> Subscriptions:
    """Give subscriptions of a line that has opened but sent nothing yet."""
    subscriptions = Subscriptions(dialect_named(dialect))
    subscriptions.want(*wanted)
    subscriptions.line_opened()
    return subscriptions


def steps(subscriptions: Subscriptions) -> list[str]:
    """Take everything that is to be sent."""
    taken = []
    while subscriptions.has_steps():
        step, wanted = subscriptions.next_step(0.0)
        taken.append(f"{step} {wanted}")
    return taken


@pytest.mark.parametrize("state", Subscribed)
@pytest.mark.parametrize("happened", Happened)
def test_a_subscription_moves_as_the_table_says(state: Subscribed, happened: Happened):
    """Every cell of the table; the empty ones change nothing."""
    subscription = Wanted(BTC_TICKER)
    subscription.state = state

    subscription.move(happened)

    assert subscription.state is LEADS_TO.get((state, happened), state)


def test_the_tests_table_and_the_codes_table_are_one():
    """The docs are drawn from MOVES."""
    assert set(MOVES) == set(Subscribed)
    assert {(state, happened): to for state, row in MOVES.items() for happened, to in row.items()} == LEADS_TO


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (topic("ticker", "ab_cusdt"), topic("ticker", "abc_usdt")),
        (topic("trade", "ab_cusdt"), topic("trade", "abc_usdt")),
        (topic("depth", "btc_usdt", levels=10), topic("depth", "btc_usdt", levels=50)),
    ],
    ids=["ticker", "trade", "depth"],
)
class TestTopicsSpeltAlike:
    """The simple dialect's names have no underscore and no levels, so some topics cannot be told apart."""

    def test_the_second_is_refused_and_the_first_stays(self, first: Topic, second: Topic):
        """Data of one pair must not reach the callbacks of another; the caller hears it where the call is."""
        subscriptions = subscriptions_of(first, dialect="simple")

        with pytest.raises(UsageError, match="alike") as caught:
            subscriptions.want(second)

        assert str(first) in str(caught.value)
        assert str(second) in str(caught.value)
        assert [known.topic for known in subscriptions.all()] == [first]
        assert steps(subscriptions) == [f"subscribe {first}"]

    def test_nothing_is_half_done(self, first: Topic, second: Topic):
        """One clash among several topics: none of them is wanted, and none of their names is taken."""
        subscriptions = subscriptions_of(BTC_TICKER, dialect="simple")

        with pytest.raises(UsageError):
            subscriptions.want(topic("ticker", "eth_usdt"), first, second)

        assert [known.topic for known in subscriptions.all()] == [BTC_TICKER]
        assert steps(subscriptions) == [f"subscribe {BTC_TICKER}"]
        assert subscriptions.want(second)[0].topic == second

    def test_leaving_one_makes_room_for_the_other(self, first: Topic, second: Topic):
        """The end of the first leaves before the request for the second: to the exchange they are one name."""
        subscriptions = subscriptions_of(first, dialect="simple")
        asked = steps(subscriptions)
        subscriptions.leave(first)

        subscriptions.want(second)

        assert asked + steps(subscriptions) == [f"subscribe {first}", f"unsubscribe {first}", f"subscribe {second}"]
        assert subscriptions.named(first.channel, second.pair) == [second]

    def test_v2_tells_them_apart(self, first: Topic, second: Topic):
        """It is the simple dialect's limit and not ours."""
        subscriptions = subscriptions_of(first, second)

        assert steps(subscriptions) == [f"subscribe {first}", f"subscribe {second}"]


def test_the_simple_dialect_has_no_klines():
    """The caller hears it at once, with what to do, and the topics beside it are not wanted either."""
    subscriptions = subscriptions_of(dialect="simple")

    with pytest.raises(UsageError, match="V2"):
        subscriptions.want(BTC_TICKER, topic("kline", "btc_usdt"))

    assert subscriptions.all() == []
    assert not subscriptions.has_steps()


def test_a_topic_named_twice_in_one_call_is_one_subscription():
    """Two decorators may stand on one function."""
    subscriptions = subscriptions_of()

    first, second = subscriptions.want(BTC_TICKER, BTC_TICKER)

    assert first is second
    assert steps(subscriptions) == [f"subscribe {BTC_TICKER}"]


def test_named_gives_all_topics_of_a_channel_and_pair():
    """`unsubscribe("depth", pair)` leaves every depth of the pair."""
    depths = [topic("depth", "btc_usdt", levels=levels) for levels in (50, 10)]
    subscriptions = subscriptions_of(BTC_TICKER, *depths, topic("depth", "eth_usdt"))

    named = subscriptions.named(Channel.DEPTH, "btc_usdt")
    for each in named:
        subscriptions.leave(each)

    assert named == depths
    assert subscriptions.named(Channel.DEPTH, "btc_usdt") == []
    assert subscriptions.named(Channel.TICKER, "btc_usdt") == [BTC_TICKER]


def test_lost_line_leaves_nothing_to_send():
    """What the line carried is gone with it, ends included; the next one starts from what is wanted."""
    subscriptions = subscriptions_of(BTC_TICKER, topic("ticker", "eth_usdt"))
    subscriptions.next_step(0.0)
    subscriptions.leave(BTC_TICKER)

    subscriptions.line_lost()

    assert not subscriptions.has_steps()


def test_a_subscription_shows_what_it_is():
    """Scripts print it."""
    subscription = Wanted(BTC_TICKER)

    assert repr(subscription) == "Wanted(ticker/btc_usdt, waiting)"
