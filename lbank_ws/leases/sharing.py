"""Which pairs a worker holds, takes and gives up, among workers that share them.

Decided here: until when a lock counts, when a pair is given up, which free one is taken, how many are a fair share.
There is no socket, no thread and no clock here: a turn is a generator that yields what it asks of the engine and is
sent the answer with the moments at which the question left and the answer came. One without an answer is dropped.

Never two owners: a lock lasts for `ttl_s` in the engine from when it was taken or renewed there, which is not before
the question left. Here it counts for `margin_s` less, from when the question left. So a worker that hears nothing stops
before another one can begin, whatever became of its question.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

TTL_S = 12

_AT_ONCE = 20  # pairs of one question; so that what is held is renewed in time while many are taken


class Habits(NamedTuple):
    """How a lease is kept; lengths in seconds.

    Attributes:
        ttl_s: A worker that the engine has not heard of for so long has lost its pairs.
    """

    ttl_s: float = TTL_S

    @property
    def every_s(self) -> float:
        """How long one turn is behind the other."""
        return self.ttl_s / 6

    @property
    def margin_s(self) -> float:
        """How long before the engine a worker takes a lock for ended."""
        return self.ttl_s / 4


class Ask(NamedTuple):
    """What is asked of the engine, about these pairs.

    Attributes:
        verb: `renew` locks and announce this worker; `look` who is there and holds what; `take` or `give` locks.
        pairs: Of which pairs.
    """

    verb: Literal["renew", "look", "take", "give"]
    pairs: tuple[str, ...]


class Answer(NamedTuple):
    """What the engine says.

    Attributes:
        sent_s: When the question left.
        at_s: When the answer came.
        pairs: Of `renew` and `take`: whose locks are ours.
        workers: Of `look`: who has announced himself.
        owners: Of `look`: who holds a pair; a pair that is not here is free.
    """

    sent_s: float
    at_s: float
    pairs: Collection[str] = ()
    workers: Collection[str] = ()
    owners: Mapping[str, str] = {}


@dataclass
class _Held:
    """A lock that is ours, or was.

    Attributes:
        epoch: Which taking of this worker's it is.
        until_s: Until when it counts.
        is_leaving: The pair is not collected any more, or is about to be so.
        is_left: It is not: the lock can go.
    """

    epoch: int
    until_s: float
    is_leaving: bool = False
    is_left: bool = False


class Sharing:
    """What one worker holds. Used under the lock of whoever owns it; the moments are of one clock that never stops.

    Args:
        worker: What this one is called; no other one is called so.
        pairs: What is shared.
        habits: How it is done.
    """

    def __init__(self, worker: str, pairs: Iterable[str], habits: Habits | None = None) -> None:
        self.worker = worker
        self.habits = habits or Habits()
        # Each worker likes other pairs best; so those who look at the same moment seldom reach for the same.
        self._pairs = sorted(dict.fromkeys(pairs), key=lambda pair: _liking(worker, pair))
        self._held: dict[str, _Held] = {}
        self._epoch = 0
        self._is_known = False

    # What is asked by whoever collects.

    def wanted(self, now_s: float) -> dict[str, int]:
        """Give the pairs that are to be collected now, each with the number of its taking."""
        return {
            pair: held.epoch
            for pair, held in self._held.items()
            if not held.is_leaving and not held.is_left and held.until_s > now_s
        }

    def may_write(self, pair: str, now_s: float) -> bool:
        """Tell whether a pair is surely ours now."""
        held = self._held.get(pair)
        return held is not None and not held.is_left and held.until_s > now_s

    def left(self, pair: str, epoch: int) -> None:
        """Note that a pair is collected no more, and that all of it is written; its lock goes with the next turn."""
        held = self._held.get(pair)
        if held is not None and held.epoch == epoch:
            held.is_leaving = held.is_left = True

    def held(self) -> list[str]:
        """Give every pair whose lock may be ours, to be given back at the end."""
        return list(self._held)

    # A turn.

    def turn(self, now_s: float) -> Generator[Ask, Answer, None]:
        """Give back, renew, look, take: one turn. Each of its steps stands by itself when the next has no answer."""
        began_s = now_s
        for held in self._held.values():  # what has lapsed is not renewed: it may be somebody else's
            held.is_leaving |= held.until_s <= now_s
        if going := tuple(pair for pair, held in self._held.items() if held.is_left):
            yield Ask("give", going)
            for pair in going:
                self._held.pop(pair, None)
        ours = {pair: held.epoch for pair, held in self._held.items() if not held.is_left and held.until_s > now_s}
        answer = yield Ask("renew", tuple(ours))
        for pair, epoch in ours.items():
            self._renewed(pair, epoch, answer)
        answer = yield Ask("look", tuple(self._pairs))
        target = self._target(answer)
        staying = [pair for pair in self._pairs if pair in self._held and not self._held[pair].is_leaving]
        for pair in staying[target:]:
            self._held[pair].is_leaving = True
        # Not in the first turn: workers that were started together are to see each other first.
        free = [pair for pair in self._pairs if pair not in answer.owners and pair not in self._held]
        free = free[: max(0, target - len(staying))] if self._is_known else []
        self._is_known = True
        while free:
            some, free = free[:_AT_ONCE], free[_AT_ONCE:]
            answer = yield Ask("take", tuple(some))
            for pair in some:
                if pair in answer.pairs:
                    self._taken(pair, answer)
            if answer.at_s - began_s >= self.habits.every_s:  # what is held is to be renewed
                return

    def _renewed(self, pair: str, epoch: int, answer: Answer) -> None:
        held = self._held.get(pair)
        if held is None or held.epoch != epoch or held.until_s <= answer.at_s:
            return  # it has lapsed meanwhile, and its collection has stopped
        if pair in answer.pairs:
            held.until_s = self._until_s(answer)
        else:
            held.until_s, held.is_leaving = float("-inf"), True

    def _taken(self, pair: str, answer: Answer) -> None:
        self._epoch += 1
        until_s = self._until_s(answer)
        has_lapsed = until_s <= answer.at_s
        self._held[pair] = _Held(self._epoch, until_s, is_leaving=has_lapsed, is_left=has_lapsed)

    def _until_s(self, answer: Answer) -> float:
        return answer.sent_s + self.habits.ttl_s - self.habits.margin_s

    def _target(self, answer: Answer) -> int:
        """Give how many pairs this worker is to hold: the same for all, and one more for those who hold most."""
        counts = Counter(answer.owners[pair] for pair in self._pairs if pair in answer.owners)
        workers = {*answer.workers, self.worker}
        order = sorted(workers, key=lambda worker: (-counts[worker], worker))
        least, more = divmod(len(self._pairs), len(workers))
        return least + (order.index(self.worker) < more)


def _liking(worker: str, pair: str) -> bytes:
    return hashlib.blake2b(f"{worker}|{pair}".encode(), digest_size=8).digest()
