"""The disk that outlives its machine, as cloud-init prepares it: formatted once, found by its label."""

from __future__ import annotations

from typing import Any

from constructs_lib.compose import STATE

DEVICE_NAME = "odin-state"
LABEL = "odin-state"


def cloud_config() -> dict[str, Any]:
    """The keys of a cloud-config that format an empty disk and mount it.

    `overwrite: false`: a disk that has a file system, from the machine before, keeps it. `nofail`: a
    machine whose disk is away still boots, so that somebody can look.
    """
    device = f"/dev/disk/by-id/google-{DEVICE_NAME}"
    return {
        "fs_setup": [{"label": LABEL, "filesystem": "ext4", "device": device, "overwrite": False}],
        "mounts": [[f"LABEL={LABEL}", STATE, "ext4", "defaults,nofail,x-systemd.device-timeout=60s", "0", "2"]],
    }
