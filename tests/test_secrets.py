"""Nothing secret is left anywhere: everything that a trading program writes is searched for what must not be in it."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from lbank_ws.sandbox import Sandbox
from tests.cutting_proxy import CuttingProxy

KEY = "canary-key-7f3a9c51e2"
SECRET = "canary-secret-/+=5b8d20f6a1"
_FORM = re.compile(rb"(?:^|&)(sign|subscribeKey)=([^&]+)", re.MULTILINE)

# What a user does who wants to see everything: all logs, every repr, every traceback, a recording, a journal.
PROGRAM = """
import gc, logging, pickle, sys, time, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
import http.client
from lbank_ws import Credentials, LBankClient, LBankError, OrderUnknown
from lbank_ws.signer import new_nonce, signed_request
from lbank_ws.trading.account import AccountRest

dialect, ws_url, rest_url, key, secret = sys.stdin.read().split("\\n")[:5]
me = Credentials(key, secret)


def show(what):
    print(repr(what), str(what), f"{what}", flush=True)


def told(call):
    try:
        show(call())
    except Exception:
        traceback.print_exc()
        error = sys.exc_info()[1]
        while error is not None:
            show(error), show(error.args), show(vars(error))
            error = error.__cause__ or error.__context__


show(me)
show(signed_request({"symbol": "btc_usdt", "subscribeKey": "ab" * 32}, me, 1, new_nonce()))
told(lambda: pickle.dumps(me))
told(lambda: AccountRest("http://api.lbkex.com", me))
told(lambda: AccountRest(rest_url, Credentials(key, secret + "x")).balances())
told(lambda: AccountRest(rest_url, Credentials(key + "x", secret)).new_key())
told(lambda: Credentials(key, secret + " "))
told(lambda: Credentials(key, secret, "RSA"))
client = LBankClient(
    dialect=dialect, url=ws_url, rest_url=rest_url, account="live", credentials=me, record=f"{dialect}.jsonl",
    journal=f"{dialect}-orders.jsonl", backoff_first_s=0.05, silent_after_s=2,
)
client.on_error(show)
client.on_status(show)
client.on_ticker("btc_usdt")(show)
if dialect == "v2":
    client.on_order(show)
    client.on_balance(show)
with client:
    time.sleep(1.0)
    for number in range(12):
        told(lambda: client.orders.buy("btc_usdt", price="1000", amount="0.01", client_id=f"n-{number}"))
        told(lambda: client.orders.resolve(f"n-{number}"))
    told(lambda: client.orders.open("btc_usdt"))
    told(lambda: client.orders.buy("btc_usdt", price="1000", amount="99999"))
    told(lambda: pickle.dumps(client))
    told(lambda: vars(client))
    time.sleep(1.0)
    for thing in gc.get_objects():
        if str(getattr(type(thing), "__module__", "")).startswith("lbank_ws"):
            try:
                show(thing)
            except Exception:
                traceback.print_exc()
    told(lambda: client.stop(cancel_open=True))
"""


def disguises(secret: str) -> set[str]:
    """Give a secret as it might be written, and its halves."""
    raw = secret.encode()
    half = len(secret) // 2
    return {
        secret,
        secret[::-1],
        secret[:half],
        secret[half:],
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
    }


def test_a_disguise_is_recognised():
    """A search that finds nothing proves nothing."""
    assert {"canary-secret-", SECRET.encode().hex(), SECRET[::-1]} & disguises(SECRET)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect", ["v2", "simple"])
def test_nothing_that_a_trading_program_writes_holds_a_secret(tmp_path: Path, dialect: str):
    """All logs, reprs of everything alive, tracebacks, journal and recording; over a line that breaks."""
    sent: set[str] = set()
    calls = 0

    def watch(request: bytes) -> str | None:
        nonlocal calls
        sent.update(
            urllib.parse.unquote(value.decode()) for _, value in _FORM.findall(request.partition(b"\r\n\r\n")[2])
        )
        calls += b"create_order" in request
        return ("answer lost", "half an answer", None, "after")[calls % 4] if b"create_order" in request else None

    with Sandbox(pairs=["btc_usdt"], faults=["2 reset", "3 garbage"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "1000000"})
        with CuttingProxy(int(box.rest_url.rpartition(":")[2]), watch) as proxy:
            given = "\n".join([dialect, box.url, f"http://127.0.0.1:{proxy.port}", KEY, SECRET, ""])
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM], input=given, cwd=tmp_path, capture_output=True, text=True, timeout=100
            )

    written = {path.name: path.read_text() for path in tmp_path.iterdir()} | {"out": run.stdout, "err": run.stderr}
    assert run.returncode == 0, run.stderr[-3000:]
    assert {f"{dialect}.jsonl", f"{dialect}-orders.jsonl"} <= set(written)
    assert "***" in run.stdout
    assert "OrderUnknown" in run.stderr or "OrderRefused" in run.stderr
    assert "CredentialsRefused" in run.stderr
    assert len(sent) >= (10 if dialect == "v2" else 4)
    for secret in (KEY, SECRET, *sent):
        for text in disguises(secret) - {KEY[:10], KEY[10:]}:
            for name, content in written.items():
                at = content.find(text)
                assert at < 0, f"{name} holds {text[:6]}...: {content[max(0, at - 200) : at + 20]!r}"
