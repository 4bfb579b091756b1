"""Budgets and prices, against figures worked out by hand from their sources."""

from __future__ import annotations

import pytest

from constructs_lib import cost
from constructs_lib.budget import budget
from constructs_lib.machines import MACHINE_TYPES
from stacks.original import original
from stacks.settings import Settings
from stacks.topology import declare

TOPOLOGY = declare(Settings())


def test_limits_add_up() -> None:
    found = budget(TOPOLOGY.node("odin-backend"))
    assert found.cpus_used == pytest.approx(0.5 + 0.05 + 0.2 + 0.3 + 0.2 + 0.2 + 0.1)
    assert found.memory_used_mib == 256 + 32 + 128 + 256 + 512 + 256 + 128
    assert found.memory_used_mib <= found.memory_room_mib
    assert found.bursts, "e2-small sustains half a core"


@pytest.mark.parametrize(
    ("machine", "usd"), [("e2-micro", 6.11), ("e2-small", 12.23), ("e2-medium", 24.46), ("e2-standard-2", 48.92)]
)
def test_machine_prices_are_the_listed_ones(machine: str, usd: float) -> None:
    assert MACHINE_TYPES[machine].monthly_usd == pytest.approx(usd, abs=0.005)


def test_the_bill_has_machines_disks_and_addresses() -> None:
    lines = cost.monthly(TOPOLOGY)
    assert cost.total(lines) == pytest.approx(2 * 12.23 + (10 + 20 + 10) * 0.04 + 2 * 3.65, abs=0.01)
    assert cost.total(cost.monthly(original(Settings()))) == pytest.approx(12.23 + 0.40 + 3.65, abs=0.01)
    assert all(line.source for line in lines)


@pytest.mark.parametrize(
    ("gib", "usd"), [(0, 0), (1, 0), (2, 0.12), (1024, 1023 * 0.12), (2048, 1023 * 0.12 + 1024 * 0.11)]
)
def test_egress_is_priced_by_tier(gib: float, usd: float) -> None:
    assert cost.egress_usd(gib) == pytest.approx(usd)


def test_egress_follows_the_traffic() -> None:
    # 1 MiB/s for a month of 730 hours is 2,566 GiB.
    frames = 1024 * 1024 / 340
    assert cost.egress_gib(1, frames, 300) == pytest.approx(730 * 3600 / 1024)
    assert cost.egress_gib(10, 5, 300) == pytest.approx(10 * cost.egress_gib(1, 5, 300))
