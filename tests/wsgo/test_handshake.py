"""wsgo/handshake.py: RFC 6455's own example, and every reason to say no."""

from __future__ import annotations

import json

import pytest

from wsgo.errors import Refusal
from wsgo.handshake import RefusedError, accept_key, negotiate, response
from wsgo.settings import Settings

HEADERS = [
    (b"host", b"x"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
]


def with_(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(n, v) for n, v in HEADERS if n != name] + ([(name, value)] if value else [])


def test_the_rfcs_example() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    answer, channels, claims = negotiate("GET", b"/ws", HEADERS, Settings())
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in answer
    assert channels == frozenset()
    assert claims is None


def test_channels_of_the_query() -> None:
    _, channels, _ = negotiate("GET", b"/ws?channels=BTC.trade,%2A.social&channels=ETH.%3E", HEADERS, Settings())
    assert channels == {"BTC.trade", "*.social", "ETH.>"}


@pytest.mark.parametrize(
    ("method", "url", "headers", "refusal"),
    [
        ("GET", b"/", HEADERS, Refusal.NOT_FOUND),
        ("GET", b"/wsx", HEADERS, Refusal.NOT_FOUND),
        ("POST", b"/ws", HEADERS, Refusal.BAD_HANDSHAKE),
        ("GET", b"/ws", with_(b"sec-websocket-key", b""), Refusal.BAD_HANDSHAKE),
        ("GET", b"/ws", with_(b"sec-websocket-key", b"c2hvcnQ="), Refusal.BAD_HANDSHAKE),
        ("GET", b"/ws", with_(b"sec-websocket-key", b"!" * 24), Refusal.BAD_HANDSHAKE),
        ("GET", b"/ws", with_(b"sec-websocket-version", b"8"), Refusal.BAD_VERSION),
        ("GET", b"/ws?channels=\xff.x%20", HEADERS, Refusal.BAD_CHANNELS),
    ],
)
def test_refusals(method: str, url: bytes, headers: list[tuple[bytes, bytes]], refusal: Refusal) -> None:
    with pytest.raises(RefusedError) as error:
        negotiate(method, url, headers, Settings())
    assert error.value.refusal is refusal


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_is_a_whole_http_answer(refusal: Refusal) -> None:
    head, _, body = response(refusal, "why").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].split(" ")[1] == str(refusal.status)
    assert f"Content-Length: {len(body)}" in lines
    content = json.loads(body)
    assert (content["error"], content["message"]) == (refusal.value, "why")
    if refusal.status in {429, 503}:
        assert refusal.retry_after <= content["retry_after"] <= 2 * refusal.retry_after
        assert f"Retry-After: {content['retry_after']}" in lines
    assert "Connection: close" in lines
