"""A file that must equal what is made now; `--accept` rewrites it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FOLDER = Path(__file__).parent / "snapshots"


def compare(request: pytest.FixtureRequest, name: str, text: str) -> None:
    """Fails with the first difference and the way to accept it. name: a file below tests/snapshots."""
    path = FOLDER / name
    if request.config.getoption("--accept"):
        path.write_text(text)
        return
    assert path.exists(), f"{path.name} does not exist yet: make snapshots"
    if path.read_text() != text:
        was, now = path.read_text().splitlines(), text.splitlines()
        different = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
        lines = [f"- {was[different]}" if different < len(was) else "- (end)"]
        lines += [f"+ {now[different]}" if different < len(now) else "+ (end)"]
        raise AssertionError(
            f"{name} differs from line {different + 1} on; if the change is meant: make snapshots\n" + "\n".join(lines)
        )
