"""wsgo/metrics.py: one worker's figures, all workers' figures, and what outlives a worker."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from wsgo.metrics import METRICS, Histogram, Metrics, merge, render


def test_names_are_in_the_fields_conventions() -> None:
    for series in METRICS:
        assert series.name.endswith("_total") == (series.type == "counter")
        assert bool(series.buckets) == (series.type == "histogram")
        assert series.help.endswith(".")
    assert len({series.name for series in METRICS}) == len(METRICS)


def test_workers_add_up_and_gauges_follow_their_rule() -> None:
    one, two = Metrics(), Metrics()
    one.messages_sent, two.messages_sent = 3, 4
    one.disconnects["slow", "server"] = 1
    two.disconnects["slow", "server"] = 2
    one.latency.observe(0.002)
    two.latency.observe(100)
    both = merge([one.snapshot({"ws_nats_connected": {"": 1}}), two.snapshot({"ws_nats_connected": {"": 0}})])
    text = render(both, "")[0].decode()
    assert "ws_messages_sent_total 7.0" in text
    assert 'ws_disconnects_total{initiated_by="server",reason="slow"} 3.0' in text
    assert "ws_nats_connected 0.0" in text
    assert 'ws_delivery_latency_seconds_bucket{le="0.0025"} 1.0' in text
    assert 'ws_delivery_latency_seconds_bucket{le="10.0"} 1.0' in text
    assert 'ws_delivery_latency_seconds_bucket{le="+Inf"} 2.0' in text
    assert "ws_delivery_latency_seconds_count 2.0" in text


def test_counters_go_on_where_a_dead_worker_left_them() -> None:
    dead, born = Metrics(), Metrics()
    dead.connections = 5
    dead.refusals["accept_rate"] = 2
    born.inherit(dead.snapshot({"ws_connections_current": {"": 5}}))
    born.connections = 1
    snapshot = born.snapshot({"ws_connections_current": {"": 1}})
    assert snapshot["ws_connections_total"] == {"": 6}
    assert snapshot["ws_capacity_rejections_total"] == {"accept_rate": 2}
    assert snapshot["ws_connections_current"] == {"": 1}


def test_buckets_are_inclusive() -> None:
    histogram = Histogram("ws_flush_duration_seconds")
    for bound in histogram.bounds:
        histogram.observe(bound)
    assert histogram.counts == [1] * len(histogram.bounds) + [0]


def test_the_text_is_valid_for_prometheus() -> None:
    body, content_type = render(Metrics().snapshot({}), "text/plain")
    assert re.match(r"text/plain; version=", content_type)
    assert list(text_string_to_metric_families(body.decode()))
