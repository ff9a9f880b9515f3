"""Measure what the sinks take: events a second into Redis, PostgreSQL and Kafka, each on this machine.

    python benchmarks/sinks.py
    python benchmarks/sinks.py --events 200000 --only redis,postgres

Redis and PostgreSQL are started for it, with folders of their own, and ended; Kafka is librdkafka's mock of a cluster,
inside this process. What the figures mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from frames import MIX, Pool

from lbank_ws.channels import Topic, topic
from lbank_ws.collect.files import FileStore
from lbank_ws.collect.lines import line_text
from lbank_ws.collect.manifest import RunFacts
from lbank_ws.events import Event, Receipt
from lbank_ws.sinks import engine_of
from lbank_ws.sinks.parcels import parcel
from lbank_ws.sinks.shipping import Shipper
from lbank_ws.sinks.streaming import Streaming
from lbank_ws.wire import Push, dialect_named
from tests.servers import PostgresServer, RedisServer, Server

BATCH = 2_000  # events of one flush
LEVELS = 20
CASES = {"trade": ("trade",), "mix": MIX}
KINDS = ("redis", "postgres", "kafka")


def made(kinds: tuple[str, ...], count: int) -> list[tuple[Topic, Event]]:
    """Give so many events, as a client hands them out, a millisecond apart, of ten pairs."""
    pool, dialect = Pool("lbank", levels=LEVELS), dialect_named("v2")
    began = datetime.now(timezone.utc)
    found: list[tuple[Topic, Event]] = []
    for number in range(count):
        kind, at = kinds[number % len(kinds)], began + timedelta(milliseconds=number)
        pieces = pool.pieces(kind)
        filling = pool.moment(at.timestamp())
        frame = filling.join(pieces[number % len(pieces)])
        text = frame[frame.index(b"{") :].decode().replace("btc_usdt", f"c{number % 10}_usdt")
        message = dialect.decode(text, Receipt(int(at.timestamp() * 1e9), 0.0, line=1))
        if not isinstance(message, Push):
            raise SystemExit(f"this is no push: {text}")
        event = message.events[0]
        found.append((topic(event.channel, event.pair), event))
    return found


def facts_of() -> RunFacts:
    return RunFacts("20261122T000000.000Z-here-1", datetime.now(timezone.utc))


@contextmanager
def running(kind: str) -> Iterator[str]:
    """Give the address of an engine that runs until it is left."""
    if kind == "kafka":
        import confluent_kafka

        host: Any = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
        brokers = host.list_topics(timeout=10).brokers.values()
        yield "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return
    server: Server = RedisServer() if kind == "redis" else PostgresServer()
    try:
        server.start()
        yield server.url
    finally:
        server.end()


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Give how long something took, and how much processor time of this process."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began_s, time.process_time() - cpu_s


def measured(kind: str, case: str, events: list[tuple[Topic, Event]]) -> Iterator[dict[str, object]]:
    """Let an engine alone, a sink beside a store, and `ship` take the same events as fast as they do."""
    ready = [parcel(seq, of, "v2", event, line_text(event, seq)) for seq, (of, event) in enumerate(events, 1)]
    with running(kind) as url:
        engine = engine_of(url, "here")
        engine.open()

        def sent() -> None:
            for first in range(0, len(ready), engine.batch_events):
                engine.send(ready[first : first + engine.batch_events])

        wall_s, cpu_s = timed(sent)
        engine.close()
        yield row(kind, case, "engine", len(ready), len(events), wall_s, cpu_s)
    with tempfile.TemporaryDirectory() as folder:
        with running(kind) as url:
            store = FileStore(folder, min_free_bytes=0)
            sink = Streaming(folder, engine_of(url, "here"), waiting_events=len(events), end_s=300)
            store.tap(sink)
            facts = facts_of()
            store.open(facts, [])

            def fed() -> None:
                for first in range(0, len(events), BATCH):
                    for of, event in events[first : first + BATCH]:
                        store.put(of, event)
                    store.flush()
                while sink.left:
                    threading.Event().wait(0.002)

            wall_s, cpu_s = timed(fed)
            facts.ended_at = datetime.now(timezone.utc)
            store.close()
            yield row(kind, case, "store and sink", sink.tally.sent, len(events), wall_s, cpu_s)
        with running(kind) as url:
            shipper = Shipper(folder, engine_of(url, "here"))
            shipper.cursor.open()
            wall_s, cpu_s = timed(lambda: shipper.older(lambda: False, everything=True))
            shipper.close()
            yield row(kind, case, "ship", shipper.tally.sent, len(events), wall_s, cpu_s)


def row(kind: str, case: str, way: str, sent: int, wanted: int, wall_s: float, cpu_s: float) -> dict[str, object]:
    if sent != wanted:
        raise SystemExit(f"{sent} of {wanted} events were sent")
    return {
        "engine": kind,
        "case": case,
        "way": way,
        "events": sent,
        "events_per_s": round(sent / wall_s),
        "cpu_us_per_event": round(cpu_s / sent * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="of each case (default: 100000)")
    parser.add_argument("--only", default=",".join(KINDS), help="engines (default: all)")
    args = parser.parse_args()
    rows = []
    for case, kinds in CASES.items():
        events = made(kinds, args.events)
        for kind in args.only.split(","):
            for found in measured(kind, case, events):
                print(*(f"{name}={value}" for name, value in found.items()), file=sys.stderr)
                rows.append(found)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
