"""The declaration held against itself. Each rule looks at the whole topology and yields its faults.

The published ports and firewall rules are checked as they stand, derived or written by hand: a rule here
shares no code with the derivation that it checks.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from typing import TYPE_CHECKING

from constructs_lib import budget as budgets
from constructs_lib.faults import Fault, FaultsError
from constructs_lib.firewall import rules as firewall_rules
from constructs_lib.machines import MACHINE_TYPES
from constructs_lib.model import Kind, Speaks, Url
from constructs_lib.publishing import publishes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from constructs_lib.model import Flow, Publish, Rule, Topology



def unique_names(topology: Topology) -> Iterator[Fault]:
    """One name, one thing: flows refer to services, nodes and actors by name alone."""
    seen: dict[str, str] = {}
    named = [(node.name, f"node {node.name}") for node in topology.nodes]
    named += [(s.name, f"service {s.name} on {node.name}") for node in topology.nodes for s in node.services]
    named += [(actor.name, f"actor {actor.name}") for actor in topology.actors]
    for name, what in named:
        if name in seen:
            yield Fault("unique-name", what, f"{seen[name]} has the same name", "Rename one of them")
        seen.setdefault(name, what)


def flow_ends(topology: Topology) -> Iterator[Fault]:
    """Both ends of a flow exist, and somebody listens at the far one."""
    for flow in topology.flows:
        if topology.home(flow.source) is None and topology.actor(flow.source) is None:
            yield Fault(
                "flow-source", str(flow), f"{flow.source} is not declared", "Declare it or name another source"
            )
        if topology.home(flow.to) is None:
            yield Fault(
                "flow-target", str(flow), f"{flow.to} is not declared", "Declare it or name another target"
            )
        elif topology.port_of(flow.to, flow.port) is None:
            yield Fault(
                "flow-port",
                str(flow),
                f"{flow.to} listens on no port {flow.port} (it has {_ports(topology, flow.to)})",
                f"Declare the port on {flow.to} or name one that it has",
            )


def flow_open(topology: Topology) -> Iterator[Fault]:
    """What crosses a node's edge finds the port published there, and a firewall rule that lets it in."""
    published = {(p.service, p.port): p for p in publishes(topology)}
    rules = firewall_rules(topology)
    for flow in topology.flows:
        port = topology.port_of(flow.to, flow.port)
        if port is None or not _crosses(topology, flow):
            continue
        actor = topology.actor(flow.source)
        number, is_node = port.host_number, flow.to not in topology.services
        entry = published.get((flow.to, flow.port))
        if entry is None and not is_node:
            yield Fault(
                "flow-published",
                str(flow),
                f"{flow.to}'s port {port.number} ({flow.port}) is not published on its node"
                + _instead(topology, flow),
                f"Publish {flow.to}:{flow.port}, or let the flow end where something is published",
            )
        elif entry is not None:
            number = entry.host_port
            if entry.address.startswith("127.") and not (actor and actor.tunnel):
                yield Fault(
                    "flow-loopback",
                    str(flow),
                    f"{flow.to}:{flow.port} is published on {entry.address}:{number} only, out of reach for"
                    f" {flow.source}",
                    "Publish it on the node's own address, or send the flow through a tunnel",
                )
        if actor and actor.tunnel:
            continue
        if not any(_lets_in(topology, rule, flow, port.transport, number) for rule in rules):
            yield Fault(
                "flow-rule",
                str(flow),
                f"no firewall rule lets {flow.source} reach {port.transport}:{number}"
                f" on {_home_name(topology, flow.to)}{_almost(rules, flow, number)}",
                f"Add a rule for {port.transport}:{number}, or drop the flow",
            )


def rule_needed(topology: Topology) -> Iterator[Fault]:
    """No rule opens a port of a node that no flow asks for."""
    published = {(p.service, p.port): p.host_port for p in publishes(topology)}
    for rule in firewall_rules(topology):
        if rule.deny:
            continue
        for node in topology.nodes:
            if not set(rule.target_tags) & set(node.tags):
                continue
            for transport, number in rule.allows:
                wanted = _asked_for(topology, rule, node.name, transport, number, published)
                for source in (*rule.source_tags, *rule.source_ranges):
                    if source not in wanted:
                        yield Fault(
                            "rule-unused",
                            f"rule {rule.name}",
                            f"it opens {transport}:{number} of {node.name} to {source}, and no flow needs that",
                            "Declare the flow or narrow the rule",
                        )


def tags_used(topology: Topology) -> Iterator[Fault]:
    """Every tag that a rule names is carried by a node, or the rule does nothing."""
    carried = {tag for node in topology.nodes for tag in node.tags}
    for rule in firewall_rules(topology):
        for tag in (*rule.source_tags, *rule.target_tags):
            if tag not in carried:
                yield Fault(
                    "rule-tag", f"rule {rule.name}", f"no node carries the tag {tag}", "Give it to a node or drop it"
                )


