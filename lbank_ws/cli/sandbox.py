"""`lbank-ws sandbox`: the practice exchange for your own scripts."""

from __future__ import annotations

import argparse
import sys
import time

from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.box import running_box
from lbank_ws.cli.exits import Exit, Signals

_POLL_S = 0.05
_EPILOG = """example: lbank-ws sandbox --port 8765 --seed 7 --faults outage.txt

A script of faults has one a line: the second at which it begins, its name, its parameters. for_s is how long it lasts;
without it, to the end. A line may be a JSON object instead, with at_s and name. outage.txt may say:

  # second  fault          parameters
  10        mute           pair=btc_usdt channel=depth for_s=10
  20.5      polite_close   code=1001 reason="back soon"
  {"at_s": 95, "name": "maintenance", "for_s": 20}

Faults: accept_silence clock_skew close_after_pong crossed_book cut_frame delisted duplicate_trades empty_side
fragmented_message freeze garbage half_close handshake_redirect handshake_status huge_frame invalid_utf8 late
maintenance merged_frames mute no_pings no_replies ping_storm polite_close refuse_dial reorder_trades reply_lost reset
rest_html rest_status rest_timeout split_frames unknown_fields wrong_node wrong_types

While it runs: curl -d '{"name": "reset"}' 127.0.0.1:8765/_box/faults
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "sandbox",
        help="run the practice exchange",
        description="Run the practice exchange on this machine and print what points your scripts at it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--port", type=int, default=8765, help="0 takes any that is free (default: 8765)")
    command.add_argument("--pairs", nargs="+", metavar="PAIR", help="which pairs it lists (default: its own)")
    command.add_argument("--seed", type=int, default=1, help="the same seed gives the same prices (default: 1)")
    command.add_argument("--speed", type=float, default=1.0, help="how fast its time runs (default: 1)")
    command.add_argument("--faults", metavar="SCRIPT", help="a file that says what goes wrong when; see below")
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    running = running_box(seed=args.seed, port=args.port, pairs=args.pairs, speed=args.speed, faults=args.faults)
    with Signals() as signals, running as box:
        print(f"LBANK_WS_URL={box.url} LBANK_REST_URL={box.rest_url}", flush=True)
        print(f"pairs: {' '.join(box.pairs)}; Ctrl-C ends it", file=sys.stderr)
        over_s = None if args.for_s is None else time.monotonic() + args.for_s
        while not signals.came() and (over_s is None or time.monotonic() < over_s):
            # A signal handler that sets an event could wait for its own lock; so a plain flag is polled.
            time.sleep(_POLL_S)
        return signals.exit or Exit.DONE
