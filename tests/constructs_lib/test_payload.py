"""The files of a node: nothing missing, nothing too large, every fault of every template at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from constructs_lib import cloud_config, payload
from constructs_lib.faults import FaultsError
from constructs_lib.model import ConfigFile
from constructs_lib.source_archive import archive
from stacks.settings import Settings
from stacks.topology import declare
from tests.decoding import unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from constructs_lib.model import Topology

TOPOLOGY = declare(Settings())


def contents(node: str, topology: Topology = TOPOLOGY, **repository: Path) -> dict[str, str]:
    """path -> text of everything on the node once the archives are unpacked."""
    found: dict[str, str] = {}
    for file in payload.files(topology, topology.node(node), **repository):
        if isinstance(file.content, bytes):
            found |= {f"/opt/odin/{name}": text for name, text in unpacked(file.content).items()}
        else:
            found[file.path] = file.content
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what payloads are made of, to break."""
    for folder in ("cloud-init", "wsgo"):
        shutil.copytree(payload.REPOSITORY / folder, tmp_path / folder)
    return tmp_path


def test_the_backend_gets_every_file_that_its_containers_mount() -> None:
    found = contents("odin-backend")
    assert "/opt/odin/compose.yml" in found
    prometheus = yaml.safe_load(found["/opt/odin/prometheus/prometheus.yml"])
    jobs = {job["job_name"]: job["static_configs"][0] for job in prometheus["scrape_configs"]}
    assert jobs["ws-go"]["targets"] == ["odin-ws-go.us-central1-a.c.odin-ws.internal:3002"]
    assert jobs["ws-go"]["labels"] == {"instance": "odin-ws-go", "service": "websocket"}
    assert jobs["nats-exporter"]["targets"] == ["nats-exporter:7777"]
    assert jobs["prometheus"]["targets"] == ["localhost:9090"]
    assert "8222" not in found["/opt/odin/prometheus/prometheus.yml"], "NATS itself speaks JSON"
    datasources = yaml.safe_load(found["/opt/odin/grafana/provisioning/datasources/odin.yml"])["datasources"]
    assert {source["uid"]: source["url"] for source in datasources} == {
        "prometheus": "http://prometheus:9090",
        "loki": "http://loki:3100",
    }
    promtail = yaml.safe_load(found["/opt/odin/promtail/promtail-config.yml"])
    assert promtail["clients"] == [{"url": "http://loki:3100/loki/api/v1/push"}]
    assert promtail["scrape_configs"][1]["syslog"]["listen_address"] == "0.0.0.0:1514"
    assert yaml.safe_load(found["/opt/odin/loki/loki-config.yml"])["server"]["http_listen_port"] == 3100
    assert "/var/lib/odin/grafana_data 0750 472 472" in found["/etc/tmpfiles.d/odin.conf"]


def test_grafanas_password_is_kept_where_its_database_is() -> None:
    found = contents("odin-backend")
    compose = yaml.safe_load(found["/opt/odin/compose.yml"])["services"]["grafana"]
    password = "/var/lib/odin/secrets/grafana_admin_password"
    assert f"{password}:/run/secrets/grafana_admin_password:ro" in compose["volumes"]
    assert password in found["/usr/local/sbin/odin-secrets"]


def test_the_servers_node_sends_its_logs_to_the_receiver() -> None:
    text = contents("odin-ws-go")["/etc/rsyslog.d/60-odin.conf"]
    assert '$programname == "odin-ws-go"' in text
    assert 'target="odin-backend.us-central1-a.c.odin-ws.internal" port="1514"' in text


@pytest.mark.parametrize("node", ["odin-backend", "odin-ws-go"])
def test_the_servers_source_and_locked_packages_travel_along(node: str) -> None:
    found = contents(node)
    source = payload.REPOSITORY / "wsgo"
    part = source / "publisher" if node == "odin-backend" else source
    for path in part.rglob("*.py"):
        assert found[f"/opt/odin/wsgo/{path.relative_to(source)}"] == path.read_text()
    assert "--hash=sha256:" in found["/opt/odin/wsgo/requirements.txt"]
    dockerfile = found["/opt/odin/wsgo/Dockerfile"]
    assert "--require-hashes" in dockerfile
    assert "USER 10002" in dockerfile


