"""Kafka, and whatever speaks its protocol: a topic a channel, a partition a pair.

Decided here: the names of topics, which partition a pair has, what a message says. Kafka keeps every message, so equal
events of two collectors both stand there: who reads tells them apart by the message's key, with `Distinct`.

    topic       lbank.trade, lbank.depth, lbank.ticker, lbank.kline
    partition   crc32 of the pair, modulo how many there are: so the events of a pair are in order
    key         the identity: the same on every collector
    headers     pair, dialect, parameter, collector
    value       a line of a segment
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lbank_ws.errors import MissingExtra
from lbank_ws.sinks.addresses import Address
from lbank_ws.sinks.engine import Engine, Taken
from lbank_ws.sinks.parcels import Parcel, shard_of

PREFIX = "lbank."
TIMEOUT_S = 10.0
_BARS = f"{PREFIX}kline"
_TOPICS = {f"{PREFIX}{channel}" for channel in ("trade", "depth", "ticker")} | {_BARS}
_WINDOW = 1_000_000


def topic_of(channel: str) -> str:
    """Give the name of a topic."""
    return PREFIX + channel


def settings_of(address: Address) -> dict[str, Any]:
    """Give librdkafka's settings for an address: `kafka://user:password@host:9092,host:9092?client.id=mine`."""
    parts = urlsplit(address.url)
    found: dict[str, Any] = {"bootstrap.servers": parts.netloc.rpartition("@")[2]}
    if parts.username:
        found |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": unquote(parts.username),
            "sasl.password": unquote(parts.password or ""),
        }
    return found | dict(parse_qsl(parts.query))


