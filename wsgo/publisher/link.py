"""The connection to NATS: kept for ever, with the stream behind it looked after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import nats
from nats.errors import Error
from nats.js.errors import ServiceUnavailableError

from .logs import event, failure
from .stream import StreamKeeper, StreamReport, declared

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from .settings import Settings

RETRY = 1.0
"""Seconds between two attempts to connect."""
_LOOK = 2.0
_REMIND = 30.0


class Link:
    """Connects, reconnects and keeps the stream there, without ever giving up.

    `on_ack` gets every message of the acknowledgement inbox; `on_lost` is called when a
    connection ends.
    """

    def __init__(self, settings: Settings, on_ack: Callable[[Msg], None], on_lost: Callable[[], None]) -> None:
        self.client: Client | None = None
        self.inbox = ""
        """Prefix of the reply subjects: `{inbox}.{group}`."""
        self.ready = asyncio.Event()
        """Set while there is a connection and a stream to publish to."""
        self.keeper = StreamKeeper(declared(settings))
        self.report = StreamReport(self.keeper.name)
        self._servers = settings.nats_servers
        self._shown = settings.nats_shown
        self._on_ack = on_ack
        self._on_lost = on_lost
        self._closed = asyncio.Event()
        self._look_now = asyncio.Event()
        self._connects = 0
        self._closing = False
        self._reason = ""
        self._said: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.client is not None and self.client.is_connected

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._connects - 1)

    @property
    def why_not(self) -> str | None:
        """Why nothing can be published now; None if it can."""
        if not self.connected:
            return f"nats: not connected to {self._shown}" + (f" ({self._reason})" if self._reason else "")
        return None if self.report.exists else f"stream: {self.report.fault}"

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._tasks = [asyncio.create_task(self._connect()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """End the connection and the tasks."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.client is not None:
            # A broker that takes nothing any more must not keep the process.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.client.close(), _LOOK)

    def look(self) -> None:
        """Look at the stream now, not at the next turn: a message found no stream."""
        self.ready.clear()
        self._look_now.set()

    async def _connect(self) -> None:
        while True:
            self._closed.clear()
            try:
                client = await nats.connect(
                    self._servers,
                    name="wsgo.publisher",
                    connect_timeout=2,
                    reconnect_time_wait=RETRY,
                    max_reconnect_attempts=-1,
                    ping_interval=10,
                    skip_subject_validation=True,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_connected,
                    closed_cb=self._on_closed,
                )
                self.client = client
                self.inbox = client.new_inbox()
                await client.subscribe(f"{self.inbox}.*", cb=self._acknowledged)
                await self._on_connected()
                # nats-py closes for good when the server refuses the credentials later on.
                await self._closed.wait()
            except (Error, OSError, TimeoutError) as error:
                await self._on_error(error)
            except Exception as error:  # the link is never given up, whatever the library raises
                failure("nats_failed", "the NATS client failed; connecting anew", error)
            await asyncio.sleep(RETRY)

    async def _acknowledged(self, message: Msg) -> None:
        self._on_ack(message)

    async def _on_connected(self) -> None:
        self._connects += 1
        self._reason = ""
        self._said.clear()
        event("nats_connected", f"connected to NATS at {self._shown}", server=self._shown)
        self._look_now.set()

    async def _on_disconnected(self) -> None:
        self.ready.clear()
        self._on_lost()
        if not self._closing:
            self._say_away("the connection was lost")

    async def _on_closed(self) -> None:
        self.ready.clear()
        self._closed.set()

    async def _on_error(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if self.connected:
            self._say("nats_error", f"NATS at {self._shown} reports: {reason}")
        else:
            self._say_away(reason)

    def _say_away(self, reason: str) -> None:
        self._reason = reason
        self._say("nats_away", f"NATS at {self._shown} is away ({reason}); trying every {RETRY:g} s")

    def _say(self, name: str, message: str) -> None:
        """Log a warning that may come a thousand times, once in 30 s."""
        now = time.monotonic()
        if now - self._said.get(message, -_REMIND) >= _REMIND:
            self._said[message] = now
            event(name, message, logging.WARNING, server=self._shown)

    async def _watch(self) -> None:
        """Make sure of the stream: after every connect, when a message found none, and every 2 s."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), _LOOK)
            self._look_now.clear()
            if not self.connected:
                continue
            before = self.report.fault
            try:
                self.report = await self._ensure()
            except Exception as error:  # looking goes on, whatever an answer held
                failure("stream_failed", "looking at the stream failed", error)
                continue
            if self.report.fault and self.report.fault != before:
                event("stream_fault", self.report.fault, logging.ERROR, stream=self.keeper.name)
            if self.connected and self.report.exists:
                self.ready.set()
            else:
                self.ready.clear()

    async def _ensure(self) -> StreamReport:
        assert self.client is not None
        try:
            return await self.keeper.ensure(self.client.jetstream(timeout=_LOOK))
        except ServiceUnavailableError:
            return StreamReport(self.keeper.name, fault="JetStream does not answer: start nats-server with -js")
        except (Error, OSError, TimeoutError) as error:
            # Messages may still be stored while the API is slow; their acknowledgements will tell.
            fault = f"JetStream did not report on stream {self.keeper.name}: {error or type(error).__name__}"
            return replace(self.report, fault=fault)
