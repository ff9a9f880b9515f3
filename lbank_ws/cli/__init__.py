"""The command `lbank-ws`: one file a verb; arguments, exit codes, logging and printing are decided here."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence

from lbank_ws.cli.exits import SIGNALLED, Exit, code_of
from lbank_ws.cli.logs import begin_logging
from lbank_ws.cli.parsing import Parser
from lbank_ws.cli.telling import say, told
from lbank_ws.cli.verbs import modules
from lbank_ws.errors import LBankError
from lbank_ws.version import VERSION

_EPILOG = """examples:
  lbank-ws watch btc_usdt --sandbox --for 10s    live prices from the practice exchange, without a network
  lbank-ws watch btc_usdt eth_usdt               live prices until Ctrl-C
  lbank-ws book btc_usdt                         its order book
  lbank-ws serve btc_usdt                        prices, book and health in a browser
  lbank-ws collect btc_usdt eth_usdt --for 59m   data whose coverage is known, into ./lbank-data
  lbank-ws report lbank-data -o report.html      a page that shows it
  lbank-ws ship lbank-data --to redis://host     send what is there to Redis, PostgreSQL or Kafka
  lbank-ws demo                                  a minute's tour: prices, a drop, an order on paper
  lbank-ws orders place btc_usdt buy --value 100 buy on paper, at the live book
  lbank-ws doctor                                what works on this machine, and what does not
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and give its exit code."""
    parser = parser_of_all()
    args = parser.parse_args(argv)
    begin_logging(args.verbose - args.quiet, as_json=getattr(args, "log_format", "text") == "json")
    who = f"{parser.prog} {args.verb}"
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        if code in SIGNALLED:
            say(f"{who}: ended by {SIGNALLED[Exit(code)]}")
        return code
    except BrokenPipeError:
        _forget_output()
        return Exit.DONE
    except KeyboardInterrupt:
        say(f"{who}: ended by Ctrl-C")
        return Exit.INTERRUPTED
    except LBankError as error:
        if args.verbose > 1:
            logging.getLogger("lbank_ws").exception("the traceback")
        say(told(who, error))
        return code_of(error)


def parser_of_all() -> Parser:
    """Give the parser of the whole command line."""
    parser = Parser(prog="lbank-ws", description="LBank market data and orders on the command line.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"lbank-ws {VERSION}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="verb", parser_class=Parser)
    for verb in modules():
        command = verb.add_command(verbs)
        command.set_defaults(run=verb.run)
        command.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv also tracebacks")
        command.add_argument("-q", "--quiet", action="count", default=0, help="say less: errors alone")
    return parser


def _forget_output() -> None:
    """Point standard output nowhere, so that the interpreter does not complain about the pipe when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
