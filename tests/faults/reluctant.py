"""Clients that read nothing, or little, or whose machine has gone: raw sockets with a small receive buffer."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import socket
import struct

from tests.faults.swarm import CLOSE, TEXT, Envelope, frame, parse

RECEIVE_BUFFER = 8192
_SO_ATTACH_FILTER = 26
_BPF_RETURN = 0x06
_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Reluctant:
    """One such client; it reads only when told to."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.setblocking(False)
        self.received = b""
        self.ended = False

    async def enter(self, port: int, *channels: str) -> None:
        """Connect and subscribe."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", port))
        await loop.sock_sendall(self.socket, _HANDSHAKE)
        while b"\r\n\r\n" not in self.received:
            await self.read(1000)
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        request = json.dumps({"type": "subscribe", "data": {"channels": channels}})
        await loop.sock_sendall(self.socket, frame(TEXT, request.encode()))
        while b"subscription_ack" not in self.received:
            await self.read(1000)

    async def read(self, size: int) -> None:
        """At most `size` bytes; `ended` is set where there are no more to come."""
        try:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, size), 10)
        except ConnectionError:
            data = b""
        self.received += data
        self.ended = self.ended or not data

    async def read_slowly(self, bytes_per_second: int, until: asyncio.Event) -> None:
        """Until told to go on faster, or the end."""
        while not self.ended and not until.is_set():
            await self.read(bytes_per_second // 10)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), 0.1)

    async def read_all(self) -> None:
        while not self.ended:
            await self.read(65536)

    def vanish(self) -> None:
        """From now on the kernel drops whatever arrives for this socket, unacknowledged: a half-open connection.

        A socket filter that accepts no byte of any packet; it is applied before TCP sees the packet.
        """
        program = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
        fprog = struct.pack("HL", 1, ctypes.addressof(program))
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)

    def envelopes(self) -> list[Envelope]:
        return [item for item in parse(self.received).frames if isinstance(item, Envelope)]

    def ending(self) -> tuple[int, str]:
        """Code and reason of the close frame; (0, "") if none came."""
        for item in parse(self.received).frames:
            if not isinstance(item, Envelope) and item[0] == CLOSE:
                return int.from_bytes(item[1][:2]), item[1][2:].decode()
        return 0, ""

    def close(self) -> None:
        self.socket.close()
