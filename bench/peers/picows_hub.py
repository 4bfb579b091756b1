"""picows: a WebSocket server class in Cython on uvloop; each message is sent to each client's transport.

Run as `python picows_hub.py PORT NATS_URL`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import nats
import uvloop
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from nats.aio.msg import Msg

clients: set[WSTransport] = set()


class Client(WSListener):  # type: ignore[misc]
    def on_ws_connected(self, transport: WSTransport) -> None:
        clients.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        clients.discard(transport)


def accept(_: WSUpgradeRequest) -> WSListener:
    return Client()


async def on_message(message: Msg) -> None:
    for transport in tuple(clients):
        transport.send(WSMsgType.TEXT, message.data)


async def serve() -> None:
    connection = await nats.connect(sys.argv[2])
    await connection.subscribe("odin.token.>", cb=on_message, pending_bytes_limit=0, pending_msgs_limit=0)
    server = await ws_create_server(accept, "127.0.0.1", int(sys.argv[1]), enable_auto_ping=False, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
