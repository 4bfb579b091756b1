"""The compiled load programs, for every test here."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bench import build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wsload, natspub and floor, compiled with warnings as errors."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here; Debian: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("load")
    for name in build.LOAD_PROGRAMS:
        source = build.HERE / "load" / f"{name}.c"
        argv = [compiler, *build.C_FLAGS, "-Werror", "-o", str(folder / name), str(source)]
        subprocess.run(argv, check=True, timeout=60)
    return folder
