"""Who holds which pair: tables of one worker's turns, and many workers with troubles of all kinds in a simulation."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.leases.sharing import Answer, Ask, Habits, Sharing
from tests.fuzzing import TIMES

PAIRS = [f"c{number}_usdt" for number in range(10)]
HABITS = Habits(12)
LASTS_S = 9.0  # how long a lock counts here


class Script:
    """An engine that says what it is told to."""

    def __init__(self, worker: str = "me", pairs: list[str] = PAIRS) -> None:
        self.sharing = Sharing(worker, pairs, HABITS)
        self.now_s = 100.0
        self.workers: set[str] = {worker}
        self.owners: dict[str, str] = {}
        self.asked: list[Ask] = []
        self.refuses: set[str] = set()

    def turn(self, *, takes_s: float = 0.0, slow: str = "", until: str = "") -> list[Ask]:
        """Carry out a turn; with `until` the question of that name has no answer."""
        self.asked = []
        turn = self.sharing.turn(self.now_s)
        ask = next(turn, None)
        while ask is not None:
            self.asked.append(ask)
            if ask.verb == until:
                turn.close()
                return self.asked
            sent_s = self.now_s
            self.now_s += takes_s if slow in ("", ask.verb) else 0.0
            granted = self._granted(ask)
            try:
                ask = turn.send(Answer(sent_s, self.now_s, granted, frozenset(self.workers), dict(self.owners)))
            except StopIteration:
                ask = None
        return self.asked

    def _granted(self, ask: Ask) -> list[str]:
        me = self.sharing.worker
        if ask.verb == "take":
            granted = [pair for pair in ask.pairs if pair not in self.owners and pair not in self.refuses]
            self.owners |= dict.fromkeys(granted, me)
            return granted
        if ask.verb == "give":
            for pair in ask.pairs:
                if self.owners.get(pair) == me:
                    del self.owners[pair]
            return []
        return [pair for pair in ask.pairs if self.owners.get(pair) == me]

    def wanted(self) -> set[str]:
        return set(self.sharing.wanted(self.now_s))


def test_a_worker_takes_nothing_in_its_first_turn_and_all_in_its_second_when_it_is_alone():
    """Workers that are started together see each other before one of them takes everything."""
    script = Script()

    assert [ask.verb for ask in script.turn()] == ["renew", "look"]
    assert script.wanted() == set()
    script.turn()

    assert script.wanted() == set(PAIRS)


@pytest.mark.parametrize(
    ("others", "share"),
    [
        ({}, 10),
        ({"b": 0}, 5),
        ({"b": 0, "c": 0}, 3),  # who comes first by name among equals has one more: b
        ({"b": 4, "c": 3}, 3),
        ({"x": 0, "y": 0}, 4),  # and here it is me
        ({f"w{number}": 1 for number in range(9)}, 1),
        ({f"w{number}": 1 for number in range(10)}, 0),
    ],
    ids=str,
)
def test_a_worker_aims_at_its_share(others, share):
    """The same for all, and one more for those who hold most: a newcomer gets some, and nothing swings to and fro."""
    script = Script()
    script.workers |= others.keys()
    script.turn()
    taken = iter(PAIRS)
    script.owners = {next(taken): worker for worker, count in others.items() for _ in range(count)}

    script.turn()

    assert len(script.wanted()) == share


def test_what_is_above_the_share_is_given_up_and_its_lock_goes_when_it_is_written_down():
    """The lock is the collector's until everything of the pair stands on its disk."""
    script = Script()
    script.turn()
    script.turn()
    script.workers.add("newcomer")
    script.now_s += 2
    before = script.sharing.wanted(script.now_s)

    script.turn()

    gone = sorted(before.keys() - script.wanted())
    assert len(gone) == 5
    assert all(script.sharing.may_write(pair, script.now_s) for pair in gone)
    assert script.owners.keys() == set(PAIRS)
    for pair in gone:
        script.sharing.left(pair, before[pair])
    assert not any(script.sharing.may_write(pair, script.now_s) for pair in gone)
    assert script.turn()[0] == Ask("give", tuple(pair for pair in before if pair in gone))
    assert script.owners.keys() == set(PAIRS) - set(gone)


