"""Clients come, subscribe, drop and resume by the thousand: no memory stays behind, and no phantom connection."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from tests.faults.rig import (
    Publisher,
    assert_clean,
    connected,
    established,
    eventually,
    log_lines,
    metric,
    open_files,
    resident,
    resume,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import Member, Swarm

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer

SEED = 8841
OPERATIONS = 20_000
ROUNDS = 5
MOST = scaled(600, 2500)
CHANNELS = [f"{symbol}.{event}" for symbol in ("BTC", "ETH", "SOL") for event in ("trade", "social")]
SETS = [["BTC.trade"], ["BTC.*"], ["*.trade"], [">"], ["ETH.trade", "SOL.social"], CHANNELS]
MIB = 1024 * 1024


def test_what_comes_and_goes_leaves_nothing_behind(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(
                wsgo_server,
                WS_WORKERS="2",
                METRICS_INTERVAL="100ms",
                WS_CPU_LIMIT="0",
                WS_REPLAY_MESSAGES="2000",
                WS_CLIENT_RATE="0",
                WS_PING_INTERVAL="2s",
            )
            await eventually(lambda: metric(server, "ws_workers"), 2, "two workers")
            swarm = Swarm(server.port)
            pick = random.Random(SEED)
            publisher = Publisher(client, CHANNELS, 50)
            publisher.start()
            epoch = (await (await swarm.connect()).ask("info"))["epoch"]
            wanted: dict[Member, list[str]] = {}
            done = dict.fromkeys(("connect", "subscribe", "unsubscribe", "drop", "leave", "resume"), 0)
            gapless = 0

            async def one() -> None:
                nonlocal gapless
                # More come than go, up to `MOST`.
                verb = pick.choices(list(done), [5, 2, 2, 1, 1, 2])[0]
                if len(wanted) > MOST:
                    verb = pick.choice(["drop", "leave"])
                if verb == "connect" or not wanted:
                    verb = "connect"
                    member = await swarm.connect()
                    assert member.refusal is None
                    names = pick.choice(SETS)
                    await member.subscribe(*names)
                    wanted[member] = names
                else:
                    member = pick.choice(list(wanted))
                    names = wanted.pop(member)
                    if verb == "subscribe":
                        extra = pick.choice(CHANNELS)
                        await member.subscribe(extra)
                        wanted[member] = sorted({*names, extra})
                    elif verb == "unsubscribe":
                        gone = pick.choice(names)
                        await member.ask("unsubscribe", "unsubscription_ack", channels=[gone])
                        # What it misses of this channel from now on is no gap.
                        member.last.clear()
                        names = [name for name in names if name != gone] or ["BTC.trade"]
                        await member.subscribe(*names)
                        wanted[member] = names
                    else:
                        since = (await member.ask("info"))["seq"] if verb == "resume" else 0
                        member.leave(rude=verb == "drop" or (verb == "resume" and pick.random() < 0.5))
                        while not member.lost:
                            await asyncio.sleep(0.002)
                        if verb == "resume":
                            fresh = await resume(swarm, member, epoch, names, since=since)
                            assert fresh.answers.pop()["recovered"]
                            wanted[fresh] = names
                            gapless += 1
                done[verb] += 1

            async def worker() -> None:
                while sum(done.values()) < goal:
                    await one()

            async def agree() -> int:
                """The clients' count, once it is the server's and the kernel's too."""
                wait = time.monotonic() + 10
                while True:
                    ours, kernels = len(swarm.members), established(server.port)
                    servers = await asyncio.to_thread(metric, server, "ws_connections_current")
                    if ours == kernels == servers:
                        return ours
                    assert time.monotonic() < wait, f"clients {ours}, kernel {kernels}, server {servers:.0f}"
                    await asyncio.sleep(0.05)

            seen, memory, files, goal = [], [], [], 0
            for _ in range(ROUNDS):
                goal += OPERATIONS // ROUNDS
                await asyncio.gather(*(worker() for _ in range(20)))
                seen.append(await agree())
                for member in wanted:
                    assert not member.gaps, member.gaps[:3]
                    assert not member.unknown
                    member.leave(rude=bool(pick.randrange(2)))
                while len(swarm.members) > 1:
                    await asyncio.sleep(0.01)
                wanted.clear()
                assert await agree() == 1
                memory.append(resident(server.pid) / MIB)
                files.append(open_files(server.pid))
            assert not swarm.ended, [(m.close_code, m.close_reason) for m in swarm.ended[:3]]
            await publisher.stop()
            assert sum(map(len, (await stored(client)).values())) == publisher.published
            print(
                f"{sum(done.values())} operations {done}; {gapless} resumed without a gap; agreed on {seen};", end=" "
            )
            print(f"memory {' '.join(f'{value:.1f}' for value in memory)} MiB; files {files}")
            # The first round fills caches, pools and the replay rings.
            assert memory[-1] < memory[0] + 4, "memory grows with churn"
            assert max(files) <= files[0] + 2
            assert metric(server, "ws_subscriptions") == 0
            await swarm.disband()
            assert not [line for line in log_lines(server) if line["event"] == "worker_died"]
            assert_clean(server)

    run(test())
