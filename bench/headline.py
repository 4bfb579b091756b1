"""The headline: 10,000 clients, ten tokens, 20 msg/s to everyone, on the CPU of a small cloud machine."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.cgroups import CgroupError, limited
from bench.children import ChildError, memory_kib
from bench.contestants import TOKENS, WSGO, subscribe
from bench.loads import Load
from bench.measure import SETTLE_S, Bench, Sample, publisher_says, sample
from bench.report import markdown_table
from bench.results import marks
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CLIENTS, RATE = 10_000, 20
# What an e2-small gives the container, and what it sustains of its two virtual cores; 1.8 while it bursts.
MEMORY_MIB = 1_792
WARM_S, DRAIN_S = 5.0, 3.0


@dataclass(frozen=True)
class Case:
    """cpus: of the control group. apart: whether the load has cores of its own. p99: the bound, ms."""

    cpus: float
    apart: bool
    p99: int


CASES = (Case(0.5, True, 500), Case(1.8, False, 200))


@dataclass(frozen=True)
class Outcome:
    """What came of a case. throttled: seconds the group was held back. peak_mib: its memory at most."""

    case: Case
    sample: Sample | None
    throttled: float
    peak_mib: float
    failure: str = ""

    def targets(self) -> list[Target]:
        """The promises of the headline."""
        name = f"{CLIENTS:,} clients x {RATE} msg/s on {self.case.cpus:g} CPU"
        if self.sample is None:
            return [Target(name, self.failure.splitlines()[0], None)]
        s = self.sample
        complete = s.rate >= 0.99 * CLIENTS * RATE and not s.lost + s.repeats + s.closed
        whole = f"{s.rate:,.0f}/s, {s.lost} lost, {s.repeats} twice, {s.closed} dropped"
        # On shared cores the client's share is part of the case.
        late = None if s.void and self.case.apart and s.p99 > self.case.p99 else s.p99 <= self.case.p99
        return [
            Target(f"{name}: nothing lost, nobody dropped", whole, complete),
            Target(f"{name}: p99 at most {self.case.p99} ms", f"{s.p99:.0f} ms", late),
        ]

    def as_data(self) -> dict[str, Any]:
        return {
            "case": asdict(self.case),
            "sample": self.sample.as_data() if self.sample else None,
            "throttled_seconds": self.throttled,
            "peak_mib": self.peak_mib,
            "failure": self.failure,
        }


def run(bench: Bench, seconds: float, progress: Callable[[str, float], None]) -> list[Outcome]:
    """Every case for so many seconds; what cannot be run says why."""
    found = []
    for index, case in enumerate(CASES):
        progress(f"{CLIENTS:,} clients on {case.cpus:g} CPU for {seconds:g} s", index / len(CASES))
        try:
            with limited(case.cpus, MEMORY_MIB * 2**20) as group:
                try:
                    got = _measure(bench, case, group.folders, seconds)
                finally:
                    # Whatever happened, the group can only be removed when nobody is in it.
                    bench.stop_all_but_nats()
                found.append(Outcome(case, got, group.throttled(), group.peak_memory() / 2**20))
        except (CgroupError, ChildError) as error:
            found.append(Outcome(case, None, 0.0, 0.0, str(error)))
    return found


def _measure(bench: Bench, case: Case, folders: Sequence[Path], seconds: float) -> Sample:
    everywhere = sorted(os.sched_getaffinity(0))
    load_cores = list(bench.cores.load) if case.apart else everywhere
    load = Load(kind="headline", clients=CLIENTS, rate=RATE, warm=WARM_S, window=seconds, drain=DRAIN_S)
    settings = {"WS_CPU_LIMIT": str(case.cpus), "WS_MEMORY_LIMIT": f"{MEMORY_MIB}MiB"}
    server, ports = bench.serve(
        WSGO, cores=[bench.cores.server] if case.apart else everywhere, environment=settings, join=folders
    )
    before = memory_kib(server.family())
    timing = ("--warm", str(WARM_S), "--window", str(seconds), "--drain", str(DRAIN_S))
    # Slowly: it is not the handshakes that are measured here, and half a CPU refuses a storm.
    slowly = ("--in-flight", "32")
    clients = bench.connect(
        WSGO, server, ports.public, clients=CLIENTS, extra=[*timing, *slowly, *subscribe(TOKENS)], cores=load_cores
    )
    ready = clients.ready()
    time.sleep(SETTLE_S)
    memory = (memory_kib(server.family()) - before) / CLIENTS
    publisher = bench.publish(WSGO, ports, RATE, WARM_S + seconds, TOKENS)
    done = clients.go([publisher.pid, bench.nats.pid])
    said = publisher_says(publisher)
    return sample(load, ready=ready, done=done, sent=said, memory=memory, load_cores=len(load_cores))


COLUMNS = (
    "CPU",
    "deliveries/s",
    "lost",
    "dropped",
    "CPU used",
    "CPU-s/M",
    "p50 ms",
    "p99",
    "p99.9",
    "max",
    "throttled s",
    "KiB/client",
    "group's peak MiB",
    "load CPU",
    "",
)


def rows(outcomes: list[Outcome]) -> Iterator[list[str]]:
    """A row a case."""
    for outcome in outcomes:
        s = outcome.sample
        if s is None:
            yield [f"{outcome.case.cpus:g}", *[""] * (len(COLUMNS) - 2), outcome.failure.splitlines()[0]]
            continue
        figures = (s.p50, s.p99, s.p999, s.max, outcome.throttled, s.memory, outcome.peak_mib)
        yield [
            f"{outcome.case.cpus:g}",
            f"{s.rate:,.0f}",
            f"{s.lost:,.0f}",
            f"{s.closed:,.0f}",
            f"{s.cpu_share:.2f}",
            f"{s.cpu:.2f}",
            *(f"{value:.1f}" for value in figures),
            f"{s.load:.0%}",
            marks(s) if outcome.case.apart else "",
        ]


def table(outcomes: list[Outcome]) -> Table:
    """For the terminal."""
    found = Table(title="Headline", title_justify="left", box=None, pad_edge=False, title_style="bold")
    for column in COLUMNS:
        found.add_column(column, justify="right" if column else "left", header_style="dim")
    for row in rows(outcomes):
        found.add_row(*row)
    return found


def markdown(outcomes: list[Outcome], machine: str, seconds: float) -> str:
    """The whole report."""
    what = f"{CLIENTS:,} clients, ten tokens, {RATE} msg/s to everyone, for {seconds:g} s; {MEMORY_MIB:,} MiB"
    judged = [[t.verdict, t.measured, t.what] for outcome in outcomes for t in outcome.targets()]
    lines = ["# ws-go, the headline", "", machine, "", what, "", *markdown_table(COLUMNS, rows(outcomes))]
    return "\n".join([*lines, "", *markdown_table(("verdict", "measured", "target"), judged), ""])