def test_a_lock_counts_from_when_the_question_left_and_ends_before_it_ends_in_the_engine():
    """The engine counts from when it got the question, which is later."""
    script = Script()
    script.turn()
    script.turn()
    sent_s = script.now_s
    script.turn(takes_s=1.0)

    for pair in PAIRS:
        assert script.sharing.may_write(pair, sent_s + LASTS_S - 0.01)
        assert not script.sharing.may_write(pair, sent_s + LASTS_S)
    assert script.sharing.wanted(sent_s + LASTS_S) == {}


def test_a_question_without_an_answer_renews_nothing():
    """It may have been lost on its way there, or on its way back."""
    script = Script()
    script.turn()
    script.turn()
    taken_s = script.now_s
    script.now_s += 5

    script.turn(until="renew")

    assert not script.sharing.may_write(PAIRS[0], taken_s + LASTS_S)


def test_a_lock_that_the_engine_does_not_renew_ends_at_once():
    """It was somebody else's meanwhile, perhaps; and it can be taken anew only when its collection has ended."""
    script = Script()
    script.turn()
    script.turn()
    lost = PAIRS[3]
    epoch = script.sharing.wanted(script.now_s)[lost]
    del script.owners[lost]

    script.turn()

    assert not script.sharing.may_write(lost, script.now_s)
    assert script.wanted() == set(PAIRS) - {lost}
    script.turn()
    assert lost not in script.wanted()
    script.sharing.left(lost, epoch)
    script.turn()
    assert script.sharing.wanted(script.now_s)[lost] > epoch


def test_what_has_lapsed_is_not_renewed_by_an_answer_that_comes_too_late():
    """Its collection has stopped; going on as if nothing had happened would leave a hole that nobody tells of."""
    script = Script()
    script.turn()
    script.turn()

    script.turn(takes_s=LASTS_S + 1)

    assert script.wanted() == set()
    assert not any(script.sharing.may_write(pair, script.now_s) for pair in PAIRS)


def test_what_lapsed_while_its_renewal_was_under_way_stays_so():
    """The collector may have looked in between, and have stopped; it is told of that by another taking alone."""
    script = Script()
    script.turn()
    script.turn()
    script.now_s += LASTS_S - 0.1

    script.turn(takes_s=0.2, slow="renew")

    assert script.wanted() == set()


def test_whoever_has_one_more_keeps_it():
    """Else pairs would move whenever a name comes first."""
    script = Script()
    script.turn()
    script.owners = {pair: "ab"[number % 2] for number, pair in enumerate(PAIRS[:6])}
    script.turn()
    assert len(script.wanted()) == 4
    script.workers |= {"a", "b"}

    script.turn()

    assert len(script.wanted()) == 4


def test_a_taking_whose_answer_takes_too_long_is_given_back():
    """It counts from when it was asked for; so it is over before it was begun."""
    script = Script()
    script.turn()

    script.turn(takes_s=LASTS_S, slow="take")

    assert script.wanted() == set()
    script.turn()
    assert script.asked[0].verb == "give"


def test_many_pairs_are_taken_in_pieces_so_that_locks_are_renewed_in_time():
    """Fourteen hundred takings one behind the other may last longer than a lock."""
    script = Script(pairs=[f"c{number}_usdt" for number in range(1400)])
    script.turn()

    script.turn(takes_s=0.3)

    assert 20 <= len(script.wanted()) <= 160
    assert all(len(ask.pairs) <= 20 for ask in script.asked if ask.verb == "take")


# Many workers. The engine's clock is the truth; each worker has one of its own, which began elsewhere.


