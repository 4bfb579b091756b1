"""What a reference in a command, an environment or a file stands for in one kind of run.

`Deployed` is the run on the nodes. Other runs (this machine, a rehearsal) bring their own `Places`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from constructs_lib.model import Listen, Speaks, Stored, Url, Value
from constructs_lib.publishing import ANYWHERE

if TYPE_CHECKING:
    from constructs_lib.model import Node, Topology

_SCHEMES = {Speaks.WEBSOCKET: "ws", Speaks.NATS: "nats", Speaks.SYSLOG: "", Speaks.SSH: ""}


class Places(Protocol):
    """Where things are in one kind of run."""

    topology: Topology

    def find(self, source: str, target: str, port: str) -> tuple[str, int]:
        """(host, port number) under which `source` reaches `target`'s port."""

    def listen(self, service: str, port: str) -> tuple[str, int]:
        """(host, port number) on which `service` itself listens."""

    def store(self, service: str, volume: str) -> str:
        """The directory of a volume, as the service sees it."""


class Deployed:
    """Names of the compose network inside a node, zonal DNS names between nodes."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    def find(self, source: str, target: str, port: str) -> tuple[str, int]:
        """Raises LookupError for a target that is not declared; `checks` reports those first."""
        listening = self.topology.port_of(target, port)
        there = self.topology.home(target)
        if listening is None or there is None:
            raise LookupError(f"{target}:{port} is not declared")
        if self.topology.home(source) is not there:
            return dns_name(self.topology, there), listening.host_number
        if source == target:
            return "localhost", listening.number
        here, service = self.topology.services.get(source), self.topology.services.get(target)
        if here and here.network == "host":
            return "127.0.0.1", listening.host_number
        if service and service.network == "host":
            # It has no name in the compose network; the node's own leads out of it and back in.
            return dns_name(self.topology, there), listening.host_number
        return target, listening.number

    def listen(self, service: str, port: str) -> tuple[str, int]:
        listening = self.topology.port_of(service, port)
        if listening is None:
            raise LookupError(f"{service} has no port {port}")
        return ANYWHERE, listening.number

    def store(self, service: str, volume: str) -> str:
        found = self.topology.services[service].volume(volume)
        if found is None:
            raise LookupError(f"{service} has no volume {volume}")
        return found.target


def dns_name(topology: Topology, node: Node) -> str:
    """Google's zonal DNS name: known before the machine exists, the same after it is replaced."""
    return f"{node.name}.{node.zone}.c.{topology.project}.internal"


def resolve(places: Places, source: str, value: Value) -> str:
    """The text that `value` stands for in `source`'s command, environment or files.

    Raises LookupError where no flow says that `source` talks to what it refers to: no rule would open it.
    """
    match value:
        case Url():
            return _url(places, source, value)
        case Listen(port, form):
            host, number = places.listen(source, port)
            return form.format(host=host, number=number)
        case Stored(volume, form):
            return form.format(path=places.store(source, volume))
        case _:
            return value


def _url(places: Places, source: str, to: Url) -> str:
    if not any((f.source, f.to, f.port) == (source, to.service, to.port) for f in places.topology.flows):
        raise LookupError(f"{source} refers to {to.service}:{to.port}, but no flow says that it talks to it")
    host, number = places.find(source, to.service, to.port)
    port = places.topology.port_of(to.service, to.port)
    scheme = _SCHEMES.get(port.speaks[0], "http") if port and port.speaks else "http"
    return f"{scheme}://{host}:{number}{to.path}" if scheme else f"{host}:{number}{to.path}"
