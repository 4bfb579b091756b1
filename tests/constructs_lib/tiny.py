"""Topologies small enough to see what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from constructs_lib.checks import faults
from constructs_lib.model import Actor, Flow, Node, Port, Service, Speaks, Topology

if TYPE_CHECKING:
    from constructs_lib.faults import Fault


def service(name: str, *ports: Port, **more: Any) -> Service:
    return Service(
        **{"name": name, "image": "image:1", "cpus": 0.1, "memory_mib": 64, "tag": name, "ports": ports, **more}
    )


def node(name: str, *services: Service, **more: Any) -> Node:
    return Node(**{"name": name, "machine_type": "e2-small", "zone": "us-central1-a", "services": services, **more})


def flow(path: str, **more: Any) -> Flow:
    """path: "source target:port"."""
    source, target = path.split(" ")
    to, port = target.split(":")
    return Flow(**{"source": source, "to": to, "port": port, "why": "a test", **more})


def topology(*nodes: Node, flows: tuple[Flow, ...] = (), actors: tuple[Actor, ...] = (), **more: Any) -> Topology:
    return Topology(
        name="tiny", project="tiny-project", network="default", nodes=nodes, flows=flows, actors=actors, **more
    )


HTTP = Port(name="http", number=8080, host=80, speaks=(Speaks.HTTP,))
CLIENT = Port(name="client", number=4222, speaks=(Speaks.NATS,))
INTERNET = Actor(name="internet", cidrs=("0.0.0.0/0",))
OPERATOR = Actor(name="operator", tunnel=True)
ADMIN = Actor(name="admin", cidrs=("203.0.113.0/24",))

WEB = service("web", HTTP)
DB = service("db", CLIENT)
# Every node has the tag that a node's own ports are opened by, so SSH is for all of them or for none.
SSH_FLOWS = (flow("admin front:ssh", rule="allow-ssh"), flow("admin back:ssh", rule="allow-ssh"))
FRONT = node("front", WEB)
BACK = node("back", DB)
FLOWS = (flow("internet web:http"), flow("web db:client"))
# Two nodes, one door to the world, one between them: nothing is wrong with it.
PAIR = topology(FRONT, BACK, flows=FLOWS, actors=(INTERNET,))


def pair(web: Service = WEB, db: Service = DB, flows: tuple[Flow, ...] = FLOWS, **more: Any) -> Topology:
    """PAIR with something else in it."""
    return replace(PAIR, nodes=(replace(FRONT, services=(web,)), replace(BACK, services=(db,))), flows=flows, **more)


def alone(*services: Service, flows: tuple[Flow, ...] = (), **more: Any) -> Topology:
    """One node with these services."""
    return topology(node("front", *services), flows=flows, **more)


def clean(good: Topology) -> None:
    assert [str(fault) for fault in faults(good)] == []


def only(broken: Topology, rule: str, where: str, *values: str) -> Fault:
    """The topology's one fault, which is of this rule, at this place, and says these values."""
    found = faults(broken)
    assert [(fault.rule, fault.where) for fault in found] == [(rule, where)], [str(fault) for fault in found]
    (fault,) = found
    for value in values:
        assert value in fault.what, (value, fault.what)
    assert fault.fix
    return fault


def of(broken: Topology, rule: str) -> Fault:
    """The topology's one fault of this rule, among those that it brings with it."""
    (fault,) = [fault for fault in faults(broken) if fault.rule == rule]
    return fault
