"""wsgo/guard.py: who is refused, and what they read."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.wsgo.client import client
from tests.wsgo.conftest import make_stream
from wsgo.cgroup import Usage
from wsgo.errors import Refusal
from wsgo.guard import Bucket, Guard
from wsgo.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer


class FakeMeter:
    whole = False

    def __init__(self) -> None:
        self.usage = Usage(0.0, 0, 0.0)

    def read(self) -> Usage:
        return self.usage


def make_guard(workers: int = 1, connections: int = 0, **env: object) -> tuple[Guard, FakeMeter]:
    meter = FakeMeter()
    values: dict[str, Any] = env
    return Guard(Settings(**values), workers, meter, lambda: connections), meter


def advance(guard: Guard, meter: FakeMeter, seconds: int, cores: float, memory: int = 0) -> None:
    start = guard._sampled
    with patch("wsgo.guard.time") as clock:
        for second in range(1, seconds + 1):
            clock.monotonic.return_value = start + second
            meter.usage = Usage(meter.usage.cpu_seconds + cores, memory, 0.0)
            guard.sample()


def test_cpu_is_measured_against_the_limit_and_smoothed() -> None:
    guard, meter = make_guard(WS_CPU_LIMIT=0.5)
    advance(guard, meter, 2, 0.5)
    assert guard.refusal("a") is None, "two busy seconds are no overload"
    advance(guard, meter, 30, 0.5)
    assert guard.cpu_percent == pytest.approx(100, abs=1)
    assert guard.refusal("a") is Refusal.CPU_OVERLOAD
    assert guard.strained
    advance(guard, meter, 30, 0.1)
    assert guard.cpu_percent == pytest.approx(20, abs=1)
    assert guard.refusal("a") is None


def test_a_worker_judges_itself_by_its_part_of_the_limit() -> None:
    guard, meter = make_guard(workers=2, WS_CPU_LIMIT=1.0, WS_MEMORY_LIMIT=1000)
    advance(guard, meter, 60, 0.45, 400)
    assert guard.cpu_percent == pytest.approx(90, abs=1)
    assert guard.memory_percent == 80


def test_memory_is_refused_before_the_kernel_kills() -> None:
    guard, meter = make_guard(WS_MEMORY_LIMIT=1000)
    advance(guard, meter, 1, 0.0, 900)
    assert guard.refusal("a") is None
    advance(guard, meter, 1, 0.0, 901)
    assert guard.refusal("a") is Refusal.MEMORY_LIMIT


def test_zero_is_no_limit() -> None:
    guard, meter = make_guard(
        connections=10**6, WS_MAX_CONNECTIONS=0, WS_CPU_LIMIT=0, WS_MEMORY_LIMIT=0, WS_ACCEPT_RATE=0
    )
    advance(guard, meter, 60, 64.0, 2**40)
    assert guard.refusal("a") is None


def test_connections_of_all_workers_count() -> None:
    assert make_guard(connections=9, WS_MAX_CONNECTIONS=10)[0].refusal("a") is None
    assert make_guard(connections=10, WS_MAX_CONNECTIONS=10)[0].refusal("a") is Refusal.AT_MAX_CONNECTIONS


def test_addresses_are_counted_and_forgotten() -> None:
    guard, _ = make_guard(WS_MAX_CONNECTIONS_PER_IP=2)
    for _ in range(2):
        assert guard.refusal("a") is None
        guard.enter("a")
    assert guard.refusal("a") is Refusal.ADDRESS_LIMIT
    assert guard.refusal("b") is None
    guard.leave("a")
    assert guard.refusal("a") is None
    guard.leave("a")
    assert not guard._addresses


def test_the_bucket_lets_its_rate_through() -> None:
    with patch("wsgo.guard.time") as clock:
        clock.monotonic.return_value = 0.0
        bucket = Bucket(10)
        passed = 0
        for hundredth in range(300):
            clock.monotonic.return_value = hundredth / 100
            passed += bucket.take()
        assert 38 <= passed <= 40  # one second's worth at once, then 10/s for three seconds


@pytest.mark.parametrize(
    ("env", "status", "error"),
    [
        ({"WS_MAX_CONNECTIONS": "1"}, 503, "at_max_connections"),
        ({"WS_MAX_CONNECTIONS_PER_IP": "1"}, 429, "address_limit"),
        ({"WS_ACCEPT_RATE": "1"}, 429, "accept_rate"),
    ],
)
def test_a_refused_client_reads_why_and_when_to_come_back(
    nats_server: NatsServer, wsgo_server: StartWsgo, env: dict[str, str], status: int, error: str
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, **env)
        async with client(server.url) as first:
            with pytest.raises(InvalidStatus) as refused:
                async with client(server.url):
                    pass
            response = refused.value.response
            body = json.loads(response.body or b"")
            assert (response.status_code, body["error"]) == (status, error)
            assert body["message"]
            assert response.headers["Retry-After"] == str(body["retry_after"])
            assert response.headers["Content-Type"] == "application/json"
            await first.silent()
            metrics = server.get("/metrics")[1]
            assert f'ws_capacity_rejections_total{{reason="{error}"}} 1.0' in metrics
            assert "ws_connections_current 1.0" in metrics
        await asyncio.sleep(0)

    run(test())


def test_origin_and_token_are_checked_where_configured(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def status(url: str, **headers: str) -> int:
        try:
            async with connect(url, additional_headers={k.title(): v for k, v in headers.items()}):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(
            wsgo_server, WS_ALLOWED_ORIGINS="https://a.example, https://b.example", WS_AUTH_TOKEN="s3cret"
        )
        good = {"authorization": "Bearer s3cret"}
        assert await status(server.url, **good) == 101
        assert await status(server.url, **good, origin="https://b.example") == 101
        assert await status(server.url, **good, origin="https://evil.example") == 403
        assert await status(server.url) == 401
        assert await status(server.url, authorization="Bearer wrong") == 401
        assert await status(server.url + "?token=s3cret") == 101
        assert await status(server.url.replace("/ws", "/other"), **good) == 404
        assert "s3cret" not in server.log.read_text()

    run(test())


def test_a_freed_place_is_given_to_the_next(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_MAX_CONNECTIONS="3")
        for _ in range(5):
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(client(server.url)) for _ in range(3)]
                for one in clients:
                    await one.silent()
                assert server.get("/ready")[0] == 503
            await asyncio.to_thread(server.wait_for, "/ready")

    run(test())


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))
