"""What runs here, where, and with which command and environment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from constructs_lib import prometheus
from ops import local
from ops.local import Plan, argv, environment, plan, usable
from ops.ports import Reservations
from stacks.settings import Settings
from stacks.topology import declare
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Service, Topology


def movable(topology: Topology) -> Topology:
    """The same with every port a free one of this machine."""

    def moved(service: Service) -> Service:
        return replace(service, ports=tuple(replace(port, host=free_port()) for port in service.ports))

    nodes = (replace(node, services=tuple(map(moved, node.services))) for node in topology.nodes)
    return replace(topology, nodes=tuple(nodes))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Plan]:
    reservations = Reservations()
    yield plan(movable(declare(Settings())), "127.0.0.1", tmp_path / "state", reservations)
    reservations.release()


def service(here: Plan, name: str) -> Service:
    return here.topology.services[name]


def test_services_with_a_program_start_after_what_they_need(here: Plan) -> None:
    names = [service.name for service in here.present]
    assert names[0] == "nats"
    assert sorted(names) == ["nats", "publisher", "ws-go"]
    assert set(here.absent) == set(here.topology.services) - set(names)
    assert set(here.absent.values()) == {"no program here"}
    assert not here.taken


def test_nats_is_the_locked_binary_on_this_address_with_its_state_in_this_run(here: Plan) -> None:
    number = service(here, "nats").ports[0].host_number
    words = argv(here.places, service(here, "nats"))
    assert words[0] == str(Path(sys.executable).with_name("nats-server"))
    assert f"--port={number}" in words
    assert "--addr=127.0.0.1" in words
    assert f"--store_dir={here.places.store('nats', 'nats_data')}" in words


def test_ws_go_is_started_as_its_container_starts_it(here: Plan) -> None:
    words = argv(here.places, service(here, "ws-go"))
    ws, nats = service(here, "ws-go").ports[0], service(here, "nats").ports[0]
    assert words == (
        *(sys.executable, "-m", "wsgo"),
        *("-addr", f"127.0.0.1:{ws.host_number}"),
        *("-nats", f"nats://127.0.0.1:{nats.host_number}"),
    )


def test_a_child_sees_what_is_declared_and_nothing_of_this_shell(here: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_WORKERS", "7")
    monkeypatch.setenv("TOKENS", "of this shell")
    found = environment(here.places, service(here, "publisher"))
    assert "WS_WORKERS" not in found
    assert found["TOKENS"].startswith("BTC,")
    assert found["PORT"] == str(service(here, "publisher").ports[0].host_number)
    assert found["HOST"] == "127.0.0.1"
    declared = {name for name, _ in service(here, "publisher").environment}
    assert set(found) - declared <= {*local._INHERITED, "PYTHONUNBUFFERED"}


def test_a_service_without_a_program_is_nowhere(here: Plan) -> None:
    with pytest.raises(LookupError, match="loki:http is not on this machine"):
        here.places.find("operator", "loki", "http")


def test_prometheus_configuration_of_what_is_here(here: Plan) -> None:
    jobs = prometheus.config(here.places.without(here.absent))["scrape_configs"]
    number = service(here, "ws-go").ports[1].host_number
    assert [job["job_name"] for job in jobs] == ["ws-go", "publisher"]
    assert jobs[0]["static_configs"][0]["targets"] == [f"127.0.0.1:{number}"]


def test_a_missing_nats_server_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    topology = declare(Settings())
    assert local.program(topology.services["nats"]) is None
    with pytest.raises(LookupError, match=r"without nats \(nats-server is not installed: run make up\)"):
        plan(topology, "127.0.0.1", tmp_path, Reservations())


def test_every_address_is_reached_through_loopback(tmp_path: Path) -> None:
    places = local.LocalPlaces(declare(Settings()), "0.0.0.0", {"nats:client": 4222}, tmp_path)
    assert places.listen("nats", "client") == ("0.0.0.0", 4222)
    assert places.find("ws-go", "nats", "client") == ("127.0.0.1", 4222)


def test_an_address_of_another_machine_is_not_usable() -> None:
    assert usable("127.0.0.1") is None
    assert usable("192.0.2.1")
