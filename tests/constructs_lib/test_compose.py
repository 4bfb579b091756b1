"""Compose files: the plan's services, and ports published exactly where flows need them."""

from __future__ import annotations

from typing import Any

import pytest

from constructs_lib.compose import compose
from constructs_lib.model import Flow, Node, Port, Service, Speaks, Topology
from constructs_lib.payload import files
from stacks.settings import Settings
from stacks.topology import declare

TOPOLOGY = declare(Settings())
UNIT = "/etc/systemd/system/odin.service"


def services(node: str) -> dict[str, Any]:
    found = compose(TOPOLOGY, TOPOLOGY.node(node))["services"]
    assert isinstance(found, dict)
    return found


def test_every_service_runs_on_its_node_and_nowhere_else() -> None:
    assert list(services("odin-ws-go")) == ["ws-go"]
    assert set(services("odin-backend")) == {
        "nats", "nats-exporter", "publisher", "prometheus", "grafana", "loki", "promtail",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("service", "cpus", "memory", "image"),
    [
        ("nats", "0.5", "256M", "nats:2.12-alpine"),
        ("publisher", "0.2", "128M", "odin/publisher:local"),
        ("prometheus", "0.3", "256M", "prom/prometheus:v3.6.0"),
        ("grafana", "0.2", "512M", "grafana/grafana:12.2.0"),
        ("loki", "0.2", "256M", "grafana/loki:3.3.2"),
        ("promtail", "0.1", "128M", "grafana/promtail:3.3.2"),
    ],
)
def test_limits_and_images_are_the_plans(service: str, cpus: str, memory: str, image: str) -> None:
    found = services("odin-backend")[service]
    assert found["deploy"]["resources"]["limits"] == {"cpus": cpus, "memory": memory}
    assert found["image"] == image
    assert found["container_name"] == f"odin-{service}"
    assert found["restart"] == "unless-stopped"


def test_ports_are_published_where_flows_need_them() -> None:
    backend = services("odin-backend")
    assert backend["nats"]["ports"] == ["0.0.0.0:4222:4222", "127.0.0.1:8222:8222"]
    assert backend["prometheus"]["ports"] == ["127.0.0.1:9091:9090"]
    assert backend["grafana"]["ports"] == ["127.0.0.1:3010:3000"]
    assert backend["loki"]["ports"] == ["127.0.0.1:3101:3100"]
    assert backend["promtail"]["ports"] == ["0.0.0.0:1514:1514"]
    assert "ports" not in backend["nats-exporter"], "only its neighbours ask it"


def test_the_server_is_on_the_hosts_network_and_finds_nats_by_its_zonal_name() -> None:
    server = services("odin-ws-go")["ws-go"]
    assert server["network_mode"] == "host"
    assert "ports" not in server
    nats = "nats://odin-backend.us-central1-a.c.odin-ws.internal:4222"
    assert server["command"] == ["wsgo", "-addr", "0.0.0.0:3004", "-nats", nats]
    assert server["environment"]["WS_INTERNAL_ADDR"] == "0.0.0.0:3002"
    assert server["environment"]["WS_CPU_LIMIT"] == server["deploy"]["resources"]["limits"]["cpus"]
    limit = int(server["deploy"]["resources"]["limits"]["memory"].removesuffix("M")) * 1024 * 1024
    assert int(server["environment"]["WS_MEMORY_LIMIT"]) < limit, "the guard acts before the kernel does"
    assert server["ulimits"]["nofile"] == {"soft": 200_000, "hard": 200_000}


def test_an_image_that_is_built_here_is_never_asked_for_elsewhere() -> None:
    for node, service in (("odin-backend", "publisher"), ("odin-ws-go", "ws-go")):
        assert services(node)[service]["pull_policy"] == "never"
        unit = {file.path: file.content for file in files(TOPOLOGY, TOPOLOGY.node(node))}[UNIT]
        assert isinstance(unit, str)
        image = services(node)[service]["image"]
        assert f"docker image inspect {image} " in unit
        assert unit.index("docker compose build") < unit.index("docker compose up")


def test_neighbours_find_each_other_by_service_name() -> None:
    backend = services("odin-backend")
    assert backend["publisher"]["environment"]["NATS_URL"] == "nats://nats:4222"
    assert backend["nats-exporter"]["command"][-1] == "http://nats:8222"


def test_a_container_that_can_be_asked_is_waited_for() -> None:
    backend = services("odin-backend")
    assert backend["publisher"]["depends_on"] == {"nats": {"condition": "service_healthy"}}
    assert backend["promtail"].get("healthcheck") is None
    assert backend["grafana"]["depends_on"]["loki"] == {"condition": "service_healthy"}


def test_logs_that_leave_the_node_go_through_its_journal() -> None:
    assert services("odin-ws-go")["ws-go"]["logging"]["driver"] == "journald"
    assert all("logging" not in service for service in services("odin-backend").values())


def test_dollars_are_not_composes() -> None:
    service = Service(name="a", image="x:1", cpus=0.1, memory_mib=16, tag="t", command=("$HOME", "${X}"))
    topology = Topology(
        name="odin",
        project="p",
        network="default",
        nodes=(Node(name="n", machine_type="e2-small", zone="z", services=(service,)),),
        flows=(),
    )
    assert compose(topology, topology.nodes[0])["services"]["a"]["command"] == ["$$HOME", "$${X}"]


def test_a_reference_without_a_flow_is_refused() -> None:
    from constructs_lib.model import Url

    a = Service(name="a", image="x:1", cpus=0.1, memory_mib=16, tag="t", command=(Url("b", "http"),))
    b = Service(
        name="b",
        image="x:1",
        cpus=0.1,
        memory_mib=16,
        tag="t",
        ports=(Port(name="http", number=80, speaks=(Speaks.HTTP,)),),
    )
    node = Node(name="n", machine_type="e2-small", zone="z", services=(a, b))
    topology = Topology(name="odin", project="p", network="default", nodes=(node,), flows=())
    with pytest.raises(LookupError, match="no flow says"):
        compose(topology, node)
    declared = Topology(
        name="odin",
        project="p",
        network="default",
        nodes=(node,),
        flows=(Flow(source="a", to="b", port="http", why=""),),
    )
    assert compose(declared, node)["services"]["a"]["command"] == ["http://b:80"]
