"""What a user of the client sees, and what must be true of it at the end of every run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from lbank_ws import Cause, ConnectionLost, Ended, Gap, LBankClient, LBankError, Status
from lbank_ws.sandbox import Sandbox
from tests.waiting import line_kinds, our_threads, wait_until

PAIR = "btc_usdt"


class User:
    """Somebody whose script calls `run()` and keeps all that callbacks are called with.

    Attributes:
        client: Theirs.
        wanted: What the exchange should hold for them, as it spells it.
        heard: How many events came, by channel.
        statuses: What happened, in order; so are `errors` and `gaps`.
        ended: What `run()` returned or raised, once it has.
    """

    def __init__(self, client: LBankClient, *, with_book: bool = False) -> None:
        self.client = client
        self.wanted = {f"ticker/{PAIR}", f"trade/{PAIR}"} | ({f"depth/{PAIR}/20"} if with_book else set())
        self.heard: dict[str, int] = {}
        self.statuses: list[Status] = []
        self.errors: list[LBankError] = []
        self.gaps: list[Gap] = []
        self.ended: Ended | BaseException | None = None
        client.on_ticker(PAIR)(self._hear)
        client.on_trade(PAIR)(self._hear)
        if with_book:
            client.on_depth(PAIR, levels=20)(self._hear)
        client.on_status(self.statuses.append)
        client.on_error(self.errors.append)
        client.on_gap(self.gaps.append)
        self._thread = threading.Thread(target=self._run, name="user", daemon=True)

    def __enter__(self) -> User:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> float:
        """Stop, check that all has ended as promised, and tell how long it took, in seconds."""
        began_s = time.monotonic()
        assert self.client.stop()
        took_s = time.monotonic() - began_s
        self._thread.join(5)
        assert self.ended is Ended.STOPPED, self.ended
        assert not our_threads()
        return took_s

    def hears_everything(self) -> Callable[[], bool]:
        """Give a question: has something come of each channel since now?"""
        before = dict(self.heard)
        channels = {wanted.split("/")[0] for wanted in self.wanted}
        return lambda: all(self.heard.get(channel, 0) > before.get(channel, 0) for channel in channels)

    def is_well(self, box: Sandbox) -> bool:
        """Tell whether the exchange holds what is wanted, once, and the client says so itself."""
        if not all(line.state == "open" for line in self.client.lines()):
            return False
        try:
            held = [each for view in box.visitors() for each in view.subscriptions]
        except TimeoutError:  # the exchange is busy, and is asked again
            return False
        return sorted(held) == sorted(self.wanted)

    def wait_until_well(self, box: Sandbox, within_s: float) -> float:
        """Wait until everything wanted is held and heard; tell how long that took, in seconds."""
        began_s = time.monotonic()
        wait_until(lambda: self.is_well(box), within_s, f"all that is wanted, {self.told()}")
        wait_until(self.hears_everything(), within_s, f"data of all that is wanted, {self.told()}")
        return time.monotonic() - began_s

    def told(self) -> list[str]:
        """Give what was told of lines, in words: `opened`, `lost broken`, `reconnected`."""
        return [
            f"{status.kind} {status.cause.cause}" if isinstance(status.cause, ConnectionLost) else status.kind
            for status in self.statuses
            if status.topic is None
        ]

    def causes(self, kind: str) -> list[Cause]:
        """Give why lines were lost, or dials failed."""
        return [
            status.cause.cause
            for status in self.statuses
            if status.kind == kind and status.topic is None and isinstance(status.cause, ConnectionLost)
        ]

    def check_story(self) -> None:
        """Check that statuses tell a story that can be: each line opens once, and is back once after each loss."""
        for number in {status.line for status in self.statuses}:
            kinds = [kind for kind in line_kinds(self.statuses, number) if kind != "moved"]
            known = "before"
            for kind in kinds:
                assert kind in _NEXT[known], (number, kinds)
                known = kind
        for gap in self.gaps:
            assert gap.ended_at is None or gap.ended_at >= gap.started_at

    def _hear(self, event: Any) -> None:
        self.heard[str(event.channel)] = self.heard.get(str(event.channel), 0) + 1

    def _run(self) -> None:
        try:
            self.ended = self.client.run()
        except BaseException as error:  # whatever ended it is looked at by the test
            self.ended = error


_NEXT = {
    "before": ("opened", "failed"),
    "opened": ("lost",),
    "reconnected": ("lost",),
    "lost": ("failed", "reconnected"),
    "failed": ("failed", "opened", "reconnected"),
}
