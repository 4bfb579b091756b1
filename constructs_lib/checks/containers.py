"""Containers: what a compose file could not say, or would say twice."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from constructs_lib.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from constructs_lib.model import Port, Service, Topology

T = TypeVar("T")

# Names of values that end up in the node's metadata and in Terraform's state if they are written down.
SECRET = re.compile(r"(PASSWORD|PASSWD|SECRET|PRIVATE_KEY|API_KEY)$")


def images(topology: Topology) -> Iterator[Fault]:
    """An image has a version, or what runs changes without a deployment."""
    for service in topology.services.values():
        if not isinstance(service.image, str) or "@sha256:" in service.image:
            continue
        # A registry may have a port: the version stands behind the last slash.
        _, _, version = service.image.rpartition("/")[2].partition(":")
        if version in {"", "latest"}:
            yield Fault(
                "image", f"service {service.name}", f"image {service.image} names no version", "Write name:version"
            )


def ports(topology: Topology) -> Iterator[Fault]:
    """Port numbers are port numbers; a service has one port of a name, and of a number."""
    owners: list[tuple[str, tuple[Port, ...]]] = [(f"node {node.name}", node.ports) for node in topology.nodes]
    owners += [(f"service {service.name}", service.ports) for service in topology.services.values()]
    for where, declared in owners:
        for port in declared:
            for number in dict.fromkeys((port.number, port.host_number)):
                if not 1 <= number <= 65535:
                    yield Fault("port-number", where, f"port {port.name} is {number}", "Use 1 to 65535")
            if not port.speaks:
                yield Fault(
                    "port-speech", where, f"port {port.name} says nothing about what it speaks", "Say it in `speaks`"
                )
        for name in _twice(port.name for port in declared):
            yield Fault("port-twice", where, f"two ports have the name {name}", "Rename one of them")
        # One number inside may be published under two outside.
        for transport, number, _ in _twice((p.transport, p.number, p.host_number) for p in declared):
            yield Fault("port-twice", where, f"two ports are {transport}:{number}", "Drop one of them")


def mounts(topology: Topology) -> Iterator[Fault]:
    """One path inside a container, one thing mounted there; one volume, one service."""
    for node in topology.nodes:
        owner: dict[str, str] = {}
        for service in node.services:
            where = f"service {service.name}"
            for path in _twice(_paths(service)):
                yield Fault("mount-twice", where, f"two things are mounted at {path}", "Move or drop one of them")
            for volume in service.volumes:
                other = owner.setdefault(volume.name, service.name)
                if other != service.name:
                    yield Fault(
                        "volume-shared",
                        where,
                        f"its volume {volume.name} is {other}'s too: on {node.name} both are one directory",
                        "Rename one of them",
                    )
            for name in _twice(volume.name for volume in service.volumes):
                yield Fault("volume-shared", where, f"two of its volumes have the name {name}", "Rename one of them")


def environment(topology: Topology) -> Iterator[Fault]:
    """One variable, one value, and no secret among them."""
    for service in topology.services.values():
        where = f"service {service.name}"
        for name in _twice(name for name, _ in service.environment):
            yield Fault("environment-twice", where, f"{name} is set twice", "Drop one of them")
        for name, value in service.environment:
            if SECRET.search(name) and value:
                yield Fault(
                    "secret",
                    where,
                    f"{name} is a literal, which the repository, the node's metadata and the state all show",
                    "Make it on the node and mount it as a file",
                )


def _paths(service: Service) -> Iterator[str]:
    yield from (volume.target.rstrip("/") for volume in service.volumes)
    yield from (file.target.rstrip("/") for file in service.files)
    yield from (path.rstrip("/") for path in service.sockets)


def _twice(items: Iterable[T]) -> list[T]:
    return [item for item, count in Counter(items).items() if count > 1]


CHECKS = (images, ports, mounts, environment)
