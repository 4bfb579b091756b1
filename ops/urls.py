"""What a user of a running system may want to open, from what its ports speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from constructs_lib.model import Speaks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from constructs_lib.endpoints import Places
    from constructs_lib.model import Port, Service

VIEWPOINT = "operator"


def urls(places: Places, services: Iterable[Service]) -> list[tuple[str, str, str]]:
    """(service, what, URL or command), the server that clients talk to first."""
    ranked = sorted(services, key=lambda service: not _serves_clients(service))
    return [(service.name, what, url) for service in ranked for what, url in _of(places, service)]


def shown(rows: list[tuple[str, str, str]]) -> Text:
    """The URLs as lines, each whole: a terminal that is too narrow folds it, and it can still be copied."""
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines, last = [], ""
    for name, what, url in rows:
        heading = "" if name == last else name
        parts = ((heading.ljust(widths[0] + 2), "bold"), (what.ljust(widths[1] + 2), "dim"), (url, "cyan"))
        lines.append(Text.assemble(*parts))
        last = name
    return Text("\n").join(lines)


def _of(places: Places, service: Service) -> Iterator[tuple[str, str]]:
    for port in service.ports:
        host, number = places.find(VIEWPOINT, service.name, port.name)
        base = f"{host}:{number}"
        yield from _heard(port, base)
        if service.health and service.health.port == port.name:
            yield "health", f"http://{base}{service.health.path}"
        if Speaks.METRICS in port.speaks:
            yield "metrics", f"http://{base}/metrics"
        if _is_publisher(service) and Speaks.HTTP in port.speaks:
            yield "what it did", f"http://{base}/stats"
            order = '{"action":"configure","messagesPerSecond":200}'
            yield "faster", f"curl --json '{order}' http://{base}/control"


def _heard(port: Port, base: str) -> Iterator[tuple[str, str]]:
    if Speaks.WEBSOCKET in port.speaks:
        if Speaks.HTTP in port.speaks:
            yield "live page", f"http://{base}/"
        yield "WebSocket", f"ws://{base}/ws?channels=*.trade"
    if Speaks.NATS in port.speaks:
        yield "clients", f"nats://{base}"


def _serves_clients(service: Service) -> bool:
    return any(Speaks.WEBSOCKET in port.speaks for port in service.ports)


def _is_publisher(service: Service) -> bool:
    return service.command[:1] == ("wsgo.publisher",)
