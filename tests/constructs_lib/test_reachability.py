"""What the checks let pass does what it says: every flow gets through, and nothing else does.

Random small topologies, derived or tampered with by hand; an independent simulator is the judge.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from constructs_lib.checks import faults
from constructs_lib.firewall import rules
from constructs_lib.model import Actor, Flow, Node, Port, Publish, Rule, Service, Speaks, Topology
from constructs_lib.publishing import publishes
from tests.constructs_lib.simulator import World
from tests.constructs_lib.tiny import flow, node, service, topology

CIDRS = ("0.0.0.0/0", "203.0.113.0/24", "198.51.100.0/24")
# One inside each of CIDRS, one in none but the first.
OUTSIDE = ("203.0.113.9", "198.51.100.9", "192.0.2.9")
TAGS = ("red", "blue", "green")

quick = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@st.composite
def topologies(draw: st.DrawFn, shared_tags: bool) -> Topology:
    """Up to three nodes with up to two services each; every port has a flow, every actor one too."""
    nodes: list[Node] = []
    taken = 8000
    for at in range(draw(st.integers(1, 3))):
        services: list[Service] = []
        for which in range(draw(st.integers(1, 2))):
            host_network = draw(st.booleans())
            ports = []
            for name in ("one", "two")[: draw(st.integers(1, 2))]:
                taken += 1
                host = None if host_network else draw(st.sampled_from((None, taken + 1000)))
                ports.append(Port(name=name, number=taken, host=host, speaks=(Speaks.HTTP,)))
            name = f"s{at}{which}"
            tag = draw(st.sampled_from(TAGS)) if shared_tags else name
            services.append(service(name, *ports, tag=tag, network="host" if host_network else "bridge"))
        nodes.append(node(f"n{at}", *services))
    names = [each.name for machine in nodes for each in machine.services]
    actors = (
        Actor(name="public", cidrs=(draw(st.sampled_from(CIDRS)),)),
        Actor(name="few", cidrs=tuple(sorted(draw(st.sets(st.sampled_from(CIDRS[1:])))))),
        Actor(name="tunnel", tunnel=True),
        Actor(name="iap", cidrs=("35.235.240.0/20",)),
    )
    flows = [flow(f"iap {machine.name}:ssh", rule="allow-ssh") for machine in nodes]
    for machine in nodes:
        for each in machine.services:
            for port in each.ports:
                sources = draw(
                    st.lists(st.sampled_from([*names, "public", "few", "tunnel"]), min_size=1, max_size=2, unique=True)
                )
                # A rule of several flows opens every pair of them: the checks must see it.
                rule = draw(st.sampled_from(("", "", "", "shared"))) if shared_tags else ""
                flows += [flow(f"{source} {each.name}:{port.name}", rule=rule) for source in sources]
    used = {each.source for each in flows}
    return topology(*nodes, flows=tuple(flows), actors=tuple(actor for actor in actors if actor.name in used))


@st.composite
def tampered(draw: st.DrawFn) -> Topology:
    """Publishes and rules as derived, then changed in one or two places."""
    whole = draw(topologies(shared_tags=False))
    entries, allowed = list(publishes(whole)), list(rules(whole))
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()) and entries:
            at = draw(st.integers(0, len(entries) - 1))
            entries[at : at + 1] = draw(st.sampled_from(_other_publishes(entries[at])))
        else:
            at = draw(st.integers(0, len(allowed) - 1))
            allowed[at : at + 1] = draw(st.sampled_from(_other_rules(allowed[at])))
            assume(allowed)
    return replace(whole, publishes=tuple(entries), rules=tuple(allowed))


def _other_publishes(entry: Publish) -> list[list[Publish]]:
    return [
        [],
        [replace(entry, address="127.0.0.1")],
        [replace(entry, address="0.0.0.0")],
        [replace(entry, host_port=entry.host_port + 1)],
        [replace(entry, transport="udp")],
    ]


def _other_rules(rule: Rule) -> list[list[Rule]]:
    return [
        [],
        [replace(rule, priority=500)],
        [replace(rule, priority=65535)],
        [replace(rule, source_ranges=(*rule.source_ranges, "0.0.0.0/0"))],
        [replace(rule, source_ranges=("203.0.113.0/25",), source_tags=())],
        [replace(rule, target_tags=("odin",))],
        [replace(rule, allows=tuple((transport, number + 1) for transport, number in rule.allows))],
        [replace(rule, deny=not rule.deny)],
    ]


def judge(found: Topology) -> None:
    """Asserts that exactly the declared flows get through."""
    world = World(found, publishes(found), rules(found))
    for each in found.flows:
        assert _gets_through(world, each), each
    for machine in found.nodes:
        for outside in OUTSIDE:
            address = IPv4Address(outside)
            assert world.open_to(address, set(), machine.name) <= _declared_for(found, address), outside
        for other in found.nodes:
            if other is not machine:
                reached = world.open_to(world.address(other.name), set(other.tags), machine.name)
                names = {each.name for each in other.services}
                declared = {(each.to, each.port) for each in found.flows if each.source in names}
                assert reached <= declared | _declared_for(found, world.address(other.name)), (other.name, machine.name)


def _gets_through(world: World, wanted: Flow) -> bool:
    found = world.topology
    there = found.home(wanted.to)
    assert there is not None
    door = (wanted.to, wanted.port)
    doors = {(name, port) for name, port, _ in world.listening(there.name).values()}
    actor, here = found.actor(wanted.source), found.home(wanted.source)
    if actor and actor.tunnel:
        # The tunnel comes from Google's proxy and then speaks to the node from inside.
        ssh = world.open_to(IPv4Address("35.235.240.9"), set(), there.name)
        return door in doors and (there.name, "ssh") in ssh
    if actor:
        # A network's first address stands for all: rules know no exceptions inside one.
        firsts = [ip_network(cidr)[0] for cidr in actor.cidrs]
        return all(door in world.open_to(IPv4Address(str(first)), set(), there.name) for first in firsts)
    assert here is not None
    if here is not there:
        return door in world.open_to(world.address(here.name), set(here.tags), there.name)
    if found.services[wanted.source].network == "host":
        return door in doors
    return True


def _declared_for(found: Topology, address: IPv4Address) -> set[tuple[str, str]]:
    """What some actor who may have this address is declared to reach."""
    return {
        (each.to, each.port)
        for each in found.flows
        if (actor := found.actor(each.source)) and any(address in ip_network(cidr) for cidr in actor.cidrs)
    }


@quick
@given(topologies(shared_tags=False))
def test_what_is_derived_is_clean_and_exact(found: Topology) -> None:
    assert [str(fault) for fault in faults(found)] == []
    judge(found)


@quick
@given(topologies(shared_tags=True))
def test_shared_tags_and_rules_are_exact_or_a_fault(found: Topology) -> None:
    clean = not faults(found)
    event(f"clean: {clean}")
    if clean:
        judge(found)


@quick
@given(tampered())
def test_what_is_tampered_with_is_exact_or_a_fault(found: Topology) -> None:
    clean = not faults(found)
    event(f"clean: {clean}")
    if clean:
        judge(found)


def test_the_judge_sees_a_door_too_many_and_one_too_few() -> None:
    web, db = service("web", _port(80)), service("db", _port(5432))
    good = topology(
        node("front", web),
        node("back", db),
        flows=(flow("public web:http"), flow("web db:http")),
        actors=(Actor(name="public", cidrs=("0.0.0.0/0",)),),
    )
    judge(good)
    for by_hand in (rules(good)[1:], rules(good)[:-1]):
        try:
            judge(replace(good, rules=by_hand))
        except AssertionError:
            continue
        raise AssertionError("the judge is blind")


def _port(number: int) -> Port:
    return Port(name="http", number=number, speaks=(Speaks.HTTP,))
