"""Log lines as a collector wants them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ops.probes.outcome import No

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = ("ts", "level", "event", "message")


def structured(log: Path) -> str:
    """Every line is one JSON object with ts, level, event and message."""
    count = 0
    with log.open(encoding="utf-8", errors="replace") as lines:
        for count, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                break  # it is being written
            _check(count, line)
    if not count:
        raise No("it has logged nothing")
    return f"{count} lines, each a JSON object with {', '.join(FIELDS)}"


def _check(number: int, line: str) -> None:
    shown = line.strip()[:80]
    try:
        found = json.loads(line)
    except ValueError:
        raise No(f"line {number} is not JSON: {shown}") from None
    if not isinstance(found, dict):
        raise No(f"line {number} is no JSON object: {shown}")
    missing = [name for name in FIELDS if name not in found]
    if missing:
        raise No(f"line {number} has no {', '.join(missing)}: {shown}")
