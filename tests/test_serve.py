"""The page of `lbank-ws serve`: who may look, and what a browser shows through a drop."""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbank_ws import LBankClient
from lbank_ws.sandbox import Sandbox
from lbank_ws.web.server import PageServer
from lbank_ws.web.view import View
from tests.chromium import Page, chromium, opened_page
from tests.waiting import our_threads, wait_until

VENDOR = Path(__file__).parent.parent / "lbank_ws" / "collect" / "page" / "vendor"


@pytest.fixture
def idle() -> Iterator[PageServer]:
    """Give a page of a client that is not started."""
    with PageServer(View(LBankClient(), ["btc_usdt"]), 0) as page:
        yield page
    wait_until(lambda: not our_threads(), what="the end of every thread")


def asked(page: PageServer, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    line = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    line.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        line.putheader(name, value)
    line.endheaders()
    return line.getresponse()


@pytest.mark.parametrize("path", ["/", "/events", "/page.js"])
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "evil.example:8730"}, {"Host": ""}, {"Origin": "https://evil.example"}],
    ids=str,
)
def test_a_foreign_page_sees_nothing(idle, path, headers):
    """A name rebound to 127.0.0.1 reaches this port from any page that is open in the browser."""
    assert asked(idle, path, **headers).status == 403


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/charts.js", "/charts.LICENSE"])
def test_the_page_may_load_nothing_from_elsewhere(idle, path):
    """The page must show what the feed says, and tell nobody."""
    answer = asked(idle, path)

    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert answer.read()


@pytest.mark.parametrize("path", ["/../view.py", "/nothing", "/web/view.py"])
def test_there_are_no_other_files(idle, path):
    """A path must not lead out of the page."""
    assert asked(idle, path).status == 404


def test_the_library_is_the_one_that_was_published():
    """Nobody reads 190 kB of packed script; its hash can be held against the registry's."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def shown(page: Page, name: str) -> str:
    return str(page.value(f"document.getElementById('{name}').innerText"))


def open_at(page: Page, port: int, width: int, scheme: str) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
    wait_until(lambda: page.value("document.body && document.body.dataset.state") == "live", 20, "the page was live")


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium")
def test_a_browser_shows_prices_a_drop_and_the_return(tmp_path):
    """What a person trusts at a glance must never look fresh when it is not."""
    pictures = Path(os.environ.get("LBANK_WS_PICTURES", tmp_path))
    with (
        Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt"]) as box,
        opened_page(tmp_path) as page,
    ):
        client = LBankClient(url=box.url, rest_url=box.rest_url, backoff_first_s=0.2, backoff_cap_s=0.3)
        with PageServer(View(client, ["btc_usdt", "eth_usdt"]), 0) as served, client:
            open_at(page, served.port, 1280, "light")
            first = shown(page, "last")
            wait_until(lambda: shown(page, "last") not in ("", first), 20, "the price changed")
            wait_until(lambda: page.value("document.querySelectorAll('#tape tr').length") > 5, 20, "trades came")
            assert page.value("document.querySelectorAll('#book tr').length") == 24
            assert page.value("candles.data().length") >= 1

            page.picture(pictures / "light.png")
            with box.fault("refuse_dial"):
                box.abort()
                wait_until(lambda: page.value("document.body.dataset.state") == "lost", 10, "the drop showed")
                assert "a line is down" in shown(page, "word")
                age = shown(page, "age")
                wait_until(lambda: shown(page, "age") != age, 5, "the age grew")
                page.picture(pictures / "lost.png")
            wait_until(lambda: page.value("document.body.dataset.state") == "live", 20, "it recovered")
            wait_until(lambda: "lost" in shown(page, "notes"), 5, "the drop was told")

            page.value("document.querySelectorAll('#pairs button')[1].focus()")
            page.value("document.activeElement.click()")
            assert page.value("document.querySelector('[aria-pressed=true]').textContent") == "eth_usdt"
            for width, scheme in ((400, "dark"), (1280, "dark"), (400, "light")):
                open_at(page, served.port, width, scheme)
                assert page.value("document.documentElement.scrollWidth") <= width
                page.picture(pictures / f"{scheme}-{width}.png")
            port = served.port
            assert page.complaints == []

        wait_until(lambda: page.value("document.body.dataset.state") == "away", 10, "the end of the server showed")
        again = LBankClient(url=box.url, rest_url=box.rest_url)
        with PageServer(View(again, ["btc_usdt"]), port), again:
            wait_until(lambda: page.value("document.body.dataset.state") == "live", 20, "the page came back by itself")
    assert {request.split("/")[2] for request in page.requests if "://" in request} == {f"127.0.0.1:{port}"}


def test_what_the_feed_says_stays_text(idle):
    """A text of the exchange's is no markup; nothing in the page makes HTML of text."""
    script = asked(idle, "/page.js").read().decode()

    assert not [word for word in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(") if word in script]
