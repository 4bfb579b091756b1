"""Random and mutated inputs from a seeded generator: frames, JSON requests, HTTP requests."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from tests.faults.swarm import TEXT, frame

_KINDS = ["subscribe", "unsubscribe", "replay", "resume", "heartbeat", "ping", "info"]
_FIELDS = ["channels", "from", "to", "since", "epoch", "data", "type", "x"]
_NUMBERS: list[Any] = [0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**30, -(10**30), 1.5, -0.0, 1e308]
_TEXTS = [
    "",
    "BTC.trade",
    "BTC.*",
    "*.trade",
    ">",
    ".",
    "..",
    "a.b.c",
    "\x00",
    "é.ü",
    "\U0001f4a9.x",
    "A" * 200,
    "*.>",
    "a .b",
]
_PATHS = [
    "/ws",
    "/ws?channels=BTC.trade",
    "/ws?channels=%ff%fe",
    "/ws?channels=",
    "/",
    "/health",
    "/metrics",
    "/%zz",
    "/ws/",
]
_HEADERS = [
    "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13", "Origin: null", "Content-Length: 5", "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Sec-WebSocket-Protocol: a,b", "Expect: 100-continue", "Authorization: Bearer \xe9",
    "Connection: close", "X: " + "y" * 5000,
    "Upgrade: h2c", "Accept: application/openmetrics-text", ": empty", "NoColon", "Sec-WebSocket-Key: short",
]  # fmt: skip


class Fuzzer:
    """Three endless sources of input; the same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    # -- JSON ----------------------------------------------------------------------------------

    def value(self, depth: int = 0) -> Any:
        """Any JSON value, strange ones preferred."""
        pick = self.random.randrange(10 if depth < 4 else 6)
        if pick < 2:
            return self.random.choice(_NUMBERS)
        if pick < 4:
            return self.random.choice(_TEXTS)
        if pick == 4:
            return self.random.choice([None, True, False])
        if pick == 5:
            return self.random.choice(_KINDS)
        if pick < 8:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(_FIELDS): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def request(self) -> bytes:
        """The payload of a text frame: UTF-8, a request or nearly one."""
        pick = self.random.randrange(10)
        if pick == 0:
            return ("[" * self.random.randrange(3000)).encode()
        if pick == 1:
            return "".join(chr(self.random.randrange(1, 0xD800)) for _ in range(self.random.randrange(50))).encode()
        data = {name: self.value() for name in self.random.sample(_FIELDS, self.random.randrange(5))}
        if self.random.random() < 0.5:
            # Right in most of its fields, so that it gets far.
            data |= {"channels": self.random.sample(["A.b", "A.*", "*.b", ">", "BTC.trade"], self.random.randrange(4))}
            data |= {"since": self.random.randrange(300), "epoch": self.random.choice(["", "x"])}
        body = json.dumps({"type": self.random.choice([*_KINDS, *_KINDS, self.value()]), "data": data}).encode()
        if pick == 2 and body:
            cut = self.random.randrange(len(body))
            body = body[:cut] + self.random.choice([b"", b"\\ud800", b'"', b"NaN", b"}", b"1e999"]) + body[cut + 1 :]
        return body

    # -- frames --------------------------------------------------------------------------------

    def frames(self) -> bytes:
        """Bytes after a handshake: valid frames, broken in some way, or noise."""
        pick = self.random.randrange(8)
        if pick == 0:
            return self.random.randbytes(self.random.randrange(1, 200))
        if pick == 1:
            # A header that promises anything; the bytes may never come.
            length = self.random.choice([126, 127, 65535, 65536, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
            opcode = self.random.randrange(256)
            return struct.pack(">BBQ", opcode, 255, length) + self.random.randbytes(self.random.randrange(40))
        parts = [self.one_frame() for _ in range(self.random.randrange(1, 5))]
        data = bytearray(b"".join(parts))
        for _ in range(self.random.choice([0, 1, 1, 3])):
            where = self.random.randrange(len(data))
            data[where] ^= 1 << self.random.randrange(8)
        if pick == 2:
            del data[self.random.randrange(len(data)) :]
        return bytes(data)

    def one_frame(self) -> bytes:
        first = self.random.choice([0x81, 0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0x83, 0xC1, 0x8B])
        payload = self.request() if self.random.random() < 0.6 else self.random.randbytes(self.random.randrange(140))
        whole = frame(TEXT, payload)
        key = self.random.randbytes(4)
        start = len(whole) - len(payload)
        masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        return bytes([first]) + whole[1 : start - 4] + key + masked

    # -- HTTP ----------------------------------------------------------------------------------

    def http(self) -> bytes:
        """A request head, right or wrong."""
        pick = self.random.randrange(10)
        if pick == 0:
            return self.random.randbytes(self.random.randrange(1, 300))
        method = self.random.choice(["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "CONNECT", "FOO", "get"])
        path = self.random.choice(_PATHS)
        if pick == 1:
            path += "".join(chr(self.random.randrange(33, 255)) for _ in range(self.random.randrange(30)))
        version = self.random.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""])
        headers = self.random.sample(_HEADERS, self.random.randrange(3))
        if self.random.random() < 0.6:
            headers = [*_HEADERS[:5], *headers]
        lines = [f"{method} {path} {version}", *headers]
        data = bytearray("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        if self.random.random() < 0.3:
            data += self.frames()
        for _ in range(self.random.choice([0, 0, 0, 1, 5])):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        return bytes(data)
