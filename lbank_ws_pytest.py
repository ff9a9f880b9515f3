"""pytest fixtures for whoever tests a program that uses `lbank_ws`; pytest loads them by itself.

Decided here: what a bot's test gets. It stands beside the package and not in it, because pytest imports this file at
the start of every run of everybody who has `lbank_ws` installed: importing the package would cost them 60 ms, would
happen before coverage measures it, and a broken installation would break runs that have nothing to do with us. So
nothing but pytest is imported here until a fixture is used. `-p no:lbank_ws` leaves it out.

How to use it: docs/howto/testing-your-bot.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lbank_ws import CallbackError, LBankClient, LBankError
    from lbank_ws.sandbox import Sandbox

_MARKERS = (
    "lbank_sandbox(**options): the options of Sandbox() for the fixture lbank_sandbox, such as seed=7, pairs=[...]",
    "lbank_client(fail_on_callback_error=True, **options): the options of LBankClient() for the fixture lbank_client",
)
_QUICK = {"backoff_first_s": 0.05, "backoff_cap_s": 0.2}  # a test must not wait as long for a new line as a bot does
_POLL_S = 0.005


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run choose the seed of every market that no marker names one for."""
    parser.getgroup("lbank_ws").addoption(
        "--lbank-seed", type=int, metavar="SEED", help="of lbank_sandbox, where no marker names one (default: 1)"
    )
    parser.addini("lbank_seed", "of lbank_sandbox, where no marker and no --lbank-seed names one", default="1")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.fixture
def lbank_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running practice exchange of the test's own; `@pytest.mark.lbank_sandbox(seed=7)` sets its options."""
    from lbank_ws.sandbox import Sandbox

    config = request.config
    chosen: int | None = config.getoption("--lbank-seed")
    options = {
        "seed": int(config.getini("lbank_seed")) if chosen is None else chosen,
        **_options(request, "lbank_sandbox"),
    }
    told = ", ".join(f"{name}={option!r}" for name, option in options.items())
    request.node.add_report_section("setup", "practice exchange", f"Sandbox({told})")
    with Sandbox(**options) as box:
        yield box


@pytest.fixture
def lbank_client(request: pytest.FixtureRequest, lbank_sandbox: Sandbox) -> Iterator[LBankClient]:
    """A client of that exchange with short waits after a drop; the test starts it, the fixture stops it.

    An exception in a callback, a failed `assert` too, fails the test when it ends: nobody else would see it.
    `@pytest.mark.lbank_client(dialect="simple")` sets its options, `fail_on_callback_error=False` leaves exceptions to
    the log.
    """
    __tracebackhide__ = True  # what failed is in the callback
    from lbank_ws import CallbackError, LBankClient

    addresses = {"url": lbank_sandbox.url, "rest_url": lbank_sandbox.rest_url}
    options = {**addresses, **_QUICK, **_options(request, "lbank_client")}
    is_strict = options.pop("fail_on_callback_error", True)
    client = LBankClient(**options)
    raised: list[CallbackError] = []

    @client.on_error
    def note(error: LBankError) -> None:
        if isinstance(error, CallbackError) and is_strict:
            raised.append(error)
        else:
            logging.getLogger("lbank_ws").warning("%s", error)

    yield client
    has_ended = client.stop()
    if raised:
        raise raised[0]
    if not has_ended:
        pytest.fail("a callback of the client was still running 5 s after stop()", pytrace=False)


@pytest.fixture
def lbank_env(lbank_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Point every client that names no address, in scripts that the test starts too, at the practice exchange.

    Gives the variables, which are set for the length of the test. Addresses in a `.env` file lose against them; a file
    named by `LBANK_ENV_FILE` is left out.
    """
    variables = {"LBANK_WS_URL": lbank_sandbox.url, "LBANK_REST_URL": lbank_sandbox.rest_url}
    for name, address in variables.items():
        monkeypatch.setenv(name, address)
    monkeypatch.delenv("LBANK_ENV_FILE", raising=False)
    return variables


@pytest.fixture
def lbank_wait() -> Callable[..., None]:
    """Give `lbank_wait(condition, timeout_s=5.0)`: wait until the condition is true, fail when time is over."""

    def wait(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        __tracebackhide__ = True
        over_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > over_s:
                pytest.fail(f"what the test waited for was not so within {timeout_s:g} s")
            time.sleep(_POLL_S)

    return wait


def _options(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Give what the markers of that name say; of two that set the same option the one nearer to the test wins."""
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            raise pytest.UsageError(f"the marker {name} takes its options by name, like seed=7")
        options |= marker.kwargs
    return options
