"""An independent client (the `websockets` library) with the few verbs the tests need."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats
from websockets.asyncio.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.js import JetStreamContext

STREAM = "ODIN_TOKENS"


class Client:
    """JSON in, JSON out, each wait bounded."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def receive(self, seconds: float = 10.0) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), seconds))
        return message

    async def receive_until(self, kind: str, seconds: float = 10.0) -> list[dict[str, Any]]:
        """Everything up to and including the first message of type `kind`."""
        messages = [await self.receive(seconds)]
        while messages[-1]["type"] != kind:
            messages.append(await self.receive(seconds))
        return messages

    async def request(self, kind: str, **data: object) -> dict[str, Any]:
        """Send a request and return the next message."""
        await self.socket.send(json.dumps({"type": kind, "data": data}))
        return await self.receive()

    async def subscribe(self, *channels: str) -> dict[str, Any]:
        answer = await self.request("subscribe", channels=list(channels))
        assert answer["type"] == "subscription_ack", answer
        return answer

    async def silent(self) -> None:
        """Nothing is on its way: the answer to a ping is the next message."""
        assert (await self.request("ping"))["type"] == "pong"


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    # The library compares nothing to the server's own close; 1 s keeps a failed test short.
    async with connect(url, close_timeout=1, ping_interval=None, max_size=2**24) as socket:
        yield Client(socket)


@asynccontextmanager
async def jetstream(url: str, *, create: bool = True) -> AsyncIterator[JetStreamContext]:
    """A JetStream context; the stream is made unless it exists."""
    connection = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=1)
    try:
        stream = connection.jetstream()
        if create:
            await stream.add_stream(name=STREAM, subjects=["odin.token.>"])
        yield stream
    finally:
        await connection.close()


async def publish(stream: JetStreamContext, channel: str, payload: object) -> int:
    """Publish JSON to a channel; returns the sequence the stream gave it."""
    ack = await stream.publish(f"odin.token.{channel}", json.dumps(payload).encode())
    return ack.seq
