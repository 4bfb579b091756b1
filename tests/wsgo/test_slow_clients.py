"""Slow clients: conflated, then closed, while everybody else gets every message."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.wsgo.client import Client, client, jetstream, publish
from tests.wsgo.conftest import make_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer

# Small buffers on both sides: a client that does not read is seen after a few hundred KB.
BUFFERS = {"WS_CLIENT_BUFFER": "16KiB", "WS_SEND_BUFFER": "16KiB"}
PADDING = "x" * 8000


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


@asynccontextmanager
async def reluctant(server: WsgoServer) -> AsyncIterator[Client]:
    """A client with a small receive buffer, so that not reading is felt soon."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.port))
    async with connect(server.url, sock=raw, close_timeout=1, ping_interval=None, max_queue=1) as ws:
        yield Client(ws)


def metric(server: WsgoServer, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics")[1], re.MULTILINE)
    assert found, name
    return float(found[1])


def test_a_slow_client_gets_the_latest_and_the_others_all(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, **BUFFERS)
        async with reluctant(server) as slow, client(server.url) as quick, jetstream(nats_server.url) as stream:
            for listener in (slow, quick):
                await listener.subscribe("BTC.*")
            sent = []
            for number in range(400):
                channel = "BTC.social" if number == 200 else "BTC.trade"
                sent.append(await publish(stream, channel, [number, PADDING]))
                # Read in step, or the quick one would be slow too.
                assert (await quick.receive())["seq"] == sent[-1]
            assert metric(server, "ws_slow_clients") == 1
            got = [await slow.receive()]
            while got[-1]["seq"] != sent[-1]:
                got.append(await slow.receive())
            seqs = [m["seq"] for m in got]
            assert seqs == sorted(set(seqs))
            assert sent[200] in seqs, "the only message of its channel was conflated away"
            assert len(seqs) < 300
            last: dict[str, int] = {}
            gaps = 0
            for message in got:
                gaps += message["prev"] != last.get(message["channel"], 0)
                last[message["channel"]] = message["seq"]
            assert gaps >= 1
            assert metric(server, "ws_messages_conflated_total") == len(sent) - len(seqs)
            assert metric(server, "ws_slow_clients") == 0
            sent.append(await publish(stream, "BTC.trade", "live again"))
            assert (await slow.receive())["data"] == "live again"

    run(test())


def test_a_client_that_stays_slow_is_closed_with_a_reason(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, **BUFFERS, WS_SLOW_CLIENT_TIMEOUT="1s")
        async with reluctant(server) as slow, jetstream(nats_server.url) as stream:
            await slow.subscribe("BTC.trade")
            # Without an end: what has found room in some buffer when the last message comes makes nobody slow.
            while metric(server, "ws_slow_clients_disconnected_total") < 1:
                for number in range(20):
                    await publish(stream, "BTC.trade", [number, PADDING])
            with pytest.raises(ConnectionClosedError) as closed:  # noqa: PT012 - after what was buffered
                while True:
                    await slow.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert "too slow" in closed.value.rcvd.reason
            assert metric(server, 'ws_disconnects_total{initiated_by="server",reason="slow"}') == 1

    run(test())


def test_a_long_replay_to_a_slow_client_waits_outside_the_servers_memory(
    nats_server: NatsServer, wsgo_server: StartWsgo
) -> None:
    async def test() -> None:
        async with jetstream(nats_server.url) as stream:
            sent = [await publish(stream, "BTC.trade", [number, PADDING]) for number in range(300)]
            server = await asyncio.to_thread(wsgo_server, **BUFFERS)
            epoch = ""
            async with client(server.url) as quick:
                epoch = (await quick.request("info"))["epoch"]
            async with reluctant(server) as slow:
                answer = await slow.request("resume", epoch=epoch, since=0, channels=["BTC.trade"])
                assert (answer["recovered"], answer["replayed"]) == (True, 300)
                assert metric(server, "ws_slow_clients") == 1
                sent += [await publish(stream, "BTC.trade", [number, PADDING]) for number in range(300, 320)]
                got = [await slow.receive() for _ in sent]
                assert [m["seq"] for m in got] == sent
                await slow.silent()

    run(test())
