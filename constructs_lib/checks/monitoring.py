"""Metrics and logs: who asks speaks the same language as who answers, and nothing is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.faults import Fault
from constructs_lib.model import Kind, Speaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Service, Topology

_NEEDS = {
    Kind.SCRAPE: (frozenset({Speaks.METRICS}), "the Prometheus text format"),
    Kind.QUERY: (frozenset({Speaks.PROMETHEUS, Speaks.LOKI}), "Prometheus' or Loki's query API"),
    Kind.LOGS: (frozenset({Speaks.SYSLOG, Speaks.LOKI}), "syslog or Loki's push API"),
}
_SPEECH = {Speaks.NATS_MONITOR: "NATS monitoring (JSON)"}
_CONTAINER_LOGS = "/var/run/docker.sock"


def formats(topology: Topology) -> Iterator[Fault]:
    """A scrape finds metrics, a query a store, a log line a receiver."""
    for flow in topology.flows:
        port = topology.port_of(flow.to, flow.port)
        if flow.kind is Kind.TRAFFIC or port is None:
            continue
        wanted, name = _NEEDS[flow.kind]
        if not wanted & set(port.speaks):
            speech = " and ".join(_SPEECH.get(each, each.value) for each in port.speaks) or "nothing known"
            fix = f"Let the flow end at a port that speaks it, or say kind={Kind.TRAFFIC}"
            if flow.kind is Kind.SCRAPE and Speaks.NATS_MONITOR in port.speaks:
                fix = "Scrape an exporter of it instead"
            yield Fault(
                f"{flow.kind}-format",
                str(flow),
                f"{flow.to}:{port.number} speaks {speech}, not {name}",
                fix,
            )


def sources(topology: Topology) -> Iterator[Fault]:
    """What becomes a Prometheus target, a data source or a log shipper begins and ends at a service."""
    for flow in topology.flows:
        source = topology.services.get(flow.source)
        if flow.kind is Kind.TRAFFIC or topology.home(flow.to) is None:
            continue
        if source is None or flow.to not in topology.services:
            yield Fault(
                "flow-kind",
                str(flow),
                f"a flow of kind {flow.kind} goes from service to service",
                f"Name services, or say kind={Kind.TRAFFIC}",
            )
        elif flow.kind is Kind.SCRAPE and not _has(source, Speaks.PROMETHEUS):
            yield Fault(
                "flow-kind", str(flow), f"{flow.source} is no Prometheus, so it scrapes nothing", "Name the Prometheus"
            )


def scrape_jobs(topology: Topology) -> Iterator[Fault]:
    """One job a service: Prometheus refuses two of one name."""
    seen: dict[tuple[str, str], str] = {}
    for flow in topology.flows:
        if flow.kind is Kind.SCRAPE and seen.setdefault((flow.source, flow.to), flow.port) != flow.port:
            yield Fault(
                "scrape-job",
                str(flow),
                f"{flow.source} scrapes {flow.to}:{seen[flow.source, flow.to]} already, as the job {flow.to}",
                "Serve all its metrics on one port",
            )


def scraped(topology: Topology) -> Iterator[Fault]:
    """Where there is a Prometheus, every service's metrics are fetched.

    Except those of the services that show the others': whoever looks at Grafana sees whether it works.
    """
    if not any(_has(service, Speaks.PROMETHEUS) for service in topology.services.values()):
        return
    targets = {flow.to for flow in topology.flows if flow.kind is Kind.SCRAPE}
    showing = {flow.source for flow in topology.flows if flow.kind is Kind.QUERY}
    for service in topology.services.values():
        if _has(service, Speaks.METRICS) and service.name not in targets | showing:
            yield Fault(
                "unscraped",
                f"service {service.name}",
                "it serves metrics, and nobody scrapes them",
                f"Declare a flow of kind {Kind.SCRAPE} to it",
            )


def shown(topology: Topology) -> Iterator[Fault]:
    """Where there are dashboards, they read every store."""
    read = {flow.to for flow in topology.flows if flow.kind is Kind.QUERY}
    for service in topology.services.values() if read else ():
        if (_has(service, Speaks.PROMETHEUS) or _has(service, Speaks.LOKI)) and service.name not in read:
            yield Fault(
                "unread",
                f"service {service.name}",
                "it stores what no dashboard reads",
                f"Declare a flow of kind {Kind.QUERY} to it",
            )


def log_routes(topology: Topology) -> Iterator[Fault]:
    """Where there is a log store, every container's log gets there: by a collector on its node, or a flow."""
    stores = {service.name for service in topology.services.values() if _has(service, Speaks.LOKI)}
    if not stores:
        return
    store = ", ".join(sorted(stores))
    receivers = {
        flow.source: flow.to
        for flow in topology.flows
        if flow.kind is Kind.LOGS and _takes_logs(topology, flow.to, flow.port)
    }
    collectors = {service.name for service in topology.services.values() if _CONTAINER_LOGS in service.sockets}
    for node in topology.nodes:
        if collectors & {service.name for service in node.services}:
            continue
        for service in node.services:
            if service.name not in receivers:
                yield Fault(
                    "log-route",
                    f"service {service.name}",
                    f"neither a collector on {node.name} nor a flow takes its logs, so {store} never gets them",
                    f"Declare a flow of kind {Kind.LOGS} from {service.name} to a log receiver",
                )
    for name in sorted(collectors | set(receivers.values()) - stores):
        if not any(flow.source == name and flow.to in stores for flow in topology.flows):
            yield Fault(
                "log-store",
                f"service {name}",
                f"it takes in logs, but no flow says that it hands them to {store}",
                f"Declare a flow from {name} to {store}",
            )


def _has(service: Service, language: Speaks) -> bool:
    return any(language in port.speaks for port in service.ports)


def _takes_logs(topology: Topology, name: str, port: str) -> bool:
    found = topology.port_of(name, port)
    return found is not None and bool({Speaks.SYSLOG, Speaks.LOKI} & set(found.speaks))


CHECKS = (formats, sources, scrape_jobs, scraped, shown, log_routes)
