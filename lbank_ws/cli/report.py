"""`lbank-ws report STORE -o FILE`: a page that shows what a collector has kept, and what is missing."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lbank_ws.cli.bar import Ended, bar_of
from lbank_ws.cli.exits import Exit, Signals, told


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "report",
        help="make a page that shows what was collected",
        description="Read a store and write one HTML page: prices, books, rates and ages over time, holes, runs and "
        "a table. It needs no network, and no other file.",
        epilog="example: lbank-ws report lbank-data -o report.html --seen redis://host\n\n"
        + told(Exit.DONE, Exit.USAGE, Exit.BAD_DATA, Exit.NO_DATA, Exit.CANNOT_WRITE, Exit.INTERRUPTED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("store", metavar="STORE", help="the folder that `lbank-ws collect` has filled")
    command.add_argument("-o", "--out", default="report.html", metavar="FILE", help="(default: report.html)")
    command.add_argument("--pairs", metavar="LIST", help="of these alone: btc_usdt,eth_usdt (default: all)")
    command.add_argument(
        "--seen",
        metavar="URL",
        help="show as well what each of several collectors has seen, as redis://, postgresql:// or kafka:// knows",
    )
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
            said = digest(loaded, on_bytes=tell)
            if args.seen is not None:
                said["seen"] = _seen(args.seen, said["begin_s"], said["end_s"])
            text = page(said)
            _write(Path(args.out), text)
        except Ended:
            return signals.exit or Exit.INTERRUPTED
        except OSError as error:
            print(f"lbank-ws: cannot write {args.out}: {error.strerror or error}", file=sys.stderr)
            return Exit.CANNOT_WRITE
    if not args.quiet:
        print(f"{args.out}: {len(text.encode()) / 1024:.0f} KiB")
    return Exit.DONE


def _seen(url: str, begin_s: int, end_s: int) -> dict[str, Any]:
    """Give what an engine knows of the time of a report.

    Raises:
        SinkFailed: It does not answer.
        UsageError: It is no URL of one.
    """
    from lbank_ws.sinks import engine_of
    from lbank_ws.sinks.seen import for_report, seen_in

    engine = engine_of(url)
    return for_report(seen_in(engine, max(60.0, time.time() - begin_s + 60)), engine.name, begin_s, end_s)


def _write(out: Path, text: str) -> None:
    """Put a page in its place, whole or not at all."""
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, out)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
