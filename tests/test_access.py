"""The subscribe key's life: when it is fetched, refreshed, given up; who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from lbank_ws.errors import RestFailed
from lbank_ws.trading.access import LIFE_S, LONGEST_WAIT_S, REFRESH_S, REPLACE_S, Access, Call, KeyKeeper
from lbank_ws.trading_errors import CredentialsRefused, RestRefused

FIRST, SECOND = "a" * 64, "b" * 64
DAY_S = 86_400.0
CREATE = Call("create")
SILENCE = RestFailed("/v2/subscribe/get_key.do", "no whole answer within 3 s")
NO = RestRefused("/v2/subscribe/get_key.do", "busy", 10004)
BAD_SIGNATURE = CredentialsRefused("/v2/subscribe/get_key.do", "Invalid signature", 10007, "check the secret")


def living(key: str = FIRST, at_s: float = 0.0) -> Access:
    """Give an access whose key was created then."""
    access = Access()
    assert access.call(at_s, at_s) == CREATE
    access.created(key, at_s, at_s)
    return access


def due_s(access: Access, since_s: float, until_s: float = DAY_S) -> tuple[float, Call] | None:
    """Give when the next call is due, in whole seconds, and which."""
    s = since_s
    while s <= until_s:
        if (call := access.call(s, s)) is not None:
            return s, call
        s += 1
    return None


def test_a_key_is_refreshed_at_half_of_its_life():
    """Half an hour is left for it to go wrong in."""
    assert due_s(living(), 0) == (REFRESH_S, Call("refresh", FIRST))


def test_a_refreshed_key_lives_from_when_that_was_asked():
    """The answer may take seconds; the exchange counts from somewhere between."""
    access = living()
    access.refreshed(REFRESH_S, REFRESH_S)

    assert due_s(access, REFRESH_S) == (2 * REFRESH_S, Call("refresh", FIRST))


def test_a_computer_that_slept_refreshes_by_the_wall_clock():
    """Its monotonic clock did not count, and the exchange's did."""
    access = living()

    assert access.call(10.0, REFRESH_S) == Call("refresh", FIRST)
    assert access.call(REFRESH_S, -DAY_S) == Call("refresh", FIRST)  # a wall clock that was set back hides nothing
    assert access.call(10.0, LIFE_S) == CREATE


@pytest.mark.parametrize("failure", [NO, BAD_SIGNATURE])
def test_a_refresh_that_is_refused_means_a_new_key_at_once(failure: RestFailed):
    """Whatever the number: another key is the cure, and the next refusal tells whether it is not."""
    access = living()
    _, call = due_s(access, 0) or (0, CREATE)

    assert access.failed(call, failure, REFRESH_S) is False
    assert (access.key, due_s(access, REFRESH_S)) == (None, (REFRESH_S, CREATE))


def test_a_refresh_without_an_answer_is_tried_again_while_the_key_lives():
    """A cable that was out for a minute is no reason to throw a good key away."""
    access = living()
    calls = []
    now_s = 0.0
    while (found := due_s(access, now_s)) is not None and found[1].kind == "refresh":
        now_s, call = found
        calls.append(now_s)
        access.failed(call, SILENCE, now_s)

    waits = [later - earlier for earlier, later in pairwise(calls)]
    assert found == (REPLACE_S, CREATE)
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert set(waits[6:]) == {LONGEST_WAIT_S}
    assert access.key is None


@pytest.mark.parametrize("failure", [SILENCE, NO])
def test_a_key_that_cannot_be_had_is_asked_for_later_and_later(failure: RestFailed):
    """An exchange in trouble is not helped by a call a second."""
    access = Access()
    waits = []
    now_s = 0.0
    for _ in range(9):
        found = due_s(access, now_s)
        assert found is not None
        assert found[1] == CREATE
        waits.append(found[0] - now_s)
        now_s = found[0]
        access.failed(CREATE, failure, now_s)

    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_refusal_for_good_is_not_tried_again():
    """The same key, signed with the same secret, from the same address, would be refused again."""
    access = Access()

    assert access.failed(CREATE, BAD_SIGNATURE, 0) is True
    assert due_s(access, 0) is None


def test_a_key_that_the_socket_refuses_is_replaced_at_once():
    """Nothing is pushed with it any more."""
    access = living()

    assert access.refused(FIRST, 600) is True
    assert (access.key, due_s(access, 600)) == (None, (600, CREATE))


def test_young_keys_that_the_socket_refuses_are_replaced_later_and_later():
    """A socket that takes no key at all would otherwise cost a call a second for ever."""
    access = Access()
    waits = []
    now_s = 0.0
    for number in range(5):
        found = due_s(access, now_s)
        assert found is not None
        waits.append(found[0] - now_s)
        now_s = found[0]
        access.created(str(number), now_s, now_s)
        access.refused(str(number), now_s)

    assert waits == [0, 1, 2, 4, 8]


