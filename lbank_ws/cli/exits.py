"""Exit codes, and how a command is told to end."""

from __future__ import annotations

import signal
from enum import IntEnum
from types import FrameType, TracebackType

from lbank_ws.errors import GaveUp, LBankError, LoginRefused, RecordingBusy, RecordingFailed, Refused, RestFailed, Stale
from lbank_ws.trading_errors import CredentialsRefused, JournalBusy, JournalFailed, OrdersStillOpen, OrderUnknown


class Exit(IntEnum):
    """What the exit code of a command means."""

    DONE = 0
    USAGE = 2  # the command line cannot be carried out as written
    NO_DATA = 69  # nothing came: no line, or everything was refused
    CANNOT_CREATE = 73  # the file to write could not be opened
    CANNOT_WRITE = 74  # the disk took no more
    BUSY = 75  # another process writes the file, or has the account
    NOT_KNOWN = 76  # an order left, or was to be cancelled, and nobody knows what became of it
    NO_PERMISSION = 77  # the exchange does not take the credentials
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


SIGNALLED = {Exit.INTERRUPTED: "Ctrl-C", Exit.TERMINATED: "SIGTERM"}


def code_of(error: LBankError) -> Exit:
    """Give the exit code for an error that ended a command."""
    if isinstance(error, RecordingFailed):
        return Exit.CANNOT_WRITE if error.has_begun else Exit.CANNOT_CREATE
    if isinstance(error, RecordingBusy | JournalBusy):
        return Exit.BUSY
    if isinstance(error, JournalFailed):
        return Exit.CANNOT_WRITE
    if isinstance(error, OrderUnknown | OrdersStillOpen):
        return Exit.NOT_KNOWN
    if isinstance(error, CredentialsRefused | LoginRefused):
        return Exit.NO_PERMISSION
    return Exit.NO_DATA if isinstance(error, GaveUp | Refused | RestFailed | Stale) else Exit.USAGE


_CODES = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


class Signals:
    """While entered, Ctrl-C and SIGTERM only set a flag, which the command polls.

    A handler runs in the main thread between two instructions; one that took a lock could wait for itself for ever.
    """

    def __init__(self) -> None:
        self.exit: Exit | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in _CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def came(self) -> bool:
        """Tell whether one came."""
        return self.exit is not None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.exit = _CODES[signal.Signals(number)]
