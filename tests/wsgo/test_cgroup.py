"""wsgo/cgroup.py: whose CPU and memory is measured, on both versions of the hierarchy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wsgo.cgroup import ProcessMeter, Usage, find_meter

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def v2(root: Path, procs: str, quota: str = "190000 100000") -> tuple[Path, Path]:
    write(
        root / "sys/app",
        cpu__max=quota + "\n",
        cpu__stat="usage_usec 2500000\nuser_usec 1\nthrottled_usec 750000\n",
        memory__current="1000000\n",
        memory__stat="anon 5\ninactive_file 400000\n",
        cgroup__procs=procs,
    )
    write(root / "proc/self", cgroup="0::/app\n")
    return root / "sys", root / "proc"


def v1(root: Path, procs: str) -> tuple[Path, Path]:
    write(
        root / "sys/cpu/app", cpu__cfs_quota_us="50000\n", cpu__stat="throttled_time 750000000\n", cgroup__procs=procs
    )
    write(root / "sys/cpuacct/app", cpuacct__usage="2500000000\n")
    write(root / "sys/memory/app", memory__usage_in_bytes="1000000\n", memory__stat="total_inactive_file 400000\n")
    write(root / "proc/self", cgroup="3:memory:/app\n2:cpuacct:/app\n1:cpu:/app\n0::/\n")
    return root / "sys", root / "proc"


@pytest.mark.parametrize("version", [v1, v2])
def test_a_limited_group_of_our_own_is_measured_whole(tmp_path: Path, version: type) -> None:
    meter = find_meter(*version(tmp_path, f"1\n{os.getpid()}\n"))
    assert meter.whole
    assert meter.read() == Usage(2.5, 600_000, 0.75)


@pytest.mark.parametrize("version", [v1, v2])
def test_a_group_shared_with_others_is_not(tmp_path: Path, version: type) -> None:
    assert isinstance(find_meter(*version(tmp_path, f"{os.getpid()}\n999999\n")), ProcessMeter)


def test_nor_one_without_a_limit(tmp_path: Path) -> None:
    assert isinstance(find_meter(*v2(tmp_path, f"{os.getpid()}\n", "max 100000")), ProcessMeter)


def test_nor_where_there_is_none(tmp_path: Path) -> None:
    assert isinstance(find_meter(tmp_path, tmp_path), ProcessMeter)


def test_a_process_is_measured() -> None:
    usage = ProcessMeter().read()
    assert usage.cpu_seconds > 0
    assert 10**6 < usage.memory < 10**10
