"""What a collector tells Prometheus: a file for node_exporter, or a port of its own (extra `metrics`).

Decided here: the names and labels of the metrics. Both ways give the same.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lbank_ws.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from lbank_ws.channels import Topic
    from lbank_ws.client import LBankClient
    from lbank_ws.collect.collector import Collector

log = logging.getLogger("lbank_ws")

_EVERY_S = 15.0


class Metric(NamedTuple):
    """One metric and its samples: labels, and a number."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: list[tuple[dict[str, str], float]]


def metrics(collector: Collector, client: LBankClient) -> list[Metric]:
    """Give the metrics as they stand."""
    counts = collector.store.counts
    stats = client.stats()

    def of(topic: Topic) -> dict[str, str]:
        more = topic.levels or topic.interval
        return {"channel": str(topic.channel), "pair": topic.pair, "parameter": "" if more is None else str(more)}

    return [
        Metric(
            "lbank_ws_events_total",
            "counter",
            "Events that were kept.",
            [(of(known.topic), counts.events[known.topic]) for known in stats],
        ),
        Metric(
            "lbank_ws_late_total",
            "counter",
            "Pushes that came late.",
            [(of(known.topic), known.late) for known in stats],
        ),
        Metric(
            "lbank_ws_age_seconds",
            "gauge",
            "How old the newest push was when it came.",
            [(of(known.topic), known.last_age_s) for known in stats if known.last_age_s is not None],
        ),
        Metric(
            "lbank_ws_live",
            "gauge",
            "1 while a subscription is live.",
            [(of(known.topic), float(known.state == "live")) for known in stats],
        ),
        Metric(
            "lbank_ws_gaps_total",
            "counter",
            "Holes that were told of.",
            [(of(known.topic), collector.gaps[known.topic]) for known in stats],
        ),
        Metric("lbank_ws_duplicates_total", "counter", "Events that the store had.", [({}, counts.duplicates)]),
        Metric(
            "lbank_ws_bytes_total",
            "counter",
            "Bytes that were written.",
            [(of(known.topic), counts.bytes[known.topic]) for known in stats],
        ),
        Metric(
            "lbank_ws_losses_total",
            "counter",
            "Lines that were lost.",
            [({}, sum(line.losses for line in client.lines()))],
        ),
        *_of_sinks(collector),
        *_of_lease(collector),
        Metric("lbank_ws_updated_seconds", "gauge", "When this was written, in Unix time.", [({}, time.time())]),
    ]


def _of_sinks(collector: Collector) -> list[Metric]:
    """Give what there is to tell of the engines of `--also`; nothing without one."""
    from lbank_ws.sinks.streaming import Streaming

    sinks = [tap for tap in getattr(collector.store, "taps", ()) if isinstance(tap, Streaming)]
    if not sinks:
        return []

    def each(tell: Callable[[Streaming], float]) -> list[tuple[dict[str, str], float]]:
        return [({"sink": sink.engine.name}, tell(sink)) for sink in sinks]

    return [
        Metric(
            "lbank_ws_sink_sent_total",
            "counter",
            "Events that an engine has taken.",
            each(lambda sink: sink.tally.sent),
        ),
        Metric(
            "lbank_ws_sink_known_total",
            "counter",
            "Events among them that it had already, such as those of another collector.",
            each(lambda sink: sink.tally.known),
        ),
        Metric("lbank_ws_sink_left", "gauge", "Events that it has not yet.", each(lambda sink: sink.left)),
        Metric("lbank_ws_sink_up", "gauge", "1 while it takes events.", each(lambda sink: float(sink.failure is None))),
    ]


def _of_lease(collector: Collector) -> list[Metric]:
    """Give what there is to tell of `--lease`; nothing without it."""
    from lbank_ws.leases.tenancy import Tenancy

    lease = collector.lease
    if not isinstance(lease, Tenancy):
        return []
    of = {"lease": lease.name}
    return [
        Metric("lbank_ws_lease_pairs", "gauge", "Pairs that are this worker's.", [(of, lease.held)]),
        Metric("lbank_ws_lease_workers", "gauge", "Workers that share the pairs.", [(of, lease.workers)]),
        Metric("lbank_ws_lease_up", "gauge", "1 while the engine answers.", [(of, float(lease.failure is None))]),
    ]


def text(found: Iterable[Metric]) -> str:
    """Give metrics in the text format of Prometheus. Pairs and channels hold nothing that needs an escape."""
    lines = []
    for metric in found:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, number in metric.samples:
            named = ",".join(f'{name}="{label}"' for name, label in labels.items())
            lines.append(f"{metric.name}{'{' + named + '}' if named else ''} {number:.17g}")
    return "\n".join(lines) + "\n"


class Textfile:
    """The file of node_exporter's textfile collector; it is replaced whole, every 15 s and at the end."""

    def __init__(self, path: str | None, collector: Collector, client: LBankClient) -> None:
        self._path = None if path is None else Path(path)
        self._collector = collector
        self._client = client
        self._due_s = 0.0

    def write(self, *, now: bool = False) -> None:
        """Write it when it is due, or now.

        Raises:
            UsageError: It cannot be written the first time; later that is logged, for the data matters more.
        """
        if self._path is None or (not now and time.monotonic() < self._due_s):
            return
        is_first, self._due_s = not self._due_s, time.monotonic() + _EVERY_S
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            beside.write_text(text(metrics(self._collector, self._client)), encoding="utf-8")
            os.chmod(beside, 0o644)  # node_exporter is another user
            os.replace(beside, self._path)
        except OSError as error:
            words = f"--metrics-textfile {self._path} cannot be written: {error.strerror}"
            if is_first:
                raise UsageError(words) from error
            log.warning("%s", words)


def serve(port: int, collector: Collector, client: LBankClient) -> None:
    """Answer Prometheus on a port of this machine, on a thread of its library, until the process ends.

    Raises:
        MissingExtra: prometheus-client is not installed.
        UsageError: The port is taken.
    """
    try:
        import prometheus_client
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError:
        raise MissingExtra("prometheus-client", "metrics") from None

    class Source:
        def collect(self) -> Iterator[Any]:
            for metric in metrics(collector, client):
                family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                made = family(metric.name.removesuffix("_total"), metric.help, labels=list(_labels(metric)))
                for labels, number in metric.samples:
                    made.add_metric(list(labels.values()), number)
                yield made

    registry = prometheus_client.CollectorRegistry()
    registry.register(Source())
    try:
        prometheus_client.start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another with --metrics-port") from error


def _labels(metric: Metric) -> Iterable[str]:
    return metric.samples[0][0] if metric.samples else ()
