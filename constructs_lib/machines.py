"""Google's machine types, as far as Odin offers them.

Sizes and sustained CPU: Compute Engine documentation, "general-purpose machines", read 2026-10-03.
Prices: "general-purpose" price page, us-central1, on demand, fetched 2026-07-26: a vCPU of E2 costs
0.02181159 and a GB of memory 0.00292353 USD an hour; shared-core types are billed for a part of their
two vCPUs (e2-small: 0.5 vCPU and 2 GB = 0.016752855 USD an hour = 12.23 a month).
"""

from __future__ import annotations

from dataclasses import dataclass

E2_VCPU_HOUR = 0.02181159
E2_GB_HOUR = 0.00292353
HOURS_A_MONTH = 730
PRICE_SOURCE = "Google Cloud price page, general-purpose machines, us-central1, on demand, 2026-07-26"


@dataclass(frozen=True, slots=True)
class MachineType:
    """vcpus: cores that the guest sees, and may burst to. sustained: cores that it may use for good.
    memory_mib: MiB of the machine, before the kernel takes its part. egress_gbps: cap of the network card."""

    name: str
    vcpus: int
    sustained: float
    memory_mib: int
    egress_gbps: float

    @property
    def monthly_usd(self) -> float:
        """Price of 730 hours without any discount."""
        gb = self.memory_mib / 1024
        return HOURS_A_MONTH * (self.sustained * E2_VCPU_HOUR + gb * E2_GB_HOUR)


MACHINE_TYPES: dict[str, MachineType] = {
    machine.name: machine
    for machine in (
        MachineType("e2-micro", 2, 0.25, 1024, 1),
        MachineType("e2-small", 2, 0.5, 2048, 1),
        MachineType("e2-medium", 2, 1.0, 4096, 2),
        MachineType("e2-highcpu-2", 2, 2.0, 2048, 4),
        MachineType("e2-highcpu-4", 4, 4.0, 4096, 8),
        MachineType("e2-highcpu-8", 8, 8.0, 8192, 16),
        MachineType("e2-standard-2", 2, 2.0, 8192, 4),
        MachineType("e2-standard-4", 4, 4.0, 16384, 8),
        MachineType("e2-standard-8", 8, 8.0, 32768, 16),
    )
}
