"""What the live page's tests drive it with: a watched browser tab, a scripted server, and a way to publish."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import nats
from nats.js.api import StorageType, StreamConfig
from playwright.sync_api import expect

from tests.support import ROOT, stop_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Route, WebSocketRoute

    from tests.support import NatsServer

PAGE = ROOT / "wsgo" / "live.html"
SCRIPTED = "http://odin.test/"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Tab:
    """A page that remembers what went wrong in it and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.server_may_be_away = False
        page.set_default_timeout(15_000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        page.on("websocket", lambda socket: self.requested.append(socket.url))

    def _console(self, message: ConsoleMessage) -> None:
        away = self.server_may_be_away and "WebSocket connection to" in message.text
        if message.type in {"error", "warning"} and not away:
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requested.append(request.url)

    def check(self) -> None:
        """Assert that the console is clean and that only one origin was asked."""
        assert self.complaints == []
        origins = {re.sub(r"^(?:http|ws)://([^/]+).*", r"\1", url) for url in self.requested}
        assert len(origins) == 1, f"asked other origins: {self.requested}"

    def get(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    def row(self, token: str) -> Locator:
        return self.page.locator(f"[data-token={token}]")

    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.scrollingElement.scrollWidth > innerWidth"))

    def number(self, testid: str) -> int:
        return int(re.sub(r"\D", "", self.get(testid).inner_text()) or 0)


class Script:
    """The server's side of the page's sockets, spoken by the test."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sockets: list[WebSocketRoute] = []
        self.received: list[dict[str, Any]] = []
        self.clock_ahead = 0
        self.mute = False
        self.age = 0
        self.resume_answer: dict[str, Any] = {"epoch": "E1", "recovered": True, "replayed": 0}
        self.seq = 100
        self.last: dict[str, int] = {}
        page.route(SCRIPTED + "**", self._serve)
        page.route_web_socket("ws://odin.test/ws", self._accept)

    @staticmethod
    def _serve(route: Route) -> None:
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
        route.fulfill(status=200, headers=headers, body=PAGE.read_bytes())

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda text: self._answer(socket, json.loads(text)))

    def _answer(self, socket: WebSocketRoute, request: dict[str, Any]) -> None:
        self.received.append(request)
        if self.mute:
            return
        channels = request.get("data", {}).get("channels")
        answers: dict[str, dict[str, Any]] = {
            "subscribe": {"type": "subscription_ack", "subscribed": channels, "count": 1},
            "unsubscribe": {"type": "unsubscription_ack", "unsubscribed": channels, "count": 0},
            "resume": {"type": "resume_ack", **self.resume_answer},
            "ping": {"type": "pong", "ts": self.now()},
            "info": {"type": "info", "epoch": "E1", "seq": self.seq, "limits": {}, "version": "0"},
        }
        socket.send(json.dumps(answers[request["type"]]))

    def now(self) -> int:
        """The scripted server's unix time in ms."""
        return int(time.time() * 1000) + self.clock_ahead

    def envelope(self, channel: str, data: object) -> str:
        self.seq += 1
        prev = self.last.get(channel, 0)
        self.last[channel] = self.seq
        fields = {"seq": self.seq, "prev": prev, "ts": self.now() - self.age, "type": "price:update", "priority": 1}
        return json.dumps({**fields, "channel": channel, "data": data})

    def trade(self, token: str, price: object) -> None:
        data = {"tokenId": token, "price": price, "volume24h": 1e6, "marketCap": 2e6, "priceChange24h": -1.5}
        self.sockets[-1].send(self.envelope(f"{token}.trade", data))

    def requests(self, kind: str) -> list[dict[str, Any]]:
        return [request.get("data", {}) for request in self.received if request["type"] == kind]


def open_scripted(tab: Tab, query: str = "") -> None:
    """Open the page on the scripted server, and wait until it has its first answers."""
    tab.page.goto(SCRIPTED + query)
    expect(tab.get("state")).to_have_text("Live")
    expect(tab.get("epoch")).to_have_text("E1")


def publish(server: NatsServer, *messages: tuple[str, object]) -> None:
    """Store (channel, payload) pairs in the stream, which is made if need be.

    In a thread of its own: Playwright's loop is the running loop of this one.
    """

    async def run() -> None:
        connection = await nats.connect(server.url)
        try:
            stream = connection.jetstream()
            await stream.add_stream(
                StreamConfig(name="ODIN_TOKENS", subjects=["odin.token.>"], storage=StorageType.MEMORY)
            )
            for channel, payload in messages:
                await stream.publish(f"odin.token.{channel}", json.dumps(payload).encode())
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result(timeout=30)


def trades(token: str, *prices: float) -> list[tuple[str, object]]:
    return [(f"{token}.trade", {"tokenId": token, "price": price}) for price in prices]


@contextmanager
def running_publisher(server: NatsServer) -> Iterator[None]:
    """`python -m wsgo.publisher`, 200 messages a second."""
    settings = {"NATS_URL": server.url, "HOST": "127.0.0.1", "PORT": "0", "RATE": "200"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wsgo.publisher"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        stop_process(process)
