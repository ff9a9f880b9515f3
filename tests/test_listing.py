"""What somebody is told whose pair was refused."""

from __future__ import annotations

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.channels import is_pair
from lbank_ws.errors import ADVICE, SubscriptionRefused
from lbank_ws.feed.listing import Listing

PAIRS = frozenset(
    [
        "btc_usdt",
        "btc_usdc",
        "btc_usd1",
        "tbc_usdt",
        "tbc_usd",
        "eth_usdt",
        "eth_btc",
        "etc_usdt",
        "doge_usdt",
        "dog_usdt",
        "dog_btc",
        "bat_usdt",
        "bat_lbk",
        "sol_usdc",
        "sol_eth",
        "1000sats_usdt",
        "lbk_zzz",
        "lbk_aaa",
    ]
)
NOT_LISTED = "LBank does not list it, or not any more"


def listing(pairs: frozenset[str] | None = PAIRS) -> Listing:
    known = Listing()
    known.pairs = pairs
    return known


@pytest.mark.parametrize(
    ("pair", "meant"),
    [
        ("usdt_btc", "btc_usdt"),  # the two swapped
        ("btc_eth", "eth_btc"),
        ("btc_usd", "btc_usdt"),  # another quote: usdt first, then the usual ones
        ("btc_eur", "btc_usdt"),
        ("btc_ustd", "btc_usdt"),
        ("sol_usdt", "sol_usdc"),
        ("lbk_usdt", "lbk_aaa"),
        ("eht_usdt", "eth_usdt"),  # letters in another order
        ("bct_usdt", "btc_usdt"),
        ("sats1000_usdt", "1000sats_usdt"),
        ("dodge_usdt", "doge_usdt"),  # a letter too many, too few, wrong
        ("dge_usdt", "doge_usdt"),
        ("dxge_usdt", "doge_usdt"),
        ("bt_usdt", "btc_usdt"),  # of equals the one that is traded in more ways
        ("bt_lbk", "bat_lbk"),  # or the one that is traded as was asked
        ("ethh_btc", "eth_btc"),
        ("usdt_bct", "btc_usdt"),  # both at once
        ("usdt_bt", "btc_usdt"),
        ("dodge_btc", "doge_usdt"),  # the name counts more than the quote
        ("dodge_eur", "doge_usdt"),
        ("btcusdt", "btc_usdt"),  # as other exchanges spell them
        ("ETH/BTC", "eth_btc"),
        ("usdt-doge", "doge_usdt"),
    ],
)
def test_pair_that_is_not_listed_is_told_the_one_that_was_probably_meant(pair: str, meant: str):
    """The exchange says "Invalid order pairs", and a beginner looks for the mistake in his network."""
    assert listing().advice(pair) == f"LBank does not list it; did you mean {meant}?"


@pytest.mark.parametrize("pair", ["xyz_usdt", "btx_usdt", "usdt_xyz", "shiba_inu", "btc_usdt_perp", "", "x" * 100_000])
def test_pair_that_is_like_no_other_is_told_that_it_is_gone(pair: str):
    """A wrong guess would send somebody to another currency; three letters with one wrong could be anything."""
    assert listing().advice(pair) == NOT_LISTED


def test_pair_that_is_listed_is_told_to_try_again():
    """The spelling is right, so nobody should go looking for a mistake in it."""
    assert listing().advice("btc_usdt") == "LBank lists it, so try again later"


def test_order_of_the_listed_pairs_makes_no_difference():
    """A set has none, and the same question should have the same answer tomorrow."""
    pairs = [f"{base}_{quote}" for base in ("abcd", "abce", "abcf") for quote in ("qqq", "rrr")]

    answers = {
        listing(frozenset(random.Random(seed).sample(pairs, len(pairs)))).advice("abcx_xxx") for seed in range(20)
    }

    assert answers == {"LBank does not list it; did you mean abcd_qqq?"}


@pytest.mark.parametrize("pairs", [None, frozenset()], ids=["unknown", "empty"])
@pytest.mark.parametrize(
    ("pair", "meant"),
    [
        ("usdt_btc", "btc_usdt"),
        ("usdt_doge", "doge_usdt"),
        ("usdt_usdc", "usdc_usdt"),
        ("btc_eth", "eth_btc"),
        ("eth_lbk", "lbk_eth"),
        ("usdt/btc", "btc_usdt"),
        ("BTC-USDT", "btc_usdt"),
        ("btcusdt", "btc_usdt"),
    ],
)
def test_while_the_list_is_unknown_the_spelling_is_looked_at(pairs: frozenset[str] | None, pair: str, meant: str):
    """REST may be out of reach, and then a swapped pair is plain all the same. An empty list is a fault, not a fact."""
    assert listing(pairs).advice(pair) == f"did you mean {meant}?"


@pytest.mark.parametrize(
    "pair",
    [
        "btc_usdt",
        "eth_btc",
        "usdc_usdt",
        "usdt_usdt",
        "doge_lbk",
        "btc_usd",
        "usd_btc",
        "eur_usdt",
        "usdt_eur",
        "",
        "!",
    ],
)
def test_without_the_list_and_without_a_guess_the_usual_advice_is_given(pair: str):
    """The same words as on a refusal that nobody could look into."""
    assert listing(None).advice(pair) == ADVICE
    assert SubscriptionRefused("ticker/a_b", None, "no").sentence().endswith(ADVICE)


@given(
    pair=st.from_regex(r"[a-z0-9]{1,8}_[a-z0-9]{1,5}", fullmatch=True),
    pairs=st.none() | st.frozensets(st.sampled_from(sorted(PAIRS))),
)
def test_advice_names_only_what_exists(pair: str, pairs: frozenset[str] | None):
    """Advice that leads to the next refusal is worse than none."""
    advice = listing(pairs).advice(pair)

    named = [word for word in advice.rstrip("?").split() if is_pair(word)]
    assert pair not in named
    assert len(named) <= 1
    assert not pairs or set(named) <= pairs


def test_advice_is_quick():
    """It is given on the thread that reads the socket, with the 1,400 pairs that LBank lists."""
    rng = random.Random(1)
    bases = {"".join(rng.choices(string.ascii_lowercase, k=rng.choice([3, 4, 4, 5, 6]))) for _ in range(1300)}
    known = listing(
        frozenset(f"{base}_usdt" for base in bases) | frozenset(f"{base}_btc" for base in sorted(bases)[:150])
    )
    asked = ["eht_usdt", "usdt_xyz", "abcdef_usdt", "seta_usd", "qqqqqqq_btc"]

    taken = []
    for _ in range(5):
        began_s = time.perf_counter()
        for pair in asked:
            known.advice(pair)
        taken.append((time.perf_counter() - began_s) / len(asked))

    assert min(taken) < 0.02
