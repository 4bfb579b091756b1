"""wsgo/upgrade.py: who gets a WebSocket, on whichever request of a socket, in whichever spelling."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.wsgo.conftest import make_stream

if TYPE_CHECKING:
    from tests.conftest import StartWsgo
    from tests.support import NatsServer, WsgoServer

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
PING = b"\x89\x80\x00\x00\x00\x00"


@pytest.fixture
def server(nats_server: NatsServer, wsgo_server: StartWsgo) -> WsgoServer:
    asyncio.run(make_stream(nats_server.url))
    return wsgo_server()


def answer(connection: socket.socket, request: bytes) -> bytes:
    """The head of the answer, and its body where it has a length."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head


def test_an_upgrade_on_a_connection_that_was_kept_alive(server: WsgoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for _ in range(2):
            assert b" 200 " in answer(connection, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 101 " in answer(connection, b"GET /ws HTTP/1.1\r\nHost: x\r\n" + UPGRADE + KEY + b"\r\n")
        connection.sendall(PING)
        assert connection.recv(2) == b"\x8a\x00"


@pytest.mark.parametrize(
    "headers",
    [
        b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
        b"Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c, WebSocket\r\n",
    ],
)
def test_both_headers_are_lists(server: WsgoServer, headers: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        assert b" 101 " in answer(connection, b"GET /ws HTTP/1.1\r\nHost: x\r\n" + headers + KEY + b"\r\n")


def test_another_protocol_is_not_a_websocket(server: WsgoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        request = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        assert b" 426 " in answer(connection, request)
