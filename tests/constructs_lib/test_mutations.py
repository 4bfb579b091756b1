"""The real topology, changed in one place at a time: no change may pass as if nothing were wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from constructs_lib.checks import faults
from constructs_lib.firewall import rules
from constructs_lib.model import Kind
from constructs_lib.publishing import publishes
from stacks.settings import Settings
from stacks.topology import declare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Flow, Publish, Rule, Service, Topology

with mock.patch.dict(os.environ, {k: v for k, v in os.environ.items() if not k.startswith("ODIN_")}, clear=True):
    REAL = declare(Settings(grafana_cidrs=("203.0.113.0/24",)))
# The same, as somebody would have written it by hand: what is derived no longer follows a change.
BY_HAND = replace(REAL, publishes=publishes(REAL), rules=rules(REAL))
RULES, PUBLISHES = rules(REAL), publishes(REAL)
MAPPED = tuple(entry for entry in PUBLISHES if REAL.services[entry.service].network == "bridge")


def with_rule(old: Rule, *new: Rule) -> Topology:
    return replace(BY_HAND, rules=tuple(each for rule in RULES for each in (new if rule is old else (rule,))))


def with_publish(old: Publish, *new: Publish) -> Topology:
    kept = tuple(each for entry in PUBLISHES for each in (new if entry is old else (entry,)))
    return replace(BY_HAND, publishes=kept)


def with_service(topology: Topology, old: Service, *new: Service) -> Topology:
    nodes = [
        replace(
            node, services=tuple(each for service in node.services for each in (new if service is old else (service,)))
        )
        for node in topology.nodes
    ]
    return replace(topology, nodes=tuple(nodes))


def without_flow(topology: Topology, flow: Flow) -> Topology:
    return replace(topology, flows=tuple(each for each in topology.flows if each is not flow))


def test_the_real_topology_has_no_fault() -> None:
    with mock.patch.dict(os.environ, {k: v for k, v in os.environ.items() if not k.startswith("ODIN_")}, clear=True):
        assert [str(fault) for fault in faults(declare(Settings()))] == []
    assert [str(fault) for fault in faults(REAL)] == []
    assert [str(fault) for fault in faults(BY_HAND)] == []


# Nothing but the operator's own wish depends on these. Dropped, they leave nothing open behind them:
# what is derived goes with them, and ws-go, in the host's network, listens for Prometheus all the same.
WISHES = {
    "flow operator -> grafana:http",
    "flow operator -> prometheus:http",
    "flow operator -> loki:http",
    "flow operator -> publisher:http",
    "flow operator -> nats:monitor",
    "flow operator -> ws-go:internal",
}


@pytest.mark.parametrize("flow", REAL.flows, ids=str)
def test_a_flow_that_is_forgotten(flow: Flow) -> None:
    assert bool(faults(without_flow(REAL, flow))) == (str(flow) not in WISHES)


@pytest.mark.parametrize("flow", REAL.flows, ids=str)
def test_a_flow_that_leaves_its_door_behind(flow: Flow) -> None:
    shared = {"flow operator -> ws-go:internal", "flow operator -> grafana:http"}
    assert bool(faults(without_flow(BY_HAND, flow))) == (str(flow) not in shared)


@pytest.mark.parametrize("flow", [flow for flow in REAL.flows if flow.kind is not Kind.TRAFFIC], ids=str)
def test_a_flow_that_loses_its_kind(flow: Flow) -> None:
    plain = replace(flow, kind=Kind.TRAFFIC)
    assert faults(replace(REAL, flows=tuple(plain if each is flow else each for each in REAL.flows)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_that_is_forgotten(rule: Rule) -> None:
    assert faults(with_rule(rule))


def changed_rules() -> Iterator[object]:
    for rule in RULES:
        changes: dict[str, Rule] = {
            "allow and deny": replace(rule, deny=not rule.deny),
            "no target": replace(rule, target_tags=()),
            "another target": replace(rule, target_tags=("nobody",)),
            "behind the default rules": replace(rule, priority=65535),
        }
        for transport, number in rule.allows:
            rest = tuple(each for each in rule.allows if each != (transport, number))
            changes[f"{number + 1} for {number}"] = replace(rule, allows=(*rest, (transport, number + 1)))
            changes[f"{number + 1} too"] = replace(rule, allows=(*rule.allows, (transport, number + 1)))
            changes[f"udp {number}"] = replace(rule, allows=(*rest, ("udp", number)))
        # Another tag of a node that is let in anyway would let in nobody new.
        let_in = {tag for node in REAL.nodes if set(node.tags) & set(rule.source_tags) for tag in node.tags}
        for tag in sorted({tag for node in REAL.nodes for tag in node.tags} - let_in):
            if not rule.deny:
                changes[f"from {tag} too"] = replace(rule, source_tags=(*rule.source_tags, tag))
        for cidr in rule.source_ranges:
            changes[f"another network than {cidr}"] = replace(rule, source_ranges=("128.0.0.0/1",))
        if rule.source_ranges != ("0.0.0.0/0",):
            changes["from everywhere"] = replace(rule, source_ranges=("0.0.0.0/0",))
        for change, new in changes.items():
            yield pytest.param(rule, new, id=f"{rule.name}, {change}")


@pytest.mark.parametrize(("rule", "new"), [*changed_rules()])
def test_a_rule_that_is_changed(rule: Rule, new: Rule) -> None:
    assert faults(with_rule(rule, new))


@pytest.mark.parametrize("entry", MAPPED, ids=lambda entry: f"{entry.service}:{entry.port}")
def test_a_published_port_that_is_changed(entry: Publish) -> None:
    assert faults(with_publish(entry))
    assert faults(with_publish(entry, entry, entry))
    other_node = next(node.name for node in REAL.nodes if node.name != entry.node)
    other_address = "127.0.0.1" if entry.address == "0.0.0.0" else "0.0.0.0"
    for change in (
        replace(entry, host_port=entry.host_port + 1),
        replace(entry, transport="udp"),
        replace(entry, address=other_address),
        replace(entry, address="localhost"),
        replace(entry, node=other_node),
        replace(entry, service="nobody"),
        replace(entry, port="nothing"),
    ):
        assert faults(with_publish(entry, change)), change


@pytest.mark.parametrize("name", REAL.services)
@pytest.mark.parametrize("topology", [REAL, BY_HAND], ids=["derived", "by hand"])
def test_a_service_that_is_changed(topology: Topology, name: str) -> None:
    service = topology.services[name]
    assert faults(with_service(topology, service))
    assert faults(with_service(topology, service, service, service))
    assert faults(with_service(topology, service, replace(service, name=f"{name}-2")))
    for port in service.ports:
        rest = tuple(each for each in service.ports if each is not port)
        assert faults(with_service(topology, service, replace(service, ports=rest))), port
        renamed = replace(port, name=f"{port.name}-2")
        assert faults(with_service(topology, service, replace(service, ports=(*rest, renamed)))), port


@pytest.mark.parametrize("entry", PUBLISHES, ids=lambda entry: f"{entry.service}:{entry.port}")
def test_a_number_that_changes_in_one_place_only(entry: Publish) -> None:
    service = REAL.services[entry.service]
    port = service.port(entry.port)
    assert port is not None
    number = port.host_number + 1
    new = replace(port, number=number) if service.network == "host" else replace(port, host=number)
    ports = tuple(new if each is port else each for each in service.ports)
    changed = replace(service, ports=ports)
    assert faults(with_service(BY_HAND, service, changed))
    # Said once, everything follows.
    assert [str(fault) for fault in faults(with_service(REAL, service, changed))] == []


@pytest.mark.parametrize("at", range(len(REAL.nodes)))
def test_a_node_that_is_renamed(at: int) -> None:
    nodes = [replace(node, name=f"{node.name}-2") if at == number else node for number, node in enumerate(REAL.nodes)]
    assert faults(replace(REAL, nodes=tuple(nodes)))


@pytest.mark.parametrize("actor", REAL.actors, ids=lambda actor: actor.name)
def test_an_actor_that_is_forgotten_or_renamed(actor: object) -> None:
    rest = tuple(each for each in REAL.actors if each is not actor)
    assert faults(replace(REAL, actors=rest))
    renamed = tuple(replace(each, name="somebody") if each is actor else each for each in REAL.actors)
    assert faults(replace(REAL, actors=renamed))


def test_ws_go_moves_in_with_the_rest_without_a_change_to_any_flow() -> None:
    backend, ws_go = REAL.nodes
    together = replace(backend, services=(*backend.services, *ws_go.services), machine_type="e2-standard-4")
    flows = tuple(flow for flow in REAL.flows if flow.to != ws_go.name)
    assert [str(fault) for fault in faults(replace(REAL, nodes=(together,), flows=flows))] == []
