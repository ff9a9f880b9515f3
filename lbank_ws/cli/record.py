"""`lbank-ws record PAIR... --out FILE`: everything that the exchange says, into a file."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from lbank_ws.cli.arguments import add_channels, add_source, duration_s, subscribe_all
from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit, Signals
from lbank_ws.storage_errors import RecordingFailed


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "record",
        help="record what the exchange says into a file",
        description="Write every frame, in both directions, to a file that `lbank-ws replay` plays again. "
        "A recording that exists is continued.",
        epilog="example: lbank-ws record btc_usdt --out btc.jsonl.gz --for 10m",
    )
    command.add_argument("pairs", nargs="+", metavar="PAIR", help="for example btc_usdt")
    command.add_argument("--out", required=True, metavar="FILE", help=".jsonl, .jsonl.gz or .jsonl.zst")
    add_channels(command)
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    add_source(command)
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.client import LBankClient

    with ExitStack() as stack:
        addresses = stack.enter_context(addresses_of(args))
        signals = stack.enter_context(Signals())
        client = LBankClient(dialect=args.dialect, record=args.out, **addresses)
        failures: list[RecordingFailed] = []
        refusals: list[str] = []

        @client.on_error
        def note(fault: Exception) -> None:
            if isinstance(fault, RecordingFailed):
                failures.append(fault)
            elif str(fault) not in refusals:
                refusals.append(str(fault))
                print(f"lbank-ws: {fault}", file=sys.stderr)

        subscribe_all(client, args.pairs, args.channels, args.levels)
        client.run(for_s=args.for_s, until=lambda: signals.came() or bool(failures))
        frames = 0 if client.recorder is None else client.recorder.frames
        lost = 0 if client.recorder is None else client.recorder.lost
        if failures:
            raise failures[0]
        print(f"{frames} frames in {args.out}" + (f", {lost} lost to a slow disk" if lost else ""), file=sys.stderr)
        if signals.exit is not None:
            return signals.exit
        return Exit.DONE if frames else Exit.NO_DATA
