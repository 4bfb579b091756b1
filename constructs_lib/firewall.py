"""Firewall rules from flows: one rule a name, what no flow needs stays shut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.model import Rule

if TYPE_CHECKING:
    from constructs_lib.model import Flow, Topology

# Below Google's own default-allow-* rules of the network "default" (65534), which would otherwise let
# in SSH and RDP from everywhere and every port from every machine of the network.
DENY_REST_PRIORITY = 65000


def rules(topology: Topology) -> tuple[Rule, ...]:
    """Allow rules by name in order of declaration, then the one that denies the rest."""
    if topology.rules is not None:
        return topology.rules
    merged: dict[str, Rule] = {}
    for flow in topology.flows:
        rule = _rule(topology, flow)
        if rule is None:
            continue
        known = merged.get(rule.name)
        merged[rule.name] = _merge(known, rule) if known else rule
    tags = tuple(sorted({node.tag for node in topology.nodes}))
    deny = Rule(
        name=f"deny-{topology.name}-rest",
        why="what no flow declares stays shut, whatever the network's default rules allow",
        target_tags=tags,
        source_ranges=("0.0.0.0/0",),
        deny=True,
        priority=DENY_REST_PRIORITY,
    )
    return (*merged.values(), deny)


def rule_name(flow: Flow) -> str:
    return flow.rule or f"allow-{flow.source}-{flow.to}-{flow.port}"


def target_tag(topology: Topology, flow: Flow) -> str | None:
    """The tag that a rule for this flow names as its target; None where the target is not declared."""
    port = topology.port_of(flow.to, flow.port)
    service = topology.services.get(flow.to)
    home = topology.home(flow.to)
    if home is None or port is None:
        return None
    return port.tag or (service.tag if service else home.tag)


def _rule(topology: Topology, flow: Flow) -> Rule | None:
    actor = topology.actor(flow.source)
    source = topology.services.get(flow.source)
    port = topology.port_of(flow.to, flow.port)
    tag = target_tag(topology, flow)
    if port is None or tag is None:
        return None
    crosses = source is not None and topology.home(flow.source) is not topology.home(flow.to)
    ranges = actor.cidrs if actor and not actor.tunnel else ()
    if not crosses and not ranges:
        return None
    return Rule(
        name=rule_name(flow),
        why=flow.why,
        target_tags=(tag,),
        source_tags=(source.tag,) if source else (),
        source_ranges=ranges,
        allows=((port.transport, port.host_number),),
    )


def _merge(one: Rule, other: Rule) -> Rule:
    return Rule(
        name=one.name,
        why=one.why if one.why == other.why else f"{one.why}; {other.why}",
        target_tags=_union(one.target_tags, other.target_tags),
        source_tags=_union(one.source_tags, other.source_tags),
        source_ranges=_union(one.source_ranges, other.source_ranges),
        allows=tuple(dict.fromkeys((*one.allows, *other.allows))),
    )


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))
