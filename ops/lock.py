"""The second half of `make lock`: what pipenv's lock file should not say, and the server's own lock file.

Pipfile.lock names no package index, so that each machine asks its own. wsgo/requirements.txt holds the
server's packages with their hashes, because the image is built where there is neither Pipfile nor pipenv.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "Pipfile.lock"
REQUIREMENTS = ROOT / "wsgo" / "requirements.txt"


def without_index(lock: dict[str, Any]) -> dict[str, Any]:
    """The lock with empty `_meta.sources`, and no package bound to an index."""
    categories = {
        category: {
            name: {key: value for key, value in package.items() if key != "index"} for name, package in packages.items()
        }
        for category, packages in lock.items()
        if category != "_meta"
    }
    return {"_meta": lock["_meta"] | {"sources": []}} | categories


def requirements(lock: dict[str, Any], category: str = "wsgo") -> str:
    """pip's requirements with hashes of one category, a package a paragraph."""
    lines = ["# Made by `make lock` from Pipfile.lock, category wsgo."]
    for name, package in sorted(lock[category].items()):
        marker = f"; {package['markers']}" if "markers" in package else ""
        lines.append(
            " \\\n    ".join([f"{name}{package['version']}{marker}", *(f"--hash={h}" for h in package["hashes"])])
        )
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


if __name__ == "__main__":
    found = without_index(json.loads(LOCK.read_text()))
    _write(LOCK, json.dumps(found, indent=4, sort_keys=True) + "\n")
    _write(REQUIREMENTS, requirements(found))
