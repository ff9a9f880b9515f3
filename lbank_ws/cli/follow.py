"""What `watch`, `book`, `trades` and `candles` have in common: show events until it is enough.

Decided here: when such a command ends, what it says then, and its exit code. Not decided here: what an event looks
like.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.arguments import left_s
from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit, Signals
from lbank_ws.cli.output import Form, Row, form_of, writer
from lbank_ws.cli.telling import say, three_lines

if TYPE_CHECKING:
    from lbank_ws.cli.stage import Screen
    from lbank_ws.client import LBankClient
    from lbank_ws.events import Status


@dataclass(frozen=True)
class Following:
    """What a command follows, and how it is shown.

    Attributes:
        noun: What one event is called: `price`.
        channel: Theirs; other events are shown and not counted.
        row: Makes an event the columns of JSON and CSV.
        line: Makes it a line for people.
        subscribe: Lets the client call back with the events.
        screen: Makes the screen, of what may be fetched first.
        needs: The packages that the screen is drawn with.
    """

    noun: str
    channel: str
    row: Callable[[Any], Row]
    line: Callable[[Any], str]
    subscribe: Callable[[LBankClient, Callable[[Any], None]], object]
    screen: Callable[[Mapping[str, Any]], Screen]
    needs: tuple[str, ...] = ("rich",)


def follow(args: argparse.Namespace, following: Following) -> int:
    """Show events until the arguments, a signal or the reader end it; give the exit code."""
    from lbank_ws.client import LBankClient

    with ExitStack() as stack:
        addresses = stack.enter_context(addresses_of(args))
        signals = stack.enter_context(Signals())
        client = LBankClient(dialect=args.dialect, **addresses)
        refresh: Callable[[], object] = lambda: None  # noqa: E731 - a name for what is chosen below
        form = form_of(args, *following.needs)
        if form is Form.SCREEN:
            from lbank_ws.cli.stage import Stage

            screen = following.screen(addresses)
            stage = stack.enter_context(Stage(screen, client, has_colour=not args.no_color, is_box=args.sandbox))
            show: Callable[[Any], None] = stage.show
            refresh = stage.refresh
        else:
            show = writer(form, following.row, following.line)
        shown = _Shown(show, following.channel, args.count)
        last = _LastTrouble()
        following.subscribe(client, shown.show)
        client.on_status(last.note)

        def is_enough() -> bool:
            refresh()
            return signals.came() or shown.is_done

        began_s = time.monotonic()
        client.run(for_s=left_s(args), until=is_enough)
        if shown.broken is not None:
            raise shown.broken
        if signals.exit is not None:
            return signals.exit
        if shown.count:
            return Exit.DONE
        stack.close()  # the screen first, so that the lines stand below it
        what = f"no {following.noun} came within {time.monotonic() - began_s:.0f} s"
        why = last.words or "the line is open, and nothing was sent; a quiet pair may need longer"
        say(three_lines(f"lbank-ws {args.verb}", what, why, "lbank-ws doctor tells where it breaks"))
        return Exit.NO_DATA


class _LastTrouble:
    """Remembers why there is no line."""

    def __init__(self) -> None:
        self.words = ""

    def note(self, status: Status) -> None:
        if status.kind in ("opened", "reconnected"):
            self.words = ""
        elif status.cause is not None:
            self.words = status.cause.sentence()


class _Shown:
    """Shows events until enough are shown, or nobody reads them any more."""

    def __init__(self, show: Callable[[Any], None], channel: str, enough: int | None) -> None:
        self._show = show
        self._channel = channel
        self._enough = enough
        self.count = 0
        self.broken: BrokenPipeError | None = None

    @property
    def is_done(self) -> bool:
        return self.broken is not None or (self._enough is not None and self.count >= self._enough)

    def show(self, event: Any) -> None:
        if self.is_done:
            return
        try:
            self._show(event)
        except BrokenPipeError as error:
            self.broken = error
            return
        self.count += event.channel == self._channel
