"""The vocabulary: a topology is nodes with services, the actors outside, and the flows between them.

Plain frozen data. Nothing here derives, checks or renders; the modules beside this one do.
Names are unique over the whole topology, so a flow can name a service wherever it is placed, and a
service moves to another node without a change to any flow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal


class Speaks(StrEnum):
    """What a client hears on a port. The value is the URL scheme where there is one."""

    WEBSOCKET = "ws"
    HTTP = "http"
    NATS = "nats"
    NATS_MONITOR = "nats-monitor"  # JSON, never Prometheus text
    METRICS = "metrics"  # Prometheus exposition at /metrics
    PROMETHEUS = "prometheus"  # the query API
    LOKI = "loki"  # push and query API
    SYSLOG = "syslog"  # RFC 5424, octet-counted over TCP
    SSH = "ssh"


class Kind(StrEnum):
    """Why a flow exists, where something more than an open port follows from it."""

    TRAFFIC = "traffic"
    SCRAPE = "scrape"  # becomes a Prometheus target
    LOGS = "logs"  # becomes the log shipper of the source's node
    QUERY = "query"  # becomes a Grafana data source


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port that a service listens on.

    number: inside the container. host: on the node where it is published; `number` if None.
    tag: network tag that opens this port on its node; the service's own if None.
    """

    name: str
    number: int
    speaks: tuple[Speaks, ...]
    host: int | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    tag: str | None = None

    @property
    def host_number(self) -> int:
        return self.number if self.host is None else self.host


@dataclass(frozen=True)
class Url:
    """In a command or an environment: where the source of a declared flow finds its target."""

    service: str
    port: str
    path: str = ""


@dataclass(frozen=True)
class Listen:
    """In a command or an environment: where the service itself listens. form: with {host} and {number}."""

    port: str
    form: str = ":{number}"


@dataclass(frozen=True)
class Stored:
    """In a command or an environment: where a volume is found. form: with {path}."""

    volume: str
    form: str = "{path}"


Value = str | Url | Listen | Stored
"""What a command or an environment holds: a literal, or a reference that each kind of run resolves."""


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A file of the node that a container reads.

    source: file or folder of the node, relative to /opt/odin or absolute. target: inside the container, read-only.
    made_by: the unit of the node that makes it at boot; empty where the payload brings it.
    """

    source: str
    target: str
    made_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """State that outlives the container: a directory of the node, owned by `uid`, mounted at `target`."""

    name: str
    target: str
    uid: int = 0


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """An HTTP path that answers 200 while the service works.

    command: the program inside the image that is given the URL; empty where the image has none, and
    then only the checklist asks.
    """

    port: str
    path: str
    command: tuple[str, ...] = ()
    interval_s: int = 10
    timeout_s: int = 5
    retries: int = 3
    start_period_s: int = 20


@dataclass(frozen=True, kw_only=True)
class Build:
    """An image built on the node, once.

    context: folder below /opt/odin that holds the Dockerfile and the source. parts: what of the source
    the service needs, beside the Dockerfile and the lock file; everything if empty.
    """

    context: str
    tag: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Service:
    """One container.

    cpus: limit in cores. memory_mib: limit in MiB. tag: network tag that its node carries for it.
    network: "host" where the cost of NAT matters; its ports then have one number inside and outside.
    sockets: host paths mounted read-only that are no files of ours, such as the engine's socket.
    """

    name: str
    image: str | Build
    cpus: float
    memory_mib: int
    tag: str
    role: str = ""
    ports: tuple[Port, ...] = ()
    command: tuple[Value, ...] = ()
    environment: tuple[tuple[str, Value], ...] = ()
    files: tuple[ConfigFile, ...] = ()
    volumes: tuple[Volume, ...] = ()
    sockets: tuple[str, ...] = ()
    health: HealthCheck | None = None
    depends_on: tuple[str, ...] = ()
    network: Literal["bridge", "host"] = "bridge"
    nofile: int | None = None
    user: str | None = None
    stop_grace_s: int = 10

    def port(self, name: str) -> Port | None:
        return next((port for port in self.ports if port.name == name), None)

    def volume(self, name: str) -> Volume | None:
        return next((volume for volume in self.volumes if volume.name == name), None)


SSH = Port(name="ssh", number=22, speaks=(Speaks.SSH,))


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine: what it is and what runs on it.

    tag: network tag that every node of the topology carries. trees: folders below cloud-init/ whose
    files land on it. machine_type: a key of `machines.MACHINE_TYPES`. state_disk_gb: size in GB of the
    disk that holds the volumes and outlives the machine; 0 where nothing is to be kept.
    """

    name: str
    machine_type: str
    zone: str
    services: tuple[Service, ...]
    trees: tuple[str, ...] = ()
    boot_disk_gb: int = 10
    state_disk_gb: int = 0
    tag: str = "odin"
    ports: tuple[Port, ...] = (SSH,)

    def port(self, name: str) -> Port | None:
        return next((port for port in self.ports if port.name == name), None)

    @property
    def tags(self) -> tuple[str, ...]:
        """Every network tag the machine carries, sorted."""
        tags = {self.tag, *(port.tag for port in self.ports if port.tag)}
        for service in self.services:
            tags.add(service.tag)
            tags.update(port.tag for port in service.ports if port.tag)
        return tuple(sorted(tags))


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who is outside: source addresses, or an operator who comes through an SSH tunnel to loopback ports.

    cidrs: empty means nobody yet, and then no rule is made for it.
    """

    name: str
    cidrs: tuple[str, ...] = ()
    tunnel: bool = False


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Who talks to which port of what, and why. `rule` names the firewall rule that opens it, if it needs one."""

    source: str
    to: str
    port: str
    why: str
    rule: str = ""
    kind: Kind = Kind.TRAFFIC

    def __str__(self) -> str:
        return f"flow {self.source} -> {self.to}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Publish:
    """A container's port on its node: `address:host_port` leads to `service:port`."""

    node: str
    service: str
    port: str
    address: str
    host_port: int
    transport: str = "tcp"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A VPC firewall rule, ingress. allows: (transport, port) pairs; empty means everything, for a deny."""

    name: str
    why: str
    target_tags: tuple[str, ...]
    source_tags: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    allows: tuple[tuple[str, int], ...] = ()
    deny: bool = False
    priority: int = 1000


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The whole system.

    publishes, rules: None means derived from the flows, which is the way. A tuple says what somebody
    else's hand has written (the original plan, a network that others own); it is checked all the same.
    """

    name: str
    project: str
    network: str
    nodes: tuple[Node, ...]
    flows: tuple[Flow, ...]
    actors: tuple[Actor, ...] = ()
    publishes: tuple[Publish, ...] | None = None
    rules: tuple[Rule, ...] | None = field(default=None)

    @cached_property
    def services(self) -> dict[str, Service]:
        return {service.name: service for node in self.nodes for service in node.services}

    @cached_property
    def _homes(self) -> dict[str, Node]:
        homes = {service.name: node for node in self.nodes for service in node.services}
        return homes | {node.name: node for node in self.nodes}

    def home(self, name: str) -> Node | None:
        """The node of a service, or the node itself by its own name; None for actors and strangers."""
        return self._homes.get(name)

    def actor(self, name: str) -> Actor | None:
        return next((actor for actor in self.actors if actor.name == name), None)

    def node(self, name: str) -> Node:
        """Raises KeyError for a node that is not declared."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def port_of(self, name: str, port: str) -> Port | None:
        """The port of a service or of a node; None where nobody listens."""
        owner = self.services.get(name) or next((node for node in self.nodes if node.name == name), None)
        return owner.port(port) if owner else None
