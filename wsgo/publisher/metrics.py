"""The publisher's counters for Prometheus, read when they are scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .publisher import Publisher


class PublisherCollector(Collector):
    """Turns the state of a publisher into metrics; the publish loop pays nothing for it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def collect(self) -> Iterator[Metric]:
        """Give every metric with its value now."""
        publisher = self._publisher
        ledger, link = publisher.ledger, publisher.link
        sent = CounterMetricFamily("publisher_messages_sent", "Messages sent to NATS", labels=["event"])
        for name, count in publisher.market.sent.items():
            sent.add_metric([name], count)
        yield sent
        errors = CounterMetricFamily("publisher_errors", "Messages not known to be stored", labels=["reason"])
        for reason, count in ledger.errors.items():
            errors.add_metric([reason], count)
        yield errors
        yield _counter("messages_published", "Messages the stream confirmed", ledger.published)
        yield _counter("messages_skipped", "Messages left out because the publisher was late", publisher.pace.skipped)
        yield _counter("nats_reconnects", "Connections to NATS after the first", link.reconnects)
        asked = publisher.pace.rate if publisher.publishing else 0
        yield _gauge("rate_asked", "Messages a second that were asked for; 0 while stopped", asked)
        yield _gauge("rate_reached", "Messages a second confirmed over the last 5 s", publisher.meter.reached())
        yield _gauge("publishing", "1 while publishing", publisher.publishing)
        yield _gauge("acks_pending", "Messages waiting for their acknowledgement", ledger.in_flight)
        yield _gauge("tokens", "Tokens simulated", len(publisher.market.tokens))
        yield _gauge("nats_connected", "1 while connected to NATS", link.connected)
        yield _gauge("healthy", "1 while /health answers 200", publisher.health()[0])
        yield _gauge("stream_messages", "Messages the stream holds", link.report.messages)
        yield _gauge("stream_bytes", "Bytes the stream holds", link.report.bytes)
        yield _gauge("stream_last_sequence", "Last sequence of the stream", link.report.last_sequence)


def register(publisher: Publisher, registry: CollectorRegistry) -> None:
    """Add the publisher's metrics and those of its process to `registry`."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry.register(PublisherCollector(publisher))
    ProcessCollector(registry=registry)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"publisher_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"publisher_{name}", text, value=float(value))
