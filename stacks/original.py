"""The one machine that Odin replaces, as far as its bill goes: the "before" of the review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.model import Node, Topology

if TYPE_CHECKING:
    from stacks.settings import Settings


def original(settings: Settings) -> Topology:
    """odin-ws-server, e2-small, a boot disk of 10 GB: what the plan's first picture shows."""
    node = Node(name="odin-ws-server", machine_type="e2-small", zone=settings.zone, services=(), boot_disk_gb=10)
    return Topology(name="odin", project=settings.project, network=settings.network, nodes=(node,), flows=())
