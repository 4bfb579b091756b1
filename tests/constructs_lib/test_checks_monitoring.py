from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.model import Flow, Kind, Port, Speaks, Topology
from tests.constructs_lib.tiny import ADMIN, alone, clean, flow, node, of, only, service, topology

PROM = service("prom", Port(name="api", number=9090, speaks=(Speaks.PROMETHEUS, Speaks.METRICS)))
LOKI = service("loki", Port(name="api", number=3100, speaks=(Speaks.LOKI,)))
COLLECTOR = service(
    "collector",
    Port(name="syslog", number=1514, speaks=(Speaks.SYSLOG,)),
    sockets=("/var/run/docker.sock",),
)
BOARD = service("board")
APP = service("app", Port(name="metrics", number=9000, speaks=(Speaks.METRICS,)))
FLOWS = (
    flow("prom prom:api", kind=Kind.SCRAPE),
    flow("prom app:metrics", kind=Kind.SCRAPE),
    flow("app collector:syslog", kind=Kind.LOGS),
    flow("collector loki:api"),
    flow("board prom:api", kind=Kind.QUERY),
    flow("board loki:api", kind=Kind.QUERY),
)
GOOD = topology(node("watch", PROM, LOKI, COLLECTOR, BOARD), node("work", APP), flows=FLOWS)


def without(*paths: str) -> Topology:
    return replace(GOOD, flows=tuple(each for each in FLOWS if f"{each.source} {each.to}:{each.port}" not in paths))


def test_nothing_is_wrong_with_the_whole() -> None:
    clean(GOOD)


@pytest.mark.parametrize(
    ("speaks", "kind", "rule", "value"),
    [
        (Speaks.NATS_MONITOR, Kind.SCRAPE, "scrape-format", "speaks NATS monitoring (JSON), not the Prometheus text"),
        (Speaks.HTTP, Kind.QUERY, "query-format", "speaks http, not Prometheus' or Loki's query API"),
        (Speaks.HTTP, Kind.LOGS, "logs-format", "speaks http, not syslog or Loki's push API"),
    ],
)
def test_both_ends_speak_the_same(speaks: Speaks, kind: Kind, rule: str, value: str) -> None:
    other = service("other", Port(name="port", number=8222, speaks=(speaks,)))
    good = alone(PROM, other, flows=(FLOWS[0], flow("prom other:port")))
    clean(good)
    flows = (FLOWS[0], flow("prom other:port", kind=kind), flow("other prom:api", kind=Kind.QUERY))
    fault = only(replace(good, flows=flows), rule, "flow prom -> other:port", "other:8222", value)
    assert ("exporter" in fault.fix) == (speaks is Speaks.NATS_MONITOR)


def test_an_actor_scrapes_nothing() -> None:
    asking: Flow = flow("admin app:metrics", kind=Kind.SCRAPE)
    only(
        replace(GOOD, flows=(*FLOWS, asking), actors=(ADMIN,)),
        "flow-kind",
        "flow admin -> app:metrics",
        "from service to service",
    )


def test_a_node_is_scraped_by_nobody() -> None:
    exporter = Port(name="exporter", number=9100, speaks=(Speaks.METRICS,))
    good = alone(PROM, flows=(FLOWS[0], flow("prom front:exporter")))
    good = replace(good, nodes=(replace(good.nodes[0], ports=(exporter,)),))
    clean(good)
    flows = (FLOWS[0], flow("prom front:exporter", kind=Kind.SCRAPE))
    only(replace(good, flows=flows), "flow-kind", "flow prom -> front:exporter", "from service to service")


def test_who_scrapes_is_a_prometheus() -> None:
    fault = of(replace(GOOD, flows=(*FLOWS, flow("board app:metrics", kind=Kind.SCRAPE))), "flow-kind")
    assert fault.where == "flow board -> app:metrics"
    assert "board is no Prometheus" in fault.what


def test_two_jobs_of_one_name() -> None:
    ports = (*APP.ports, Port(name="more", number=9001, speaks=(Speaks.METRICS,)))
    flows = (*FLOWS, flow("prom app:more", kind=Kind.SCRAPE))
    broken = replace(GOOD, nodes=(GOOD.nodes[0], node("work", replace(APP, ports=ports))), flows=flows)
    only(broken, "scrape-job", "flow prom -> app:more", "prom scrapes app:metrics already")


def test_metrics_that_nobody_scrapes() -> None:
    flows = (*without("prom app:metrics").flows, flow("prom app:metrics"))
    only(replace(GOOD, flows=flows), "unscraped", "service app", "serves metrics")


def test_what_shows_the_others_need_not_be_scraped() -> None:
    board = service("board", Port(name="http", number=3000, speaks=(Speaks.HTTP, Speaks.METRICS)))
    nodes = (node("watch", PROM, LOKI, COLLECTOR, board), GOOD.nodes[1])
    clean(replace(GOOD, nodes=nodes, flows=(*FLOWS, flow("prom board:http"))))


def test_without_a_prometheus_nobody_need_be_scraped() -> None:
    clean(alone(APP, BOARD, flows=(flow("board app:metrics"),)))


@pytest.mark.parametrize("path", ["board prom:api", "board loki:api"])
def test_a_store_that_no_dashboard_reads(path: str) -> None:
    name = path.removeprefix("board ").removesuffix(":api")
    only(without(path), "unread", f"service {name}", "no dashboard reads")


def test_logs_that_go_nowhere() -> None:
    flows = tuple(each if each.kind is not Kind.LOGS else replace(each, kind=Kind.TRAFFIC) for each in FLOWS)
    only(replace(GOOD, flows=flows), "log-route", "service app", "a collector on work", "loki never gets them")


def test_logs_that_a_collector_keeps_to_itself() -> None:
    only(without("collector loki:api"), "log-store", "service collector", "hands them to loki")


def test_logs_that_a_receiver_keeps_to_itself() -> None:
    receiver = replace(COLLECTOR, name="receiver", sockets=())
    nodes = (node("watch", PROM, LOKI, COLLECTOR, BOARD, receiver), GOOD.nodes[1])
    flows = (*FLOWS[:2], *FLOWS[3:], flow("app receiver:syslog", kind=Kind.LOGS), flow("prom collector:syslog"))
    clean(replace(GOOD, nodes=nodes, flows=(*flows, flow("receiver loki:api"))))
    only(replace(GOOD, nodes=nodes, flows=flows), "log-store", "service receiver", "hands them to loki")


def test_a_store_takes_logs_itself() -> None:
    flows = (*FLOWS[:2], *FLOWS[3:], flow("app loki:api", kind=Kind.LOGS), flow("prom collector:syslog"))
    clean(replace(GOOD, flows=flows))


def test_without_a_store_logs_stay_where_they_are() -> None:
    clean(alone(BOARD))
