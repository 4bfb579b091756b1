"""What a node's services may use beside what its machine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from constructs_lib.machines import MACHINE_TYPES

if TYPE_CHECKING:
    from constructs_lib.machines import MachineType
    from constructs_lib.model import Node

# Ubuntu 24.04 idles at about 180 MiB, dockerd and containerd at about 120 (their resident sizes on a
# fresh machine), and the kernel keeps about 80 of 2048 for itself.
SYSTEM_MEMORY_MIB = 384
# One tenth of a core for each vCPU: the engine, the log shipper, the guest agent.
SYSTEM_CPU_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Budget:
    """Cores and MiB: what the limits add up to, what the machine has, what the system keeps of it."""

    node: str
    machine: MachineType
    cpus_used: float
    memory_used_mib: int
    shares: tuple[tuple[str, float, int], ...]

    @property
    def cpus_room(self) -> float:
        """Cores that the services' limits may add up to."""
        return self.machine.vcpus * (1 - SYSTEM_CPU_SHARE)

    @property
    def memory_room_mib(self) -> int:
        """MiB that the services' limits may add up to."""
        return self.machine.memory_mib - SYSTEM_MEMORY_MIB

    @property
    def bursts(self) -> bool:
        """The limits go beyond what the machine sustains: true of every shared-core type worth using."""
        return self.cpus_used > self.machine.sustained


def budget(node: Node) -> Budget:
    """Raises KeyError for an unknown machine type; `checks` reports that first."""
    return Budget(
        node=node.name,
        machine=MACHINE_TYPES[node.machine_type],
        cpus_used=round(sum(service.cpus for service in node.services), 3),
        memory_used_mib=sum(service.memory_mib for service in node.services),
        shares=tuple((service.name, service.cpus, service.memory_mib) for service in node.services),
    )
