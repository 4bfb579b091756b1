"""`up`: synthesize, review, and run the whole data path on this machine; with --check, verify it and end."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from constructs_lib import checks
from constructs_lib.faults import FaultsError
from ops import output
from ops.interrupts import Interrupts
from ops.local import LOOPBACK, ROOT, usable
from ops.run import Options, Run, RunError
from stacks.settings import load
from stacks.topology import declare

BAD_USAGE = 2


def command(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Run the checklist, stop everything, exit 0 if it holds and 1 if not.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --check: results as JSON on stdout, everything else on stderr.")
    ] = False,
    strict_ports: Annotated[
        bool, typer.Option("--strict-ports", help="A declared port that is taken is an error, not replaced.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(help="IPv4 address to listen on. 0.0.0.0 lets the network in, to NATS as well: it has no login."),
    ] = LOOPBACK,
    keep_state: Annotated[
        Path | None,
        typer.Option(help="Directory where NATS' store stays when the run ends.", file_okay=False, metavar="DIR"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the services log.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that each service gets to become healthy.", min=0.1)] = 30.0,
    directory: Annotated[
        Path,
        typer.Option(help="Where logs and temporary state go.", show_default=".odin", file_okay=False, metavar="DIR"),
    ] = ROOT / ".odin",
) -> None:
    """Run the whole data path on this machine: real NATS, publisher, ws-go, and a live page.

    Synthesizes both stacks, prints what a deployment would create, starts every service of the topology
    that this machine has a program for, and prints the URLs. Ctrl-C ends it: in order, nothing left running;
    a second Ctrl-C at once.

    Logs are in .odin/logs. Exit codes: 0 ended as asked, 1 something failed or the checklist says no,
    2 wrong usage or settings.
    """
    if as_json and not check:
        raise typer.BadParameter("it shows the checklist's results: give --check too", param_hint="--json")
    why = usable(host)
    if why:
        raise typer.BadParameter(f"cannot listen on {host}: {why}", param_hint="--host")
    options = Options(
        check=check,
        as_json=as_json,
        strict_ports=strict_ports,
        host=host,
        keep_state=keep_state.resolve() if keep_state else None,
        verbose=verbose,
        timeout_s=timeout,
        directory=directory.resolve(),
    )
    raise typer.Exit(up(options))


def up(options: Options) -> int:
    """The verb; its exit code."""
    console = output.console(stderr=options.as_json)
    try:
        settings = load()
        topology = checks.verify(declare(settings))
    except FaultsError as error:
        return _refuse(options, str(error), BAD_USAGE)
    with Interrupts() as interrupts:
        run = Run(options, settings, topology, console, interrupts)
        try:
            with run:
                code, results = run.through()
        except RunError as error:
            return _refuse(options, str(error), 1)
        except KeyboardInterrupt:
            console.print(f"\n{_farewell(run.killed)}")
            # An interrupted check has no verdict; nobody may take it for a yes.
            return _refuse(options, "interrupted before the checklist was through", 1) if options.check else 0
    if results is not None and options.as_json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
    return code


def _refuse(options: Options, message: str, code: int) -> int:
    Console(stderr=True, highlight=False).print(Text(message, "red"), soft_wrap=True)
    if options.as_json:
        failure: dict[str, Any] = {"ok": False, "error": message, "checks": []}
        sys.stdout.write(json.dumps(failure, indent=2) + "\n")
    return code


def _farewell(killed: list[str]) -> str:
    if killed:
        return f"Stopped; {', '.join(killed)} had to be killed."
    return "Stopped; nothing is left running."
