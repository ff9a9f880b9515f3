"""The states of a line, and what leads from one to the next. The diagram in docs/design.md is drawn from `MOVES`."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """The state of a line."""

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSING = "closing"
    CLOSED = "closed"

    def __str__(self) -> str:
        return str(self.value)


class Signal(str, Enum):
    """What changes the state of a line."""

    START = "start"
    OPENED = "opened"
    LOST = "lost"
    RETRY = "retry"
    GIVE_UP = "give up"
    STOP = "stop"
    TIME = "time"


MOVES: dict[State, dict[Signal, State]] = {
    State.IDLE: {Signal.START: State.CONNECTING, Signal.STOP: State.CLOSED},
    State.CONNECTING: {Signal.OPENED: State.OPEN, Signal.LOST: State.WAITING, Signal.STOP: State.CLOSED},
    State.OPEN: {Signal.LOST: State.WAITING, Signal.STOP: State.CLOSING},
    State.WAITING: {Signal.RETRY: State.CONNECTING, Signal.GIVE_UP: State.CLOSED, Signal.STOP: State.CLOSED},
    State.CLOSING: {Signal.LOST: State.CLOSED, Signal.TIME: State.CLOSED},
    State.CLOSED: {},
}