class Kafka(Engine):
    """Brokers of Kafka.

    Args:
        address: Where they are; the query holds librdkafka's settings.
        collector: Who sends.

    Raises:
        MissingExtra: confluent-kafka is not installed.
    """

    batch_events = 5000

    def __init__(self, address: Address, collector: str | None = None) -> None:
        super().__init__(address, collector)
        try:
            self._library: Any = importlib.import_module("confluent_kafka")
        except ImportError:
            raise MissingExtra("confluent-kafka", "kafka") from None
        self._producer: Any = None
        self._partitions: dict[str, int] = {}

    def open(self) -> None:
        """Connect."""
        if self._producer is not None:
            return
        usual = {"enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5, "message.timeout.ms": 10_000}
        try:
            self._producer = self._library.Producer({**usual, **settings_of(self.address)}, logger=_Quiet())
            self._partitions.clear()
        except (self._library.KafkaException, ValueError) as error:
            raise self.failed(error) from None

    def send(self, parcels: Sequence[Parcel]) -> Taken:
        """Hand over a batch, and wait until the brokers have all of it."""
        failures: list[Any] = []
        confirmed = 0

        def told(error: Any, _message: Any) -> None:
            nonlocal confirmed
            confirmed += error is None
            if error is not None:
                failures.append(error)

        try:
            for each in parcels:
                self._produce(each, told)
            over_s = time.monotonic() + TIMEOUT_S
            while confirmed + len(failures) < len(parcels) and time.monotonic() < over_s:
                self._producer.flush(0.5)
        except (self._library.KafkaException, BufferError) as error:
            self.close()
            raise self.failed(error) from None
        if confirmed < len(parcels):
            self.close()
            raise self.failed(RuntimeError(failures[0] if failures else f"no answer within {TIMEOUT_S:g} s"))
        return Taken(len(parcels), 0)

    def sent_since(self, since: datetime) -> Iterator[tuple[int, bytes, str]]:
        """Give what stands in the topics of what happened since: when in ms, what tells it from others, who sent it.

        Equal events come once for each that was sent; all versions of a bar are told alike.

        Raises:
            SinkFailed: The brokers do not answer.
        """
        kafka = self._library
        usual = {"group.id": "lbank-ws-seen", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        try:
            consumer = kafka.Consumer({**usual, **settings_of(self.address)}, logger=_Quiet())
            try:
                yield from self._messages(consumer, int(since.timestamp() * 1000))
            finally:
                consumer.close()
        except (kafka.KafkaException, ValueError) as error:
            raise self.failed(error) from None

    def _messages(self, consumer: Any, since_ms: int) -> Iterator[tuple[int, bytes, str]]:
        kafka = self._library
        ends: dict[tuple[str, int], int] = {}
        places = []
        for name, known in consumer.list_topics(timeout=TIMEOUT_S).topics.items():
            for partition in known.partitions if name in _TOPICS else ():
                place = kafka.TopicPartition(name, partition, kafka.OFFSET_BEGINNING)
                first, end = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
                if end > first:
                    ends[name, partition] = end
                    places.append(place)
        consumer.assign(places)
        heard_s = time.monotonic()
        while ends:
            for message in consumer.consume(1000, 0.5):
                if message.error() is not None:
                    raise kafka.KafkaException(message.error())
                heard_s = time.monotonic()
                name, partition = message.topic(), message.partition()
                if message.offset() + 1 >= ends.get((name, partition), 0):
                    ends.pop((name, partition), None)
                at_ms = message.timestamp()[1]
                if at_ms >= since_ms:
                    key = message.key() or b""
                    # Behind pair, interval and beginning of a bar stands its version.
                    key = b"|".join(key.split(b"|")[:3]) if name == _BARS else key
                    who = dict(message.headers() or ()).get("collector") or b""
                    yield at_ms, name.encode() + b"|" + key, who.decode(errors="replace")
            if time.monotonic() - heard_s > TIMEOUT_S:
                raise self.failed(RuntimeError(f"nothing came for {TIMEOUT_S:g} s"))

    def close(self) -> None:
        """Let go of the brokers; what was not confirmed is sent again by whoever opens it next."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(self._library.KafkaException):
                producer.purge()
                producer.flush(0.5)

    def _produce(self, each: Parcel, told: Any) -> None:
        name = topic_of(str(each.topic.channel))
        headers = {
            "pair": each.topic.pair,
            "dialect": each.dialect,
            "parameter": each.parameter,
            "collector": self.collector,
        }
        self._producer.produce(
            name,
            value=each.line.encode(),
            key=f"{each.topic.pair}|{each.key}{'|' if each.version else ''}{each.version}".encode(),
            partition=shard_of(each.topic.pair, self._count(name)),
            headers=list(headers.items()),
            timestamp=int(each.at.timestamp() * 1000),
            on_delivery=told,
        )

    def _count(self, name: str) -> int:
        """Give how many partitions a topic has; asking for it makes it where the brokers allow that."""
        if name not in self._partitions:
            known = self._producer.list_topics(name, timeout=TIMEOUT_S).topics[name]
            if known.error is not None or not known.partitions:
                raise self._library.KafkaException(known.error)
            self._partitions[name] = len(known.partitions)
        return self._partitions[name]


class Distinct:
    """Tells equal events of a topic apart where they are read: keep what `is_new` is True for.

    >>> distinct = Distinct()
    >>> message = consumer.poll(1.0)
    >>> if distinct.is_new(message.topic(), message.key()): ...

    Used by one thread. Two collectors send the same event moments apart; so the last million keys are enough.

    Args:
        window: How many keys are remembered.
    """

    def __init__(self, window: int = _WINDOW) -> None:
        self._window = window
        self._keys: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def is_new(self, topic: str, key: bytes) -> bool:
        """Tell whether an event comes for the first time, and remember it."""
        if (topic, key) in self._keys:
            return False
        self._keys[topic, key] = None
        if len(self._keys) > self._window:
            self._keys.popitem(last=False)
        return True


class _Quiet:
    """Takes librdkafka's log, which would go to standard error; what matters comes as an error of a batch."""

    def log(self, *_: Any, **__: Any) -> None:
        pass
