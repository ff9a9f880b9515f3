"""Arguments that several commands share, and how their text is read."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbank_ws.channels import Topic
    from lbank_ws.client import LBankClient

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMGT])?B?")
_BYTES = {None: 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")


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


def size_bytes(text: str) -> int:
    """Read a size such as `500M`, `2G` or `0` as bytes."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 500M or 2G")
    return int(float(found[1]) * _BYTES[found[2]])


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a moment: `18:00` is the next one by the clock of UTC; else ISO 8601, in UTC where it names no zone."""
    now = now or datetime.now(timezone.utc)
    try:
        if _CLOCK.fullmatch(text):
            clock = datetime.strptime(text, "%H:%M" if text.count(":") == 1 else "%H:%M:%S")  # noqa: DTZ007 - a time
            today = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
            return today if today > now else today + timedelta(days=1)
        named = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment; write 18:30 or 2026-11-26T18:30 (UTC)") from None
    named = named.replace(tzinfo=timezone.utc) if named.tzinfo is None else named
    if named <= now:
        raise argparse.ArgumentTypeError(f"{text!r} is over; write a moment that is to come, in UTC")
    return named


def past_moment(text: str) -> datetime:
    """Read a day or a moment as ISO 8601 has it, in UTC where it names no zone: `2026-11-22`, `2026-11-22T18:00`."""
    try:
        named = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a moment; write 2026-11-22 or 2026-11-22T18:00 (UTC)"
        ) from None
    return named.replace(tzinfo=timezone.utc) if named.tzinfo is None else named


def add_channels(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to ask for."""
    command.add_argument(
        "--channels",
        default="ticker,depth,trade",
        metavar="LIST",
        help="what to ask for (default: ticker,depth,trade); also kline:1min",
    )
    command.add_argument("--levels", type=count, metavar="N", help="of depth, a side (default: 20)")


def subscribe_all(client: LBankClient, pairs: Iterable[str], channels: str, levels: int | None) -> None:
    """Subscribe what the arguments of `add_channels` name.

    Raises:
        UsageError: A pair, a channel or an interval is not understood.
    """
    for known in topics_of(pairs, channels, levels):
        client.subscribe(str(known.channel), known.pair, levels=known.levels, interval=known.interval)


def topics_of(pairs: Iterable[str], channels: str, levels: int | None) -> list[Topic]:
    """Give what the arguments of `add_channels` name, in the order of asking; raises as `subscribe_all`."""
    from lbank_ws.channels import topic

    found = []
    for pair in pairs:
        for channel in channels.split(","):
            name, _, interval = channel.strip().partition(":")
            found.append(topic(name, pair, levels=levels if name == "depth" else None, interval=interval or None))
    return found


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
