"""What the fault tests share: scale, publishing at a rate, the stream's own truth, and the server's figures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats
import uvloop
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.faults import scale
from tests.faults.swarm import abort_all
from tests.wsgo.client import STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from nats.aio.client import Client

    from tests.faults.swarm import Member, Swarm
    from tests.support import WsgoServer

FULL = scale.FULL


def scaled(quick: int, full: int) -> int:
    return full if FULL else quick


def judge_time(kept: bool, fault: str) -> None:
    """A time that only a machine with nothing else to do keeps is judged with the full numbers only."""
    assert kept or not FULL, fault


def run(test: Coroutine[Any, Any, None], seconds: float = 100.0) -> None:
    """On uvloop, bounded."""

    async def bounded() -> None:
        try:
            await asyncio.wait_for(test, seconds * (6 if FULL else 1))
        finally:
            await abort_all()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


class Publisher:
    """Publishes `{"n":.., "at":..}` at a rate to channels in turn; goes on through a NATS that is away."""

    def __init__(self, client: Client, channels: Sequence[str], rate: float, padding: int = 0) -> None:
        self.client = client
        self.channels = channels
        self.rate = rate
        self.padding = "x" * padding
        self.published = 0
        self._stop = False
        self._task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        begun, due = time.monotonic(), 0
        while not self._stop:
            due = int((time.monotonic() - begun) * self.rate)
            if not self.client.is_connected:
                begun, due = time.monotonic(), 0
                self.sent = 0
            while self.sent < due and self.client.is_connected:
                await self.one()
                self.sent += 1
            await asyncio.sleep(0.005)

    async def one(self, channel: str = "") -> None:
        name = channel or self.channels[self.published % len(self.channels)]
        body = f'{{"n":{self.published},"at":{time.time_ns()},"p":"{self.padding}"}}'
        try:
            await self.client.publish(f"odin.token.{name}", body.encode())
            self.published += 1
        except NatsError:
            await asyncio.sleep(0.05)

    def start(self) -> None:
        self.sent = 0
        self._stop = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and wait until the stream holds what was published."""
        self._stop = True
        if self._task is not None:
            await self._task
        await self.client.flush(10)


@asynccontextmanager
async def connected(url: str, *, create: bool = True, **stream: Any) -> AsyncIterator[Client]:
    """A NATS client that never gives up and keeps nothing while away; the stream is made unless it exists."""

    async def ignore(error: Exception) -> None:
        """It is expected: NATS is killed here."""

    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=ignore, pending_size=2**23
    )
    try:
        if create:
            await client.jetstream().add_stream(name=STREAM, subjects=["odin.token.>"], **stream)
        yield client
    finally:
        with contextlib.suppress(TimeoutError, NatsError):
            await asyncio.wait_for(client.close(), 5)


async def stored(client: Client, first: int = 1) -> dict[str, list[int]]:
    """Channel -> sequences, as the stream itself holds them, from `first` on."""
    stream = client.jetstream(timeout=10)
    info = await stream.stream_info(STREAM)
    found: dict[str, list[int]] = {}
    left = info.state.last_seq - max(info.state.first_seq, first) + 1
    if left <= 0:
        return found
    consumer = await stream.pull_subscribe(
        "odin.token.>",
        stream=STREAM,
        config=ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first,
            mem_storage=True,
        ),
    )  # fmt: skip
    while left > 0:
        for message in await consumer.fetch(min(left, 1000), timeout=10):
            found.setdefault(message.subject.removeprefix("odin.token."), []).append(message.metadata.sequence.stream)
            left -= 1
    await consumer.unsubscribe()
    return found


async def last_sequence(client: Client) -> int:
    info = await client.jetstream(timeout=10).stream_info(STREAM)
    return info.state.last_seq


def assert_chains(members: Sequence[Member], truth: dict[str, list[int]], *, upto: bool = True) -> None:
    """Each member saw, of each channel and from the first it saw, what the stream holds: no gap, nothing twice."""
    for member in members:
        assert not member.gaps, f"gaps {member.gaps[:5]} of {len(member.gaps)}"
        for channel, last in member.last.items():
            if upto:
                assert last == truth[channel][-1], f"{channel}: saw up to {last}, the stream holds {truth[channel][-1]}"


