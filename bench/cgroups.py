"""A control group with limited CPU and memory, by whichever version the machine has and lets us write."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD_US = 100_000
_V1 = ("cpu", "cpuacct", "memory")


class CgroupError(RuntimeError):
    """No group can be made here; the message says why."""


@dataclass(frozen=True)
class Group:
    """folders: what a process joins (one a controller in version 1). version: 1 or 2."""

    folders: tuple[Path, ...]
    version: int

    def throttled(self) -> float:
        """Seconds for which the group was held back."""
        for line in (self.folders[0] / "cpu.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_time":
                return int(value) / 1e9
            if name == "throttled_usec":
                return int(value) / 1e6
        return 0.0

    def peak_memory(self) -> int:
        """The most bytes it ever held, kernel memory of its sockets included where the kernel counts it; 0 unknown."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        with contextlib.suppress(OSError, ValueError):
            return int((self.folders[-1] / name).read_text())
        return 0


@contextlib.contextmanager
def limited(cpus: float, memory: int, mounts: Path = Path("/proc/mounts")) -> Iterator[Group]:
    """A new group of so many CPUs and bytes; removed at the end, when its processes are gone. Raises CgroupError."""
    group = _make(mounts)
    try:
        try:
            if group.version == 1:
                _write(group.folders[0] / "cpu.cfs_period_us", PERIOD_US)
                _write(group.folders[0] / "cpu.cfs_quota_us", int(cpus * PERIOD_US))
                _write(group.folders[2] / "memory.limit_in_bytes", memory)
            else:
                _write(group.folders[0] / "cpu.max", f"{int(cpus * PERIOD_US)} {PERIOD_US}")
                _write(group.folders[0] / "memory.max", memory)
        except OSError as error:
            raise CgroupError(f"cannot set the limits of a control group: {error.strerror}") from None
        yield group
    finally:
        for folder in group.folders:
            _remove(folder)


def _write(path: Path, value: object) -> None:
    path.write_text(str(value))


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # its last process is not reaped yet
            time.sleep(0.05)
        else:
            return


def _make(mounts: Path) -> Group:
    controllers, unified = _mounted(mounts)
    own = _own_paths()
    name = f"odin-bench-{os.getpid()}-{time.monotonic_ns():x}"
    made: list[Path] = []
    try:
        if all(controller in controllers for controller in _V1):
            for controller in _V1:
                folder = controllers[controller] / own.get(controller, "") / name
                folder.mkdir()
                made.append(folder)
            return Group(tuple(made), 1)
        if unified is not None:
            folder = unified / name
            folder.mkdir()
            made.append(folder)
            if (folder / "cpu.max").exists() and (folder / "memory.max").exists():
                return Group((folder,), 2)
            raise CgroupError("control groups, version 2: cpu and memory are not enabled for groups of ours")
    except OSError as error:
        for folder in made:
            folder.rmdir()
        raise CgroupError(f"cannot make a control group: {error.strerror} (it takes root)") from None
    except CgroupError:
        for folder in made:
            folder.rmdir()
        raise
    raise CgroupError("no control groups for cpu and memory are mounted here")


def _mounted(mounts: Path) -> tuple[dict[str, Path], Path | None]:
    controllers: dict[str, Path] = {}
    unified = None
    for line in mounts.read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified = Path(where)
        elif kind == "cgroup":
            controllers.update((option, Path(where)) for option in options.split(",") if option in _V1)
    return controllers, unified


def _own_paths() -> dict[str, str]:
    found = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path.lstrip("/")
    return found
