"""The children of a run: started one by one, stopped in reverse order, never left behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_GUARD = Path(__file__).with_name("guard.py")
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to run. log: file that gets its stdout and stderr, made anew.

    grace_s: seconds between SIGTERM and SIGKILL. nofile: open files it wants; it gets as many as this
    user's hard limit allows.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    grace_s: float = 10
    nofile: int | None = None


@dataclass(kw_only=True)
class Child:
    """A program that was started. `process` is read by `Processes` only."""

    command: Command
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def ended(self) -> bool:
        """Whether it is over. It stays a zombie until it is stopped, so that its group's number stays its own."""
        if self.process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of its log."""
        return last_lines(self.command.log, count)

    def how_it_ended(self) -> str:
        """`exit code 2` or `killed by SIGKILL`; it must have ended, and not been stopped."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        assert found is not None
        if found.si_code == os.CLD_EXITED:
            return f"exit code {found.si_status}"
        return f"killed by {signal.Signals(found.si_status).name}"


class Processes:
    """What this run has started. Call everything from the main thread.

    The kernel ties PR_SET_PDEATHSIG to the thread that forked, hence the one thread.
    """

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._guard = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", str(_GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(self, command: Command) -> Child:
        """Start a program, in a session of its own: the terminal's Ctrl-C then reaches us alone.

        Raises OSError when it cannot be started.
        """
        command.log.parent.mkdir(parents=True, exist_ok=True)
        command.log.unlink(missing_ok=True)
        with command.log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - argv is the topology's
                command.argv,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_before_exec(os.getpid(), command.nofile),  # noqa: PLW1509 - there is no other thread
            )
        child = Child(command=command, process=process)
        self.children.append(child)
        self._tell(f"watch {process.pid}")
        return child

    def remove_at_end(self, directory: Path) -> None:
        """Have the guard remove it, should this process be killed."""
        self._tell(f"remove {directory}")

    def end(self, child: Child, hurry: Callable[[], bool] = lambda: False) -> bool:
        """Stop one child, its own children too; whether it had to be killed.

        hurry: asked all the time; once true, it is killed at once.
        """
        pid = child.process.pid
        killed = False
        if not child.ended:
            os.kill(pid, signal.SIGTERM)
            until = time.monotonic() + child.command.grace_s
            while not child.ended and time.monotonic() < until and not hurry():
                time.sleep(_POLL_S)
            killed = not child.ended
        if child.process.returncode is None:
            # Before it is reaped, while its number cannot be another's: whatever it left in its group.
            os.killpg(pid, signal.SIGKILL)
        child.process.wait()
        self.children.remove(child)
        self._tell(f"forget {pid}")
        return killed

    def close(self) -> None:
        """Send the guard home; nothing may be running."""
        self._tell("done")
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _tell(self, order: str) -> None:
        pipe: IO[bytes] | None = self._guard.stdin
        assert pipe is not None
        try:
            pipe.write(f"{order}\n".encode())
            pipe.flush()
        except BrokenPipeError:
            # Somebody ended the guard: the run goes on, as safe as PR_SET_PDEATHSIG makes it.
            return


def _before_exec(parent: int, nofile: int | None) -> Callable[[], None]:
    """What the child does between fork and exec: die with its parent, and take the open files it is due."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)
        if nofile is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            wanted = nofile if hard == resource.RLIM_INFINITY else min(nofile, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    return prepare


def last_lines(log: Path, count: int = 12) -> list[str]:
    """The last lines of a file, read from its end; empty where there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
