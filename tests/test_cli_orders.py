"""The commands about an account as their users meet them: processes of their own, their output, their exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from lbank_ws.cli.exits import Exit, code_of
from lbank_ws.errors import RestFailed
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading_errors import CredentialsRefused, JournalBusy, JournalFailed, OrdersStillOpen, OrderUnknown

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000"})
        yield box


@pytest.fixture
def command(box, tmp_path):
    """Give a runner of `lbank-ws` against the box, in an empty folder."""
    variables = {
        "LBANK_WS_URL": box.url,
        "LBANK_REST_URL": box.rest_url,
        "LBANK_API_KEY": KEY,
        "LBANK_API_SECRET": SECRET,
    }

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lbank_ws", *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables, **more.pop("env", {})},
            capture_output=True,
            text=True,
            timeout=40,
            **({"stdin": subprocess.DEVNULL} | more),
        )

    return run


@pytest.mark.slow
def test_orders_go_to_paper_and_stay_there_from_command_to_command(box, command, tmp_path):
    """The first order of a newcomer costs nothing; the account is a file."""
    placed = command("orders", "place", "btc_usdt", "buy", "--value", "100", "--json")
    assert placed.returncode == Exit.DONE, placed.stderr
    order = json.loads(placed.stdout)
    assert (order["status"], order["value"], order["pair"]) == ("filled", "100", "btc_usdt")

    resting = command(
        "orders", "place", "btc_usdt", "buy", "--price", "1000", "--amount", "0.01", "--client-id", "mine"
    )
    assert "status=open" in resting.stdout
    assert "client_id=mine" in command("orders", "list", "btc_usdt").stdout
    assert "status=filled" in command("orders", "list", "btc_usdt", "--history").stdout
    balance = command("balance").stdout
    assert "asset=usdt  free=9890" in balance
    assert "locked=10\n" in balance
    assert "asset=btc" in balance
    assert "status=cancelled" in command("orders", "cancel", "btc_usdt", "mine").stdout
    assert command("orders", "cancel-all", "btc_usdt").stdout == "no order is open on btc_usdt\n"

    assert (tmp_path / "lbank-paper.json").exists()
    assert box.account(KEY).orders == ()


@pytest.mark.slow
def test_a_live_order_is_asked_about(box, command, tmp_path):
    """The word live, and a person's yes."""
    place = ("orders", "place", "btc_usdt", "buy", "--price", "1000", "--amount", "0.01", "--account", "live")

    nobody = command(*place)
    assert nobody.returncode == Exit.USAGE
    assert "write --yes" in nobody.stderr
    for said, count in (("no\n", 0), ("yes\n", 1)):
        ours, theirs = pty.openpty()
        os.write(ours, said.encode())
        asked = command(*place, stdin=theirs)
        os.close(ours)
        os.close(theirs)
        assert "LIVE: buy limit on btc_usdt, price 1000, amount 0.01" in asked.stdout
        assert len(box.account(KEY).orders) == count

    assert command(*place, "--yes", "--client-id", "mine").returncode == Exit.DONE
    resolved = command("orders", "resolve", "mine", "--account", "live")
    assert resolved.stdout.startswith("mine: placed, ")
    assert "asset=usdt  free=980  locked=20" in command("balance", "--account", "live").stdout
    assert command("orders", "cancel-all", "btc_usdt", "--account", "live").returncode == Exit.DONE
    assert box.account(KEY).open_orders == ()


def test_a_test_order_places_nothing(box, command):
    """LBank checks it."""
    tried = command("orders", "place", "btc_usdt", "buy", "--price", "1000", "--amount", "0.01", "--account", "test")

    assert tried.stdout == "the exchange would take it; nothing was placed\n"
    assert box.account(KEY).orders == ()


@pytest.mark.slow
def test_what_is_refused_has_an_exit_code_and_three_lines(box, command):
    """A script has to tell a typing error from a key that is not taken."""
    cases = [
        (
            ("orders", "place", "btc_usdt", "buy", "--price", "100.123", "--amount", "1"),
            {},
            Exit.USAGE,
            "2 decimal places",
        ),
        (
            ("balance", "--account", "live"),
            {"LBANK_API_SECRET": "wrong-secret"},
            Exit.NO_PERMISSION,
            "LBANK_API_SECRET",
        ),
        (("balance", "--account", "live"), {"LBANK_REST_URL": "http://127.0.0.1:1"}, Exit.NO_DATA, "refused"),
        (("balance", "--account", "live"), {"LBANK_API_KEY": ""}, Exit.USAGE, "LBANK_API_KEY"),
        (("orders", "cancel", "btc_usdt", "never-was"), {}, Exit.NO_DATA, "no such order"),
    ]
    for arguments, variables, code, words in cases:
        failed = command(*arguments, env=variables)
        assert (failed.returncode, failed.stderr.count("\n")) == (code, 3), failed.stderr
        assert words in failed.stderr
        assert SECRET not in failed.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OrderUnknown("id", "btc_usdt", "no answer"), 76),
        (OrdersStillOpen("btc_usdt", ()), 76),
        (CredentialsRefused("/", "no", 10007), 77),
        (JournalBusy("x"), 75),
        (JournalFailed("x", "full"), 74),
        (RestFailed("/", "no"), 69),
    ],
)
def test_exit_codes_tell_errors_apart(error, code):
    """They are documented, and scripts hang on them."""
    assert code_of(error) == code


def test_sign_shows_what_would_be_sent_and_sends_nothing(box, command):
    """To compare with what another client makes; without a secret on the screen."""
    shown = command("sign", "/v2/supplement/create_order.do", "symbol=btc_usdt", "price=1", "--dry-run")

    assert shown.returncode == Exit.DONE
    assert shown.stdout.startswith(f"POST {box.rest_url}/v2/supplement/create_order.do\ntimestamp: ")
    assert "symbol=btc_usdt&price=1&api_key=***0123&sign=***" in shown.stdout
    assert "signed with HmacSHA256: api_key=***0123&echostr=" in shown.stdout
    for secret in (KEY, SECRET):
        assert secret not in shown.stdout + shown.stderr
    assert command("sign", "/x").returncode == 2
    in_the_open = command("sign", "/x", "--dry-run", env={"LBANK_REST_URL": "http://api.lbkex.com"})
    assert "https:// alone" in in_the_open.stderr
