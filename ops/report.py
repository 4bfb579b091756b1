"""A checklist's verdicts as a table for a person and as JSON for a program."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ops.verify import Result, holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.verify import Verdict

_STYLES = {Result.YES: "green", Result.NO: "bold red", Result.NOT_HERE: "dim"}


def table(verdicts: Iterable[Verdict]) -> Table:
    """One row a check; below a "no" what to do."""
    found = Table(title="Checklist", title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("plan", "check", "result", "seen"):
        found.add_column(name, header_style="dim")
    for verdict in verdicts:
        style = _STYLES[verdict.result]
        dim = style if verdict.result is Result.NOT_HERE else ""
        seen = Text(verdict.seen, dim)
        if verdict.result is Result.NO:
            seen.append(f"\nnext: {verdict.check.next_step}", "yellow")
        mark = "*" if verdict.check.plan else ""
        found.add_row(mark, Text(verdict.check.title, dim), Text(verdict.result.value, style), seen)
    return found


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line; `*` explained."""
    count = Counter(verdict.result for verdict in verdicts)
    parts = [f"{count[result]} {result.value}" for result in Result if count[result]]
    return f"{', '.join(parts)}   (* asked for by the original plan)"


def as_data(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`ok`, and the checks in order; all values are strings, numbers, booleans or lists of them."""
    return {
        "ok": holds(verdicts),
        "checks": [
            {
                "title": verdict.check.title,
                "service": verdict.check.service,
                "probe": verdict.check.probe.value,
                "plan": verdict.check.plan,
                "result": verdict.result.value,
                "seen": verdict.seen,
                "next_step": verdict.check.next_step if verdict.result is Result.NO else "",
            }
            for verdict in verdicts
        ],
    }
