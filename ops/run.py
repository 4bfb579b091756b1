"""One local run, from the first process to the last: what `up` does, in its order."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.text import Text

from ops.follow import Follower
from ops.health import StartError, await_healthy, ended
from ops.local import ROOT, argv, environment, plan
from ops.ports import Reservations
from ops.processes import Child, Command, Processes
from ops.review import review
from ops.synthesis import Synthesis, written
from ops.urls import shown, urls

if TYPE_CHECKING:
    from rich.console import Console

    from constructs_lib.model import Service, Topology
    from ops.interrupts import Interrupts
    from ops.local import Plan
    from stacks.settings import Settings

_POLL_S = 0.2


class RunError(Exception):
    """The run cannot go on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked of `up`; the command's help explains each."""

    check: bool
    as_json: bool
    strict_ports: bool
    host: str
    keep_state: Path | None
    verbose: bool
    timeout_s: float
    directory: Path


class Run:
    """Everything that a run holds while it is entered; leaving gives all of it back, however far it had come.

    killed: after it, the services that did not leave in time.
    """

    def __init__(
        self, options: Options, settings: Settings, topology: Topology, console: Console, interrupts: Interrupts
    ) -> None:
        self.killed: list[str] = []
        self._options = options
        self._settings = settings
        self._topology = topology
        self._console = console
        self._interrupts = interrupts
        self._services: dict[str, Child] = {}
        self._synthesis: Synthesis | None = None
        self._follower = Follower(console) if options.verbose else None

    def __enter__(self) -> Run:
        try:
            with self._interrupts.held():
                self._options.directory.mkdir(parents=True, exist_ok=True)
                self._directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._options.directory))
                self._log_lock, self._logs = _logs(self._options.directory, self._directory)
                self._reservations = Reservations()
                self._processes = Processes()
                self._processes.remove_at_end(self._directory)
        except KeyboardInterrupt:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, last started first."""
        self._interrupts.leave()
        with self._console.status("Stopping") as status:
            while self._processes.children:
                child = self._processes.children[-1]
                status.update(f"Stopping {child.command.name} (Ctrl-C: kill it)")
                if self._processes.end(child, self._interrupts.hurry):
                    self.killed.append(child.command.name)
        if self._follower:
            self._follower.print_new()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._processes.close()
        self._reservations.release()
        if self._log_lock:
            self._log_lock.close()

    def through(self) -> tuple[int, dict[str, Any] | None]:
        """Run until told to end, or through the checklist: exit code, and the checklist's results.

        Raises RunError for what went wrong, KeyboardInterrupt for Ctrl-C.
        """
        here = self._plan()
        with self._interrupts.held():
            self._synthesis = Synthesis(self._processes, self._logs / "synthesis.log")
        self._console.print(review(self._settings, self._topology, self._console.width))
        self._show_plan(here)
        try:
            for service in here.present:
                self._start(here, service)
        except StartError as error:
            raise RunError(str(error)) from None
        self._await_synthesis()
        if self._options.check:
            results = self._verify(here)
            return (0 if results["ok"] else 1), results
        self._show_urls(here)
        while True:
            self._watch()
            time.sleep(_POLL_S)

    def _plan(self) -> Plan:
        state = self._options.keep_state or self._directory / "state"
        try:
            here = plan(self._topology, self._options.host, state, self._reservations)
        except (LookupError, OSError) as error:
            raise RunError(str(error)) from None
        if here.taken and self._options.strict_ports:
            raise RunError("\n".join(str(taken) for taken in here.taken))
        return here

    def _show_plan(self, here: Plan) -> None:
        for taken in here.taken:
            self._say(Text(f"! {taken}; using {taken.instead}", "yellow"))
        for why in sorted(set(here.absent.values())):
            names = ", ".join(name for name, reason in here.absent.items() if reason == why)
            self._say(Text(f"- {names}: {why}", "dim"))

    def _start(self, here: Plan, service: Service) -> None:
        started = time.monotonic()
        for volume in service.volumes:
            Path(here.places.store(service.name, volume.name)).mkdir(parents=True, exist_ok=True)
        command = Command(
            name=service.name,
            argv=argv(here.places, service),
            environment=environment(here.places, service),
            directory=ROOT,
            log=self._logs / f"{service.name}.log",
            grace_s=service.stop_grace_s,
            nofile=service.nofile,
        )
        with self._interrupts.held():
            child = self._services[service.name] = self._processes.start(command)
        if self._follower:
            self._follower.follow(service.name, command.log)
        with self._console.status(f"Waiting for {service.name}"):
            await_healthy(here.places, service, child, self._options.timeout_s, self._watch)
        took = time.monotonic() - started
        self._done(f"{service.name} is healthy", f"pid {child.process.pid}, {took:.1f} s")

    def _watch(self) -> None:
        """Raise RunError if something ended that should not have."""
        if self._follower:
            self._follower.print_new()
        if self._synthesis and not self._synthesis.running:
            self._finish_synthesis(self._synthesis)
        for child in self._services.values():
            if child.ended:
                raise RunError(str(ended(child)))

    def _await_synthesis(self) -> None:
        with self._console.status("Synthesizing both stacks"):
            while self._synthesis:
                self._watch()
                time.sleep(0.05)

    def _finish_synthesis(self, synthesis: Synthesis) -> None:
        failure = synthesis.finish()
        self._synthesis = None
        if failure:
            raise RunError(f"synthesis failed:\n{failure}")
        files = ", ".join(f"{path} ({size / 1024:.0f} KiB)" for path, size in written())
        self._done("synthesized", f"{synthesis.took_s:.1f} s: {files}")

    def _show_urls(self, here: Plan) -> None:
        self._say("")
        self._say(shown(urls(here.places, here.present)))
        self._say(f"\nLogs are in {self._relative(self._logs)}. Ctrl-C ends it.")

    def _verify(self, here: Plan) -> dict[str, Any]:
        # Only now: the parsers and the WebSocket client are for this alone.
        from ops.checking import Checking

        checking = Checking(here, self._options.host, self._logs, self._console)
        scraped = checking.prometheus(self._processes, self._reservations, self._directory)
        return checking.through(scraped, self._watch)

    def _done(self, what: str, how: str) -> None:
        self._say(Text.assemble(("+ ", "green"), what, (f"  {how}", "dim")))

    def _say(self, what: str | Text) -> None:
        """A line of its own, not broken: it has a path or a URL that somebody will copy."""
        self._console.print(what, soft_wrap=True)

    def _relative(self, path: Path) -> Path:
        return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _logs(directory: Path, run: Path) -> tuple[IO[str] | None, Path]:
    """The log directory, and the lock that makes it ours; a second run of this checkout keeps its logs apart."""
    logs = directory / "logs"
    logs.mkdir(exist_ok=True)
    lock = (logs / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None, run / "logs"
    return lock, logs
