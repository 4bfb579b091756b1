"""One NATS and one ws-go per module, for tests that leave no trace but channels of their own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support import NatsServer, WsgoServer
from tests.wsgo.client import jetstream

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Pair:
    """A NATS server with the stream, and a ws-go that reads it."""

    nats: NatsServer
    wsgo: WsgoServer


async def make_stream(url: str) -> None:
    async with jetstream(url):
        pass


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    nats = NatsServer(store=folder / "jetstream")
    wsgo = WsgoServer(nats.url, folder / "wsgo.log", {"WS_MAX_CHANNELS": "20", "WS_MAX_MESSAGE_SIZE": "4KiB"})
    try:
        nats.start()
        asyncio.run(make_stream(nats.url))
        wsgo.start()
        yield Pair(nats, wsgo)
    finally:
        wsgo.stop()
        nats.stop()
