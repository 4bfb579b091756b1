"""What is measured. Every series is declared in `METRICS`; the README's table is made from it.

The fan-out counts in plain integers; only a scrape turns them into Prometheus' text. A worker's figures
are a plain dictionary (`Metrics.snapshot`), so that any worker can answer for all of them (`merge`).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    # name -> label values joined by a tab -> value; a histogram's value is [counts.., sum].
    Snapshot = dict[str, dict[str, Any]]

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
FLUSH_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
AGE_BUCKETS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True)
class Series:
    """One metric: `merge` says what all workers together report."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    merge: Literal["sum", "max", "min"] = "sum"
    buckets: tuple[float, ...] = ()


METRICS = (
    Series("ws_build_info", "gauge", "Always 1; the version is in the labels.", ("version", "python"), "max"),
    Series("ws_connections_total", "counter", "Clients that completed the handshake."),
    Series("ws_connections_current", "gauge", "Clients connected now."),
    Series("ws_connections_active", "gauge", "The same as ws_connections_current, under the first system's name."),
    Series("ws_connections_max", "gauge", "WS_MAX_CONNECTIONS; 0 is no limit.", merge="max"),
    Series("ws_connections_failed_total", "counter", "Handshakes that were refused, whatever the reason."),
    Series("ws_connection_age_seconds", "histogram", "Age of connections when they end.", buckets=AGE_BUCKETS),
    Series("ws_disconnects_total", "counter", "Connections ended, by reason and side.", ("reason", "initiated_by")),
    Series("ws_messages_sent_total", "counter", "Envelopes written to clients: one per message and client."),
    Series("ws_messages_received_total", "counter", "Messages received from clients."),
    Series("ws_bytes_sent_total", "counter", "Bytes of envelopes written, frame headers included."),
    Series("ws_bytes_received_total", "counter", "Bytes received from clients after the handshake."),
    Series(
        "ws_delivery_latency_seconds",
        "histogram",
        "From the stream storing a message until the last of its clients was written to; one per message.",
        buckets=LATENCY_BUCKETS,
    ),
    Series(
        "ws_flush_duration_seconds",
        "histogram",
        "One turn of writing to up to 500 clients, while nothing else is done.",
        buckets=FLUSH_BUCKETS,
    ),
    Series("ws_subscriptions", "gauge", "Different sets of subscriptions held by clients."),
    Series("ws_slow_clients", "gauge", "Clients that are too slow now and get the latest message per channel only."),
    Series("ws_slow_clients_disconnected_total", "counter", "Clients closed because they stayed slow."),
    Series("ws_messages_conflated_total", "counter", "Messages slow clients were not sent because a newer one was."),
    Series("ws_dropped_broadcasts_total", "counter", "Messages not fanned out, by reason.", ("reason",)),
    Series("ws_token_faults_total", "counter", "JWTs not accepted, by what was wrong with them.", ("reason",)),
    Series("ws_rate_limited_messages_total", "counter", "Requests refused because a client sent too many."),
    Series("ws_replay_requests_total", "counter", "Replay and resume requests, by result.", ("result",)),
    Series("ws_replay_messages", "gauge", "Messages held for replay by the worker that holds most.", merge="max"),
    Series("ws_nats_connected", "gauge", "1 if every worker is being fed from the stream.", merge="min"),
    Series("ws_nats_messages_received_total", "counter", "Stream messages received, each worker's counted."),
    Series("ws_nats_messages_dropped_total", "counter", "Stream messages dropped, by reason.", ("reason",)),
    Series("ws_feed_sequence", "gauge", "Last stream sequence seen by the worker that is furthest.", merge="max"),
    Series("ws_feed_recoveries_total", "counter", "Times a worker's consumer was made anew."),
    Series("ws_errors_total", "counter", "Faults, by place and severity.", ("type", "severity")),
    Series("ws_capacity_max_connections", "gauge", "WS_MAX_CONNECTIONS; 0 is no limit.", merge="max"),
    Series("ws_capacity_cpu_threshold_percent", "gauge", "WS_CPU_REJECT_THRESHOLD.", merge="max"),
    Series("ws_capacity_rejections_total", "counter", "Handshakes refused, by reason.", ("reason",)),
    Series("ws_capacity_headroom_percent", "gauge", "What is left before refusal.", ("resource",), "min"),
    Series("ws_cpu_usage_percent", "gauge", "CPU used, percent of WS_CPU_LIMIT (not of the host)."),
    Series("ws_cpu_throttled_seconds_total", "counter", "Time the cgroup was held back by its CPU quota.", merge="max"),
    Series("ws_memory_bytes", "gauge", "Memory of the cgroup if it is the server's own, else of its processes."),
    Series("ws_memory_limit_bytes", "gauge", "WS_MEMORY_LIMIT; 0 is no limit.", merge="max"),
    Series("ws_workers", "gauge", "Workers that answer."),
    Series("ws_worker_restarts_total", "counter", "Workers that died and were started again.", merge="max"),
    Series("process_cpu_seconds_total", "counter", "User and system CPU time of all workers."),
    Series("process_resident_memory_bytes", "gauge", "Resident memory of all workers."),
    Series("process_open_fds", "gauge", "Open file descriptors of all workers."),
    Series("process_start_time_seconds", "gauge", "Unix time the first worker started.", merge="min"),
)
BY_NAME = {series.name: series for series in METRICS}


class Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, name: str) -> None:
        self.bounds = BY_NAME[name].buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Metrics:
    """One worker's counters, as plain attributes."""

    def __init__(self) -> None:
        self.connections = 0
        self.messages_sent = 0
        self.messages_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.conflated = 0
        self.slow_disconnected = 0
        self.rate_limited = 0
        self.nats_received = 0
        self.recoveries = 0
        self.disconnects: Counter[tuple[str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.token_faults: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.nats_dropped: Counter[str] = Counter()
        self.replays: Counter[str] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.latency = Histogram("ws_delivery_latency_seconds")
        self.flush = Histogram("ws_flush_duration_seconds")
        self.age = Histogram("ws_connection_age_seconds")
        # Counters of a worker that died in this one's place, so that totals never go back.
        self._inherited: Snapshot = {}

    def flushed(self, seconds: float, stored: Iterable[float]) -> None:
        """A turn of writing took `seconds`; messages stored at these unix times have been written to all with it."""
        self.flush.observe(seconds)
        now = time.time()
        for at in stored:
            self.latency.observe(max(0.0, now - at))

    def inherit(self, snapshot: Snapshot) -> None:
        """Continue the counters and histograms of `snapshot`."""
        self._inherited = {
            name: values
            for name, values in snapshot.items()
            if name in BY_NAME and BY_NAME[name].type != "gauge" and BY_NAME[name].merge == "sum"
        }

    def snapshot(self, gauges: Snapshot) -> Snapshot:
        """This worker's figures; `gauges` adds those that are read elsewhere at this moment."""
        refused = sum(self.refusals.values())
        own: Snapshot = {
            "ws_connections_total": {"": self.connections},
            "ws_connections_failed_total": {"": refused},
            "ws_connection_age_seconds": {"": [*self.age.counts, self.age.sum]},
            "ws_disconnects_total": _labelled(self.disconnects),
            "ws_messages_sent_total": {"": self.messages_sent},
            "ws_messages_received_total": {"": self.messages_received},
            "ws_bytes_sent_total": {"": self.bytes_sent},
            "ws_bytes_received_total": {"": self.bytes_received},
            "ws_delivery_latency_seconds": {"": [*self.latency.counts, self.latency.sum]},
            "ws_flush_duration_seconds": {"": [*self.flush.counts, self.flush.sum]},
            "ws_slow_clients_disconnected_total": {"": self.slow_disconnected},
            "ws_messages_conflated_total": {"": self.conflated},
            "ws_dropped_broadcasts_total": _labelled(self.dropped),
            "ws_token_faults_total": _labelled(self.token_faults),
            "ws_rate_limited_messages_total": {"": self.rate_limited},
            "ws_replay_requests_total": _labelled(self.replays),
            "ws_nats_messages_received_total": {"": self.nats_received},
            "ws_nats_messages_dropped_total": _labelled(self.nats_dropped),
            "ws_feed_recoveries_total": {"": self.recoveries},
            "ws_errors_total": _labelled(self.errors),
            "ws_capacity_rejections_total": _labelled(self.refusals),
        }
        return merge([self._inherited, {**own, **gauges}]) if self._inherited else {**own, **gauges}


def _labelled(counts: Mapping[Any, int]) -> dict[str, int]:
    return {key if isinstance(key, str) else "\t".join(key): count for key, count in counts.items()}


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """All workers' figures as one."""
    result: Snapshot = {}
    for snapshot in snapshots:
        for name, values in snapshot.items():
            into = result.setdefault(name, {})
            for labels, value in values.items():
                into[labels] = _combined(BY_NAME[name].merge, into[labels], value) if labels in into else value
    return result


def _combined(how: str, one: Any, other: Any) -> Any:
    if isinstance(one, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    if how == "sum":
        return one + other
    return max(one, other) if how == "max" else min(one, other)


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for series in METRICS:
            values = self._snapshot.get(series.name, {})
            if values or series.labels:
                yield _family(series, values)


def _family(series: Series, values: Mapping[str, Any]) -> Metric:
    if series.type == "histogram":
        histogram = HistogramMetricFamily(series.name, series.help, labels=series.labels)
        for labels, value in values.items():
            *counts, total = value
            running, buckets = 0, []
            for bound, count in zip((*map(str, series.buckets), "+Inf"), counts, strict=True):
                running += count
                buckets.append((bound, running))
            histogram.add_metric(_label_values(series, labels), buckets, total)
        return histogram
    kind = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    family = kind(series.name, series.help, labels=series.labels)
    for labels, value in values.items():
        family.add_metric(_label_values(series, labels), value)
    return family


def _label_values(series: Series, labels: str) -> list[str]:
    return labels.split("\t") if series.labels else []


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Body and Content-Type: OpenMetrics if `accept` asks for it, else Prometheus' text."""
    registry = CollectorRegistry()
    registry.register(_Collector(snapshot))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
