"""`lbank-ws doctor`: what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit

if TYPE_CHECKING:
    from lbank_ws.cli.checkup import Checkup
    from lbank_ws.cli.keys import Keys
    from lbank_ws.cli.probing import Probe

_STEPS = ("dns", "tcp", "tls", "upgrade", "push")
_EPILOG = """examples:
  lbank-ws doctor
  lbank-ws doctor --sandbox    the practice exchange, without a network
  lbank-ws doctor --json       for a bug report

It tries every host in both dialects at once and takes 15 s at most. It prints no key, no secret and no IP address.
Where credentials are set, it reads the account and lets an order be checked, which places none. It ends with one
sentence of advice. The exit code is 0 when data comes over at least one host, 69 when none does, and 77 when data comes
and the exchange does not take the credentials.
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "doctor",
        help="what works on this machine, and what does not",
        description="Try every step from the name to the first price, and say what to do about the one that fails.",
        epilog=_EPILOG,
    )
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.add_argument("--pair", default="btc_usdt", metavar="PAIR", help="whose book is waited for")
    command.add_argument("--sandbox", action="store_true", help="use a practice exchange inside this command")
    command.add_argument("--seed", type=int, default=1, help="of the practice exchange (default: 1)")
    command.add_argument("--url", help="another address, ws:// or wss://; also LBANK_WS_URL")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.channels import checked_pair
    from lbank_ws.cli import checkup
    from lbank_ws.cli.advice import advice
    from lbank_ws.environment import environment

    checked_pair(args.pair)
    with ExitStack() as stack:
        named = stack.enter_context(addresses_of(args))
        addresses, rest_urls = _addresses(named)
        if not args.json:
            print(f"trying {len(addresses)} addresses, {checkup.WITHIN_S:g} s at most", file=sys.stderr, flush=True)
        found = checkup.examine(addresses, rest_urls, environment(), pair=args.pair, ask_of_keys=not args.sandbox)
        sentence, code = advice(found.lines, found.ahead_s, found.keys)
        print(_as_json(found, sentence, code) if args.json else "\n".join(_as_text(found, sentence)))
        return code


def _addresses(named: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """Give the addresses of lines, each with its dialect, and those of REST."""
    from lbank_ws import settings
    from lbank_ws.trading.rest import DEFAULT_URLS
    from lbank_ws.wire import DIALECTS, dialect_named

    addresses, are_usual = [], True
    for name in DIALECTS:
        dialect = dialect_named(name)
        urls = settings.ws_urls(dialect, named.get("url"))
        are_usual &= urls == dialect.urls
        addresses += [(url, name) for url in urls]
    rest = settings.rest_url(named.get("rest_url"))
    return addresses, [rest] if rest else list(DEFAULT_URLS) if are_usual else []


def _as_json(found: Checkup, sentence: str, code: Exit) -> str:
    def told(probe: Probe) -> dict[str, Any]:
        steps = [{**asdict(step), "took_ms": round(step.took_ms, 1)} for step in probe.steps]
        return {"url": probe.url, "dialect": probe.dialect, "is_well": probe.is_well, "steps": steps}

    return json.dumps(
        {
            "versions": found.versions,
            "proxies": found.proxies,
            "credentials": asdict(found.keys),
            "lines": [told(probe) for probe in found.lines],
            "rest": [told(probe) for probe in found.rest],
            "clock": None if found.ahead_s is None else {"ahead_s": found.ahead_s, "exact_s": found.exact_s},
            "advice": sentence,
            "exit_code": int(code),
        }
    )


def _as_text(found: Checkup, sentence: str) -> list[str]:
    from lbank_ws.cli.checkup import EXTRAS

    there = {name: version for name, version in found.versions.items() if version is not None}
    missing = [f"{name} (extra {EXTRAS[name]})" for name in EXTRAS if name not in there]
    proxies = [f"{name}={host}" for name, host in found.proxies.items()]
    return [
        ", ".join(f"{name} {version}" for name, version in there.items()),
        *([f"not installed: {', '.join(missing)}"] if missing else []),
        f"proxies of the environment: {', '.join(proxies) + '; not used, proxy= names one' if proxies else 'none'}",
        *_keys(found.keys),
        "",
        *_table(found.lines),
        "",
        *[line for probe in found.rest for line in _rest(probe)],
        _clock(found),
        "",
        sentence,
    ]


def _table(lines: list[Probe]) -> list[str]:
    """Give a row an address, with milliseconds a step, and below it why one failed."""
    wide = max([len("address"), *(len(line.host) for line in lines)])
    rows = [f"{'address':<{wide}}  {'dialect':<7}" + "".join(f"{name:>9}" for name in _STEPS)]
    for line in lines:
        taken = {step.name: "failed" if step.problem else f"{step.took_ms:.0f} ms" for step in line.steps}
        cells = "".join(f"{taken.get(name, '-'):>9}" for name in _STEPS)
        rows.append(f"{line.host:<{wide}}  {line.dialect:<7}{cells}")
        if line.problem is not None:
            rows.append(f"  {line.problem.name}: {line.problem.problem}")
    return rows


def _keys(keys: Keys) -> list[str]:
    if not keys.names:
        return ["credentials: none, and none are needed for prices"]
    known = {"sign": keys.signs, "read": keys.reads, "orders": keys.trades, "problem": keys.problem}
    return [f"credentials: {', '.join(keys.names)}", *(f"  {name}: {words}" for name, words in known.items() if words)]


def _rest(probe: Probe) -> list[str]:
    step = probe.steps[-1]
    return [f"REST {probe.host}: {step.problem or step.detail}"]


def _clock(found: Checkup) -> str:
    if found.ahead_s is None:
        return "clock: not compared, REST does not answer" if found.rest else "clock: not compared, no REST is named"
    way = "ahead of" if found.ahead_s > 0 else "behind"
    return f"clock: {abs(found.ahead_s):.3f} s {way} the exchange's, give or take {found.exact_s:.3f} s"
