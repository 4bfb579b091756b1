"""uWebSockets by socketify: every client subscribes to one topic, each message is published to it.

Run as `python socketify_hub.py PORT NATS_URL`. uWebSockets joins what a turn of its loop publishes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import nats
from socketify import App, AppListenOptions, CompressOptions, OpCode, WebSocket  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from nats.aio.msg import Msg

app = App()


def on_open(client: WebSocket) -> None:
    client.subscribe("all")


async def on_message(message: Msg) -> None:
    app.publish("all", message.data, OpCode.TEXT)


async def subscribe() -> None:
    connection = await nats.connect(sys.argv[2])
    await connection.subscribe("odin.token.>", cb=on_message, pending_bytes_limit=0, pending_msgs_limit=0)


if __name__ == "__main__":
    app.ws(
        "/ws",
        {
            "compression": CompressOptions.DISABLED,
            "idle_timeout": 0,
            "max_backpressure": 64 * 1024 * 1024,
            "open": on_open,
        },
    )
    app.on_start(subscribe)
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"))
    app.run()
