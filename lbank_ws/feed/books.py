"""What counts as the present state of a market, and when there is none.

Decided here: which book, and which price, may be served. Not decided here: whether a subscription is alive; that is
`freshness.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lbank_ws.causes import Flaw
from lbank_ws.errors import DecodeError
from lbank_ws.events import Depth, Event, Ticker

# What one push in between does not spoil: the good book before it is served on, for as long as a push may be on its
# way without being late.
PASSING = frozenset({Flaw.CROSSED, Flaw.EMPTY_SIDE, Flaw.OLDER, Flaw.WRONG_NODE, Flaw.UNREADABLE})


class Shelf:
    """The newest good `Depth` or `Ticker` of one subscription. Used under the line's lock.

    Args:
        nodes: The publishing nodes that count, by the letters before the dash; None for all.

    Attributes:
        held: The newest good one, or None.
        flaw: What is wrong since then, or None.
        since: Since when, on this machine's clock; None while nothing good has come.
        wrong_nodes: How many books came from nodes that do not count.
    """

    __slots__ = ("_held_s", "_nodes", "flaw", "held", "since", "wrong_nodes")

    def __init__(self, nodes: str | None) -> None:
        self._nodes = nodes
        self.held: Depth | Ticker | None = None
        self._held_s = 0.0
        self.flaw: Flaw | None = Flaw.NOTHING_YET
        self.since: datetime | None = None
        self.wrong_nodes = 0

    def put(self, event: Depth | Ticker, now_s: float, *, suspected: Flaw | None = None) -> Depth | Ticker:
        """Take a push, and give it back with what is wrong with it.

        Args:
            event: It has its age.
            now_s: Monotonic.
            suspected: What is wrong with the whole subscription, whatever a push of it looks like.
        """
        flaw = suspected or self._flaw_of(event, now_s)
        if flaw is None:
            self.held, self._held_s, self.flaw, self.since = event, now_s, None, None
            return event
        self.wrong_nodes += flaw is Flaw.WRONG_NODE
        self.spoil(flaw, event.received_at)
        return replace(event, fault=flaw) if isinstance(event, Depth) else event

    def spoil(self, flaw: Flaw, at: datetime) -> None:
        """Note that what is held is not the present state any more; the first flaw says since when.

        A flaw of one push does not hide that the line, or the whole subscription, has one.
        """
        if self.flaw is None:
            self.since = at
        if flaw not in PASSING or self.flaw is None or self.flaw in PASSING or self.flaw is Flaw.NOTHING_YET:
            self.flaw = flaw

    def confirm(self, now_s: float) -> None:
        """Note that the exchange says the same as what is held: it is the present state, whatever was suspected."""
        if self.held is not None and self.flaw in (Flaw.FROZEN, Flaw.SILENT):
            self._held_s, self.flaw, self.since = now_s, None, None

    def why_not(self, now_s: float, late_after_s: float) -> Flaw | None:
        """Tell why what is held must not be served now, or None when it may be."""
        if self.flaw in PASSING and self.held is not None and now_s - self._held_s <= late_after_s:
            return None
        return self.flaw

    def _flaw_of(self, event: Depth | Ticker, now_s: float) -> Flaw | None:
        sent_s, age_s = event.sent_s, event.age_s
        if sent_s is not None:
            if age_s is None:
                return Flaw.CLOCK
            if age_s > event.receipt.late_after_s:
                return Flaw.LATE
        if isinstance(event, Depth) and (flaw := flaw_of(event, self._nodes)) is not None:
            return flaw
        held_s = None if self.held is None else self.held.sent_s
        if held_s is None or sent_s is None or sent_s >= held_s:
            return None
        # One that is not served any more stands in nobody's way: a clock of theirs may have been set back.
        return Flaw.OLDER if self.why_not(now_s, event.receipt.late_after_s) is None else None


def flaw_of(book: Depth, nodes: str | None) -> Flaw | None:
    """Tell what is wrong with a book as it stands, whatever came before it; None for nothing.

    Source: docs/reference/wire.md, "V2 depth".
    """
    if not counts(book, nodes):
        return Flaw.WRONG_NODE
    try:
        bid, ask = book.best_bid, book.best_ask
    except DecodeError:
        return Flaw.UNREADABLE
    if bid is None or ask is None:
        return Flaw.EMPTY_SIDE
    return Flaw.CROSSED if bid.price >= ask.price else None


def counts(event: Event, nodes: str | None) -> bool:
    """Tell whether a book comes from a node that counts; one that names none does."""
    node = event.node if nodes is not None and isinstance(event, Depth) else None
    return nodes is None or node is None or node.partition("-")[0] in tuple(nodes)
