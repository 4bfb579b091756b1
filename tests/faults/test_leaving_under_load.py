"""SIGTERM under load: not ready first, 1012 spread over the grace period, out within it, nothing missed elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.reluctant import Reluctant
from tests.faults.rig import (
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    eventually,
    expected_count,
    metric,
    process_tree,
    resume,
    run,
    scaled,
    stored,
    waited,
)
from tests.faults.swarm import Member, Swarm, endings

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer

CHANNELS = ["BTC.trade", "ETH.trade", "BTC.social"]
WANTED = ["BTC.*", "ETH.trade"]
GRACE = 6.0
# Clients that never answer the close.
MUTE = 3


async def watch_ready(server: WsgoServer, answers: list[tuple[float, int]]) -> None:
    """Ask /ready all the time, on a new connection each; adds when it was asked (monotonic) and the status."""
    while True:
        asked = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            status = (await reader.read())[9:12]
            writer.close()
        except OSError:
            return  # nobody listens any more
        if status:
            answers.append((asked, int(status)))
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_everyone_moves_over_and_misses_nothing(nats_server: NatsServer, wsgo_server: StartWsgo, workers: str) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            env = {"WS_WORKERS": workers, "METRICS_INTERVAL": "200ms", "WS_SHUTDOWN_GRACE": f"{GRACE:g}s"}
            old = await asyncio.to_thread(wsgo_server, **env)
            new = await asyncio.to_thread(wsgo_server, **env)
            for server in (old, new):
                await eventually(lambda s=server: metric(s, "ws_workers"), int(workers), "all workers")  # type: ignore[misc]
            swarm = Swarm(old.port)
            members = await swarm.gather(scaled(1000, 5000))
            for member in members:
                member.send("subscribe", channels=WANTED)
            for member in members:
                await member.answer("subscription_ack")
            mute = [Reluctant() for _ in range(MUTE)]
            for one in mute:
                await one.enter(old.port, "ETH.trade")
            epoch = (await members[0].ask("info"))["epoch"]
            publisher = Publisher(client, CHANNELS, 30)
            publisher.start()
            await swarm.until(lambda: all(member.received > 20 for member in members), 30, "a flow of messages")

            moved: list[Member] = []

            async def move(member: Member) -> None:
                moved.append(await resume(swarm, member, epoch, WANTED, new.port))

            ready: list[tuple[float, int]] = []
            watching = asyncio.create_task(watch_ready(old, ready))
            await swarm.until(lambda: bool(ready), 20, "an answer to /ready")
            assert old.process is not None
            before = {pid: waited(pid) for pid in process_tree(old.pid)}
            held_up = dict(before)
            told = time.monotonic()
            old.process.send_signal(signal.SIGTERM)
            moving: list[asyncio.Task[None]] = []
            turned_away: set[int] = set()
            while old.process.poll() is None:
                assert time.monotonic() < told + 3 * GRACE, "it does not leave"
                for pid in held_up:
                    with contextlib.suppress(OSError):
                        held_up[pid] = waited(pid)
                while len(moving) < len(swarm.ended):
                    moving.append(asyncio.create_task(move(swarm.ended[len(moving)])))
                if not moving or len(moving) < len(members) // 2:
                    try:
                        late = await swarm.connect()
                        if late.refusal is not None:
                            turned_away.add(late.refusal[0])
                            body = json.loads(late.refusal[2])
                            assert (body["error"], late.refusal[1]["retry-after"]) == (
                                "shutting_down", str(body["retry_after"]),
                            )  # fmt: skip
                        else:
                            late.leave()
                    except OSError:
                        pass
                await asyncio.sleep(0.01)
            took = time.monotonic() - told
            assert old.process.returncode == 0
            others_ran = max(held_up[pid] - before[pid] for pid in before)
            assert took - others_ran < GRACE, f"left after {took:.2f} s, {others_ran:.2f} s of it without a core"
            while len(moving) < len(swarm.ended):
                moving.append(asyncio.create_task(move(swarm.ended[len(moving)])))
            await asyncio.gather(*moving)
            await watching
            for one in mute:
                await one.read_all()
                assert one.ending()[0] == 1012
                one.close()

            assert len(moved) == len(members)
            assert {code for code, _ in endings(members)} == {1012}
            assert all("reconnect after" in reason for _, reason in endings(members))
            closes = sorted(member.closed - told for member in members)
            assert ready[0][1] == 200
            since_first_close = {status for asked, status in ready if asked - told > closes[0]}
            assert since_first_close == {503}, "told to go before the balancer could know"
            not_ready = next(asked for asked, status in ready if status == 503) - told
            assert turned_away == {503}
            # Spread: no fifth of the time has more than twice its share of the closes.
            span = closes[-1] - closes[0]
            assert span > GRACE * 0.5
            fifths = [sum(int((at - closes[0]) / span * 4.999) == part for at in closes) for part in range(5)]
            assert max(fifths) < 2 * len(closes) / 5, fifths

            await asyncio.sleep(0.5)
            await publisher.stop()
            truth = await stored(client)
            await swarm.until(lambda: all(m.last[c] == truth[c][-1] for m in moved for c in CHANNELS), 20, "the newest")
            for member in moved:
                assert member.answers.pop()["recovered"] is True
                assert member.received == expected_count(member, truth)
                assert not member.unknown
            assert_chains(moved, truth)
            print(
                f"{len(members)} clients, {workers} workers: 503 after {not_ready * 1000:.0f} ms, closed between",
                end=" ",
            )
            print(f"{closes[0]:.2f} and {closes[-1]:.2f} s ({fifths}), ended after {took:.2f} of {GRACE:g} s")
            await swarm.disband()
            assert_clean(old)
            assert_clean(new)

    run(test())
