"""Random and mutated frames, JSON and HTTP: no traceback, no leak, and whoever behaves is served throughout."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.faults.fuzz import Fuzzer
from tests.faults.rig import (
    Publisher,
    assert_chains,
    assert_clean,
    connected,
    established,
    eventually,
    expected_count,
    judge_time,
    log_lines,
    metric,
    open_files,
    resident,
    run,
    scaled,
    stored,
)
from tests.faults.swarm import TEXT, Swarm, frame, percentile
from wsgo.errors import ErrorCode

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer

SEED = 20261123
INPUTS = scaled(30_000, 100_000)
BATCH = 50
AT_ONCE = 20
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MIB = 1024 * 1024
ANSWERS = {
    "subscription_ack", "unsubscription_ack", "replay_complete", "resume_ack", "pong", "info", "error",
}  # fmt: skip
CODES = {code.value for code in ErrorCode}


async def throw(port: int, data: bytes) -> bytes:
    """Send all, say that nothing follows, and return all that comes back; the server has to end it in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                return await reader.read()
    finally:
        writer.transport.abort()
    return b""


async def ask_all(swarm: Swarm, requests: list[bytes]) -> Counter[str]:
    """Send requests on one connection; each is answered, and the connection survives them."""
    member = await swarm.connect()
    member.transport.write(b"".join(frame(TEXT, request) for request in requests))
    member.send("info", last=True)
    while not member.answers or sum(answer["type"] != "replay_complete" for answer in member.answers) < 1:
        await asyncio.sleep(0.001)
        assert member.alive, (member.close_code, member.close_reason)
    for _ in range(1000):
        if len(member.answers) >= len(requests) + 1:
            break
        await asyncio.sleep(0.01)
    assert member.alive, (member.close_code, member.close_reason)
    assert len(member.answers) == len(requests) + 1, "every request gets an answer, and only one"
    seen: Counter[str] = Counter()
    for answer in member.answers:
        assert answer["type"] in ANSWERS
        if answer["type"] == "error":
            assert answer["code"] in CODES
            assert answer["message"]
        seen[answer.get("code", answer["type"])] += 1
    member.leave()
    return seen


def test_nothing_a_client_sends_does_harm(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(
                wsgo_server,
                WS_WORKERS="1",
                WS_CPU_LIMIT="0",
                WS_CLIENT_RATE="0",
                WS_MAX_CHANNELS="50",
                WS_REPLAY_MESSAGES="100",
                WS_PING_INTERVAL="2s",
            )
            swarm = Swarm(server.port)
            fuzzing = Swarm(server.port)
            healthy = await swarm.gather(20, "/ws?channels=BTC.trade")
            publisher = Publisher(client, ["BTC.trade"], 100)
            publisher.start()
            fuzzer = Fuzzer(SEED)
            thrown: Counter[str] = Counter()
            answers: Counter[str] = Counter()
            statuses: Counter[str] = Counter()
            left = INPUTS

            async def work() -> None:
                nonlocal left
                while left > 0:
                    # As many inputs of each kind: requests go many to a connection.
                    kind = fuzzer.random.choices(["json", "frames", "http"], [1, BATCH, BATCH])[0]
                    if kind == "json":
                        requests = [fuzzer.request() for _ in range(BATCH)]
                        left -= BATCH
                        thrown[kind] += BATCH
                        answers.update(await ask_all(fuzzing, requests))
                        continue
                    left -= 1
                    thrown[kind] += 1
                    if kind == "frames":
                        answer = await throw(server.port, HANDSHAKE + fuzzer.frames())
                        assert answer.startswith(b"HTTP/1.1 101")
                    else:
                        answer = await throw(server.port, fuzzer.http())
                    statuses[answer[9:12].decode() or "none"] += 1

            # What is allocated once (codecs, caches) is no leak.
            everything, left = INPUTS, INPUTS // 5
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            await eventually(
                lambda: metric(server, "ws_connections_current"), len(healthy), "only the healthy are left"
            )
            memory, files = resident(server.pid), open_files(server.pid)
            left = everything - everything // 5
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            await eventually(
                lambda: metric(server, "ws_connections_current"), len(healthy), "only the healthy are left"
            )
            await publisher.stop()

            truth = await stored(client)
            newest = truth["BTC.trade"][-1]
            await swarm.until(lambda: all(m.last["BTC.trade"] == newest for m in healthy), 20, "the newest")
            assert not swarm.ended
            assert_chains(healthy, truth)
            assert all(member.received == expected_count(member, truth) for member in healthy)
            grown = resident(server.pid) - memory
            await swarm.until(lambda: established(server.port) == len(healthy), 5, "the kernel agrees")
            assert open_files(server.pid) <= files + 2
            assert grown < 4 * MIB, f"{grown / MIB:.1f} MiB"
            shouting = [
                line for line in log_lines(server) if line["event"] not in {"client_connected", "client_disconnected"}
            ]
            print(f"{sum(thrown.values())} inputs {dict(thrown)}; statuses {dict(statuses)}; answers {dict(answers)};")
            slowest = percentile(swarm.latencies, 99)
            print(f"memory {grown / MIB:+.1f} MiB; p99 of the healthy {slowest:.1f} ms;", end=" ")
            print(f"{len(shouting)} other log lines: {Counter(line['event'] for line in shouting)}")
            judge_time(slowest < 250, f"p99 of the healthy {slowest:.1f} ms")
            assert metric(server, 'ws_errors_total{severity="critical",type="flush"}') == 0
            assert json.loads(server.get("/health")[1])["status"] == "healthy"
            await swarm.disband()
            assert_clean(server)

    run(test())
