"""The machine a run is made on: its name, its limits, and which core belongs to whom."""

from __future__ import annotations

import functools
import os
import platform
import resource
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """server: the core of what is measured; load: those of the client, NATS and the publisher."""

    server: int
    load: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether the server has its core to itself."""
        return self.server not in self.load


def cores() -> Cores:
    """The first core that this process may use is the server's, all others are the load's."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(first, tuple(others) or (first,))


def raise_open_files() -> int:
    """Take all open files that the system grants; how many those are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1_048_576
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass(frozen=True)
class Machine:
    """What figures depend on, as it stands in the report."""

    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    system: str
    python: str
    open_files: int
    virtual: bool

    def __str__(self) -> str:
        kind = " (virtual)" if self.virtual else ""
        return (
            f"{self.cpu}{kind}, {self.cores} cores, {self.memory_mib / 1024:.0f} GiB, Linux {self.kernel}, "
            f"{self.system}, Python {self.python}"
        )

    def as_data(self) -> dict[str, object]:
        return asdict(self)


@functools.cache
def this() -> Machine:
    """This machine; without its name."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return Machine(
        cpu=model or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        kernel=platform.release(),
        system=_system(),
        python=platform.python_version(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        virtual=" hypervisor" in cpuinfo,
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
