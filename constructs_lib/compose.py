"""A node's compose file: its services, with the ports that flows need published on the addresses they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs_lib.endpoints import Deployed, resolve
from constructs_lib.model import Build, Kind
from constructs_lib.publishing import publishes

if TYPE_CHECKING:
    from constructs_lib.endpoints import Places
    from constructs_lib.model import HealthCheck, Node, Service, Topology

ROOT = "/opt/odin"
STATE = "/var/lib/odin"


def compose(topology: Topology, node: Node) -> dict[str, Any]:
    """The compose-spec document of `node`, as plain dicts and lists.

    The topology is taken to be free of faults.
    """
    places = Deployed(topology)
    document: dict[str, Any] = {
        "name": topology.name,
        "services": {service.name: _service(topology, places, node, service) for service in node.services},
    }
    if any(service.network == "bridge" for service in node.services):
        document["networks"] = {"odin-network": {"driver": "bridge"}}
    return document


def container_name(topology: Topology, service: Service) -> str:
    """odin-nats, odin-ws-go, ...: the names that the plan and its dashboards use."""
    return f"{topology.name}-{service.name}"


def _service(topology: Topology, places: Places, node: Node, service: Service) -> dict[str, Any]:
    found: dict[str, Any] = {"container_name": container_name(topology, service)}
    if isinstance(service.image, Build):
        found["build"] = {"context": f"./{service.image.context}"}
        found["image"] = f"{service.image.tag}:local"
        # odin.service builds it if it is missing. Asking a registry would get somebody else's image.
        found["pull_policy"] = "never"
    else:
        found["image"] = service.image
    if service.user:
        found["user"] = service.user
    if service.command:
        # The engine's `$` is compose's own; `$$` is how compose is told to leave one alone.
        found["command"] = [_literal(resolve(places, service.name, item)) for item in service.command]
    if service.environment:
        found["environment"] = {
            name: _literal(resolve(places, service.name, value)) for name, value in service.environment
        }
    if service.network == "host":
        found["network_mode"] = "host"
    else:
        found["networks"] = ["odin-network"]
        ports = _ports(topology, service)
        if ports:
            found["ports"] = ports
    mounts = [f"{STATE}/{volume.name}:{volume.target}" for volume in service.volumes]
    mounts += [f"{_on_node(file.source)}:{file.target}:ro" for file in service.files]
    mounts += [f"{path}:{path}:ro" for path in service.sockets]
    if mounts:
        found["volumes"] = mounts
    if service.depends_on:
        found["depends_on"] = {name: _condition(node, name) for name in service.depends_on}
    if service.health and service.health.command:
        found["healthcheck"] = _health(places, service, service.health)
    found["restart"] = "unless-stopped"
    found["stop_grace_period"] = f"{service.stop_grace_s}s"
    if _ships_logs(topology, service):
        # The journal always takes a line; the node's rsyslog carries it on, so that a receiver that is
        # away can neither keep the container from starting nor make it wait.
        found["logging"] = {"driver": "journald", "options": {"tag": container_name(topology, service)}}
    found["deploy"] = {"resources": {"limits": {"cpus": f"{service.cpus:g}", "memory": f"{service.memory_mib}M"}}}
    if service.nofile:
        found["ulimits"] = {"nofile": {"soft": service.nofile, "hard": service.nofile}}
    return found


def _on_node(source: str) -> str:
    return source if source.startswith("/") else f"./{source}"


def _ports(topology: Topology, service: Service) -> list[str]:
    found = []
    for entry in publishes(topology):
        port = service.port(entry.port) if entry.service == service.name else None
        if port:
            suffix = "" if entry.transport == "tcp" else f"/{entry.transport}"
            found.append(f"{entry.address}:{entry.host_port}:{port.number}{suffix}")
    return found


def _condition(node: Node, name: str) -> dict[str, str]:
    service = next(service for service in node.services if service.name == name)
    asked = service.health and service.health.command
    return {"condition": "service_healthy" if asked else "service_started"}


def _health(places: Places, service: Service, health: HealthCheck) -> dict[str, Any]:
    _, number = places.listen(service.name, health.port)
    return {
        "test": ["CMD", *health.command, f"http://127.0.0.1:{number}{health.path}"],
        "interval": f"{health.interval_s}s",
        "timeout": f"{health.timeout_s}s",
        "retries": health.retries,
        "start_period": f"{health.start_period_s}s",
    }


def _ships_logs(topology: Topology, service: Service) -> bool:
    return any(flow.source == service.name and flow.kind is Kind.LOGS for flow in topology.flows)


def _literal(text: str) -> str:
    return text.replace("$", "$$")
