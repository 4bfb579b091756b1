"""NATS killed and started again, with and without its store: clients stay, and get what the stream holds, once."""

from __future__ import annotations

import asyncio
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.rig import (
    FULL,
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    eventually,
    expected_count,
    health,
    last_sequence,
    metric,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import Member, Swarm

if TYPE_CHECKING:
    from nats.aio.client import Client

    from tests.conftest import StartWsgo
    from tests.support import NatsServer

CHANNELS = ["BTC.trade", "BTC.social", "ETH.trade", "ETH.metadata", "SOL.trade"]
SUBSCRIPTIONS = [["BTC.trade"], ["BTC.*", "ETH.trade"], [">"], ["*.trade", ">"], CHANNELS]
# The rate while NATS is there, messages/s.
RATE = 300


async def settled(swarm: Swarm, members: list[Member], client: Client) -> dict[str, list[int]]:
    """What the stream holds, once every client has the newest of each of its channels."""
    truth = await stored(client)
    newest = {channel: seqs[-1] for channel, seqs in truth.items()}
    await swarm.until(
        lambda: all(member.last[channel] == newest[channel] for member in members for channel in member.last),
        20,
        "every client has the newest message of its channels",
    )
    return truth


async def enter(swarm: Swarm, count: int) -> list[Member]:
    members = await swarm.gather(count)
    for index, member in enumerate(members):
        await member.subscribe(*SUBSCRIPTIONS[index % len(SUBSCRIPTIONS)])
    return members


async def stays_through(swarm: Swarm, members: list[Member], seconds: float) -> None:
    """For so long nobody is closed, and everybody is answered."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        for member in members[:5]:
            await member.ask("ping", "pong")
        assert not swarm.ended
        if (left := deadline - loop.time()) <= 0:
            return
        await asyncio.sleep(min(1.0, left))


@pytest.mark.parametrize(
    ("workers", "away"), [("1", 1), ("2", 1), ("1", 90), ("2", 90)] if FULL else [("1", 1), ("2", 10)]
)
def test_nothing_is_lost_or_doubled_over_a_kill_of_nats(
    nats_server: NatsServer, wsgo_server: StartWsgo, workers: str, away: int
) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS=workers, METRICS_INTERVAL="200ms")
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "every worker reads the stream")
            swarm = Swarm(server.port)
            members = await enter(swarm, scaled(60, 500))
            epoch = (await members[0].ask("info"))["epoch"]
            publisher = Publisher(client, CHANNELS, RATE)
            publisher.start()
            await swarm.until(lambda: all(member.received > 100 for member in members), 20, "a flow of messages")

            await asyncio.to_thread(nats_server.stop, signal.SIGKILL)
            await eventually(lambda: metric(server, "ws_nats_connected"), 0, "the workers notice")
            await stays_through(swarm, members, away)
            status, report = await health(server)
            assert (status, report["status"], report["checks"]["nats"]["healthy"]) == (200, "degraded", False)

            before = publisher.published
            await asyncio.to_thread(nats_server.start)
            await swarm.until(lambda: publisher.published > before + 3 * RATE, 30, "publishing goes on")
            await publisher.stop()
            truth = await settled(swarm, members, client)
            assert not swarm.ended
            assert_chains(members, truth)
            for member in members:
                assert not member.unknown, "a message was announced as lost that was not"
                assert member.received == expected_count(member, truth)
            assert {(await member.ask("info"))["epoch"] for member in members} == {epoch}
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "health is back")
            assert (await health(server))[1]["status"] == "healthy"
            assert metric(server, "ws_feed_recoveries_total") >= int(workers)
            print(f"{workers} workers, NATS away {away} s: {len(members)} clients,", end=" ")
            print(f"{sum(m.received for m in members)} deliveries, none lost, none doubled")
            await swarm.disband()
            assert_clean(server)

    run(test())


@pytest.mark.parametrize("replay", ["50000", "0"])
def test_a_store_that_is_lost_is_announced_and_the_new_stream_is_delivered_whole(
    nats_server: NatsServer, wsgo_server: StartWsgo, replay: str
) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(
                wsgo_server, WS_WORKERS="2", METRICS_INTERVAL="200ms", WS_REPLAY_MESSAGES=replay
            )
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "every worker reads the stream")
            swarm = Swarm(server.port, keep=True)
            members = await enter(swarm, 40)
            epoch = (await members[0].ask("info"))["epoch"]
            publisher = Publisher(client, CHANNELS, RATE)
            publisher.start()
            await swarm.until(lambda: all(member.received > 50 for member in members), 20, "a flow of messages")
            await publisher.stop()
            await settled(swarm, members, client)
            old = [len(member.seqs) for member in members]

            await asyncio.to_thread(nats_server.stop, signal.SIGKILL)
            await asyncio.to_thread(shutil.rmtree, nats_server.store)
            await eventually(lambda: metric(server, "ws_nats_connected"), 0, "the workers notice")
            await asyncio.to_thread(nats_server.start)
            await swarm.until(lambda: client.is_connected, 10, "the publisher is back")
            await client.jetstream().add_stream(name="ODIN_TOKENS", subjects=["odin.token.>"])
            publisher.start()  # at once: the workers are still on their way
            await swarm.until(lambda: publisher.sent > RATE, 20, "publishing goes on")
            await publisher.stop()
            assert await last_sequence(client) > RATE

            truth = await settled(swarm, members, client)
            assert not swarm.ended
            for member, seen in zip(members, old, strict=True):
                assert not member.gaps
                assert member.unknown == len(member.last), "the first message of each channel has prev 0, once"
                wanted = sorted(seq for channel in member.last for seq in truth[channel])
                assert member.seqs[seen:] == wanted
            answers = [await member.ask("info") for member in members]
            assert len({answer["epoch"] for answer in answers}) == 1
            assert answers[0]["epoch"] != epoch
            newcomer = await swarm.connect()
            resumed = await newcomer.ask("resume", "resume_ack", epoch=epoch, since=3, channels=["BTC.trade"])
            assert (resumed["recovered"], resumed["epoch"]) == (False, answers[0]["epoch"])
            await swarm.disband()
            assert_clean(server)

    run(test())


def test_a_store_set_back_in_time_is_another_epoch(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    """What a hard reset does: NATS comes back without the newest messages, and uses their numbers anew."""

    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS="2", METRICS_INTERVAL="200ms")
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "every worker reads the stream")
            swarm = Swarm(server.port, keep=True)
            publisher = Publisher(client, CHANNELS, 0)
            for _ in range(100):
                await publisher.one()
            await client.flush()
            await asyncio.to_thread(nats_server.stop, signal.SIGTERM)
            backup = nats_server.store.with_name("backup")
            await asyncio.to_thread(shutil.copytree, nats_server.store, backup)
            await asyncio.to_thread(nats_server.start)
            await swarm.until(lambda: client.is_connected, 10, "the publisher is back")
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "every worker reads the stream")
            members = await swarm.gather(10, "/ws?channels=>")
            epoch = (await members[0].ask("info"))["epoch"]
            for _ in range(100):
                await publisher.one()
            await client.flush()
            await swarm.until(lambda: all(member.received == 100 for member in members), 10, "100 messages each")

            await asyncio.to_thread(nats_server.stop, signal.SIGKILL)
            await asyncio.to_thread(shutil.rmtree, nats_server.store)
            await asyncio.to_thread(shutil.copytree, backup, nats_server.store)
            await asyncio.to_thread(nats_server.start)
            await swarm.until(lambda: client.is_connected, 10, "the publisher is back")
            await eventually(lambda: metric(server, "ws_nats_connected"), 1, "every worker reads the stream", 30)
            answers = [await member.ask("info") for member in members]
            assert len({answer["epoch"] for answer in answers}) == 1, (
                "workers must agree, or none can resume at another"
            )
            assert answers[0]["epoch"] != epoch
            for _ in range(200):
                await publisher.one()
            await client.flush()
            await swarm.until(lambda: all(member.received == 300 for member in members), 10, "200 messages more")
            for member in members:
                assert member.seqs == [*range(101, 201), *range(101, 301)]
                # `prev` is the one before it in the stream as it is now; what was seen is not part of that.
                assert len(member.gaps) + member.unknown == len(CHANNELS)
            newcomer = await swarm.connect()
            resumed = await newcomer.ask("resume", "resume_ack", epoch=epoch, since=150, channels=["BTC.trade"])
            assert resumed["recovered"] is False
            await swarm.disband()
            assert_clean(server)

    run(test())
