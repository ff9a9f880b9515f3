"""`lbank-ws orders list|place|cancel|cancel-all|resolve`: orders on paper, in tests, or live."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from lbank_ws.cli.account import add_account, as_json, as_row, client_of
from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.exits import Exit
from lbank_ws.errors import UsageError

if TYPE_CHECKING:
    from lbank_ws.events import OrderUpdate

_SHOWN = ("pair", "side", "order_type", "price", "amount", "value", "filled", "average_price", "status")
_IDS = ("order_id", "client_id")


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "orders",
        help="place, list and cancel orders; on paper unless --account live",
        description="Orders of the paper account, of tests that LBank checks and never places, or of the live account.",
        epilog="example: lbank-ws orders place btc_usdt buy --value 100",
    )
    acts = command.add_subparsers(title="acts", metavar="ACT", required=True)
    listing = _act(acts, "list", _list, "open orders of a pair, or those that ended lately")
    listing.add_argument("pair", metavar="PAIR")
    listing.add_argument("--history", action="store_true", help="those that ended in the last 24 hours")
    placing = _act(acts, "place", _place, "place one order; a live one is asked about first")
    placing.add_argument("pair", metavar="PAIR")
    placing.add_argument("side", choices=("buy", "sell"))
    placing.add_argument("--type", dest="order_type", choices=("limit", "market", "maker", "ioc", "fok"))
    placing.add_argument("--price", help="the limit, in the quote currency")
    placing.add_argument("--amount", help="in the base currency")
    placing.add_argument("--value", help="what a market buy may spend, in the quote currency")
    placing.add_argument("--client-id", help="an id of your own; the same once more places nothing")
    placing.add_argument("--yes", action="store_true", help="do not ask")
    cancelling = _act(acts, "cancel", _cancel, "cancel one order, and tell how it stands then")
    cancelling.add_argument("pair", metavar="PAIR")
    cancelling.add_argument("id", metavar="ID", help="the client id, or the exchange's with --order-id")
    cancelling.add_argument("--order-id", action="store_true", help="ID is the exchange's id")
    all_of_pair = _act(acts, "cancel-all", _cancel_all, "cancel all open orders of a pair, and prove it")
    all_of_pair.add_argument("pair", metavar="PAIR")
    resolving = _act(acts, "resolve", _resolve, "look up an order of which nobody knows what became of it")
    resolving.add_argument("id", metavar="ID", help="its client id")
    resolving.add_argument("--wait", type=duration_s, default=70.0, metavar="TIME", help="how long (default: 70s)")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    act: Callable[[argparse.Namespace], int] = args.act
    return act(args)


def _act(
    acts: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    act: Callable[[argparse.Namespace], int],
    words: str,
) -> argparse.ArgumentParser:
    command = acts.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    command.set_defaults(act=act)
    add_account(command)
    command.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say more; -vv also tracebacks"
    )
    return command


def _list(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        orders = client.orders.history(args.pair) if args.history else client.orders.open(args.pair)
        for order in orders:
            _show(args, order)
    return Exit.DONE


def _place(args: argparse.Namespace) -> int:
    order_type = args.order_type or ("limit" if args.price is not None else "market")
    numbers = {name: getattr(args, name) for name in ("price", "amount", "value")}
    with client_of(args, is_fed=True) as client:
        if args.account == "live" and not args.yes:
            _ask(f"{args.side} {order_type} on {args.pair}", numbers)
        placed = client.orders.place(args.pair, args.side, order_type, **numbers, client_id=args.client_id)
        if args.account == "test":
            print("the exchange would take it; nothing was placed", flush=True)
        else:
            _show(args, client.orders.get(args.pair, placed.client_id))
    return Exit.DONE


def _cancel(args: argparse.Namespace) -> int:
    ids = {"order_id": args.id} if args.order_id else {"client_id": args.id}
    with client_of(args) as client:
        _show(args, client.orders.cancel(args.pair, **ids))
    return Exit.DONE


def _cancel_all(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        client.orders.cancel_all(args.pair)
        print(f"no order is open on {args.pair}", flush=True)
    return Exit.DONE


def _resolve(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        found = client.orders.resolve(args.id, wait_s=args.wait)
        print(f"{found.client_id}: {found.fate}" + (f", {found.order_id}" if found.order_id else ""), flush=True)
    return Exit.NOT_KNOWN if found.fate.is_open else Exit.DONE


def _ask(what: str, numbers: dict[str, str | None]) -> None:
    """Let a person decide about a live order."""
    given = ", ".join(f"{name} {text}" for name, text in numbers.items() if text is not None)
    if not sys.stdin.isatty():
        raise UsageError(f"a live order is asked about, and nobody is there to answer: {what}, {given}; or write --yes")
    print(f"LIVE: {what}, {given}. Type yes to place it: ", end="", flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise UsageError("nothing was placed")


def _show(args: argparse.Namespace, order: OrderUpdate) -> None:
    print(as_json(order) if args.json else as_row(order, (*_SHOWN, *_IDS)), flush=True)
