"""The server's own way from socket to message, with an echo behind it: what the fuzzing client talks to.

Doorway, handshake, Connection and Parser are the server's; only what is done with a message is replaced.
There is no NATS: nothing is fanned out here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from wsgo import app, frames, settings
from wsgo.board import Board
from wsgo.cgroup import ProcessMeter
from wsgo.connection import Connection
from wsgo.context import Context
from wsgo.frames import Opcode
from wsgo.server import listen
from wsgo.upgrade import Doorway

if TYPE_CHECKING:
    import socket

# Group 9 sends messages of 16 MiB, a thousand messages as fast as they come back, and reads when it has sent.
SETTINGS = {
    "WS_ADDR": "127.0.0.1:0",
    "WS_CPU_LIMIT": "0",
    "WS_MEMORY_LIMIT": "0",
    "WS_MAX_MESSAGE_SIZE": "32MiB",
    "WS_CLIENT_RATE": "0",
    "WS_SLOW_CLIENT_TIMEOUT": "0",
    "WS_PING_INTERVAL": "0",
    "LOG_LEVEL": "warn",
}


class Echo(Connection):
    """Sends every message back as it came."""

    __slots__ = ()

    def text_received(self, payload: bytes) -> None:
        self.write(frames.text(payload))

    def binary_received(self, payload: bytes) -> None:
        self.write(frames.header(Opcode.BINARY, len(payload)) + payload)


async def serve(listener: socket.socket, context: Context) -> None:
    """Serve until SIGTERM, or until whoever started this process is gone."""
    parent = os.getppid()
    doorway = type("EchoDoorway", (Doorway,), {"context": context, "connection_class": Echo})
    config = uvicorn.Config(
        app.public(context), http=doorway, ws="none", lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while not serving.done() and os.getppid() == parent:
        context.tick()
        await asyncio.wait([serving], timeout=1)
    server.should_exit = True
    await serving


def main() -> int:
    config = settings.load(SETTINGS)
    context = Context(config, Board(1), 0, ProcessMeter())
    # No stream is waited for.
    context.guard.filled = lambda: True
    uvloop.run(serve(listen(config.addr, "WS_ADDR"), context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
