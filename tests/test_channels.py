"""What one can subscribe to, and what a wrong request is told."""

from __future__ import annotations

from typing import Any

import pytest

from lbank_ws.channels import INTERVALS, Channel, Topic, checked_pair, topic
from lbank_ws.errors import UsageError


@pytest.mark.parametrize(
    ("channel", "more", "expected", "name"),
    [
        ("ticker", {}, Topic(Channel.TICKER, "btc_usdt"), "ticker/btc_usdt"),
        ("trade", {}, Topic(Channel.TRADE, "btc_usdt"), "trade/btc_usdt"),
        ("depth", {}, Topic(Channel.DEPTH, "btc_usdt", levels=20), "depth/btc_usdt/20"),
        ("depth", {"levels": 5}, Topic(Channel.DEPTH, "btc_usdt", levels=5), "depth/btc_usdt/5"),
        ("kline", {}, Topic(Channel.KLINE, "btc_usdt", interval="1min"), "kline/btc_usdt/1min"),
        ("kline", {"interval": "1hr"}, Topic(Channel.KLINE, "btc_usdt", interval="1hr"), "kline/btc_usdt/1hr"),
        (Channel.TICKER, {}, Topic(Channel.TICKER, "btc_usdt"), "ticker/btc_usdt"),
    ],
)
def test_topic_is_complete_and_has_a_name(channel: str, more: dict[str, Any], expected: Topic, name: str):
    """Two ways of asking for the same thing must be one subscription."""
    asked = topic(channel, "btc_usdt", **more)

    assert asked == expected
    assert str(asked) == name


@pytest.mark.parametrize("channel", ["tick", "Ticker", "kbar", "orderbook", "__class__", "", None, 5, []])
def test_unknown_channel_is_told_which_there_are(channel: object):
    """The exchange answers an unknown channel with silence, so the error has to come from here."""
    with pytest.raises(UsageError, match=r"there is no channel .*; write one of: ticker, depth, trade, kline"):
        topic(channel, "btc_usdt")  # type: ignore[arg-type]  # a beginner's mistake


@pytest.mark.parametrize("pair", ["btc_usdt", "1000sats_usdt", "a_b", "usd1_usdt"])
def test_pair_in_lower_case_is_taken_unchanged(pair: str):
    """It is a key everywhere, so it has one spelling."""
    assert checked_pair(pair) == pair


@pytest.mark.parametrize(
    ("pair", "meant"),
    [
        ("BTC/USDT", "btc_usdt"),
        ("btc-usdt", "btc_usdt"),
        ("BTC_USDT", "btc_usdt"),
        ("btc:usdt", "btc_usdt"),
        ("btc usdt", "btc_usdt"),
        (" btc_usdt", "btc_usdt"),
        ("btc_usdt\n", "btc_usdt"),
        ("btcusdt", "btc_usdt"),
        ("BTCUSDT", "btc_usdt"),
        ("ethbtc", "eth_btc"),
        ("solusdc", "sol_usdc"),
    ],
)
def test_pair_of_another_exchange_is_told_how_it_is_spelt_here(pair: str, meant: str):
    """Every exchange spells pairs its own way, and this is the first thing that a beginner gets wrong."""
    with pytest.raises(UsageError) as caught:
        checked_pair(pair)

    assert caught.value.sentence().endswith(f", not {pair!r}; did you mean {meant}?")


@pytest.mark.parametrize(
    "pair",
    [
        "",
        "btc",
        "usdt",
        "_usdt",
        "btc_",
        "btc_usdt_x",
        "../../x",
        "all",
        '"},{"a":"',
        "\0",
        "\u0661\u0662_\u0663",
        "\u0431\u0442\u0441_\u044e",
        "\ud800",
        "x" * 100_000,
        None,
        5,
        True,
        b"btc_usdt",
        ["btc_usdt"],
    ],
    ids=lambda pair: repr(pair)[:20],
)
def test_what_is_no_pair_is_refused_without_a_guess(pair: object):
    """A pair ends up in frames, file names and tables: only letters, digits and one underscore may."""
    with pytest.raises(UsageError, match="a pair is written base_quote in lower case, like btc_usdt, not ") as caught:
        checked_pair(pair)  # type: ignore[arg-type]  # a beginner's mistake

    assert "did you mean" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("pair", ["btc_usdt\0", "btc\0_usdt", "btc_usdt\n", "btc_usd\u0661", "\u212atc_usdt"])
def test_pair_with_one_odd_character_is_refused(pair: str):
    """Regular expressions are easily fooled by a newline at the end and by digits of other scripts."""
    with pytest.raises(UsageError):
        checked_pair(pair)


@pytest.mark.parametrize("levels", [1, 7, 10, 200])
def test_any_sensible_number_of_levels_is_taken(levels: int):
    """The exchange was seen to serve more than the three documented ones."""
    assert topic("depth", "btc_usdt", levels=levels).levels == levels


@pytest.mark.parametrize("levels", [0, -1, True, False, "10", 201, 10.0, [], 10**30])
def test_other_levels_are_refused(levels: object):
    """The exchange answers zero and less with empty books and no error."""
    with pytest.raises(UsageError, match=r"levels is a whole number from 1 to 200, not .*; 10, 50 and 100"):
        topic("depth", "btc_usdt", levels=levels)  # type: ignore[arg-type]  # a beginner's mistake


@pytest.mark.parametrize("interval", INTERVALS)
def test_documented_interval_is_taken(interval: str):
    """They are all that the exchange promises."""
    assert topic("kline", "btc_usdt", interval=interval).interval == interval


@pytest.mark.parametrize("interval", ["1m", "1MIN", "12hr", "", "1min\n", 5, False, []])
def test_other_interval_is_refused_with_the_list(interval: object):
    """`1m` is how most exchanges spell it."""
    with pytest.raises(UsageError, match=r"there is no interval .*; write one of: 1min, 5min, .*, year"):
        topic("kline", "btc_usdt", interval=interval)  # type: ignore[arg-type]  # a beginner's mistake


@pytest.mark.parametrize(
    ("channel", "more", "problem"),
    [
        ("ticker", {"levels": 5}, "levels belongs to depth, not to ticker; leave it out"),
        ("kline", {"levels": 0}, "levels belongs to depth, not to kline; leave it out"),
        ("trade", {"interval": "1min"}, "interval belongs to kline, not to trade; leave it out"),
        ("depth", {"interval": ""}, "interval belongs to kline, not to depth; leave it out"),
    ],
)
def test_option_of_another_channel_is_refused(channel: str, more: dict[str, Any], problem: str):
    """Taken in silence, it would look as if it did something."""
    with pytest.raises(UsageError) as caught:
        topic(channel, "btc_usdt", **more)

    assert caught.value.sentence() == problem


@pytest.mark.parametrize("channel", ["order", "balance"])
def test_an_account_is_one_topic_for_all_pairs(channel: str):
    """One subscription brings every order; a second one for a pair would bring some twice."""
    assert topic(channel, "all") == Topic(Channel(channel), "all")

    with pytest.raises(UsageError, match=rf"{channel} comes for all pairs at once: write 'all', not 'btc_usdt'"):
        topic(channel, "btc_usdt")
