"""The harness end to end, small; and what stands in its way."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bench import build, cgroups, contestants, machine, session
from bench.children import ChildError, Children
from bench.cli import app
from bench.loads import Load
from bench.measure import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = Load(kind="steady", clients=50, rate=20, warm=0.3, window=1, drain=2)


@pytest.fixture
def bench(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(build, "program", lambda name: programs / name)
    with Children(tmp_path / "logs") as children:
        yield Bench(children, machine.cores(), tmp_path)


def test_wsgo_and_the_floor_are_measured(bench: Bench) -> None:
    told: list[str] = []
    found = session.Session([contestants.FLOOR, contestants.WSGO], [TINY])
    session.run(found, bench, 1, time.monotonic() + 60, lambda what, _: told.append(what))
    assert not found.results.failures
    ours = found.results.middle("wsgo", TINY.name)
    assert ours is not None
    assert ours.rate == pytest.approx(TINY.asked, rel=0.2)
    assert (ours.lost, ours.repeats, ours.closed, ours.behind) == (0, 0, 0, 0)
    assert ours.cpu > 0
    assert len(found.results.samples("floor", TINY.name)) == 2
    assert found.results.ratio("wsgo", "floor", TINY.name)
    assert told == [f"{TINY.name}: {title}" for title in ("bare send()", "ws-go", "bare send()")]


def test_the_plain_peer_is_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its packages are the house's own too: the peers' environment need not be there.
    monkeypatch.setattr(build, "interpreter", lambda: Path(sys.executable))
    ours = bench.run(contestants.PLAIN, TINY)
    assert ours.rate == pytest.approx(TINY.asked, rel=0.2)
    assert (ours.lost, ours.closed, ours.behind) == (0, 0, 0)


def test_resumptions_are_complete(bench: Bench) -> None:
    assert session.resume(bench, 50) > 0


def test_a_contestant_that_ends_is_a_failure_not_an_end(bench: Bench) -> None:
    broken = replace(contestants.PLAIN, name="broken", start=lambda *_: contestants.Start(("/bin/sh", "-c", "exit 3")))
    found = session.Session([broken], [TINY])
    session.run(found, bench, 1, time.monotonic() + 60, lambda *_: None)
    assert "it ended with code 3" in found.results.failures["broken", TINY.name]
    assert found.results.middle("floor", TINY.name)


def test_no_time_left_is_said(bench: Bench) -> None:
    found = session.Session([contestants.WSGO], [TINY])
    session.run(found, bench, 1, time.monotonic() - 1, lambda *_: None)
    assert found.results.failures["wsgo", TINY.name] == "no time was left"


def test_children_end_with_their_context(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        # Its own child must go too, though it does not listen.
        child = children.start(
            "stubborn", ["/bin/sh", "-c", "trap '' TERM; sleep 60 & echo $! > pid; wait"], [0], directory=tmp_path
        )
        child.await_true((tmp_path / "pid").exists, 5, "starts")
        child.await_true(lambda: len(child.family()) > 1, 5, "has a child")
        pids = child.family()
    assert not [pid for pid in pids if (Path("/proc") / str(pid) / "cmdline").exists() and _alive(pid)]


def _alive(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with Children(tmp_path) as children, pytest.raises(ChildError, match="cannot start /no/such"):
        children.start("nobody", ["/no/such"], [0])


def test_limits_of_a_control_group_hold(tmp_path: Path) -> None:
    try:
        with cgroups.limited(0.2, 256 * 2**20) as group:
            with Children(tmp_path) as children:
                child = children.start("busy", ["/bin/sh", "-c", "while :; do :; done"], [0], join=group.folders)
                child.await_true(lambda: group.throttled() > 0.1, 10, "is throttled")
            folders = group.folders
    except cgroups.CgroupError as error:
        pytest.skip(str(error))
    assert not [folder for folder in folders if folder.exists()]


def test_a_machine_without_control_groups_is_told_so(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(cgroups.CgroupError, match="no control groups"), cgroups.limited(1, 2**20, mounts):
        pass


def test_an_unknown_contestant_is_bad_usage() -> None:
    done = CliRunner().invoke(app, ["--only", "wsgo,apache"])
    assert done.exit_code == 2
    assert "apache" in done.output


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    nchan = next(c for c in contestants.ALL if c.name == "nchan")
    assert "apt-get install nginx libnginx-mod-nchan" in nchan.missing({})
    go = next(c for c in contestants.ALL if c.name == "go")
    assert go.missing({"go": "no Go compiler here"}) == "no Go compiler here"
