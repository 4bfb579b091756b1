"""One run: a contestant, its clients, a publisher, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import nats as nats_client
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import NotFoundError

from bench import build
from bench.children import Child, Children, memory_kib
from bench.contestants import TOKENS, Feed, Ports, clean_environment, nats_server
from bench.loads import PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.contestants import Contestant
    from bench.loads import Load
    from bench.machine import Cores

STREAM = "ODIN_TOKENS"
START_S = 20.0
# A slow server takes 0.6 ms for a handshake.
CONNECT_S = 60.0
# Above this share of the load's cores the client may have been the limit: its figures say nothing.
SATURATED = 0.97
SETTLE_S = 0.4


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one run measured.

    rate: deliveries/s. asked: what they should have been. lost: messages that never came, by their numbers;
    repeats: came twice. behind: messages published that had not come when reading ended (a backlog, not a loss).
    cpu: CPU-seconds per million deliveries; kernel: the part of it spent in the kernel. p50..max: ms from publish
    to the client's read. memory: KiB per idle subscribed client. handshakes: per second. load: share of its cores
    that client, NATS and publisher used. noise: share of the server's core that others used.
    """

    rate: float
    asked: float
    lost: int
    repeats: int
    behind: int
    closed: int
    cpu: float
    cpu_share: float
    kernel: float
    p50: float
    p99: float
    p999: float
    max: float
    memory: float
    handshakes: float
    load: float
    noise: float
    late_ms: float

    @property
    def void(self) -> bool:
        """Whether the client was the limit."""
        return self.load > SATURATED

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "void": self.void}


class Bench:
    """The parts that all runs of a session share: NATS, the cores, the place for logs."""

    def __init__(self, children: Children, cores: Cores, directory: Path) -> None:
        self.children = children
        self.cores = cores
        self.directory = directory
        self.nats_port = free_port()
        self._runs = 0
        self.nats = children.start(
            "nats-server",
            [nats_server(), "-a", "127.0.0.1", "-p", str(self.nats_port), "-js", "-sd", str(directory / "jetstream")],
            cores.load,
        )
        self.nats.await_true(lambda: answers(self.nats_port), START_S, "does not answer")

    def serve(
        self,
        contestant: Contestant,
        *,
        cores: Sequence[int] | None = None,
        environment: dict[str, str] | None = None,
        join: Sequence[Path] = (),
    ) -> tuple[Child, Ports]:
        """Start a contestant on an empty stream; returns when it takes connections. Raises ChildError."""
        self.empty_stream()
        self._runs += 1
        directory = self.directory / f"{contestant.name}-{self._runs}"
        directory.mkdir(parents=True)
        ports = Ports(free_port(), self.nats_port, free_port())
        command = contestant.start(ports, directory)
        server = self.children.start(
            f"{contestant.name}-{self._runs}",
            command.argv,
            (self.cores.server,) if cores is None else cores,
            environment={**clean_environment(), **command.environment, **(environment or {})},
            directory=command.directory or directory,
            join=join,
        )
        server.await_true(lambda: answers(ports.public), START_S, "does not take connections")
        time.sleep(SETTLE_S)
        return server, ports

    def connect(
        self,
        contestant: Contestant,
        server: Child,
        port: int,
        *,
        clients: int,
        extra: Sequence[str],
        cores: Sequence[int] | None = None,
    ) -> Clients:
        """Start opening clients, by default on the load's cores. Raises ChildError."""
        argv = [
            str(build.program("wsload")),
            *("--port", str(port), "--clients", str(clients), "--timeout", str(CONNECT_S)),
            *("--server", ",".join(map(str, server.family())), "--core", str(self.cores.server)),
            *contestant.speaks,
            *extra,
        ]
        return Clients(self.children.start(f"{server.name}-clients", argv, cores or self.cores.load, pipes=True))

    def publish(
        self, contestant: Contestant, ports: Ports, rate: float, seconds: float, tokens: tuple[str, ...] = TOKENS[:1]
    ) -> Child:
        """Start the publisher; it ends by itself."""
        port = {Feed.NATS: ports.nats, Feed.OWN: ports.own, Feed.HTTP: ports.public}[contestant.feed]
        subjects = ",".join(f"odin.token.{token}.trade" for token in tokens)
        argv = [str(build.program("natspub")), str(port), f"{rate:.6g}", f"{seconds:g}", str(PAYLOAD), subjects]
        if contestant.feed is Feed.HTTP:
            argv.append("/publish")
        return self.children.start(f"{contestant.name}-publisher", argv, self.cores.load, pipes=True)

    def run(self, contestant: Contestant, load: Load) -> Sample:
        """One contestant under one load. Raises ChildError when something does not work."""
        server, ports = self.serve(contestant)
        before = memory_kib(server.family())
        timing = ("--warm", str(load.warm), "--window", str(load.window), "--drain", str(load.drain))
        clients = self.connect(contestant, server, ports.public, clients=load.clients, extra=timing)
        ready = clients.ready()
        time.sleep(SETTLE_S)
        memory = (memory_kib(server.family()) - before) / load.clients
        publisher = self.publish(contestant, ports, load.rate, load.warm + load.window)
        helpers = [publisher.pid, *([self.nats.pid] if contestant.feed is Feed.NATS else [])]
        done = clients.go(helpers)
        sent = publisher_says(publisher)
        for child in (clients.child, publisher, server):
            self.children.stop(child)
        return sample(load, ready=ready, done=done, sent=sent, memory=memory, load_cores=len(self.cores.load))

    def stop_all_but_nats(self) -> None:
        """After a failure: end what it left running."""
        self.children.stop_all(but=self.nats)

    def empty_stream(self) -> None:
        """Make the stream anew: one run's messages are not replayed in the next."""

        async def make() -> None:
            client = await nats_client.connect(f"nats://127.0.0.1:{self.nats_port}")
            try:
                stream = client.jetstream()
                with contextlib.suppress(NotFoundError):
                    await stream.delete_stream(STREAM)
                limits = {"max_msgs": 100_000, "max_bytes": 64 * 2**20}
                config = StreamConfig(name=STREAM, subjects=["odin.token.>"], storage=StorageType.MEMORY)
                await stream.add_stream(config.evolve(**limits))
            finally:
                await client.close()

        asyncio.run(make())


