"""SIGTERM: not ready, 1012 with a reason, exit code 0 in time; and a port that is taken."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.support import WsgoServer, stop_process
from tests.wsgo.client import Client, client
from tests.wsgo.conftest import make_stream
from wsgo import health, settings
from wsgo.board import Board
from wsgo.cgroup import ProcessMeter
from wsgo.context import Context
from wsgo.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from tests.conftest import StartWsgo
    from tests.support import NatsServer


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_without_clients_it_ends_at_once(
    nats_server: NatsServer, wsgo_server: StartWsgo, sig: int, workers: str
) -> None:
    asyncio.run(make_stream(nats_server.url))
    server = wsgo_server(WS_WORKERS=workers)
    began = time.monotonic()
    assert server.stop(sig) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_are_told_to_come_back(nats_server: NatsServer, wsgo_server: StartWsgo, workers: str) -> None:
    async def one(listener: Client) -> tuple[int, str]:
        with pytest.raises(ConnectionClosedError) as closed:
            await listener.receive(20)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_WORKERS=workers, WS_SHUTDOWN_GRACE="4")
        async with client(server.url) as first, client(server.url) as second, client(server.url) as third:
            endings = asyncio.gather(*(one(listener) for listener in (first, second, third)))
            code = await asyncio.to_thread(server.stop)
            assert code == 0
            for close_code, reason in await endings:
                assert close_code == 1012
                assert "0-4 s" in reason

    run(test())


def test_a_client_that_does_not_answer_is_cut_within_the_grace_period(
    nats_server: NatsServer, wsgo_server: StartWsgo
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_SHUTDOWN_GRACE="4")
        async with client(server.url) as listener:
            listener.socket.transport.pause_reading()
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for, "/ready", 503)
            began = time.monotonic()
            code = await asyncio.to_thread(stop_process, server.process)
            assert code == 0
            assert time.monotonic() - began < 5
            listener.socket.transport.abort()

    run(test())


def test_a_taken_port_is_named(nats_server: NatsServer, wsgo_server: StartWsgo, tmp_path: Path) -> None:
    asyncio.run(make_stream(nats_server.url))
    first = wsgo_server()
    for number, workers in enumerate(("1", "2")):
        log = tmp_path / f"second-{number}.log"
        second = WsgoServer(nats_server.url, log, {"WS_WORKERS": workers}, port=first.port)
        second.start(until=None)
        assert second.process is not None
        assert second.process.wait(20) == 2
        assert f"cannot listen on 127.0.0.1:{first.port} (WS_ADDR): Address already in use" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_no_worker_is_ready_once_one_of_them_leaves() -> None:
    board = Board(2)
    first, last = (Context(settings.load(), board, worker, ProcessMeter()) for worker in (0, 1))
    for worker in (first, last):
        worker.feed.ready = worker.feed.connected = True
        worker.share()
    assert health.not_ready(last) is None
    first.guard.leaving = True
    first.share()
    assert health.not_ready(last) == Refusal.SHUTTING_DOWN.description
