"""Sharing the pairs out among workers, through locks that Redis or PostgreSQL keeps: `lbank-ws collect --lease URL`.

Nothing is decided here: it gives the lease by its URL. docs/howto/scale.md says what it promises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lbank_ws.channels import Topic
from lbank_ws.errors import UsageError
from lbank_ws.leases.keeper import OPTIONS, Keeper, worker_name
from lbank_ws.leases.sharing import TTL_S, Habits
from lbank_ws.leases.tenancy import Tenancy
from lbank_ws.sinks.addresses import Address, address_of

__all__ = ["group_of", "lease_of"]

_SHORTEST_S, _LONGEST_S = 4, 20


def lease_of(url: str, topics: Sequence[Topic], *, group: str, name: str | None = None) -> Tenancy:
    """Give a worker's part in a lease; nothing is dialled yet.

    Args:
        url: `redis://` or `postgresql://`. `?group=NAME` takes the place of `group`; `?ttl=12` says for how many
            seconds a worker that is not heard of keeps its pairs, 4 to 20, the same for all workers.
        topics: What is collected of the pairs.
        group: Workers of one group share the pairs.
        name: What this worker is called; the host's own name when None.

    Raises:
        UsageError: It is no such URL, or an option of it cannot be used.
        MissingExtra: Its driver is not installed.
    """
    address = address_of(url, OPTIONS)
    if address.kind not in ("redis", "postgres"):
        raise UsageError(f"{address.shown} keeps no locks; redis:// and postgresql:// do")
    habits = Habits(address.number("ttl", TTL_S))
    if not _SHORTEST_S <= habits.ttl_s <= _LONGEST_S:
        raise UsageError(
            f"ttl={habits.ttl_s:g} of {address.shown} is not between {_SHORTEST_S} and {_LONGEST_S} seconds"
        )
    keeper = _keeper(address, address.options.get("group") or group, worker_name(name), habits)
    return Tenancy(keeper, topics, habits)


def group_of(pairs: Sequence[str], channels: str, levels: int | None) -> str:
    """Give the group of workers that were told to collect the same, so that others are not in their way."""
    said = f"{sorted(pairs)}|{sorted(channels.split(','))}|{levels}"
    return hashlib.blake2b(said.encode(), digest_size=6).hexdigest()


def _keeper(address: Address, group: str, worker: str, habits: Habits) -> Keeper:
    if address.kind == "redis":
        from lbank_ws.leases.redis_locks import RedisLocks

        return RedisLocks(address, group, worker, habits)
    from lbank_ws.leases.postgres_locks import PostgresLocks

    return PostgresLocks(address, group, worker, habits)
