"""`python -m conformance [PATTERN...]`: runs Autobahn's cases against the server.

Exit code 0: it conforms; 1: it does not; 2: the cases could not be run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from conformance import report
from conformance.install import HERE, Installation, InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = HERE.parent
# All groups take a minute on two idle cores.
RUN_SECONDS = 1200


class RunError(Exception):
    """The cases could not be run; the message says why."""


@contextlib.contextmanager
def echo_server(log: Path) -> Iterator[str]:
    """The URL of the server with an echo behind it, while the block runs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WS_", "LOG_", "NATS_"))}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "conformance.echo"], stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env=inherited
        )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        if not port:
            raise RunError(f"the echo server did not start: see {log}")
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def run(url: str, patterns: list[str], folder: Path, client: Installation) -> list[report.Result]:
    """Run the cases that match `patterns` against `url`; the reports go to `folder`, which exists."""
    log = folder / "fuzzer.log"
    command: list[str | Path] = [client.python, HERE / "fuzzer" / "fuzz.py", client.suite, url, folder, *patterns]
    with log.open("wb") as out:
        try:
            done = subprocess.run(  # noqa: S603 - the client's own Python
                command, stdout=out, stderr=out, timeout=RUN_SECONDS, env={**os.environ, "PYTHONUTF8": "1"}, check=False
            )
        except subprocess.TimeoutExpired:
            raise RunError(f"the cases did not end within {RUN_SECONDS} s: see {log}") from None
    if done.returncode:
        raise RunError(f"the fuzzing client ended with {done.returncode}: see {log}\n  {_last_line(log)}")
    cases: list[str] = json.loads((folder / report.CASES).read_text())
    if not cases:
        raise RunError(f"no case matches {' '.join(patterns)}; write for example 6.* or 9.1.2")
    return report.read(folder, cases)


def _last_line(log: Path) -> str:
    return next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "")


def main(arguments: list[str] | None = None) -> int:
    console = Console()
    parser = argparse.ArgumentParser(prog="conformance", description="Autobahn's RFC 6455 cases against the server.")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="cases, such as '6.*' or 9.1.2 (all)")
    parser.add_argument("--url", help="a server that runs already (the echo server on top of ws-go's own protocol)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".odin" / "conformance", help="for client and reports")
    parser.add_argument("--report", type=Path, help="for the reports (FOLDER/report)")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    client, reports = Installation(folder), (options.report or folder / "report").absolute()
    patterns = options.patterns or [f"{group}.*" for group in report.GROUPS]
    began = time.monotonic()
    try:
        client.ensure(lambda what: console.print(Text(what, "dim")))
        reports.mkdir(parents=True, exist_ok=True)
        for name in (report.INDEX, report.CASES):
            (reports / name).unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            url = options.url or stack.enter_context(echo_server(reports / "echo.log"))
            console.print(Text(f"Running Autobahn's cases {' '.join(patterns)} against {url}", "dim"), soft_wrap=True)
            results = run(url, patterns, reports, client)
    except (InstallError, RunError) as error:
        console.print(Text(f"conformance: not run: {error}", "red"), soft_wrap=True)
        return 2
    console.print(report.table(results))
    failed = [result for result in results if result.failed]
    for result in failed:
        console.print(Text(f"failed: {result}", "red"), soft_wrap=True)
    console.print(Text(f"{time.monotonic() - began:.0f} s; report: {reports / 'index.html'}"), soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
