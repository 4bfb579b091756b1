"""What the picture says, read from the model alone: no coordinates here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from constructs_lib.budget import budget
from constructs_lib.diagram.reach import node_port, service_port, some, world
from constructs_lib.endpoints import Deployed
from constructs_lib.firewall import rule_name, rules
from constructs_lib.machines import MACHINE_TYPES
from constructs_lib.model import Kind, Speaks

if TYPE_CHECKING:
    from collections.abc import Sized

    from constructs_lib.diagram.reach import PortRow
    from constructs_lib.model import Actor, Flow, Node, Port, Rule, Service, Topology


@dataclass(frozen=True)
class Chip:
    """A flow that stays on its node."""

    key: str
    text: str
    style: str
    why: str


@dataclass(frozen=True)
class Card:
    """One service."""

    name: str
    limits: str
    ports: tuple[PortRow, ...]
    chips: tuple[Chip, ...]


@dataclass(frozen=True)
class NodeBox:
    """One node.

    size: what it has. spend: what its services may use of it; shares: of its memory, one a service.
    facing: sorts nodes; first 0 if a service faces the whole internet, 1 if addresses that somebody
    chose, 2 if neither; then the share of its services that do not.
    """

    name: str
    machine: str
    size: str
    spend: str
    shares: tuple[float, ...]
    ports: tuple[PortRow, ...]
    cards: tuple[Card, ...]
    facing: tuple[int, float]


@dataclass(frozen=True)
class ActorBox:
    """idle: nobody yet."""

    name: str
    note: str
    idle: bool


@dataclass(frozen=True)
class Edge:
    """A flow that crosses a node's edge. style: its CSS class. rule: a rule that exists, or empty."""

    key: str
    source: str
    to: str
    port: str
    style: str
    label: tuple[str, ...]
    rule: str
    why: str


@dataclass(frozen=True)
class RuleRow:
    name: str
    allows: str
    way: str
    deny: bool
    why: str


@dataclass(frozen=True)
class Content:
    title: str
    summary: str
    actors: tuple[ActorBox, ...]
    nodes: tuple[NodeBox, ...]
    edges: tuple[Edge, ...]
    rules: tuple[RuleRow, ...]

    @property
    def styles(self) -> set[str]:
        """Of the flows in the picture."""
        chips = {chip.style for node in self.nodes for card in node.cards for chip in card.chips}
        return chips | {edge.style for edge in self.edges}

    @property
    def reaches(self) -> set[str]:
        """Of the ports in the picture."""
        cards = {row.reach.value for node in self.nodes for card in node.cards for row in card.ports}
        return cards | {row.reach.value for node in self.nodes for row in node.ports}


def read(topology: Topology) -> Content:
    made = rules(topology)
    flows = [flow for flow in topology.flows if _complete(topology, flow)]
    return Content(
        title=topology.name,
        summary=" · ".join(
            (_count(topology.nodes, "node"), _count(topology.services, "service"), _count(made, "firewall rule"))
        ),
        actors=tuple(_actor(actor) for actor in topology.actors),
        nodes=tuple(_node(topology, node, flows) for node in topology.nodes),
        edges=tuple(_edge(topology, flow, made) for flow in flows if _crosses(topology, flow)),
        rules=tuple(_rule(rule) for rule in made),
    )


def key(flow: Flow) -> str:
    """How the picture refers to a flow."""
    return f"{flow.source}->{flow.to}:{flow.port}"


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def _complete(topology: Topology, flow: Flow) -> bool:
    source = topology.actor(flow.source) or topology.home(flow.source)
    return source is not None and topology.port_of(flow.to, flow.port) is not None


def _crosses(topology: Topology, flow: Flow) -> bool:
    return topology.home(flow.source) is not topology.home(flow.to)


def _idle(actor: Actor) -> bool:
    return not actor.cidrs and not actor.tunnel


