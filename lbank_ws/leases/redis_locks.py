"""Locks in Redis: one of redis-py's a pair, with a time to live.

Decided here: the keys, and that a server which has just started lends nothing: what it has forgotten may be in use yet.

    lbank:lease:GROUP:lock:btc_usdt   who holds the pair; ends by itself
    lbank:lease:GROUP:workers         who is there, each with the moment at which that ends
    lbank:lease:GROUP:notes           how far each pair was collected
"""

from __future__ import annotations

import contextlib
import importlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lbank_ws.errors import MissingExtra
from lbank_ws.leases.keeper import Keeper, View
from lbank_ws.leases.sharing import Habits
from lbank_ws.sinks.addresses import Address
from lbank_ws.sinks.redis_streams import connected

_NOTED_S = 30 * 86400  # a group that nobody has used for so long is forgotten
# By the clock of the server alone: those of the workers may differ.
_ANNOUNCE = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
if ARGV[2] ~= '0' then
  redis.call('ZADD', KEYS[1], now_ms + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""


class RedisLocks(Keeper):
    """Locks in a server of Redis 7.0 or newer.

    Raises:
        MissingExtra: redis is not installed.
    """

    def __init__(self, address: Address, group: str, worker: str, habits: Habits) -> None:
        super().__init__(address, group, worker, habits)
        try:
            self._library: Any = importlib.import_module("redis")
        except ImportError:
            raise MissingExtra("redis", "redis") from None
        self._server: Any = None
        self._extend: Any = None
        self._announce: Any = None
        self._prefix = f"lbank:lease:{group}:"
        # One a taking: an old release that arrives late must not end a new lock.
        self._tokens: dict[str, str] = {}

    def open(self) -> None:
        """Connect, and load the scripts."""
        if self._server is not None:
            return
        with self._failures():
            # A question without an answer must not take as long as the locks last.
            server = connected(self._library, self.address, timeout_s=self.habits.ttl_s / 4)
            self._extend = server.register_script(self._library.lock.Lock.LUA_EXTEND_SCRIPT)
            self._announce = server.register_script(_ANNOUNCE)
            server.script_load(self._library.lock.Lock.LUA_EXTEND_SCRIPT)
            server.script_load(_ANNOUNCE)
            self._server = server

    def renew(self, pairs: Sequence[str], notes: Mapping[str, str]) -> set[str]:
        """Announce this worker and extend its locks, in one go."""
        with self._failures(), self._server.pipeline(transaction=False) as pipeline:
            self._announced(pipeline, for_ms=self._ttl_ms)
            self._note(pipeline, notes)
            for pair in pairs:
                self._extend(
                    keys=[self._key(pair)], args=[self._tokens.get(pair, ""), self._ttl_ms, "1"], client=pipeline
                )
            answers = pipeline.execute()
        return {pair for pair, is_ours in zip(reversed(pairs), reversed(answers), strict=False) if is_ours}

    def look(self, pairs: Sequence[str]) -> View:
        """Give who is there, and the tokens of all locks."""
        with self._failures(), self._server.pipeline(transaction=False) as pipeline:
            self._announced(pipeline, for_ms=0)
            pipeline.mget([self._key(pair) for pair in pairs])
            workers, owners = pipeline.execute()
        found = {
            pair: owner.decode(errors="replace").partition("|")[0]
            for pair, owner in zip(pairs, owners, strict=True)
            if owner is not None
        }
        return View(frozenset(worker.decode() for worker in workers), found)

    def take(self, pairs: Sequence[str]) -> dict[str, str]:
        """Take locks, one by one."""
        with self._failures():
            # Whole seconds, rounded down. Whoever held a lock before the start has noticed by then that it is gone.
            if self._server.info("server")["uptime_in_seconds"] <= self.habits.ttl_s:
                return {}
            ours = []
            for pair in pairs:
                token = f"{self.worker}|{secrets.token_hex(8)}"
                if self._lock(pair).acquire(blocking=False, token=token):
                    self._tokens[pair] = token
                    ours.append(pair)
            noted = self._server.hmget(f"{self._prefix}notes", ours) if ours else []
        return {pair: (note or b"").decode(errors="replace") for pair, note in zip(ours, noted, strict=True)}

    def give(self, pairs: Sequence[str], notes: Mapping[str, str]) -> None:
        """Release locks; what was noted comes first, for whoever takes them next."""
        with self._failures():
            with self._server.pipeline(transaction=False) as pipeline:
                self._note(pipeline, notes)
                pipeline.execute()
            for pair in pairs:
                lock = self._lock(pair)
                lock.local.token = self._tokens.get(pair, "").encode()
                with contextlib.suppress(self._library.exceptions.LockError):  # it has ended, or is somebody else's
                    lock.release()
                self._tokens.pop(pair, None)

    def leave(self) -> None:
        """Take this worker off the list."""
        with self._failures():
            self._server.zrem(f"{self._prefix}workers", self.worker)

    def close(self) -> None:
        """Let go of the connection."""
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(self._library.RedisError, OSError):
                server.close()

    @property
    def _ttl_ms(self) -> int:
        return int(self.habits.ttl_s * 1000)

    def _key(self, pair: str) -> str:
        return f"{self._prefix}lock:{pair}"

    def _lock(self, pair: str) -> Any:
        return self._library.lock.Lock(self._server, self._key(pair), timeout=self.habits.ttl_s, thread_local=False)

    def _announced(self, pipeline: Any, *, for_ms: int) -> None:
        """Ask who is there; with a length of time, be there for so long."""
        self._announce(keys=[f"{self._prefix}workers"], args=[self.worker, for_ms], client=pipeline)

    def _note(self, pipeline: Any, notes: Mapping[str, str]) -> None:
        if notes:
            pipeline.hset(f"{self._prefix}notes", mapping=dict(notes))
            pipeline.expire(f"{self._prefix}notes", _NOTED_S)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the driver says into `LeaseFailed`."""
        try:
            yield
        except (self._library.RedisError, OSError, ValueError, KeyError) as error:
            self.close()
            raise self.failed(error) from None
