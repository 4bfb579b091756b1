"""The programs that a run starts: each on its cores, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE_S = 3.0
_libc = ctypes.CDLL(None, use_errno=True)


class ChildError(RuntimeError):
    """A program did not start, or ended when it should not; the message says which and shows its last words."""


@dataclass
class Child:
    """A program that was started; `log` has what it said."""

    name: str
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def failure(self, what: str) -> ChildError:
        """An error about this program, with the end of its log."""
        said = self.log.read_text(errors="replace").splitlines()[-6:] if self.log.exists() else []
        ending = f"; it ended with code {self.process.returncode}" if self.ended else ""
        return ChildError("\n    ".join([f"{self.name}: {what}{ending}", *said]))

    def await_true(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll until it holds; raises ChildError when the program ends before, or the time is over."""
        until = time.monotonic() + seconds
        while not condition():
            if self.ended or time.monotonic() > until:
                raise self.failure(f"{what}: not within {seconds:g} s")
            time.sleep(0.01)

    def family(self) -> list[int]:
        """Its process id and those of all its descendants."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its whole group after a grace period."""
        if not self.ended:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # It leads its group, and descendants may outlive it.
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Children:
    """As a context: what was started in it is stopped at its end, last started first."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: list[Child] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        cores: Iterable[int],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        pipes: bool = False,
        join: Sequence[Path] = (),
    ) -> Child:
        """Start a program on these cores. pipes: its stdin and stdout are ours. join: cgroups to put it in.

        Raises ChildError when it cannot be started.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        pipe = subprocess.PIPE if pipes else None
        with log.open("wb") as said:
            try:
                process = subprocess.Popen(  # noqa: S603 - the contestants' own commands
                    list(argv),
                    env=dict(environment) if environment is not None else None,
                    cwd=directory,
                    stdin=pipe or subprocess.DEVNULL,
                    stdout=pipe or said,
                    stderr=said,
                    start_new_session=True,
                    preexec_fn=_before_exec(os.getpid(), set(cores), join),  # noqa: PLW1509 - no other thread forks
                )
            except OSError as error:
                raise ChildError(f"{name}: cannot start {argv[0]}: {error.strerror or error}") from None
        child = Child(name, process, log)
        self._running.append(child)
        return child

    def stop(self, child: Child) -> None:
        """Stop one before the end."""
        child.stop()
        self._running.remove(child)

    def stop_all(self, but: Child | None = None) -> None:
        """Stop everything, last started first."""
        for child in reversed([child for child in self._running if child is not but]):
            self.stop(child)

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()


def _before_exec(parent: int, cores: set[int], join: Sequence[Path]) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)
        os.sched_setaffinity(0, cores)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for group in join:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return prepare


def memory_kib(pids: Iterable[int]) -> int:
    """Proportional set size of these processes together, KiB; resident size where the kernel does not tell."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return total
