"""Past one machine: events go to Redis, PostgreSQL or Kafka, whose keys, groups and partitions do the distributed work.

Nothing is decided here: it gives the sinks by their URL. docs/howto/scale.md says which engine guarantees what.
"""

from __future__ import annotations

from lbank_ws.errors import UsageError
from lbank_ws.sinks.addresses import address_of
from lbank_ws.sinks.direct import Direct
from lbank_ws.sinks.engine import Engine
from lbank_ws.sinks.readback import RedisFeed, subscribe_from

__all__ = ["RedisFeed", "engine_of", "kafka", "postgresql", "redis", "subscribe_from"]


def engine_of(url: str, collector: str | None = None) -> Engine:
    """Give the engine that a URL names; nothing is dialled yet.

    Args:
        url: `redis://`, `postgresql://` or `kafka://`.
        collector: Who sends: a name of this collector among others; the host's own when None.

    Raises:
        UsageError: It is no such URL.
        MissingExtra: Its driver is not installed.
    """
    address = address_of(url)
    if address.kind == "redis":
        from lbank_ws.sinks.redis_streams import OPTIONS, Redis

        return Redis(address_of(url, OPTIONS), collector)
    if address.kind == "postgres":
        from lbank_ws.sinks.postgres import Postgres

        return Postgres(address, collector)
    from lbank_ws.sinks.kafka_topics import Kafka

    return Kafka(address, collector)


def redis(url: str, *, collector: str | None = None) -> Direct:
    """Give a sink into streams of Redis, for `client.sink`; raises as `engine_of`."""
    return _direct("redis", url, collector)


def postgresql(url: str, *, collector: str | None = None) -> Direct:
    """Give a sink into tables of PostgreSQL, for `client.sink`; raises as `engine_of`."""
    return _direct("postgres", url, collector)


def kafka(url: str, *, collector: str | None = None) -> Direct:
    """Give a sink into topics of Kafka, for `client.sink`; raises as `engine_of`."""
    return _direct("kafka", url, collector)


def _direct(kind: str, url: str, collector: str | None) -> Direct:
    engine = engine_of(url, collector)
    if engine.address.kind != kind:
        raise UsageError(f"{engine.name} is no address of {kind}")
    return Direct(engine)
