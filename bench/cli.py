"""The command line: `python -m bench` measures, `python -m bench setup` only installs what that needs."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads it
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench import build, headline, machine, report, session
from bench.children import ChildError, Children
from bench.contestants import ALL, FLOOR, WSGO
from bench.loads import FULL, QUICK
from bench.measure import Bench
from bench.targets import judge
from bench.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.contestants import Contestant

# What is not measured by then is left out, and the report says so. Installing is not counted.
QUICK_S, FULL_S = 270, 5_400
# Open files that a server needs besides its clients.
SPARE_FILES = 500
app = typer.Typer(
    name="python -m bench",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True)
class Options:
    """What was asked for. repeats: rounds."""

    quick: bool
    repeats: int
    seconds: float
    contestants: Sequence[Contestant]
    directory: Path


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of four loads: under 5 minutes.")] = False,
    with_headline: Annotated[
        bool, typer.Option("--headline", help="Only this: 10,000 clients, 200,000 deliveries/s, on 0.5 and 1.8 CPU.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="Contestants, comma-separated; the floor is always there.", metavar="NAMES")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; 0: three, one with --quick.", min=0, max=20)] = 0,
    seconds: Annotated[float, typer.Option(help="How long each case of the headline takes.", min=1, max=3600)] = 300,
    out: Annotated[
        Path | None, typer.Option(help="Where results go; else .odin/bench/TIME.", file_okay=False, metavar="DIR")
    ] = None,
) -> None:
    """Measure ws-go beside its peers: server on one core, clients on the other, everything on loopback.

    Builds and installs what is needed on first use. Writes results.json, results.md and charts, and prints the
    tables. Exit codes: 0 measured (targets kept or not: the report says), 1 nothing could be measured, 2 wrong usage.
    """
    if context.invoked_subcommand:
        return
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    options = Options(
        quick=quick,
        repeats=repeats or (1 if quick else 3),
        seconds=seconds,
        contestants=_chosen(only),
        directory=(out or build.HOME / stamp).resolve(),
    )
    console = _console()
    machine.raise_open_files()
    missing = _prepare(console)
    console.print(Text(str(machine.this()), "dim"))
    if not machine.cores().apart:
        console.print("[yellow]Only one core here: server and client share it, and no figure says much.[/]")
    try:
        code = _headline(console, options) if with_headline else _peers(console, options, missing)
    except ChildError as error:
        console.print(Text(f"bench: {error}", "red"), soft_wrap=True)
        code = 1
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        code = 130
    raise typer.Exit(code)


@app.command("setup")
def setup() -> None:
    """Build the load programs and install the peers, and say what cannot be had here and why."""
    console = _console()
    reasons = _prepare(console)
    for contestant in ALL:
        why = contestant.missing(reasons)
        console.print(Text(f"{contestant.title}: {why or 'ready'}", "yellow" if why else ""), soft_wrap=True)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width of its own, and 80 columns would break the tables
    return console


def _chosen(only: str) -> list[Contestant]:
    names = only.replace(",", " ").split()
    known = [contestant.name for contestant in ALL]
    if wrong := [name for name in names if name not in known]:
        raise typer.BadParameter(
            f"no such contestant: {', '.join(wrong)}; there are {', '.join(known)}", param_hint="--only"
        )
    return [c for c in ALL if not names or c.name in names or c is FLOOR]


def _prepare(console: Console) -> dict[str, str]:
    missing = build.prepare(lambda what: console.print(Text(what, "dim")))
    if "load" in missing:
        console.print(Text(f"bench: cannot build the load programs: {missing['load']}", "red"), soft_wrap=True)
        raise typer.Exit(1)
    return missing


def _peers(console: Console, options: Options, missing: Mapping[str, str]) -> int:
    loads = QUICK if options.quick else FULL
    found = session.Session(options.contestants, loads, versions=versions())
    found.results.missing.update({c.name: why for c in options.contestants if (why := c.missing(missing))})
    began = time.monotonic()
    with _stage(console, options) as (shared, progress):
        session.run(found, shared, options.repeats, began + (QUICK_S if options.quick else FULL_S), progress)
        if WSGO in options.contestants:
            progress("ws-go: resumptions", 1.0)
            clients = min(max(load.clients for load in loads), machine.this().open_files - SPARE_FILES)
            session.resume_all(found, shared, options.repeats, clients)
    noise = [sample.noise for sample in found.results.everything()]
    if not noise:
        console.print(Text("bench: nothing could be measured", "red"))
    for (name, load), why in found.results.failures.items():
        console.print(Text(f"no figure: {name} under {load}: {why}", "yellow"), soft_wrap=True)
    if not noise:
        return 1
    cores = machine.cores()
    found.note = (
        f"Server on core {cores.server}; client, NATS and publisher on {', '.join(map(str, cores.load))}. Medians of "
        f"{options.repeats}; {time.monotonic() - began:.0f} s in all. Others had {median(noise):.0%} of the server's "
        f"core in the median run, {max(noise):.0%} at worst."
    )
    targets = judge(found.results, loads)
    report.write(found, targets, options.directory)
    for table in report.tables(found):
        console.print(table, "")
    if found.results.resumes:
        console.print(f"ws-go, resumptions/s: {median(found.results.resumes):,.0f}\n")
    console.print(report.target_table(targets), Text(f"\n{found.note}"), soft_wrap=True)
    console.print(Text(f"{report.summary(targets)}. Report and charts: {options.directory}"), soft_wrap=True)
    return 0


def _headline(console: Console, options: Options) -> int:
    with _stage(console, options) as (shared, progress):
        outcomes = headline.run(shared, options.seconds, progress)
    targets = [target for outcome in outcomes for target in outcome.targets()]
    data: dict[str, Any] = {
        "machine": machine.this().as_data(),
        "versions": versions(),
        "seconds": options.seconds,
        "cases": [outcome.as_data() for outcome in outcomes],
        "targets": [target.as_data() for target in targets],
    }
    (options.directory / "headline.json").write_text(json.dumps(data, indent=2) + "\n")
    text = headline.markdown(outcomes, str(machine.this()), options.seconds)
    (options.directory / "headline.md").write_text(text)
    console.print(headline.table(outcomes), "", report.target_table(targets))
    console.print(Text(f"{report.summary(targets)}. Report: {options.directory}"), soft_wrap=True)
    return 0 if any(outcome.sample for outcome in outcomes) else 1


@contextlib.contextmanager
def _stage(console: Console, options: Options) -> Iterator[tuple[Bench, Callable[[str, float], None]]]:
    """A running NATS and a line that says what is under way. Logs stay; what the contestants wrote does not."""
    scratch = options.directory / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # Without a thread of its own: children are forked from this process.
    bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
    task = bar.add_task("starting", total=1.0)

    def tell(what: str, part: float) -> None:
        bar.update(task, description=what, completed=part)
        if console.is_terminal:
            bar.refresh()
        else:
            console.print(f"{part:4.0%} {what}")

    try:
        with Children(options.directory / "logs") as children, bar:
            yield Bench(children, machine.cores(), scratch), tell
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    """Run the command of sys.argv and exit with its code."""
    # Who is asked to end has groups and files to remove first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
