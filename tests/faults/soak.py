"""A client under seeded faults for as long as you like: `python -m tests.faults.soak --minutes 60 --seed 7`.

Prints what was done and what was seen. It ends with status 1 at the first promise that did not hold, and names it. The
short forms of both parts run in `test_soak.py`.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lbank_ws import LBankClient, Trade
from lbank_ws.sandbox import Sandbox
from tests.faults.passage import Fault
from tests.faults.proxy import ChaosProxy
from tests.faults.story import Story
from tests.faults.user import PAIR, User
from tests.plain_exchange import PlainExchange
from tests.waiting import open_sockets, our_threads, wait_until

WELL_WITHIN_S = 10.0  # of the end of a fault; the README promises five on a machine with nothing else to do
NOTICED_WITHIN_S = 7.0  # the longest limit that a fault here may use up, and some
WARM_UP = 10  # reconnects before anything is measured: pools, caches and the like are made by then
ADDRESS = "203.0.113.7"  # what the server says that must not come out: LBank echoes the address of its caller

# On the way: struck on lines that are open, or planned for the next dial behind a reset.
STRUCK: dict[str, Fault] = {
    "cut in a frame": Fault("cut", "frame"),
    "cut between frames": Fault("cut", "stream"),
    "reset in a frame": Fault("reset", "frame"),
    "reset between frames": Fault("reset", "stream"),
    "half-closed": Fault("half_close", "stream"),
    "stalled": Fault("stall", "stream"),
    "stalled in a frame": Fault("stall", "frame"),
    "stalled for a moment": Fault("stall", "frame", for_s=0.5),
    "delayed": Fault("delay", "stream", for_s=1.0),
    "throttled": Fault("throttle", "stream", for_s=1.0, of=8000),
    "split into bytes": Fault("split", "stream", for_s=0.5),
}
PLANNED: dict[str, Fault] = {
    "cut in the handshake": Fault("cut", "head"),
    "reset in the handshake": Fault("reset", "head"),
    "damaged handshake": Fault("corrupt", "head"),
    "truncated handshake": Fault("truncate", "head"),
    "damaged first frame": Fault("corrupt", "first"),
    "truncated first frame": Fault("truncate", "first"),
    "cut before the first frame": Fault("cut", "first"),
}
# At the exchange.
SERVED: dict[str, dict[str, Any]] = {
    "polite_close": {"code": 1001, "reason": f"goodbye {ADDRESS}"},
    "maintenance": {"for_s": 0.7},
    "cut_frame": {"for_s": 0.3, "at": 0.5},
    "huge_frame": {"claims": 2**63},
    "garbage": {"for_s": 0.3, "every_s": 0.02},
    "invalid_utf8": {"for_s": 0.3, "every_s": 0.02},
    "ping_storm": {"for_s": 0.3},
    "fragmented_message": {"for_s": 0.3, "into": 7, "with_pings": True},
    "mute": {"for_s": 1.5},
    "crossed_book": {"for_s": 0.3},
}
AWAY = "network away"
SAID = "address of the caller in a frame"
KINDS = (*STRUCK, *PLANNED, *SERVED, AWAY, SAID)


@dataclass
class Figures:
    """What was done and seen.

    Attributes:
        faults: How often, by kind.
        slowest_s: The slowest return to all that is wanted, behind the end of a fault, and what it was.
        heard: How many events came.
        trades: How many of them were trades, none twice and none that nobody made.
        gaps: How many gaps were closed.
        grew: By how much the process grew between the end of the warm-up and the end, by what: threads, sockets, bytes.
    """

    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    heard: int = 0
    trades: int = 0
    gaps: int = 0
    grew: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Give it as text."""
        yield f"faults {sum(self.faults.values())} of {len(self.faults)} kinds, each recovered from"
        if self.slowest:
            yield f"slowest return {self.slowest_s:.2f} s ({self.slowest})"
        yield f"events {self.heard}, trades {self.trades} (twice 0, never made 0), gaps closed {self.gaps}"
        if self.grew:
            yield f"grew by {self.grew}"


