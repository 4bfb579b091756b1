"""The synthesized stacks, made once a session by `App.synth()`, the way users get them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STACKS = ("backend", "wsgo")


def synthesize(outdir: Path, **environment: str) -> dict[str, dict[str, Any]]:
    """`python main.py` in a process of its own, with the defaults and `environment`; a document a stack."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ODIN_")}
    subprocess.run(
        [sys.executable, "main.py"],
        cwd=ROOT,
        env={**clean, "CDKTF_OUTDIR": str(outdir), **environment},
        check=True,
        timeout=100,
    )
    return {name: json.loads((outdir / "stacks" / name / "cdk.tf.json").read_text()) for name in STACKS}


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return synthesize(tmp_path_factory.mktemp("synth"))


def instance(stack: dict[str, Any]) -> dict[str, Any]:
    """The stack's only google_compute_instance."""
    (found,) = stack["resource"]["google_compute_instance"].values()
    assert isinstance(found, dict)
    return found
