"""What every test may ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
import websocket

from lbank_ws import LBankClient
from lbank_ws.sandbox import Sandbox
from tests.leaks import LEAKS
from tests.plain_exchange import PlainExchange
from tests.waiting import our_threads, wait_until

LEAKS.watch()


class _Watch(logging.Filter):
    """Looks at every line of the log, at every level, and lets pass on what would be there without it."""

    LEVEL = 1  # tells our level from one that a test has set

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._log = logging.getLogger("lbank_ws")
        self._format = logging.Formatter("%(name)s %(message)s").format  # with the traceback

    def filter(self, record: logging.LogRecord) -> bool:
        text = self._format(record)
        if LEAKS.in_text(text):
            self.found.append(text)
        return self._log.level != self.LEVEL or record.levelno >= logging.getLogger().getEffectiveLevel()


@pytest.fixture(autouse=True)
def no_secret_in_the_log() -> Iterator[None]:
    """Let no test pass in which a secret reached the log, at whatever level."""
    watch, log = _Watch(), logging.getLogger("lbank_ws")
    before = log.level
    log.setLevel(_Watch.LEVEL)
    log.addFilter(watch)
    yield
    log.removeFilter(watch)
    log.setLevel(before)
    assert watch.found == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let no test pass that signed something, or got a key, and leaves an object that shows it."""
    before = len(LEAKS)
    yield
    if len(LEAKS) > before:
        shown = next(LEAKS.in_reprs(), None)
        assert shown is None, f"a repr holds a secret: {shown}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test pass that printed a secret, whichever way."""
    report = yield
    printed = [name for name, text in report.sections if LEAKS.in_text(text)]
    if printed and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a secret is in {', '.join(printed)}"
    return report


class BoxExchange:
    """The practice exchange with the few methods that `PlainExchange` has too."""

    def __init__(self, port: int = 0) -> None:
        self._box = Sandbox(port=port, pairs=["btc_usdt", "eth_usdt", "sol_usdt", "xrp_usdt"])
        self._box.start()
        self.url = self._box.url
        self.port = int(self.url.rpartition(":")[2])

    def topics(self) -> set[str]:
        """Give what all lines together are subscribed to: `ticker/btc_usdt`."""
        return {"/".join(known.split("/")[:2]) for view in self._box.visitors() for known in view.subscriptions}

    def hang_up(self) -> None:
        """End every line politely, as LBank does now and then."""
        self._box.disconnect(1000)

    def say(self, text: str) -> None:
        """Send a frame to every line."""
        self._box.broadcast(text)

    def close(self) -> None:
        """End every line and free the port."""
        self._box.stop()


class WebsocketsExchange(PlainExchange):
    """The server of the library `websockets` under the same methods."""

    def topics(self) -> set[str]:
        """Give what all lines together are subscribed to: `ticker/btc_usdt`."""
        names = {"tick": "ticker", "kbar": "kline"}
        split = (asked.split("/") for asked in self.asked)
        return {f"{names.get(kind, kind)}/{pair}" for kind, pair in split}

    def hang_up(self) -> None:
        """End every line politely, as LBank does now and then."""
        self.each(lambda line: line.close(1000))


@pytest.fixture(params=["bulk", "plain"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let frames be read in bulk, and one by one as with a websocket-client that is not known."""
    if request.param == "plain":
        monkeypatch.setattr(websocket, "__version__", "0.0")


@pytest.fixture(params=[BoxExchange, WebsocketsExchange], ids=["sandbox", "websockets"])
def make_exchange(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Give a maker of exchanges, once for the practice exchange and once for a server of another library."""
    made = []

    def make(port: int = 0) -> Any:
        made.append(request.param(port))
        return made[-1]

    yield make
    for exchange in made:
        exchange.close()


@pytest.fixture
def exchange(make_exchange: Callable[..., Any]) -> Any:
    """Give a running exchange."""
    return make_exchange()


@pytest.fixture
def make_client() -> Iterator[Callable[..., LBankClient]]:
    """Give a maker of clients with short waits; each is stopped, and its threads must be gone, when the test ends."""
    made = []

    def make(url: str, **options: Any) -> LBankClient:
        made.append(LBankClient(url=url, **{"backoff_first_s": 0.05, "backoff_cap_s": 0.2, **options}))
        return made[-1]

    yield make
    for client in made:
        client.stop()
    wait_until(lambda: not our_threads(), what="the end of every thread")
