"""Runs a checklist against a running system. Which system, and where it is, `System` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from constructs_lib.checklist import Probe
from ops.probes.outcome import No
from ops.probes.system import PROBES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from constructs_lib.checklist import Check
    from ops.probes.system import System


class Result(StrEnum):
    """Of a check."""

    YES = "yes"
    NO = "no"
    NOT_HERE = "not here"  # nothing was asked: the service does not run in this system


@dataclass(frozen=True)
class Verdict:
    """A check and what came of it. seen: what the probe saw, for a reader."""

    check: Check
    result: Result
    seen: str


def verify(system: System, checks: Iterable[Check]) -> Iterator[Verdict]:
    """Each check's verdict, in the order of the list, as it is made (a check takes up to 15 s)."""
    for check in checks:
        yield _verdict(system, check)


def holds(verdicts: Iterable[Verdict]) -> bool:
    """Whether every check that could be made says yes, and at least one was made."""
    made = [verdict.result for verdict in verdicts if verdict.result is not Result.NOT_HERE]
    return bool(made) and all(result is Result.YES for result in made)


def _verdict(system: System, check: Check) -> Verdict:
    if check.service not in system.present:
        return Verdict(check, Result.NOT_HERE, f"{check.service} does not run here")
    if check.probe is Probe.LOGS and check.service not in system.logs:
        return Verdict(check, Result.NOT_HERE, f"the output of {check.service} was not captured here")
    try:
        return Verdict(check, Result.YES, PROBES[check.probe](system, check))
    except No as no:
        return Verdict(check, Result.NO, str(no))
