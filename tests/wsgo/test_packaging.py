"""The server travels alone: its folder, its lock file with hashes, its image's recipe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lock import requirements, without_index

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = json.loads((ROOT / "Pipfile.lock").read_text())


def test_the_servers_lock_file_is_pipenvs() -> None:
    assert (ROOT / "wsgo" / "requirements.txt").read_text() == requirements(LOCK)


def test_the_lock_names_no_index() -> None:
    assert LOCK["_meta"]["sources"] == []
    assert without_index(LOCK) == LOCK
    assert "[[source]]" not in [line.strip() for line in (ROOT / "Pipfile").read_text().splitlines()]


def test_every_package_has_a_version_and_hashes() -> None:
    for name, package in LOCK["wsgo"].items():
        assert re.fullmatch(r"==[\w.]+", package["version"]), name
        assert package["hashes"], name


def test_pip_would_install_it_from_wheels_alone(tmp_path: Path) -> None:
    """What the image's build does, without keeping anything: hashes hold, and nothing would be compiled."""
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--dest", str(tmp_path), "--requirement", str(ROOT / "wsgo" / "requirements.txt"),
        ],
        check=True,
        timeout=110,
    )  # fmt: skip
    assert len(list(tmp_path.glob("*.whl"))) == len(LOCK["wsgo"])


@pytest.mark.parametrize("module", ["wsgo", "wsgo.publisher"])
def test_it_starts_without_the_rest_of_the_tree(module: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "wsgo", tmp_path / "wsgo", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # `python -c` finds packages in its working directory first, so this is the copy.
    program = f"import {module}.__main__; assert {module}.__file__.startswith({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)


def test_the_image_runs_as_nobody_in_particular_and_compiles_nothing() -> None:
    lines = (ROOT / "wsgo" / "Dockerfile").read_text().splitlines()
    assert any(re.fullmatch(r"FROM python:3\.11\.\d+-slim-\w+", line) for line in lines)
    assert any("--require-hashes" in line and "--only-binary :all:" in line for line in lines)
    assert lines.index("USER 10002:10002") < next(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
