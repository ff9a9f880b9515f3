"""Redis: a stream a channel and pair, filled by a script that leaves out what is there already.

Decided here: the names of the keys, what an entry of a stream says, how equal events are told apart. Works on Redis 7.0
and newer, and on one server: the keys of a batch lie anywhere.

    lbank:trade:btc_usdt        a stream; each entry has key, dialect, parameter, collector, line
    lbank:streams               a set of the names of all streams
    lbank:k:DIGEST              which collectors have sent an event, for as long as the window
    lbank:b:PAIR|BAR            which collectors have sent any version of a bar, likewise
    lbank:seen:MINUTE           how many events of a minute which collectors have sent
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lbank_ws.errors import MissingExtra
from lbank_ws.sinks.addresses import Address
from lbank_ws.sinks.engine import Engine, Taken
from lbank_ws.sinks.parcels import Parcel

PREFIX = "lbank:"
STREAMS = "lbank:streams"
SEEN = "lbank:seen:"
Entry = tuple[str, bytes, Mapping[bytes, bytes]]
"""Of which stream, its id, what it says."""
OPTIONS = ("window", "maxlen")
WINDOW_S = 600
MAXLEN = 100_000
TIMEOUT_S = 5.0

_SEEN_S = 2 * 86400
_A_CALL = 250  # events of one call of the script; it holds up the server for about a millisecond
# SET with NX and GET together needs 7.0. What was sent by one and then by another moves from one sum to the next.
SCRIPT = """
local me, window, maxlen, seen_for, new, sums = ARGV[1], ARGV[2], ARGV[3], ARGV[4], 0, {}
local function count(minute, who, by)
  sums[minute] = sums[minute] or {}
  sums[minute][who] = (sums[minute][who] or 0) + by
end
local function also(who)
  if string.find('+' .. who .. '+', '+' .. me .. '+', 1, true) then return nil end
  local names = {me}
  for name in string.gmatch(who, '[^+]+') do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, '+')
end
for i = 1, #KEYS / 3 do
  local at = 4 + (i - 1) * 5
  local minute, known, counted = ARGV[at + 1], KEYS[3 * i - 2], KEYS[3 * i]
  local who = redis.call('SET', known, me, 'NX', 'GET', 'EX', window)
  if not who then
    redis.call('XADD', KEYS[3 * i - 1], 'MAXLEN', '~', maxlen, '*', 'key', ARGV[at + 2], 'dialect', ARGV[at + 3],
      'parameter', ARGV[at + 4], 'collector', me, 'line', ARGV[at + 5])
    new = new + 1
  end
  if counted ~= known then
    who = redis.call('SET', counted, me, 'NX', 'GET', 'EX', window)
    if who then redis.call('EXPIRE', counted, window) end
  end
  if not who then
    count(minute, me, 1)
  else
    local both = also(who)
    if both then
      redis.call('SET', counted, both, 'KEEPTTL')
      count(minute, who, -1)
      count(minute, both, 1)
    end
  end
end
for minute, whos in pairs(sums) do
  for who, by in pairs(whos) do redis.call('HINCRBY', 'lbank:seen:' .. minute, who, by) end
  redis.call('EXPIRE', 'lbank:seen:' .. minute, seen_for)
