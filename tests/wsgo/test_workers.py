"""wsgo/workers.py and board.py: several processes behave as one server, and a dead one is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from tests.wsgo.client import client, jetstream, publish
from tests.wsgo.conftest import make_stream

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 90))


def worker_pids(server: WsgoServer) -> list[int]:
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line["pid"] for line in lines if line["event"] == "worker_started"]


def metric(server: WsgoServer, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1.0


async def eventually(server: WsgoServer, name: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while (now := await asyncio.to_thread(metric, server, name)) != value:
        assert time.monotonic() < deadline, f"{name} is {now}, not {value}"
        await asyncio.sleep(0.05)


def test_two_workers_are_one_server(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_WORKERS="2", METRICS_INTERVAL="100ms")
        await eventually(server, "ws_workers", 2)
        async with jetstream(nats_server.url) as stream, asyncio.TaskGroup() as group:
            ready, done = asyncio.Barrier(21), asyncio.Barrier(21)

            async def listen() -> None:
                async with client(server.url) as listener:
                    await listener.subscribe("BTC.trade")
                    await ready.wait()
                    got = [await listener.receive() for _ in range(50)]
                    assert [m["data"] for m in got] == list(range(50))
                    await done.wait()

            for _ in range(20):
                group.create_task(listen())
            await ready.wait()
            health = json.loads(server.get("/health")[1])
            assert health["checks"]["capacity"]["current"] == 20
            for number in range(50):
                await publish(stream, "BTC.trade", number)
            await eventually(server, "ws_messages_sent_total", 1000)
            # Both answer, and each for both.
            for _ in range(6):
                assert metric(server, "ws_connections_current") == 20
            await done.wait()

    run(test())


def test_a_dead_worker_is_replaced_and_its_counts_are_kept(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_WORKERS="2", METRICS_INTERVAL="100ms")
        await eventually(server, "ws_workers", 2)
        for _ in range(10):
            async with client(server.url) as listener:
                await listener.silent()
        await eventually(server, "ws_connections_total", 10)
        await asyncio.sleep(0.5)  # both workers have shared what they counted
        dead = worker_pids(server)[0]
        os.kill(dead, signal.SIGKILL)
        await eventually(server, "ws_worker_restarts_total", 1)
        await eventually(server, "ws_workers", 2)
        assert metric(server, "ws_connections_total") == 10
        while json.loads(server.get("/health")[1])["status"] != "healthy":  # noqa: ASYNC110 - seen by asking
            await asyncio.sleep(0.05)
        async with jetstream(nats_server.url) as stream:
            for number in range(8):
                async with client(server.url + "?channels=BTC.trade") as listener:
                    await listener.silent()
                    await publish(stream, "BTC.trade", number)
                    assert (await listener.receive())["data"] == number
        assert server.stop() == 0

    run(test())


def test_the_limit_of_connections_holds_over_all_workers(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_WORKERS="2", WS_MAX_CONNECTIONS="5")

        async def try_one() -> bool:
            try:
                async with client(server.url) as listener:
                    await listener.silent()
                    await done.wait()
                    return True
            except ConnectionClosed:
                raise
            except Exception:
                await done.wait()
                return False

        done = asyncio.Barrier(12)
        accepted = await asyncio.gather(*(try_one() for _ in range(12)))
        # Two workers may each let one in at the same instant.
        assert 5 <= sum(accepted) <= 6

    run(test())


def test_workers_end_with_their_supervisor(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    asyncio.run(make_stream(nats_server.url))
    server = wsgo_server(WS_WORKERS="2", METRICS_INTERVAL="100ms")
    pids = worker_pids(server)
    assert len(pids) == 2
    server.stop(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
