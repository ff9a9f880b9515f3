"""Arguments that several commands share, and how their text is read."""

from __future__ import annotations

import argparse
import math
import re

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str) -> float:
    """Read a length of time such as `90`, `10s`, `1.5m`, `2h` as seconds."""
    found = _DURATION.fullmatch(text)
    length_s = float(found[1]) * _SECONDS[found[2]] if found else math.nan
    if not 0 < length_s < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time; write 30s, 5m or 1h")
    return length_s


def count(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 10**9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def add_source(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say where data comes from."""
    command.add_argument("--dialect", default="v2", choices=("v2", "simple"), help="how to speak (default: v2)")
    command.add_argument("--sandbox", action="store_true", help="use a practice exchange inside this command")
    command.add_argument("--seed", type=int, default=1, help="of the practice exchange (default: 1)")
    command.add_argument("--url", help="another address, ws:// or wss://; also LBANK_WS_URL")


def add_end(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say when to end."""
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    command.add_argument("--count", type=count, metavar="N", help="end after N lines")
