"""A real Prometheus for a check, where this machine has one: its own word that the targets are up."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import yaml

from constructs_lib import prometheus
from ops.probes.http import get
from ops.probes.metrics import Target
from ops.probes.outcome import No
from ops.processes import Command

if TYPE_CHECKING:
    from pathlib import Path

    from constructs_lib.endpoints import Places
    from ops.processes import Child, Processes

PROGRAM = "prometheus"
_UP_S = 20.0
_POLL_S = 0.2


def installed() -> str | None:
    """Path of the program, if this machine has it."""
    return shutil.which(PROGRAM)


def config(places: Places) -> str:
    """The rendered prometheus.yml, in a hurry."""
    found = prometheus.config(places)
    # The declared 15 s spread the first scrapes over 15 s; a check would wait for them.
    found["global"]["scrape_interval"] = "1s"
    return yaml.safe_dump(found, sort_keys=False)


def start(
    program: str, places: Places, *, at: tuple[str, int], directory: Path, processes: Processes, log: Path
) -> Child:
    """Start `program`. places: of a topology whose scrape flows lead to what runs. at: (host, port) of its API."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.yml"
    file.write_text(config(places))
    return processes.start(
        Command(
            name=PROGRAM,
            argv=(
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={at[0]}:{at[1]}",
            ),
            environment=os.environ,
            directory=directory,
            log=log,
        )
    )


def targets(child: Child, at: tuple[str, int]) -> dict[str, Target]:
    """Job name -> what it says, once all are up or 20 s have passed. Empty if it never answers; its log says why."""
    found: dict[str, Target] = {}
    until = time.monotonic() + _UP_S
    while time.monotonic() < until and not child.ended:
        found = _ask(*at)
        if found and all(target.health == "up" for target in found.values()):
            break
        time.sleep(_POLL_S)
    return found


def _ask(host: str, port: int) -> dict[str, Target]:
    try:
        version = json.loads(get(host, port, "/api/v1/status/buildinfo").body)["data"]["version"]
        active = json.loads(get(host, port, "/api/v1/targets?state=active").body)["data"]["activeTargets"]
    except (No, ValueError, LookupError):
        return {}  # it is starting
    return {target["labels"]["job"]: Target(target["health"], target["lastError"], version) for target in active}
