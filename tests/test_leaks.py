"""The watch over the whole suite sees what it is for; a search that finds nothing proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbank_ws.sandbox.subscribe_keys import SubscribeKeys
from lbank_ws.signer import HMAC, Credentials
from tests.leaks import LEAKS, Leaks

pytest_plugins = ["pytester"]


def test_signatures_and_subscribe_keys_are_known_as_soon_as_they_are_made():
    """Also of the log-in of the simple dialect."""
    me = Credentials("key-of-ann", "secret" + "-of-ann")

    made = [me.sign({"symbol": "btc_usdt"}), me.log_in(1)[2], SubscribeKeys().give("ann", 0)]

    assert me.method == HMAC
    for secret in made:
        assert LEAKS.in_text(f"sent sign={secret}, and lost") == secret


@pytest.mark.parametrize("text", ["secret" + "-of-ann", "from 203.0" + ".113.7", "2001" + ":db8::1"])
def test_what_is_said_openly_is_seen(text: str):
    """Secrets of the tests' accounts, and addresses that tests let the exchange say."""
    assert LEAKS.in_text(f"it said: {text}")
    assert LEAKS.in_text("it said: " + "ab" * 32) is None


def test_a_repr_that_shows_one_is_seen():
    """It need not be printed: somebody's debugger prints it."""
    leaks, shown = Leaks(), "ab" * 32
    leaks.note(shown)

    class Careless:
        __module__ = "lbank_ws.somewhere"

        def __repr__(self) -> str:
            return f"Careless(sign={shown})"

    careless = Careless()

    assert [str(careless) in text for text in leaks.in_reprs()] == [True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('sign=' + made)", "a secret is in Captured stdout call"),
        ("import sys; sys.stderr.write(made)", "a secret is in Captured stderr call"),
        ("import logging; logging.getLogger('lbank_ws').debug('%s', made)", "AssertionError"),
        ("me.shown = type('Shown', (), {'__module__': 'lbank_ws', '__repr__': lambda self: made})()", "a repr holds"),
        ("pass", "1 passed"),
    ],
)
def test_no_test_passes_that_shows_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str, words: str
):
    """By whichever way: printed, logged, or in a repr."""
    pytester.makeconftest("from tests.conftest import *  # the hooks and the watch\n")
    pytester.makepyfile(
        f"""
        from lbank_ws.signer import Credentials
        class Mine(Credentials): pass
        me = Mine("key-of-ann", "practice" + "-secret")
        def test_it():
            made = me.sign({{"symbol": "btc_usdt"}})
            {body}
        """
    )

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")

    assert words in result.stdout.str()
    assert result.ret == (0 if body == "pass" else 1)
