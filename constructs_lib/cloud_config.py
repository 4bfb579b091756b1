"""A node's cloud-config: packages of the distribution, the payload's files, and one unit that brings it up."""

from __future__ import annotations

import base64
import textwrap
from typing import TYPE_CHECKING

from constructs_lib import payload, state_disk, yamltext
from constructs_lib.compose import ROOT
from constructs_lib.faults import FaultsError

if TYPE_CHECKING:
    from pathlib import Path

    from constructs_lib.model import Node, Topology

# Ubuntu's own builds of the engine and of compose, signed by the archive's key.
PACKAGES = ("docker.io", "docker-compose-v2", "docker-buildx", "bzip2")


def user_data(topology: Topology, node: Node, repository: Path = payload.REPOSITORY) -> str:
    """The `user-data` of the node's metadata. Raises FaultsError for a payload that is over Google's limit."""
    files = payload.files(topology, node, repository)
    commands = [["sysctl", "--system"]]
    if any(file.path.startswith("/etc/tmpfiles.d/") for file in files):
        commands.append(["systemd-tmpfiles", "--create", "--prefix", "/var/lib/odin"])
    commands += [
        ["tar", "--extract", "--bzip2", "--file", file.path, "--directory", ROOT]
        for file in files
        if isinstance(file.content, bytes)
    ]
    commands += [
        ["systemctl", "daemon-reload"],
        ["systemctl", "restart", "systemd-journald.service", "rsyslog.service", "docker.service"],
        ["systemctl", "enable", "--now", "odin.service"],
    ]
    document = {
        "package_update": True,
        "packages": list(PACKAGES),
        **(state_disk.cloud_config() if node.state_disk_gb else {}),
        "write_files": [_entry(file) for file in files],
        # write_files ran before the packages were installed, so what reads these files is told now.
        "runcmd": commands,
    }
    text = "#cloud-config\n" + yamltext.dump(document)
    faults = tuple(payload.too_large(node, text))
    if faults:
        raise FaultsError(f"payload of {node.name}", faults)
    return text


def _entry(file: payload.NodeFile) -> dict[str, str]:
    entry = {"path": file.path, "permissions": file.permissions}
    if isinstance(file.content, bytes):
        lines = textwrap.wrap(base64.b64encode(file.content).decode(), 120)
        return {**entry, "encoding": "b64", "content": "\n".join(lines) + "\n"}
    return {**entry, "content": file.content}
