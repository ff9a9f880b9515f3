"""`lbank-ws demo`: a minute's guided tour on the practice exchange, without a network.

The tour is the table `_ACTS`: what is said, what is done to the exchange, and which share of the time it takes.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.box import running_box
from lbank_ws.cli.exits import Exit, Signals
from lbank_ws.errors import Stale

if TYPE_CHECKING:
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Gap, Status, Trade
    from lbank_ws.sandbox import Sandbox

_PAIR = "btc_usdt"
_LENGTH_S = 60.0
_LINE_EVERY_S = 1.0
_POLL_S = 0.05
_SPENT = "100"  # usdt
_GRACE_S = 5.0  # for what an act waits for, over its time
_EPILOG = """examples:
  lbank-ws demo
  lbank-ws demo --for 10s    in a hurry
"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "demo",
        help="a guided tour without a network",
        description="A tour on a practice exchange inside this command: "
        "prices, a drop, the recovery, the gap filled, an order on paper.",
        epilog=_EPILOG,
    )
    command.add_argument("--for", dest="for_s", type=duration_s, default=_LENGTH_S, metavar="TIME", help="default: 60s")
    command.add_argument("--seed", type=int, default=1, help="of the practice exchange (default: 1)")
    return command


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from lbank_ws.client import LBankClient

    if not args.verbose:
        logging.getLogger("lbank_ws").setLevel(logging.ERROR)  # the tour itself tells of the drop
    with ExitStack() as stack:
        box = stack.enter_context(running_box(seed=args.seed))
        signals = stack.enter_context(Signals())
        client = LBankClient(url=box.url, rest_url=box.rest_url, backoff_first_s=0.5, backoff_cap_s=1.0)
        stage = _Stage(box, client, signals)
        stack.enter_context(client)
        stage.open()
        for number, act in enumerate(_ACTS, 1):
            _say(f"\n{number} of {len(_ACTS)}: {act.title}")
            length_s = args.for_s * act.share
            act.begin(stage, length_s)
            stage.play(length_s, act.is_over)
            if signals.exit is not None:
                return signals.exit
        _say(_WHAT_NEXT)
        return Exit.DONE


class Act(NamedTuple):
    """A part of the tour.

    Attributes:
        title: What it shows.
        share: Of the time of the whole tour.
        begin: Says the rest and sets it going; it gets the stage and the length of the act in seconds.
        is_over: What must have happened before the next one begins.
    """

    title: str
    share: float
    begin: Callable[[_Stage, float], None]
    is_over: Callable[[_Stage], bool] = lambda _stage: True


class _Stage:
    """The exchange, the client, and what the client has told."""

    def __init__(self, box: Sandbox, client: LBankClient, signals: Signals) -> None:
        self.box = box
        self.client = client
        self.gap: Gap | None = None
        self.is_back = False
        self._signals = signals
        self._fetched = 0
        self._ticker = client.subscribe("ticker", _PAIR)
        client.on_trade(_PAIR)(self._traded)
        client.on_status(self._status)
        client.on_gap(self._hole)

    def open(self) -> None:
        """Wait for the first price."""
        self._ticker.wait()

    def play(self, length_s: float, is_over: Callable[[_Stage], bool]) -> None:
        """Print the price once a second until the time is over, and a little longer for what is still to happen."""
        began_s = line_s = time.monotonic()
        while not self._signals.came():
            now_s = time.monotonic()
            if now_s - began_s >= length_s and (is_over(self) or now_s - began_s >= length_s + _GRACE_S):
                return
            if now_s >= line_s:
                line_s += _LINE_EVERY_S
                _say(self._price())
            time.sleep(_POLL_S)  # a signal only sets a flag, so it is polled

    def _price(self) -> str:
        try:
            ticker = self.client.last(_PAIR)
        except Stale as stale:
            return f"  {_PAIR}  no price: {stale.why}"
        return f"  {_PAIR}  {ticker.last:f}"

    def _traded(self, trade: Trade) -> None:
        self._fetched += trade.source == "backfill"

    def _status(self, status: Status) -> None:
        if status.topic is not None:
            return
        if status.kind in ("lost", "failed"):
            _say(f"  -- the line is {'lost' if status.kind == 'lost' else 'still away'}")
        elif status.kind == "reconnected":
            self.is_back = True
            _say(f"  -- the line is back after {status.outage_s or 0.0:.1f} s, attempt {status.attempts}")

    def _hole(self, gap: Gap) -> None:
        if gap.ended_at is not None and gap.channel == "trade":
            self.gap = gap


def _prices(_stage: _Stage, _length_s: float) -> None:
    _say("Ten pairs trade on a practice exchange inside this command; nothing leaves this machine.")


def _drop(stage: _Stage, length_s: float) -> None:
    _say("The exchange cuts the line and lets nobody in. An old price is not passed off for the present one.")
    stage.box.fault("refuse_dial", for_s=length_s)
    stage.box.abort()


def _recovery(_stage: _Stage, _length_s: float) -> None:
    _say("It lets us in again. The client dials by itself and asks for what it had.")


def _filled(stage: _Stage, _length_s: float) -> None:
    _say("Trades went on while the line was away. They are fetched, in their place and once, and the hole is told:")
    gap = stage.gap
    if gap is None:
        _say("  -- it is not filled yet")
        return
    length_s = (gap.ended_at - gap.started_at).total_seconds() if gap.ended_at else 0.0
    _say(f"  -- a hole of {length_s:.1f} s in {gap.topic}: {gap.cause}")
    whole = "nothing is missing" if gap.missing_before is None else f"missing until {gap.missing_before:%H:%M:%S} UTC"
    _say(f"  -- {gap.filled} trades were fetched; {whole}")


def _order(stage: _Stage, _length_s: float) -> None:
    _say("An order is placed on paper: it meets the live book, needs no key, and nobody else hears of it.")
    orders = stage.client.orders
    placed = orders.buy(_PAIR, value=_SPENT)
    order = orders.get(_PAIR, placed.client_id)
    _say(f"  -- {order.status}: {order.filled or 0:f} bought for {_SPENT} usdt, at {order.average_price or 0:.2f}")
    owned = ", ".join(f"{balance.total.normalize():f} {balance.asset}" for balance in orders.balances())
    _say(f"  -- the paper account has {owned}")


_ACTS = (
    Act("prices", 0.25, _prices),
    Act("a drop", 0.2, _drop),
    Act("the recovery", 0.25, _recovery, lambda stage: stage.is_back and stage.gap is not None),
    Act("the gap, filled", 0.15, _filled),
    Act("an order, on paper", 0.15, _order),
)
_WHAT_NEXT = f"""
What next?
  lbank-ws watch {_PAIR} eth_usdt --sandbox    a live board, still without a network
  lbank-ws watch {_PAIR}                       LBank itself
  lbank-ws doctor                             what works on this machine
  docs/tutorial.md                            the same in ten lines of Python"""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")  # in one piece: two threads write
    sys.stdout.flush()
