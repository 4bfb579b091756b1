"""From where a port can be reached: what it is published on, and what the rules let through to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import TYPE_CHECKING

from constructs_lib.firewall import rules
from constructs_lib.publishing import LOOPBACK, publishes

if TYPE_CHECKING:
    from constructs_lib.model import Node, Port, Service, Topology


class Reach(StrEnum):
    """From where a port can be reached; the value is the CSS class."""

    PUBLIC = "public"
    NAMED = "named"
    TAG = "tag"
    LOOPBACK = "loopback"
    INSIDE = "inside"
    SHUT = "shut"


@dataclass(frozen=True)
class PortRow:
    """owner, port: the end that flows refer to. reach_text: the reach in words, with its source."""

    owner: str
    port: str
    text: str
    reach: Reach
    reach_text: str


def service_port(topology: Topology, node: Node, service: Service, port: Port) -> list[PortRow]:
    """A row for each publication of the port; one that says so where there is none."""
    found = [p for p in publishes(topology) if (p.node, p.service, p.port) == (node.name, service.name, port.name)]
    speaks = port.speaks[0].value if port.speaks else port.name
    rows = []
    for publish in found:
        if publish.address == LOOPBACK:
            reach, words = Reach.LOOPBACK, "loopback"
        else:
            reach, words = _reach(topology, node, publish.transport, publish.host_port)
        inside = "" if publish.host_port == port.number else f"→{port.number}"
        text = f"{publish.host_port}{inside} {speaks}"
        rows.append(PortRow(service.name, port.name, text, reach, words))
    plain = PortRow(service.name, port.name, f"{port.number} {speaks}", Reach.INSIDE, "inside")
    return rows or [plain]


def node_port(topology: Topology, node: Node, port: Port) -> PortRow:
    reach, words = _reach(topology, node, port.transport, port.host_number)
    speaks = port.speaks[0].value if port.speaks else port.name
    return PortRow(node.name, port.name, f"{port.host_number} {speaks}", reach, words)


def _reach(topology: Topology, node: Node, transport: str, number: int) -> tuple[Reach, str]:
    """Who gets to a port of every address of the node, by the rules."""
    opens = [
        rule
        for rule in rules(topology)
        if not rule.deny
        and (not rule.target_tags or set(rule.target_tags) & set(node.tags))
        and (not rule.allows or (transport, number) in rule.allows)
    ]
    ranges = tuple(dict.fromkeys(cidr for rule in opens for cidr in rule.source_ranges))
    tags = tuple(dict.fromkeys(tag for rule in opens for tag in rule.source_tags))
    if world(ranges):
        return Reach.PUBLIC, "public"
    if ranges:
        return Reach.NAMED, some(ranges)
    if tags:
        return Reach.TAG, f"tag {some(tags)}"
    return Reach.SHUT, "no rule"


def world(ranges: tuple[str, ...]) -> bool:
    """Whether the ranges hold every address."""
    return any(ip_network(cidr, strict=False).prefixlen == 0 for cidr in ranges)


def some(things: tuple[str, ...]) -> str:
    """The first, and how many more."""
    more = f" +{len(things) - 1}" if len(things) > 1 else ""
    return things[0] + more if things else ""