def _actor(actor: Actor) -> ActorBox:
    note = "SSH tunnel" if actor.tunnel else some(actor.cidrs) or "nobody yet"
    return ActorBox(actor.name, note, _idle(actor))


def _node(topology: Topology, node: Node, flows: list[Flow]) -> NodeBox:
    size, spend, shares = "", "", list[float]()
    if node.machine_type in MACHINE_TYPES:
        room = budget(node)
        whole = room.machine.memory_mib
        size = f"{room.machine.sustained:g} CPU sustained · {whole} MiB"
        spend = f"limits: {room.cpus_used:g} CPU · {room.memory_used_mib} MiB"
        shares = [memory / whole for _, _, memory in room.shares]
    return NodeBox(
        name=node.name,
        machine=node.machine_type,
        size=size,
        spend=spend,
        shares=tuple(shares),
        ports=tuple(node_port(topology, node, port) for port in node.ports),
        cards=tuple(_card(topology, node, service, flows) for service in node.services),
        facing=_facing(topology, node, flows),
    )


def _facing(topology: Topology, node: Node, flows: list[Flow]) -> tuple[int, float]:
    names = {service.name for service in node.services}
    found: list[set[str]] = [set(), set()]
    for flow in flows:
        actor = topology.actor(flow.source)
        if actor and actor.cidrs and not actor.tunnel and flow.to in names:
            found[0 if world(actor.cidrs) else 1].add(flow.to)
    for rank, services in enumerate(found):
        if services:
            return rank, 1 - len(services) / len(names)
    return 2, 1.0


def _card(topology: Topology, node: Node, service: Service, flows: list[Flow]) -> Card:
    local = [flow for flow in flows if flow.source == service.name and not _crosses(topology, flow)]
    return Card(
        name=service.name,
        limits=f"{service.cpus:g} CPU  {service.memory_mib} MiB",
        ports=tuple(row for port in service.ports for row in service_port(topology, node, service, port)),
        chips=tuple(_chip(topology, flow) for flow in local),
    )


def _chip(topology: Topology, flow: Flow) -> Chip:
    _, number = Deployed(topology).find(flow.source, flow.to, flow.port)
    to = "itself" if flow.to == flow.source else flow.to
    return Chip(key(flow), f"→ {to}:{number}", flow.kind.value, flow.why)


def _edge(topology: Topology, flow: Flow, made: tuple[Rule, ...]) -> Edge:
    port = topology.port_of(flow.to, flow.port)
    assert port is not None
    actor = topology.actor(flow.source)
    admin = (actor is not None and actor.tunnel) or Speaks.SSH in port.speaks
    style = "admin" if admin and flow.kind is Kind.TRAFFIC else flow.kind.value
    rule = rule_name(flow) if any(rule.name == rule_name(flow) for rule in made) else ""
    nobody = actor is not None and _idle(actor)
    through = () if actor and actor.tunnel else (rule or ("no rule yet" if nobody else "no rule"),)
    return Edge(
        key=key(flow),
        source=flow.source,
        to=flow.to,
        port=flow.port,
        style="idle" if nobody else style,
        label=(f"{port.host_number}/{port.transport} {_spoken(flow, port)}", *through),
        rule="" if actor and actor.tunnel else rule,
        why=flow.why,
    )


def _spoken(flow: Flow, port: Port) -> str:
    if flow.kind is Kind.SCRAPE and Speaks.METRICS in port.speaks:
        return Speaks.METRICS.value
    return port.speaks[0].value if port.speaks else port.name


def _rule(rule: Rule) -> RuleRow:
    source = ", ".join((*rule.source_ranges, *(f"tag {tag}" for tag in rule.source_tags)))
    ports = ", ".join(f"{number}/{transport}" for transport, number in rule.allows) or "all"
    targets = ", ".join(f"tag {tag}" for tag in rule.target_tags) or "every machine"
    return RuleRow(rule.name, ports, f"{source or 'anywhere'} → {targets}", rule.deny, rule.why)
