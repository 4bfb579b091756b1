"""How traffic finds its way: what Docker's published ports and Google's firewall do, for the rules to ask.

Deliberately not built on `publishing` and `firewall`, which derive what is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, cast

from constructs_lib.model import Node, Publish
from constructs_lib.publishing import ANYWHERE, publishes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from constructs_lib.model import Flow, Port, Rule, Topology

Network = IPv4Network | IPv6Network
EVERYWHERE = ip_network("0.0.0.0/0")
# Where machines of a VPC have their addresses (RFC 1918); a rule by ranges may or may not mean them.
PRIVATE = tuple(ip_network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


class Way(Enum):
    """What lies between the two ends of a flow."""

    INSIDE = auto()  # one compose network, or one host network: nothing
    NODE = auto()  # from the host's network into a container of the same node: a published port
    TUNNEL = auto()  # over SSH to the node, then as NODE
    NETWORK = auto()  # to the node's own address: a published port and a firewall rule
    NOBODY = auto()  # an actor without addresses: nothing yet


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the firewall sees: somebody at a port of a node. source: addresses, or another node."""

    source: Network | Node
    node: Node
    transport: str
    number: int


def way(topology: Topology, flow: Flow) -> Way | None:
    """None where one of the ends is not declared."""
    there = topology.home(flow.to)
    if there is None or topology.port_of(flow.to, flow.port) is None:
        return None
    actor = topology.actor(flow.source)
    if actor:
        if actor.tunnel:
            return Way.TUNNEL
        return Way.NETWORK if actor.cidrs else Way.NOBODY
    source = topology.services.get(flow.source)
    if source is None:
        return None
    if topology.home(flow.source) is not there:
        return Way.NETWORK
    target = topology.services.get(flow.to)
    if source.network == "host" and target is not None and target.network == "bridge":
        return Way.NODE
    return Way.INSIDE


def openings(topology: Topology) -> Iterator[Publish]:
    """Every service port that is reachable on its node: published, or of a service in the host's network."""
    for entry in publishes(topology):
        service = topology.services.get(entry.service)
        if service is None or service.network == "bridge":
            yield entry
    for node in topology.nodes:
        for service in node.services:
            if service.network == "host":
                yield from (_opening(node, service.name, port) for port in service.ports)


def entries(topology: Topology, name: str, port: str) -> tuple[Publish, ...]:
    """The openings that lead to a service's port on its node. A node's own port is open by itself."""
    there = topology.home(name)
    if there is None:
        return ()
    own = there.port(port) if name == there.name else None
    if own:
        return (_opening(there, name, own),)
    return tuple(
        each for each in openings(topology) if (each.node, each.service, each.port) == (there.name, name, port)
    )


def is_loopback(entry: Publish) -> bool:
    try:
        return ip_address(entry.address).is_loopback
    except ValueError:
        return False


def targets(rule: Rule, node: Node) -> bool:
    """A rule without target tags is for every machine of the network."""
    return not rule.target_tags or bool(set(rule.target_tags) & set(node.tags))


def arrivals(topology: Topology, flow: Flow) -> tuple[Arrival, ...]:
    """One for each network that an actor comes from, one for a service's node."""
    there, port = topology.home(flow.to), topology.port_of(flow.to, flow.port)
    if there is None or port is None:
        return ()
    found = entries(topology, flow.to, flow.port)
    number = found[0].host_port if found else port.host_number
    actor, here = topology.actor(flow.source), topology.home(flow.source)
    sources: tuple[Network | Node, ...] = networks(actor.cidrs) if actor else (here,) if here else ()
    return tuple(Arrival(source, there, port.transport, number) for source in sources)


def admits(rules: Iterable[Rule], arrival: Arrival) -> bool:
    """Whether an allow rule lets all of the source in, and no deny rule comes before it."""
    rules = tuple(rules)
    return any(not blockers(rules, rule, arrival) for rule in rules if opens(rule, arrival) and _holds(rule, arrival))


def opens(rule: Rule, arrival: Arrival) -> bool:
    """Whether the rule opens this port of this node to anybody."""
    return not rule.deny and targets(rule, arrival.node) and (arrival.transport, arrival.number) in rule.allows


def blockers(rules: Iterable[Rule], allow: Rule, arrival: Arrival) -> tuple[Rule, ...]:
    """The deny rules that win over `allow`, for any part of the source: Google lets them win a tie."""
    return tuple(
        rule
        for rule in rules
        if rule.deny
        and rule.priority <= allow.priority
        and targets(rule, arrival.node)
        and (not rule.allows or (arrival.transport, arrival.number) in rule.allows)
        and _touches(rule, arrival.source)
    )


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Those that can be read; a rule of its own reports the rest."""
    found: list[Network] = []
    for cidr in cidrs:
        try:
            found.append(ip_network(cidr))
        except ValueError:
            continue
    return tuple(found)


def within(inner: Network, outer: Network) -> bool:
    # Typeshed wants both of one version, and the comparison before makes them so.
    return inner.version == outer.version and inner.subnet_of(cast("IPv4Network", outer))  # type: ignore[arg-type]


def _opening(node: Node, name: str, port: Port) -> Publish:
    return Publish(
        node=node.name,
        service=name,
        port=port.name,
        address=ANYWHERE,
        host_port=port.number,
        transport=port.transport,
    )


def _ranges(rule: Rule) -> tuple[Network, ...]:
    """Google takes a rule without any source as one from everywhere."""
    return networks(rule.source_ranges) if rule.source_ranges or rule.source_tags else (EVERYWHERE,)


def _holds(rule: Rule, arrival: Arrival) -> bool:
    source = arrival.source
    if isinstance(source, Node):
        return bool(set(rule.source_tags) & set(source.tags)) or EVERYWHERE in _ranges(rule)
    return any(within(source, each) for each in _ranges(rule))


def _touches(rule: Rule, source: Network | Node) -> bool:
    if isinstance(source, Node):
        mine = set(rule.source_tags) & set(source.tags)
        return bool(mine) or any(each.overlaps(private) for each in _ranges(rule) for private in PRIVATE)
    return any(each.overlaps(source) for each in _ranges(rule))
