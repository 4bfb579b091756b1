"""The firewall rules that flows need, as Terraform resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from constructs_lib import google
from constructs_lib.firewall import rules

if TYPE_CHECKING:
    from constructs_lib.model import Node, Rule, Topology


class FlowFirewall(Construct):
    """Every rule whose first target, in order of the topology's nodes, is `node`.

    A rule for several nodes so belongs to exactly one stack, that of the node which is deployed first.
    """

    def __init__(self, scope: Construct, topology: Topology, node: Node) -> None:
        super().__init__(scope, "firewall")
        self.rules = [rule for rule in rules(topology) if _owner(topology, rule) is node]
        for rule in self.rules:
            google.ComputeFirewall(
                self,
                rule.name,
                name=rule.name,
                network=topology.network,
                description=rule.why,
                direction="INGRESS",
                priority=rule.priority,
                source_ranges=list(rule.source_ranges) or None,
                source_tags=list(rule.source_tags) or None,
                target_tags=list(rule.target_tags),
                allow=None if rule.deny else _allow(rule),
                deny=[google.ComputeFirewallDeny(protocol="all")] if rule.deny else None,
            )


def _allow(rule: Rule) -> list[google.ComputeFirewallAllow]:
    transports = dict.fromkeys(transport for transport, _ in rule.allows)
    return [
        google.ComputeFirewallAllow(
            protocol=transport, ports=[str(number) for each, number in rule.allows if each == transport]
        )
        for transport in transports
    ]


def _owner(topology: Topology, rule: Rule) -> Node | None:
    targets = set(rule.target_tags)
    return next((node for node in topology.nodes if targets & set(node.tags)), None)
