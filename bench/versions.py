"""Which versions a run measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import metadata

from bench import build
from bench.contestants import nats_server

# ws-go's own, of this environment; and the peers', of their lock file.
OURS = ("uvicorn", "uvloop", "httptools", "orjson", "nats-py")
PEERS = ("picows", "socketify", "starlette", "uvicorn", "websockets")


def versions() -> dict[str, str]:
    """Name -> version of all that was measured and can be had here."""
    found = {f"ws-go's {name}": _installed(name) for name in OURS}
    found["nats-server"] = _says(nats_server(), "--version").removeprefix("nats-server: ")
    for line in (build.HERE / "requirements.txt").read_text().splitlines():
        name, equals, rest = line.partition("==")
        if equals and name in PEERS:
            found[name] = rest.split()[0].rstrip(";\\")
    packages = json.loads((build.HERE / "package-lock.json").read_text())["packages"]
    found["ws"] = packages["node_modules/ws"]["version"]
    try:
        found["Node"] = _says(str(build.node()), "--version")
        found["nginx"] = _says(str(build.nginx()[0]), "-v").rpartition("/")[2]
    except build.MissingError:
        pass  # the table says so
    if shutil.which("go"):
        found["Go"] = _says("go", "version").removeprefix("go version ")
    return found


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"


def _says(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - --version
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    said = (done.stdout or done.stderr).strip().splitlines()
    return said[0] if said else "?"
