"""Several lines as one client: which host they dial, how far apart, what rides on which, and what one can ask them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from lbank_ws import (
    Cause,
    Channel,
    Flaw,
    LBankClient,
    NoEvent,
    Stale,
    StaleBook,
    StalePrice,
    Status,
    Subscribed,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.feed.dial import Dialler
from lbank_ws.feed.dials import APART_S
from lbank_ws.feed.hosts import FAILURE, REST_AT
from lbank_ws.feed.reaction import Habits
from lbank_ws.feed.stream import Limits
from lbank_ws.sandbox import Sandbox
from tests.waiting import line_kinds, wait_until

SLACK_S = 2.0  # for a busy machine
PAIRS = [f"{letter}coin_{quote}" for quote in ("usdt", "btc") for letter in "abcdefghijklmno"]
CLOSED = "ws://127.0.0.1:9"  # discard; nobody serves it


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt", "eth_usdt"]) as box:
        yield box


def subscribed(box: Sandbox) -> set[str]:
    """Give what all lines together are subscribed to."""
    return {known for view in box.visitors() for known in view.subscriptions}


def why(ask) -> Flaw | None:
    """Tell why there is no good answer about btc_usdt, or None when there is one."""
    try:
        ask("btc_usdt")
    except Stale as stale:
        return stale.why
    return None


# Hosts.


def test_host_that_refuses_is_left_for_the_next_one(box, caplog):
    """A host is bad for a day, or from one country; its neighbour works."""
    caplog.set_level(logging.INFO)
    client = LBankClient(hosts=[CLOSED, box.url], backoff_first_s=0.05)
    statuses: list[Status] = []
    client.on_status(statuses.append)
    subscription = client.subscribe("ticker", "btc_usdt")

    with client:
        subscription.wait(SLACK_S)
        client.subscribe("depth", "btc_usdt").wait(SLACK_S)  # another line: it does not try the bad host again
        hosts = [line.host for line in client.lines()]

    first = [status for status in statuses if status.line == 1 and status.topic is None]
    assert [status.kind for status in first] == ["failed"] * int(REST_AT / FAILURE) + ["moved", "opened"]
    assert first[0].cause.cause is Cause.UNREACHABLE
    assert first[-2].host in box.url
    assert line_kinds(statuses, 2) == ["opened"]
    assert all(host in box.url for host in hosts)
    assert f"going on with {hosts[0]} (unreachable" in caplog.text


@pytest.mark.slow
def test_host_that_accepts_and_says_nothing_is_left_for_the_next_one(box):
    """A balancer may accept for a server that is gone."""
    with Sandbox() as silent:
        silent.fault("accept_silence")
        client = LBankClient(hosts=[silent.url, box.url], backoff_first_s=0.05)
        statuses: list[Status] = []
        client.on_status(statuses.append)
        subscription = client.subscribe("ticker", "btc_usdt")

        with client:
            subscription.wait(Limits().handshake_s * REST_AT / FAILURE + SLACK_S)

    failed = [status for status in statuses if status.kind == "failed"]
    assert [status.cause.cause for status in failed] == [Cause.STALLED] * int(REST_AT / FAILURE)
    assert line_kinds(statuses)[-2:] == ["moved", "opened"]


def test_twelve_lines_never_dial_in_a_burst(box):
    """The exchange refused 677 dials at once and let one every 0.1 s pass; a drop of all must not become a burst."""
    dials: list[float] = []
    dialler = Dialler()

    def dial(*arguments, **options):
        dials.append(time.monotonic())
        return dialler.dial(*arguments, **options)

    with Sandbox(pairs=PAIRS) as many:
        client = LBankClient(url=many.url, connect=dial, backoff_first_s=0.05)
        for pair in many.pairs[:12]:
            client.subscribe("depth", pair)
        with client:
            wait_until(lambda: len(subscribed(many)) == 12)
            many.abort()
            wait_until(lambda: len(dials) >= 24)
            wait_until(lambda: len(subscribed(many)) == 12)

    # A thread that wakes late, on a busy machine, brings its dial nearer to the next ones; a burst brings all together.
    for at in range(len(dials) - 5):
        assert dials[at + 5] - dials[at] >= 5 * APART_S - 0.2


# What rides where.


@pytest.mark.slow
def test_hundred_subscriptions_are_spread_over_lines(make_client):
    """The exchange delivers some 14 kB/s a socket, and books are most of the bytes."""
    with Sandbox(pairs=PAIRS) as many:
        client = make_client(many.url)
        for pair in many.pairs[:10]:
            client.subscribe("depth", pair)
        for channel in ("ticker", "trade", "kline"):
            for pair in many.pairs[:30]:
                client.subscribe(channel, pair)
        client.start()
        wait_until(lambda: len(subscribed(many)) == 100, 19 * APART_S + 10 * Habits().send_apart_s + 2 * SLACK_S)

        views = [set(view.subscriptions) for view in many.visitors()]
        lines = client.lines()

    books = [carried for carried in views if any(name.startswith("depth/") for name in carried)]
    assert [len(carried) for carried in books] == [1] * 10
    assert sorted(len(carried) for carried in views) == [1] * 10 + [10] * 9
    assert sorted(len(line.topics) for line in lines) == sorted(len(carried) for carried in views)
    assert len({line.number for line in lines}) == 19
    assert sum(len(line.topics) for line in lines) == len(client.stats()) == 100


def test_last_book_of_a_pair_takes_its_line_with_it_and_no_other(box, make_client):
    """Sockets that carry nothing count against the limit of an address; the others must not feel it."""
    client = make_client(box.url)
    statuses: list[Status] = []
    client.on_status(statuses.append)
    for channel, pair in [("depth", "btc_usdt"), ("depth", "eth_usdt"), ("ticker", "btc_usdt")]:
        client.subscribe(channel, pair)
    client.start()
    wait_until(lambda: len(subscribed(box)) == 3)
    second = client.lines()[1]

    assert client.unsubscribe("depth", "eth_usdt")

    wait_until(lambda: len(box.visitors()) == 2)
    assert subscribed(box) == {"depth/btc_usdt/20", "ticker/btc_usdt"}
    assert second.number not in [line.number for line in client.lines()]
    assert [line.losses for line in client.lines()] == [0, 0]
    assert box.connections == 3
    assert {"lost", "failed"}.isdisjoint(line_kinds(statuses))
    with pytest.raises(UsageError, match=r"subscribe\('depth', 'eth_usdt'\)"):
        client.book("eth_usdt")


# What one can ask.


def test_nothing_is_served_while_the_line_is_away(box, make_client):
    """The last price before a drop looks like any other; it is not the price."""
    client = make_client(box.url)
    book, ticker = client.subscribe("depth", "btc_usdt"), client.subscribe("ticker", "btc_usdt")
    assert why(client.book) is why(client.last) is Flaw.NOTHING_YET
    client.start()
    book.wait()
    ticker.wait()
    assert client.book("btc_usdt").best_bid < client.book("btc_usdt").best_ask
    assert isinstance(client.last("btc_usdt").last, Decimal)

    with box.fault("refuse_dial"):
        box.abort()
        wait_until(lambda: why(client.book) is why(client.last) is Flaw.LINE_DOWN)
        with pytest.raises(StaleBook, match=r"no good order book of btc_usdt since .* UTC: line down"):
            client.book("btc_usdt")
        with pytest.raises(StalePrice, match="line down"):
            client.last("btc_usdt")
        assert book.state is ticker.state is Subscribed.WAITING

    wait_until(lambda: why(client.book) is why(client.last) is None)
    assert book.state is ticker.state is Subscribed.LIVE


def test_lines_and_stats_tell_what_happened(box, make_client):
    """Who looks after a collector wants to see at a glance which line drops, and which pair is late."""
    client = make_client(box.url)
    client.subscribe("depth", "btc_usdt", levels=5)
    client.subscribe("trade", "btc_usdt")
    client.start()
    wait_until(lambda: all(stats.pushes for stats in client.stats()))
    before = client.lines()

    box.disconnect()
    wait_until(lambda: [line.losses for line in client.lines()] == [1, 1])
    wait_until(lambda: all(str(line.state) == "open" for line in client.lines()))
    pushes = [stats.pushes for stats in client.stats()]
    wait_until(lambda: all(stats.pushes > known for stats, known in zip(client.stats(), pushes, strict=True)))

    after = client.lines()
    stats = client.stats()
    assert [line.number for line in after] == [1, 2]
    assert all(then.opened_at < now.opened_at for then, now in zip(before, after, strict=True))
    assert [line.host for line in after] == [box.url.removeprefix("ws://")] * 2
    assert [str(topic) for line in after for topic in line.topics] == ["depth/btc_usdt/5", "trade/btc_usdt"]
    assert [(known.topic.channel, known.line, known.state) for known in stats] == [
        (Channel.DEPTH, 1, Subscribed.LIVE),
        (Channel.TRADE, 2, Subscribed.LIVE),
    ]
    assert all(0 <= known.last_age_s < SLACK_S and known.late == 0 for known in stats)
    assert all(known.p50_age_s <= known.p99_age_s for known in stats)


# Waiting for a subscription.


def test_wait_gives_a_live_subscription(box, make_client):
    """The first lines of a script: subscribe, wait, ask."""
    client = make_client(box.url)

    with client:
        subscription = client.subscribe("depth", "btc_usdt")

        assert subscription.wait() is subscription
        assert subscription.state is Subscribed.LIVE
        assert client.book("btc_usdt").fault is None


@pytest.mark.parametrize(
    ("pair", "has_rest", "advice"),
    [
        ("bct_usdt", True, "LBank does not list it; did you mean btc_usdt?"),
        ("usdt_btc", True, "LBank does not list it; did you mean btc_usdt?"),
        ("nosuch_usdt", True, "LBank does not list it, or not any more"),
        ("usdt_btc", False, "did you mean btc_usdt?"),
        ("bct_usdt", False, "check the spelling of the pair and that LBank still lists it"),
    ],
)
def test_refusal_says_which_pair_was_meant(box, make_client, pair, has_rest, advice):
    """The exchange says "Invalid order pairs" and no more."""
    client = make_client(box.url, rest_url=box.rest_url if has_rest else None)
    client.on_error(lambda error: None)

    refusals: list[SubscriptionRefused] = []

    def is_advised() -> bool:
        with pytest.raises(SubscriptionRefused) as caught:
            client.subscribe("ticker", pair).wait()
        refusals.append(caught.value)
        return caught.value.advice == advice

    with client:
        wait_until(is_advised, what=f"the advice {advice!r}")  # the list of pairs comes soon after the start

        assert client.subscriptions()[0].refusal is refusals[-1]
        assert refusals[-1].sentence().endswith(f"; {advice}")


def test_trades_of_a_quiet_pair_are_live_when_nobody_objects(make_client):
    """There may be none for hours, and the exchange confirms nothing."""
    with Sandbox(pairs=["btc_usdt"], speed=0) as box:
        client = make_client(box.url)
        subscription = client.subscribe("trade", "btc_usdt")
        statuses: list[Status] = []
        client.on_status(statuses.append)
        began_s = time.monotonic()

        with client:
            subscription.wait(Habits().confirm_s + SLACK_S)

        assert time.monotonic() - began_s >= Habits().confirm_s
        wait_until(lambda: [status.kind for status in statuses if status.topic] == ["live"])


def test_wait_says_what_did_not_come(box, make_client):
    """A book that stays away is no reason to wait for ever."""
    client = make_client(box.url)

    with client, box.fault("mute"):
        subscription = client.subscribe("depth", "btc_usdt")

        with pytest.raises(NoEvent, match="depth/btc_usdt/20"):
            subscription.wait(0.3)
        with pytest.raises(StaleBook, match="so far: nothing yet"):
            client.book("btc_usdt")
