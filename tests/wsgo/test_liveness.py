"""wsgo/liveness.py: pings, silent clients, and closings that are never answered."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.wsgo.client import client
from tests.wsgo.conftest import make_stream

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def test_a_client_that_only_answers_pings_lives_and_a_silent_one_does_not(
    nats_server: NatsServer, wsgo_server: StartWsgo
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_PING_INTERVAL="2s")
        async with client(server.url) as listener, client(server.url) as silent:
            began = time.monotonic()
            # No answers to pings any more: nothing is read from the socket.
            silent.socket.transport.pause_reading()
            while "ws_connections_current 2.0" in server.get("/metrics")[1]:
                assert time.monotonic() - began < 15
                await asyncio.sleep(0.1)
            assert time.monotonic() - began > 1
            silent.socket.transport.resume_reading()
            with pytest.raises(ConnectionClosed):
                await silent.receive()
            await listener.silent()
            assert 'ws_disconnects_total{initiated_by="server",reason="timeout"} 1.0' in server.get("/metrics")[1]

    run(test())


def test_without_an_interval_nobody_is_pinged_or_cut(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_PING_INTERVAL="0")
        async with client(server.url) as silent:
            silent.socket.transport.pause_reading()
            await asyncio.sleep(2.5)
            silent.socket.transport.resume_reading()
            await silent.silent()

    run(test())
