"""`lbank-ws export STORE --to FILE`: tables out of what a collector has kept."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from lbank_ws.cli.arguments import past_moment
from lbank_ws.cli.bar import Ended, bar_of
from lbank_ws.cli.exits import Exit, Signals, told


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "export",
        help="make Parquet, CSV or a DuckDB database of what was collected",
        description="Make tables of a store: a row an event, numbers exact, times in UTC, of every bar its last "
        "version. Nothing of the store is changed, and an export that does not end leaves nothing behind.",
        epilog="examples:\n"
        "  lbank-ws export lbank-data --to out.parquet          a folder: channel=/date=/pair=/data.parquet\n"
        "  lbank-ws export lbank-data --to btc.csv --channels trade --pairs btc_usdt\n"
        "  lbank-ws export lbank-data --to out.duckdb --from 2026-11-22\n\n"
        + told(Exit.DONE, Exit.USAGE, Exit.BAD_DATA, Exit.CANNOT_WRITE, Exit.INTERRUPTED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("store", metavar="STORE", help="the folder that `lbank-ws collect` has filled")
    command.add_argument("--to", required=True, metavar="NAME", help="NAME.parquet, NAME.csv or NAME.duckdb")
    command.add_argument("--channels", metavar="LIST", help="of these alone: trade,kline (default: all)")
    command.add_argument("--pairs", metavar="LIST", help="of these alone: btc_usdt,eth_usdt (default: all)")
    command.add_argument(
        "--from", dest="from_at", type=past_moment, metavar="WHEN", help="what was received from then on, in UTC"
    )
    command.add_argument(
        "--to-time", dest="to_at", type=past_moment, metavar="WHEN", help="what was received before, in UTC"
    )
    command.add_argument("--replace", action="store_true", help="put it in the place of what has that name")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.collect.exporting import export
    from lbank_ws.collect.loading import load

    channels = None if args.channels is None else args.channels.split(",")
    pairs = None if args.pairs is None else args.pairs.split(",")
    loaded = load(args.store, channels, pairs=pairs, from_at=args.from_at, to_at=args.to_at)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        bar = bar_of("exporting", stack, is_quiet=bool(args.quiet))

        def tell(read: int, of: int, rows: int) -> None:
            if signals.came():
                raise Ended
            bar.show(read, of, f"{rows} rows")

        try:
            done = export(loaded, args.to, replace=args.replace, on_progress=tell)
        except Ended:
            return signals.exit or Exit.INTERRUPTED
        except OSError as error:
            print(f"lbank-ws: cannot write {args.to}: {error.strerror or error}", file=sys.stderr)
            return Exit.CANNOT_WRITE
    if not args.quiet:
        print(", ".join(f"{count} {channel}" for channel, count in done.rows.items()), "in", *done.paths)
    for name in done.texts:
        print(f"note: {name} is text, because a number in it does not fit DECIMAL(38, 18)")
    return Exit.DONE
