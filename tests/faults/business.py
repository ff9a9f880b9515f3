"""A client that trades and collects while faults go on: what it believes, what it kept, and what came out.

REST goes to the practice exchange itself, whose answers to orders get lost there; the feed goes through the proxy.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lbank_ws import Collector, Credentials, Fate, FileStore, LBankClient, LBankError, OrderRefused, OrderUnknown
from lbank_ws.collect.segments import segment_paths
from lbank_ws.collect.verifying import verify
from lbank_ws.sandbox import Sandbox
from tests.faults.passage import Fault
from tests.faults.proxy import ChaosProxy
from tests.faults.soak import SERVED, STRUCK, LogLines
from tests.faults.user import PAIR
from tests.waiting import our_threads, wait_until

KEY, SECRET = "key-of-ann-0123456789", "secret-of-ann-0123456789"
ORDER_EVERY_S = 0.5  # and LBank's own limit is far above
ROTATE_S = 10.0
SETTLED_S = 120.0  # an answer that was lost is made good by a look-up; one that never comes takes 65 s
LOST = "an answer to an order is lost"
KINDS = (*STRUCK, *(name for name in SERVED if name != "maintenance"), LOST)


@dataclass
class Business:
    """What was done and seen.

    Attributes:
        faults: How often, by kind.
        orders: How many orders were sent.
        unknown: Of how many nobody knew at first what became of them.
        doubled: How many the exchange has more than once.
        wrong: The orders of which something else is believed than the exchange has.
        segments: How many segments were closed.
        changed: Those of them that changed afterwards, or do not verify.
        leaked: The lines in which key or secret came out.
    """

    faults: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    unknown: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    segments: int = 0
    changed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Give it as text."""
        yield f"faults {sum(self.faults.values())} of {len(self.faults)} kinds"
        yield f"orders {self.orders}, {self.unknown} in doubt first, doubled {self.doubled}, wrong {len(self.wrong)}"
        yield f"closed segments {self.segments}, changed {len(self.changed)}; lines with a secret {len(self.leaked)}"

    def check(self) -> None:
        """Raise `AssertionError` where a promise did not hold."""
        assert self.orders
        assert self.segments
        assert (self.doubled, self.wrong, self.changed, self.leaked) == (0, [], [], [])


class Trader:
    """Places an order now and then, on a thread of its own, and notes what it was told of each."""

    def __init__(self, client: LBankClient, seed: int) -> None:
        self.believed: dict[str, Fate] = {}
        self.unknown = 0
        self._client = client
        self._chance = random.Random(seed)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Place no more, and look up what nobody knows."""
        self._is_over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        orders = self._client.orders
        wait_until(lambda: not orders.unresolved(), SETTLED_S, "the end of every doubt")
        for client_id in self.believed:
            self.believed[client_id] = orders.resolve(client_id).fate

    def _run(self) -> None:
        number = 0
        while not self._is_over.wait(ORDER_EVERY_S):
            number += 1
            client_id = f"storm-{number}"
            try:
                if self._chance.random() < 0.7:
                    self._client.orders.buy(PAIR, value="20", client_id=client_id)
                else:
                    self._client.orders.buy(PAIR, price="30000", amount="0.001", client_id=client_id)
                self.believed[client_id] = Fate.PLACED
            except OrderUnknown:
                self.believed[client_id] = Fate.UNKNOWN
                self.unknown += 1
            except OrderRefused:
                self.believed[client_id] = Fate.REFUSED
            except LBankError:  # the rules of the pair, before anything was sent
                continue


class Keeper:
    """Collects with the same client, and watches over what is closed."""

    def __init__(self, client: LBankClient, folder: Path) -> None:
        self.folder = folder
        self.closed: dict[str, str] = {}
        self.changed: list[str] = []
        self._collector = Collector(client, FileStore(folder, rotate_s=ROTATE_S))
        self._thread = threading.Thread(target=self._collector.run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Compare every closed segment with what it was."""
        for path in segment_paths(self.folder):
            told = hashlib.sha256((self.folder / path).read_bytes()).hexdigest()
            if self.closed.setdefault(path, told) != told:
                self.changed.append(path)

    def stop(self) -> None:
        """End the run, and check the store."""
        self._collector.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.look()
        self.changed += [str(problem) for problem in verify(self.folder).problems]


