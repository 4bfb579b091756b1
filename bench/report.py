"""A session's results as Markdown, as JSON, as charts, and as tables for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.chart import Bar, bars, figure
from bench.results import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bench.contestants import Contestant
    from bench.loads import Load
    from bench.results import Results
    from bench.session import Session
    from bench.targets import Target

COLUMNS = (
    "server",
    "deliveries/s",
    "lost",
    "behind",
    "CPU-s/M",
    "x send()",
    "ws-go takes",
    "p50 ms",
    "p99",
    "p99.9",
    "max",
    "KiB/client",
    "handshakes/s",
    "load CPU",
    "",
)
LEGEND = (
    "CPU-s/M: CPU-seconds of the server per million deliveries. x send(): that, in terms of a bare send() of a ready "
    "frame in the same round. ws-go takes: ws-go's CPU per delivery in terms of this server's. behind: messages x "
    "clients published and not yet delivered two seconds after the end. KiB/client: growth of the process per idle "
    "subscribed client. load CPU: share of its core that client, NATS and publisher used; near 100% the client was "
    "the limit and the row is void. Medians of the repeats; lost is the worst of them."
)


def rows(session: Session, load: Load) -> Iterator[list[str]]:
    """The table of one load, a row a contestant; those without a figure say why."""
    for contestant in session.contestants:
        cells = [contestant.title]
        sample = session.results.middle(contestant.name, load.name)
        if sample is None:
            why = why_not(session.results, contestant, load)
            if why:
                yield [*cells, *[""] * (len(COLUMNS) - 2), why]
            continue
        floor = session.results.ratio(contestant.name, "floor", load.name)
        ours = None
        if not contestant.floor and contestant.name != "wsgo":
            ours = session.results.ratio("wsgo", contestant.name, load.name)
        yield [
            *cells,
            f"{sample.rate:,.0f}",
            f"{sample.lost:,.0f}",
            figure(sample.behind) if sample.behind else "0",
            f"{sample.cpu:.2f}",
            times(floor),
            times(ours),
            *(f"{value:.1f}" for value in (sample.p50, sample.p99, sample.p999, sample.max)),
            f"{sample.memory:.1f}" if not contestant.floor else "",
            f"{sample.handshakes:,.0f}",
            f"{sample.load:.0%}",
            marks(sample),
        ]


def why_not(results: Results, contestant: Contestant, load: Load) -> str:
    """Why a contestant has no figure under a load; empty where it was not asked for one."""
    found = results.missing.get(contestant.name) or results.failures.get((contestant.name, load.name))
    if found:
        return f"missing: {found.splitlines()[0]}"
    if load.kind == "extreme" and not contestant.joins and not contestant.floor:
        return "not asked: it writes each message by itself, 160,000 a second at best"
    return ""


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def tables(session: Session) -> Iterator[Table]:
    """For the terminal."""
    for load in session.loads:
        table = Table(title=load.title, title_justify="left", box=None, pad_edge=False, title_style="bold")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in ("server", "") else "right", header_style="dim")
        for row in rows(session, load):
            table.add_row(*row, style="bold" if row[0] == "ws-go" else None)
        yield table


def target_table(targets: Iterable[Target]) -> Table:
    table = Table(title="Targets", title_justify="left", box=None, pad_edge=False, title_style="bold")
    styles = {"kept": "green", "missed": "bold red", "no figure": "dim"}
    for name in ("verdict", "measured", "target"):
        table.add_column(name, header_style="dim")
    for target in targets:
        table.add_row(f"[{styles[target.verdict]}]{target.verdict}[/]", target.measured, target.what)
    return table


def summary(targets: Sequence[Target]) -> str:
    count = Counter(target.verdict for target in targets)
    return ", ".join(f"{count[name]} {name}" for name in ("kept", "missed", "no figure") if count[name])


def markdown(session: Session, targets: Sequence[Target]) -> str:
    """The whole report."""
    lines = ["# ws-go beside its peers", "", str(session.machine), "", f"{session.note}", "", LEGEND]
    for load in session.loads:
        lines += ["", f"## {load.title}", "", *markdown_table(COLUMNS, rows(session, load))]
    if session.results.resumes:
        lines += ["", f"ws-go, resumptions/s: {', '.join(f'{rate:,.0f}' for rate in session.results.resumes)}"]
    judged = ([target.verdict, target.measured, target.what] for target in targets)
    lines += ["", "## Targets", "", *markdown_table(("verdict", "measured", "target"), judged)]
    versions = ", ".join(f"{name} {version}" for name, version in session.versions.items())
    return "\n".join([*lines, "", f"Versions: {versions}", ""])


def markdown_table(header: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in body:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def as_data(session: Session, targets: Sequence[Target]) -> dict[str, Any]:
    """Everything measured, sample by sample, and what follows from it."""
    results = session.results
    loads = []
    for load in session.loads:
        found = []
        for contestant in session.contestants:
            middle = results.middle(contestant.name, load.name)
            found.append(
                {
                    "name": contestant.name,
                    "title": contestant.title,
                    "missing": why_not(results, contestant, load) if middle is None else "",
                    "median": middle.as_data() if middle else None,
                    "ratio_to_send": results.ratio(contestant.name, "floor", load.name),
                    "wsgo_takes": results.ratio("wsgo", contestant.name, load.name),
                    "samples": [sample.as_data() for sample in results.samples(contestant.name, load.name)],
                }
            )
        loads.append({"name": load.name, "clients": load.clients, "rate": load.rate, "contestants": found})
    return {
        "machine": session.machine.as_data(),
        "versions": dict(session.versions),
        "note": session.note,
        "loads": loads,
        "resumes_per_second": results.resumes,
        "targets": [target.as_data() for target in targets],
    }


def charts(session: Session) -> dict[str, str]:
    """File name -> SVG: CPU, throughput or latency of each load, and memory and handshakes of the largest."""
    found = {}
    for load in session.loads:
        steady = load.kind == "steady"
        found[f"{load.name}-cpu.svg"] = bars(
            f"CPU per delivery: {load.title}",
            "CPU-seconds per million deliveries; less is better",
            _bars(session, load, "cpu"),
        )
        found[f"{load.name}-{'p99' if steady else 'rate'}.svg"] = bars(
            f"{'Latency' if steady else 'Throughput'}: {load.title}",
            "p99, ms; less is better" if steady else "deliveries/s; more is better",
            _bars(session, load, "p99" if steady else "rate"),
        )
    largest = max(
        (load for load in session.loads if load.kind == "steady"), key=lambda load: load.clients, default=None
    )
    if largest:
        title = f"{largest.clients:,} clients"
        found["memory.svg"] = bars(
            f"Memory per idle subscribed client: {title}", "KiB; less is better", _bars(session, largest, "memory")
        )
        found["handshakes.svg"] = bars(
            f"Handshakes: {title}", "per second; more is better", _bars(session, largest, "handshakes")
        )
    return found


def _bars(session: Session, load: Load, field: str) -> list[Bar]:
    found = []
    for contestant in session.contestants:
        sample = session.results.middle(contestant.name, load.name)
        if field == "memory" and contestant.floor:
            continue
        kind = "ours" if contestant.name == "wsgo" else "floor" if contestant.floor else "bar"
        if sample is not None:
            found.append(Bar(contestant.title, float(getattr(sample, field)), kind, marks(sample)))
        elif why := why_not(session.results, contestant, load):
            found.append(Bar(contestant.title, None, kind, why))
    return found


def write(session: Session, targets: Sequence[Target], directory: Path) -> None:
    """results.json, results.md and the charts."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(as_data(session, targets), indent=2) + "\n")
    (directory / "results.md").write_text(markdown(session, targets))
    for name, svg in charts(session).items():
        (directory / name).write_text(svg)
