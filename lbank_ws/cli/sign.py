"""`lbank-ws sign PATH NAME=VALUE... --dry-run`: what a signed request looks like; nothing is sent."""

from __future__ import annotations

import argparse
import time

from lbank_ws.cli.exits import Exit
from lbank_ws.errors import UsageError
from lbank_ws.settings import checked_for_credentials, rest_url


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "sign",
        help="show a signed request, secrets masked, without sending it",
        description="Sign a request with the credentials of the environment and show it; nothing leaves this computer.",
        epilog="example: lbank-ws sign /v2/supplement/user_info_account.do --dry-run",
    )
    command.add_argument("path", metavar="PATH", help="for example /v2/supplement/create_order.do")
    command.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="for example symbol=btc_usdt")
    command.add_argument("--dry-run", action="store_true", required=True, help="needed: nothing is ever sent from here")
    command.add_argument("--rest-url", help="another address of the REST interface; also LBANK_REST_URL")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.signer import Credentials, joined, new_nonce, signed_request
    from lbank_ws.trading.rest import DEFAULT_URLS

    credentials = Credentials.from_env()
    url = checked_for_credentials(rest_url(args.rest_url) or DEFAULT_URLS[0], "rest_url")
    asked = dict(_parameter(text) for text in args.parameters)
    request = signed_request(asked, credentials, time.time_ns() // 1_000_000, new_nonce())
    shown = request.masked()
    print(f"POST {url}{args.path}")
    for name, text in request.headers.items():
        print(f"{name}: {text}")
    print()
    print("&".join(f"{name}={text}" for name, text in shown.items()))
    print()
    print(f"signed with {credentials.method}: {joined({**shown, **request.headers})}", flush=True)
    return Exit.DONE


def _parameter(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise UsageError(f"a parameter is written NAME=VALUE, not {text!r}")
    return name, value
