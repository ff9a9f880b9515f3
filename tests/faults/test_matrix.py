"""Every cause in every phase of a connection: what the user is told, and that all is as before afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lbank_ws import Cause, LBankClient
from lbank_ws.sandbox import Sandbox
from tests.faults.passage import DAMAGING, ENDING, KINDS, Fault, Kind, Phase
from tests.faults.proxy import ChaosProxy
from tests.faults.user import User
from tests.waiting import open_sockets, wait_until

pytestmark = pytest.mark.slow

BACK_WITHIN_S = 5.0  # of the end of a fault; ten when another one follows
LASTS_S = 1.5
BROKEN = {Cause.BROKEN}
# One byte more or less may be read as anything: another length, another opcode, a frame that never ends.
SENSELESS = {Cause.BROKEN, Cause.TOO_LARGE, Cause.STALLED, Cause.SILENT, Cause.CLOSED}
NOTHING: set[Cause] = set()

# What is told of the line; of a damaged one it may be nothing, when only one message was hurt.
EXPECTED: dict[Phase, dict[str, set[Cause]]] = {
    "dial": {"ending": {Cause.BROKEN, Cause.UNREACHABLE}, "stall": {Cause.STALLED}},  # as the reset is early or late
    "head": {"ending": BROKEN, "stall": {Cause.STALLED}, "damaging": {Cause.HANDSHAKE}},
    "first": {"ending": BROKEN, "stall": {Cause.SILENT}, "damaging": SENSELESS},
    "frame": {"ending": BROKEN, "stall": {Cause.STALLED}, "damaging": SENSELESS},
    "stream": {"ending": BROKEN, "stall": {Cause.SILENT}, "damaging": SENSELESS},
}


def expected(kind: Kind, phase: Phase) -> set[Cause]:
    """Give the causes that may be told."""
    group = "ending" if kind in ENDING else "damaging" if kind in DAMAGING else kind
    return EXPECTED[phase].get(group, NOTHING)


def fault(kind: Kind, phase: Phase, *, after_frames: int = 0) -> Fault:
    """Give a fault with what its kind needs."""
    for_s = None if kind in ENDING or kind == "stall" or kind in DAMAGING else LASTS_S
    return Fault(kind, phase, for_s, of=4000 if kind == "throttle" else 7, after_frames=after_frames)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(pairs=["btc_usdt"], speed=20) as box:
        yield box


@pytest.fixture
def box(running: Sandbox) -> Sandbox:
    """One box for all; nobody of an earlier test is left in it."""
    wait_until(lambda: not running.visitors(), what="the end of older lines")
    return running


@pytest.fixture
def proxy(box: Sandbox) -> Iterator[ChaosProxy]:
    with ChaosProxy(int(box.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def user(proxy: ChaosProxy, make_client: Callable[..., LBankClient]) -> Callable[..., User]:
    """Give a maker of users behind the proxy."""
    return lambda **options: User(make_client(proxy.url, silent_after_s=1.0, **options))


# A fault at accepting is one in the handshake, as far as bytes go: there are none to delay or to damage.
DIALLING = [(kind, "dial") for kind in (*ENDING, "stall")]
STARTING = [(kind, phase) for phase in ("head", "first") for kind in KINDS]
RUNNING = [(kind, phase) for phase in ("frame", "stream") for kind in KINDS]


@pytest.mark.parametrize(("kind", "phase"), [*DIALLING, *STARTING], ids=str)
def test_first_connection_meets_a_fault(user, proxy, box, kind, phase):
    """A script that is started while the network is ill must come up by itself."""
    proxy.plan(fault(kind, phase))
    with user() as sufferer:
        causes = expected(kind, phase)
        if causes:
            told = "failed" if phase in ("dial", "head") else "lost"
            wait_until(lambda: sufferer.causes(told), 8, "the loss")
            assert set(sufferer.causes(told)) <= causes
        sufferer.wait_until_well(box, BACK_WITHIN_S + LASTS_S)
        sufferer.check_story()
        assert proxy.connections == (2 if causes else 1)


@pytest.mark.parametrize(("kind", "phase"), RUNNING, ids=str)
def test_line_that_is_well_meets_a_fault(user, proxy, box, kind, phase):
    """What was promised when it worked is promised when it has been hurt."""
    with user() as sufferer:
        sufferer.wait_until_well(box, BACK_WITHIN_S)
        sockets = open_sockets()

        proxy.strike(fault(kind, phase, after_frames=2))

        wait_until(lambda: proxy.deeds, what="the fault")
        causes = expected(kind, phase)
        if causes and kind not in DAMAGING:
            wait_until(lambda: sufferer.causes("lost"), 8, "the loss")
        sufferer.wait_until_well(box, 8 + BACK_WITHIN_S if kind in DAMAGING else BACK_WITHIN_S + LASTS_S)
        assert set(sufferer.causes("lost")) <= causes
        assert sufferer.causes("failed") == []
        sufferer.check_story()
        wait_until(lambda: open_sockets() <= sockets, what="the end of old sockets")


@pytest.mark.parametrize("kind", KINDS)
def test_fault_meets_a_line_that_comes_back(user, proxy, box, kind):
    """Two faults at once: the dial after a loss is hurt as well, and then the network is away for a moment."""
    with user(backoff_first_s=0.3, backoff_cap_s=0.3) as sufferer:
        sufferer.wait_until_well(box, BACK_WITHIN_S)
        proxy.plan(fault(kind, "head"))

        proxy.strike(Fault("reset", "at once"))
        wait_until(lambda: sufferer.causes("lost"), what="the loss")
        if kind in ENDING:
            wait_until(lambda: sufferer.causes("failed"), what="the failure")
        wait_until(lambda: len(proxy.deeds) >= 2, what="the second fault")
        proxy.away()
        wait_until(lambda: Cause.UNREACHABLE in sufferer.causes("failed"), 8, "a refused dial")
        proxy.back()

        sufferer.wait_until_well(box, 2 * BACK_WITHIN_S)
        assert sufferer.causes("lost")[0] is Cause.BROKEN
        assert "reconnected" in sufferer.told()
        sufferer.check_story()


@pytest.mark.parametrize("kind", KINDS)
def test_stop_on_a_line_that_is_hurt_ends_at_once(user, proxy, box, kind):
    """The goodbye may be lost, held up or spoilt; nobody waits for it for long, and nobody dials again."""
    with user() as sufferer:
        sufferer.wait_until_well(box, BACK_WITHIN_S)
        proxy.strike(fault(kind, "frame" if kind in DAMAGING else "at once"))

        took_s = sufferer.stop()

        assert took_s < 1
        wait_until(lambda: proxy.open == 0, what="the end of the connection")
        assert proxy.connections <= 2  # an ending kind may have been faster than the stop


@pytest.mark.parametrize("kind", KINDS)
def test_stop_in_a_connection_that_is_hurt_from_the_start_ends_at_once(user, proxy, kind):
    """The same while hands are shaken."""
    proxy.every(fault(kind, "head"))
    with user() as sufferer:
        wait_until(lambda: proxy.deeds, what="the fault")

        took_s = sufferer.stop()

        assert took_s < 1
        wait_until(lambda: proxy.open == 0, what="the end of the connection")


@pytest.mark.parametrize("kind", [*ENDING, "stall"])
def test_what_is_wanted_changes_while_the_line_waits(user, proxy, box, kind):
    """Whoever subscribes or leaves between two dials gets what they want, not what they wanted."""
    with user(backoff_first_s=0.3, backoff_cap_s=0.3) as sufferer:
        sufferer.wait_until_well(box, BACK_WITHIN_S)
        proxy.away()
        wait_until(lambda: "failed unreachable" in sufferer.told(), what="a refused dial")

        sufferer.client.unsubscribe("ticker", "btc_usdt")
        sufferer.client.subscribe("kline", "btc_usdt", interval="1min")
        sufferer.wanted = {"trade/btc_usdt", "kline/btc_usdt/1min"}
        proxy.plan(fault(kind, "first"))
        proxy.back()

        wait_until(lambda: sufferer.is_well(box), 2 * BACK_WITHIN_S, "what is wanted now")
        sufferer.check_story()