class Engine:
    """Locks and announcements, as an engine keeps them."""

    def __init__(self) -> None:
        self.locks: dict[str, tuple[str, int, float]] = {}
        self.workers: dict[str, float] = {}
        self.takings = 0

    def carry_out(self, worker: str, tokens: dict[str, int], ask: Ask, at_s: float) -> tuple[Any, ...]:
        locks = {pair: held for pair, held in self.locks.items() if held[2] > at_s}
        self.locks = locks
        ours = [pair for pair in ask.pairs if pair in locks and locks[pair][:2] == (worker, tokens.get(pair, 0))]
        if ask.verb == "renew":
            self.workers[worker] = at_s + HABITS.ttl_s
            for pair in ours:
                locks[pair] = (*locks[pair][:2], at_s + HABITS.ttl_s)
            return tuple(ours), (), {}, {}
        if ask.verb == "give":
            for pair in ours:
                del locks[pair]
            return (), (), {}, {}
        if ask.verb == "look":
            there = frozenset(name for name, until_s in self.workers.items() if until_s > at_s)
            return (), there, {pair: held[0] for pair, held in locks.items()}, {}
        new: dict[str, int] = {}
        for pair in ask.pairs:
            if pair not in locks:
                self.takings += 1
                new[pair] = self.takings
                locks[pair] = worker, self.takings, at_s + HABITS.ttl_s
        return tuple(new), (), {}, new


