"""Autobahn's cases for WebSocket clients, over both ways of reading; not part of the tests, for it needs Python 2.7.

    python2.7 -m virtualenv build/autobahn
    build/autobahn/bin/pip install autobahn==0.10.9 txaio==2.1.0 twisted==20.3.0 klein==17.10.0 werkzeug==1.0.1 \
        jinja2==2.11.3 markupsafe==1.1.1 'zope.interface<6' 'pyOpenSSL<22' 'cryptography<3.4' 'service_identity<22' \
        unittest2==1.1.0
    build/autobahn/bin/pip install --no-deps autobahntestsuite==0.8.2
    python -m tests.autobahn build/autobahn/bin/wstest

Text alone is echoed, because the exchange sends nothing else. It fails when a case does not end the same in bulk and
frame by frame, or when one fails that does not exceed a limit of ours.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import websocket

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import SystemClock, Waker
from lbank_ws.feed.connection import Connection
from lbank_ws.feed.dial import Dialler
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.stream import Limits, Stream
from tests.waiting import wait_until

CASES = ["1.1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.*", "9.3.*", "9.5.*", "9.7.*", "10.*"]
# Messages of 4 MiB and more, in one frame or in many, are over the budget of a message; a close frame whose reason is
# no UTF-8 is answered with another code than the suite expects.
EXPECTED = {"7.5.1", "9.1.4", "9.1.5", "9.1.6", *(f"9.3.{number}" for number in range(1, 10))}
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
CASE_S = 20.0
CLOCK = SystemClock()


class Echo:
    """Sends back every text message, and ends the line where one is no text."""

    close_s = 0.5

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._until_s = CLOCK.now().s + CASE_S

    def opened(self) -> Reaction:
        return Reaction()

    def received(self, texts: Sequence[bytes], /) -> Reaction:
        reaction = Reaction()
        try:
            reaction.send += [text.decode() for text in texts]
        except UnicodeDecodeError:
            reaction.hang_up = ConnectionLost(Cause.BROKEN, "no UTF-8")
        self.heard += reaction.send
        return reaction

    def sent(self, frame: str, /) -> None:
        pass

    def ticked(self) -> Reaction:
        return Reaction()

    def until_s(self) -> float:
        return self._until_s

    def is_open(self) -> bool:
        return CLOCK.now().s < self._until_s


def lived(url: str) -> Echo:
    """Live one connection."""
    echo, waker, limits = Echo(), Waker(), Limits()
    waker.open()
    sock = Dialler(None, None).dial(url, clock=CLOCK, waker=waker, limits=limits, is_stopping=lambda: False)
    stream = Stream(sock, CLOCK, waker, limits, lambda: False)
    try:
        Connection(url, stream, echo).live()
    finally:
        stream.close()
        waker.close()
    return echo


def count_of(server: str) -> int:
    """Ask how many cases there are; 0 while the server is not up."""
    try:
        return int(lived(f"{server}/getCaseCount").heard[0])
    except (ConnectionLost, IndexError):
        return 0


def main() -> int:
    """Run every case over both ways, and compare."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("wstest", help="the suite's program")
    command.add_argument("--port", type=int, default=9001)
    args = command.parse_args()
    logging.disable(logging.CRITICAL)
    server, known = f"ws://127.0.0.1:{args.port}", websocket.__version__
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.json"
        spec.write_text(json.dumps({"url": server, "outdir": folder, "cases": CASES}), encoding="utf-8")
        suite = subprocess.Popen(
            [args.wstest, "-m", "fuzzingserver", "-s", str(spec)], stdout=subprocess.DEVNULL, cwd=folder
        )
        try:
            wait_until(lambda: count_of(server) > 0, 20, "the suite")
            for way, version in (("bulk", known), ("single", "0")):
                websocket.__version__ = version
                for number in range(1, count_of(server) + 1):
                    lived(f"{server}/runCase?case={number}&agent={way}")
                lived(f"{server}/updateReports?agent={way}")
        finally:
            suite.kill()
            suite.wait(10)
        found = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
    return compared(found["bulk"], found["single"])


def compared(bulk: dict[str, dict[str, str]], single: dict[str, dict[str, str]]) -> int:
    """Tell how they ended; 0 when as expected."""
    ends = {case: (told["behavior"], told["behaviorClose"]) for case, told in bulk.items()}
    others = {case: (told["behavior"], told["behaviorClose"]) for case, told in single.items()}
    failed = {case for case, (behaviour, _) in ends.items() if behaviour not in GOOD}
    print(len(ends), "cases:", dict(Counter(behaviour for behaviour, _ in ends.values())))
    print("failed:", *sorted(failed))
    print("not the same both ways:", *sorted(case for case in ends if ends[case] != others.get(case)))
    return 0 if ends == others and failed <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
