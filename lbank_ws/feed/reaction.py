"""How a line behaves, and what its session answers with: the values between deciding and doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lbank_ws.channels import Topic
from lbank_ws.errors import ConnectionLost, LBankError, SubscriptionRefused
from lbank_ws.events import LATE_AFTER_S, Event, Gap, Kind, Status
from lbank_ws.feed.asking import Fetch
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.submissions import Outcome, Submission


@dataclass(frozen=True)
class Habits:
    """How a line behaves; lengths in seconds.

    Attributes:
        nodes: The publishing nodes whose books count, by the letters before the dash; None for all.
        late_after_s: From which age on a push is late.
        stale_after_s: No silence of a subscription shorter than this is suspicious.
        confirm_s: A subscription to trades counts as live when no error came for so long.
        ping_after_s: After so long without a frame the exchange is asked whether it lives.
        cut_after_s: After so long without a frame the line is cut.
        send_apart_s: Between two frames of ours, pongs excepted: at most ten a second, also where the network
            brings them closer together.
        ask_again_after_s: A depth that brought nothing is asked for again.
        close_s: How long a polite close may take.
    """

    nodes: str | None = "t"
    late_after_s: float = LATE_AFTER_S
    stale_after_s: float = 10.0
    confirm_s: float = 2.0
    ping_after_s: float = 15.0
    cut_after_s: float = 30.0
    send_apart_s: float = 0.11
    ask_again_after_s: float = 10.0
    close_s: float = 0.5


@dataclass
class Reaction:
    """What the shell is to do, in this order.

    Attributes:
        send: Frames for the exchange.
        statuses: What happened to the line and to its subscriptions.
        gaps: What is missing before the events.
        events: What to hand to callbacks, each with the topic that it belongs to.
        answers: What was fetched over the line itself.
        asked: What is asked for on this line, perhaps once more: its frame is among those to send.
        faults: Errors handed on instead of raised.
        settled: Orders that have come to an end, each with it.
        bad_key: The subscribe key that opens nothing any more, or None.
        hang_up: Why to cut the line, or None to keep it.
    """

    send: list[str] = field(default_factory=list)
    events: list[tuple[Topic, Event]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    answers: list[tuple[Fetch, Sequence[Event]]] = field(default_factory=list)
    asked: list[Topic] = field(default_factory=list)
    faults: list[LBankError] = field(default_factory=list)
    settled: list[tuple[Submission, Outcome]] = field(default_factory=list)
    bad_key: str | None = field(default=None, repr=False)
    hang_up: ConnectionLost | None = None


class Teller:
    """Makes the statuses of one line.

    Attributes:
        line: Its number.
        host: Who is dialled, or was last; empty before the first dial.
    """

    def __init__(self, line: int) -> None:
        self.line = line
        self.host = ""

    def status(
        self,
        kind: Kind,
        now: Moment,
        *,
        cause: ConnectionLost | SubscriptionRefused | None = None,
        topic: Topic | None = None,
        outage_s: float | None = None,
        attempts: int = 0,
    ) -> Status:
        """Give a status of this line, or of a subscription on it."""
        return Status(
            kind=kind,
            at=now.utc,
            cause=cause,
            outage_s=outage_s,
            attempts=attempts,
            line=self.line,
            host=self.host,
            topic=topic,
        )
