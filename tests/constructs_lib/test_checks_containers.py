from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.model import Build, ConfigFile, Port, Speaks, Volume
from tests.constructs_lib.tiny import (
    BACK,
    DB,
    FLOWS,
    FRONT,
    HTTP,
    PAIR,
    WEB,
    alone,
    clean,
    flow,
    of,
    only,
    pair,
    service,
)

DATA = Volume(name="data", target="/data")
CONFIG = ConfigFile(source="a.yml", target="/etc/a.yml")


@pytest.mark.parametrize("image", ["nats", "nats:latest", "registry:5000/nats", "registry:5000/nats:latest"])
def test_an_image_without_a_version(image: str) -> None:
    only(alone(service("a", image=image)), "image", "service a", image)


@pytest.mark.parametrize(
    "image", ["nats:2.12-alpine", "registry:5000/nats:2", "nats@sha256:" + "0" * 64, Build(context="a", tag="a")]
)
def test_an_image_with_a_version(image: str | Build) -> None:
    clean(alone(service("a", image=image)))


@pytest.mark.parametrize("number", [0, 65536, -1])
def test_a_number_that_is_no_port(number: int) -> None:
    only(pair(web=replace(WEB, ports=(replace(HTTP, number=number),))), "port-number", "service web", str(number))
    only(pair(web=replace(WEB, ports=(replace(HTTP, host=number),))), "port-number", "service web", str(number))


def test_a_port_that_speaks_nothing() -> None:
    only(pair(web=replace(WEB, ports=(replace(HTTP, speaks=()),))), "port-speech", "service web", "http")


def test_two_ports_of_one_name() -> None:
    other = Port(name="http", number=9000, speaks=(Speaks.HTTP,))
    assert "http" in of(pair(web=replace(WEB, ports=(HTTP, other))), "port-twice").what


def test_two_ports_of_one_number() -> None:
    other = replace(HTTP, name="other")
    db = service("db", HTTP, other)
    flows = (flow("web db:http"), flow("web db:other"))
    only(alone(service("web"), db, flows=flows), "port-twice", "service db", "tcp:8080")
    clean(alone(service("web"), service("db", HTTP, replace(other, transport="udp")), flows=flows))


def test_one_port_published_under_two_numbers() -> None:
    web = replace(WEB, ports=(HTTP, replace(HTTP, name="other", host=81)))
    clean(pair(web=web, flows=(*FLOWS, flow("db web:other"))))


@pytest.mark.parametrize(
    ("mounted", "path"),
    [
        ({"files": (CONFIG, replace(CONFIG, source="b.yml"))}, "/etc/a.yml"),
        ({"volumes": (DATA, Volume(name="more", target="/data/"))}, "/data"),
        ({"volumes": (DATA,), "files": (ConfigFile(source="data", target="/data"),)}, "/data"),
        ({"sockets": ("/run/a.sock",), "files": (ConfigFile(source="a", target="/run/a.sock"),)}, "/run/a.sock"),
    ],
)
def test_two_things_at_one_path(mounted: dict[str, object], path: str) -> None:
    only(alone(service("a", **mounted)), "mount-twice", "service a", f"at {path}")


def test_one_file_may_be_mounted_by_two_services() -> None:
    clean(alone(service("a", files=(CONFIG,)), service("b", files=(CONFIG,))))


def test_two_services_on_one_volume() -> None:
    a, b = service("a", volumes=(DATA,)), service("b", volumes=(replace(DATA, target="/elsewhere"),))
    only(alone(a, b), "volume-shared", "service b", "data is a's too", "on front")
    clean(replace(PAIR, nodes=(replace(FRONT, services=(WEB, a)), replace(BACK, services=(DB, b)))))


def test_two_volumes_of_one_name() -> None:
    volumes = (DATA, replace(DATA, target="/more"))
    only(alone(service("a", volumes=volumes)), "volume-shared", "service a", "data")


def test_a_variable_that_is_set_twice() -> None:
    only(alone(service("a", environment=(("A", "1"), ("A", "2")))), "environment-twice", "service a", "A is set twice")


@pytest.mark.parametrize("name", ["ADMIN_PASSWORD", "CLIENT_SECRET", "TLS_PRIVATE_KEY"])
def test_a_secret_in_the_declaration(name: str) -> None:
    fault = only(alone(service("a", environment=((name, "hunter2"),))), "secret", "service a", name)
    assert "hunter2" not in str(fault)
    clean(alone(service("a", environment=((f"{name}__FILE", "/run/secrets/it"), ("TOKENS", "BTC,ETH")))))