def test_an_archive_depends_on_the_files_alone(repository: Path) -> None:
    before = archive(repository / "wsgo")
    for path in repository.rglob("*"):
        path.touch()
    (repository / "wsgo" / "__pycache__").mkdir(exist_ok=True)
    (repository / "wsgo" / "__pycache__" / "x.py").write_text("")
    (repository / "wsgo" / "notes.swp").write_text("")
    assert archive(repository / "wsgo") == before
    (repository / "wsgo" / "healthcheck.py").write_text("changed")
    assert archive(repository / "wsgo") != before


def test_a_change_of_the_server_alone_leaves_the_backend_alone(repository: Path) -> None:
    before = contents("odin-backend", repository=repository)
    for name in ("hub.py", "live.html"):
        (repository / "wsgo" / name).write_text("changed")
    assert contents("odin-backend", repository=repository) == before
    (repository / "wsgo" / "logs.py").write_text("changed")
    assert contents("odin-backend", repository=repository) != before


def test_the_publisher_runs_with_the_part_of_the_source_that_it_gets(tmp_path: Path) -> None:
    for path, text in contents("odin-backend").items():
        if path.startswith("/opt/odin/wsgo/"):
            copy = tmp_path / path.removeprefix("/opt/odin/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
    program = f"import wsgo.publisher.__main__ as m, wsgo.healthcheck; assert m.__file__.startswith({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)


def test_scripts_can_be_run() -> None:
    files = {file.path: file.permissions for file in payload.files(TOPOLOGY, TOPOLOGY.node("odin-backend"))}
    assert files["/usr/local/sbin/odin-secrets"] == "0755"
    assert files["/opt/odin/compose.yml"] == "0644"


def test_a_mount_that_nothing_writes_is_a_fault() -> None:
    node = TOPOLOGY.node("odin-ws-go")
    service = replace(node.services[0], files=(ConfigFile(source="a/b.yml", target="/b.yml"),))
    topology = replace(TOPOLOGY, nodes=(TOPOLOGY.nodes[0], replace(node, services=(service,))))
    with pytest.raises(FaultsError, match=r"mounts /opt/odin/a/b\.yml, which nothing writes"):
        contents("odin-ws-go", topology)


def test_every_broken_template_is_named(repository: Path) -> None:
    tree = repository / "cloud-init" / "common" / "etc"
    (tree / "one.conf").write_text("[[ nobody ]]\n")
    (tree / "two.conf").write_text('[[ url("ws-go", "loki", "http") ]]\n')
    (tree / "three.conf").write_text("[% if %]\n")
    with pytest.raises(FaultsError) as caught:
        contents("odin-ws-go", repository=repository)
    assert {fault.where for fault in caught.value.faults} == {
        "cloud-init/common/etc/one.conf",
        "cloud-init/common/etc/two.conf",
        "cloud-init/common/etc/three.conf",
    }
    assert "no flow says that it talks to it" in str(caught.value)


def test_a_payload_over_googles_limit_is_a_fault(repository: Path) -> None:
    (repository / "cloud-init" / "common" / "large.txt").write_text("x" * payload.METADATA_LIMIT)
    with pytest.raises(FaultsError, match="Google takes 262144"):
        cloud_config.user_data(TOPOLOGY, TOPOLOGY.node("odin-ws-go"), repository)


@pytest.mark.parametrize("node", ["odin-backend", "odin-ws-go"])
def test_there_is_room_left_in_the_metadata(node: str) -> None:
    assert len(cloud_config.user_data(TOPOLOGY, TOPOLOGY.node(node)).encode()) < payload.METADATA_LIMIT * 0.9


def test_the_same_declaration_gives_the_same_bytes() -> None:
    for node in TOPOLOGY.nodes:
        again = declare(Settings())
        assert cloud_config.user_data(TOPOLOGY, node) == cloud_config.user_data(again, again.node(node.name))


def test_the_state_disk_is_formatted_once_and_mounted_by_its_device() -> None:
    document = yaml.safe_load(cloud_config.user_data(TOPOLOGY, TOPOLOGY.node("odin-backend")))
    assert document["fs_setup"][0]["overwrite"] is False
    device, point = document["mounts"][0][:2]
    # cloud-init takes a device by its path, and drops one by its label without a word.
    assert device == document["fs_setup"][0]["device"] == "/dev/disk/by-id/google-odin-state"
    assert point == "/var/lib/odin"
    unit = contents("odin-backend")["/etc/systemd/system/odin.service"]
    assert "mountpoint --quiet /var/lib/odin" in unit, "a node without its disk must not start"
    other = yaml.safe_load(cloud_config.user_data(TOPOLOGY, TOPOLOGY.node("odin-ws-go")))
    assert "fs_setup" not in other
