"""Children are started, stopped in order, and never left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops.processes import Command, Processes
from tests.support import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# Says when it is ready, and when SIGTERM came; {0} is what it does then.
CHILD = """
import signal, sys, time
def leave(*_):
    print("leaving", time.monotonic_ns(), flush=True)
    {0}
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    while found.children:
        found.end(found.children[-1], lambda: True)
    found.close()


def command(tmp_path: Path, name: str, script: str, grace_s: float = 10, nofile: int | None = None) -> Command:
    return Command(
        name=name,
        argv=(sys.executable, "-c", script),
        environment={"PATH": os.defpath},
        directory=tmp_path,
        log=tmp_path / f"{name}.log",
        grace_s=grace_s,
        nofile=nofile,
    )


def said(tmp_path: Path, name: str, word: str) -> bool:
    return word in (tmp_path / f"{name}.log").read_text()


def running(pid: int) -> bool:
    """Whether it executes; a zombie that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_each_leaves_when_it_is_told_to_and_is_then_forgotten(tmp_path: Path, processes: Processes) -> None:
    for name in ("first", "second"):
        processes.start(command(tmp_path, name, CHILD.format("sys.exit(0)")))
        wait_until(lambda name=name: said(tmp_path, name, "ready"), 10, name)  # type: ignore[misc]
    for name in ("second", "first"):
        child = processes.children[-1]
        assert child.command.name == name
        assert processes.end(child) is False
    assert not processes.children
    left = {name: int((tmp_path / f"{name}.log").read_text().split()[2]) for name in ("first", "second")}
    assert left["second"] < left["first"]


def test_one_that_does_not_leave_is_killed_after_its_grace(tmp_path: Path, processes: Processes) -> None:
    child = processes.start(command(tmp_path, "deaf", CHILD.format("pass"), grace_s=0.3))
    wait_until(lambda: said(tmp_path, "deaf", "ready"), 10, "deaf")
    started = time.monotonic()
    assert processes.end(child) is True
    assert 0.3 <= time.monotonic() - started < 5
    assert said(tmp_path, "deaf", "leaving")


def test_hurry_kills_at_once(tmp_path: Path, processes: Processes) -> None:
    child = processes.start(command(tmp_path, "slow", CHILD.format("time.sleep(60)"), grace_s=60))
    wait_until(lambda: said(tmp_path, "slow", "ready"), 10, "slow")
    started = time.monotonic()
    assert processes.end(child, lambda: True) is True
    assert time.monotonic() - started < 5


def test_what_a_dead_child_has_left_goes_with_it(tmp_path: Path, processes: Processes) -> None:
    parent = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.exit(3)"
    child = processes.start(command(tmp_path, "parent", parent))
    wait_until(lambda: child.ended, 10, "the parent's end")
    orphan = int((tmp_path / "parent.log").read_text())
    assert running(orphan)
    assert child.how_it_ended() == "exit code 3"
    assert processes.end(child) is False
    wait_until(lambda: not running(orphan), 5, "the orphan's end")


def test_how_it_ended_names_the_signal(tmp_path: Path, processes: Processes) -> None:
    child = processes.start(command(tmp_path, "victim", "import os; os.kill(os.getpid(), 9)"))
    wait_until(lambda: child.ended, 10, "its end")
    assert child.how_it_ended() == "killed by SIGKILL"


def test_open_files_up_to_the_hard_limit(tmp_path: Path, processes: Processes) -> None:
    script = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    child = processes.start(command(tmp_path, "files", script, nofile=hard + 1))
    wait_until(lambda: child.ended, 10, "its end")
    assert child.last_lines() == [f"{hard} {hard}"]


def test_a_log_is_new_each_time(tmp_path: Path, processes: Processes) -> None:
    (tmp_path / "again.log").write_text("of the last run\n")
    child = processes.start(command(tmp_path, "again", "print('now')"))
    wait_until(lambda: child.ended, 10, "its end")
    assert child.last_lines() == ["now"]


@pytest.mark.parametrize("deaf", [False, True], ids=["leaves", "deaf"])
def test_kill_9_of_the_parent_leaves_nothing(tmp_path: Path, deaf: bool) -> None:
    """Neither child nor grandchild, whether they heed SIGTERM or not, nor the run's directory."""
    state = tmp_path / "state"
    state.mkdir()
    child = "import subprocess, sys\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)\n" + CHILD.format(
        "pass" if deaf else "sys.exit(0)"
    )
    (tmp_path / "child.py").write_text(child)
    parent = f"""
        import sys, time
        from pathlib import Path
        from ops.processes import Command, Processes
        here = Path({str(tmp_path)!r})
        processes = Processes()
        processes.remove_at_end(here / "state")
        started = processes.start(Command(name="child", argv=(sys.executable, str(here / "child.py")),
                                          environment={{"PATH": "/usr/bin:/bin"}}, directory=here,
                                          log=here / "child.log"))
        print(started.process.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as ops:
        assert ops.stdout is not None
        pid = int(ops.stdout.readline())
        wait_until(lambda: said(tmp_path, "child", "ready"), 10, "the child")
        grandchild = int((tmp_path / "child.log").read_text().split()[0])
        assert running(pid)
        assert running(grandchild)
        ops.send_signal(signal.SIGKILL)
    wait_until(lambda: not running(pid), 10, "the child's end")
    wait_until(lambda: not running(grandchild), 10, "the grandchild's end")
    wait_until(lambda: not state.exists(), 10, "the directory's end")
