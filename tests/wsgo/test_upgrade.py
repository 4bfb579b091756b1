"""wsgo/upgrade.py: the first bytes of a socket, however they arrive."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from typing import TYPE_CHECKING

import pytest

from tests.wsgo.test_frames import masked
from wsgo.upgrade import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from tests.wsgo.conftest import Pair

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = masked(1, b'{"type":"ping"}')


def connect(pair: Pair) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", pair.wsgo.port), 10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


def read_until(raw: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        part = raw.recv(65536)
        assert part, data
        data += part
    return data


@pytest.mark.parametrize("size", [1, 7, len(REQUEST)])
def test_a_handshake_in_pieces(pair: Pair, size: int) -> None:
    with connect(pair) as raw:
        for start in range(0, len(REQUEST), size):
            raw.sendall(REQUEST[start : start + size])
        answer = read_until(raw, b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
        raw.sendall(PING)
        assert b'"pong"' in read_until(raw, b"}")


def test_frames_right_behind_the_handshake_are_not_lost(pair: Pair) -> None:
    with connect(pair) as raw:
        raw.sendall(REQUEST + PING)
        assert b'"pong"' in read_until(raw, b'"pong"')


def test_plain_http_keeps_its_connection(pair: Pair) -> None:
    with connect(pair) as raw:
        for _ in range(3):
            raw.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in read_until(raw, b'{"live":true}')


def test_another_upgrade_is_just_http(pair: Pair) -> None:
    with connect(pair) as raw:
        raw.sendall(REQUEST.replace(b"WebSocket\r\n", b"h2c\r\n").replace(b"/ws", b"/live"))
        assert b"200 OK" in read_until(raw, b'{"live":true}')


def test_a_wrong_path_is_refused_with_json(pair: Pair) -> None:
    with connect(pair) as raw:
        raw.sendall(REQUEST.replace(b"/ws", b"/x"))
        head, _, body = read_until(raw, b"}").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert json.loads(body)["error"] == "not_found"
        assert raw.recv(10) == b""


def test_endless_headers_are_cut(pair: Pair) -> None:
    with connect(pair) as raw, pytest.raises(ConnectionError):  # noqa: PT012 - when it is felt depends on the kernel
        raw.sendall(b"GET /ws HTTP/1.1\r\n")
        for number in range(MAX_HEAD_BYTES):
            raw.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))


def test_random_bytes_after_the_handshake_end_that_client_only(pair: Pair) -> None:
    rng = random.Random(7)
    for _ in range(200):
        with connect(pair) as raw:
            raw.sendall(REQUEST)
            read_until(raw, b"\r\n\r\n")
            raw.sendall(rng.randbytes(rng.randint(1, 400)))
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while raw.recv(65536):
                    pass
    assert pair.wsgo.get("/health")[0] == 200
    assert "Traceback" not in pair.wsgo.log.read_text()
