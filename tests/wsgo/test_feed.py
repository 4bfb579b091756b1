"""wsgo/feed.py: NATS goes and comes, the stream is lost, and clients still get every message once, in order."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats.js.api import StorageType
from websockets.exceptions import InvalidStatus

from tests.support import NatsServer, WsgoServer
from tests.wsgo.client import STREAM, client, jetstream, publish
from tests.wsgo.conftest import make_stream
from wsgo.feed import _metadata

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from tests.conftest import StartWsgo
    from tests.wsgo.client import Client


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
        # Who resumed now would be told that there is nothing to recover.
        with pytest.raises(InvalidStatus) as refused:
            async with client(server.url):
                pass
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body)["error"] == "starting"
        await asyncio.to_thread(nats_server.start)
        await until(server, "status", "no_stream")
        async with jetstream(nats_server.url) as stream:
            await asyncio.to_thread(server.wait_for, "/ready")
            async with client(server.url) as listener:
                await listener.subscribe("BTC.trade")
                await publish(stream, "BTC.trade", 1)
                assert (await listener.receive())["seq"] == 1

    run(test())


@pytest.mark.parametrize("overtaken", [False, True])
def test_sequences_that_nats_uses_again_are_another_epoch(
    nats_server: NatsServer, wsgo_server: StartWsgo, tmp_path: Path, overtaken: bool
) -> None:
    """A crash takes the newest messages; later ones get their sequences, perhaps before the server looks."""

    async def test() -> None:
        async with jetstream(nats_server.url) as stream:
            await publish(stream, "BTC.trade", "kept")
        server = await asyncio.to_thread(wsgo_server)
        nats_server.stop()
        shutil.copytree(nats_server.store, tmp_path / "old")
        nats_server.start()
        await until(server, "healthy", True)
        async with client(server.url) as listener:
            await listener.subscribe("BTC.trade")
            async with jetstream(nats_server.url, create=False) as stream:
                for number in range(3):
                    await publish(stream, "BTC.trade", f"lost {number}")
            assert [(await listener.receive())["seq"] for _ in range(3)] == [2, 3, 4]
            epoch = (await listener.request("info"))["epoch"]
            nats_server.stop(signal.SIGKILL)
            shutil.rmtree(nats_server.store)
            shutil.copytree(tmp_path / "old", nats_server.store)
            if overtaken:
                # On another port, so that the server sees the result only.
                elsewhere = NatsServer(store=nats_server.store)
                elsewhere.start()
                async with jetstream(elsewhere.url, create=False) as stream:
                    for number in range(5):
                        assert await publish(stream, "BTC.trade", f"again {number}") == number + 2
                elsewhere.stop()
            nats_server.start()
            await until(server, "healthy", True)
            assert (await listener.request("info"))["epoch"] == f"{epoch}.1"
            answer = await listener.request("resume", epoch=epoch, since=4, channels=["BTC.trade"])
            assert answer["recovered"] is False
            async with jetstream(nats_server.url, create=False) as stream:
                seq = await publish(stream, "BTC.trade", "new")
            message = await listener.receive()
            assert (message["seq"], message["data"]) == (seq, "new")
            assert seq == (7 if overtaken else 2)
            replayed = [m["data"] for m in (await replay(listener))[:-1]]
            assert replayed == ["kept", *(f"again {n}" for n in range(5) if overtaken), "new"]

    run(test())


async def replay(listener: Client) -> list[dict[str, Any]]:
    await listener.socket.send(json.dumps({"type": "replay", "data": {"since": 0}}))
    return await listener.receive_until("replay_complete")


def test_a_client_that_nats_has_closed_for_good_is_followed_by_another(tmp_path: Path) -> None:
    """nats-py gives up when the server refuses its credentials later on; they may be right again."""

    async def test() -> None:
        config = tmp_path / "nats.conf"
        store = tmp_path / "guarded"

        def allow(password: str) -> None:
            config.write_text(f'authorization {{ user: odin, password: "{password}" }}\n')

        allow("right")
        guarded = NatsServer(store=store, arguments=("-c", str(config)))
        guarded.start()
        url = f"nats://odin:right@127.0.0.1:{guarded.port}"
        server = WsgoServer(url, tmp_path / "wsgo.log")
        try:
            async with jetstream(url) as stream:
                await publish(stream, "BTC.trade", 1)
            await asyncio.to_thread(server.start)
            async with client(server.url) as listener:
                await listener.subscribe("BTC.trade")
                allow("wrong")
                guarded.signal(signal.SIGHUP)
                await until(server, "healthy", False)
                await asyncio.sleep(3)  # for nats-py's attempts, after which it closes
                allow("right")
                guarded.signal(signal.SIGHUP)
                await until(server, "healthy", True)
                async with jetstream(url, create=False) as stream:
                    await publish(stream, "BTC.trade", 2)
                assert (await listener.receive(20))["data"] == 2
        finally:
            server.stop()
            guarded.stop()

    run(test())


def test_a_message_that_cannot_be_read_is_stepped_over(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with jetstream(nats_server.url) as stream:
            await publish(stream, "BTC.trade", "before")
            server = await asyncio.to_thread(wsgo_server)
            async with client(server.url) as listener:
                await listener.subscribe("BTC.trade")
                reader, writer = await asyncio.open_connection("127.0.0.1", nats_server.port)
                writer.write(b"CONNECT {}\r\nPUB odin.token.\xff\xfe.trade 1\r\n1\r\nPING\r\n")
                while not (await reader.readline()).startswith(b"PONG"):
                    pass
                writer.close()
                await publish(stream, "BTC.trade", "after")
                message = await listener.receive(40)
                assert (message["data"], message["prev"]) == ("after", 0)
            assert 'ws_nats_messages_dropped_total{reason="unreadable"} 1.0' in server.get("/metrics")[1]

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
