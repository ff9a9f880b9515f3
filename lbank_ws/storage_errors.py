"""What can go wrong where something is kept: recordings, stores, engines, leases; and whose fault it is.

As in `errors.py`: the class names the party, facts are attributes, `sentence()` makes words of them. A disk or a server
that does not do its part is nobody's fault here; what is `Busy` belongs to another process at the moment.
"""

from __future__ import annotations

from lbank_ws.errors import LBankError, UsageError
from lbank_ws.quoting import quoted


class RecordingBusy(UsageError):
    """Somebody else writes this recording; two writers would mix their lines.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def sentence(self) -> str:
        return f"{quoted(self.path)} is being written by another recorder; wait for its end, or name another file"


class RecordingFailed(LBankError):
    """The disk took no more; the recording has ended, the feed goes on.

    Attributes:
        path: The file.
        reason: The system's words.
        has_begun: Whether it could be opened; what was recorded before stays readable.
    """

    def __init__(self, path: str, reason: str, *, has_begun: bool = True) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason
        self.has_begun = has_begun

    def sentence(self) -> str:
        path = quoted(self.path)
        what = f"the recording {path} has ended" if self.has_begun else f"cannot record to {path}"
        return f"{what}: {self.reason}; the feed goes on without it"


class StoreBusy(UsageError):
    """Another run writes into this store; two writers would spoil it.

    Attributes:
        path: The store.
        holder: Who writes, as that run says: host, process and since when; empty where it cannot be told.
    """

    def __init__(self, path: str, holder: str = "") -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder

    def sentence(self) -> str:
        who = f" by {quoted(self.holder)}" if self.holder else ""
        return f"{quoted(self.path)} is being written{who}; wait for its end, or name another store"


class StoreFailed(LBankError):
    """The disk took no more, or has too little room left; what was closed before stays readable.

    Attributes:
        path: The store.
        reason: The system's words.
        has_begun: Whether it could be opened.
    """

    def __init__(self, path: str, reason: str, *, has_begun: bool = True) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason
        self.has_begun = has_begun

    def sentence(self) -> str:
        what = "the collection into" if self.has_begun else "cannot write into"
        end = " has ended" if self.has_begun else ""
        return f"{what} {quoted(self.path)}{end}: {self.reason}"


class SinkFailed(LBankError):
    """An engine cannot be reached, or takes no events; the collection goes on.

    Attributes:
        sink: Which one, without a password.
        reason: The driver's words, without a password.
        lost: How many events found no room since the last report, and stand nowhere; always 0 beside a store of files.
    """

    def __init__(self, sink: str, reason: str, lost: int = 0) -> None:
        super().__init__(sink, reason, lost)
        self.sink = sink
        self.reason = reason
        self.lost = lost

    def sentence(self) -> str:
        lost = f"; {self.lost} events found no room and are lost to it" if self.lost else ""
        return f"the sink {quoted(self.sink)} takes no events: {self.reason}{lost}; it is tried again"


class LeaseFailed(LBankError):
    """The engine that keeps the locks of a lease cannot be reached, or refuses; it is tried again.

    Attributes:
        lease: Which one, without a password.
        reason: The driver's words, without a password.
    """

    def __init__(self, lease: str, reason: str) -> None:
        super().__init__(lease, reason)
        self.lease = lease
        self.reason = reason

    def sentence(self) -> str:
        return (
            f"the lease {quoted(self.lease)} does not answer: {self.reason}; "
            "pairs whose locks may have ended are let go, and it is tried again"
        )


class StoreDamaged(LBankError):
    """A file of a store does not hold what was written.

    Attributes:
        path: The file, as it is called inside its store.
        problem: What is wrong with it.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(path, problem)

    def sentence(self) -> str:
        return f"{quoted(self.path)} is damaged: {quoted(self.problem)}"
