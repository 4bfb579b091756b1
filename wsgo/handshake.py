"""The opening handshake (RFC 6455, section 4.2) and what a refused client reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

import orjson

from wsgo.channels import is_channel
from wsgo.errors import Refusal, TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsgo.credentials import Claims, Credentials
    from wsgo.settings import Settings

PATH = b"/ws"
SUBPROTOCOL = "odin"
_BEARER = "bearer."
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RefusedError(Exception):
    """The handshake is not completed; `response` is the whole HTTP answer."""

    def __init__(self, refusal: Refusal, message: str = "", token_fault: str = "") -> None:
        super().__init__(refusal)
        self.refusal = refusal
        # What is wrong with its token, in a word, if it is that.
        self.token_fault = token_fault
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


class Accepted(NamedTuple):
    """What came of an upgrade request: the 101 answer, the channels of `?channels=`, and what its token says."""

    answer: bytes
    channels: frozenset[str]
    claims: Claims | None


def negotiate(
    method: str,
    url: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    settings: Settings,
    credentials: Credentials | None = None,
) -> Accepted:
    """Check an upgrade request; raises RefusedError. Header names are in lower case.

    A token stands in the Authorization header, in `?token=`, or, because browsers can send neither a header
    nor should show it in a URL, among the subprotocols as `bearer.TOKEN`, beside `odin`, which is selected.
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
    offered = [p for n, v in headers if n == b"sec-websocket-protocol" for p in v.decode("latin-1").split(",")]
    protocols = [protocol.strip() for protocol in offered]
    claims = None
    if settings.auth_token or credentials is not None:
        token = _token(values.get(b"authorization", b""), fields, protocols)
        if credentials is not None:
            claims = _verified(token, credentials)
        elif not hmac.compare_digest(token.encode(), settings.auth_token.encode()):
            raise RefusedError(Refusal.UNAUTHORIZED)
    channels = _channels(fields, settings.max_channels) if fields else frozenset()
    if claims is not None and (forbidden := claims.forbidden(channels)):
        raise RefusedError(Refusal.FORBIDDEN_CHANNEL, f"the token does not allow {forbidden[0]!r}")
    selected = b"Sec-WebSocket-Protocol: odin\r\n" if SUBPROTOCOL in protocols else b""
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + selected
        + (b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n")
    )
    return Accepted(answer, channels, claims)


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _token(header: bytes, fields: dict[str, list[str]], protocols: list[str]) -> str:
    scheme, _, given = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip().decode(errors="replace")
    for protocol in protocols:
        if protocol.startswith(_BEARER):
            return protocol.removeprefix(_BEARER)
    return fields.get("token", [""])[0].strip()


def _verified(token: str, credentials: Credentials) -> Claims:
    try:
        return credentials.verify(token)
    except TokenError as error:
        raise RefusedError(Refusal.UNAUTHORIZED, str(error), error.reason) from None


def _channels(fields: dict[str, list[str]], limit: int) -> frozenset[str]:
    names = [name for value in fields.get("channels", ()) for name in value.split(",") if name]
    if wrong := [name for name in names if not is_channel(name)]:
        raise RefusedError(Refusal.BAD_CHANNELS, f"not a channel: {wrong[0][:128]!r}; write SYMBOL.EVENT or BTC.*")
    if limit and len(set(names)) > limit:
        raise RefusedError(Refusal.BAD_CHANNELS, f"{len(set(names))} channels; the limit is {limit}")
    return frozenset(names)
