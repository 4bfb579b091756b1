"""The checklist follows the topology, and holds what the plan asks for."""

from __future__ import annotations

from dataclasses import replace

from constructs_lib.checklist import Probe, checklist
from constructs_lib.model import Kind
from stacks.settings import Settings
from stacks.topology import declare

TOPOLOGY = declare(Settings())


def test_every_service_with_a_health_check_is_asked() -> None:
    asked = {check.service for check in checklist(TOPOLOGY) if check.probe is Probe.HTTP}
    assert asked == {name for name, service in TOPOLOGY.services.items() if service.health}


def test_every_scrape_target_is_scraped() -> None:
    scraped = {(check.service, check.port) for check in checklist(TOPOLOGY) if check.probe is Probe.METRICS}
    assert scraped == {(flow.to, flow.port) for flow in TOPOLOGY.flows if flow.kind is Kind.SCRAPE}


def test_the_plans_lines_are_there() -> None:
    probes = {check.probe for check in checklist(TOPOLOGY) if check.plan}
    assert probes == set(Probe)
    (metrics,) = (check for check in checklist(TOPOLOGY) if check.plan and check.probe is Probe.METRICS)
    assert metrics.names == ("ws_connections_current", "ws_messages_sent_total")


def test_every_line_says_what_to_do_next() -> None:
    assert all(check.next_step and check.title for check in checklist(TOPOLOGY))


def test_a_service_that_is_gone_is_not_asked() -> None:
    backend = TOPOLOGY.node("odin-backend")
    fewer = replace(backend, services=tuple(s for s in backend.services if s.name != "grafana"))
    flows = tuple(flow for flow in TOPOLOGY.flows if "grafana" not in (flow.source, flow.to))
    smaller = replace(TOPOLOGY, nodes=(fewer, TOPOLOGY.node("odin-ws-go")), flows=flows)
    assert "grafana" not in {check.service for check in checklist(smaller)}
