"""A running system, and which probe makes which kind of check. A probe returns what it saw, or raises `No`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from constructs_lib.checklist import Probe
from ops.probes import http, logs, metrics, websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from constructs_lib.checklist import Check
    from constructs_lib.endpoints import Places


@dataclass(frozen=True, kw_only=True)
class System:
    """A running system to ask.

    places: where it is. present: services that run in it; checks of others are "not here". logs: captured
    output of services, where there is any. viewpoint: who asks, as `places` knows it. scraped: what
    Prometheus itself says of each job, where one runs.
    """

    places: Places
    present: frozenset[str]
    logs: Mapping[str, Path] = field(default_factory=dict)
    viewpoint: str = "operator"
    scraped: Mapping[str, metrics.Target] | None = None

    def where(self, service: str, port: str) -> tuple[str, int]:
        """(host, port number) of a service's port, from where we ask."""
        return self.places.find(self.viewpoint, service, port)


def _http(system: System, check: Check) -> str:
    return http.answers(*system.where(check.service, check.port), check.path)


def _broker(system: System, check: Check) -> str:
    return http.broker(*system.where(check.service, check.port), check.path)


def _websocket(system: System, check: Check) -> str:
    return websocket.subscribes(*system.where(check.service, check.port), check.path)


def _delivery(system: System, check: Check) -> str:
    return websocket.delivers(*system.where(check.service, check.port), check.path)


def _metrics(system: System, check: Check) -> str:
    at = system.where(check.service, check.port)
    target = None
    if system.scraped is not None:
        target = system.scraped.get(check.service, metrics.Target("unknown", "Prometheus knows no such target"))
    with websocket.listening(system, check):
        return metrics.scraped(*at, check.path, check.names, target)


def _logs(system: System, check: Check) -> str:
    return logs.structured(system.logs[check.service])


PROBES: Mapping[Probe, Callable[[System, Check], str]] = {
    Probe.HTTP: _http,
    Probe.BROKER: _broker,
    Probe.WEBSOCKET: _websocket,
    Probe.DELIVERY: _delivery,
    Probe.METRICS: _metrics,
    Probe.LOGS: _logs,
}
