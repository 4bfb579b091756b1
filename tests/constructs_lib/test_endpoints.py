from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.endpoints import Deployed, dns_name, resolve
from constructs_lib.model import Listen, Port, Speaks, Stored, Topology, Url, Value, Volume
from tests.constructs_lib.tiny import DB, FLOWS, HTTP, PAIR, WEB, alone, flow, pair, service

DATA = Volume(name="data", target="/var/data")


def test_another_node_is_found_by_its_zonal_name() -> None:
    assert dns_name(PAIR, PAIR.node("back")) == "back.us-central1-a.c.tiny-project.internal"
    assert Deployed(PAIR).find("web", "db", "client") == (dns_name(PAIR, PAIR.node("back")), 4222)
    assert Deployed(PAIR).find("db", "web", "http") == (dns_name(PAIR, PAIR.node("front")), 80)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("bridge", "other", ("other", 8080)),
        ("bridge", "bridge", ("localhost", 8080)),
        ("host", "bridge", ("127.0.0.1", 80)),
        ("host", "host", ("localhost", 9000)),
        # A container of the host's network has no name in the compose network.
        ("bridge", "host", ("front.us-central1-a.c.tiny-project.internal", 9000)),
    ],
)
def test_neighbours_find_each_other(source: str, target: str, expected: tuple[str, int]) -> None:
    host = service("host", Port(name="http", number=9000, speaks=(Speaks.HTTP,)), network="host")
    together = alone(service("bridge", HTTP), service("other", replace(HTTP, host=81)), host)
    assert Deployed(together).find(source, target, "http") == expected


@pytest.mark.parametrize(("target", "port"), [("cache", "http"), ("db", "http")])
def test_what_is_not_declared_is_not_found(target: str, port: str) -> None:
    with pytest.raises(LookupError, match=f"{target}:{port}"):
        Deployed(PAIR).find("web", target, port)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (Url("db", "client"), "nats://back.us-central1-a.c.tiny-project.internal:4222"),
        (Listen("http"), ":8080"),
        (Listen("http", "{host}"), "0.0.0.0"),
        (Listen("http", "--bind={host}:{number}"), "--bind=0.0.0.0:8080"),
        (Stored("data"), "/var/data"),
        (Stored("data", "--dir={path}"), "--dir=/var/data"),
    ],
)
def test_a_reference_becomes_text(value: Value, text: str) -> None:
    web = replace(WEB, volumes=(DATA,))
    assert resolve(Deployed(pair(web=web)), "web", value) == text


@pytest.mark.parametrize(
    ("speaks", "text"),
    [
        ((Speaks.WEBSOCKET, Speaks.HTTP), "ws://a:1/x"),
        ((Speaks.HTTP, Speaks.METRICS), "http://a:1/x"),
        ((Speaks.NATS_MONITOR,), "http://a:1/x"),
        ((Speaks.PROMETHEUS,), "http://a:1/x"),
        ((Speaks.LOKI,), "http://a:1/x"),
        ((Speaks.NATS,), "nats://a:1/x"),
        ((Speaks.SYSLOG,), "a:1/x"),
    ],
)
def test_the_first_thing_that_a_port_speaks_is_the_scheme(speaks: tuple[Speaks, ...], text: str) -> None:
    found = alone(service("b"), service("a", Port(name="p", number=1, speaks=speaks)), flows=(flow("b a:p"),))
    assert resolve(Deployed(found), "b", Url("a", "p", "/x")) == text


@pytest.mark.parametrize(
    ("topology", "value"),
    [
        (PAIR, Url("web", "http")),
        (PAIR, Listen("metrics")),
        (PAIR, Stored("data")),
        (replace(PAIR, flows=FLOWS[:1]), Url("db", "client")),
    ],
)
def test_a_reference_to_nothing_is_an_error(topology: Topology, value: Value) -> None:
    with pytest.raises(LookupError):
        resolve(Deployed(topology), "web", value)


def test_a_service_of_the_hosts_network_is_found_where_it_listens() -> None:
    db = replace(DB, network="host")
    assert Deployed(pair(db=db)).find("web", "db", "client")[1] == 4222
