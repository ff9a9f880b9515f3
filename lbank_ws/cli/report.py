"""`lbank-ws report STORE -o FILE`: a page that shows what a collector has kept, and what is missing."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from lbank_ws.cli.bar import Ended, bar_of
from lbank_ws.cli.exits import Exit, Signals, told


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "report",
        help="make a page that shows what was collected",
        description="Read a store and write one HTML page: prices, books, rates and ages over time, holes, runs and "
        "a table. It needs no network, and no other file.",
        epilog="example: lbank-ws report lbank-data -o report.html\n\n"
        + told(Exit.DONE, Exit.USAGE, Exit.BAD_DATA, Exit.CANNOT_WRITE, Exit.INTERRUPTED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("store", metavar="STORE", help="the folder that `lbank-ws collect` has filled")
    command.add_argument("-o", "--out", default="report.html", metavar="FILE", help="(default: report.html)")
    command.add_argument("--pairs", metavar="LIST", help="of these alone: btc_usdt,eth_usdt (default: all)")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.collect.digest import digest
    from lbank_ws.collect.loading import load
    from lbank_ws.collect.report import page

    loaded = load(args.store, pairs=None if args.pairs is None else args.pairs.split(","))
    total = sum(segment.bytes for day in loaded.days() for segment in day.segments)
    read = 0
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        bar = bar_of("reading", stack, is_quiet=bool(args.quiet))

        def tell(count: int) -> None:
            nonlocal read
            read += count
            if signals.came():
                raise Ended
            bar.show(min(read, total), total)

        try:
            text = page(digest(loaded, on_bytes=tell))
            _write(Path(args.out), text)
        except Ended:
            return signals.exit or Exit.INTERRUPTED
        except OSError as error:
            print(f"lbank-ws: cannot write {args.out}: {error.strerror or error}", file=sys.stderr)
            return Exit.CANNOT_WRITE
    if not args.quiet:
        print(f"{args.out}: {len(text.encode()) / 1024:.0f} KiB")
    return Exit.DONE


def _write(out: Path, text: str) -> None:
    """Put a page in its place, whole or not at all."""
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, out)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
