"""What the server uses, from its control group (v1 or v2) if that is the server's alone, else per process.

The host's figures are never used: in a container they say nothing about the server's own share.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple, Protocol

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """CPU seconds used so far, bytes of memory in use, seconds held back by a CPU quota."""

    cpu_seconds: float
    memory: int
    throttled_seconds: float


class Meter(Protocol):
    """`whole` is True if the reading covers all workers, False if it is this process'."""

    whole: bool

    def read(self) -> Usage: ...


class ProcessMeter:
    """This process: CPU of all its threads, resident memory."""

    whole = False

    def read(self) -> Usage:
        return Usage(time.process_time(), resident_memory(), 0.0)


class CgroupV2:
    """One folder of the unified hierarchy."""

    whole = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Usage:
        cpu = _table(self.folder / "cpu.stat")
        inactive = _table(self.folder / "memory.stat").get("inactive_file", 0)
        memory = int((self.folder / "memory.current").read_text())
        return Usage(cpu["usage_usec"] / 1e6, memory - inactive, cpu.get("throttled_usec", 0) / 1e6)

    @property
    def limited(self) -> bool:
        return not (self.folder / "cpu.max").read_text().startswith("max")


class CgroupV1:
    """The same path under the cpu, cpuacct and memory controllers."""

    whole = True

    def __init__(self, cpu: Path, cpuacct: Path, memory: Path) -> None:
        self.folder, self.cpuacct, self.memory = cpu, cpuacct, memory

    def read(self) -> Usage:
        used = int((self.cpuacct / "cpuacct.usage").read_text()) / 1e9
        inactive = _table(self.memory / "memory.stat").get("total_inactive_file", 0)
        memory = int((self.memory / "memory.usage_in_bytes").read_text())
        return Usage(used, memory - inactive, _table(self.folder / "cpu.stat").get("throttled_time", 0) / 1e9)

    @property
    def limited(self) -> bool:
        return int((self.folder / "cpu.cfs_quota_us").read_text()) > 0


def find_meter(root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> Meter:
    """The cgroup's meter if it has a CPU quota and holds no process but this one (and init), else ProcessMeter.

    A cgroup shared with NATS or a publisher would blame the server for what they use.
    """
    try:
        paths = {}
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                paths[name] = path.lstrip("/")
        cgroup: CgroupV1 | CgroupV2
        if "cpu" in paths and "memory" in paths:
            cgroup = CgroupV1(*(root / name / paths[name] for name in ("cpu", "cpuacct", "memory")))
        else:
            cgroup = CgroupV2(root / paths[""])
        members = {int(pid) for pid in (cgroup.folder / "cgroup.procs").read_text().split()}
        if cgroup.limited and members <= {1, os.getpid()}:
            cgroup.read()
            return cgroup
    except (OSError, ValueError, KeyError):
        pass
    return ProcessMeter()


def resident_memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}
