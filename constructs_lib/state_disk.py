"""The disk that outlives its machine, as cloud-init prepares it: formatted once, found by its device name."""

from __future__ import annotations

from typing import Any

from constructs_lib.compose import STATE

DEVICE_NAME = "odin-state"
# The name that Google's guest environment gives a disk that is attached under DEVICE_NAME.
DEVICE = f"/dev/disk/by-id/google-{DEVICE_NAME}"


def cloud_config() -> dict[str, Any]:
    """The keys of a cloud-config that format an empty disk and mount it.

    `overwrite: false`: a disk that has a file system, from the machine before, keeps it. `nofail`: a
    machine whose disk is away still boots, so that somebody can look; odin.service then refuses to start.
    Not by label: cloud-init drops a mount of LABEL=... without a word. Before Docker, which starts its
    containers again by itself and would let them write below the mount point.
    """
    options = "defaults,nofail,x-systemd.device-timeout=60s,x-systemd.before=docker.service"
    return {
        "fs_setup": [{"label": DEVICE_NAME, "filesystem": "ext4", "device": DEVICE, "overwrite": False}],
        "mounts": [[DEVICE, STATE, "ext4", options, "0", "2"]],
    }
