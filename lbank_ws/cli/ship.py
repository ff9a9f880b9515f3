"""`lbank-ws ship DIR --to URL`: sends what a store holds to an engine."""

from __future__ import annotations

import argparse
import sys

from lbank_ws.cli.exits import Exit, Signals, told
from lbank_ws.cli.sinks import add_name


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "ship",
        help="send a store to Redis, PostgreSQL or Kafka",
        description="Send every event of a store that an engine has not yet, and note how far it came. "
        "What is sent twice, the engine leaves out; docs/howto/scale.md says for how long each one can.",
        epilog="example: lbank-ws ship lbank-data --to postgresql://me@host/market\n\n"
        + told(Exit.DONE, Exit.USAGE, Exit.BAD_DATA, Exit.NO_DATA, Exit.BUSY, Exit.INTERRUPTED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("store", metavar="DIR", help="a folder that `lbank-ws collect` has filled")
    command.add_argument("--to", required=True, metavar="URL", help="redis://, postgresql:// or kafka://")
    command.add_argument("--again", action="store_true", help="send all of it, also what was sent before")
    add_name(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from pathlib import Path

    from lbank_ws.errors import UsageError
    from lbank_ws.sinks import engine_of
    from lbank_ws.sinks.shipping import Shipper

    if not (Path(args.store) / "runs").is_dir():
        raise UsageError(f"{args.store} is no folder that `lbank-ws collect` has filled")
    shipper = Shipper(args.store, engine_of(args.to, args.name))
    with Signals() as signals:
        shipper.cursor.open()
        try:
            if args.again:
                shipper.cursor.forget()
            shipper.engine.open()  # an engine that is away is told also where there is nothing to send
            shipper.older(signals.came, everything=True)
        finally:
            shipper.note(now=True)
            shipper.close()
    if not args.quiet:
        tally = shipper.tally
        print(
            f"{tally.sent} events sent to {shipper.engine.name}: {tally.new} new, {tally.known} known", file=sys.stderr
        )
    return signals.exit or Exit.DONE
