"""What one line told during a simulated time, and what must be true of it."""

from __future__ import annotations

import random
import statistics
from typing import Any

from lbank_ws.channels import topic
from lbank_ws.events import Status, Ticker
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.dials import Dials
from lbank_ws.feed.hosts import Hosts
from lbank_ws.feed.line import Line
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.session import Session
from lbank_ws.wire import V2
from tests.faults.simulation import KINDS, World

SILENT_S = 30.0  # until a line that says nothing is cut
CAP_S = 30.0  # the longest wait between two dials


class Story:
    """What one line told during a simulated time."""

    def __init__(self, seed: int, *, for_s: float, mean_s: float, within_s: float = 50.0) -> None:
        self.statuses: list[Status] = []
        self.prices: list[int] = []
        self.crash: Exception | None = None
        self.world = World(seed, until_s=for_s, mean_s=mean_s, on_end=lambda: self.line.stop())
        session = Session(V2(), Backoff(uniform=random.Random(seed).uniform))
        session.subscribe(topic("ticker", "btc_usdt"))
        self.line = Line(
            session,
            Dials(Hosts(["ws://127.0.0.1:1/ws/V2/"])),
            self._keep,
            connect=self.world.connect,
            clock=self.world,
            logbook=Logbook(),
        )
        self.line.start()
        assert self.line.join(within_s), "the simulation did not end"
        self.crash = self.line.end()

    def _keep(self, reaction: Reaction) -> None:
        self.statuses += [status for status in reaction.statuses if status.topic is None]
        self.prices += [int(event.last) for _, event in reaction.events if isinstance(event, Ticker)]

    def kinds(self) -> list[str]:
        return [status.kind for status in self.statuses]

    def words(self) -> list[Any]:
        return [(status.kind, status.at, str(status.cause)) for status in self.statuses]

    def check(self) -> None:
        """Check that all that was sent whole came, once and in order, and that each end and each return was told."""
        world, kinds = self.world, self.kinds()
        assert self.crash is None
        assert set(world.faults) <= set(KINDS)
        assert self.prices == world.pushed[: len(self.prices)]
        assert len(world.pushed) - len(self.prices) <= 3  # what was sent as time was over
        assert world.opened == kinds.count("opened") + kinds.count("reconnected")
        assert world.failed == kinds.count("failed")
        assert world.opened - kinds.count("lost") in (0, 1)  # the stop ends the last one
        assert {tuple(asked) for asked in world.asked[:-1] if asked} == {("tick/btc_usdt",)}
        # Counted from when the network was well again, so silence that is to be noticed first is in it.
        assert max(world.returns_s) < SILENT_S + CAP_S
        assert statistics.median(world.returns_s) < 2
