"""Where a verb tells its user."""

from __future__ import annotations

import os

from rich.console import Console

PIPE_WIDTH = 140


def console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width; a pipe has none of its own, and 80 columns would break the tables."""
    found = Console(stderr=stderr, highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PIPE_WIDTH
    return found
