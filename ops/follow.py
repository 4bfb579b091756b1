"""What the services log, while they log it, each line under its service's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


class Follower:
    """Prints new lines of log files each time it is asked to; no thread, because this process forks."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._offsets: dict[tuple[str, Path], int] = {}

    def follow(self, name: str, log: Path) -> None:
        """From its beginning."""
        self._offsets[name, log] = 0

    def print_new(self) -> None:
        """Every whole line that came since the last call."""
        for (name, log), offset in list(self._offsets.items()):
            with log.open("rb") as file:
                file.seek(offset)
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._offsets[name, log] = offset + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._console.print(Text.assemble((f"{name} | ", "dim"), line), soft_wrap=True)
