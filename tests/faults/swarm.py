"""Thousands of WebSocket clients in one process: each checks its channels' `prev` chains and remembers its end.

Clients with the same subscriptions get the same bytes, mostly in the same pieces: a piece is parsed once, and
every other client that receives it only compares its ends. The protocol is written here from RFC 6455, not
taken from `wsgo`, so that a shared mistake cannot hide.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ENVELOPE = re.compile(rb'\{"seq":(\d+),"prev":(\d+),"ts":(\d+),"type":"[^"]*","priority":1,"channel":"([^"]*)"')
# Publishers put the time of publishing here, unix ns.
_AT = re.compile(rb'"at":(\d+)')
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_CACHED_PIECES = 4096
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
# Of the test that runs, to be ended with it whatever its end.
_swarms: list[Swarm] = []


class Envelope(NamedTuple):
    """One message as a client saw it; `at` is when it was published (unix ns), 0 if it does not say."""

    channel: str
    seq: int
    prev: int
    at: int


class Piece(NamedTuple):
    """What a run of bytes held: `frames` in order, each an envelope, or (opcode, payload) of anything else."""

    frames: list[Envelope | tuple[int, bytes]]
    consumed: int
    # Only envelopes, no gap between them: {channel: (first prev, first seq, last seq)}; None: look at each.
    links: dict[str, tuple[int, int, int]] | None
    oldest: int


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole client frame; masked with zeros, which leaves the payload as it is."""
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


def parse(data: bytes) -> Piece:
    """All whole frames at the start of `data`."""
    frames: list[Envelope | tuple[int, bytes]] = []
    links: dict[str, tuple[int, int, int]] | None = {}
    position, oldest = 0, 0
    while position + 2 <= len(data):
        opcode, length, body = data[position] & 0x0F, data[position + 1], position + 2
        if length == 126:
            body += 2
            length = int.from_bytes(data[position + 2 : body])
        elif length == 127:
            body += 8
            length = int.from_bytes(data[position + 2 : body])
        if body + length > len(data) or (body > position + 2 and body > len(data)):
            break
        position = body + length
        match = _ENVELOPE.match(data, body, position) if opcode == TEXT else None
        if match is None:
            frames.append((opcode, data[body:position]))
            links = None
            continue
        at = _AT.search(data, match.end(), position)
        seq, prev, channel = int(match[1]), int(match[2]), match[4].decode()
        envelope = Envelope(channel, seq, prev, int(at[1]) if at else 0)
        frames.append(envelope)
        oldest = oldest or envelope.at
        if links is not None:
            link = links.get(channel)
            if link is None:
                links[channel] = (prev, seq, seq)
            elif link[2] == prev and seq > prev:
                links[channel] = (*link[:2], seq)
            else:
                links = None
    return Piece(frames, position, links, oldest)


