"""Who is measured: how each server is started, how its clients speak, and what it needs to be there."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from enum import Enum
from string import Template
from typing import TYPE_CHECKING

from bench import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PEERS = build.HERE / "peers"
TOKENS = ("BTC", "ETH", "SOL", "DOGE", "ADA", "XRP", "DOT", "LINK", "UNI", "PEPE")


class Feed(Enum):
    """Where the publisher sends to."""

    NATS = "the run's nats-server"
    OWN = "the contestant's own NATS port"
    HTTP = "the contestant, by POST"


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one run. own: the contestant's NATS port, where it has one."""

    public: int
    nats: int
    own: int


@dataclass(frozen=True)
class Start:
    """A command line, what is added to its environment, and where it runs."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A server to measure.

    name: as asked for with --only. title: as in the tables. needs: what of `build.prepare` it takes.
    start: (ports, a directory of its own) -> command. speaks: arguments of wsload for its clients.
    floor: the least a server can do, which the others are compared with; never a peer.
    joins: it puts several messages into one write, without which nothing comes near the extreme loads.
    """

    name: str
    title: str
    start: Callable[[Ports, Path], Start]
    needs: str = ""
    feed: Feed = Feed.NATS
    speaks: tuple[str, ...] = ()
    floor: bool = False
    joins: bool = False
    lacking: Callable[[], None] = lambda: None

    def missing(self, reasons: Mapping[str, str]) -> str:
        """Why it cannot be measured here; empty if it can."""
        if self.needs in reasons:
            return reasons[self.needs]
        try:
            self.lacking()
        except build.MissingError as error:
            return str(error)
        return ""


def clean_environment() -> dict[str, str]:
    """This process' environment without the settings of wsgo and the publisher."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("WS_", "NATS_", "JS_", "LOG_", "METRICS_"))}


def subscribe(tokens: tuple[str, ...] = TOKENS[:1]) -> tuple[str, ...]:
    """wsload's arguments for a client of ws-go that subscribes to the trades of these tokens."""
    request = {"type": "subscribe", "data": {"channels": [f"{token}.trade" for token in tokens]}}
    return ("--send", json.dumps(request), "--answer", "subscription_ack")


def _wsgo(ports: Ports, _: Path) -> Start:
    argv = (
        sys.executable,
        "-m",
        "wsgo",
        "-addr",
        f"127.0.0.1:{ports.public}",
        "-nats",
        f"nats://127.0.0.1:{ports.nats}",
    )
    # Its defaults: every feature on.
    return Start(argv, directory=build.ROOT)


def _python(script: str) -> Callable[[Ports, Path], Start]:
    def start(ports: Ports, _: Path) -> Start:
        url = f"nats://127.0.0.1:{ports.nats}"
        return Start((str(build.interpreter()), str(PEERS / script), str(ports.public), url))

    return start


def _node(ports: Ports, _: Path) -> Start:
    argv = (str(build.node()), str(PEERS / "node_ws.mjs"), str(ports.public), str(ports.nats))
    return Start(argv, {"NODE_ENV": "production"}, build.HOME / "node")


def _go(ports: Ports, _: Path) -> Start:
    return Start((str(build.program("hub")), str(ports.public), str(ports.nats)))


def _rendered(name: str, to: Path, **values: object) -> str:
    target = to / name
    target.write_text(Template((PEERS / name).read_text()).substitute(values))
    return str(target)


def _nats(ports: Ports, directory: Path) -> Start:
    config = _rendered("nats.conf", directory, port=ports.public, feed_port=ports.own)
    return Start((nats_server(), "-c", config))


def _nchan(ports: Ports, directory: Path) -> Start:
    nginx, module = build.nginx()
    files = build.open_files()
    config = _rendered("nginx.conf", directory, port=ports.public, module=module, files=files, directory=directory)
    return Start((str(nginx), "-p", str(directory), "-e", f"{directory}/error.log", "-c", config))


def _floor(batch: int) -> Callable[[Ports, Path], Start]:
    def start(ports: Ports, _: Path) -> Start:
        return Start((str(build.program("floor")), str(ports.public), str(ports.nats), str(batch)))

    return start


def nats_server() -> str:
    """The locked nats-server, beside this Python."""
    return os.path.join(os.path.dirname(sys.executable), "nats-server")


FLOOR = Contestant(name="floor", title="bare send()", start=_floor(1), floor=True)
FLOOR_10 = Contestant(name="floor-10", title="bare send(), 10 frames a call", start=_floor(10), floor=True, joins=True)
WSGO = Contestant(name="wsgo", title="ws-go", start=_wsgo, speaks=subscribe(), joins=True)
PLAIN = Contestant(name="plain", title="uvicorn + Starlette", start=_python("starlette_plain.py"), needs="python")
SOCKETIFY = Contestant(
    name="uwebsockets",
    title="uWebSockets (socketify)",
    start=_python("socketify_hub.py"),
    needs="python",
    joins=True,
)
ALL = (
    FLOOR,
    FLOOR_10,
    WSGO,
    PLAIN,
    Contestant(name="picows", title="picows", start=_python("picows_hub.py"), needs="python"),
    Contestant(name="node", title="Node ws", start=_node, needs="node"),
    SOCKETIFY,
    Contestant(name="nats", title="nats-server WebSocket", start=_nats, feed=Feed.OWN, speaks=("--nats",), joins=True),
    Contestant(
        name="nchan", title="nginx + nchan", start=_nchan, feed=Feed.HTTP, lacking=lambda: build.nginx() and None
    ),
    Contestant(name="go", title="Go gorilla hub", start=_go, needs="go"),
)
