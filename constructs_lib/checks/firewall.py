"""Firewall rules: each opens what a flow needs and nothing else, and the rest is shut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.checks.network import EVERYWHERE, Way, admits, arrivals, entries, networks, targets, way, within
from constructs_lib.faults import Fault
from constructs_lib.firewall import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Flow, Node, Rule, Topology

# Of default-allow-internal, -ssh, -rdp and -icmp (VPC documentation, "Pre-populated rules").
DEFAULT_RULES_PRIORITY = 65534


def needed(topology: Topology) -> Iterator[Fault]:
    """No rule opens a port of a node to anybody that no flow brings there: a merged rule opens every pair."""
    for rule in rules(topology):
        if rule.deny or not rule.allows:
            continue
        useful = dict.fromkeys(rule.source_tags, False)
        for node in topology.nodes:
            if not targets(rule, node):
                continue
            for transport, number in rule.allows:
                arriving = _arriving(topology, node, transport, number)
                for cidr in rule.source_ranges:
                    if not _expected(topology, arriving, cidr):
                        yield _idle(rule, transport, number, node, cidr)
                for tag in rule.source_tags:
                    for other in topology.nodes:
                        if other is node or tag not in other.tags:
                            continue
                        useful[tag] = True
                        if not any(topology.home(flow.source) is other for flow in arriving):
                            yield _idle(rule, transport, number, node, f"{other.name} (tag {tag})")
        carried = {tag for node in topology.nodes for tag in node.tags}
        for tag, some in useful.items():
            if tag in carried and not some:
                yield Fault(
                    "rule-unused",
                    f"rule {rule.name}",
                    f"only its target carries the source tag {tag}, and a machine needs no rule to reach itself",
                    "Drop the rule or the tag",
                )


def tags_carried(topology: Topology) -> Iterator[Fault]:
    """Every tag that a rule names is carried by a node, or the rule does nothing."""
    carried = {tag for node in topology.nodes for tag in node.tags}
    for rule in rules(topology):
        for tag in dict.fromkeys((*rule.source_tags, *rule.target_tags)):
            if tag not in carried:
                yield Fault(
                    "rule-tag", f"rule {rule.name}", f"no node carries the tag {tag}", "Give it to a node or drop it"
                )


def tags_used(topology: Topology) -> Iterator[Fault]:
    """A tag that is to open a port, or to let its node in elsewhere, is what a rule does it by."""
    all_rules = rules(topology)
    named = {tag for rule in all_rules for tag in (*rule.source_tags, *rule.target_tags)}
    told = set()
    for flow in topology.flows:
        if way(topology, flow) is not Way.NETWORK:
            continue
        # A flow that is shut out has a fault of its own.
        if not all(admits(all_rules, arrival) for arrival in arrivals(topology, flow)):
            continue
        for node, tag, purpose in _tags(topology, flow):
            if tag not in named and (node, tag) not in told:
                told.add((node, tag))
                yield Fault(
                    "tag-unused",
                    f"node {node}",
                    f"it carries the tag {tag} {purpose}, but no firewall rule names that tag",
                    "Name it in the rule that is meant, or drop it",
                )


def form(topology: Topology) -> Iterator[Fault]:
    """What Google would refuse, or read as more than was meant."""
    for rule in rules(topology):
        where = f"rule {rule.name}"
        if not rule.deny and not rule.allows:
            yield Fault("rule-form", where, "it opens no port", "Name one, or drop the rule")
        if not rule.source_tags and not rule.source_ranges:
            yield Fault("rule-form", where, "it has no source, which means everywhere", "Say who it is for")
        if not rule.target_tags:
            yield Fault("rule-form", where, "it has no target tag, which means every machine", "Name a tag")
        if len({network.version for network in networks(rule.source_ranges)}) > 1:
            yield Fault("rule-form", where, "it has IPv4 and IPv6 sources, and Google takes one kind", "Make it two")
        if not 0 <= rule.priority <= 65535:
            yield Fault("rule-form", where, f"its priority is {rule.priority}", "Use 0 to 65535; the smaller wins")


def rest_shut(topology: Topology) -> Iterator[Fault]:
    """Each node has a rule that shuts what the network's own rules would let in."""
    shut = [
        rule
        for rule in rules(topology)
        if rule.deny
        and not rule.allows
        and EVERYWHERE in networks(rule.source_ranges)
        and rule.priority < DEFAULT_RULES_PRIORITY
    ]
    exposed = [node.name for node in topology.nodes if not any(targets(rule, node) for rule in shut)]
    if exposed:
        yield Fault(
            "rest-open",
            f"network {topology.network}",
            f"no rule denies the rest on {' and '.join(exposed)}, so what the network's own rules let in stays open"
            " (of Google's default network: SSH from everywhere, every port between its machines)",
            f"Add a rule that denies everything, with a priority number below {DEFAULT_RULES_PRIORITY}",
        )


def _arriving(topology: Topology, node: Node, transport: str, number: int) -> list[Flow]:
    """The flows that enter this port of this node."""
    found = []
    for flow in topology.flows:
        if way(topology, flow) is not Way.NETWORK or topology.home(flow.to) is not node:
            continue
        port = topology.port_of(flow.to, flow.port)
        assert port is not None
        used = {(entry.transport, entry.host_port) for entry in entries(topology, flow.to, flow.port)}
        if (transport, number) in (used or {(port.transport, port.host_number)}):
            found.append(flow)
    return found


def _expected(topology: Topology, arriving: list[Flow], cidr: str) -> bool:
    """Whether actors of these flows may come from all of `cidr`; what cannot be read is reported elsewhere."""
    actors = [actor for flow in arriving if (actor := topology.actor(flow.source))]
    declared = [network for actor in actors for network in networks(actor.cidrs)]
    return all(any(within(opened, each) for each in declared) for opened in networks((cidr,)))


def _idle(rule: Rule, transport: str, number: int, node: Node, source: str) -> Fault:
    return Fault(
        "rule-unused",
        f"rule {rule.name}",
        f"it opens {transport}:{number} of {node.name} to {source}, and no flow needs that",
        "Declare the flow or narrow the rule",
    )


def _tags(topology: Topology, flow: Flow) -> Iterator[tuple[str, str, str]]:
    """(node, tag, purpose) of both ends of a flow between nodes."""
    here, there = topology.home(flow.source), topology.home(flow.to)
    source, target = topology.services.get(flow.source), topology.services.get(flow.to)
    port = topology.port_of(flow.to, flow.port)
    if source and here:
        yield here.name, source.tag, f"for {source.name}"
    if there and port:
        yield there.name, port.tag or (target.tag if target else there.tag), f"for {flow.to}:{port.name}"


CHECKS = (needed, tags_carried, tags_used, form, rest_shut)
