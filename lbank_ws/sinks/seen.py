"""Which of several collectors has seen what, minute by minute, as an engine knows.

Decided here: how that is counted in each engine. A bar counts once, in the minute in which it begins, for whoever has
sent any version of it. Kafka counts nothing, so its messages are read for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from lbank_ws.errors import UsageError
from lbank_ws.sinks.engine import Engine
from lbank_ws.sinks.kafka_topics import Kafka
from lbank_ws.sinks.postgres import Postgres
from lbank_ws.sinks.redis_streams import Redis

SHOWN = 200  # minutes in a report

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SQL = " UNION ALL ".join(
    f"SELECT held.at, array_append(array_agg(again.collector), held.collector) AS who FROM lbank.{channel} AS held "  # noqa: S608 - the names are ours
    f"LEFT JOIN lbank.again ON again.channel = '{channel}' AND again.pair = held.pair "
    "AND again.identity = held.identity AND again.at = held.at WHERE held.at >= %(since)s "
    "GROUP BY held.pair, held.identity, held.at, held.collector"
    for channel in ("trade", "ticker", "depth", "kline")
)
_COUNT = (
    "SELECT date_trunc('minute', at, 'UTC'), "  # noqa: S608 - as above
    "array_to_string(ARRAY(SELECT DISTINCT name FROM unnest(who) AS name WHERE name IS NOT NULL ORDER BY name), '+') "
    f"AS whose, count(*) FROM ({_SQL}) AS event GROUP BY 1, 2"
)

Minutes = dict[datetime, dict[str, int]]
"""By minute, how many events came from whom: `{"a": 3, "b": 1, "a+b": 212}`."""


def seen_in(engine: Engine, since_s: float, now: datetime | None = None) -> Minutes:
    """Ask an engine who has seen what.

    Args:
        engine: It is opened, and closed again. Of Kafka everything since then is read, at some memory an event.
        since_s: How far to look back, in seconds.
        now: From when on; the present when None.

    Raises:
        SinkFailed: It cannot be reached.
        UsageError: It is no engine that is known here.
    """
    since = (now or datetime.now(timezone.utc)) - timedelta(seconds=since_s)
    engine.open()
    try:
        if isinstance(engine, Postgres):
            return _of_postgres(engine, since)
        if isinstance(engine, Redis):
            return _of_redis(engine, since)
        if isinstance(engine, Kafka):
            return _of_kafka(engine, since)
    finally:
        engine.close()
    raise UsageError(f"{engine.name} does not tell who has seen what; Redis, PostgreSQL and Kafka do")


def names_of(minutes: Minutes) -> list[str]:
    """Give who has seen anything, those alone first: `a`, `b`, `a+b`."""
    return sorted({name for counts in minutes.values() for name in counts}, key=lambda name: ("+" in name, name))


def for_report(minutes: Minutes, engine: str, begin_s: int, end_s: int) -> dict[str, Any]:
    """Give what a report shows of this, as JSON has it: a row a minute that not all have seen all of.

    Args:
        minutes: From `seen_in`.
        engine: What it is called, for people.
        begin_s: Of the report's time, in Unix time.
        end_s: Likewise.
    """
    own = {at: counts for at, counts in sorted(minutes.items()) if begin_s - 60 < at.timestamp() <= end_s}
    names = names_of(own)
    everybody = "+".join(sorted({name for known in names for name in known.split("+")}))
    uneven = {at: counts for at, counts in own.items() if counts.keys() - {everybody}}
    rows = [[int(at.timestamp()), *(counts.get(name, 0) for name in names)] for at, counts in uneven.items()]
    return {
        "engine": engine,
        "names": names,
        "total": [sum(counts.get(name, 0) for counts in own.values()) for name in names],
        "minutes": rows[:SHOWN],
        "left_out": max(0, len(rows) - SHOWN),
        "even": len(own) - len(uneven),
    }


def _of_postgres(engine: Postgres, since: datetime) -> Minutes:
    found: Minutes = {}
    for at, who, count in engine.asked(_COUNT, {"since": since}):
        found.setdefault(at.astimezone(timezone.utc), {})[who] = count
    return found


def _of_redis(engine: Redis, since: datetime) -> Minutes:
    found: Minutes = {}
    for minute, counts in engine.seen().items():
        at = _EPOCH + timedelta(seconds=minute)
        if at >= since - timedelta(minutes=1):
            found[at] = {who: count for who, count in counts.items() if count}
    return found


def _of_kafka(engine: Kafka, since: datetime) -> Minutes:
    whose: dict[tuple[int, bytes], str] = {}
    for at_ms, key, collector in engine.sent_since(since):
        place = at_ms // 60_000, key
        names = {collector, *filter(None, whose.get(place, "").split("+"))}
        whose[place] = "+".join(sorted(names))
    found: Minutes = {}
    for (minute, _), who in whose.items():
        counts = found.setdefault(_EPOCH + timedelta(minutes=minute), {})
        counts[who] = counts.get(who, 0) + 1
    return found
