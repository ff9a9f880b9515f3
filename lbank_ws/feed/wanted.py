"""One subscription: its state, what leads from one to the next, and what is known of what it brings.

Decided here: the moves; the diagram in docs/design.md is drawn from `MOVES`. Not decided here: when one happens; that
is `subscriptions.py` and `vigil.py`.
"""

from __future__ import annotations

from enum import Enum

from lbank_ws.causes import Cause
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import SubscriptionRefused
from lbank_ws.feed.ages import Ages
from lbank_ws.feed.books import Shelf
from lbank_ws.feed.freshness import Watch


class Subscribed(str, Enum):
    """The state of a subscription."""

    WAITING = "waiting"
    LIVE = "live"
    STALE = "stale"
    REFUSED = "refused"
    LEFT = "left"

    def __str__(self) -> str:
        return str(self.value)


class Happened(str, Enum):
    """What changes the state of a subscription."""

    DATA = "first data"
    UNOPPOSED = "no error"
    DOUBTED = "late, frozen, silent"
    FRESH = "fresh data"
    DENIED = "denied"
    LOST = "line lost"
    UNSUBSCRIBE = "unsubscribe"


MOVES: dict[Subscribed, dict[Happened, Subscribed]] = {
    Subscribed.WAITING: {
        Happened.DATA: Subscribed.LIVE,
        Happened.UNOPPOSED: Subscribed.LIVE,
        Happened.DENIED: Subscribed.REFUSED,
        Happened.UNSUBSCRIBE: Subscribed.LEFT,
    },
    Subscribed.LIVE: {
        Happened.LOST: Subscribed.WAITING,
        Happened.DOUBTED: Subscribed.STALE,
        Happened.DENIED: Subscribed.REFUSED,
        Happened.UNSUBSCRIBE: Subscribed.LEFT,
    },
    Subscribed.STALE: {
        Happened.FRESH: Subscribed.LIVE,
        Happened.DENIED: Subscribed.REFUSED,
        Happened.UNSUBSCRIBE: Subscribed.LEFT,
    },
    Subscribed.REFUSED: {Happened.UNSUBSCRIBE: Subscribed.LEFT},
    Subscribed.LEFT: {},
}


class Wanted:
    """One subscription, and what is known of what it brings. Used under the line's lock; any thread may read its state.

    Attributes:
        topic: What was asked for.
        state: `waiting` for the first push, `live`, `stale`, `refused` by the exchange, or `left`.
        refusal: Why it was refused, or None.
        doubt: Why it is stale, or None.
        ages: How old its pushes were.
        watch: Whether its silence is suspicious.
        shelf: Its newest good book or price; None on the channels that have none.
        is_private: Whether it tells of an account.
    """

    def __init__(self, topic: Topic, nodes: str | None = None) -> None:
        self.topic = topic
        self.state = Subscribed.WAITING
        self.refusal: SubscriptionRefused | None = None
        self.doubt: Cause | None = None
        self.ages = Ages()
        self.watch = Watch(topic)
        self.is_private = topic.channel.is_private
        self.shelf = Shelf(nodes) if topic.channel in (Channel.DEPTH, Channel.TICKER) else None

    def __repr__(self) -> str:
        return f"Wanted({self.topic}, {self.state})"

    def move(self, happened: Happened) -> bool:
        """Change the state as `MOVES` says; what it does not name changes nothing, and gives False."""
        before, self.state = self.state, MOVES[self.state].get(happened, self.state)
        return self.state is not before
