"""The first bytes of a socket: a WebSocket handshake is answered here, everything else is uvicorn's.

A client that comes to stay never gets one of uvicorn's HTTP protocol objects, an ASGI scope or a task;
that makes a handshake about a third cheaper, and handshakes are what a server does when everybody
comes back at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wsgo import handshake
from wsgo.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn import Config
    from uvicorn.server import ServerState

    from wsgo.context import Context

# A request line and headers longer than this are no client of ours.
MAX_HEAD_BYTES = 65536


class Doorway(asyncio.Protocol):
    """Reads one request head with httptools, then hands the socket on. uvicorn makes one per socket."""

    context: Context
    connection_class: type[Connection] = Connection

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._uvicorn = (config, server_state, app_state, _loop)
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._received = b""
        self._complete = False
        self.transport: asyncio.Transport
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    # -- asyncio's callbacks -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.context.silent[self] = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        self.context.silent.pop(self, None)
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        self._received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if _asks_for_websocket(self.headers):
                self._upgrade(self._parser.get_method().decode(), data[upgrade.args[0] :])
                return
            self._complete = True
        except httptools.HttpParserError:
            self._complete = True  # uvicorn has an answer for that
        if self._complete:
            self._hand_over()
        elif len(self._received) > MAX_HEAD_BYTES:
            self.transport.abort()

    # -- httptools' callbacks ------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._complete = True

    # -- onward --------------------------------------------------------------------------------

    def _leave(self) -> None:
        """The parser refers back to this object: both would wait for the garbage collector."""
        self._parser = None
        self.context.silent.pop(self, None)

    def _upgrade(self, method: str, first_frames: bytes) -> None:
        self._leave()
        context, transport = self.context, self.transport
        address = (transport.get_extra_info("peername") or ("",))[0]
        try:
            if (refusal := context.guard.refusal(address)) is not None:
                raise handshake.RefusedError(refusal)
            accepted = handshake.negotiate(method, self.url, self.headers, context.settings, context.credentials)
        except handshake.RefusedError as error:
            context.refused(error.refusal.value, address, error.token_fault)
            transport.write(error.response)
            transport.close()
            return
        connection = self.connection_class(context, transport, address, accepted.claims)
        transport.set_protocol(connection)
        transport.write(accepted.answer)
        connection.open(accepted.channels)
        if first_frames:
            connection.data_received(first_frames)

    def _hand_over(self) -> None:
        self._leave()
        http = _Http(*self._uvicorn)
        http.doorway = type(self)
        self.transport.set_protocol(http)
        http.connection_made(self.transport)
        http.data_received(self._received)


class _Http(HttpToolsProtocol):
    """uvicorn's, but for an upgrade on a connection that was kept alive: proxies do that, and it goes
    through a doorway too."""

    doorway: type[Doorway]

    def _should_upgrade(self) -> bool:
        return _asks_for_websocket(self.scope["headers"])

    def handle_websocket_upgrade(self) -> None:
        self.connections.discard(self)
        head = [self.scope["method"].encode(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.scope["headers"]:
            head += [name, b": ", value, b"\r\n"]
        doorway = self.doorway(self.config, self.server_state, self.app_state, self.loop)
        transport = self.transport
        transport.set_protocol(doorway)
        doorway.connection_made(transport)
        doorway.data_received(b"".join([*head, b"\r\n"]))


def _asks_for_websocket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Both headers are lists, and a list may stand on several lines (RFC 9110, section 5.3)."""
    return b"websocket" in _tokens(headers, b"upgrade") and b"upgrade" in _tokens(headers, b"connection")


def _tokens(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> set[bytes]:
    return {token.strip() for name, value in headers if name == wanted for token in value.lower().split(b",")}


def protocol_for(context: Context) -> type[Doorway]:
    """The class uvicorn makes an instance of for each socket of the public listener."""
    return type("WorkerDoorway", (Doorway,), {"context": context})
