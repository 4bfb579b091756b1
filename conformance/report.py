"""Autobahn's verdicts, a line for each group of cases, and which of them the server may not have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GROUPS = {
    1: "Framing",
    2: "Pings and pongs",
    3: "Reserved bits",
    4: "Opcodes",
    5: "Fragmentation",
    6: "UTF-8",
    7: "Closing",
    9: "Limits, performance",
    10: "Auto-fragmentation",
}
# RFC 6455 leaves open what happens then; a case that is not here must pass, strictly.
UNSPECIFIED = {
    "7.1.6": "data after a close frame",
    "7.13.1": "close code 5000",
    "7.13.2": "close code 65535",
}
MISSING = "NOT RUN"
# Of a report's folder: Autobahn's results, and the cases that were to be run.
INDEX, CASES = "index.json", "cases.json"


@dataclass(frozen=True)
class Result:
    """What came of one case: Autobahn's words for what was received, and for how the connection ended."""

    case: str
    behavior: str
    closing: str
    milliseconds: int
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.case}: {self.behavior}, closing: {self.closing} {self.detail}".rstrip()

    @property
    def group(self) -> int:
        return int(self.case.partition(".")[0])

    @property
    def failed(self) -> bool:
        """True unless RFC 6455 is kept to, the SHOULDs that Autobahn knows included."""
        allowed = {"OK", "INFORMATIONAL"} if self.case in UNSPECIFIED else {"OK"}
        return self.behavior not in allowed or self.closing not in allowed


def read(folder: Path, cases: Iterable[str]) -> list[Result]:
    """The results of `cases` from a report; a case without one is NOT RUN."""
    index = folder / INDEX
    agents: dict[str, dict[str, Any]] = json.loads(index.read_text()) if index.exists() else {}
    found = {case: outcome for outcomes in agents.values() for case, outcome in outcomes.items()}
    return [
        Result(
            case,
            found[case]["behavior"],
            found[case]["behaviorClose"],
            found[case]["duration"],
            str(folder / found[case]["reportfile"].replace(".json", ".html")),
        )
        if case in found
        else Result(case, MISSING, MISSING, 0)
        for case in cases
    ]


def table(results: list[Result]) -> Table:
    """A row a group, and their sum."""
    rows = Table(
        Column(),
        *(Column(name, justify="right") for name in ("cases", "passed", "unspecified", "failed", "seconds")),
        box=SIMPLE_HEAD,
    )
    for number, name in GROUPS.items():
        if group := [result for result in results if result.group == number]:
            rows.add_row(f"{number:>2} {name}", *_figures(group))
    rows.add_section()
    rows.add_row("   all", *_figures(results))
    return rows


def _figures(results: list[Result]) -> list[str]:
    failed = sum(result.failed for result in results)
    passed = sum(result.behavior == "OK" and not result.failed for result in results)
    seconds = sum(result.milliseconds for result in results) / 1000
    return [str(len(results)), str(passed), str(len(results) - passed - failed), str(failed), f"{seconds:.1f}"]