def test_an_old_key_that_is_refused_late_changes_nothing():
    """Two lines say so, and the second one speaks of the key before."""
    access = living()
    access.refused(FIRST, 600)
    access.created(SECOND, 601, 601)

    assert access.refused(FIRST, 602) is False
    assert access.key == SECOND


def test_the_key_is_in_no_repr():
    """It opens the account's streams to whoever reads the log."""
    access = living()
    shown = f"{access!r} {access} {due_s(access, 0)!r}"

    assert FIRST not in shown
    assert FIRST[:8] not in shown


# The half that calls.


class Exchange:
    """Answers calls about keys, as it was told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: list[Exception | None] = []
        self.keys = iter([FIRST, SECOND])

    def new_key(self) -> str:
        self._answer("create")
        return next(self.keys)

    def refresh_key(self, key: str) -> None:
        self._answer(f"refresh {key[0]}")

    def close_key(self, key: str) -> None:
        self._answer(f"destroy {key[0]}")

    def close(self) -> None:
        self.calls.append("close")

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        failure = self.answers.pop(0) if self.answers else None
        if failure is not None:
            raise failure


def keeper(exchange: Exchange, is_wanted: Callable[[], bool] = lambda: True) -> tuple[KeyKeeper, list[object]]:
    """Give a keeper, and what it tells."""
    told: list[object] = []
    made = KeyKeeper(
        exchange,
        is_wanted,
        lambda key: told.append(key and key[0]),
        lambda code, *words: told.append((code, *words)),
        lambda failure: told.append(type(failure).__name__),
        lambda: exchange,
    )
    return made, told


def test_no_key_is_fetched_that_nobody_needs():
    """Most clients have no account."""
    exchange = Exchange()
    keeper(exchange, lambda: False)[0].errand(0, 0)

    assert exchange.calls == []


def test_however_often_it_is_asked_one_key_is_fetched():
    """Two lines need it at once, and two calls at once race."""
    exchange = Exchange()
    made, told = keeper(exchange)

    for s in range(100):
        made.errand(s, s)

    assert (exchange.calls, told) == (["create"], ["a"])


def test_a_refresh_that_is_refused_takes_the_key_away_and_gives_another():
    """Subscriptions wait in between, and are asked for again then."""
    exchange = Exchange()
    exchange.answers = [None, RestFailed("/v2/subscribe/refresh_key.do", "no", 10003)]
    made, told = keeper(exchange)

    for s in (0, REFRESH_S, REFRESH_S + 1):
        made.errand(s, s)

    assert exchange.calls == ["create", "refresh a", "create"]
    assert told == ["a", None, "b"]


def test_a_refusal_for_good_is_told_once():
    """The subscriptions are refused then, and the exchange is left alone."""
    exchange = Exchange()
    exchange.answers = [BAD_SIGNATURE] * 3
    made, told = keeper(exchange)

    for s in range(200):
        made.errand(s, s)

    assert exchange.calls == ["create"]
    assert told == [(10007, "Invalid signature", "check the secret")]


def test_of_several_failures_in_a_row_the_first_is_told():
    """A fault a second would hide all others."""
    exchange = Exchange()
    exchange.answers = [SILENCE] * 5
    made, told = keeper(exchange)

    for s in range(200):
        made.errand(s, s)

    assert (len(exchange.calls), told) == (6, ["RestFailed", "a"])


@pytest.mark.parametrize("answer", [None, RestFailed("/v2/subscribe/destroy_key.do", "gone", 10003)])
def test_the_key_is_destroyed_at_the_end(answer: Exception | None):
    """An hour is long for a key that nobody uses; when it cannot be, the end comes all the same."""
    exchange = Exchange()
    made, _ = keeper(exchange)
    made.errand(0, 0)
    exchange.answers = [answer]

    made.close()

    assert exchange.calls == ["create", "destroy a", "close"]


def test_no_key_of_a_keeper_reaches_the_log(caplog: pytest.LogCaptureFixture):
    """The exchange may echo it in a refusal; the log masks it all the same."""
    caplog.set_level("DEBUG")
    exchange = Exchange()
    exchange.answers = [None, RestFailed("/x", f"bad {FIRST}", 10003)]
    made, _ = keeper(exchange)

    made.errand(0, 0)
    exchange.answers = [RestFailed("/x", f"bad {FIRST}", 10003)]
    made.errand(REFRESH_S, REFRESH_S)

    assert "could not be refreshed" in caplog.text
    assert FIRST not in caplog.text
