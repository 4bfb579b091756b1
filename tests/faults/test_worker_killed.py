"""A worker killed with -9 under load: the others' clients see nothing, its own resume without a gap."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from tests.faults.rig import (
    Publisher,
    assert_chains,
    connected,
    eventually,
    expected_count,
    log_lines,
    metric,
    owners,
    resume,
    run,
    scaled,
    stored,
    waited,
    worker_pids,
)
from tests.faults.swarm import Member, Swarm

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer

CHANNELS = ["BTC.trade", "ETH.trade", "BTC.social"]
WANTED = ["BTC.trade", "ETH.*"]


def test_the_others_never_notice_and_its_own_resume(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            publisher = Publisher(client, CHANNELS, 200)
            # A ring that is not empty: what comes up has to read it first.
            for _ in range(scaled(10_000, 50_000)):
                await publisher.one()
            await client.flush()
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS="2", METRICS_INTERVAL="100ms")
            await eventually(lambda: metric(server, "ws_workers"), 2, "two workers")
            swarm = Swarm(server.port)
            members = await swarm.gather(scaled(400, 2000))
            for member in members:
                member.send("subscribe", channels=WANTED)
            for member in members:
                await member.answer("subscription_ack")
            epoch = (await members[0].ask("info"))["epoch"]
            publisher.start()
            await swarm.until(lambda: all(member.received > 50 for member in members), 30, "a flow of messages")

            pids = worker_pids(server)
            by_port = owners(server.port, list(pids.values()))
            ports = {member: member.transport.get_extra_info("sockname")[1] for member in members}
            victim = pids[0]
            its_own = [member for member in members if by_port[ports[member]] == victim]
            others = [member for member in members if by_port[ports[member]] == pids[1]]
            assert len(its_own) + len(others) == len(members)
            assert min(len(its_own), len(others)) > len(members) // 4, "the kernel spreads connections evenly"

            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            await swarm.until(lambda: len(swarm.ended) == len(its_own), 5, "its clients are cut off")
            assert set(swarm.ended) == set(its_own)
            back = asyncio.create_task(served_by_new(swarm, server, killed))
            resumed = await asyncio.gather(*(resume(swarm, member, epoch, WANTED) for member in its_own))
            all_back = time.monotonic() - killed
            seconds = await back
            others_ran = waited(worker_pids(server)[0])
            assert seconds - others_ran < 2, f"back after {seconds:.2f} s, {others_ran:.2f} s of it without a core"
            await asyncio.sleep(1)
            await publisher.stop()
            truth = await stored(client)
            everyone = [*others, *resumed]
            await swarm.until(
                lambda: all(m.last.get(c) == truth[c][-1] for m in everyone for c in ("BTC.trade", "ETH.trade")),
                20,
                "everybody has the newest",
            )
            assert all(member.alive for member in everyone)
            for member in resumed:
                answer = member.answers.pop()
                assert answer["recovered"], answer
            assert_chains(everyone, truth)
            for member in everyone:
                assert not member.unknown
                assert member.received == expected_count(member, truth)
            assert metric(server, "ws_worker_restarts_total") == 1
            await eventually(lambda: metric(server, "ws_connections_current"), len(swarm.members), "the count is right")
            print(f"{len(others)} never noticed; {len(its_own)} cut off, all resumed after {all_back:.2f} s;", end=" ")
            print(f"the worker was back after {seconds:.2f} s")
            await swarm.disband()
            died = [line for line in log_lines(server) if line["event"] == "worker_died"]
            assert [(line["pid"], line["exit_code"]) for line in died] == [(victim, -signal.SIGKILL)]
            assert "Traceback" not in server.log.read_text()

    run(test())


async def served_by_new(swarm: Swarm, server: WsgoServer, killed: float) -> float:
    """Seconds from the kill until a new client was let in by the worker that replaces the dead one."""
    probes: list[Member] = []
    while time.monotonic() < killed + 20:
        fresh = [pid for number, pid in worker_pids(server).items() if number == 0][-1]
        for _ in range(4):
            try:
                probe = await swarm.connect()
            except OSError:
                continue
            if probe.refusal is None:
                probes.append(probe)
        mine = {probe.transport.get_extra_info("sockname")[1] for probe in probes}
        if os.path.exists(f"/proc/{fresh}/fd") and mine & set(owners(server.port, [fresh])):
            return time.monotonic() - killed
        await asyncio.sleep(0.02)
    return 20.0
