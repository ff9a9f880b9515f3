"""The command `lbank-ws`: one file a verb; arguments, exit codes, logging and printing are decided here."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence

from lbank_ws.cli import collect, export, record, replay, report, sandbox, verify, watch
from lbank_ws.cli.exits import Exit, code_of
from lbank_ws.cli.logs import begin_logging
from lbank_ws.errors import LBankError
from lbank_ws.version import VERSION

_VERBS = (watch, collect, verify, export, report, record, replay, sandbox)
_EPILOG = """examples:
  lbank-ws watch btc_usdt                        live prices until Ctrl-C
  lbank-ws watch btc_usdt --sandbox --for 10s    the same from the practice exchange, without a network
  lbank-ws collect btc_usdt eth_usdt --for 59m   data whose coverage is known, into ./lbank-data
  lbank-ws verify lbank-data                     hold it against what was written
  lbank-ws export lbank-data --to out.parquet    tables of it; also .csv and .duckdb
  lbank-ws report lbank-data -o report.html      a page that shows it
  lbank-ws record btc_usdt --out btc.jsonl.gz --for 10m
                                                 keep everything that the exchange says
  lbank-ws replay btc.jsonl.gz --speed max       serve it again, to your own scripts
  lbank-ws sandbox                               run the practice exchange for your own scripts
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and give its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    begin_logging(args.verbose - args.quiet, as_json=getattr(args, "log_format", "text") == "json")
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _forget_output()
        return Exit.DONE
    except LBankError as error:
        if args.verbose > 1:
            logging.getLogger("lbank_ws").exception("the traceback")
        print(f"lbank-ws: {error}", file=sys.stderr)
        return code_of(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lbank-ws",
        description="LBank market data on the command line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lbank-ws {VERSION}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in _VERBS:
        command = verb.add_command(verbs)
        command.set_defaults(run=verb.run)
        command.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv also tracebacks")
        command.add_argument("-q", "--quiet", action="count", default=0, help="say less: errors alone")
    return parser


def _forget_output() -> None:
    """Point standard output nowhere, so that the interpreter does not complain about the pipe when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
