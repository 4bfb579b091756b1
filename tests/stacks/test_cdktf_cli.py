"""The pinned `cdktf` command finds the app, its stacks, and says why it cannot synthesize."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.stacks.conftest import ROOT, STACKS

if TYPE_CHECKING:
    from pathlib import Path


def cdktf(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ROOT / ".venv" / "bin" / "cdktf"
    assert command.exists(), "make setup installs it"
    # CHECKPOINT_DISABLE: it would ask HashiCorp for news.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ODIN_")}
    return subprocess.run(
        [str(command), *arguments],
        cwd=ROOT,
        # No Node on the PATH: the command brings its own.
        env={**clean, "PATH": "/nowhere", "CI": "1", "CHECKPOINT_DISABLE": "1", "FORCE_COLOR": "0", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_list_names_both_stacks(tmp_path: Path) -> None:
    done = cdktf("list", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert set(STACKS) <= set(listed)


def test_synth_writes_both_stacks(tmp_path: Path) -> None:
    done = cdktf("synth", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in STACKS:
        assert (tmp_path / "stacks" / name / "cdk.tf.json").stat().st_size > 10_000


def test_a_fault_reaches_whoever_typed_the_command(tmp_path: Path) -> None:
    done = cdktf("synth", "--output", str(tmp_path), ODIN_ZONE="nowhere", ODIN_MAX_CONNECTIONS="0")
    assert done.returncode != 0
    message = done.stdout + done.stderr
    assert "zone" in message
    assert "max_connections" in message
    assert "Traceback" not in message
