from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.checks import faults
from constructs_lib.model import HealthCheck, Listen, Port, Speaks, Stored, Url, Value, Volume
from tests.constructs_lib.tiny import (
    CLIENT,
    DB,
    FLOWS,
    HTTP,
    INTERNET,
    WEB,
    alone,
    clean,
    flow,
    of,
    only,
    pair,
    service,
)

HEALTHY = HealthCheck(port="http", path="/health")


def test_waiting_for_another_node() -> None:
    only(pair(web=replace(WEB, depends_on=("db",))), "depends-on", "service web", "db", "runs on back")


def test_waiting_for_nobody() -> None:
    only(pair(web=replace(WEB, depends_on=("cache",))), "depends-on", "service web", "cache, which is not declared")


def test_waiting_without_a_reason() -> None:
    flows = (FLOWS[0], flow("db web:http"), flow("web db:client"))
    waiting = alone(replace(WEB, depends_on=("db",)), DB, flows=flows, actors=(INTERNET,))
    clean(waiting)
    silent = alone(WEB, replace(DB, depends_on=("web",)), flows=FLOWS, actors=(INTERNET,))
    only(silent, "depends-on", "service db", "waits for web", "no flow")


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_waiting_in_a_circle(names: str) -> None:
    services = [service(name, CLIENT, depends_on=(names[(at + 1) % len(names)],)) for at, name in enumerate(names)]
    flows = tuple(flow(f"{each.name} {each.depends_on[0]}:client") for each in services)
    found = [(fault.rule, fault.where) for fault in faults(alone(*services, flows=flows))]
    assert found == [("depends-on", f"service {name}") for name in names]


def test_what_a_circle_keeps_waiting_is_not_in_it() -> None:
    services = [service(name, CLIENT, depends_on=(other,)) for name, other in ("ab", "bc", "cb")]
    flows = tuple(flow(f"{each.name} {each.depends_on[0]}:client") for each in services)
    broken = alone(*services, flows=(*flows, flow("b a:client")))
    assert [fault.where for fault in faults(broken)] == ["service b", "service c"]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Url("db", "monitor"), "refers to db:monitor, but no flow"),
        (Url("db", "client", "/varz"), "'/varz' of db:client, which speaks nats and has no paths"),
        (Listen("metrics"), "port metrics, which it does not have (it has http=8080)"),
        (Listen("http", "8080"), "'8080' without {host} or {number}"),
        (Listen("http", "{port}"), "'{port}' that cannot be filled in"),
        (Stored("web_data"), "volume web_data, which it does not have (it has data)"),
        (Stored("data", "/data"), "'/data' without {path}"),
        (Stored("data", "{path"), "'{path' that cannot be filled in"),
        ("nats://db:4222", "db:4222 written out in 'nats://db:4222', but db is known by that name on its own node"),
    ],
)
def test_a_reference_that_leads_nowhere(value: Value, what: str) -> None:
    web = replace(WEB, volumes=(Volume(name="data", target="/data"),))
    clean(pair(web=web))
    only(pair(web=replace(web, command=("run", value))), "reference", "service web", what)
    only(pair(web=replace(web, environment=(("A", value),))), "reference", "service web", what)


def test_references_that_lead_somewhere() -> None:
    web = replace(
        WEB,
        volumes=(Volume(name="data", target="/data"),),
        command=(Url("db", "client"), Listen("http", "--port={number}"), Stored("data"), "https://example.com:443/"),
        environment=(("ADDRESS", Listen("http", "{host}:{number}")),),
    )
    clean(pair(web=web))


@pytest.mark.parametrize(("text", "right"), [("nats://db:4222", True), ("-u=nats://me:pw@db:4223,b", False)])
def test_an_address_that_somebody_wrote_out(text: str, right: bool) -> None:
    web = replace(WEB, command=(text,))
    near = alone(web, DB, flows=FLOWS, actors=(INTERNET,))
    if right:
        clean(near)
    else:
        only(near, "reference", "service web", "db:4223 written out", "no flow to that port")


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (replace(HEALTHY, port="metrics"), "port metrics, which it does not have (it has http=8080)"),
        (replace(HEALTHY, path="health"), "'health'"),
        (replace(HEALTHY, timeout_s=11), "waits 11 s, yet asks every 10 s"),
    ],
)
def test_a_health_check_that_cannot_be(check: HealthCheck, what: str) -> None:
    clean(pair(web=replace(WEB, health=HEALTHY)))
    only(pair(web=replace(WEB, health=check)), "health", "service web", what)


@pytest.mark.parametrize(
    "port",
    [
        CLIENT,
        Port(name="client", number=514, speaks=(Speaks.SYSLOG,)),
        Port(name="client", number=4222, speaks=(Speaks.HTTP,), transport="udp"),
    ],
)
def test_a_health_check_of_a_port_without_http(port: Port) -> None:
    db = replace(DB, ports=(port,), health=HealthCheck(port="client", path="/"))
    assert of(pair(db=db), "health").where == "service db"
    clean(pair(db=replace(db, ports=(replace(HTTP, name="client", host=None),))))