def host_ports(topology: Topology) -> Iterator[Fault]:
    """One host port, one service."""
    taken: dict[tuple[str, str, int], Publish] = {}
    for entry in publishes(topology):
        key = (entry.node, entry.transport, entry.host_port)
        other = taken.get(key)
        if other:
            yield Fault(
                "host-port",
                f"node {entry.node}",
                f"{other.service}:{other.port} and {entry.service}:{entry.port} both want"
                f" {entry.transport}:{entry.host_port}",
                "Give one of them another host port",
            )
        taken.setdefault(key, entry)


def host_network(topology: Topology) -> Iterator[Fault]:
    """In the host's network there is no mapping: a port has one number."""
    for service in topology.services.values():
        for port in service.ports:
            if service.network == "host" and port.host_number != port.number:
                yield Fault(
                    "host-network",
                    f"service {service.name}",
                    f"port {port.name} is {port.number} in the host's network and cannot be {port.host_number} too",
                    "Let the service listen on the host port",
                )


def scrape_targets(topology: Topology) -> Iterator[Fault]:
    """A Prometheus target speaks Prometheus."""
    for flow in topology.flows:
        port = topology.port_of(flow.to, flow.port)
        if flow.kind is Kind.SCRAPE and port and Speaks.METRICS not in port.speaks:
            hint = (
                "NATS answers in JSON: scrape its exporter"
                if Speaks.NATS_MONITOR in port.speaks
                else "Scrape a port that does, or drop the target"
            )
            yield Fault(
                "scrape-format",
                str(flow),
                f"{flow.to}:{port.number} speaks {_speech(port.speaks)}, not the Prometheus text format",
                hint,
            )


def log_routes(topology: Topology) -> Iterator[Fault]:
    """Every container's log has a way to the store: a collector on its node, or a flow that carries it."""
    receivers = [s for s in topology.services.values() if any(Speaks.LOKI in p.speaks for p in s.ports)]
    if not receivers:
        return
    collecting = {node.name for node in topology.nodes if any(_collects(s.sockets) for s in node.services)}
    carried = set()
    for flow in topology.flows:
        port = topology.port_of(flow.to, flow.port)
        if flow.kind is Kind.LOGS and port and {Speaks.SYSLOG, Speaks.LOKI} & set(port.speaks):
            carried.add(flow.source)
    for node in topology.nodes:
        for service in node.services:
            if node.name not in collecting and service.name not in carried:
                yield Fault(
                    "log-route",
                    f"service {service.name}",
                    f"nothing on {node.name} sends its logs anywhere, yet {receivers[0].name} is to hold them",
                    f"Declare a flow of kind logs from {service.name} to a log receiver",
                )


def machine_types(topology: Topology) -> Iterator[Fault]:
    for node in topology.nodes:
        if node.machine_type not in MACHINE_TYPES:
            known = ", ".join(MACHINE_TYPES)
            yield Fault(
                "machine-type",
                f"node {node.name}",
                f"machine type {node.machine_type!r} is unknown",
                f"Use one of {known}",
            )


def within_budget(topology: Topology) -> Iterator[Fault]:
    """The limits fit the machine, with room for the system and the engine."""
    for node in topology.nodes:
        if node.machine_type not in MACHINE_TYPES:
            continue
        b = budgets.budget(node)
        if b.memory_used_mib > b.memory_room_mib:
            yield Fault(
                "memory-budget",
                f"node {node.name}",
                f"memory limits add up to {b.memory_used_mib} MiB, but {b.machine.name} has"
                f" {b.machine.memory_mib} MiB and the system and the engine need"
                f" {budgets.SYSTEM_MEMORY_MIB} of them",
                f"Stay within {b.memory_room_mib} MiB or take a larger machine",
            )
        if b.cpus_used > b.cpus_room + 1e-9:
            yield Fault(
                "cpu-budget",
                f"node {node.name}",
                f"CPU limits add up to {b.cpus_used:g} cores of {b.machine.name}'s {b.machine.vcpus}, and the"
                f" system and the engine need {b.machine.vcpus - b.cpus_room:g}",
                f"Stay within {b.cpus_room:g} cores or take a larger machine",
            )


def dependencies(topology: Topology) -> Iterator[Fault]:
    """A container waits only for containers that its own compose file starts, and never in a circle."""
    for node in topology.nodes:
        local = {service.name: service for service in node.services}
        for service in node.services:
            for name in service.depends_on:
                if name in local:
                    continue
                elsewhere = topology.home(name)
                what = f"depends on {name}, which " + (
                    f"runs on {elsewhere.name}, where no compose file can wait for it"
                    if elsewhere
                    else "is not declared"
                )
                yield Fault("depends-on", f"service {service.name}", what, "Drop it: clients retry by themselves")
            if _reaches(local, service.name, service.name):
                yield Fault("depends-on", f"service {service.name}", "it waits for itself in a circle", "Break it")


