"""`lbank-ws balance`: what an account has."""

from __future__ import annotations

import argparse

from lbank_ws.cli.account import add_account, as_json, as_row, client_of
from lbank_ws.cli.exits import Exit


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "balance",
        help="what an account has; the paper account unless --account live",
        description="Show what the account has of each asset that it has any of.",
        epilog="example: lbank-ws balance --account live",
    )
    add_account(command, accounts=("paper", "live"))
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    with client_of(args) as client:
        for balance in client.orders.balances():
            print(as_json(balance) if args.json else as_row(balance, ("asset", "free", "locked")), flush=True)
    return Exit.DONE
