"""Prometheus' configuration: one job a scrape flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs_lib.model import Kind

if TYPE_CHECKING:
    from constructs_lib.endpoints import Places

INTERVAL_S = 15


def config(places: Places, source: str = "prometheus") -> dict[str, Any]:
    """The prometheus.yml of the service named `source`, as plain dicts and lists."""
    topology = places.topology
    jobs = []
    for flow in topology.flows:
        if flow.source != source or flow.kind is not Kind.SCRAPE:
            continue
        host, number = places.find(source, flow.to, flow.port)
        service, home = topology.services[flow.to], topology.home(flow.to)
        assert home is not None
        labels = {"instance": home.name, "service": service.role or service.name}
        jobs.append({"job_name": flow.to, "static_configs": [{"targets": [f"{host}:{number}"], "labels": labels}]})
    return {
        "global": {"scrape_interval": f"{INTERVAL_S}s", "evaluation_interval": f"{INTERVAL_S}s"},
        "scrape_configs": jobs,
    }
