"""A screen that stays in place on a terminal; needs the extra `cli` (rich).

Decided here: how often it is drawn, what stands below it, and that events and drawing do not meet. Not decided here:
what it shows. Events come on the client's dispatch thread, `refresh` is called on the caller's.
"""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lbank_ws.channels import Channel
from lbank_ws.cli.drawing import DIM, WARN
from lbank_ws.errors import LBankError, Stale, SubscriptionRefused, UsageError

if TYPE_CHECKING:
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Status

_EVERY_S = 0.125
_SPARE_LINES = 2  # the cursor's, and the one below the screen


class Health(NamedTuple):
    """How the subscription of a pair does.

    Attributes:
        state: `live`, `stale` and so on.
        why: Why what it brought last is not the present state; empty while it is.
    """

    state: str
    why: str = ""


class Screen(Protocol):
    """What is shown."""

    channel: Channel
    pairs: tuple[str, ...]

    def show(self, event: Any, now_s: float) -> None:
        """Take an event."""

    def view(self, width: int, height: int, now_s: float, health: dict[str, Health]) -> list[Text]:
        """Give the lines of the screen, at most `height`, each at most `width` wide.

        Args:
            width: In characters.
            height: In lines.
            now_s: Unix time.
            health: That of each pair.
        """


class Stage:
    """Draws a screen eight times a second; used inside `with`."""

    def __init__(self, screen: Screen, client: LBankClient, *, has_colour: bool = True, is_box: bool = False) -> None:
        self._screen = screen
        self._client = client
        # A pipe has no size; a terminal's own counts, unless it is named.
        self._console = Console(no_color=True if not has_colour or os.environ.get("NO_COLOR") else None)
        self._live = Live(console=self._console, auto_refresh=False)
        self._lock = threading.Lock()
        self._drawn_s = 0.0
        self._trouble = ""
        self._where = "practice exchange" if is_box else ""
        client.on_status(self._note)
        client.on_error(self.fault)

    def __enter__(self) -> Stage:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refresh(is_last=True)
        self._live.stop()

    def show(self, event: Any) -> None:
        """Hand an event to the screen."""
        with self._lock:
            self._screen.show(event, time.time())

    def refresh(self, *, is_last: bool = False) -> None:
        """Draw the screen, if it is time."""
        if not is_last and time.monotonic() - self._drawn_s < _EVERY_S:
            return
        self._drawn_s = time.monotonic()
        health = self._health()
        width, height = self._console.size
        with self._lock:
            lines = self._screen.view(width, max(1, height - _SPARE_LINES), time.time(), health)
        lines.append(self._foot(width))
        self._live.update(Group(*lines), refresh=True)

    def _foot(self, width: int) -> Text:
        trouble = self._trouble
        where = self._where or next((line.host for line in self._client.lines() if line.host), "dialling")
        foot = Text(trouble or f"{where} · Ctrl-C ends it", WARN if trouble else DIM, no_wrap=True)
        foot.truncate(width, overflow="ellipsis")
        return foot

    def _health(self) -> dict[str, Health]:
        channel = self._screen.channel
        return {
            known.topic.pair: Health(str(known.state), self._why(known.topic.pair))
            for known in self._client.subscriptions()
            if known.topic.channel is channel
        }

    def _why(self, pair: str) -> str:
        try:
            if self._screen.channel is Channel.TICKER:
                self._client.last(pair)
            elif self._screen.channel is Channel.DEPTH:
                self._client.book(pair)
        except Stale as stale:
            return str(stale.why)
        except UsageError:  # left in between
            return ""
        return ""

    def _note(self, status: Status) -> None:
        """Remember what the foot says while a line is away."""
        if status.kind in ("opened", "reconnected"):
            self._trouble = ""
        elif status.kind in ("lost", "failed") and status.cause is not None:
            self._trouble = status.cause.sentence()

    def fault(self, error: LBankError) -> None:
        """Say a fault in the foot, until something else happens; above the screen it would scroll it away."""
        self._trouble = (
            f"{error.topic.split('/')[1]}: {error.advice}"
            if isinstance(error, SubscriptionRefused)
            else error.sentence()
        )