class Clients:
    """A running wsload."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def ready(self) -> dict[str, Any]:
        """What it says once all clients are open. Raises ChildError when some could not be."""
        said = self._line()
        if said["failed"]:
            raise self.child.failure(f"{said['failed']} of {said['failed'] + said['open']} clients could not connect")
        return said

    def go(self, helpers: Sequence[int]) -> dict[str, Any]:
        """Measure; what it says at the end. helpers: processes whose CPU counts as the client's."""
        assert self.child.process.stdin is not None
        self.child.process.stdin.write(f"go {','.join(map(str, helpers))}\n".encode())
        self.child.process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        # wsload bounds each of its phases in time, so this ends.
        assert self.child.process.stdout is not None
        line = self.child.process.stdout.readline()
        if not line:
            self.child.process.wait()
            raise self.child.failure("no answer")
        found: dict[str, Any] = json.loads(line)
        return found


def publisher_says(publisher: Child) -> dict[str, Any]:
    """What the publisher did: `sent`, `late_ms`. Raises ChildError."""
    assert publisher.process.stdout is not None
    line = publisher.process.stdout.readline()
    if not line:
        publisher.process.wait()
        raise publisher.failure("ended early")
    found: dict[str, Any] = json.loads(line)
    return found


def sample(
    load: Load, *, ready: dict[str, Any], done: dict[str, Any], sent: dict[str, Any], memory: float, load_cores: int
) -> Sample:
    """Put together what wsload and the publisher said."""
    millions = done["delivered"] / 1e6
    cpu = done["server_cpu"]
    ticks = done["server_user"] + done["server_system"]
    kernel = done["server_system"] / ticks if ticks else 0.0
    return Sample(
        rate=done["delivered"] / done["seconds"],
        asked=load.asked,
        lost=done["gaps"],
        repeats=done["repeats"],
        behind=max(0, done["open"] * sent["sent"] - done["reached"]),
        closed=done["closed"],
        cpu=cpu / millions if millions else float("nan"),
        cpu_share=cpu / done["seconds"],
        kernel=kernel,
        p50=done["p50"],
        p99=done["p99"],
        p999=done["p999"],
        max=done["max"],
        memory=memory,
        handshakes=ready["handshakes_s"],
        load=done["load_cpu"] / done["seconds"] / load_cores,
        noise=max(0.0, (done["core_busy"] - cpu) / done["seconds"]),
        late_ms=sent["late_ms"],
    )


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
