"""`lbank-ws verify STORE`: holds what is on the disk against what was written."""

from __future__ import annotations

import argparse
import sys

from lbank_ws.cli.exits import Exit, told


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "verify",
        help="hold a store against what was written",
        description="Read every segment of a store, make its manifests anew, and tell every difference. "
        "Nothing is changed.",
        epilog="example: lbank-ws verify lbank-data\n\n" + told(Exit.DONE, Exit.USAGE, Exit.BAD_DATA),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("store", metavar="STORE", help="what `lbank-ws collect --to` has filled")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.collect.sqlite import sqlite_path
    from lbank_ws.collect.sqlite import verify as verify_database
    from lbank_ws.collect.verifying import verify

    path = sqlite_path(args.store)
    verdict = verify_database(path) if path is not None else verify(args.store)
    for problem in verdict.problems:
        print(problem)
    if not args.quiet:
        for note in verdict.notes:
            print(f"note: {note}")
        files = f" in {verdict.segments} files" if path is None else ""
        what = f"{verdict.events} events{files} of {verdict.runs} runs"
        print(f"{what}: {len(verdict.problems)} differences", file=sys.stderr if verdict.problems else sys.stdout)
    return Exit.BAD_DATA if verdict.problems else Exit.DONE
