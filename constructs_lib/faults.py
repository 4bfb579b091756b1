"""What is wrong with a declaration: a fault names the place, the contradiction and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Fault:
    """One contradiction.

    rule: name of the check that found it, e.g. ``"flow-port"``.
    where: the declared thing, e.g. ``"flow prometheus -> ws-go:metrics"``.
    what: what contradicts what, with the values on both sides.
    fix: what to change.
    """

    rule: str
    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.fix}. [{self.rule}]"


class FaultsError(Exception):
    """Everything that is wrong, at once. `faults` is never empty."""

    def __init__(self, subject: str, faults: Iterable[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = [f"{subject}: {count}"]
        lines += [f"  {number:2}. {fault}" for number, fault in enumerate(self.faults, 1)]
        super().__init__("\n".join(lines))
