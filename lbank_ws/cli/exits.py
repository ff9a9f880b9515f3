"""Exit codes, and how a command is told to end."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from enum import IntEnum
from types import FrameType, TracebackType

from lbank_ws.errors import GaveUp, LBankError, LoginRefused, Refused, RestFailed, Stale
from lbank_ws.storage_errors import (
    LeaseFailed,
    RecordingBusy,
    RecordingFailed,
    SinkFailed,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
)
from lbank_ws.trading_errors import CredentialsRefused, JournalBusy, JournalFailed, OrdersStillOpen, OrderUnknown


class Exit(IntEnum):
    """What the exit code of a command means."""

    DONE = 0
    FAILED = 1  # a mistake of this package, with its traceback
    USAGE = 2  # the command line cannot be carried out as written
    BAD_DATA = 65  # what is on the disk is not what was written
    NO_DATA = 69  # nothing came: no line, or everything was refused
    CANNOT_CREATE = 73  # the file to write could not be opened
    CANNOT_WRITE = 74  # the disk took no more
    BUSY = 75  # another process writes the file, or has the account
    NOT_KNOWN = 76  # an order left, or was to be cancelled, and nobody knows what became of it
    NO_PERMISSION = 77  # the exchange does not take the credentials
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


SIGNALLED = {Exit.INTERRUPTED: "Ctrl-C", Exit.TERMINATED: "SIGTERM"}

MEANINGS: Mapping[Exit, str] = {
    Exit.DONE: "done: time is over, enough came, or SIGTERM came and everything was kept",
    Exit.FAILED: "a mistake of this package; please report the traceback",
    Exit.USAGE: "the command line cannot be carried out as written",
    Exit.BAD_DATA: "what is on the disk is not what was written",
    Exit.NO_DATA: "nothing came: no line until the end, or everything was refused",
    Exit.CANNOT_CREATE: "the store could not be opened",
    Exit.CANNOT_WRITE: "the disk is full, or refuses; what was kept before is whole",
    Exit.BUSY: "another run writes into the store",
    Exit.INTERRUPTED: "Ctrl-C; everything was kept, unless it was pressed twice",
}


def code_of(error: LBankError) -> Exit:
    """Give the exit code for an error that ended a command."""
    if isinstance(error, RecordingFailed | StoreFailed):
        return Exit.CANNOT_WRITE if error.has_begun else Exit.CANNOT_CREATE
    if isinstance(error, RecordingBusy | StoreBusy | JournalBusy):
        return Exit.BUSY
    if isinstance(error, StoreDamaged):
        return Exit.BAD_DATA
    if isinstance(error, JournalFailed):
        return Exit.CANNOT_WRITE
    if isinstance(error, OrderUnknown | OrdersStillOpen):
        return Exit.NOT_KNOWN
    if isinstance(error, CredentialsRefused | LoginRefused):
        return Exit.NO_PERMISSION
    is_silent = isinstance(error, GaveUp | LeaseFailed | Refused | RestFailed | SinkFailed | Stale)
    return Exit.NO_DATA if is_silent else Exit.USAGE


def told(*codes: Exit) -> str:
    """Give what codes mean, a line each, for the help of a command."""
    return "exit codes:\n" + "\n".join(f"  {int(code):<4} {MEANINGS[code]}" for code in codes)


_CODES = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


class Signals:
    """While entered, Ctrl-C and SIGTERM only set a flag, which the command polls.

    A handler runs in the main thread between two instructions; one that took a lock could wait for itself for ever.

    Args:
        terminated: The exit code of a command that SIGTERM has ended.
        takes_hangup: SIGHUP is noted as well, in `hangups`, and ends nothing.
        leaves_at_second: A second Ctrl-C ends the process at once, whatever it is doing.

    Attributes:
        exit: The exit code that the first of them stands for, or None.
        hangups: How often SIGHUP came.
    """

    def __init__(
        self, *, terminated: Exit = Exit.TERMINATED, takes_hangup: bool = False, leaves_at_second: bool = False
    ) -> None:
        self.exit: Exit | None = None
        self.hangups = 0
        self._codes = {**_CODES, signal.SIGTERM: terminated}
        self._hangup = getattr(signal, "SIGHUP", None) if takes_hangup else None  # Windows has none
        self._leaves_at_second = leaves_at_second
        self._interrupts = 0

    def __enter__(self) -> Signals:
        numbers = [*self._codes, *([] if self._hangup is None else [self._hangup])]
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def came(self) -> bool:
        """Tell whether one came that ends the command."""
        return self.exit is not None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == self._hangup:
            self.hangups += 1
            return
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1 and self._leaves_at_second:
            os._exit(Exit.INTERRUPTED)
        if self.exit is None:
            self.exit = self._codes[signal.Signals(number)]
