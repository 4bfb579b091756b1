"""Usage: help, and exit code 2 with the reason on stderr."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT


def ops(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_verb_there_is_help() -> None:
    ended = ops()
    assert ended.returncode == 0
    assert "Run the whole data path on this machine" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("fly",), "No such command 'fly'"),
        (("up", "--json"), "give --check too"),
        (("up", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("up", "--timeout", "0"), "0.1"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], why: str) -> None:
    ended = ops(*arguments)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert ended.stdout == ""


def test_nothing_that_is_slow_to_import_is_imported() -> None:
    script = (
        "import sys, ops.cli; print(sorted({'cdktf', 'jsii', 'websockets', 'prometheus_client'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
