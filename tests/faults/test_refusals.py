"""More clients than allowed, faster than allowed, from one address: refused cheaply; those inside never notice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.rig import (
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    eventually,
    expected_count,
    judge_time,
    metric,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import Swarm, percentile

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer

INSIDE = scaled(100, 1000)
STORM_SECONDS = 3.0


def cpu_of(pid: int) -> float:
    """CPU seconds of the process' first thread, exactly (/proc/PID/stat counts in hundredths)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.parametrize(
    ("env", "status", "error"),
    [
        ({"WS_MAX_CONNECTIONS": str(INSIDE)}, 503, "at_max_connections"),
        ({"WS_ACCEPT_RATE": "20"}, 429, "accept_rate"),
        ({"WS_MAX_CONNECTIONS_PER_IP": "5"}, 429, "address_limit"),
    ],
)
def test_a_storm_of_refused_clients_is_not_felt_inside(
    nats_server: NatsServer, wsgo_server: StartWsgo, env: dict[str, str], status: int, error: str
) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS="1", WS_CPU_LIMIT="0", **env)
            swarm = Swarm(server.port)
            if error == "address_limit":
                # One address each for those inside; the storm comes from another.
                for number in range(INSIDE // 5):
                    swarm.source = f"127.0.{number // 200 + 1}.{number % 200 + 1}"
                    await swarm.gather(5, "/ws?channels=BTC.trade")
                swarm.source = "127.0.100.100"
                await swarm.gather(5, "/ws?channels=BTC.trade")
            elif error == "accept_rate":
                inside = 0
                while inside < 60:
                    inside += (await swarm.connect("/ws?channels=BTC.trade")).refusal is None
                    await asyncio.sleep(0.01)
            else:
                await swarm.gather(INSIDE, "/ws?channels=BTC.trade")
            members = list(swarm.members)
            publisher = Publisher(client, ["BTC.trade"], 50)
            publisher.start()
            await swarm.until(lambda: all(member.received > 20 for member in members), 30, "a flow of messages")
            swarm.latencies.clear()
            await asyncio.sleep(2)
            quiet = percentile(swarm.latencies, 99)

            seen: Counter[int] = Counter()
            deadline = time.monotonic() + STORM_SECONDS

            async def storm() -> None:
                while time.monotonic() < deadline:
                    refused = await swarm.connect()
                    if refused.refusal is None:
                        seen[101] += 1
                        continue
                    code, headers, body = refused.refusal
                    answer = json.loads(body)
                    assert (code, answer["error"]) == (status, error)
                    assert headers["retry-after"] == str(answer["retry_after"])
                    assert 1 <= answer["retry_after"] <= 60
                    assert headers["content-type"] == "application/json"
                    assert answer["message"]
                    seen[code] += 1
                    await asyncio.sleep(0.005)

            swarm.latencies.clear()
            before = metric(server, f'ws_capacity_rejections_total{{reason="{error}"}}')
            await asyncio.gather(*(storm() for _ in range(8)))
            stormy = percentile(swarm.latencies, 99)

            assert seen[status] > 200 * STORM_SECONDS
            if error == "accept_rate":
                assert seen[101] <= 20 * (STORM_SECONDS + 1) + 1
            else:
                assert not seen[101]
            counted = metric(server, f'ws_capacity_rejections_total{{reason="{error}"}}') - before
            assert counted == seen[status]
            await publisher.stop()
            truth = await stored(client)
            await swarm.until(lambda: all(m.last["BTC.trade"] == truth["BTC.trade"][-1] for m in members), 20, "newest")
            assert not swarm.ended
            assert_chains(members, truth)
            assert all(member.received == expected_count(member, truth) for member in members)
            assert metric(server, "ws_connections_current") == len(swarm.members)
            print(f"{error}: {dict(seen)} in {STORM_SECONDS:g} s; p99 inside {quiet:.1f} -> {stormy:.1f} ms")
            judge_time(stormy < 1.5 * quiet + 25, f"those inside noticed: p99 {stormy:.1f} ms")
            await swarm.disband()
            await eventually(lambda: metric(server, "ws_connections_current"), 0, "everybody is gone")
            assert_clean(server)

    run(test())


def test_a_refusal_costs_no_more_than_its_socket(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    """Its price is the kernel's for a connection opened and closed; an accepted one is not closed yet.

    A tenth of an accepted handshake is below what accept() and close() alone cost: here 18 us for a C program
    that answers with a constant, where an accepted handshake is 50 us.
    """
    count = scaled(2000, 5000)

    async def test() -> None:
        async with connected(nats_server.url):
            server = await asyncio.to_thread(
                wsgo_server, WS_WORKERS="1", WS_CPU_LIMIT="0", WS_MAX_CONNECTIONS=str(count)
            )
            swarm = Swarm(server.port)
            start = cpu_of(server.pid)
            await swarm.gather(count, at_once=50)
            entered = cpu_of(server.pid)

            async def some() -> None:
                for _ in range(count // 50):
                    refused = (await swarm.connect()).refusal
                    assert refused is not None
                    assert refused[0] == 503

            await asyncio.gather(*(some() for _ in range(50)))
            end = cpu_of(server.pid)
            accepted, refused = (entered - start) / count * 1e6, (end - entered) / count * 1e6
            print(f"accepted {accepted:.1f} us, refused {refused:.1f} us of CPU: {refused / accepted:.2f}")
            assert refused < 2 * accepted
            await swarm.disband()
            assert_clean(server)

    run(test())
