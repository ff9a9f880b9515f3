"""What a client knows of its market and of itself. `LBankClient` inherits it; nothing is decided here."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from lbank_ws.channels import Channel, Topic, checked_levels, checked_pair
from lbank_ws.errors import Stale, UsageError
from lbank_ws.events import Depth, Ticker
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.feed.wanted import Subscribed
from lbank_ws.subscribing import Subscribing


class SubscriptionStats(NamedTuple):
    """How one subscription does. Ages are seconds, and None while they are not known.

    Attributes:
        topic: Which.
        state: Where it stands.
        pushes: How many came.
        late: How many of them were late.
        last_age_s: The age of the newest when it came.
        p50_age_s: Half of the last 1,000 were not older.
        p99_age_s: 99 of 100 of them were not older.
        wrong_nodes: How many books came from publishing nodes that do not count.
        line: The number of its line.
    """

    topic: Topic
    state: Subscribed
    pushes: int
    late: int
    last_age_s: float | None
    p50_age_s: float | None
    p99_age_s: float | None
    wrong_nodes: int
    line: int


class LineView(NamedTuple):
    """One line of a client.

    Attributes:
        number: Tells it from the others; statuses name it.
        state: Where it stands.
        host: Who is dialled, or was last; empty before the first dial.
        topics: What it carries, in the order of asking.
        opened_at: When it opened last, on this machine's clock; None when it never did.
        losses: How often it was lost.
    """

    number: int
    state: State
    host: str
    topics: tuple[Topic, ...]
    opened_at: datetime | None
    losses: int


class Knowing(Subscribing):
    """The present state of markets, lines and subscriptions. Any thread may ask; an answer is of that moment."""

    def book(self, pair: str, *, levels: int | None = None) -> Depth:
        """Give the newest good order book of a pair that is subscribed.

        Not good is one that came late, is crossed, has an empty side, is older than the one held, or comes from a
        publishing node that does not count; and any while the line is away or the subscription is stale or refused. A
        single such push does not spoil the good book before it, for as long as a push may be on its way without being
        late; lateness does at once.

        Args:
            pair: For example `btc_usdt`.
            levels: Of which subscription, where a pair has several; None for the newest of all.

        Raises:
            StaleBook: There is none; it says why, and since when.
            UsageError: No depth of the pair is subscribed.
        """
        named = self._pool.named(Channel.DEPTH, checked_pair(pair))
        if levels is not None:
            named = [known for known in named if known.levels == checked_levels(levels)]
        book = self._newest(named, f"no depth of {pair} is subscribed; call subscribe('depth', {pair!r}) first")
        assert isinstance(book, Depth)  # noqa: S101 - what a depth subscription holds
        return book

    def last(self, pair: str) -> Ticker:
        """Give the newest good ticker of a pair that is subscribed; its `last` is the price.

        Not good is one that came late or is older than the one held; and any while the line is away or the subscription
        is stale or refused.

        Raises:
            StalePrice: There is none; it says why, and since when.
            UsageError: No ticker of the pair is subscribed.
        """
        named = self._pool.named(Channel.TICKER, checked_pair(pair))
        ticker = self._newest(named, f"no ticker of {pair} is subscribed; call subscribe('ticker', {pair!r}) first")
        assert isinstance(ticker, Ticker)  # noqa: S101 - what a ticker subscription holds
        return ticker

    def stats(self) -> list[SubscriptionStats]:
        """Give how every subscription does, in the order of asking."""
        told: dict[Topic, SubscriptionStats] = {}
        for line in self._pool.lines():
            told |= line.look(_stats)
        return [told[wanted.topic] for wanted in self._pool.all() if wanted.topic in told]

    def lines(self) -> list[LineView]:
        """Give every line, and what it carries."""
        return [line.look(_view) for line in self._pool.lines()]

    def _newest(self, topics: list[Topic], otherwise: str) -> Depth | Ticker:
        """Give the newest good one of several; of several reasons why there is none, the first."""
        good: list[Depth | Ticker] = []
        stale: list[Stale] = []
        for topic in topics:
            line = self._pool.line_of(topic)
            if line is None:
                continue
            try:
                good.append(line.current(topic))
            except Stale as why:
                stale.append(why)
        if good:
            return max(good, key=lambda event: event.received_ns)
        if stale:
            raise stale[0]
        raise UsageError(otherwise)


def _stats(session: Session) -> dict[Topic, SubscriptionStats]:
    told = {}
    for wanted in session.subscriptions.all():
        p50_age_s, p99_age_s = wanted.ages.at(0.5, 0.99)
        told[wanted.topic] = SubscriptionStats(
            topic=wanted.topic,
            state=wanted.state,
            pushes=wanted.ages.pushes,
            late=wanted.ages.late,
            last_age_s=wanted.ages.last_s,
            p50_age_s=p50_age_s,
            p99_age_s=p99_age_s,
            wrong_nodes=0 if wanted.shelf is None else wanted.shelf.wrong_nodes,
            line=session.line,
        )
    return told


def _view(session: Session) -> LineView:
    return LineView(
        number=session.line,
        state=session.state,
        host=session.host,
        topics=tuple(wanted.topic for wanted in session.subscriptions.all()),
        opened_at=session.opened_at,
        losses=session.losses,
    )
