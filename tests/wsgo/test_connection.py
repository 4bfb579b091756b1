"""wsgo/connection.py: how a connection ends, as a client without a library sees it."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import wait_until
from tests.wsgo.test_frames import masked
from wsgo.frames import Opcode
from wsgo.liveness import CLOSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import WsgoServer
    from tests.wsgo.conftest import Pair

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE = masked(Opcode.CLOSE, struct.pack(">H", 4001))


@contextmanager
def connected(server: WsgoServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(1)
        assert b" 101 " in answer
        yield client


def until_end(client: socket.socket) -> bytes:
    """Everything up to the server's end of the connection; a reset is an error."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def clients(server: WsgoServer) -> float:
    lines = server.get("/metrics")[1].splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("ws_connections_current "))


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"\x81\x05hello", 1002),
        (masked(Opcode.TEXT, b"\xff"), 1007),
        (masked(Opcode.TEXT, b"\xff", final=False), 1007),
        (masked(Opcode.BINARY, b"x" * 5000), 1009),
    ],
)
def test_who_breaks_the_protocol_reads_why_and_the_end_though_it_sends_on(pair: Pair, broken: bytes, code: int) -> None:
    with connected(pair.wsgo) as client:
        client.sendall(broken + b"x" * 1_000_000)
        received = until_end(client)
        assert received[0] == 0x88
        assert struct.unpack(">H", received[2:4]) == (code,)
        assert len(received) == 2 + received[1]
    wait_until(lambda: clients(pair.wsgo) == 0, 5, "the client gone")


def test_what_was_asked_before_a_close_frame_is_answered_and_nothing_after_it(pair: Pair) -> None:
    question = masked(Opcode.TEXT, b'{"type":"info"}')
    with connected(pair.wsgo) as client:
        client.sendall(question + CLOSE + question + masked(Opcode.PING, b"late") + b"\xff" * 300_000)
        received = until_end(client)
        assert received.count(b'"type":"info"') == 1
        assert received.endswith(b"\x88\x02\x0f\xa1")
    wait_until(lambda: clients(pair.wsgo) == 0, 5, "the client gone")


def test_who_has_closed_and_never_hangs_up_is_cut(pair: Pair) -> None:
    with connected(pair.wsgo) as client:
        client.sendall(CLOSE)
        assert until_end(client) == b"\x88\x02\x0f\xa1"
        assert clients(pair.wsgo) == 1
        wait_until(lambda: clients(pair.wsgo) == 0, CLOSE_SECONDS + 5, "the client cut")
