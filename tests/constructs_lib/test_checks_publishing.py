from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.model import Port, Publish, Speaks
from constructs_lib.publishing import publishes
from tests.constructs_lib.tiny import (
    ADMIN,
    FLOWS,
    HTTP,
    INTERNET,
    OPERATOR,
    PAIR,
    SSH_FLOWS,
    WEB,
    alone,
    clean,
    flow,
    of,
    only,
    pair,
    service,
)

WEB_ENTRY, DB_ENTRY = publishes(PAIR)


@pytest.mark.parametrize(
    "entry",
    [
        Publish(node="front", service="cache", port="http", address="0.0.0.0", host_port=81),
        Publish(node="front", service="web", port="metrics", address="0.0.0.0", host_port=81),
        Publish(node="back", service="web", port="http", address="0.0.0.0", host_port=81),
        Publish(node="front", service="front", port="ssh", address="0.0.0.0", host_port=81),
    ],
)
def test_what_is_published_exists(entry: Publish) -> None:
    broken = replace(PAIR, publishes=(WEB_ENTRY, DB_ENTRY, entry))
    fault = of(broken, "publish-unknown")
    assert fault.where == f"published port {entry.service}:{entry.port}"
    assert f"is not on {entry.node}" in fault.what


def test_the_number_is_the_one_that_everybody_looks_for() -> None:
    good = pair(flows=(FLOWS[1], flow("operator web:http"), *SSH_FLOWS), actors=(OPERATOR, ADMIN))
    clean(good)
    loopback, db = publishes(good)
    wrong = replace(loopback, host_port=81)
    only(replace(good, publishes=(wrong, db)), "publish-port", "published port web:http", "tcp:81", "tcp:80")
    wrong = replace(loopback, transport="udp")
    only(replace(good, publishes=(wrong, db)), "publish-port", "published port web:http", "udp:80", "tcp:80")


def test_an_address_is_an_ip_address() -> None:
    broken = replace(PAIR, publishes=(WEB_ENTRY, replace(DB_ENTRY, address="eth0")))
    only(broken, "publish-address", "published port db:client", "'eth0'")


def test_two_services_on_one_host_port() -> None:
    other = service("other", replace(HTTP, number=9090))
    flows = (flow("internet web:http"), flow("internet other:http"))
    clean(alone(WEB, service("other", replace(HTTP, host=81)), flows=flows, actors=(INTERNET,)))
    broken = alone(WEB, other, flows=flows, actors=(INTERNET,))
    only(broken, "host-port", "node front", "web:http and other:http both want tcp:80")


def test_udp_and_tcp_do_not_meet() -> None:
    other = service("other", replace(HTTP, transport="udp"))
    clean(alone(WEB, other, flows=(flow("internet web:http"), flow("internet other:http")), actors=(INTERNET,)))


def test_the_nodes_own_port_is_taken() -> None:
    web = replace(WEB, ports=(replace(HTTP, host=22),))
    broken = alone(web, flows=(flow("internet web:http"),), actors=(INTERNET,))
    only(broken, "host-port", "node front", "the node's own ssh and web:http both want tcp:22")


def test_the_hosts_network_takes_ports_too() -> None:
    host = service("host", Port(name="http", number=80, speaks=(Speaks.HTTP,)), network="host")
    broken = alone(host, WEB, flows=(flow("internet web:http"), flow("web host:http")), actors=(INTERNET,))
    only(broken, "host-port", "node front", "web:http and host:http both want tcp:80")
    by_hand = (replace(WEB_ENTRY, node="front"),)
    only(replace(broken, publishes=by_hand), "host-port", "node front", "tcp:80")


def test_the_hosts_network_maps_nothing() -> None:
    web = replace(WEB, network="host")
    clean(pair(web=replace(web, ports=(replace(HTTP, host=8080),))))
    fault = of(pair(web=web), "host-network")
    assert fault.where == "service web"
    assert "8080" in fault.what
    assert "80 too" in fault.what


def test_nothing_is_published_that_no_flow_needs() -> None:
    cache = service("cache", replace(HTTP, host=None))
    good = alone(WEB, cache, flows=(FLOWS[0], flow("web cache:http")), actors=(INTERNET,))
    clean(good)
    idle = Publish(node="front", service="cache", port="http", address="127.0.0.1", host_port=8080)
    only(
        replace(good, publishes=(*publishes(good), idle)),
        "publish-unused",
        "published port cache:http",
        "127.0.0.1:8080",
    )


def test_nothing_is_published_wider_than_a_flow_needs() -> None:
    good = pair(flows=(FLOWS[1], flow("operator web:http"), *SSH_FLOWS), actors=(OPERATOR, ADMIN))
    loopback, db = publishes(good)
    wide = replace(loopback, address="0.0.0.0")
    only(replace(good, publishes=(wide, db)), "publish-wide", "published port web:http", "0.0.0.0:80")