end
return new
"""


def stream_of(channel: str, pair: str) -> str:
    """Give the name of a stream."""
    return f"{PREFIX}{channel}:{pair}"


class Redis(Engine):
    """A server of Redis.

    Args:
        address: Where it is. `?window=600` says for how many seconds an event is known, `?maxlen=100000` how many a
            stream keeps, about; the rest of the query is redis-py's.
        collector: Who sends.

    Raises:
        MissingExtra: redis is not installed.
        UsageError: An option is no number.
    """

    batch_events = 2000

    def __init__(self, address: Address, collector: str | None = None) -> None:
        super().__init__(address, collector)
        try:
            self._library: Any = importlib.import_module("redis")
        except ImportError:
            raise MissingExtra("redis", "redis") from None
        self._window_s = address.number("window", WINDOW_S)
        self._maxlen = address.number("maxlen", MAXLEN)
        self._server: Any = None
        self._script: Any = None
        self._streams: set[str] = set()

    def open(self) -> None:
        """Connect, and load the script."""
        if self._server is not None:
            return
        try:
            server = connected(self._library, self.address)
            self._script = server.register_script(SCRIPT)
            server.script_load(SCRIPT)
        except (self._library.RedisError, OSError, ValueError) as error:
            raise self.failed(error) from None
        self._server = server
        self._streams.clear()

    def send(self, parcels: Sequence[Parcel]) -> Taken:
        """Hand over a batch, in a few calls of the script."""
        streams = {stream_of(each.topic.channel, each.topic.pair) for each in parcels}
        try:
            with self._server.pipeline(transaction=False) as pipeline:
                unknown = streams - self._streams
                if unknown:
                    pipeline.sadd(STREAMS, *unknown)
                for first in range(0, len(parcels), _A_CALL):
                    keys, args = self._call(parcels[first : first + _A_CALL])
                    self._script(keys=keys, args=args, client=pipeline)
                answers = pipeline.execute()
        except (self._library.RedisError, OSError) as error:
            self.close()
            raise self.failed(error) from None
        self._streams |= unknown
        new = sum(answers[1:] if unknown else answers)
        return Taken(new, len(parcels) - new)

    # Reading back.

    def streams(self) -> list[str]:
        """Give the names of all streams."""
        with self._failures():
            return sorted(name.decode() for name in self._server.smembers(STREAMS))

    def newest(self, stream: str) -> str:
        """Give the id of the newest entry of a stream, behind which the next one comes."""
        with self._failures():
            found = self._server.xrevrange(stream, count=1)
            return found[0][0].decode() if found else "0"

    def join(self, stream: str, group: str, first: str) -> None:
        """Make a group of a stream, which begins with the oldest entry (`0`) or the next one (`$`)."""
        with self._failures():
            try:
                self._server.xgroup_create(stream, group, id=first, mkstream=True)
            except self._library.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def read(
        self, last: Mapping[str, str | bytes], group: str | None, consumer: str, count: int, block_s: float
    ) -> Iterator[Entry]:
        """Give what comes next in streams; waits so long where there is nothing."""
        with self._failures():
            wait_ms = int(block_s * 1000)
            if group is None:
                found = self._server.xread(dict(last), count=count, block=wait_ms)
            else:
                found = self._server.xreadgroup(group, consumer, dict(last), count=count, block=wait_ms)
        pairs = found.items() if isinstance(found, dict) else found or ()
        for stream, entries in pairs:
            for ident, said in _flat(entries):
                yield stream.decode(), ident, said or {}

    def claim(self, stream: str, group: str, consumer: str, idle_s: float, count: int) -> list[Entry]:
        """Take over what another reader of the group has taken and not done for so long."""
        with self._failures():
            found = self._server.xautoclaim(stream, group, consumer, int(idle_s * 1000), count=count)
            return [(stream, ident, said or {}) for ident, said in found[1]]

    def done(self, group: str, entries: Iterable[tuple[str, bytes]]) -> None:
        """Tell a group that its entries need to be given to nobody any more."""
        idents: dict[str, list[bytes]] = {}
        for stream, ident in entries:
            idents.setdefault(stream, []).append(ident)
        with self._failures(), self._server.pipeline(transaction=False) as pipeline:
            for stream, own in idents.items():
                pipeline.xack(stream, group, *own)
            pipeline.execute()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the driver says into `SinkFailed`."""
        try:
            yield
        except (self._library.RedisError, OSError) as error:
            self.close()
            raise self.failed(error) from None

    def seen(self) -> dict[int, dict[str, int]]:
        """Give how many events which collectors have sent, by minute, in seconds of Unix time.

        Raises:
            SinkFailed: There is no answer.
        """
        try:
            found = {}
            for key in self._server.scan_iter(match=f"{SEEN}*", count=1000):
                counts = self._server.hgetall(key)
                found[int(key.decode().rpartition(":")[2])] = {who.decode(): int(by) for who, by in counts.items()}
            return found
        except (self._library.RedisError, OSError) as error:
            self.close()
            raise self.failed(error) from None

    def close(self) -> None:
        """Let go of the connection."""
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(self._library.RedisError, OSError):
                server.close()

    def _call(self, parcels: Sequence[Parcel]) -> tuple[list[str], list[str | int]]:
        keys: list[str] = []
        args: list[str | int] = [self.collector, self._window_s, self._maxlen, _SEEN_S]
        for each in parcels:
            known = f"{PREFIX}k:{each.digest}"
            # Of a bar each version is one of the stream's, and all of them together are one that somebody has seen.
            counted = f"{PREFIX}b:{each.topic.pair}|{each.key}" if each.version else known
            keys += [known, stream_of(each.topic.channel, each.topic.pair), counted]
            minute = int(each.at.timestamp()) // 60 * 60
            args += [minute, f"{each.key}{'|' if each.version else ''}{each.version}", each.dialect]
            args += [each.parameter, each.line]
        return keys, args


def _flat(entries: Any) -> Iterator[tuple[bytes, Any]]:
    """Give entries one by one, as each version of redis-py and of its protocol nests them."""
    for each in entries:
        if isinstance(each, list) and each and isinstance(each[0], tuple | list):
            yield from _flat(each)
        else:
            yield each[0], each[1]


def connected(library: Any, address: Address, *, timeout_s: float = TIMEOUT_S) -> Any:
    """Give a client of redis-py for an address; it dials at the first call, and repeats none by itself."""
    return library.Redis.from_url(
        address.url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=library.retry.Retry(library.backoff.NoBackoff(), 0),
    )
