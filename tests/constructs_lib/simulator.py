"""Who reaches what, worked out packet by packet: Docker's published ports, Google's firewall, nothing of ours.

Knows no rule of `checks` and no line of `publishing` or `firewall`: it is told their results.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constructs_lib.model import Publish, Rule, Topology

# What a network named "default" brings along (VPC documentation, "Pre-populated rules").
DEFAULT_PRIORITY = 65534
DEFAULT_OPEN = {("tcp", 22), ("tcp", 3389)}
DEFAULT_INTERNAL = ip_network("10.128.0.0/9")


@dataclass(frozen=True)
class World:
    """The machines with their addresses, what listens on them, and the firewall around them."""

    topology: Topology
    publishes: tuple[Publish, ...]
    rules: tuple[Rule, ...]

    def address(self, node: str) -> IPv4Address:
        """The node's own address in the VPC."""
        at = [each.name for each in self.topology.nodes].index(node)
        return IPv4Address("10.128.0.2") + at

    def listening(self, node: str) -> dict[tuple[str, int], tuple[str, str, bool]]:
        """(transport, port number) -> (service or node, port, reachable from other machines)."""
        found: dict[tuple[str, int], tuple[str, str, bool]] = {}
        machine = self.topology.node(node)
        for port in machine.ports:
            found[port.transport, port.number] = (node, port.name, True)
        for service in machine.services:
            for port in service.ports:
                if service.network == "host":
                    found[port.transport, port.number] = (service.name, port.name, True)
        for entry in self.publishes:
            if entry.node == node and self.topology.services[entry.service].network == "bridge":
                wide = not ip_address(entry.address).is_loopback
                found[entry.transport, entry.host_port] = (entry.service, entry.port, wide)
        return found

    def firewall(self, source: IPv4Address, source_tags: set[str], node: str, transport: str, number: int) -> bool:
        """Whether the VPC firewall lets the packet pass: the smallest priority decides, deny wins a tie."""
        verdicts = [(DEFAULT_PRIORITY + 1, 0, False)]
        if (transport, number) in DEFAULT_OPEN or source in DEFAULT_INTERNAL:
            verdicts.append((DEFAULT_PRIORITY, 1, True))
        tags = set(self.topology.node(node).tags)
        for rule in self.rules:
            if rule.target_tags and not tags & set(rule.target_tags):
                continue
            from_tag = bool(source_tags & set(rule.source_tags))
            from_range = any(source in ip_network(cidr) for cidr in rule.source_ranges)
            if not (from_tag or from_range):
                continue
            if (transport, number) in rule.allows or (rule.deny and not rule.allows):
                verdicts.append((rule.priority, 0 if rule.deny else 1, not rule.deny))
        return min(verdicts)[2]

    def open_to(self, source: IPv4Address, source_tags: set[str], node: str) -> set[tuple[str, str]]:
        """(service or node, port) on `node` that a packet from elsewhere gets an answer from."""
        return {
            (name, port)
            for (transport, number), (name, port, wide) in self.listening(node).items()
            if wide and self.firewall(source, source_tags, node, transport, number)
        }
