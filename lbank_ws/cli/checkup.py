"""What `lbank-ws doctor` looks at, all addresses at once and within a bounded time.

Decided here: what is looked at and how long it may take in all. A name look-up cannot be interrupted, so every address
is tried on a daemon thread of its own, `lbank-ws-doctor-N`, which nobody waits for longer than that.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from urllib.parse import urlsplit

from lbank_ws.cli.keys import Keys, examine_keys, named
from lbank_ws.cli.probing import Probe, Step, probe_line, probe_rest
from lbank_ws.version import VERSION

WITHIN_S = 15.0
CORE = ("websocket-client", "requests", "python-dotenv")
EXTRAS = {
    "rich": "cli",
    "candlestick-chart": "cli",
    "shtab": "cli",
    "aiohttp": "sandbox",
    "msgspec": "fast",
    "zstandard": "record",
    "cryptography": "rsa",
    "python-socks": "proxy",
}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass
class Checkup:
    """What was found.

    Attributes:
        versions: Of this package, Python, the system, and of packages; None where one is not installed.
        proxies: Which proxy variables are set, and to which host; never a password.
        keys: Which variables of credentials are set, never to what; and what they can do.
        lines: Every address of a line that was tried.
        rest: Every address of the REST interface.
        ahead_s: By how much this computer's clock is ahead of the exchange's; None where that is not known.
        exact_s: How exact that is.
    """

    versions: dict[str, str | None] = field(default_factory=dict)
    proxies: dict[str, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    lines: list[Probe] = field(default_factory=list)
    rest: list[Probe] = field(default_factory=list)
    ahead_s: float | None = None
    exact_s: float | None = None

    def clock(self, ahead_s: float, exact_s: float) -> None:
        """Take a comparison of the clocks; the exactest counts."""
        if self.exact_s is None or exact_s < self.exact_s:
            self.ahead_s, self.exact_s = ahead_s, exact_s


def examine(
    addresses: list[tuple[str, str]],
    rest_urls: list[str],
    variables: Mapping[str, str],
    *,
    pair: str,
    ask_of_keys: bool = True,
    within_s: float = WITHIN_S,
) -> Checkup:
    """Try everything, and give what was found within the time.

    Args:
        addresses: Those of lines, each with its dialect.
        rest_urls: Those of the REST interface.
        variables: The environment.
        pair: Whose book is waited for.
        ask_of_keys: The exchange is asked what the credentials can do; a practice exchange does not know them.
        within_s: How long it may take in all.
    """
    found = Checkup(versions(), proxies(variables), named(variables))
    found.lines = [Probe(url, dialect) for url, dialect in addresses]
    found.rest = [Probe(url, "rest") for url in rest_urls]
    tasks: list[Callable[[], None]] = [partial(probe_line, probe, pair) for probe in found.lines]
    tasks += [partial(probe_rest, probe, found.clock) for probe in found.rest]
    if found.keys.names:
        rest_url = rest_urls[0] if rest_urls and ask_of_keys else None
        tasks.append(partial(examine_keys, found.keys, variables, rest_url, pair))
    threads = [
        threading.Thread(target=task, name=f"lbank-ws-doctor-{number}", daemon=True)
        for number, task in enumerate(tasks, 1)
    ]
    over_s = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, over_s - time.monotonic()))
    for probe in (*found.lines, *found.rest):
        if not probe.is_over:
            following = ("dns", "tcp", "tls", "upgrade", "push")[min(len(probe.steps), 4)]
            name = "clock" if probe.dialect == "rest" else following
            probe.steps.append(Step(name, within_s * 1000, f"no answer within {within_s:g} s"))
    return found


def versions() -> dict[str, str | None]:
    """Give the versions of everything that matters."""
    told: dict[str, str | None] = {
        "lbank-ws": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for package in (*CORE, *EXTRAS):
        try:
            told[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            told[package] = None
    return told


def proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Give the proxy variables that are set, with the host alone: the address may hold a password."""
    told = {}
    for name in _PROXIES:
        for spelt in (name, name.upper()):
            text = variables.get(spelt)
            if text:
                told[spelt] = text if name == "no_proxy" else _host(text)
    return told


def _host(text: str) -> str:
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        return f"{parts.hostname or '?'}{'' if parts.port is None else f':{parts.port}'}"
    except ValueError:
        return "?"