def business(for_s: float, seed: int, folder: Path) -> Business:
    """Trade and collect for so long while one fault after the other happens."""
    chance, seen, log = random.Random(seed), Business(), LogLines()
    errors: list[LBankError] = []
    logging.getLogger("lbank_ws").addHandler(log)
    try:
        with Sandbox(pairs=[PAIR], seed=seed, rate_limits=False) as box:
            box.add_account(KEY, SECRET, balances={"usdt": "10000000"})
            with ChaosProxy(int(box.url.rpartition(":")[2]), seed=seed) as proxy:
                client = LBankClient(
                    url=proxy.url,
                    rest_url=box.rest_url,
                    account="live",
                    credentials=Credentials(KEY, SECRET),
                    journal=folder / "orders.jsonl",
                    record=folder / "frames.jsonl",
                    policies={"ticker": "keep", "depth": "keep"},
                    silent_after_s=2.0,
                    backoff_first_s=0.05,
                    backoff_cap_s=0.3,
                )
                client.on_error(errors.append)
                client.on_order(lambda order: None)
                client.subscribe("trade", PAIR)
                client.subscribe("depth", PAIR)
                trader, keeper = Trader(client, seed), Keeper(client, folder / "store")
                keeper.start()
                wait_until(lambda: client.state == "open", 15, "the first line")
                trader.start()
                until_s = time.monotonic() + for_s
                while time.monotonic() < until_s:
                    kind = chance.choice(KINDS)
                    _happens(kind, box, proxy)
                    seen.faults[kind] += 1
                    time.sleep(chance.uniform(0.2, 1.5))
                    keeper.look()
                proxy.plan()
                trader.stop()
                keeper.stop()
            placed = Counter(order.custom_id for order in box.account(KEY).orders)
    finally:
        logging.getLogger("lbank_ws").removeHandler(log)
    assert not our_threads()
    seen.orders, seen.unknown = len(trader.believed), trader.unknown
    seen.doubled = sum(placed.values()) - len(placed)
    seen.wrong = wrong(trader.believed, placed)
    seen.segments, seen.changed = len(keeper.closed), keeper.changed
    written = [(folder / name).read_text("utf-8") for name in ("orders.jsonl", "frames.jsonl")]
    told = [*log.lines, *map(str, errors), *(line for text in written for line in text.splitlines())]
    seen.leaked = [line for line in told if KEY in line or SECRET in line]
    return seen


def wrong(believed: dict[str, Fate], placed: Counter[str]) -> list[str]:
    """Tell of which orders something else is believed than the exchange has."""
    differing = [client_id for client_id, fate in believed.items() if (fate is Fate.PLACED) != bool(placed[client_id])]
    told = [f"{each}: {believed[each]}, and the exchange has {placed[each]}" for each in differing]
    return [*told, *(f"{each}: nobody placed it" for each in placed if placed[each] and each not in believed)]


def _happens(kind: str, box: Sandbox, proxy: ChaosProxy) -> None:
    """Let a fault begin; nobody waits for its end."""
    if kind == LOST:
        box.fault("reply_lost", for_s=1.0)
    elif kind in SERVED:
        box.fault(kind, **SERVED[kind])
    else:
        with contextlib.suppress(TimeoutError):
            proxy.strike(STRUCK[kind])
            if STRUCK[kind].for_s is None and STRUCK[kind].kind == "stall":
                time.sleep(1.0)
                proxy.strike(Fault("reset", "at once"))
