"""What a month costs: machines, disks, addresses, and the traffic as a function of what clients receive.

Prices are us-central1's list prices in USD, on demand, without discounts or the free tier of instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from constructs_lib.machines import HOURS_A_MONTH, MACHINE_TYPES, PRICE_SOURCE

if TYPE_CHECKING:
    from constructs_lib.model import Node, Topology

PD_STANDARD_GB_MONTH = 0.04
PD_SOURCE = "Google Cloud price page, disks, pd-standard, us-central1, 2026-07-26"
IPV4_HOUR = 0.005
IPV4_SOURCE = "Google Cloud price page, network, external IPv4 in use, 2026-10-16"
# Premium tier to North America and Europe: (up to GiB a month, USD a GiB). The first GiB is free.
EGRESS_TIERS = ((1.0, 0.0), (1024.0, 0.12), (10240.0, 0.11), (float("inf"), 0.08))
EGRESS_SOURCE = "Google Cloud price page, network, premium tier, 2026-09-20"
PRICE_REGION = "us-central1"
SECONDS_A_MONTH = HOURS_A_MONTH * 3600
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class CostLine:
    """One position of the bill. monthly_usd: for 730 hours."""

    node: str
    item: str
    monthly_usd: float
    source: str


def monthly(topology: Topology) -> tuple[CostLine, ...]:
    """Everything that is billed whether or not a client ever connects."""
    return tuple(line for node in topology.nodes for line in _node(node))


def total(lines: tuple[CostLine, ...]) -> float:
    return round(sum(line.monthly_usd for line in lines), 2)


def egress_gib(clients: int, messages_a_second: float, frame_bytes: int) -> float:
    """GiB a month that leave for the internet: each client receives each message as a frame.

    40 bytes of TCP and IPv4 header are added to each frame: messages that share a segment cost less.
    """
    return clients * messages_a_second * (frame_bytes + 40) * SECONDS_A_MONTH / GIB


def egress_usd(gib: float) -> float:
    """Price of `gib` GiB in one month, tier by tier."""
    cost, below = 0.0, 0.0
    for up_to, price in EGRESS_TIERS:
        cost += max(0.0, min(gib, up_to) - below) * price
        below = up_to
    return cost


def _node(node: Node) -> list[CostLine]:
    machine = MACHINE_TYPES[node.machine_type]
    lines = [CostLine(node.name, machine.name, machine.monthly_usd, PRICE_SOURCE)]
    disks = node.boot_disk_gb + node.state_disk_gb
    what = f"{node.boot_disk_gb} GB boot" + (f" + {node.state_disk_gb} GB state" if node.state_disk_gb else "")
    lines.append(CostLine(node.name, f"pd-standard, {what}", disks * PD_STANDARD_GB_MONTH, PD_SOURCE))
    lines.append(CostLine(node.name, "external IPv4", IPV4_HOUR * HOURS_A_MONTH, IPV4_SOURCE))
    return lines
