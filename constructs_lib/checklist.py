"""What must hold of a running system, as data: the plan's validation checklist and what follows from the flows.

Whoever runs it (this machine, a rehearsal, an operator against the cloud) brings the probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from constructs_lib.model import Kind, Speaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Topology

# Named by the plan's step 5; a dashboard that asks for them must find them.
PLAN_METRICS = ("ws_connections_current", "ws_messages_sent_total")


class Probe(StrEnum):
    """How a check is made; `Check` says of what."""

    HTTP = "http"  # GET path answers 200
    BROKER = "broker"  # /health says that NATS is connected
    WEBSOCKET = "websocket"  # handshake, subscribe, acknowledgement
    DELIVERY = "delivery"  # published messages reach a client, in sequence, `prev` unbroken
    METRICS = "metrics"  # GET /metrics is Prometheus text and has the names
    LOGS = "logs"  # every line is one JSON object with level and message


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the checklist. names: metrics that must be present. plan: the original plan asks for it.
    next_step: what to do about a "no"."""

    probe: Probe
    service: str
    title: str
    next_step: str
    port: str = ""
    path: str = ""
    names: tuple[str, ...] = ()
    plan: bool = False


def checklist(topology: Topology) -> tuple[Check, ...]:
    """In the order in which a person would look: is it up, is it connected, does it flow, is it seen."""
    return (*_up(topology), *_sockets(topology), *_scraped(topology), *_logs(topology))


def _up(topology: Topology) -> Iterator[Check]:
    for service in topology.services.values():
        if service.health is None:
            continue
        yield Check(
            probe=Probe.HTTP,
            service=service.name,
            port=service.health.port,
            path=service.health.path,
            title=f"{service.name} is healthy",
            next_step=f"Read its log: docker logs {topology.name}-{service.name}",
            plan=_serves_clients(topology, service.name),
        )


def _sockets(topology: Topology) -> Iterator[Check]:
    for service in topology.services.values():
        for port in service.ports:
            if Speaks.WEBSOCKET not in port.speaks:
                continue
            yield Check(
                probe=Probe.BROKER,
                service=service.name,
                port=port.name,
                path="/health",
                title=f"{service.name} is connected to NATS",
                next_step="Is NATS up, and does the rule for its client port let this node in?",
                plan=True,
            )
            yield Check(
                probe=Probe.WEBSOCKET,
                service=service.name,
                port=port.name,
                path="/ws",
                title="a WebSocket client connects and subscribes",
                next_step=f"Does /ready of {service.name} answer 200? It says why clients are refused",
                plan=True,
            )
            yield Check(
                probe=Probe.DELIVERY,
                service=service.name,
                port=port.name,
                path="/ws",
                title="messages flow from publisher to client, in sequence",
                next_step="Does the publisher publish (/stats), and does the stream hold messages?",
                plan=True,
            )


def _scraped(topology: Topology) -> Iterator[Check]:
    for flow in topology.flows:
        if flow.kind is not Kind.SCRAPE:
            continue
        ours = _serves_clients(topology, flow.to)
        yield Check(
            probe=Probe.METRICS,
            service=flow.to,
            port=flow.port,
            path="/metrics",
            names=PLAN_METRICS if ours else (),
            title=f"Prometheus can scrape {flow.to}" + (f": {', '.join(PLAN_METRICS)}" if ours else ""),
            next_step=f"Ask Prometheus' /targets for {flow.to}: it shows the error",
            plan=ours,
        )


def _logs(topology: Topology) -> Iterator[Check]:
    for service in topology.services.values():
        if _ours(topology, service.name):
            yield Check(
                probe=Probe.LOGS,
                service=service.name,
                title=f"{service.name} logs one JSON object a line",
                next_step="Set LOG_FORMAT=json",
                plan=_serves_clients(topology, service.name),
            )


def _serves_clients(topology: Topology, name: str) -> bool:
    return any(Speaks.WEBSOCKET in port.speaks for port in topology.services[name].ports)


def _ours(topology: Topology, name: str) -> bool:
    """Built here, so its log format is ours to keep."""
    return not isinstance(topology.services[name].image, str)