def expected_count(member: Member, truth: dict[str, list[int]]) -> int:
    """Envelopes between the first and the last this member saw of each channel."""
    total = 0
    for channel, first in member.first.items():
        total += sum(first <= seq <= member.last[channel] for seq in truth[channel])
    return total


def metric(server: WsgoServer, name: str) -> float:
    """One series of /metrics, 0 if it is not there (a counter that never counted)."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


async def health(server: WsgoServer) -> tuple[int, dict[str, Any]]:
    """Status and JSON of /health."""
    status, body = await asyncio.to_thread(server.get, "/health")
    return status, json.loads(body) if body else {}


async def eventually(check: Callable[[], float | bool], wanted: float | bool, what: str, seconds: float = 20) -> None:
    """Ask (in a thread) until the answer is `wanted`."""
    deadline = time.monotonic() + seconds
    while (now := await asyncio.to_thread(check)) != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: is {now}, not {wanted}, after {seconds} s")
        await asyncio.sleep(0.05)


def waited(pid: int) -> float:
    """Seconds for which the process could have run and had no core: others used the machine."""
    with open(f"/proc/{pid}/schedstat") as schedstat:
        return int(schedstat.read().split()[1]) / 1e9


def log_lines(server: WsgoServer) -> list[dict[str, Any]]:
    """The server's log; a line that is not JSON fails the test that asks."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def assert_clean(server: WsgoServer) -> None:
    """Nothing in the log that a user should not see."""
    text = server.log.read_text()
    assert "Traceback" not in text, text[-4000:]
    faults = [line for line in log_lines(server) if line["level"] in {"error", "critical"}]
    assert not faults, faults[:5]


def worker_pids(server: WsgoServer) -> dict[int, int]:
    """Worker number -> pid of those that run now."""
    found = {}
    for line in log_lines(server):
        if line["event"] == "worker_started":
            found[line["number"]] = line["pid"]
    return found


def process_tree(pid: int) -> list[int]:
    """`pid` and its children."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid, *map(int, children.read().split())]


def cpu_seconds(pid: int) -> float:
    """CPU used by the process and its children so far."""
    total = 0
    for one in process_tree(pid):
        with open(f"/proc/{one}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Resident bytes of the process and its children."""
    total = 0
    for one in process_tree(pid):
        with open(f"/proc/{one}/statm") as statm:
            total += int(statm.read().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    return sum(len(os.listdir(f"/proc/{one}/fd")) for one in process_tree(pid))


def established(port: int) -> int:
    """Established TCP connections the kernel has on this local port."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as rows:
            next(rows)
            for row in rows:
                fields = row.split()
                count += fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port
    return count


async def resume(
    swarm: Swarm, member: Member, epoch: str, channels: list[str], port: int = 0, since: int = 0
) -> Member:
    """A client in place of `member`, which is gone: connects (until somebody lets it in) and resumes.

    `since` is for a member that has seen nothing.
    """
    since = max(member.last.values(), default=since)
    while True:
        try:
            fresh = await swarm.connect(port=port)
        except (OSError, TimeoutError):
            await asyncio.sleep(0.02)
            continue
        if fresh.refusal is None:
            break
        await asyncio.sleep(0.05)
    fresh.last, fresh.first, fresh.gaps = dict(member.last), dict(member.first), list(member.gaps)
    fresh.received, fresh.seqs, fresh.unknown = member.received, member.seqs, member.unknown
    fresh.send("resume", epoch=epoch, since=since, channels=channels)
    answer = await fresh.answer("resume_ack", "error")
    assert answer["type"] == "resume_ack", answer
    fresh.answers.append(answer)
    return fresh


def owners(port: int, pids: Sequence[int]) -> dict[int, int]:
    """Client port -> pid of the process that holds the server's end of the connection."""
    inodes = {}
    with open("/proc/net/tcp") as rows:
        next(rows)
        for row in rows:
            fields = row.split()
            if fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes[f"socket:[{fields[9]}]"] = int(fields[2].rpartition(":")[2], 16)
    found = {}
    for pid in pids:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                link = os.readlink(f"/proc/{pid}/fd/{name}")
                if link in inodes:
                    found[inodes[link]] = pid
    return found
