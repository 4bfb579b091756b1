"""What cannot work ends at once, one message, exit code 2; without NATS it serves, not ready, and keeps trying."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.rig import Publisher, assert_clean, connected, eventually, health, run
from tests.faults.swarm import Swarm
from tests.support import ROOT, NatsServer, WsgoServer, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartWsgo


def start(**env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m wsgo` where it is expected to end by itself."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WS_", "NATS_", "JS_", "LOG_"))}
    return subprocess.run(
        [sys.executable, "-m", "wsgo"],
        env={**inherited, "PYTHONPATH": str(ROOT), "WS_ADDR": f"127.0.0.1:{free_port()}", **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


WRONG = {
    "WS_MAX_CONNECTIONS": ("-1", "greater than or equal to 0"),
    "WS_ACCEPT_RATE": ("-5", "greater than or equal to 0"),
    "WS_CPU_PAUSE_THRESHOLD": ("50", "WS_CPU_REJECT_THRESHOLD"),
    "WS_CPU_REJECT_THRESHOLD": ("0", "greater than 0"),
    "NATS_URL": ("localhost", "nats://host:4222"),
    "WS_ADDR": ("3002", "[HOST]:PORT or"),
    "WS_MEMORY_LIMIT": ("a lot", "KiB, MiB or GiB"),
    "WS_PING_INTERVAL": ("soon", "ms, s, m or h"),
    "LOG_LEVEL": ("loud", "warn"),
}


def test_all_faults_are_in_one_message() -> None:
    faults = {name: value for name, (value, _) in WRONG.items() if name != "WS_CPU_REJECT_THRESHOLD"}
    ended = start(**faults)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not ended.stdout
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1 + len(faults)
    for name, value in faults.items():
        assert [line for line in lines if line.startswith(f"  {name}={value!r}: ")], (name, lines)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "WS_ADDR"])
def test_each_fault_alone_says_what_is_right(name: str) -> None:
    value, hint = WRONG[name]
    ended = start(**{name: value})
    assert ended.returncode == 2
    assert name in ended.stderr
    assert hint in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variable", ["WS_ADDR", "WS_INTERNAL_ADDR"])
def test_a_taken_port_is_named_with_its_variable(variable: str, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = start(**{variable: address, "WS_WORKERS": workers})
    assert ended.returncode == 2
    assert ended.stderr == f"wsgo: cannot listen on {address} ({variable}): Address already in use\n"
    assert "Traceback" not in ended.stdout


def test_zero_is_no_limit_for_every_rate(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    zeros = (
        "WS_MAX_CONNECTIONS", "WS_MAX_NATS_RATE", "WS_MAX_BROADCAST_RATE", "WS_ACCEPT_RATE", "WS_CLIENT_RATE",
        "WS_MAX_CONNECTIONS_PER_IP", "WS_MAX_MESSAGE_SIZE", "WS_MAX_CHANNELS", "WS_CPU_LIMIT", "WS_MEMORY_LIMIT",
        "WS_PING_INTERVAL", "WS_SLOW_CLIENT_TIMEOUT", "WS_HANDSHAKE_TIMEOUT", "WS_MAX_LATENCY_MS", "WS_SEND_BUFFER",
    )  # fmt: skip

    async def test() -> None:
        async with connected(nats_server.url) as client:
            server = await asyncio.to_thread(wsgo_server, WS_WORKERS="1", **dict.fromkeys(zeros, "0"))
            swarm = Swarm(server.port)
            members = await swarm.gather(200, "/ws?channels=" + ",".join(f"S{number}.trade" for number in range(1200)))
            publisher = Publisher(client, [f"S{number}.trade" for number in range(1200)], 0)
            for _ in range(1200):
                await publisher.one()
            for member in members[:3]:
                for _ in range(300):
                    member.send("ping")
            await swarm.until(lambda: all(m.received == 1200 for m in members), 20, "all messages")
            await swarm.until(lambda: all(len(m.answers) == 300 for m in members[:3]), 20, "all answers")
            assert (await health(server))[1]["status"] == "healthy"
            await swarm.disband()
            assert_clean(server)

    run(test())


def test_nats_away_at_start_is_waited_for(tmp_path: Path) -> None:
    nats = NatsServer(store=tmp_path / "jetstream")
    server = WsgoServer(nats.url, tmp_path / "wsgo.log", {"WS_WORKERS": "2", "METRICS_INTERVAL": "100ms"})

    async def test() -> None:
        await asyncio.to_thread(server.start, "/live")
        for _ in range(20):
            status, body = server.get("/ready")
            assert status == 503
            assert "ODIN_TOKENS" in json.loads(body)["reason"]
            status, report = await health(server)
            assert (status, report["status"], report["checks"]["nats"]["healthy"]) == (200, "degraded", False)
            await asyncio.sleep(0.1)
        await asyncio.to_thread(nats.start)
        async with connected(nats.url) as client:
            await eventually(lambda: server.get("/ready")[0], 200, "ready", 20)
            swarm = Swarm(server.port)
            members = await swarm.gather(10, "/ws?channels=BTC.trade")
            await Publisher(client, ["BTC.trade"], 0).one()
            await swarm.until(lambda: all(m.received == 1 for m in members), 10, "the first message")
            await eventually(lambda: json.loads(server.get("/health")[1])["status"] == "healthy", True, "healthy")
            await swarm.disband()
            assert "Traceback" not in server.log.read_text()

    try:
        run(test())
    finally:
        server.stop()
        nats.stop()
