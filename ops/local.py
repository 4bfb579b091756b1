"""The run on this machine: which program a service is here, where it listens, what it is started with."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from constructs_lib.endpoints import resolve
from constructs_lib.model import Build, Url
from ops.ports import Reservations, choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from constructs_lib.model import Service, Topology
    from ops.ports import Taken

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"

# Image name -> program that pip installs beside the interpreter.
_PROGRAMS = {"nats": "nats-server"}
# What a child may see of this shell: a container would see none of its PORT, WS_... or TOKENS.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class LocalPlaces:
    """Places of the local run. numbers: the port of each `service:port` that has a program here."""

    def __init__(self, topology: Topology, host: str, numbers: Mapping[str, int], state: Path) -> None:
        self.topology = topology
        self._host = host
        self._numbers = numbers
        self._state = state

    def find(self, source: str, target: str, port: str) -> tuple[str, int]:
        """Raises LookupError for a service that has no program here."""
        host = LOOPBACK if self._host == "0.0.0.0" else self._host  # noqa: S104 - compared, not bound
        return host, self._number(target, port)

    def listen(self, service: str, port: str) -> tuple[str, int]:
        """Never every address unless that was asked for: outside a container it would be the network's."""
        return self._host, self._number(service, port)

    def store(self, service: str, volume: str) -> str:
        """A directory below this run's state."""
        return str(self._state / volume)

    def without(self, services: Iterable[str]) -> LocalPlaces:
        """The same places, of a topology without the flows that lead to these services."""
        gone = set(services)
        flows = tuple(flow for flow in self.topology.flows if flow.to not in gone)
        return LocalPlaces(replace(self.topology, flows=flows), self._host, self._numbers, self._state)

    def _number(self, service: str, port: str) -> int:
        try:
            return self._numbers[f"{service}:{port}"]
        except KeyError:
            raise LookupError(f"{service}:{port} is not on this machine") from None


@dataclass(frozen=True)
class Plan:
    """What the local run starts. present: in the order to start in. absent: name -> why not here."""

    topology: Topology
    places: LocalPlaces
    present: tuple[Service, ...]
    absent: dict[str, str]
    taken: tuple[Taken, ...]


def plan(topology: Topology, host: str, state: Path, reservations: Reservations) -> Plan:
    """Decide what runs here and on which ports.

    Raises OSError when no port is left, LookupError when a service here refers to one that is not.
    """
    present = _in_order([service for service in topology.services.values() if program(service)])
    absent = {service.name: _why_absent(service) for service in topology.services.values() if service not in present}
    names = {service.name for service in present}
    for service in present:
        missing = sorted(addressed(service) - names)
        if missing:
            why = ", ".join(f"{name} ({absent[name]})" for name in missing)
            raise LookupError(f"{service.name} cannot run here without {why}")
    declared = {f"{service.name}:{port.name}": port.host_number for service in present for port in service.ports}
    numbers, taken = choose(host, declared, reservations)
    return Plan(topology, LocalPlaces(topology, host, numbers, state), present, absent, tuple(taken))


def program(service: Service) -> tuple[str, ...] | None:
    """How this machine starts the service's image; its command follows. None: it cannot."""
    if isinstance(service.image, Build):
        return sys.executable, "-m"  # the Dockerfile's entry point
    name = _PROGRAMS.get(_image_name(service.image))
    path = Path(sys.executable).with_name(name) if name else None
    return (str(path),) if path and path.exists() else None


def argv(places: LocalPlaces, service: Service) -> tuple[str, ...]:
    """The command line of a service that has a program here."""
    start = program(service)
    assert start is not None
    return (*start, *(resolve(places, service.name, value) for value in service.command))


def environment(places: LocalPlaces, service: Service) -> dict[str, str]:
    """The declared environment, the image's, and what any program needs from this machine."""
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    if isinstance(service.image, Build):
        found["PYTHONUNBUFFERED"] = "1"  # as in the Dockerfile
    return found | {name: resolve(places, service.name, value) for name, value in service.environment}


def usable(host: str) -> str | None:
    """Why nothing can listen on `host`; None if it is an address of this machine."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _image_name(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _why_absent(service: Service) -> str:
    known = isinstance(service.image, str) and _PROGRAMS.get(_image_name(service.image))
    return f"{known} is not installed: run make up" if known else "no program here"


def _in_order(services: Iterable[Service]) -> tuple[Service, ...]:
    """Each after those that it depends on or is told the address of; else as declared."""
    waiting = {service.name: service for service in services}
    ordered: list[Service] = []
    while waiting:
        ready = next(
            (
                service
                for service in waiting.values()
                if not ({*service.depends_on, *addressed(service)} - {service.name}) & waiting.keys()
            ),
            next(iter(waiting.values())),  # a circle: compose would refuse it, any order is as good
        )
        ordered.append(waiting.pop(ready.name))
    return tuple(ordered)


def addressed(service: Service) -> set[str]:
    """The services whose address it is told."""
    values = [*service.command, *(value for _, value in service.environment)]
    return {value.service for value in values if isinstance(value, Url)}
