"""What stands between the lines and the callbacks, with a real thread and a real file."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lbank_ws.causes import Cause
from lbank_ws.channels import Topic, topic
from lbank_ws.errors import ConnectionLost
from lbank_ws.events import Receipt, Trade
from lbank_ws.feed.clock import SystemClock
from lbank_ws.feed.fetching import Fetching
from lbank_ws.feed.reaction import Reaction, Teller
from lbank_ws.feed.resume import Mark, ResumeFile
from lbank_ws.feed.sources import Sources
from lbank_ws.trading.rest import Rest
from tests.test_backfill import trade
from tests.waiting import wait_until

TRADES = topic("trade", "btc_usdt")
CLOCK = SystemClock()


class SlowFile(ResumeFile):
    """On a disk that takes nothing until it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_writing = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, marks: Mapping[Topic, Mark]) -> None:
        self.is_writing.set()
        assert self.may_go_on.wait(10)
        super().write(marks)


def pushed(s: float) -> Trade:
    """Give a trade that was pushed just now."""
    return replace(trade(s), receipt=Receipt(CLOCK.now().ns, None, 3.0))


NOBODY = "http://127.0.0.1:9"  # no server has this port: calls over REST fail at once


def fetching_to(file: ResumeFile | None, *, sources: Sources | None = None) -> tuple[Fetching, list[Reaction]]:
    """Give one that hands on to a list."""
    delivered: list[Reaction] = []
    return Fetching(delivered.append, lambda _line: [TRADES], CLOCK, sources or Sources(), file), delivered


def test_a_slow_disk_holds_up_no_line(tmp_path: Path):
    """A pong that waits for a disk comes too late, and the line is cut."""
    file = SlowFile(tmp_path / "marks")
    fetching, delivered = fetching_to(file)
    fetching.start()
    try:
        assert file.is_writing.wait(5)
        line = threading.Thread(target=fetching.take, args=(1, Reaction(events=[(TRADES, pushed(1))])), daemon=True)
        line.start()
        line.join(5)
        assert not line.is_alive()
        assert [event for reaction in delivered for _, event in reaction.events] != []
    finally:
        file.may_go_on.set()
        fetching.stop()
        assert fetching.join(5)


def test_what_is_handed_out_at_the_very_end_is_kept_as_seen(tmp_path: Path):
    """The next run would hand it out once more."""
    file = ResumeFile(tmp_path / "marks")
    # A line that is asked and does not answer: pushes behind a drop wait until the end.
    fetching, delivered = fetching_to(file, sources=Sources(Rest(NOBODY), request=lambda _fetch: True))
    fetching.start()
    lost = Teller(1).status("lost", CLOCK.now(), cause=ConnectionLost(Cause.BROKEN, "gone"))
    try:
        fetching.take(1, Reaction(events=[(TRADES, pushed(1))]))
        fetching.take(1, Reaction(statuses=[lost]))
        fetching.take(1, Reaction(events=[(TRADES, pushed(2))]))
        assert [event.traded_at for event in _trades(delivered)] == [trade(1).traded_at]
    finally:
        fetching.stop()
        assert fetching.join(5)

    assert [event.traded_at for event in _trades(delivered)] == [trade(1).traded_at, trade(2).traded_at]
    assert [known.traded_at for known in file.read()[TRADES].trades] == [trade(1).traded_at, trade(2).traded_at]


def test_a_subscription_whose_turn_has_not_come_is_not_missed_yet():
    """On a line with many of them the last is asked for seconds after the opening: till then no push comes."""
    asked: list[float] = []

    def request(_fetch: object) -> bool:
        asked.append(CLOCK.now().s)
        return True

    fetching, _ = fetching_to(None, sources=Sources(Rest(NOBODY), request=request))
    fetching.start()
    try:
        fetching.take(1, Reaction(events=[(TRADES, pushed(1))]))
        lost = Teller(1).status("lost", CLOCK.now(), cause=ConnectionLost(Cause.BROKEN, "gone"))
        fetching.take(1, Reaction(statuses=[lost]))
        fetching.take(1, Reaction(statuses=[Teller(1).status("reconnected", CLOCK.now())]))
        until_s = CLOCK.now().s + 1.5
        wait_until(lambda: CLOCK.now().s >= until_s, what="a while")
        assert asked == []

        fetching.take(1, Reaction(asked=[TRADES]))
        asked_for_s = CLOCK.now().s
        wait_until(lambda: asked, 5, "the fetch")
        assert asked[0] >= asked_for_s + 0.9
    finally:
        fetching.stop()
        assert fetching.join(5)


def _trades(delivered: list[Reaction]) -> list[Trade]:
    return [event for reaction in delivered for _, event in reaction.events if isinstance(event, Trade)]
