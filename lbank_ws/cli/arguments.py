"""Arguments that several commands share, and how their text is read."""

from __future__ import annotations

import argparse
import math
import re
from datetime import datetime, timedelta, timezone

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DAY = timedelta(days=1)


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


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a moment that is still to come: `18:30`, the next one, or `2026-11-26T18:30`; UTC unless it says more."""
    now = datetime.now(timezone.utc) if now is None else now
    clock = _CLOCK.fullmatch(text)
    if clock:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        at = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return at if at > now else at + _DAY
    try:
        # Before Python 3.11 fromisoformat did not know the Z.
        at = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment; write 18:30 or 2026-11-26T18:30, UTC") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    if at <= now:
        raise argparse.ArgumentTypeError(f"{text!r} is over; write a moment that is still to come, UTC")
    return at


def add_source(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say where data comes from."""
    command.add_argument("--dialect", default="v2", choices=("v2", "simple"), help="how to speak (default: v2)")
    command.add_argument("--sandbox", action="store_true", help="use a practice exchange inside this command")
    command.add_argument("--seed", type=int, default=1, help="of the practice exchange (default: 1)")
    command.add_argument("--url", help="another address, ws:// or wss://; also LBANK_WS_URL")


def add_end(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say when to end."""
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    command.add_argument("--until", type=moment, metavar="MOMENT", help="end at 18:30 or 2026-11-26T18:30, UTC")
    command.add_argument("--count", type=count, metavar="N", help="end after N lines")


def add_form(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say what the output looks like."""
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line, as in a pipe")
    form.add_argument("--csv", action="store_true", help="comma-separated, with a head")
    form.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    command.add_argument("--no-color", action="store_true", help="no colours; also NO_COLOR=1")


def left_s(args: argparse.Namespace) -> float | None:
    """Give for how long a command may run by the arguments of `add_end`, in seconds; None for ever."""
    lengths = [] if args.for_s is None else [args.for_s]
    if args.until is not None:
        lengths.append(max(0.0, (args.until - datetime.now(timezone.utc)).total_seconds()))
    return min(lengths) if lengths else None
