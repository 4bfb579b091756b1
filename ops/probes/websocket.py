"""A WebSocket client of ws-go, as its users' are: subscribes, listens, and keeps count of what it missed."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from constructs_lib.model import Speaks
from ops.probes.outcome import No

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.checklist import Check
    from ops.probes.system import System

TIMEOUT_S = 5.0
LISTEN_S = 3.0
PATIENCE_S = 10.0  # for the first message
_EVERYTHING = ">"


@contextmanager
def client(host: str, port: int, path: str) -> Iterator[ClientConnection]:
    """A connected client. Raises `No` when the handshake fails, or the connection breaks inside."""
    try:
        with connect(
            f"ws://{host}:{port}{path}", open_timeout=TIMEOUT_S, close_timeout=1, compression=None, proxy=None
        ) as connection:
            yield connection
    except InvalidStatus as error:
        body = bytes(error.response.body or b"").decode(errors="replace")
        raise No(f"the handshake is answered {error.response.status_code} {body}"[:160].strip()) from None
    except (InvalidHandshake, EOFError) as error:
        raise No(f"{host}:{port}{path} does no WebSocket handshake: {error}") from None
    except WebSocketException as error:
        raise No(f"the connection broke: {error}") from None
    except OSError as error:
        raise No(f"{host}:{port} cannot be reached: {error.strerror or error}") from None


def subscribes(host: str, port: int, path: str) -> str:
    """Handshake, subscribe, acknowledgement."""
    started = time.monotonic()
    with client(host, port, path) as connection:
        count = _subscribe(connection)
    return f"acknowledged {count} subscription in {(time.monotonic() - started) * 1000:.0f} ms"


def delivers(host: str, port: int, path: str) -> str:
    """The publisher's messages arrive for some seconds, in sequence and without a gap."""
    tally = Tally()
    with client(host, port, path) as connection:
        _subscribe(connection)
        until = time.monotonic() + PATIENCE_S
        while (left := until - time.monotonic()) > 0:
            try:
                frame = connection.recv(timeout=left)
            except TimeoutError:
                break
            if not tally.count:
                until = time.monotonic() + LISTEN_S
            tally.add(frame, time.time() * 1000)
    return tally.verdict()


@contextmanager
def listening(system: System, check: Check) -> Iterator[None]:
    """Where the service serves clients: with one that listens, so that its metrics have something to count."""
    service = system.places.topology.services[check.service]
    port = next((port for port in service.ports if Speaks.WEBSOCKET in port.speaks), None)
    if port is None:
        yield
        return
    with client(*system.where(check.service, port.name), "/ws") as connection:
        _subscribe(connection)
        yield


@dataclass
class Tally:
    """What one client received. Times are in ms."""

    count: int = 0
    gaps: int = 0
    seq: int = 0
    first: int = 0
    channels: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def add(self, frame: str | bytes, now: float) -> None:
        """Count one frame. Raises `No` for one that is no envelope, or comes out of order."""
        seq, prev, channel, ts = _envelope(frame)
        if seq <= self.seq:
            raise No(f"seq {seq} came after {self.seq} (channel {channel})")
        if channel in self.channels and prev != self.channels[channel]:
            self.gaps += 1
        self.seq, self.channels[channel] = seq, seq
        self.first = self.first or seq
        self.latencies.append(now - ts)
        self.count += 1

    def verdict(self) -> str:
        """What was seen. Raises `No` for nothing, and for gaps."""
        if not self.count:
            raise No(f"no message within {PATIENCE_S:g} s")
        seen = f"{self.count} messages on {len(self.channels)} channels, gaps {self.gaps}"
        if self.gaps:
            raise No(f"{seen}: `prev` was not the message before it")
        if self.count < 2:
            raise No(f"{seen}: too few to tell an order")
        median, worst = statistics.median(self.latencies), max(self.latencies)
        return f"{seen}, seq {self.first}..{self.seq}, latency p50 {median:.0f} ms, max {worst:.0f} ms"


def _envelope(frame: str | bytes) -> tuple[int, int, str, float]:
    shown = str(frame)[:100]
    try:
        found: dict[str, Any] = json.loads(frame)
        seq, prev, channel, ts = found["seq"], found["prev"], found["channel"], found["ts"]
        _ = found["type"], found["data"]
    except (ValueError, TypeError, LookupError):
        raise No(f"this is no envelope: {shown}") from None
    if not all(isinstance(number, int) for number in (seq, prev, ts)) or not isinstance(channel, str):
        raise No(f"this is no envelope: {shown}")
    return seq, prev, channel, ts


def _subscribe(connection: ClientConnection) -> int:
    """Ask for every channel; the number of subscriptions that the server then counts."""
    connection.send(json.dumps({"type": "subscribe", "data": {"channels": [_EVERYTHING]}}))
    try:
        frame = connection.recv(timeout=TIMEOUT_S)
    except TimeoutError:
        raise No(f"no answer to subscribe within {TIMEOUT_S:g} s") from None
    try:
        answer = json.loads(frame)
        kind, subscribed, count = answer["type"], answer["subscribed"], answer["count"]
    except (ValueError, TypeError, LookupError):
        raise No(f"subscribe was answered with {str(frame)[:100]}") from None
    if kind != "subscription_ack" or _EVERYTHING not in subscribed:
        raise No(f"subscribe was answered with {str(frame)[:100]}")
    return int(count)
