"""The declaration held against itself. Each rule looks at the whole topology and yields its faults.

The published ports and firewall rules are checked as they stand, derived or written by hand: what Docker
and the firewall do with them is said once more here (`network`), without a line of the derivation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.checks.containers import CHECKS as CONTAINERS
from constructs_lib.checks.firewall import CHECKS as FIREWALL
from constructs_lib.checks.flows import CHECKS as FLOWS
from constructs_lib.checks.machines import CHECKS as MACHINES
from constructs_lib.checks.monitoring import CHECKS as MONITORING
from constructs_lib.checks.naming import CHECKS as NAMING
from constructs_lib.checks.publishing import CHECKS as PUBLISHING
from constructs_lib.checks.wiring import CHECKS as WIRING
from constructs_lib.faults import Fault, FaultsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from constructs_lib.model import Topology

__all__ = ["CHECKS", "faults", "verify"]

CHECKS: tuple[Callable[[Topology], Iterator[Fault]], ...] = (
    *NAMING,
    *FLOWS,
    *PUBLISHING,
    *FIREWALL,
    *MONITORING,
    *MACHINES,
    *CONTAINERS,
    *WIRING,
)


def faults(topology: Topology) -> tuple[Fault, ...]:
    """Every fault of every rule, in the order of `CHECKS`."""
    return tuple(fault for check in CHECKS for fault in check(topology))


def verify(topology: Topology) -> Topology:
    """The topology itself, or FaultsError with everything that is wrong with it."""
    found = faults(topology)
    if found:
        raise FaultsError(f"topology {topology.name}", found)
    return topology
