"""CPU above the pause threshold: sending pauses, new clients are refused, it catches up, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bench.cgroups import CgroupError, limited
from tests.faults.rig import (
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    eventually,
    expected_count,
    health,
    log_lines,
    metric,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import Swarm, percentile
from tests.support import ROOT, WsgoServer
from tests.wsgo.conftest import make_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support import NatsServer

LIMIT_CORES = 0.5
# Of these, 12 % is 0.06 cores: less than reading a few thousand messages a second costs, more than idling.
THRESHOLD = 12
PAUSE_MS = 1000
ENV = {
    "WS_WORKERS": "1",
    "WS_CPU_LIMIT": str(LIMIT_CORES),
    "WS_CPU_REJECT_THRESHOLD": str(THRESHOLD),
    "WS_CPU_PAUSE_THRESHOLD": str(THRESHOLD),
    "WS_MAX_LATENCY_MS": str(PAUSE_MS),
    "WS_MEMORY_LIMIT": "0",
    "WS_CLIENT_BUFFER": "4MiB",
}


@dataclass
class GroupedServer(WsgoServer):
    """Joins control groups before it becomes ws-go."""

    groups: tuple[Path, ...] = ()

    def start(self, until: str | None = "/ready") -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WS_", "NATS_", "JS_", "LOG_"))}
        join = "".join(f"echo $$ > {group}/cgroup.procs && " for group in self.groups)
        program = f"{sys.executable} -m wsgo -addr 127.0.0.1:{self.port} -nats {self.nats_url}"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f"{join} exec {program}"],
                stdout=out,
                stderr=out,
                env={**inherited, "PYTHONPATH": str(ROOT), **self.env},
                cwd=ROOT,
            )
        if until is not None:
            self.wait_for(until)


@contextlib.contextmanager
def started(kind: str, nats: NatsServer, folder: Path) -> Iterator[WsgoServer]:
    """A server measured by its process, or in a control group of its own."""
    with contextlib.ExitStack() as stack:
        groups: tuple[Path, ...] = ()
        if kind == "cgroup":
            try:
                groups = stack.enter_context(limited(LIMIT_CORES, 2**30)).folders
            except CgroupError as error:
                pytest.skip(str(error))
        server = GroupedServer(nats.url, folder / "wsgo.log", ENV, groups=groups)
        stack.callback(server.stop)
        server.start()
        assert log_lines(server)[0]["accounting"] == kind
        yield server


@pytest.mark.parametrize("kind", ["process", "cgroup"])
def test_sending_pauses_and_catches_up(nats_server: NatsServer, tmp_path: Path, kind: str) -> None:
    async def under_pressure(server: WsgoServer, count: int) -> None:
        async with connected(nats_server.url) as client:
            swarm = Swarm(server.port)
            # Starting took CPU too: until that is forgotten nobody is let in.
            await asyncio.to_thread(server.wait_for, "/ready", 200, 30)
            members = await swarm.gather(count, "/ws?channels=BTC.trade")
            calm = Publisher(client, ["BTC.trade"], scaled(20, 8))
            calm.start()
            await asyncio.sleep(2)
            quick = percentile(swarm.latencies, 50)

            # The host is as busy as can be; the server is not, and must not think so.
            burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            try:
                await asyncio.sleep(3)
                assert (await health(server))[1]["checks"]["cpu"]["healthy"]
            finally:
                burner.kill()
                burner.wait()

            flood = Publisher(client, ["NOISE.trade"], 5000)
            flood.start()
            await eventually(
                lambda: bool(json.loads(server.get("/health")[1] or "{}")["checks"]["cpu"]["healthy"]),
                False,
                "CPU is above the threshold",
                30,
            )
            flushes, at = metric(server, "ws_flush_duration_seconds_count"), len(swarm.latencies)
            await asyncio.sleep(4)
            flushes = metric(server, "ws_flush_duration_seconds_count") - flushes
            paused = percentile(swarm.latencies[at:], 50)
            refused = (await swarm.connect()).refusal
            assert refused is not None
            assert (refused[0], json.loads(refused[2])["error"]) == (503, "cpu_overload")
            status, report = await health(server)
            assert (status, report["status"]) == (200, "degraded")
            await flood.stop()

            await eventually(lambda: server.get("/ready")[0], 200, "it is ready again", 40)
            at = len(swarm.latencies)
            await asyncio.sleep(2)
            again = percentile(swarm.latencies[at:], 50)
            await calm.stop()
            truth = await stored(client)
            newest = truth["BTC.trade"][-1]
            await swarm.until(lambda: all(m.last["BTC.trade"] == newest for m in members), 20, "the newest")
            assert not swarm.ended
            assert_chains(members, truth)
            assert all(member.received == expected_count(member, truth) for member in members)
            assert metric(server, "ws_messages_conflated_total") == 0
            print(
                f"{kind}: median latency {quick:.1f} ms, paused {paused:.0f} ms ({flushes:.0f} flushes in 4 s),",
                end=" ",
            )
            print(f"after it {again:.1f} ms; {calm.published} messages to {len(members)} clients, none lost")
            assert flushes <= 4000 / PAUSE_MS + 2
            assert paused > 5 * max(quick, again)
            await swarm.disband()
            assert_clean(server)

    asyncio.run(make_stream(nats_server.url))
    with started(kind, nats_server, tmp_path) as server:
        run(under_pressure(server, scaled(100, 400)))
