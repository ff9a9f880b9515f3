"""`lbank-ws seen URL`: which of several collectors has seen how much, minute by minute."""

from __future__ import annotations

import argparse

from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.exits import Exit, told


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "seen",
        help="tell what each of several collectors has seen",
        description="Tell for each minute how many events came from one collector alone, and how many from several, "
        "as the engine knows; of Kafka everything since then is read. Times are those of the exchange, in UTC; a bar "
        "counts in the minute in which it begins.",
        epilog="example: lbank-ws seen redis://host --since 1h\n\n" + told(Exit.DONE, Exit.USAGE, Exit.NO_DATA),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("url", metavar="URL", help="redis://, postgresql:// or kafka://")
    command.add_argument(
        "--since", type=duration_s, default=3600.0, metavar="TIME", help="how far to look back (default: 1h)"
    )
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.sinks import engine_of
    from lbank_ws.sinks.seen import names_of, seen_in

    minutes = seen_in(engine_of(args.url), args.since)
    names = names_of(minutes)
    width = max([6, *map(len, names)])
    print("minute           ", *(name.rjust(width) for name in names))
    for at, counts in sorted(minutes.items()):
        print(f"{at:%Y-%m-%dT%H:%MZ}", *(str(counts.get(name, 0)).rjust(width) for name in names))
    return Exit.DONE
