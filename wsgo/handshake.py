"""The opening handshake (RFC 6455, section 4.2) and what a refused client reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import orjson

from wsgo.channels import is_channel
from wsgo.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsgo.settings import Settings

PATH = b"/ws"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RefusedError(Exception):
    """The handshake is not completed; `response` is the whole HTTP answer."""

    def __init__(self, refusal: Refusal, message: str = "") -> None:
        super().__init__(refusal)
        self.refusal = refusal
        self.response = response(refusal, message or refusal.description)


def response(refusal: Refusal, message: str) -> bytes:
    """The HTTP answer to a refused client: JSON, Retry-After where coming back helps, connection closed."""
    body: dict[str, object] = {"error": refusal.value, "message": message}
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    if refusal.retry_after:
        # Spread over twice the time, or all refused clients come back at once.
        seconds = refusal.retry_after + random.randint(0, refusal.retry_after)  # noqa: S311 - jitter
        body["retry_after"] = seconds
        lines.append(f"Retry-After: {seconds}")
    if refusal is Refusal.BAD_VERSION:
        lines.append("Sec-WebSocket-Version: 13")
    if refusal is Refusal.UNAUTHORIZED:
        lines.append('WWW-Authenticate: Bearer realm="ws-go"')
    content = orjson.dumps(body)
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + content


def accept_key(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def negotiate(
    method: str, url: bytes, headers: Iterable[tuple[bytes, bytes]], settings: Settings
) -> tuple[bytes, frozenset[str]]:
    """Check an upgrade request; returns the 101 answer and the channels of `?channels=`, or raises RefusedError.

    Header names are in lower case.
    """
    path, _, query = url.partition(b"?")
    if path != PATH:
        raise RefusedError(Refusal.NOT_FOUND)
    values = dict(headers)
    key = values.get(b"sec-websocket-key", b"")
    if method != "GET" or not _is_key(key):
        raise RefusedError(Refusal.BAD_HANDSHAKE)
    if values.get(b"sec-websocket-version") != b"13":
        raise RefusedError(Refusal.BAD_VERSION)
    if settings.allowed_origins:
        origin = values.get(b"origin", b"").decode("latin-1")
        if origin and origin not in settings.allowed_origins:
            raise RefusedError(Refusal.FORBIDDEN_ORIGIN)
    fields = parse_qs(query.decode("latin-1"), encoding="utf-8") if query else {}
    if settings.auth_token and not _authorized(values.get(b"authorization", b""), fields, settings.auth_token):
        raise RefusedError(Refusal.UNAUTHORIZED)
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
    )
    return answer, _channels(fields, settings.max_channels) if fields else frozenset()


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _authorized(header: bytes, fields: dict[str, list[str]], token: str) -> bool:
    scheme, _, given = header.partition(b" ")
    if scheme.lower() != b"bearer":
        given = fields.get("token", [""])[0].encode()
    return hmac.compare_digest(given.strip(), token.encode())


def _channels(fields: dict[str, list[str]], limit: int) -> frozenset[str]:
    names = [name for value in fields.get("channels", ()) for name in value.split(",") if name]
    if wrong := [name for name in names if not is_channel(name)]:
        raise RefusedError(Refusal.BAD_CHANNELS, f"not a channel: {wrong[0][:128]!r}; write SYMBOL.EVENT or BTC.*")
    if limit and len(set(names)) > limit:
        raise RefusedError(Refusal.BAD_CHANNELS, f"{len(set(names))} channels; the limit is {limit}")
    return frozenset(names)
