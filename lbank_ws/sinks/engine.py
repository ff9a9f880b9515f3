"""What a sink needs of an engine: Redis, PostgreSQL, Kafka.

Decided here: nothing. What an engine keeps, and how it tells equal events, is decided in the file of each.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from lbank_ws.collect.naming import safe_host
from lbank_ws.sinks.addresses import Address
from lbank_ws.sinks.parcels import Parcel
from lbank_ws.storage_errors import SinkFailed


class Taken(NamedTuple):
    """What became of a batch.

    Attributes:
        new: How many events the engine had not.
        known: How many it had, from another collector or from an earlier attempt.
    """

    new: int
    known: int


class Engine(ABC):
    """One connection to an engine. Used by one thread at a time.

    Args:
        address: Where it is.
        collector: Who sends: a name of this collector among others; the host's own when None.

    Attributes:
        address: Where it is.
        collector: Who sends.
        name: What it is called, for people; without a password.
    """

    batch_events = 1000  # how many are sent at once

    def __init__(self, address: Address, collector: str | None = None) -> None:
        self.address = address
        self.name = address.shown
        self.collector = safe_host(collector or socket.gethostname())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    def open(self) -> None:
        """Connect, and make what is missing there: tables, a script. Does nothing when it is connected.

        Raises:
            SinkFailed: It cannot be reached, or refuses.
        """

    @abstractmethod
    def send(self, parcels: Sequence[Parcel]) -> Taken:
        """Hand over a batch; when it returns, the engine has all of it, as safely as it keeps anything.

        May be called again with what was sent before: every engine tells equal events.

        Raises:
            SinkFailed: It does not take them; some of them may be there.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; may be called twice, and never raises."""

    def failed(self, error: BaseException) -> SinkFailed:
        """Give the error of a driver as ours, without a password."""
        return SinkFailed(self.name, self.address.scrubbed(str(error) or type(error).__name__))
