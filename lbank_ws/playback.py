"""A recording, called back: the client's own decoding, routing and callbacks, without a socket.

Decided here: in which order a recording is fed to a client. What a frame means, who is called back and what happens to
a callback that raises is decided where it is on a live line: the same session and the same dispatch do it.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from lbank_ws.causes import Cause
from lbank_ws.client import LBankClient
from lbank_ws.errors import ConnectionLost, LBankError, MissingExtra, UsageError
from lbank_ws.events import Status
from lbank_ws.feed.clock import Moment
from lbank_ws.feed.dispatch import Dispatch
from lbank_ws.feed.line import Line
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.quoting import quoted
from lbank_ws.sandbox.recording import Entry, Frame, Mark, Missing, NotARecording, Start, entries

log = logging.getLogger("lbank_ws")

_MANY_WAITING = 1000  # events; far fewer than the queue of the callbacks takes
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def replay(path: str | os.PathLike[str], client: LBankClient) -> None:
    """Call a client's callbacks back with everything in a recording, in order; returns after the last one.

    It takes the place of `client.run()`, and is as fast as the callbacks. Events carry the receive times of the
    recording, and statuses are those that were recorded. Where the recorded client asked for something, all callbacks
    of what came before have returned; so one that subscribes finds its data. `client.stop()` in a callback ends it.

    Args:
        path: A recording, plain or packed.
        client: One that has not run; afterwards it has.

    Raises:
        UsageError: The file is no recording, or of another dialect, or the client has run before, or the call is made
            inside a callback. A file that is damaged in its middle is played up to there.
        MissingExtra: It ends in `.zst`, and zstandard is not installed.
        GaveUp: The recorded outages are longer than the client's `give_up_after_s`.
    """
    with client.lent() as (connection, dispatch):
        dispatch.keep_all()
        player = _Player(connection, dispatch, client.dialect)
        for entry in _entries(os.fspath(path)):
            if client.state in (State.CLOSING, State.CLOSED):
                break
            player.play(entry)
        dispatch.settle()
        if client.error is not None:
            raise client.error
        refusal = connection.ask(lambda session: session.refused_for_good())
        if refusal is not None:
            raise refusal


class _Player:
    """Feeds one client. Everything here runs on the caller's thread."""

    def __init__(self, connection: Line, dispatch: Dispatch, dialect: str) -> None:
        self._dialect = dialect
        self._connection = connection
        self._dispatch = dispatch
        self._first_ns: int | None = None
        self._now = Moment(0.0, 0)
        self._open_lines: set[int] = set()  # of the recording
        connection.ask(_made_patient)

    def play(self, entry: Entry) -> None:
        """Feed one entry."""
        self._first_ns = entry.ns if self._first_ns is None else self._first_ns
        self._now = Moment(max(self._now.s, (entry.ns - self._first_ns) / 1e9), entry.ns)
        match entry:
            case Frame(is_in=True):
                if self._connection.ask(lambda session: session.state is not State.OPEN):
                    self._open()
                self._connection.received((entry.payload,), self._now)
                if self._dispatch.waiting >= _MANY_WAITING:
                    self._dispatch.settle()
            case Frame():
                self._dispatch.settle()
                self._connection.ask(self._subscribe)
            case Mark(kind="opened" | "reconnected"):
                self._open_lines.add(entry.line)
                self._open()
                self._tell(entry)
            case Mark(kind="lost" | "failed"):
                self._open_lines.discard(entry.line)
                if self._open_lines:
                    self._tell(entry)  # the client's one line stands for all of the recording, and some still live
                else:
                    self._lose(entry)
            case Start():
                self._open_lines.clear()
                if entry.dialect != self._dialect:
                    raise UsageError(
                        f"the recording speaks {entry.dialect}; replay it to LBankClient(dialect={entry.dialect!r})"
                    )
            case Missing():
                log.warning("the recording lacks %d frames here, because its disk was too slow", entry.count)

    def _open(self) -> None:
        """Let the line be open from here on, and everything that is wanted be asked for."""

        def open_line(session: Session) -> None:
            self._dial(session)
            session.opened(self._now)
            self._subscribe(session)

        self._connection.ask(open_line)

    def _lose(self, mark: Mark) -> None:
        loss = _loss(mark)

        def lose(session: Session) -> Reaction:
            if mark.kind == "failed":
                self._dial(session)
            return session.lost(self._now, loss)

        reaction = self._connection.ask(lose)
        self._tell(mark, reaction.faults)

    def _dial(self, session: Session) -> None:
        """Bring the session to where it dials, from wherever it is."""
        session.start(self._now)
        if session.state is State.WAITING:
            session.tick(Moment(max(self._now.s, session.due_s()), self._now.ns))

    def _subscribe(self, session: Session) -> None:
        """Let the session send what it wants to; it goes nowhere."""
        while session.state is State.OPEN and session.subscriptions.has_steps():
            session.tick(self._now)

    def _tell(self, mark: Mark, faults: Sequence[LBankError] = ()) -> None:
        """Call back with a status as it was recorded."""
        status = Status(
            kind=mark.kind,  # type: ignore[arg-type]  # one of those that `play` names
            at=_EPOCH + timedelta(microseconds=mark.ns // 1000),
            cause=_loss(mark) if mark.cause else None,
            outage_s=mark.outage_s,
            attempts=mark.attempts,
            line=mark.line,
        )
        self._dispatch.put(Reaction(statuses=[status], faults=list(faults)))


def _made_patient(session: Session) -> None:
    """Let a session neither pace what it sends nor measure silence: nobody is at the other end."""
    patient = replace(
        session.habits, send_apart_s=0.0, ping_after_s=math.inf, cut_after_s=math.inf, stale_after_s=math.inf
    )
    session.behave(patient)


def _loss(mark: Mark) -> ConnectionLost:
    known = {str(cause): cause for cause in Cause}
    return ConnectionLost(known.get(mark.cause, Cause.BROKEN), quoted(mark.detail), retry_after_s=mark.retry_after_s)


def _entries(path: str) -> Iterator[Entry]:
    """Read a recording; what is wrong with it becomes an error of this package."""
    try:
        yield from entries(path)
    except NotARecording as problem:
        raise UsageError(str(problem)) from problem
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ImportError:
        raise MissingExtra("zstandard", "record") from None
