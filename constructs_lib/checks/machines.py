"""Machines: there is such a type, and the limits of what runs on it fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from constructs_lib import budget as budgets
from constructs_lib.faults import Fault
from constructs_lib.machines import MACHINE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Topology

ZONE = re.compile(r"[a-z]+-[a-z]+\d+-[a-z]")
# Google's Ubuntu images are of this size, and no disk made from one may be smaller.
BOOT_DISK_GB = 10
# Docker refuses a container with less (docker run reference, --memory).
CONTAINER_MEMORY_MIB = 6


def machine_types(topology: Topology) -> Iterator[Fault]:
    for node in topology.nodes:
        where = f"node {node.name}"
        if node.machine_type not in MACHINE_TYPES:
            known = ", ".join(MACHINE_TYPES)
            yield Fault("machine-type", where, f"machine type {node.machine_type!r} is unknown", f"Use one of {known}")
        if not ZONE.fullmatch(node.zone):
            yield Fault("zone", where, f"{node.zone!r} is no zone", "Write it as us-central1-a")
        if node.boot_disk_gb < BOOT_DISK_GB:
            yield Fault(
                "boot-disk",
                where,
                f"its boot disk has {node.boot_disk_gb} GB, and the image needs {BOOT_DISK_GB}",
                f"Give it at least {BOOT_DISK_GB} GB",
            )


def limits(topology: Topology) -> Iterator[Fault]:
    """Every container has limits that Docker takes."""
    for service in topology.services.values():
        where = f"service {service.name}"
        if service.cpus <= 0:
            yield Fault("limit", where, f"its CPU limit is {service.cpus:g} cores", "Give it a part of a core")
        if service.memory_mib < CONTAINER_MEMORY_MIB:
            yield Fault(
                "limit",
                where,
                f"its memory limit is {service.memory_mib} MiB",
                f"Give it at least {CONTAINER_MEMORY_MIB} MiB",
            )


def within_budget(topology: Topology) -> Iterator[Fault]:
    """The limits fit the machine, with room for the system and the engine."""
    for node in topology.nodes:
        if node.machine_type not in MACHINE_TYPES:
            continue
        budget = budgets.budget(node)
        machine = budget.machine
        if budget.memory_used_mib > budget.memory_room_mib:
            yield Fault(
                "memory-budget",
                f"node {node.name}",
                f"memory limits add up to {budget.memory_used_mib} MiB, but {machine.name} has"
                f" {machine.memory_mib} MiB and the system and the engine need {budgets.SYSTEM_MEMORY_MIB} of them",
                f"Stay within {budget.memory_room_mib} MiB or take a larger machine",
            )
        if budget.cpus_used > budget.cpus_room + 1e-9:
            yield Fault(
                "cpu-budget",
                f"node {node.name}",
                f"CPU limits add up to {budget.cpus_used:g} cores of {machine.name}'s {machine.vcpus}, and the"
                f" system and the engine need {machine.vcpus - budget.cpus_room:g}",
                f"Stay within {budget.cpus_room:g} cores or take a larger machine",
            )


CHECKS = (machine_types, limits, within_budget)
