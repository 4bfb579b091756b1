"""Flows: both ends are there, the way between them is open, and nothing is declared that no flow touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib import firewall
from constructs_lib.checks.network import Way, admits, arrivals, blockers, entries, is_loopback, opens, way
from constructs_lib.faults import Fault
from constructs_lib.model import Speaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.checks.network import Arrival
    from constructs_lib.model import Flow, Node, Port, Publish, Rule, Topology


def ends(topology: Topology) -> Iterator[Fault]:
    """Both ends of a flow exist, and somebody listens at the far one."""
    nodes = [node.name for node in topology.nodes]
    services, actors = ", ".join(topology.services), ", ".join(actor.name for actor in topology.actors)
    for flow in topology.flows:
        if flow.source in nodes and flow.source not in topology.services:
            yield Fault(
                "flow-source",
                str(flow),
                f"{flow.source} is a node, and only its services talk",
                "Name the service that talks",
            )
        elif topology.home(flow.source) is None and topology.actor(flow.source) is None:
            yield Fault(
                "flow-source",
                str(flow),
                f"{flow.source} is not declared (services: {services or 'none'}; actors: {actors or 'none'})",
                "Declare it or name another source",
            )
        if topology.actor(flow.to) is not None:
            yield Fault(
                "flow-target",
                str(flow),
                f"{flow.to} is an actor, and nobody listens there",
                "Turn the flow round or name a service",
            )
        elif topology.home(flow.to) is None:
            yield Fault(
                "flow-target",
                str(flow),
                f"{flow.to} is not declared (nodes: {', '.join(nodes)}; services: {services or 'none'})",
                "Declare it or name another target",
            )
        elif topology.port_of(flow.to, flow.port) is None:
            yield Fault(
                "flow-port",
                str(flow),
                f"{flow.to} listens on no port {flow.port} (it has {ports(topology, flow.to)})",
                f"Declare the port on {flow.to} or name one that it has",
            )


def opened(topology: Topology) -> Iterator[Fault]:
    """What enters a node finds the port published there, and a firewall rule that lets it in."""
    for flow in topology.flows:
        on_the_way = way(topology, flow)
        if on_the_way not in {Way.NODE, Way.TUNNEL, Way.NETWORK}:
            continue
        found = entries(topology, flow.to, flow.port)
        if not found:
            yield _unpublished(topology, flow)
        if on_the_way is Way.NETWORK:
            if found and all(is_loopback(entry) for entry in found):
                yield _loopback(topology, flow, found[0])
            yield from _shut(topology, flow)


def tunnels(topology: Topology) -> Iterator[Fault]:
    """A tunnel ends in the SSH server of a node, which somebody must reach first."""
    ssh = {
        flow.to for flow in topology.flows if way(topology, flow) is Way.NETWORK and _speaks(topology, flow, Speaks.SSH)
    }
    wanted: dict[str, str] = {}
    for flow in topology.flows:
        there = topology.home(flow.to)
        if there is not None and way(topology, flow) is Way.TUNNEL and there.name not in ssh:
            wanted.setdefault(there.name, f"{flow.source} comes through a tunnel to {flow.to}:{flow.port}")
    for node, what in wanted.items():
        yield Fault(
            "tunnel-ssh",
            f"node {node}",
            f"{what}, but no flow lets anybody in by SSH",
            f"Declare a flow to {node}:ssh",
        )


def unused(topology: Topology) -> Iterator[Fault]:
    """A port or an actor that no flow names is a forgotten flow or a leftover."""
    asked = {(flow.to, flow.port) for flow in topology.flows}
    for service in topology.services.values():
        for port in service.ports:
            if (service.name, port.name) not in asked:
                yield Fault(
                    "port-unused",
                    f"service {service.name}",
                    f"it listens on {port.number} ({port.name}), and no flow goes there",
                    "Declare who talks to it, or drop the port",
                )
    sources = {flow.source for flow in topology.flows}
    for actor in topology.actors:
        if actor.name not in sources:
            yield Fault(
                "actor-unused",
                f"actor {actor.name}",
                "no flow comes from it",
                "Declare what it does, or drop it",
            )


def ports(topology: Topology, name: str) -> str:
    """The ports as a reader sees them: ``client=4222, monitor=8222``, or ``none``."""
    owner = topology.services.get(name) or topology.home(name)
    return ", ".join(f"{port.name}={port.number}" for port in owner.ports) if owner and owner.ports else "none"


def _speaks(topology: Topology, flow: Flow, language: Speaks) -> bool:
    port = topology.port_of(flow.to, flow.port)
    return port is not None and language in port.speaks


def _end(topology: Topology, flow: Flow) -> tuple[Node, Port]:
    there, port = topology.home(flow.to), topology.port_of(flow.to, flow.port)
    assert there is not None
    assert port is not None
    return there, port


def _unpublished(topology: Topology, flow: Flow) -> Fault:
    there, port = _end(topology, flow)
    others = [
        f"{other.number} as {entry.host_port}"
        for other in topology.services[flow.to].ports
        for entry in entries(topology, flow.to, other.name)
    ]
    instead = f" (it publishes {', '.join(others)})" if others else ""
    return Fault(
        "flow-published",
        str(flow),
        f"{there.name} does not publish {flow.to}'s port {port.number} as {port.host_number}{instead}",
        f"Publish it as {port.host_number}, or let the flow end at a port that is published",
    )


def _loopback(topology: Topology, flow: Flow, entry: Publish) -> Fault:
    there, _ = _end(topology, flow)
    return Fault(
        "flow-loopback",
        str(flow),
        f"{there.name} publishes {flow.to}:{flow.port} on {entry.address}:{entry.host_port} only, where"
        f" {flow.source} cannot reach it",
        "Let it come through a tunnel, or publish the port on 0.0.0.0"
        if topology.actor(flow.source)
        else "Publish the port on 0.0.0.0",
    )


def _shut(topology: Topology, flow: Flow) -> Iterator[Fault]:
    all_rules = firewall.rules(topology)
    out = [arrival for arrival in arrivals(topology, flow) if not admits(all_rules, arrival)]
    if out:
        door = f"{out[0].transport}:{out[0].number}"
        named = flow.source
        if topology.actor(flow.source):
            named += f" ({', '.join(str(each.source) for each in out)})"
        yield Fault(
            "flow-rule",
            str(flow),
            f"no firewall rule lets {named} reach {door} on {out[0].node.name}" + _nearly(all_rules, out[0], flow.rule),
            f"Add a rule that opens {door}, or drop the flow",
        )


def _nearly(all_rules: tuple[Rule, ...], arrival: Arrival, name: str) -> str:
    """Why the rule that was meant does not do it; empty where there is none."""
    for rule in all_rules:
        if opens(rule, arrival):
            if admits((rule,), arrival):
                return f" ({blockers(all_rules, rule, arrival)[0].name} comes before {rule.name})"
            return f" ({rule.name} lets in {', '.join((*rule.source_tags, *rule.source_ranges))})"
    for rule in all_rules:
        if name and rule.name == name:
            opened = ", ".join(f"{transport}:{number}" for transport, number in rule.allows)
            return f" ({name} opens {opened} of {', '.join(rule.target_tags)})"
    return ""


CHECKS = (ends, opened, tunnels, unused)