class Process:
    """How large this process is."""

    def __init__(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.now = {
            "threads": len(our_threads()),
            "sockets": open_sockets(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        }

    def since(self, before: Process) -> dict[str, int]:
        """Tell by how much it has grown."""
        return {name: self.now[name] - before.now[name] for name in self.now}


class _Plain(PlainExchange):
    """An exchange that keeps next to nothing, so that what grows is the client."""

    def visitors(self) -> list[Any]:
        """Tell who is connected, as the practice exchange does."""
        asked = list(self._asked.values())
        return [SimpleNamespace(subscriptions=[name.replace("tick/", "ticker/") for name in names]) for names in asked]


@contextmanager
def behind(exchange: Any, seed: int, *, with_book: bool, rest_url: str | None) -> Iterator[tuple[ChaosProxy, User]]:
    """Give a proxy in front of an exchange, and a user behind it, all well."""
    with ChaosProxy(int(exchange.url.rpartition(":")[2]), seed=seed) as proxy:
        client = LBankClient(
            url=proxy.url,
            rest_url=rest_url,
            backfill=rest_url is not None,
            silent_after_s=1.0,
            backoff_first_s=0.05,
            backoff_cap_s=0.3,
        )
        with User(client, with_book=with_book) as user:
            wait_until(lambda: user.is_well(exchange), WELL_WITHIN_S, "all that is wanted")
            wait_until(lambda: len(user.heard) == len(user.wanted), WELL_WITHIN_S, "data of all that is wanted")
            yield proxy, user


def reconnects(count: int, seed: int) -> Figures:
    """Reset all lines so often, one time after the other; nothing may grow, and every drop is told once as a gap.

    Raises:
        AssertionError: Something did not hold.
    """
    figures = Figures()
    with _Plain() as box, behind(box, seed, with_book=False, rest_url=None) as (proxy, user):
        before: Process | None = None
        for number in range(WARM_UP + count):
            if number == WARM_UP:
                before = Process()
            hears = user.hears_everything()
            proxy.strike(Fault("reset", "at once"))
            wait_until(lambda losses=number + 1: len(user.causes("lost")) == losses, 5, "the loss")
            wait_until(lambda: user.is_well(box), WELL_WITHIN_S, "all that is wanted")
            wait_until(hears, WELL_WITHIN_S, "data of all that is wanted")
            figures.faults["reset"] += 1
        wait_until(lambda: proxy.open == 1, what="the end of older connections")
        assert before is not None
        figures.grew = Process().since(before)
        _check_gaps(user, proxy)
        user.check_story()
        figures.heard, figures.gaps = sum(user.heard.values()), len(user.gaps) // 2
    assert figures.grew["threads"] <= 2, figures.grew
    assert figures.grew["descriptors"] <= 2, figures.grew
    assert figures.grew["bytes"] <= 20 * 2**20, figures.grew
    return figures


def _check_gaps(user: User, proxy: ChaosProxy) -> None:
    """Each outage of the proxy's log lies in one gap of each subscription, and no gap is without one."""
    outages_s = [deed.at_s for deed in proxy.deeds]
    for topic in {gap.topic for gap in user.gaps}:
        gaps = [gap for gap in user.gaps if gap.topic == topic and gap.ended_at is not None]
        spans_s = [(gap.started_at.timestamp(), gap.ended_at.timestamp()) for gap in gaps if gap.ended_at]
        assert len(spans_s) == len(outages_s), (str(topic), len(spans_s), len(outages_s))
        for at_s, (from_s, to_s) in zip(outages_s, spans_s, strict=True):
            # What was on its way when the line was reset may be read a little later.
            assert from_s - 0.5 <= at_s <= to_s, (str(topic), at_s, from_s, to_s)
    assert len({gap.topic for gap in user.gaps}) == len(user.wanted)


def storm(for_s: float, seed: int, *, say: Callable[[str], object] = lambda text: None) -> Figures:
    """Let one fault after the other happen for so long; after each, all that is wanted is back.

    Raises:
        AssertionError: Something did not hold.
    """
    chance, figures = random.Random(seed), Figures()
    log = LogLines()
    logging.getLogger("lbank_ws").addHandler(log)
    try:
        with (
            Sandbox(pairs=[PAIR], speed=20, seed=seed) as box,
            behind(box, seed, with_book=True, rest_url=box.rest_url) as (proxy, user),
        ):
            trades: list[Trade] = []
            made: dict[str, Any] = {}  # by id: the exchange's own log forgets
            user.client.on_trade(PAIR)(trades.append)
            until_s = time.monotonic() + for_s
            before: Process | None = None
            deck: list[str] = []
            while time.monotonic() < until_s:
                if not deck:
                    deck = chance.sample(KINDS, len(KINDS))
                kind = deck.pop()
                _happens(kind, box, proxy, user)
                took_s = user.wait_until_well(box, WELL_WITHIN_S)
                figures.faults[kind] += 1
                made |= {each.id: each for each in box.truth.trades(PAIR)}
                if took_s > figures.slowest_s:
                    figures.slowest_s, figures.slowest = took_s, kind
                if sum(figures.faults.values()) == WARM_UP:
                    before = Process()
                if sum(figures.faults.values()) % 100 == 0:
                    say(f"{sum(figures.faults.values())} faults, slowest return {figures.slowest_s:.2f} s")
            wait_until(lambda: proxy.open == 2, what="the end of older connections")
            figures.grew = Process().since(before) if before else {}
            user.check_story()

            def all_made() -> Iterable[Any]:
                return (made | {each.id: each for each in box.truth.trades(PAIR)}).values()

            figures.trades = check_trades(trades, all_made)
            figures.heard = sum(user.heard.values())
            figures.gaps = sum(gap.ended_at is not None for gap in user.gaps)
    finally:
        logging.getLogger("lbank_ws").removeHandler(log)
    told = "\n".join([*log.lines, *map(str, user.errors), *map(str, user.statuses)])
    assert ADDRESS not in told, "the address of the caller came out"
    return figures


class LogLines(logging.Handler):
    """Keeps every line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _happens(kind: str, box: Sandbox, proxy: ChaosProxy, user: User) -> None:
    """Let a fault begin, and return when it is over and, where it ends a line, noticed."""
    lost, done = len(user.causes("lost")), len(proxy.deeds)
    if kind in SERVED:
        handle = box.fault(kind, **SERVED[kind])
        wait_until(lambda: not handle.is_active, NOTICED_WITHIN_S, f"the end of {kind}")
        return
    if kind == SAID:
        box.broadcast(f"sorry, {ADDRESS}")
        return
    if kind == AWAY:
        proxy.away()
        wait_until(lambda: any(line.state == "waiting" for line in user.client.lines()), 5, "a wait")
        time.sleep(0.3)  # how long the network is away
        proxy.back()
        return
    if kind in PLANNED:
        proxy.plan(PLANNED[kind])
        proxy.strike(Fault("reset", "at once"))
        wait_until(lambda: any(deed.fault == PLANNED[kind] for deed in proxy.deeds[done:]), 5, kind)
        return
    fault = STRUCK[kind]
    proxy.strike(fault)
    wait_until(lambda: len(proxy.deeds) > done, NOTICED_WITHIN_S, kind)
    if fault.for_s is None:
        wait_until(lambda: len(user.causes("lost")) > lost, NOTICED_WITHIN_S, f"the loss after {kind}")
    else:
        wait_until(lambda: time.time() > proxy.deeds[-1].at_s + fault.for_s, NOTICED_WITHIN_S)  # type: ignore[operator]


def check_trades(trades: list[Trade], truth: Callable[[], Iterable[Any]]) -> int:
    """Check that no trade came that nobody made, and none more often than it was made; tell how many came.

    What came is looked at before the exchange's own log is: trades come while this counts, and were noted before.
    """
    came = list(trades)
    made = Counter(
        (each.traded_at_ms, each.listing.price_of(each.price), each.listing.amount_of(each.volume)) for each in truth()
    )
    heard: Counter[Any] = Counter()
    for trade in came:
        assert trade.traded_at is not None
        heard[round(trade.traded_at.timestamp() * 1000), trade.price, trade.amount] += 1
    assert not heard - made, f"trades that were never made, or twice: {list((heard - made).items())[:3]}"
    return len(came)


def day(seed: int) -> Figures:
    """Play a day in simulated time.

    Raises:
        AssertionError: Something did not hold.
    """
    story = Story(seed, for_s=86_400.0, mean_s=8.0, within_s=1200.0)
    story.check()
    return Figures(
        faults=story.world.faults,
        slowest_s=max(story.world.returns_s),
        slowest="the time until a silence is noticed is in it",
        heard=len(story.prices),
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long faults go on")
    parser.add_argument("--reconnects", type=int, default=1000, help="how often all lines are reset")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    logging.getLogger("lbank_ws").addHandler(logging.NullHandler())
    logging.getLogger("lbank_ws").propagate = False
    print(f"seed {asked.seed}")
    from tests.faults.business import business  # it takes the faults from here

    def trade() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            seen = business(asked.minutes * 60, asked.seed, Path(folder))
        seen.check()
        return seen

    for name, work in (
        ("a simulated day", lambda: day(asked.seed)),
        (f"{asked.reconnects} reconnects", lambda: reconnects(asked.reconnects, asked.seed)),
        (f"{asked.minutes:g} minutes of faults", lambda: storm(asked.minutes * 60, asked.seed, say=_say)),
        (f"{asked.minutes:g} minutes of trading and collecting", trade),
    ):
        began_s = time.monotonic()
        figures = work()
        print(f"{name}, {time.monotonic() - began_s:.0f} s")
        for line in figures.lines():
            print(f"  {line}")


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    main()
