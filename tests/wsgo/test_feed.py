"""wsgo/feed.py: NATS goes and comes, the stream is lost, and clients still get every message once, in order."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats.js.api import StorageType

from tests.wsgo.client import STREAM, client, jetstream, publish
from tests.wsgo.conftest import make_stream
from wsgo.feed import _metadata

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 90))


async def until(server: WsgoServer, field: str, wanted: object) -> None:
    """Wait until the NATS check of /health says so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        _, body = await asyncio.to_thread(server.get, "/health")
        if body and json.loads(body)["checks"]["nats"][field] == wanted:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"/health: nats.{field} never became {wanted!r}: {body}")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_every_message_once_and_in_order_over_a_restart_of_nats(
    nats_server: NatsServer, wsgo_server: StartWsgo, sig: int
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server)
        async with client(server.url) as listener:
            await listener.subscribe("BTC.trade")
            sent = []
            async with jetstream(nats_server.url, create=False) as stream:
                sent += [await publish(stream, "BTC.trade", number) for number in range(100)]
            received = [await listener.receive() for _ in range(100)]
            await asyncio.to_thread(nats_server.stop, sig)
            await until(server, "healthy", False)
            assert (await asyncio.to_thread(server.get, "/health"))[0] == 200
            await listener.silent()
            await asyncio.to_thread(nats_server.start)
            async with jetstream(nats_server.url, create=False) as stream:
                # The server may still be on its way back: what it misses now it must fetch.
                sent += [await publish(stream, "BTC.trade", number) for number in range(100, 200)]
                received += [await listener.receive(20) for _ in range(100)]
                assert [m["data"] for m in received] == list(range(200))
                assert [m["seq"] for m in received] == sent
                assert [m["prev"] for m in received] == [0, *sent[:-1]]
                await until(server, "healthy", True)
                await listener.silent()

    run(test())


def test_it_starts_without_nats_and_without_the_stream(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        nats_server.stop()
        server = await asyncio.to_thread(wsgo_server, "/live")
        status, body = server.get("/ready")
        assert status == 503
        assert "ODIN_TOKENS" in json.loads(body)["reason"]
        assert server.get("/health")[0] == 200
        async with client(server.url) as listener:
            await listener.subscribe("BTC.trade")
            await asyncio.to_thread(nats_server.start)
            await until(server, "status", "no_stream")
            async with jetstream(nats_server.url) as stream:
                await asyncio.to_thread(server.wait_for, "/ready")
                await publish(stream, "BTC.trade", 1)
                assert (await listener.receive())["seq"] == 1

    run(test())


def test_a_stream_that_is_made_anew_is_a_new_epoch(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server)
        async with client(server.url) as listener, jetstream(nats_server.url) as stream:
            await listener.subscribe("BTC.trade")
            for number in range(5):
                await publish(stream, "BTC.trade", number)
            old = [await listener.receive() for _ in range(5)]
            epoch = (await listener.request("info"))["epoch"]
            await stream.delete_stream(STREAM)
            await until(server, "healthy", False)
            await stream.add_stream(name=STREAM, subjects=["odin.token.>"])
            assert await publish(stream, "BTC.trade", "new") == 1
            message = await listener.receive(20)
            assert (message["seq"], message["prev"], message["data"]) == (1, 0, "new")
            await publish(stream, "BTC.trade", "next")
            assert (await listener.receive())["prev"] == 1
            assert (await listener.request("info"))["epoch"] != epoch
            answer = await listener.request("resume", epoch=epoch, since=old[-1]["seq"], channels=["BTC.social"])
            assert answer["recovered"] is False

    run(test())


def test_a_lost_consumer_is_replaced(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server)
        async with client(server.url) as listener, jetstream(nats_server.url) as stream:
            await listener.subscribe("BTC.trade")
            for number in range(3):
                for consumer in await stream.consumers_info(STREAM):
                    await stream.delete_consumer(STREAM, consumer.name)
                sent = await publish(stream, "BTC.trade", number)
                assert (await listener.receive(20))["seq"] == sent

    run(test())


def test_the_past_of_the_stream_can_be_replayed_after_a_start(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with jetstream(nats_server.url) as stream:
            sent = [await publish(stream, "BTC.trade", number) for number in range(30)]
        server = await asyncio.to_thread(wsgo_server, WS_REPLAY_MESSAGES="20")
        async with client(server.url) as listener:
            await listener.subscribe("BTC.*")
            await listener.silent()
            await listener.socket.send(json.dumps({"type": "replay", "data": {"since": sent[14]}}))
            *messages, end = await listener.receive_until("replay_complete")
            assert [m["seq"] for m in messages] == sent[15:]
            assert end == {"type": "replay_complete", "sent": 15, "complete": True}
            await listener.socket.send(json.dumps({"type": "replay", "data": {"since": 0}}))
            *messages, end = await listener.receive_until("replay_complete")
            assert [m["seq"] for m in messages] == sent[10:]
            assert end == {"type": "replay_complete", "sent": 20, "complete": False, "oldest": 11}

    run(test())


def test_messages_that_expired_unread_show_as_a_gap(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with jetstream(nats_server.url, create=False) as stream:
            await stream.add_stream(name=STREAM, subjects=["odin.token.>"], max_msgs=10, storage=StorageType.FILE)
        server = await asyncio.to_thread(wsgo_server)
        async with client(server.url) as listener, jetstream(nats_server.url, create=False) as stream:
            await listener.subscribe("BTC.trade")
            await publish(stream, "BTC.trade", 0)
            assert (await listener.receive())["seq"] == 1
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            try:
                for number in range(1, 3000):
                    await stream._nc.publish("odin.token.BTC.trade", str(number).encode())
                await stream._nc.flush()
                await stream.stream_info(STREAM)
                for consumer in await stream.consumers_info(STREAM):
                    await stream.delete_consumer(STREAM, consumer.name)
            finally:
                server.process.send_signal(signal.SIGCONT)
            last = await publish(stream, "BTC.trade", "last")
            received = [await listener.receive(20)]
            while received[-1]["seq"] != last:
                received.append(await listener.receive(20))
            seqs = [1, *(m["seq"] for m in received)]
            assert seqs == sorted(set(seqs))
            for before, message in zip(seqs, received, strict=False):
                assert (message["prev"] == before) == (message["seq"] == before + 1), message

    run(test())


@pytest.mark.parametrize(
    "reply",
    ["$JS.ACK.S.c.1.77.3.1700000000000000000.5", "$JS.ACK.hub.acc.S.c.1.77.3.1700000000000000000.5.token"],
)
def test_message_metadata_with_and_without_a_domain(reply: str) -> None:
    assert _metadata(reply) == (77, 3, 1_700_000_000_000_000_000, 5)
