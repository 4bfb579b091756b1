from __future__ import annotations

from dataclasses import replace

import pytest

from tests.constructs_lib.tiny import BACK, FRONT, PAIR, alone, clean, only, service


def test_an_unknown_machine_type() -> None:
    broken = replace(PAIR, nodes=(replace(FRONT, machine_type="n1-tiny"), BACK))
    fault = only(broken, "machine-type", "node front", "'n1-tiny'")
    assert "e2-small" in fault.fix


def test_an_unreadable_zone() -> None:
    only(replace(PAIR, nodes=(replace(FRONT, zone="us-central1"), BACK)), "zone", "node front", "'us-central1'")


def test_nodes_may_be_in_different_zones() -> None:
    clean(replace(PAIR, nodes=(replace(FRONT, zone="europe-west4-b"), BACK)))


def test_a_disk_smaller_than_its_image() -> None:
    only(replace(PAIR, nodes=(replace(FRONT, boot_disk_gb=9), BACK)), "boot-disk", "node front", "9 GB", "10")


@pytest.mark.parametrize(("limit", "value"), [({"cpus": 0.0}, "0 cores"), ({"memory_mib": 5}, "5 MiB")])
def test_a_limit_that_docker_refuses(limit: dict[str, float], value: str) -> None:
    only(alone(service("a", **limit)), "limit", "service a", value)


def test_memory_for_the_system_is_left() -> None:
    clean(alone(service("a", memory_mib=1000), service("b", memory_mib=664)))
    broken = alone(service("a", memory_mib=1000), service("b", memory_mib=665))
    fault = only(broken, "memory-budget", "node front", "1665 MiB", "e2-small has 2048 MiB", "384")
    assert "1664" in fault.fix


def test_a_service_larger_than_its_machine() -> None:
    only(alone(service("a", memory_mib=4096)), "memory-budget", "node front", "4096 MiB", "2048 MiB")


def test_cpu_for_the_system_is_left() -> None:
    # 0.1 + 0.2 + 1.5 is a little more than 1.8 in floating point.
    clean(alone(service("a", cpus=0.1), service("b", cpus=0.2), service("c", cpus=1.5)))
    broken = alone(service("a", cpus=0.1), service("b", cpus=1.71))
    fault = only(broken, "cpu-budget", "node front", "1.81 cores", "e2-small's 2", "need 0.2")
    assert "1.8 cores" in fault.fix