def references(topology: Topology) -> Iterator[Fault]:
    """What a command or an environment refers to is declared as a flow."""
    flows = {(flow.source, flow.to, flow.port) for flow in topology.flows}
    for service in topology.services.values():
        values = [*service.command, *(value for _, value in service.environment)]
        for value in values:
            if isinstance(value, Url) and (service.name, value.service, value.port) not in flows:
                yield Fault(
                    "reference",
                    f"service {service.name}",
                    f"it refers to {value.service}:{value.port}, but no flow says that it talks to it",
                    "Declare the flow",
                )


def health_ports(topology: Topology) -> Iterator[Fault]:
    for service in topology.services.values():
        if service.health and service.port(service.health.port) is None:
            yield Fault(
                "health-port",
                f"service {service.name}",
                f"its health check asks port {service.health.port}, which it does not have",
                f"Name one of {_ports(topology, service.name)}",
            )


def cidrs(topology: Topology) -> Iterator[Fault]:
    for actor in topology.actors:
        for cidr in actor.cidrs:
            try:
                ip_network(cidr)
            except ValueError as error:
                yield Fault("cidr", f"actor {actor.name}", f"{error}", "Write it as 203.0.113.0/24")


CHECKS: tuple[Callable[[Topology], Iterator[Fault]], ...] = (
    unique_names,
    flow_ends,
    flow_open,
    rule_needed,
    tags_used,
    host_ports,
    host_network,
    scrape_targets,
    log_routes,
    machine_types,
    within_budget,
    dependencies,
    references,
    health_ports,
    cidrs,
)


def faults(topology: Topology) -> tuple[Fault, ...]:
    """Every fault of every rule, in the order of `CHECKS`."""
    return tuple(fault for check in CHECKS for fault in check(topology))


def verify(topology: Topology) -> Topology:
    """The topology itself, or FaultsError with everything that is wrong with it."""
    found = faults(topology)
    if found:
        raise FaultsError(f"topology {topology.name}", found)
    return topology


def _crosses(topology: Topology, flow: Flow) -> bool:
    actor = topology.actor(flow.source)
    if actor:
        return actor.tunnel or bool(actor.cidrs)
    return topology.home(flow.source) is not topology.home(flow.to)


def _lets_in(topology: Topology, rule: Rule, flow: Flow, transport: str, number: int) -> bool:
    there = topology.home(flow.to)
    if rule.deny or there is None or not set(rule.target_tags) & set(there.tags):
        return False
    if (transport, number) not in rule.allows:
        return False
    actor = topology.actor(flow.source)
    if actor:
        return set(actor.cidrs) <= set(rule.source_ranges)
    here = topology.home(flow.source)
    return here is not None and bool(set(rule.source_tags) & set(here.tags))


def _asked_for(
    topology: Topology,
    rule: Rule,
    node: str,
    transport: str,
    number: int,
    published: dict[tuple[str, str], int],
) -> set[str]:
    """The rule's sources that some flow to this port of this node really comes from."""
    wanted: set[str] = set()
    for flow in topology.flows:
        there, port = topology.home(flow.to), topology.port_of(flow.to, flow.port)
        if there is None or port is None or there.name != node or port.transport != transport:
            continue
        if published.get((flow.to, flow.port), port.host_number) != number:
            continue
        actor, here = topology.actor(flow.source), topology.home(flow.source)
        if actor:
            wanted.update(actor.cidrs)
        elif here is not None and here is not there:
            wanted.update(tag for tag in rule.source_tags if tag in here.tags)
    return wanted


def _reaches(local: dict[str, object], start: str, goal: str) -> bool:
    graph = {name: getattr(service, "depends_on", ()) for name, service in local.items()}
    seen: set[str] = set()
    todo = list(graph.get(start, ()))
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += graph.get(name, ())
    return False


def _collects(sockets: tuple[str, ...]) -> bool:
    return any(path.startswith("/var/lib/docker/containers") for path in sockets)


def _home_name(topology: Topology, name: str) -> str:
    home = topology.home(name)
    return home.name if home else name


def _ports(topology: Topology, name: str) -> str:
    owner = topology.services.get(name) or topology.home(name)
    return ", ".join(f"{port.name}={port.number}" for port in owner.ports) if owner and owner.ports else "none"


def _instead(topology: Topology, flow: Flow) -> str:
    others = [f"{p.port} as {p.host_port}" for p in publishes(topology) if p.service == flow.to]
    return f" (published there: {', '.join(others)})" if others else ""


def _almost(rules: tuple[Rule, ...], flow: Flow, number: int) -> str:
    near = [rule for rule in rules if flow.rule and rule.name == flow.rule]
    if not near:
        return ""
    opened = ", ".join(f"{transport}:{port}" for rule in near for transport, port in rule.allows)
    return f" ({flow.rule} opens {opened})" if str(number) not in opened else f" ({flow.rule} has other sources)"


def _speech(speaks: tuple[Speaks, ...]) -> str:
    words = defaultdict(str, {Speaks.NATS_MONITOR: "NATS monitoring (JSON)"})
    return " and ".join(words[each] or each.value for each in speaks) or "nothing known"
