"""The whole client against two exchanges that share no code: the practice exchange, and one made with `websockets`."""

from __future__ import annotations

import logging
import threading
from decimal import Decimal

import pytest

from lbank_ws import (
    CallbackError,
    DecodeError,
    Depth,
    Ended,
    Kline,
    LBankClient,
    NoEvent,
    SubscriptionRefused,
    Ticker,
    Trade,
    UsageError,
)
from tests.plain_exchange import PlainExchange
from tests.waiting import line_kinds, open_sockets, our_threads, wait_until


def test_ten_lines_give_typed_events_of_every_channel(exchange, make_client):
    """The main job: a decorated function gets what its name says."""
    client = make_client(exchange.url)
    seen: dict[type, list[object]] = {Ticker: [], Depth: [], Trade: [], Kline: []}
    client.on_ticker("btc_usdt", "eth_usdt")(seen[Ticker].append)
    client.on_depth("btc_usdt", levels=10)(seen[Depth].append)
    client.on_trade("btc_usdt", "eth_usdt", "sol_usdt")(seen[Trade].append)
    client.on_kline("btc_usdt", interval="5min")(seen[Kline].append)

    client.run(for_s=20, until=lambda: all(seen.values()))

    for kind, events in seen.items():
        assert events
        assert all(type(event) is kind for event in events)
    assert isinstance(seen[Ticker][0].last, Decimal)
    assert seen[Depth][0].best_bid < seen[Depth][0].best_ask
    assert seen[Depth][0].levels == 10
    assert seen[Kline][0].interval == "5min"


def test_simple_dialect_does_the_same_job(exchange, make_client):
    """The guide's protocol is complete too, klines excepted, which it does not have."""
    client = make_client(exchange.url, dialect="simple")
    seen: dict[str, list[object]] = {"ticker": [], "depth": [], "trade": []}
    client.on_ticker("btc_usdt")(seen["ticker"].append)
    client.on_depth("btc_usdt")(seen["depth"].append)
    client.on_trade("btc_usdt")(seen["trade"].append)

    client.run(for_s=20, until=lambda: all(seen.values()))

    assert {events[0].pair for events in seen.values()} == {"btc_usdt"}
    assert seen["ticker"][0].volume > 0


@pytest.mark.parametrize("how", ["bare", "called without pairs"])
def test_callback_without_pairs_hears_every_pair_of_its_channel(exchange, make_client, how):
    """One function for all pairs is how a collector begins."""
    client = make_client(exchange.url)
    pairs = set()

    def hear(ticker):
        pairs.add(ticker.pair)

    assert (client.on_ticker(hear) if how == "bare" else client.on_ticker()(hear)) is hear
    client.subscribe("ticker", "btc_usdt")
    client.subscribe("ticker", "eth_usdt")
    client.subscribe("depth", "sol_usdt")

    client.run(for_s=10, until=lambda: len(pairs) == 2)

    assert pairs == {"btc_usdt", "eth_usdt"}


def test_every_drop_is_followed_by_the_same_subscriptions(exchange, make_client):
    """A polite close in mid-stream is routine at LBank, and must not silently end a subscription."""
    client = make_client(exchange.url)
    statuses, prices = [], []
    client.on_status(statuses.append)
    client.on_ticker("btc_usdt", "eth_usdt")(prices.append)
    client.on_depth("btc_usdt")(lambda depth: None)
    wanted = {"ticker/btc_usdt", "ticker/eth_usdt", "depth/btc_usdt"}
    client.start()
    wait_until(lambda: exchange.topics() == wanted, what="the first subscriptions")

    exchange.hang_up()

    for line in (1, 2):  # the books have one of their own
        wait_until(lambda line=line: line_kinds(statuses, line) == ["opened", "lost", "reconnected"])
    wait_until(lambda: exchange.topics() == wanted, what="the same subscriptions")
    assert all("1000" in str(status.cause) for status in statuses if status.kind == "lost")
    assert all(0 <= status.outage_s < 2 for status in statuses if status.kind == "reconnected")


def test_twenty_killed_servers_leave_the_subscriptions_and_nothing_else(make_exchange, make_client):
    """Whoever leaks a thread or a socket at each drop dies after a week."""
    exchange = make_exchange()
    client = make_client(exchange.url, backoff_first_s=0.02, backoff_cap_s=0.1)
    client.on_ticker("btc_usdt", "eth_usdt")(lambda ticker: None)
    client.on_trade("btc_usdt")(lambda trade: None)
    wanted = {"ticker/btc_usdt", "ticker/eth_usdt", "trade/btc_usdt"}
    client.start()
    wait_until(lambda: exchange.topics() == wanted)
    counts = []

    for _ in range(20):
        exchange.close()
        exchange = make_exchange(exchange.port)
        took_s = wait_until(lambda now=exchange: now.topics() == wanted, what="the same subscriptions")
        assert took_s < 2
        assert len(our_threads()) == 4
        counts.append(open_sockets())

    assert max(counts) <= counts[0] + 2


