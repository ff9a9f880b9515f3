"""`lbank-ws replay FILE`: a recording, served to your own scripts."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Literal

from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.exits import Exit, Signals
from lbank_ws.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from lbank_ws.sandbox import Replayer

_POLL_S = 0.05


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "replay",
        help="serve a recording as if it were the exchange",
        description="Serve a recording on this machine and print what points your scripts at it. "
        "It ends behind the last frame.",
        epilog="example: lbank-ws replay btc.jsonl.gz --speed max",
    )
    command.add_argument("file", metavar="FILE", help="what `lbank-ws record` has written")
    command.add_argument("--speed", type=speed, default=1.0, help="how much faster than recorded, or max (default: 1)")
    command.add_argument("--port", type=int, default=8765, help="0 takes any that is free (default: 8765)")
    command.add_argument("--loop", action="store_true", help="start over after the last frame")
    command.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 5m, 1h")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    with Signals() as signals:
        replayer = _replayer(args)
        try:
            replayer.start()
        except ImportError:
            raise MissingExtra("aiohttp", "sandbox") from None
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {args.port} cannot be used: {error}; choose another with --port") from error
        try:
            print(f"LBANK_WS_URL={replayer.url}", flush=True)
            print(f"dialect: {replayer.dialect}; Ctrl-C ends it", file=sys.stderr)
            over_s = None if args.for_s is None else time.monotonic() + args.for_s
            while not (signals.came() or replayer.is_over) and (over_s is None or time.monotonic() < over_s):
                # A signal handler that sets an event could wait for its own lock; so a plain flag is polled.
                time.sleep(_POLL_S)
        finally:
            replayer.stop()
        return signals.exit or Exit.DONE


def speed(text: str) -> float | Literal["max"]:
    """Read a speed: `1`, `2.5` or `max`."""
    if text == "max":
        return "max"
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed; write a number above 0, or max")
    return number


def _replayer(args: argparse.Namespace) -> Replayer:
    from lbank_ws.sandbox import Replayer

    try:
        return Replayer(args.file, speed=args.speed, port=args.port, loop=args.loop)
    except ImportError:
        raise MissingExtra("zstandard", "record") from None
    except OSError as error:
        raise UsageError(f"{args.file} cannot be read: {error.strerror}") from error
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
