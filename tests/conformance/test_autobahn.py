"""The whole of Autobahn's fuzzing client against the server, and against one that breaks RFC 6455."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conformance.install import Installation
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / ".odin" / "conformance"
# The server's own parser without three of its checks: reserved bits and opcodes, UTF-8, and the order of fragments.
BROKEN = """
from conformance import echo
from wsgo import frames
frames.Parser._check_header = lambda *_: None
frames._Message._check = lambda *_: None
echo.main()
"""


def conformance(*arguments: str | Path, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


# A minute on two idle cores, most of it the fuzzing client's own work in group 9.
@pytest.mark.timeout(600)
def test_no_case_fails(tmp_path: Path) -> None:
    done = conformance("--report", tmp_path / "report", seconds=580)
    assert done.returncode == 0, done.stdout + done.stderr
    total = next(line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["all"])
    assert total[:5] == ["all", "301", "298", "3", "0"]
    assert (tmp_path / "report" / "index.html").stat().st_size > 100_000


@pytest.mark.timeout(200)
def test_a_server_that_breaks_the_rules_is_found_out(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", BROKEN], stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"ws://127.0.0.1:{server.stdout.readline().strip()}/ws"
            done = conformance("--report", tmp_path, "--url", url, "1.1.1", "3.1", "4.1.1", "5.9", "6.3.2", seconds=180)
        finally:
            server.terminate()
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("failed: ")]
    assert failed == ["3.1:", "4.1.1:", "5.9:", "6.3.2:"]


@pytest.mark.timeout(200)
def test_where_it_cannot_run_it_says_why(tmp_path: Path) -> None:
    done = conformance("--report", tmp_path, "99.*", seconds=180)
    assert done.returncode == 2
    assert "no case matches 99.*" in done.stdout

    nowhere = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    command = [sys.executable, "-m", "conformance", "--folder", str(tmp_path / "fresh")]
    done = subprocess.run(command, cwd=ROOT, env=nowhere, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "pip did not get the packages of conformance/requirements.txt" in done.stdout
    assert "autobahntestsuite" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.timeout(200)
def test_another_version_of_the_suite_is_refused(tmp_path: Path) -> None:
    client = Installation(FOLDER)
    client.ensure(print)
    other = tmp_path / "autobahntestsuite"
    (other / "case").mkdir(parents=True)
    for name in ("__init__", "_version", "caseset", "fuzzing", "interfaces", "report"):
        (other / f"{name}.py").write_text("x = 1\n")
    done = subprocess.run(
        [client.python, ROOT / "conformance" / "fuzzer" / "convert.py", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "not the autobahntestsuite that this was written for: fuzzing.py: nothing matches" in done.stderr