def test_refused_pair_is_named_and_the_others_live_on(exchange, make_client):
    """One misspelt pair must not take the rest down, and the exchange's echo of our address must not be shown."""
    client = make_client(exchange.url)
    faults, prices = [], []
    client.on_error(faults.append)
    client.on_ticker("btc_usdt", "nosuch_usdt")(prices.append)

    client.run(for_s=10, until=lambda: faults and prices)

    (refusal,) = faults
    assert isinstance(refusal, SubscriptionRefused)
    assert refusal.topic == "ticker/nosuch_usdt"
    assert "nosuch_usdt" in refusal.reason
    assert "127.0.0.1" not in str(refusal)
    assert "203.0.113.7" not in str(refusal)
    assert [str(known.state) for known in client.subscriptions()][1] == "refused"


def test_run_raises_when_everything_was_refused(exchange, make_client):
    """A cron job whose only pair was delisted must fail, not wait for ever."""
    client = make_client(exchange.url)
    client.on_ticker("nosuch_usdt")(lambda ticker: None)

    with pytest.raises(SubscriptionRefused, match="nosuch_usdt"):
        client.run(for_s=10)


def test_garbage_is_reported_and_the_line_stays(exchange, make_client):
    """A broken frame is the exchange's fault and no reason to lose the good ones."""
    client = make_client(exchange.url)
    faults, statuses, prices = [], [], []
    client.on_error(faults.append)
    client.on_status(statuses.append)
    client.on_ticker("btc_usdt")(prices.append)
    client.start()
    wait_until(lambda: prices)

    for text in ["not json", '{"type":"tick"}', '{"type":"tick","pair":"btc_usdt","tick":{"latest":NaN}}', "[]"]:
        exchange.say(text)

    wait_until(lambda: len(faults) == 4)
    assert all(isinstance(fault, DecodeError) for fault in faults)
    assert line_kinds(statuses) == ["opened"]


def test_invalid_utf8_is_one_bad_frame(make_client):
    """The library's own check is switched off for speed, so ours must hold."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url)
        faults, prices = [], []
        client.on_error(faults.append)
        client.on_ticker("btc_usdt")(prices.append)
        client.start()
        wait_until(lambda: prices)

        exchange.each(lambda line: line.send(b'{"type":"tick\xff"}', text=True))

        wait_until(lambda: faults)
        assert "UTF-8" in str(faults[0])
        assert str(client.state) == "open"


def test_raising_callback_stops_neither_the_others_nor_the_feed(exchange, make_client):
    """A stranger's code may raise anything."""
    client = make_client(exchange.url)
    faults, prices = [], []
    client.on_error(faults.append)

    @client.on_ticker("btc_usdt")
    def broken(ticker):
        raise KeyError("mine")

    client.on_ticker("btc_usdt", "eth_usdt")(prices.append)

    client.run(for_s=10, until=lambda: len(faults) >= 1 and len(prices) >= 2)

    assert isinstance(faults[0], CallbackError)
    assert "broken" in faults[0].callback
    assert isinstance(faults[0].__cause__, KeyError)
    assert len(prices) >= 2


def test_pong_leaves_although_every_callback_sleeps(make_client):
    """The exchange hangs up a minute after an unanswered ping, and a callback may take longer than that."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url)
        release = threading.Event()
        client.on_ticker("btc_usdt")(lambda ticker: release.wait(30))
        client.start()
        wait_until(lambda: exchange.asked)

        exchange.say({"action": "ping", "ping": "0ca8f854"})

        took_s = wait_until(lambda: {"action": "pong", "pong": "0ca8f854"} in exchange.heard)
        release.set()
        assert took_s < 1


def test_subscribing_and_leaving_inside_a_callback_works(exchange, make_client):
    """A script that follows the market decides in its callbacks."""
    client = make_client(exchange.url)
    pairs = []

    @client.on_ticker
    def follow(ticker):
        pairs.append(ticker.pair)
        if ticker.pair == "btc_usdt":
            client.unsubscribe("ticker", "btc_usdt")
            client.subscribe("ticker", "eth_usdt")

    client.subscribe("ticker", "btc_usdt")

    client.run(for_s=10, until=lambda: "eth_usdt" in pairs)

    assert [str(known.topic) for known in client.subscriptions()] == ["ticker/eth_usdt"]


def test_wait_for_gives_the_next_event_and_leaves_no_trace(exchange, make_client):
    """In a notebook one wants one price."""
    client = make_client(exchange.url)

    with client:
        ticker = client.wait_for("ticker", "btc_usdt", timeout_s=10)

        assert ticker.pair == "btc_usdt"
        assert client.subscriptions() == []
        with pytest.raises(SubscriptionRefused, match="nosuch_usdt"):
            client.wait_for("ticker", "nosuch_usdt", timeout_s=10)


def test_wait_for_says_what_did_not_come(make_client):
    """A quiet pair is no error of the line, and the sentence says so."""
    with PlainExchange(is_mute=True) as exchange:
        client = make_client(exchange.url)
        with client, pytest.raises(NoEvent, match="ticker/btc_usdt"):
            client.wait_for("ticker", "btc_usdt", timeout_s=0.2)


def test_wait_for_is_refused_where_it_cannot_work(make_client):
    """Inside a callback it would wait for itself; before the start, for ever."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url)
        errors = []
        with pytest.raises(UsageError, match="start"):
            client.wait_for("ticker", "btc_usdt")

        @client.on_ticker("btc_usdt")
        def ask(ticker):
            try:
                client.wait_for("ticker", "eth_usdt")
            except UsageError as error:
                errors.append(error)

        client.run(for_s=10, until=lambda: errors)

        assert "callback" in str(errors[0])


