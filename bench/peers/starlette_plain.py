"""uvicorn and Starlette as their documentation has it: an endpoint a client, `await send_text` to each.

Run as `python starlette_plain.py PORT NATS_URL`. Starlette's endpoint, uvicorn's default event loop (uvloop) and its
`websockets-sansio` protocol, the quickest of the three it has; permessage-deflate off, as with every contestant.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import nats
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.msg import Msg

clients: set[WebSocket] = set()


async def endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    clients.add(websocket)
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()
    clients.discard(websocket)


async def on_message(message: Msg) -> None:
    text = message.data.decode()
    for client in tuple(clients):
        try:
            await client.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            clients.discard(client)


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    connection = await nats.connect(sys.argv[2])
    await connection.subscribe("odin.token.>", cb=on_message, pending_bytes_limit=0, pending_msgs_limit=0)
    yield
    await connection.close()


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/ws", endpoint)], lifespan=lifespan),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        backlog=4096,
        access_log=False,
        log_level="warning",
    )
