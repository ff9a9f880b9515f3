"""Arguments and printing that the commands about an account share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lbank_ws.errors import UsageError

if TYPE_CHECKING:
    from lbank_ws.client import LBankClient
    from lbank_ws.events import AccountEvent

ACCOUNTS = ("paper", "test", "live")
PAPER_FILE = "lbank-paper.json"
_LEFT_OUT = ("receipt", "raw", "source", "exchange_at")


def add_account(command: argparse.ArgumentParser, *, accounts: Sequence[str] = ACCOUNTS) -> None:
    """Add the arguments that say which account is meant, and where."""
    command.add_argument("--account", choices=accounts, default="paper", help="which account (default: paper)")
    command.add_argument(
        "--paper-file",
        default=PAPER_FILE,
        metavar="FILE",
        help=f"where the paper account is kept (default: {PAPER_FILE})",
    )
    command.add_argument(
        "--start-with",
        action="append",
        default=[],
        metavar="ASSET=COINS",
        help="what a new paper account owns (default: usdt=10000)",
    )
    command.add_argument("--journal", metavar="FILE", help="where live orders are written down before they leave")
    command.add_argument("--url", help="another address, ws:// or wss://; also LBANK_WS_URL")
    command.add_argument("--rest-url", help="another address of the REST interface; also LBANK_REST_URL")
    command.add_argument("--json", action="store_true", help="one JSON object a line")


@contextmanager
def client_of(args: argparse.Namespace, *, is_fed: bool = False) -> Iterator[LBankClient]:
    """Give a client of the account that is meant; `is_fed` starts it, for orders on paper that meet the live book."""
    from lbank_ws.client import LBankClient
    from lbank_ws.dealing import Paper

    is_paper = args.account == "paper"
    start = dict(_balance(text) for text in args.start_with) or {"usdt": "10000"}
    client = LBankClient(
        url=args.url,
        rest_url=args.rest_url,
        account=args.account,
        paper=Paper(balances=start, file=args.paper_file) if is_paper else None,
        journal=args.journal if args.account == "live" else None,
    )
    try:
        if is_fed and is_paper:
            client.start()
        yield client
    finally:
        client.stop()


def as_json(event: AccountEvent) -> str:
    """Give an event as one JSON object; numbers are text."""
    names = [field.name for field in fields(event) if field.name not in _LEFT_OUT]
    return json.dumps({name: _plain(getattr(event, name)) for name in names})


def as_row(event: object, names: Sequence[str]) -> str:
    """Give fields of an event as a line for people, labelled where a number alone would say nothing."""
    cells = ((name, _plain(getattr(event, name))) for name in names)
    return "  ".join(f"{name}={value}" for name, value in cells if value is not None)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if value is None else str(value)


def _balance(text: str) -> tuple[str, str]:
    asset, found, coins = text.partition("=")
    if not found or not asset.isalnum():
        raise UsageError(f"--start-with takes an asset and what there is of it, such as usdt=10000, not {text!r}")
    return asset.lower(), coins