def test_run_ends_when_its_time_is_over(exchange, make_client):
    """Cron starts a job for 59 minutes."""
    client = make_client(exchange.url)
    client.on_ticker("btc_usdt")(lambda ticker: None)

    assert client.run(for_s=0.2) is Ended.TIME_OVER
    assert not our_threads()


def test_client_runs_once_and_says_so(exchange, make_client):
    """A second run() of a finished client would otherwise end at once without a word."""
    client = make_client(exchange.url)
    client.on_ticker("btc_usdt")(lambda ticker: None)
    client.run(for_s=0.1)

    with pytest.raises(UsageError, match="make a new LBankClient"):
        client.run(for_s=0.1)


def test_drops_are_logged_once_each_and_without_secrets(make_exchange, make_client, caplog):
    """Somebody reads this log at night; a dead exchange must not fill it."""
    caplog.set_level(logging.INFO)
    exchange = make_exchange()
    client = make_client(exchange.url, backoff_first_s=0.02, backoff_cap_s=0.02)
    attempts = []
    client.on_status(lambda status: attempts.append(status.attempts) if status.topic is None else None)
    client.on_ticker("btc_usdt")(lambda ticker: None)
    client.start()
    wait_until(lambda: exchange.topics())

    exchange.close()
    wait_until(lambda: attempts and attempts[-1] > 10)

    ours = [record for record in caplog.records if record.name in ("lbank_ws", "websocket")]
    assert [record.levelname for record in ours] == ["INFO", "WARNING", "WARNING"]


BAD_CALLS = {
    "pair": (lambda client: client.subscribe("ticker", "BTC/USDT"), "did you mean btc_usdt"),
    "channel": (lambda client: client.subscribe("tickers", "btc_usdt"), "ticker, depth, trade, kline"),
    "levels": (lambda client: client.on_depth("btc_usdt", levels=0), "from 1 to 200"),
    "interval": (lambda client: client.on_kline("btc_usdt", interval="1m"), "1min"),
    "clash": (lambda client: client.on_ticker("ab_cusdt", "abc_usdt"), "alike"),
    "no kline": (lambda client: client.on_kline("btc_usdt"), "has no kline"),
    "time": (lambda client: client.run(for_s=-1), "for_s"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_refused_where_it_is_written(case):
    """The error stands at the call that is wrong, says what to write, and leaves nothing half-done."""
    call, words = BAD_CALLS[case]
    client = LBankClient(dialect="simple", url="ws://127.0.0.1:1")

    with pytest.raises(UsageError, match=words):
        call(client)

    assert client.subscriptions() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialect": "v3"}, "v2, simple"),
        ({"url": "http://127.0.0.1"}, "write wss://host"),
        ({"url": "ws://127.0.0.1/a b"}, "blanks"),
        ({"url": "ws://127.0.0.1/\r\nX: y"}, "blanks"),
        ({"url": "ws://me:secret@127.0.0.1/"}, "credentials"),
        ({"rest_url": "ws://127.0.0.1"}, "https://host"),
        ({"backoff_first_s": 0}, "backoff_first_s"),
        ({"backoff_cap_s": float("nan")}, "backoff_cap_s"),
        ({"give_up_after_s": -1}, "give_up_after_s"),
        ({"silent_after_s": 0.5}, "silent_after_s"),
        ({"max_message_bytes": 1000}, "max_message_bytes"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"proxy": "https://127.0.0.1:3128"}, "socks5"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, words):
    """An option is checked when the client is made, not at three in the morning."""
    with pytest.raises(UsageError, match=words) as caught:
        LBankClient(**options)

    assert "secret" not in str(caught.value)
