"""Which container ports are published on which address of their node: exactly those that a flow needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.model import Publish

if TYPE_CHECKING:
    from constructs_lib.model import Flow, Topology

ANYWHERE = "0.0.0.0"  # noqa: S104 - the firewall rules decide who gets this far
LOOPBACK = "127.0.0.1"


def publishes(topology: Topology) -> tuple[Publish, ...]:
    """The published ports, in order of declaration; the widest address that any flow needs wins."""
    if topology.publishes is not None:
        return topology.publishes
    widest: dict[tuple[str, str], str] = {}
    for flow in topology.flows:
        address = _address(topology, flow)
        key = (flow.to, flow.port)
        if address and widest.get(key) != ANYWHERE:
            widest[key] = address
    found = []
    for node in topology.nodes:
        for service in node.services:
            for port in service.ports:
                address = widest.get((service.name, port.name))
                if service.network == "host":
                    address = ANYWHERE
                if address:
                    found.append(
                        Publish(
                            node=node.name,
                            service=service.name,
                            port=port.name,
                            address=address,
                            host_port=port.host_number,
                            transport=port.transport,
                        )
                    )
    return tuple(found)


def _address(topology: Topology, flow: Flow) -> str | None:
    """The node's address that the flow's source must find the port on; None inside one compose network."""
    actor = topology.actor(flow.source)
    if actor:
        if actor.tunnel:
            return LOOPBACK
        return ANYWHERE if actor.cidrs else None
    if flow.to not in topology.services:
        return None
    if topology.home(flow.source) is not topology.home(flow.to):
        return ANYWHERE
    source = topology.services.get(flow.source)
    return LOOPBACK if source and source.network == "host" else None
