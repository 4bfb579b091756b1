"""`python -m ops up` as its user runs it: from the first line to nothing left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops import ports
from ops.run import Options
from ops.up import up
from tests.support import ROOT, http_get, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 100.0
READY = "Ctrl-C ends it."
SERVICES = ("nats", "publisher", "ws-go")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Nothing of this machine's PATH is needed; its Prometheus has a test of its own."""
    return {
        **os.environ,
        "PATH": str(tmp_path),
        "CDKTF_OUTDIR": str(tmp_path / "cdktf.out"),
        **more,
    }


def words(tmp_path: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ops", "up", "--directory", str(tmp_path / "odin"), *arguments]


def to_the_end(tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(tmp_path, *arguments),
        cwd=ROOT,
        env=environment(tmp_path, **env),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Up:
    """A run in the background. It must be ended by the test, and is killed if it was not."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in re.findall(r"\+ (\S+) is healthy  pid (\d+)", self.said)}

    @property
    def ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", self.said)]

    def ended(self) -> int:
        return self.process.wait(SECONDS)


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[Up]:
    output = tmp_path / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            words(tmp_path, *arguments),
            cwd=ROOT,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    found = Up(process, output)
    try:
        wait_until(lambda: READY in found.said or process.poll() is not None, SECONDS, "the URLs")
        assert process.poll() is None, found.said
        assert tuple(found.pids) == SERVICES
        yield found
    finally:
        process.kill()
        process.wait()


def group_runs(pgid: int) -> bool:
    """Whether any process of the group, the leader's own children too, still executes."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pgid and fields[0] not in "ZX":
                return True
    return False


def assert_nothing_left(pids: dict[str, int], listening: list[int], tmp_path: Path, seconds: float = 0) -> None:
    def left() -> list[str]:
        found = [name for name, pid in pids.items() if group_runs(pid)]
        # An owner of ours, that is: another test may have taken the port since.
        found += [
            str(port) for port in listening if any(f"pid {pid} " in str(ports.owner(port)) for pid in pids.values())
        ]
        return found + [path.name for path in (tmp_path / "odin").glob("run-*")]

    until = time.monotonic() + seconds
    while left() and time.monotonic() < until:
        time.sleep(0.05)
    assert left() == []


def test_check_holds_on_this_machine(tmp_path: Path) -> None:
    ended = to_the_end(tmp_path, "--check", "--json")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    data = json.loads(ended.stdout)
    assert data["ok"] is True
    asked = {(check["service"], check["probe"]) for check in data["checks"] if check["result"] == "yes"}
    assert {(name, "http") for name in SERVICES} <= asked
    assert {("ws-go", probe) for probe in ("broker", "websocket", "delivery", "metrics", "logs")} <= asked
    assert all(check["result"] == "yes" for check in data["checks"] if check["plan"])
    assert {check["service"] for check in data["checks"] if check["result"] == "not here"}.isdisjoint(SERVICES)
    assert "Checklist" in ended.stderr
    assert {"backend", "wsgo"} <= {path.name for path in (tmp_path / "cdktf.out" / "stacks").iterdir()}
    pids = {name: int(pid) for name, pid in re.findall(r"\+ (\S+) is healthy  pid (\d+)", ended.stderr)}
    assert tuple(pids) == SERVICES
    assert_nothing_left(pids, [], tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as running_up:
        page = re.search(r"live page\s+http://127\.0\.0\.1:(\d+)/", running_up.said)
        assert page
        assert http_get(int(page[1]), "/")[0] == 200
        running_up.process.send_signal(number)
        assert running_up.ended() == 0, running_up.said
        assert running_up.said.rstrip().endswith("Stopped; nothing is left running.")
        assert "Traceback" not in running_up.said
        assert_nothing_left(running_up.pids, running_up.ports, tmp_path)


def test_kill_9_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as running_up:
        running_up.process.kill()
        running_up.ended()
        assert_nothing_left(running_up.pids, running_up.ports, tmp_path, seconds=20)


def test_a_service_that_dies_later_ends_the_run_with_its_last_lines(tmp_path: Path) -> None:
    with started(tmp_path) as running_up:
        os.kill(running_up.pids["ws-go"], signal.SIGKILL)
        assert running_up.ended() == 1
        assert "ws-go ended with killed by SIGKILL. The end of its log:\n  {" in running_up.said
        assert_nothing_left(running_up.pids, running_up.ports, tmp_path)


def test_a_service_that_does_not_come_up_is_named(tmp_path: Path) -> None:
    ended = to_the_end(tmp_path, "--timeout", "0.1")
    assert ended.returncode == 1
    assert re.search(r"^(nats|publisher|ws-go) is not healthy after 0.1 s: .*The end of its log:$", ended.stderr, re.M)
    assert not list((tmp_path / "odin").glob("run-*"))


def test_a_failed_synthesis_is_shown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory can be below this")
    ended = to_the_end(tmp_path, "--check", "--json", CDKTF_OUTDIR=str(tmp_path / "file" / "out"))
    assert ended.returncode == 1
    assert "synthesis failed:\n" in json.loads(ended.stdout)["error"]
    assert not list((tmp_path / "odin").glob("run-*"))


def test_faults_are_one_message_and_nothing_is_started(tmp_path: Path) -> None:
    ended = to_the_end(tmp_path, ODIN_ZONE="nowhere", ODIN_BOOT_IMAGE="none")
    assert ended.returncode == 2
    assert "2 faults" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "odin").exists()


def test_strict_ports_name_all_that_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "free", lambda _host, number: number not in (3003, 3004))
    monkeypatch.setattr(ports, "owner", lambda number: f"pid {number} (a program)")
    options = Options(
        check=False,
        as_json=False,
        strict_ports=True,
        host="127.0.0.1",
        keep_state=None,
        verbose=False,
        timeout_s=10,
        directory=tmp_path,
    )
    assert up(options) == 1
    said = capsys.readouterr().err
    assert "port 3003 of publisher:http is taken by pid 3003 (a program)" in said
    assert "port 3004 of ws-go:ws is taken by pid 3004 (a program)" in said
    assert not list(tmp_path.glob("run-*"))


def test_state_is_kept_where_the_user_says(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    ended = to_the_end(tmp_path, "--check", "--keep-state", str(kept))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list((kept / "nats_data").rglob("ODIN_TOKENS"))
