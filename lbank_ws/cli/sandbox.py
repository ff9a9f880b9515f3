"""`lbank-ws sandbox`: the practice exchange for your own scripts."""

from __future__ import annotations

import argparse
import sys
import time

from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.box import running_box
from lbank_ws.cli.exits import Exit, Signals

_POLL_S = 0.05


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "sandbox",
        help="run the practice exchange",
        description="Run the practice exchange on this machine and print what points your scripts at it.",
        epilog="example: lbank-ws sandbox --port 8765 --seed 7",
    )
    command.add_argument("--port", type=int, default=8765, help="0 takes any that is free (default: 8765)")
    command.add_argument("--pairs", nargs="+", metavar="PAIR", help="which pairs it lists (default: its own)")
    command.add_argument("--seed", type=int, default=1, help="the same seed gives the same prices (default: 1)")
    command.add_argument("--speed", type=float, default=1.0, help="how fast its time runs (default: 1)")
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    with Signals() as signals, running_box(seed=args.seed, port=args.port, pairs=args.pairs, speed=args.speed) as box:
        print(f"LBANK_WS_URL={box.url} LBANK_REST_URL={box.rest_url}", flush=True)
        print(f"pairs: {' '.join(box.pairs)}; Ctrl-C ends it", file=sys.stderr)
        over_s = None if args.for_s is None else time.monotonic() + args.for_s
        while not signals.came() and (over_s is None or time.monotonic() < over_s):
            # A signal handler that sets an event could wait for its own lock; so a plain flag is polled.
            time.sleep(_POLL_S)
        return signals.exit or Exit.DONE