class Worker:
    """One that talks to the engine over a line with delays and losses, and collects what it is told to."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.ahead_s = world.dice.uniform(-1000, 1000)
        self.sharing = Sharing(name, PAIRS, HABITS)
        self.on: dict[str, int] = {}
        self.going: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        self.is_dead = self.is_frozen = self.is_cut = False
        self.turn: Generator[Ask, Answer, None] | None = None
        self.pending: tuple[float, float, Ask, bool] | None = None  # there at, back at, what, whether it was done
        self.sent_s = 0.0
        self.answer: tuple[Any, ...] = ()
        self.next_s = 0.0

    def clock(self) -> float:
        return self.world.now_s + self.ahead_s

    def owns(self) -> set[str]:
        """What it would write now."""
        return {pair for pair in self.on if self.sharing.may_write(pair, self.clock())}

    def step(self) -> None:
        if self.is_dead:
            return
        self._engine_step()
        if self.is_frozen:
            return
        self._line_step()
        wanted = self.sharing.wanted(self.clock())
        for pair, epoch in self.on.items():
            if wanted.get(pair) != epoch and pair not in self.going:
                self.going[pair] = self.world.now_s + 1.5
        for pair, due_s in list(self.going.items()):
            if self.world.now_s >= due_s:
                del self.going[pair]
                self.sharing.left(pair, self.on.pop(pair))
        for pair, epoch in wanted.items():
            self.on.setdefault(pair, epoch)

    def _engine_step(self) -> None:
        """What is under way arrives, also while the worker stands still."""
        if self.pending is not None and not self.pending[3] and self.world.now_s >= self.pending[0]:
            there_s, back_s, ask, _ = self.pending
            self.answer = self.world.engine.carry_out(self.name, self.tokens, ask, self.world.now_s)
            self.pending = there_s, back_s, ask, True

    def _line_step(self) -> None:
        if self.pending is not None:
            _, back_s, _, is_done = self.pending
            if self.world.now_s >= back_s and is_done:
                pairs, workers, owners, new = self.answer
                self.tokens |= new
                self.pending = None
                self._advance(Answer(self.sent_s, self.clock(), pairs, workers, owners))
            elif self.world.now_s - (self.sent_s - self.ahead_s) > 3:  # a question has a time limit
                self.pending = self.turn = None
            return
        if self.turn is None and self.world.now_s >= self.next_s:
            self.next_s = self.world.now_s + HABITS.every_s
            self.turn = self.sharing.turn(self.clock())
            self._advance(None)

    def _advance(self, answer: Answer | None) -> None:
        assert self.turn is not None
        try:
            ask = next(self.turn) if answer is None else self.turn.send(answer)
        except StopIteration:
            self.turn = None
            return
        dice, now_s = self.world.dice, self.world.now_s
        there_s = now_s + dice.choice(self.world.delays_s)
        back_s = there_s + dice.choice(self.world.delays_s)
        self.sent_s = self.clock()
        if self.is_cut and dice.random() < 0.9:
            # Lost on its way back, or on its way there; then it may arrive all the same, long after it was given up.
            back_s = float("inf")
            if dice.random() < 0.7:
                there_s = float("inf")
                if dice.random() < 0.5:
                    self.world.strays.append((now_s + dice.uniform(0, 20), self.name, dict(self.tokens), ask))
        self.pending = there_s, back_s, ask, False


class World:
    STEP_S = 0.1

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now_s = 0.0
        self.engine = Engine()
        self.workers: list[Worker] = []
        self.since_s = dict.fromkeys(PAIRS, 0.0)  # since when a pair is without an owner
        self.longest_s = 0.0
        self.delays_s = [0.0, 0.1, 0.5, 2.0]
        self.strays: list[tuple[float, str, dict[str, int], Ask]] = []

    def add(self) -> None:
        self.workers.append(Worker(f"w{len(self.workers)}", self))

    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.is_dead]

    def run(self, for_s: float) -> None:
        over_s = self.now_s + for_s
        while self.now_s < over_s:
            self.now_s += self.STEP_S
            for stray in [each for each in self.strays if each[0] <= self.now_s]:
                self.strays.remove(stray)
                _, worker_name, tokens, ask = stray
                self.engine.carry_out(worker_name, tokens, ask, self.now_s)
            for worker in self.dice.sample(self.workers, len(self.workers)):
                worker.step()
            owners = Counter(pair for worker in self.alive() for pair in worker.owns())
            assert all(count == 1 for count in owners.values()), f"two owners at {self.now_s}"
            for pair in PAIRS:
                if pair in owners:
                    self.longest_s = max(self.longest_s, self.now_s - self.since_s[pair])
                    self.since_s[pair] = self.now_s

    def calm(self) -> None:
        self.delays_s = [0.0, 0.1, 0.3]
        for worker in self.workers:
            worker.is_frozen = worker.is_cut = False


TROUBLES = st.lists(
    st.tuples(
        st.sampled_from(["add", "kill", "freeze", "thaw", "cut", "mend", "forget"]),
        st.integers(0, 5),
        st.floats(0.1, 20),
    ),
    max_size=12,
)


@given(st.integers(0, 2**32), st.integers(1, 4), TROUBLES)
@settings(max_examples=30 * TIMES, deadline=None)
def test_no_pair_ever_has_two_owners_and_calm_gives_everybody_his_share(seed, count, troubles):
    """Workers die, stand still, lose their line, come: never two owners, all pairs soon owned, the shares even."""
    world = World(seed)
    for _ in range(count):
        world.add()
    for what, which, for_s in troubles:
        worker = world.workers[which % len(world.workers)]
        if what == "add" and len(world.workers) < 6:
            world.add()
        elif what == "kill" and len(world.alive()) > 1:
            worker.is_dead = True
        elif what in ("freeze", "thaw"):
            worker.is_frozen = what == "freeze"
        elif what in ("cut", "mend"):
            worker.is_cut = what == "cut"
        elif what == "forget":  # one that had a lock is told that it has not
            world.engine.workers.clear()
        world.run(for_s)
    world.calm()
    world.run(30)

    assert all(world.now_s - since_s < 1 for since_s in world.since_s.values()), "a pair without an owner"
    world.run(60)
    shares = sorted(len(worker.owns()) for worker in world.alive())
    assert sum(shares) == len(PAIRS)
    assert shares[-1] - shares[0] <= 1, shares


@pytest.mark.parametrize("seed", range(5))
def test_the_pairs_of_a_dead_worker_have_an_owner_within_thirty_seconds(seed):
    """What is promised, with lines that are slow in both directions."""
    world = World(seed)
    for _ in range(3):
        world.add()
    world.delays_s = [0.0, 0.1, 0.3, 1.0]
    world.run(40)
    victim = max(world.alive(), key=lambda worker: len(worker.owns()))
    assert len(victim.owns()) >= 3
    victim.is_dead = True
    world.longest_s = 0.0

    world.run(40)

    assert world.longest_s < 30
    assert sorted(len(worker.owns()) for worker in world.alive()) == [5, 5]
