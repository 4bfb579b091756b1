"""Synthesis beside the rest: `main.py` in a process of its own, because importing cdktf takes seconds."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from ops.local import ROOT
from ops.processes import Command

if TYPE_CHECKING:
    from pathlib import Path

    from ops.processes import Child, Processes


class Synthesis:
    """One run of main.py. Its output is the text of a failure, so it is kept in a file."""

    def __init__(self, processes: Processes, log: Path) -> None:
        self._processes = processes
        self._started = time.monotonic()
        # The whole environment: settings (ODIN_...) and CDKTF's own switches are in it.
        self._child: Child = processes.start(
            Command(
                name="synthesis",
                argv=(sys.executable, str(ROOT / "main.py")),
                environment=os.environ,
                directory=ROOT,
                log=log,
            )
        )
        self.took_s = 0.0

    @property
    def running(self) -> bool:
        return not self._child.ended

    def finish(self) -> str | None:
        """After it ended: None, or the message of its failure."""
        self.took_s = time.monotonic() - self._started
        how = self._child.how_it_ended()
        self._processes.end(self._child)
        if how == "exit code 0":
            return None
        return "\n".join(self._child.last_lines(40)) or f"main.py ended with {how} and said nothing"


def written() -> list[tuple[Path, int]]:
    """The stack files of the last synthesis, relative to the checkout where they are in it, and their size in bytes."""
    out = ROOT / os.environ.get("CDKTF_OUTDIR", "cdktf.out")
    stacks = json.loads((out / "manifest.json").read_text())["stacks"]
    found = []
    for stack in stacks.values():
        path = out / stack["synthesizedStackPath"]
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        found.append((shown, path.stat().st_size))
    return found
