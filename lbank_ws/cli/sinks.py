"""Arguments about engines beside a store, and about sharing the pairs among several machines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lbank_ws.cli.arguments import topics_of

if TYPE_CHECKING:
    from lbank_ws.leases.tenancy import Tenancy
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


def add_shares(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say which of the pairs are ours."""
    shares = command.add_mutually_exclusive_group()
    shares.add_argument(
        "--shard",
        type=shard,
        metavar="N/OF",
        help="take the N-th of so many shares of the pairs, 1/5 to 5/5; the same share on every machine",
    )
    shares.add_argument(
        "--lease",
        metavar="URL",
        help="share the pairs out with whoever else is told the same, through locks in redis:// or postgresql://; "
        "those of a worker that dies go to the others within 30 s",
    )


def lease(args: argparse.Namespace, pairs: list[str]) -> Tenancy | None:
    """Give the lease that `--lease` names, or None.

    Raises:
        UsageError: It is no URL of one, or what is to be collected is not understood.
        MissingExtra: A driver is not installed.
    """
    if args.lease is None:
        return None
    from lbank_ws.leases import group_of, lease_of

    topics = topics_of(pairs, args.channels, args.levels)
    group = group_of(args.pairs, args.channels, args.levels)
    return lease_of(args.lease, topics, group=group, name=args.name)


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
