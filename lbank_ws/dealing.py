"""A client's orders: which account they go to, and what has to be there first. `LBankClient` inherits it.

Decided here: when the account is made, and that nobody trades on one and listens to another. What an order does is
decided in `trading/`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from lbank_ws.channels import EVERY_PAIR, Channel, topic
from lbank_ws.errors import LBankError, Stale, StaleBook, UsageError
from lbank_ws.events import AccountEvent, BalanceUpdate, Depth, OrderUpdate, Status
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.states import State
from lbank_ws.feed.submissions import Fate as SocketFate
from lbank_ws.feed.submissions import Outcome, Submission
from lbank_ws.knowing import Knowing
from lbank_ws.trading.bounds import Bounds
from lbank_ws.trading.desks import ExchangeDesk, TestDesk
from lbank_ws.trading.fates import Fate, Verdict, verdict_of_refusal
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.link import Link
from lbank_ws.trading.orders import Orders
from lbank_ws.trading.placing import Desk
from lbank_ws.trading.rest import Rest
from lbank_ws.trading.ticket import Number, PairRules
from lbank_ws.wire import OrderRequest

if TYPE_CHECKING:
    from lbank_ws.trading.paper_desk import PaperDesk

AccountName = Literal["paper", "test", "live"]

SOCKET_ORDER_S = 10.0  # how long an order over the socket may take in all
_BOOK_WAIT_S = 5.0
_POLL_S = 0.05
_WORK_S = 1.0  # how long the caretaker asks about orders before it looks at its other duties

_Callback = TypeVar("_Callback", bound=Callable[[Any], object])


@dataclass(frozen=True)
class Paper:
    """What a paper account begins with.

    Attributes:
        balances: What it owns, by asset.
        fee: The commission, as a fraction of what is received; LBank takes 0.001.
        file: Where it is kept between two runs; then what the file says counts, and not `balances` and `fee`. None for
            an account that ends with its client.
    """

    balances: Mapping[str, Number] = field(default_factory=lambda: MappingProxyType({"usdt": "10000"}))
    fee: Number = "0.001"
    file: str | os.PathLike[str] | None = None


class Account:
    """Which account a client has, and what was made of it so far.

    Args:
        name: `paper`, `test` or `live`; None for paper where nobody listens to the exchange's.
        paper: What a paper account begins with.
        journal: Where orders are written down; None for `lbank-orders-live.jsonl` in the working folder.
        bounds: What no order may exceed; None for anything that the exchange takes.

    Attributes:
        name: As given; so is `bounds`.

    Raises:
        UsageError: There is no such account.
    """

    def __init__(
        self,
        name: str | None,
        paper: Paper | None,
        journal: str | os.PathLike[str] | None,
        bounds: Bounds | None = None,
    ) -> None:
        if name is not None and name not in get_args(AccountName):
            raise UsageError(f"account is one of {', '.join(get_args(AccountName))}, not {name!r}")
        if paper is not None and name not in (None, "paper"):
            raise UsageError("paper= belongs to account='paper'")
        if journal is not None and name != "live":
            raise UsageError("journal= belongs to account='live'; paper has Paper(file=...)")
        self.name = name
        if bounds is not None and not isinstance(bounds, Bounds):
            raise UsageError("bounds= takes Bounds(...), from lbank_ws")
        self.paper = paper or Paper()
        self.bounds = bounds
        self.journal = journal or "lbank-orders-live.jsonl"
        self.lock = threading.RLock()
        self.orders: Orders | None = None
        self.paper_desk: PaperDesk | None = None


class Errands:
    """What the caretaker does for an account, beside its own: the subscribe key, and orders nobody knows about."""

    def __init__(self, link: Link, account: Account) -> None:
        self._link = link
        self._account = account

    def errand(self, now_s: float, wall_s: float) -> None:
        """Do what is due; each call takes no longer than the link allows."""
        self._link.errand(now_s, wall_s)
        if (orders := self._account.orders) is not None:
            until_s = time.monotonic() + _WORK_S
            while orders.resolver.step() and time.monotonic() < until_s:
                pass

    def close(self) -> None:
        """End the subscribe key."""
        self._link.close()


class Dealing(Knowing):
    """The part of a client that trades."""

    _account: Account
    _link: Link
    _rules_rest: Callable[[], Rest | None]

    @property
    def account(self) -> AccountName | None:
        """Which account orders go to, as it was named; None for paper that was not named."""
        return self._account.name  # type: ignore[return-value]  # it was checked

    @property
    def orders(self) -> Orders:
        """What places, cancels and looks up orders; see docs/howto/private.md.

        Raises:
            UsageError: There are no credentials for a live account; or none was named, and the callbacks listen to the
                exchange's.
            JournalBusy: Another client has the journal, or the file of the paper account.
            JournalFailed: One of them cannot be opened.
        """
        account = self._account
        with account.lock:
            if account.orders is None:
                if account.name is None and self._pool.named(Channel.ORDER, EVERY_PAIR) + self._pool.named(
                    Channel.BALANCE, EVERY_PAIR
                ):
                    raise UsageError(
                        "the callbacks listen to your account at the exchange, and orders would go to paper: "
                        "write LBankClient(account='paper'), or account='live'"
                    )
                account.orders = self._made(account)
            return account.orders

    # How it is done.

    def _made(self, account: Account) -> Orders:
        if account.name in (None, "paper"):
            from lbank_ws.trading.paper_desk import PaperDesk  # late: it brings the practice exchange along

            terms = account.paper
            desk = account.paper_desk = PaperDesk(
                terms.balances,
                terms.fee,
                terms.file,
                book=self._live_book,
                rules=self._paper_rules,
                tell=self._tell_account,
            )
            self._dispatch.on_channel(Channel.DEPTH, self._paper_met)
            return Orders(desk, Journal(None, "paper"), bounds=account.bounds, book=self._live_book)
        rest = self._link.rest
        if account.name == "test":
            return Orders(TestDesk(rest), Journal(None, "test"), bounds=account.bounds, book=self._live_book)
        send = self._send_by_socket if self._pool.has_orders else None
        owner = f"live {self._link.credentials.fingerprint}"
        made: Desk = ExchangeDesk(rest, send, self._fetching.mind)
        orders = Orders(
            made,
            Journal(account.journal, owner),
            bounds=account.bounds,
            book=self._live_book,
            found=self._found,
            lost=self._lost,
        )
        self._dispatch.on_topic(topic(Channel.ORDER, EVERY_PAIR), orders.resolver.notice)
        self._dispatch.on_status(self._hurry)
        return orders

    def _open_orders(self) -> None:
        """Look up, from the start on, what an earlier run left in the journal; raises as `orders` does."""
        if self._account.name == "live" and os.path.exists(self._account.journal):
            _ = self.orders

    def _halt_orders(self) -> None:
        """Take no more orders and cancel the open ones, also those of an earlier run."""
        self._open_orders()
        if self._account.orders is not None:
            self._account.orders.halt()

    def _close_orders(self) -> None:
        with self._account.lock:
            if self._account.orders is not None:
                self._account.orders.close()
            if self._account.paper_desk is not None:
                self._account.paper_desk.close()

    def _of_account(self, channel: Channel, callback: _Callback) -> _Callback:
        """Let a callback hear of the account that orders go to."""
        if self._account.name == "paper":
            self._dispatch.on_topic(topic(channel, EVERY_PAIR), callback)
            return callback
        if self._account.orders is not None and self._account.name is None:
            raise UsageError("orders go to paper: write LBankClient(account='paper') to hear of them")
        return super()._of_account(channel, callback)

    def _tell_account(self, events: Sequence[AccountEvent]) -> None:
        ours = [event for event in events if isinstance(event, OrderUpdate | BalanceUpdate)]
        self._dispatch.put(Reaction(events=[(topic(event.channel, EVERY_PAIR), event) for event in ours]))

    def _hurry(self, status: Status) -> None:
        """Look up at once what nobody knows, when the exchange is back in reach."""
        if status.kind == "reconnected" and self._account.orders is not None:
            self._account.orders.resolver.hurry()

    def _found(self, order: OrderUpdate) -> None:
        self._tell_account([order])

    def _lost(self, fault: LBankError) -> None:
        self._dispatch.put(Reaction(faults=[fault]))

    # The socket of the simple dialect.

    def _send_by_socket(self, order: OrderRequest) -> Verdict:
        """Send an order over the socket, once, and wait for what becomes of it."""
        done = threading.Event()
        told: list[Outcome] = []

        def settled(outcome: Outcome) -> None:
            told.append(outcome)
            done.set()

        self._pool.submit(Submission(order, SOCKET_ORDER_S, settled))
        if not done.wait(2 * SOCKET_ORDER_S):  # the socket thread settles it in time, unless it hangs
            return Verdict(Fate.UNKNOWN, reason="the line said nothing of it")
        outcome = told[0]
        if outcome.fate is SocketFate.ACCEPTED:
            return Verdict(Fate.PLACED, outcome.order_id)
        if outcome.fate is SocketFate.REFUSED:
            return verdict_of_refusal(outcome.code, outcome.reason)
        return Verdict(Fate.UNSENT if outcome.fate is SocketFate.UNSENT else Fate.UNKNOWN, reason=outcome.reason)

    # Paper.

    def _paper_met(self, depth: Depth) -> None:
        if self._account.paper_desk is not None:
            self._account.paper_desk.met(depth)

    def _live_book(self, pair: str) -> Depth:
        """Give the newest good book; where none is subscribed, subscribe it and wait for the first."""
        if not self._pool.named(Channel.DEPTH, pair):
            if self._pool.state in (State.IDLE, State.CLOSED):
                raise UsageError("this order is held against the live book: call start() or run() first")
            self.subscribe(Channel.DEPTH, pair)
        until_s = time.monotonic() + _BOOK_WAIT_S
        while True:
            try:
                return self.book(pair)
            except (Stale, UsageError) as why:
                is_first = isinstance(why, StaleBook) and why.since is None
                if not is_first or time.monotonic() >= until_s or self._pool.state is State.CLOSED:
                    raise
            threading.Event().wait(_POLL_S)

    def _paper_rules(self, pair: str) -> PairRules:
        """Give the exchange's rules; where it cannot be asked, those of paper alone."""
        rest = self._rules_rest()
        if rest is None:
            return PairRules(pair, 10, 10)
        try:
            found = rest.rules(pair).get(pair)
        finally:
            rest.close()
        if found is None:
            raise UsageError(f"LBank does not list {pair}")
        return found
