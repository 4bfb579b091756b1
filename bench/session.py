"""A session: every contestant under every load, interleaved, with the floor before and after."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

from bench import build, machine
from bench.children import ChildError
from bench.contestants import FLOOR, WSGO
from bench.measure import Bench, Clients, publisher_says
from bench.results import Results, Round

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.contestants import Contestant
    from bench.loads import Load
    from bench.measure import Sample

# What a client that comes back has missed.
REPLAYED, PUBLISHED = 10, 20


@dataclass
class Session:
    """What was asked, and what came of it so far. note: how it was measured, for the report."""

    contestants: Sequence[Contestant]
    loads: Sequence[Load]
    note: str = ""
    results: Results = field(default_factory=Results)
    machine: machine.Machine = field(default_factory=machine.this)
    versions: Mapping[str, str] = field(default_factory=dict)


def run(session: Session, bench: Bench, repeats: int, until: float, progress: Callable[[str, float], None]) -> None:
    """Measure; `progress` is told what is next and the part done, 0 to 1. until: monotonic time to stop at.

    What fails is noted in the results; what there was no time for, too.
    """
    able = [c for c in session.contestants if c.name not in session.results.missing]
    steps = [(repeat, load) for repeat in range(repeats) for load in session.loads]
    for number, (repeat, load) in enumerate(steps):
        those = [c for c in able if takes_part(c, load)]
        # Another one begins each time: nobody always runs on a machine that others have just warmed.
        turn = repeat % max(1, len(those))
        order = [*those[turn:], *those[:turn]]
        found = Round()
        session.results.rounds.setdefault(load.name, []).append(found)
        runs = [FLOOR, *order, FLOOR]
        for index, contestant in enumerate(runs):
            progress(f"{load.name}: {contestant.title}", (number + index / len(runs)) / len(steps))
            sample = _attempt(session, bench, contestant, load, until)
            if sample is None:
                continue
            if contestant is FLOOR:
                found.floors.append(sample)
            else:
                found.samples[contestant.name] = sample


def takes_part(contestant: Contestant, load: Load) -> bool:
    """Whether it is run between the floors: those that join messages under an extreme load, else all servers."""
    if contestant is FLOOR:
        return False
    if load.kind == "steady":
        return not contestant.floor
    return contestant.joins or (load.kind == "saturated" and not contestant.floor)


def _attempt(session: Session, bench: Bench, contestant: Contestant, load: Load, until: float) -> Sample | None:
    key = (contestant.name, load.name)
    if time.monotonic() > until:
        session.results.failures.setdefault(key, "no time was left")
        return None
    try:
        return bench.run(contestant, load)
    except ChildError as error:
        session.results.failures[key] = str(error)
        bench.stop_all_but_nats()
        return None


def resume_all(session: Session, bench: Bench, repeats: int, clients: int) -> None:
    """Measure resumptions so many times, and note them in the results."""
    for _ in range(repeats):
        try:
            session.results.resumes.append(resume(bench, clients))
        except ChildError as error:
            session.results.failures["wsgo", "resume"] = str(error)
            bench.stop_all_but_nats()


def resume(bench: Bench, clients: int) -> float:
    """Clients of ws-go that come back at once, each with ten missed messages: resumptions/s. Raises ChildError."""
    server, ports = bench.serve(WSGO)
    publisher = bench.publish(WSGO, ports, rate=100, seconds=PUBLISHED / 100)
    publisher_says(publisher)
    info = _info(ports.public)
    since = info["seq"] - REPLAYED
    request = {"type": "resume", "data": {"epoch": info["epoch"], "since": since, "channels": ["BTC.trade"]}}
    argv = [
        str(build.program("wsload")),
        *("--port", str(ports.public), "--clients", str(clients), "--in-flight", "1024"),
        *("--send", json.dumps(request), "--answer", "resume_ack"),
        *("--expect", f"{PUBLISHED - REPLAYED},{REPLAYED}"),
    ]
    child = bench.children.start("wsgo-resume", argv, bench.cores.load, pipes=True)
    said = Clients(child).ready()
    for each in (child, publisher, server):
        bench.children.stop(each)
    if said["gaps"] or said["repeats"]:
        raise child.failure(f"{said['gaps']} messages missing and {said['repeats']} twice after a resumption")
    return float(said["handshakes_s"])


def _info(port: int) -> dict[str, Any]:
    """ws-go's answer to `info`, once it has read what was published."""
    with connect(f"ws://127.0.0.1:{port}/ws", open_timeout=5, compression=None) as client:
        deadline = time.monotonic() + 5
        while True:
            client.send('{"type":"info"}')
            found: dict[str, Any] = json.loads(client.recv(timeout=5))
            if found["seq"] >= PUBLISHED or time.monotonic() > deadline:
                return found
            time.sleep(0.15)
