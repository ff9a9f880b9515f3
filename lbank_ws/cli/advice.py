"""What follows from what `lbank-ws doctor` found: one sentence, and an exit code. A pure function of the findings."""

from __future__ import annotations

from collections.abc import Sequence

from lbank_ws.cli.exits import Exit
from lbank_ws.cli.keys import Keys
from lbank_ws.cli.probing import Probe

CLOCK_S = 1.0  # the exchange refuses signed calls from so far in its future, and ages mislead
_OFFLINE = "lbank-ws watch btc_usdt --sandbox"
_STATUSES = {
    "401": "the server wants a log-in: check the address",
    "403": "the exchange does not serve the place you dial from; another network may help",
    "404": "nobody listens at this path: check the address, which ends in /ws/V2/ with a slash",
    "429": "the exchange finds that you dial too often: end other clients and wait a few minutes",
    "407": "a proxy wants a log-in: name it with proxy=",
    "451": "the exchange does not serve the place you dial from",
}
_STEPS = {
    "dns": "the exchange's name leads nowhere: check DNS",
    "tcp": "the name is known, and nothing lets us connect: check firewall and proxy; name a proxy with proxy=",
    "tls": "no trusted TLS: check this computer's clock; behind a company's own authority pass ca_file=",
    "upgrade": "something answers that does not speak WebSocket: a proxy, a login page, or a wrong address",
    "push": "the line opens and brings nothing: the exchange may be down for maintenance; try again in a few minutes",
}


def advice(lines: Sequence[Probe], ahead_s: float | None, keys: Keys | None = None) -> tuple[str, Exit]:
    """Give what to do, in one sentence, and the exit code: 0 when data comes over at least one line.

    Args:
        lines: What was tried.
        ahead_s: By how much this computer's clock is ahead of the exchange's; None where that is not known.
        keys: What is known of the credentials.
    """
    well = [line for line in lines if line.is_well]
    if not well:
        return _nothing(lines), Exit.NO_DATA
    if ahead_s is not None and abs(ahead_s) > CLOCK_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"Data comes, but this computer's clock is {abs(ahead_s):.1f} s {way} the exchange's: let it set its clock "
            "by the network, or signed calls are refused.",
            Exit.DONE,
        )
    if keys is not None and keys.problem:
        return (
            f"Data comes, but the credentials cannot be used: {keys.problem.rpartition('; ')[2]}.",
            Exit.NO_PERMISSION,
        )
    if len(well) < len(lines):
        kind = f'dialect="{well[0].dialect}"'
        return (
            f"Data comes over {well[0].host} with {kind}; the client goes there by itself when another fails.",
            Exit.DONE,
        )
    return "All is well: lbank-ws watch btc_usdt.", Exit.DONE


def _nothing(lines: Sequence[Probe]) -> str:
    """Give the advice for the step that the best line failed at."""
    order = list(_STEPS)
    failed = [step for line in lines if (step := line.problem) is not None]
    if not failed:
        return f"Nothing answered in time: check the network; without one, try {_OFFLINE}."
    if all(step.name == "dns" for step in failed):
        return f"There is no network here, or no DNS; without one, try {_OFFLINE}."
    best = max(failed, key=lambda step: order.index(step.name))
    words = best.problem.split()
    if best.name == "upgrade" and words[:1] == ["HTTP"] and words[1:2]:
        return f"No data comes: {_STATUSES.get(words[1], _STEPS['upgrade'])}."
    return f"No data comes: {_STEPS[best.name]}."
