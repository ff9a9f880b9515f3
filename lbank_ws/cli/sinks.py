"""Arguments about engines beside a store, and about sharing the pairs among several machines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbank_ws.sinks.streaming import Streaming

_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


def add_sinks(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say where events go beside the store."""
    command.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="URL",
        help="send everything to redis://, postgresql:// or kafka:// as well; may be given several times",
    )
    add_name(command)


def add_name(command: argparse.ArgumentParser) -> None:
    """Add the argument that names this collector."""
    command.add_argument(
        "--name", metavar="NAME", help="of this collector among those that feed one engine (default: the host's)"
    )


def sinks_of(args: argparse.Namespace) -> list[Streaming]:
    """Give the sinks that `--also` names.

    Raises:
        UsageError: One is no URL of a sink, or is named twice.
        MissingExtra: A driver is not installed.
    """
    if not args.also:
        return []
    from lbank_ws.sinks import engine_of
    from lbank_ws.sinks.streaming import Streaming

    return [Streaming(args.to, engine_of(url, args.name)) for url in dict.fromkeys(args.also)]


def shard(text: str) -> tuple[int, int]:
    """Read `2/5`: the second of five shares."""
    found = _SHARD.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 2/5 for the second of five")
    return number, count


def shared(pairs: Iterable[str], share: tuple[int, int] | None) -> list[str]:
    """Give those pairs that belong to a share; all without one."""
    if share is None:
        return list(pairs)
    from lbank_ws.sinks.parcels import shard_of

    number, count = share
    return [pair for pair in pairs if shard_of(pair, count) == number - 1]
