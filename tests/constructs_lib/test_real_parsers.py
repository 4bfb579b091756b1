"""Generated files, read by the programs that will read them on the node."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from constructs_lib import cloud_config, payload
from stacks.settings import Settings
from stacks.topology import declare

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = declare(Settings())
NODES = [node.name for node in TOPOLOGY.nodes]
# cloud-init is a program of the distribution's own Python.
SYSTEM_PYTHON = "/usr/bin/python3"


def accepted(program: str, package: str, *arguments: str) -> str:
    """What `program` printed; the test is skipped where Debian's `package` is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"Debian package {package} is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def written(node: str, path: str, folder: Path) -> Path:
    content = {file.path: file.content for file in payload.files(TOPOLOGY, TOPOLOGY.node(node))}[path]
    assert isinstance(content, str)
    found = folder / path.rpartition("/")[2]
    found.write_text(content)
    return found


@pytest.mark.parametrize("node", NODES)
def test_cloud_init_accepts_the_user_data(node: str, tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text(cloud_config.user_data(TOPOLOGY, TOPOLOGY.node(node)))
    assert "Valid" in accepted("cloud-init", "cloud-init", "schema", "--config-file", str(path))


def test_cloud_init_knows_the_device_that_it_is_to_mount() -> None:
    if shutil.which("cloud-init") is None:
        pytest.skip("Debian package cloud-init is not installed")
    document = yaml.safe_load(cloud_config.user_data(TOPOLOGY, TOPOLOGY.node("odin-backend")))
    program = """
import logging, sys
from cloudinit.config import cc_mounts
# There is no such disk here; on the node every path below /dev that we name is one.
cc_mounts._is_block_device = lambda device, partition=None: device.startswith("/dev/")
known = cc_mounts.sanitize_devname(sys.argv[1], lambda name: None, logging.getLogger())
sys.exit(0 if known == sys.argv[1] else f"cloud-init makes {known} of it")
"""
    for device, *_ in document["mounts"]:
        subprocess.run([SYSTEM_PYTHON, "-c", program, device], check=True, timeout=60)


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    path = written("odin-backend", "/opt/odin/prometheus/prometheus.yml", tmp_path)
    assert "SUCCESS" in accepted("promtool", "prometheus", "check", "config", str(path))


def test_rsyslog_accepts_what_sends_the_logs(tmp_path: Path) -> None:
    path = written("odin-ws-go", "/etc/rsyslog.d/60-odin.conf", tmp_path)
    path.write_text(f'global(workDirectory="{tmp_path}")\n{path.read_text()}')
    accepted("rsyslogd", "rsyslog", "-N1", "-f", str(path))


@pytest.mark.parametrize("node", NODES)
def test_a_shell_accepts_the_scripts(node: str, tmp_path: Path) -> None:
    for file in payload.files(TOPOLOGY, TOPOLOGY.node(node)):
        if isinstance(file.content, str) and file.content.startswith("#!/bin/sh"):
            accepted("sh", "dash", "-n", str(written(node, file.path, tmp_path)))
