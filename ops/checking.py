"""The checklist against a local run: what it needs from the run, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from constructs_lib.checklist import checklist
from ops import prometheus, report
from ops.ports import choose
from ops.probes.system import System
from ops.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Console

    from ops.local import Plan
    from ops.ports import Reservations
    from ops.probes.metrics import Target
    from ops.processes import Processes
    from ops.verify import Verdict


class Checking:
    """One pass over the checklist of a plan whose services run. logs: where their output is captured."""

    def __init__(self, here: Plan, host: str, logs: Path, console: Console) -> None:
        self._here = here
        self._host = host
        self._logs = logs
        self._console = console

    def prometheus(
        self, processes: Processes, reservations: Reservations, directory: Path
    ) -> Mapping[str, Target] | None:
        """What a real Prometheus says of the targets that run; None where this machine has none that answers."""
        program = prometheus.installed()
        if program is None:
            return None
        ports, _ = choose(self._host, {prometheus.PROGRAM: 9090}, reservations)
        log = self._logs / f"{prometheus.PROGRAM}.log"
        at = self._host, ports[prometheus.PROGRAM]
        child = prometheus.start(
            program,
            self._here.places.without(self._here.absent),
            at=at,
            directory=directory / prometheus.PROGRAM,
            processes=processes,
            log=log,
        )
        with self._console.status("Waiting for Prometheus to scrape"):
            found = prometheus.targets(child, at)
        processes.end(child)
        if not found:
            why = f"! {program} did not answer, so this check scrapes in its place; {log} says why"
            self._console.print(Text(why, "yellow"), soft_wrap=True)
        return found or None

    def through(self, scraped: Mapping[str, Target] | None, watch: Callable[[], None]) -> dict[str, Any]:
        """Make every check and print the table; the results for a program.

        watch: called after each check; what it raises ends the pass, after the table so far.
        """
        names = [service.name for service in self._here.present]
        system = System(
            places=self._here.places,
            present=frozenset(names),
            logs={name: self._logs / f"{name}.log" for name in names},
            scraped=scraped,
        )
        verdicts: list[Verdict] = []
        try:
            self._make(system, verdicts, watch)
        finally:
            self._console.print()
            self._console.print(report.table(verdicts))
        self._console.print(f"\n{report.summary(verdicts)}")
        return report.as_data(verdicts)

    def _make(self, system: System, verdicts: list[Verdict], watch: Callable[[], None]) -> None:
        checks = checklist(self._here.topology)
        found = verify(system, checks)
        with self._console.status("") as status:
            for number, check in enumerate(checks, 1):
                status.update(f"Checking {number} of {len(checks)}: {check.title}")
                verdicts.append(next(found))
                watch()
