"""Names and addresses: each means one thing, and Google and Docker take it as it is."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

from constructs_lib.faults import Fault
from constructs_lib.firewall import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Topology

# Compute Engine API reference: instances, firewalls, networks and network tags alike (RFC 1035).
GOOGLE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# A volume is a directory of the node and a word of the compose file.
VOLUME_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def unique_names(topology: Topology) -> Iterator[Fault]:
    """One name, one thing: flows refer to services, nodes and actors by name alone."""
    seen: dict[str, str] = {}
    named = [(node.name, f"node {node.name}") for node in topology.nodes]
    named += [(s.name, f"service {s.name} on {node.name}") for node in topology.nodes for s in node.services]
    named += [(actor.name, f"actor {actor.name}") for actor in topology.actors]
    for name, what in named:
        if name in seen:
            yield Fault(
                "unique-name",
                what,
                f"{seen[name]} has the same name, and a flow could mean either",
                "Rename one of them",
            )
        seen.setdefault(name, what)


def unique_rules(topology: Topology) -> Iterator[Fault]:
    """The network has one rule of a name."""
    seen = set()
    for rule in rules(topology):
        if rule.name in seen:
            yield Fault("unique-rule", f"rule {rule.name}", "two rules have this name", "Rename or merge them")
        seen.add(rule.name)


def unique_flows(topology: Topology) -> Iterator[Fault]:
    """What is said twice can be changed once."""
    seen = set()
    for flow in topology.flows:
        key = (flow.source, flow.to, flow.port, flow.kind)
        if key in seen:
            yield Fault("unique-flow", str(flow), "it is declared twice", "Drop one of them")
        seen.add(key)


def google_names(topology: Topology) -> Iterator[Fault]:
    """Names that become resources, tags or host names have the form that those take."""
    named = [(f"topology {topology.name}", "network", topology.network)]
    for node in topology.nodes:
        named += [(f"node {node.name}", "name", node.name), (f"node {node.name}", "tag", node.tag)]
        named += [(f"node {node.name}", f"tag of port {p.name}", p.tag) for p in node.ports if p.tag]
        for service in node.services:
            where = f"service {service.name}"
            named += [(where, "name", service.name), (where, "tag", service.tag)]
            named += [(where, f"tag of port {p.name}", p.tag) for p in service.ports if p.tag]
    named += [(f"rule {rule.name}", "name", rule.name) for rule in rules(topology)]
    for where, label, value in named:
        if not GOOGLE_NAME.fullmatch(value):
            yield Fault(
                "google-name",
                where,
                f"its {label} {value!r} ({len(value)} characters) is none that Google takes",
                "Use at most 63 of a-z, 0-9 and -, with a letter first and no - last",
            )


def volume_names(topology: Topology) -> Iterator[Fault]:
    for service in topology.services.values():
        for volume in service.volumes:
            if not VOLUME_NAME.fullmatch(volume.name):
                yield Fault(
                    "volume-name",
                    f"service {service.name}",
                    f"its volume {volume.name!r} cannot be a directory's name",
                    "Use a-z, 0-9, _, . and - only",
                )


def actors(topology: Topology) -> Iterator[Fault]:
    """An actor is outside by its addresses, or inside through a tunnel."""
    for actor in topology.actors:
        where = f"actor {actor.name}"
        if actor.tunnel and actor.cidrs:
            yield Fault(
                "actor",
                where,
                f"it comes through a tunnel, yet it has addresses ({', '.join(actor.cidrs)}), which open nothing",
                "Declare two actors, or drop one of both",
            )
        for cidr in actor.cidrs:
            yield from _cidr(where, cidr)


def ranges(topology: Topology) -> Iterator[Fault]:
    for rule in rules(topology) if topology.rules is not None else ():
        for cidr in rule.source_ranges:
            yield from _cidr(f"rule {rule.name}", cidr)


def _cidr(where: str, cidr: str) -> Iterator[Fault]:
    try:
        ip_network(cidr)
    except ValueError as error:
        yield Fault("cidr", where, f"{error}", "Write the network's first address, as in 203.0.113.0/24")


CHECKS = (unique_names, unique_rules, unique_flows, google_names, volume_names, actors, ranges)
