"""Published ports: each leads where the topology says, one host port to one service, and no wider than asked."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from constructs_lib.checks.network import Way, is_loopback, openings, way
from constructs_lib.faults import Fault
from constructs_lib.publishing import publishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Publish, Topology


def leads_somewhere(topology: Topology) -> Iterator[Fault]:
    """What is published exists, under the number that everything else is derived from."""
    for entry in publishes(topology):
        home, port = topology.home(entry.service), topology.port_of(entry.service, entry.port)
        if home is None or port is None or home.name != entry.node or entry.service not in topology.services:
            yield Fault(
                "publish-unknown",
                _where(entry),
                f"{entry.service}:{entry.port} is not on {entry.node}",
                "Name a service of this node and one of its ports",
            )
            continue
        if (entry.host_port, entry.transport) != (port.host_number, port.transport):
            yield Fault(
                "publish-port",
                _where(entry),
                f"it is published as {entry.transport}:{entry.host_port}, but the topology says"
                f" {port.transport}:{port.host_number}, and so does everything that looks for it",
                "Change one of them",
            )
        try:
            ip_address(entry.address)
        except ValueError:
            yield Fault(
                "publish-address",
                _where(entry),
                f"{entry.address!r} is no IP address",
                "Use 0.0.0.0, 127.0.0.1 or the node's own",
            )


def host_ports(topology: Topology) -> Iterator[Fault]:
    """One host port, one service; the node's own ports are taken."""
    taken: dict[tuple[str, str, int], str] = {}
    for node in topology.nodes:
        for port in node.ports:
            taken[node.name, port.transport, port.number] = f"the node's own {port.name}"
    for entry in openings(topology):
        key = (entry.node, entry.transport, entry.host_port)
        if key in taken:
            yield Fault(
                "host-port",
                f"node {entry.node}",
                f"{taken[key]} and {entry.service}:{entry.port} both want {entry.transport}:{entry.host_port}",
                "Give one of them another host port",
            )
        taken.setdefault(key, f"{entry.service}:{entry.port}")


def host_network(topology: Topology) -> Iterator[Fault]:
    """In the host's network there is no mapping: a port has one number."""
    for service in topology.services.values():
        for port in service.ports:
            if service.network == "host" and port.host_number != port.number:
                yield Fault(
                    "host-network",
                    f"service {service.name}",
                    f"port {port.name} is {port.number} in the host's network and cannot be {port.host_number} too",
                    f"Let the service listen on {port.host_number}, or drop the host port",
                )


def asked_for(topology: Topology) -> Iterator[Fault]:
    """What is published is used, and from as far away as its address allows."""
    ways: dict[tuple[str, str], set[Way | None]] = {}
    for flow in topology.flows:
        ways.setdefault((flow.to, flow.port), set()).add(way(topology, flow))
    for entry in publishes(topology):
        service = topology.services.get(entry.service)
        if service is None or service.network == "host":
            continue
        used = ways.get((entry.service, entry.port), set())
        if not used & {Way.NODE, Way.TUNNEL, Way.NETWORK}:
            yield Fault(
                "publish-unused",
                _where(entry),
                f"{entry.node} publishes it on {entry.address}:{entry.host_port}, and no flow comes in there",
                "Declare the flow or publish it no more",
            )
        elif Way.NETWORK not in used and not is_loopback(entry):
            yield Fault(
                "publish-wide",
                _where(entry),
                f"{entry.node} publishes it on {entry.address}:{entry.host_port}, but its flows all come from the"
                " node itself",
                "Publish it on 127.0.0.1",
            )


def _where(entry: Publish) -> str:
    return f"published port {entry.service}:{entry.port}"


CHECKS = (leads_somewhere, host_ports, host_network, asked_for)
