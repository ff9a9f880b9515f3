"""The state of balances after a drop: what of it is news.

Decided here: that no answer undoes a push. Of a balance the later one counts. REST does not say when a balance changed;
so a push that came since the stream was asked for counts more than any answer, and so does one that was made after the
answer. No socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from lbank_ws.channels import Topic
from lbank_ws.events import BalanceUpdate, Event
from lbank_ws.feed.asking import Fetch, Step
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.state_fill import Ask, StateFill


class BalanceFill(StateFill):
    """The state of balances: all that are not zero, or were not when they were told."""

    def __init__(self, topic: Topic) -> None:
        super().__init__(topic)
        self._told_assets: set[str] = set()
        self._pushed_at: dict[str, datetime] = {}  # when the newest push of an asset was made
        self._pushed: set[str] = set()  # since the stream was asked for
        self._has_asked = False
        self._fetched: list[BalanceUpdate] = []

    def live(self, event: Event, now: Moment) -> Step:
        """Take a push."""
        if isinstance(event, BalanceUpdate):
            self._pushed.add(event.asset)
        return super().live(event, now)

    def _begin(self, now: Moment) -> None:
        self._has_asked = False
        self._pushed = set()
        self._fetched = []

    def _asked(self) -> Ask | None:
        if self._has_asked:
            return None
        self._has_asked = True
        return Ask()

    def _ask_again(self, fetch: Fetch) -> None:
        self._has_asked = False

    def _take(self, fetch: Fetch, rows: Sequence[Event]) -> None:
        self._fetched = [replace(row, source="resync") for row in rows if isinstance(row, BalanceUpdate)]

    def _news(self) -> tuple[list[Event], list[Event]]:
        return [row for row in self._fetched if self._is_news(row)], []

    def _is_news(self, row: BalanceUpdate) -> bool:
        pushed_at, answered_at = self._pushed_at.get(row.asset), row.exchange_at
        if row.asset in self._pushed or (pushed_at is not None and answered_at is not None and answered_at < pushed_at):
            return False
        return bool(row.total or row.free or row.locked) or row.asset in self._told_assets

    def _told(self, event: Event) -> Iterator[Event]:
        if not isinstance(event, BalanceUpdate):
            return
        if event.source == "live" and event.updated_at is not None:
            pushed_at = self._pushed_at.get(event.asset)
            if pushed_at is not None and event.updated_at < pushed_at:
                return
            self._pushed_at[event.asset] = event.updated_at
        self._told_assets.add(event.asset)
        yield event
