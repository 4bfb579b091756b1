"""In a crowd one client stops reading, ten read slowly and one is gone without a word: nobody else notices."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.faults.reluctant import RECEIVE_BUFFER, Reluctant
from tests.faults.rig import (
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    established,
    eventually,
    expected_count,
    judge_time,
    metric,
    resident,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import Swarm, percentile

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer

CLIENT_BUFFER, SEND_BUFFER = 32 * 1024, 32 * 1024
MESSAGE = 4000
RATE = 25
SLOW_READERS = 10
# Half of what is sent to each: slow enough to fall behind, quick enough to see what it is given instead.
SLOW_BYTES_PER_SECOND = MESSAGE * RATE // 2
SLOW_TIMEOUT = 4
MIB = 1024 * 1024


def test_the_rest_is_served_as_if_they_were_not_there(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(
                wsgo_server,
                WS_WORKERS="1",
                WS_CLIENT_BUFFER=str(CLIENT_BUFFER),
                WS_SEND_BUFFER=str(SEND_BUFFER),
                WS_SLOW_CLIENT_TIMEOUT=f"{SLOW_TIMEOUT}s",
                WS_REPLAY_MESSAGES="100",
                WS_CPU_LIMIT="0",
            )
            swarm = Swarm(server.port)
            members = await swarm.gather(scaled(400, 2000), "/ws?channels=BTC.trade")
            publisher = Publisher(client, ["BTC.trade"], RATE, MESSAGE)
            publisher.start()

            async def p99_of(seconds: float) -> float:
                swarm.latencies.clear()
                await asyncio.sleep(seconds)
                return percentile(swarm.latencies, 99)

            phase = scaled(5, 15)
            await p99_of(2)
            before = await p99_of(phase)
            memory = resident(server.pid)

            offenders = [Reluctant() for _ in range(SLOW_READERS + 2)]
            stopped, gone, *slow = offenders
            for offender in offenders:
                await offender.enter(server.port, "BTC.trade")
            gone.vanish()
            go_on = asyncio.Event()
            reading = [asyncio.create_task(one.read_slowly(SLOW_BYTES_PER_SECOND, go_on)) for one in slow]
            began = time.monotonic()
            swarm.latencies.clear()
            await eventually(lambda: metric(server, "ws_slow_clients") >= 1, True, "the first is found slow")
            await eventually(
                lambda: metric(server, "ws_slow_clients_disconnected_total"), len(offenders), "all are closed", 40
            )
            found = time.monotonic() - began
            during = percentile(swarm.latencies, 99)
            grown = resident(server.pid) - memory
            go_on.set()
            await asyncio.gather(*reading, *(one.read_all() for one in (stopped, *slow)))
            after = await p99_of(phase)

            for offender in (stopped, *slow):
                code, reason = offender.ending()
                assert code == 1008
                assert "too slow" in reason
            for one in slow:
                seqs = [envelope.seq for envelope in one.envelopes()]
                assert seqs == sorted(set(seqs)), "conflated, but in order"
                gaps = sum(b.prev != a.seq for a, b in zip(one.envelopes(), one.envelopes()[1:], strict=False))
                assert gaps, "it was not conflated"
            # All that ever waited for the one that did not read: the kernel doubles its buffers' sizes; and a flush.
            bound = CLIENT_BUFFER + 2 * SEND_BUFFER + 2 * RECEIVE_BUFFER + 4 * MESSAGE
            assert len(stopped.received) < bound, f"{len(stopped.received)} bytes had been queued"
            # None of it is kept per message: 12 buffers, and what the allocator does meanwhile.
            assert grown < len(offenders) * (CLIENT_BUFFER + 8 * MESSAGE) + 8 * MIB, f"{grown / MIB:.1f} MiB"
            assert metric(server, "ws_messages_conflated_total") > 0
            # The one that is gone never answers the close; its socket is cut.
            await eventually(
                lambda: metric(server, 'ws_disconnects_total{initiated_by="server",reason="slow"}'),
                len(offenders),
                "the half-open one is cut",
            )
            assert metric(server, "ws_slow_clients") == 0
            assert established(server.port) == len(members) == metric(server, "ws_connections_current")

            await publisher.stop()
            truth = await stored(client)
            await swarm.until(lambda: all(m.last["BTC.trade"] == truth["BTC.trade"][-1] for m in members), 20, "newest")
            assert not swarm.ended
            assert_chains(members, truth)
            assert all(member.received == expected_count(member, truth) for member in members)
            print(f"p99 of {len(members)}: {before:.1f} ms before, {during:.1f} with, {after:.1f} after;", end=" ")
            print(f"all {len(offenders)} closed after {found:.1f} s; memory grew {grown / MIB:.1f} MiB")
            judge_time(during < 1.5 * max(before, after) + 15, f"the rest noticed: p99 {during:.1f} ms")
            for offender in offenders:
                offender.close()
            await swarm.disband()
            assert_clean(server)

    run(test())


def test_a_half_open_client_without_traffic_is_found_by_pings(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with connected(nats_server.url):
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS="1", WS_PING_INTERVAL="1s")
            swarm = Swarm(server.port)
            members = await swarm.gather(20, "/ws?channels=BTC.trade")
            gone = [Reluctant() for _ in range(3)]
            for one in gone:
                await one.enter(server.port, "BTC.trade")
                one.vanish()
            assert established(server.port) == 23
            await eventually(lambda: metric(server, "ws_connections_current"), 20, "they are found out", 10)
            assert metric(server, 'ws_disconnects_total{initiated_by="server",reason="timeout"}') == 3
            await asyncio.sleep(2)
            assert not swarm.ended, "who answers pings stays"
            assert len(members) == established(server.port)
            for one in gone:
                one.close()
            await swarm.disband()
            assert_clean(server)

    run(test())
