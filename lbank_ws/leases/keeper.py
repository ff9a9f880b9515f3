"""What a lease needs of an engine, Redis or PostgreSQL.

Decided here: what a worker is called, which options of a URL are a lease's. How a lock looks is decided in the file of
each engine.
"""

from __future__ import annotations

import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from os import getpid
from typing import NamedTuple

from lbank_ws.collect.naming import safe_host
from lbank_ws.leases.sharing import Habits
from lbank_ws.sinks.addresses import Address
from lbank_ws.storage_errors import LeaseFailed

OPTIONS = ("group", "ttl")


class View(NamedTuple):
    """Who shares the pairs.

    Attributes:
        workers: Who has announced himself within `ttl_s`.
        owners: Who holds a pair; a pair that is not here is free.
    """

    workers: frozenset[str]
    owners: Mapping[str, str]


class Keeper(ABC):
    """One worker's connection to the engine that keeps the locks. Used by one thread at a time.

    What a method raises is `LeaseFailed`: the engine cannot be reached, or refuses. It may have done what was asked.

    Args:
        address: Where it is.
        group: Workers of one group share the pairs.
        worker: What this one is called.
        habits: How long a lock lasts.

    Attributes:
        name: What the engine is called, for people; without a password.
        worker: What this one is called.
    """

    def __init__(self, address: Address, group: str, worker: str, habits: Habits) -> None:
        self.address = address
        self.name = address.shown
        self.group = group
        self.worker = worker
        self.habits = habits

    @abstractmethod
    def open(self) -> None:
        """Connect; does nothing when it is connected."""

    @abstractmethod
    def renew(self, pairs: Sequence[str], notes: Mapping[str, str]) -> set[str]:
        """Announce this worker, let its locks last for `ttl_s` from now, and write down what it notes of pairs.

        Returns:
            Those whose locks are still ours.
        """

    @abstractmethod
    def look(self, pairs: Sequence[str]) -> View:
        """Give who is there, and who holds which of these pairs."""

    @abstractmethod
    def take(self, pairs: Sequence[str]) -> dict[str, str]:
        """Take the locks of those that are free; give those that are ours now, with what was noted of each last."""

    @abstractmethod
    def give(self, pairs: Sequence[str], notes: Mapping[str, str]) -> None:
        """Give locks back; one that is not ours stays as it is."""

    @abstractmethod
    def leave(self) -> None:
        """Take back the announcement."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; may be called twice, and never raises."""

    def failed(self, error: BaseException) -> LeaseFailed:
        """Give the error of a driver as ours, without a password."""
        return LeaseFailed(self.name, self.address.scrubbed(str(error) or type(error).__name__))


def worker_name(name: str | None = None) -> str:
    """Give a name that no other worker has, nor the next run of this one."""
    return f"{safe_host(name or socket.gethostname())}-{getpid()}-{secrets.token_hex(4)}"