class Member(asyncio.Protocol):
    """One client. `last` is the latest `seq` of each channel; `gaps` are (channel, last, prev) that did not fit."""

    __slots__ = (
        "answers", "close_code", "close_reason", "closed", "envelopes", "first", "gaps", "last", "lost", "ready",
        "received", "refusal", "request", "seqs", "swarm", "tail", "transcript", "transport", "unknown",
        "waiter", "went",
    )  # fmt: skip

    def __init__(self, swarm: Swarm, path: str, ready: asyncio.Future[None]) -> None:
        self.swarm = swarm
        self.request = _REQUEST.format(path=path).encode()
        self.ready: asyncio.Future[None] | None = ready
        self.transport: asyncio.Transport
        self.tail = b""
        # (status, headers in lower case, body) if the handshake was refused.
        self.refusal: tuple[int, dict[str, str], bytes] | None = None
        self.last: dict[str, int] = {}
        self.first: dict[str, int] = {}
        self.gaps: list[tuple[str, int, int]] = []
        self.unknown = 0
        self.received = 0
        # Every sequence in order, if the swarm keeps them.
        self.seqs: list[int] = []
        # Then also envelopes and answers, in the order they came.
        self.transcript: list[Envelope | dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.waiter: asyncio.Future[None] | None = None
        self.close_code = 0
        self.close_reason = ""
        # Unix-like monotonic times: the close frame, and the end of the socket.
        self.closed = self.lost = 0.0
        # True once this side asked for the end.
        self.went = False

    # -- asyncio -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.swarm.sockets.add(self)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.tail:
            data, self.tail = self.tail + data, b""
        if self.ready is not None:
            data = self._handshake(data)
        if data:
            self.consume(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = time.monotonic()
        self.swarm.sockets.discard(self)
        self.swarm.members.discard(self)
        if self.ready is not None and not self.ready.done():
            if self.tail and self.refusal is None:
                self._refused(self.tail)
            self.ready.set_result(None)
        if not self.went and self.refusal is None:
            self.swarm.ended.append(self)
        self._wake()

    # -- frames --------------------------------------------------------------------------------

    def _handshake(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end or (not head.startswith(b"HTTP/1.1 101") and not self._complete(head, rest)):
            self.tail = data
            return b""
        assert self.ready is not None
        ready, self.ready = self.ready, None
        if not head.startswith(b"HTTP/1.1 101"):
            self._refused(data)
            rest = b""
        else:
            self.swarm.members.add(self)
        if not ready.done():
            ready.set_result(None)
        return rest

    @staticmethod
    def _complete(head: bytes, rest: bytes) -> bool:
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return length is not None and len(rest) >= int(length[1])

    def _refused(self, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        words = status.split()
        code = int(words[1]) if len(words) > 1 else 0
        self.refusal = (code, {name.lower(): value.strip() for name, _, value in pairs}, body)

    def consume(self, data: bytes) -> None:
        """Take whole frames from `data`, keep the rest."""
        swarm = self.swarm
        piece = swarm.pieces.get(data)
        if piece is None:
            piece = parse(data)
            if len(swarm.pieces) >= _CACHED_PIECES:
                swarm.pieces.clear()
            swarm.pieces[data] = piece
        if piece.consumed < len(data):
            self.tail = data[piece.consumed :]
        if piece.oldest:
            swarm.latencies.append((time.time_ns() - piece.oldest) / 1e6)
        if piece.links is None or swarm.keep:
            for item in piece.frames:
                if isinstance(item, Envelope):
                    self.envelope(item)
                else:
                    self.other(*item)
            return
        self.received += len(piece.frames)
        last = self.last
        for channel, (prev, first, latest) in piece.links.items():
            before = last.get(channel)
            if before is None:
                self.first[channel] = first
            elif before != prev:
                self._break(channel, before, prev)
            last[channel] = latest

    def envelope(self, item: Envelope) -> None:
        self.received += 1
        before = self.last.get(item.channel)
        if before is None:
            self.first[item.channel] = item.seq
        elif before != item.prev:
            self._break(item.channel, before, item.prev)
        self.last[item.channel] = item.seq
        if self.swarm.keep:
            self.seqs.append(item.seq)
            self.transcript.append(item)

    def _break(self, channel: str, before: int, prev: int) -> None:
        if prev == 0:
            self.unknown += 1
        else:
            self.gaps.append((channel, before, prev))

    def other(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == TEXT:
            self.answers.append(json.loads(payload))
            if self.swarm.keep:
                self.transcript.append(self.answers[-1])
            self._wake()
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2])
            self.close_reason = payload[2:].decode()
            self.closed = time.monotonic()
            if not self.went:
                self.transport.write(frame(CLOSE, payload[:2]))
            self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    # -- verbs ---------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self.ready is None and self.refusal is None and not self.lost

    def send(self, kind: str, **data: object) -> None:
        self.transport.write(frame(TEXT, json.dumps({"type": kind, "data": data}).encode()))

    async def answer(self, *kinds: str, seconds: float = 15.0) -> dict[str, Any]:
        """Remove and return the first answer of one of these types, waiting for it."""
        deadline = time.monotonic() + seconds
        while True:
            for index, answer in enumerate(self.answers):
                if answer["type"] in kinds:
                    return self.answers.pop(index)
            left = deadline - time.monotonic()
            if self.lost or left <= 0:
                raise TimeoutError(f"no {kinds}: {self.answers[:3]} {self.close_code} {self.close_reason}")
            self.waiter = asyncio.get_running_loop().create_future()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.waiter, left)

    async def ask(self, kind: str, *answers: str, **data: object) -> dict[str, Any]:
        self.send(kind, **data)
        return await self.answer(*(answers or (kind,)))

    async def subscribe(self, *channels: str) -> dict[str, Any]:
        return await self.ask("subscribe", "subscription_ack", channels=list(channels))

    def leave(self, *, rude: bool = False) -> None:
        """Go, with a close frame, or `rude`: cut the socket (RST)."""
        self.went = True
        if rude:
            raw = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.write(frame(CLOSE, b"\x03\xe8"))


@dataclass
class Swarm:
    """All clients of one test. `keep` remembers every sequence (memory and time: for few messages)."""

    port: int
    source: str = "127.0.0.1"
    keep: bool = False
    receive_buffer: int = 0
    members: set[Member] = field(default_factory=set)
    # Members and those whose handshake is not answered, or was refused.
    sockets: set[Member] = field(default_factory=set)
    # Those that the other side ended, or whose socket broke.
    ended: list[Member] = field(default_factory=list)
    pieces: dict[bytes, Piece] = field(default_factory=dict)
    # Milliseconds from publishing to arrival, of the oldest message in each piece each client got.
    latencies: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        _swarms.append(self)

    async def connect(self, path: str = "/ws", port: int = 0) -> Member:
        """One client, its handshake answered (see `refusal`); raises OSError if nobody listens."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        member = Member(self, path, ready)
        raw = socket.socket()
        raw.setblocking(False)
        if self.receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.source != "127.0.0.1":
            raw.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect()
            raw.bind((self.source, 0))
        try:
            await loop.sock_connect(raw, ("127.0.0.1", port or self.port))
            await loop.create_connection(lambda: member, sock=raw)
        except BaseException:
            raw.close()
            raise
        await asyncio.wait_for(ready, 20)
        return member

    async def gather(self, count: int, path: str = "/ws", at_once: int = 100) -> list[Member]:
        """`count` clients, `at_once` handshakes under way; raises if one is refused."""
        members: list[Member] = []

        async def some() -> None:
            while len(members) + waiting[0] < count:
                waiting[0] += 1
                try:
                    member = await self.connect(path)
                finally:
                    waiting[0] -= 1
                assert member.refusal is None, member.refusal
                members.append(member)

        waiting = [0]
        await asyncio.gather(*(some() for _ in range(min(count, at_once))))
        return members

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Look every 20 ms until `condition` holds; raises TimeoutError naming `what`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds} s")
            await asyncio.sleep(0.02)

    async def disband(self) -> None:
        """Close all that are left, without ceremony."""
        for member in tuple(self.members):
            member.leave(rude=True)
        await self.until(lambda: not self.members, 10, "all sockets closed")


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that `percent` of `values` do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def endings(members: Iterable[Member]) -> Counter[tuple[int, str]]:
    """How many ended with which close code and reason."""
    return Counter((member.close_code, member.close_reason) for member in members if member.lost)


async def abort_all() -> None:
    """Cut what a test left open: sockets of a failed one would outlive its loop."""
    for swarm in _swarms:
        for member in tuple(swarm.sockets):
            member.transport.abort()
    while any(swarm.sockets for swarm in _swarms):
        await asyncio.sleep(0.001)
    _swarms.clear()
