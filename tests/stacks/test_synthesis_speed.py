"""Synthesis beside the same program with the provider package imported the plain way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.stacks.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OURS = "import runpy; runpy.run_path('main.py', run_name='__main__')"
# The package first, then the same program, which then uses the package as it is.
PLAIN = f"import cdktf_cdktf_provider_google; {OURS}"


def seconds(program: str, outdir: Path) -> float:
    """Wall time of a whole process, start to exit."""
    environment = {**os.environ, "CDKTF_OUTDIR": str(outdir), "PYTHONPATH": str(ROOT)}
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=100,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - before


# Eight processes of up to 10 s each, on a machine that may have other things to do.
@pytest.mark.timeout(500)
def test_synthesis_takes_at_most_a_third_of_the_plain_way(tmp_path: Path) -> None:
    seconds(OURS, tmp_path)  # unpacks jsii's cache and writes byte code, once a machine
    seconds(PLAIN, tmp_path)
    pairs = [(seconds(OURS, tmp_path), seconds(PLAIN, tmp_path)) for _ in range(3)]
    ratios = sorted(ours / plain for ours, plain in pairs)
    assert ratios[1] <= 1 / 3, f"ours / plain, three pairs: {pairs}"


@pytest.mark.parametrize(
    "module",
    ["stacks.topology", "stacks.settings", "constructs_lib.checks", "constructs_lib.cloud_config", "ops.review"],
)
def test_nothing_but_synthesis_imports_cdktf(module: str) -> None:
    program = f"import {module}, sys; sys.exit(any(name.split('.')[0] in ('cdktf', 'jsii') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
