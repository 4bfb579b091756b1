from __future__ import annotations

from dataclasses import replace

from constructs_lib.model import Actor, Topology
from constructs_lib.publishing import publishes
from tests.constructs_lib.tiny import (
    ADMIN,
    DB,
    FLOWS,
    HTTP,
    INTERNET,
    OPERATOR,
    PAIR,
    SSH_FLOWS,
    WEB,
    alone,
    flow,
    pair,
)


def addresses(topology: Topology) -> dict[str, str]:
    return {f"{entry.service}:{entry.port}": f"{entry.address}:{entry.host_port}" for entry in publishes(topology)}


def test_what_crosses_a_nodes_edge_is_published_on_every_address() -> None:
    assert addresses(PAIR) == {"web:http": "0.0.0.0:80", "db:client": "0.0.0.0:4222"}


def test_neighbours_find_each_other_without() -> None:
    assert addresses(alone(WEB, DB, flows=FLOWS, actors=(INTERNET,))) == {"web:http": "0.0.0.0:80"}


def test_a_tunnel_needs_loopback_alone() -> None:
    flows = (FLOWS[1], flow("operator web:http"), *SSH_FLOWS)
    assert addresses(pair(flows=flows, actors=(OPERATOR, ADMIN)))["web:http"] == "127.0.0.1:80"


def test_the_widest_need_wins_in_any_order() -> None:
    flows = (*FLOWS, flow("operator web:http"))
    for ordered in (flows, flows[::-1]):
        assert addresses(pair(flows=ordered, actors=(INTERNET, OPERATOR)))["web:http"] == "0.0.0.0:80"


def test_nobody_yet_needs_nothing() -> None:
    assert "web:http" not in addresses(replace(PAIR, actors=(Actor(name="internet"),)))


def test_from_the_hosts_network_into_a_container_is_loopback() -> None:
    web = replace(WEB, network="host", ports=(replace(HTTP, host=None),))
    found = addresses(alone(web, DB, flows=FLOWS, actors=(INTERNET,)))
    assert found == {"web:http": "0.0.0.0:8080", "db:client": "127.0.0.1:4222"}


def test_a_node_publishes_nothing_of_its_own() -> None:
    assert set(addresses(replace(PAIR, flows=(*FLOWS, *SSH_FLOWS), actors=(INTERNET, ADMIN)))) == {
        "web:http",
        "db:client",
    }


def test_the_transport_is_the_ports() -> None:
    db = replace(DB, ports=(replace(DB.ports[0], transport="udp"),))
    assert [entry.transport for entry in publishes(pair(db=db))] == ["tcp", "udp"]


def test_what_is_written_by_hand_stays() -> None:
    assert publishes(replace(PAIR, publishes=())) == ()
