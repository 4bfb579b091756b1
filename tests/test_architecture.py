"""The direction of imports, and what no committed file may say."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Who may import whom, besides the standard library and the locked packages.
MAY_IMPORT = {
    "constructs_lib": {"constructs_lib"},
    "stacks": {"stacks", "constructs_lib"},
    "wsgo": {"wsgo"},
    "ops": {"ops", "stacks", "constructs_lib", "wsgo"},
    "bench": {"bench"},
    "conformance": {"conformance", "wsgo"},
    "main": {"stacks", "constructs_lib"},
}
# The files that may import cdktf: the constructs, the stacks and the app. A command that does not
# synthesize starts in a fraction of a second because of this.
SYNTHESIS = {
    "constructs_lib/google.py",
    "constructs_lib/docker_host.py",
    "constructs_lib/flow_firewall.py",
    "stacks/app.py",
    "stacks/odin_stack.py",
    "stacks/backend.py",
    "stacks/wsgo.py",
}
OURS = set(MAY_IMPORT) | {"tests", "bench"}


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def sources(package: str) -> list[Path]:
    return [ROOT / "main.py"] if package == "main" else sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_run_one_way(package: str) -> None:
    found = sources(package)
    assert found
    for path in found:
        for name in imports(path):
            top = name.split(".")[0]
            if top in OURS:
                assert top in MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {name}"


def test_only_synthesis_imports_cdktf() -> None:
    for package in MAY_IMPORT:
        for path in sources(package):
            tops = {name.split(".")[0] for name in imports(path)}
            if tops & {"cdktf", "constructs", "cdktf_cdktf_provider_google", "jsii"}:
                assert str(path.relative_to(ROOT)) in SYNTHESIS


def test_no_registry_and_no_machine_path_in_any_committed_file() -> None:
    registries = re.compile(
        rb"pypi\.(org|python)|files\.pythonhosted|registry\.(npmjs|yarnpkg)|pythonhosted\.org", re.I
    )
    machine = re.compile(rb"/(root|home/[a-z]+|work)/(?!deploy)")
    for path in committed():
        if path == Path(__file__):
            continue
        content = path.read_bytes()
        assert not registries.search(content), path
        assert not machine.search(content), f"{path}: {machine.search(content)}"


def test_source_files_stay_short() -> None:
    for package in MAY_IMPORT:
        for path in sources(package):
            assert len(path.read_text().splitlines()) <= 400, f"{path.relative_to(ROOT)} has more than one idea"
