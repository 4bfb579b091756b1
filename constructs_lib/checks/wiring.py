"""Wiring: who waits for whom, what a command refers to, where health is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from constructs_lib.checks.flows import ports
from constructs_lib.faults import Fault
from constructs_lib.model import Listen, Speaks, Stored, Url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from constructs_lib.model import Service, Topology, Value

_NOT_A_URL = frozenset({Speaks.SYSLOG, Speaks.SSH})
_ANSWERS_HTTP = frozenset(Speaks) - {Speaks.NATS, Speaks.SYSLOG, Speaks.SSH}
_LITERAL = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?([A-Za-z0-9_-]+):(\d+)")


def dependencies(topology: Topology) -> Iterator[Fault]:
    """A container waits only for containers that its own compose file starts, and never in a circle."""
    talks = {(flow.source, flow.to) for flow in topology.flows}
    for node in topology.nodes:
        local = {service.name: service for service in node.services}
        for service in node.services:
            where = f"service {service.name}"
            for name in service.depends_on:
                if name in local:
                    if (service.name, name) not in talks and name != service.name:
                        yield Fault(
                            "depends-on",
                            where,
                            f"it waits for {name}, but no flow says that it talks to it",
                            "Declare the flow, or do not wait",
                        )
                    continue
                elsewhere = topology.home(name)
                place = (
                    f"runs on {elsewhere.name}, where no compose file can wait for it"
                    if elsewhere
                    else "is not declared"
                )
                yield Fault(
                    "depends-on", where, f"it waits for {name}, which {place}", "Drop it: clients retry by themselves"
                )
            if _waits_for(local, service.name, service.name):
                yield Fault("depends-on", where, "it waits for itself in a circle", "Drop one of the dependencies")


def references(topology: Topology) -> Iterator[Fault]:
    """What a command or an environment refers to is declared, and can be written the way it is asked for."""
    for service in topology.services.values():
        for value in (*service.command, *(value for _, value in service.environment)):
            for what, fix in _mistakes(topology, service, value):
                yield Fault("reference", f"service {service.name}", what, fix)


def health(topology: Topology) -> Iterator[Fault]:
    """A health check asks a path of a port that answers HTTP, and has its answer before it asks again."""
    for service in topology.services.values():
        check, where = service.health, f"service {service.name}"
        if check is None:
            continue
        port = service.port(check.port)
        if port is None:
            yield Fault(
                "health",
                where,
                f"its health check asks port {check.port}, which it does not have (it has"
                f" {ports(topology, service.name)})",
                "Name one that it has",
            )
        elif not _ANSWERS_HTTP & set(port.speaks) or port.transport != "tcp":
            speech = " and ".join(each.value for each in port.speaks)
            yield Fault(
                "health", where, f"its health check asks port {check.port}, which speaks {speech}", "Ask one with HTTP"
            )
        if not check.path.startswith("/"):
            yield Fault("health", where, f"its health check's path is {check.path!r}", "Begin it with /")
        if check.timeout_s > check.interval_s:
            yield Fault(
                "health",
                where,
                f"its health check waits {check.timeout_s} s, yet asks every {check.interval_s} s",
                "Wait less or ask less often",
            )


def _mistakes(topology: Topology, service: Service, value: Value) -> Iterator[tuple[str, str]]:
    match value:
        case Url():
            yield from _url(topology, service, value)
        case Listen(name, form):
            if service.port(name) is None:
                has = ports(topology, service.name)
                yield f"it is told to listen on port {name}, which it does not have (it has {has})", "Declare it"
            yield from _form(form, {"host": "", "number": 0})
        case Stored(name, form):
            if service.volume(name) is None:
                has = ", ".join(volume.name for volume in service.volumes) or "none"
                yield f"it is told to store in volume {name}, which it does not have (it has {has})", "Declare it"
            yield from _form(form, {"path": ""})
        case str():
            yield from _literal(topology, service, value)


def _url(topology: Topology, service: Service, to: Url) -> Iterator[tuple[str, str]]:
    if not any((flow.source, flow.to, flow.port) == (service.name, to.service, to.port) for flow in topology.flows):
        yield f"it refers to {to.service}:{to.port}, but no flow says that it talks to it", "Declare the flow"
    port = topology.port_of(to.service, to.port)
    if port is not None and to.path and port.speaks and port.speaks[0] in _NOT_A_URL | {Speaks.NATS}:
        yield (
            f"it refers to {to.path!r} of {to.service}:{to.port}, which speaks {port.speaks[0].value} and has no paths",
            "Name a port that speaks HTTP, or drop the path",
        )


def _form(form: str, known: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    fields = " or ".join(f"{{{name}}}" for name in known)
    try:
        form.format_map(known)
    except (KeyError, ValueError, IndexError, AttributeError):
        yield f"it has a form {form!r} that cannot be filled in", f"Use {fields}"
        return
    if not any(f"{{{name}}}" in form for name in known):
        yield f"it has a form {form!r} without {fields}", "Put it in"


def _literal(topology: Topology, service: Service, text: str) -> Iterator[tuple[str, str]]:
    """An address of ours that somebody wrote out, and that is wrong."""
    for name, number in _LITERAL.findall(text):
        if name not in topology.services:
            continue
        near = topology.home(name) is topology.home(service.name)
        asked = [
            port
            for flow in topology.flows
            if (flow.source, flow.to) == (service.name, name) and (port := topology.port_of(name, flow.port))
        ]
        if not near or int(number) not in {port.number for port in asked}:
            why = "it has no flow to that port" if near else f"{name} is known by that name on its own node only"
            yield f"it has {name}:{number} written out in {text!r}, but {why}", f"Write Url({name!r}, ...)"


def _waits_for(local: Mapping[str, Service], start: str, goal: str) -> bool:
    seen: set[str] = set()
    todo = list(local[start].depends_on)
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += local[name].depends_on if name in local else ()
    return False


CHECKS = (dependencies, references, health)
