"""The publisher as a whole: what it was told, what it does, and how it is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Histogram

from .ledger import ACK_TIMEOUT, Ledger
from .link import Link
from .logs import event
from .market import Market
from .meter import Meter
from .pace import Pace
from .pump import Pump

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from .settings import Settings

_CONNECTIONS = 100
"""What the original assumes when nobody says; it is shown and has no effect."""
_HOUSEKEEPING = 0.25


class Publisher:
    """Owns the market, the connection and the publish loop. Make it inside a running event loop."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        ack_seconds = Histogram(
            "publisher_ack_seconds",
            "Time from sending to JetStream's acknowledgement",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
        self.settings = settings
        self.connections = _CONNECTIONS
        self.started_at = time.time()
        self.ends_at: float | None = None
        """Unix time at which publishing ends by itself."""
        self.ledger = Ledger(ack_seconds.observe)
        self.meter = Meter()
        self.pace = Pace(settings.rate, time.monotonic())
        self.market = Market(settings.tokens, settings.rate, settings.seed)
        self.pump = Pump(self.market, self.pace, self.ledger, self.meter)
        self.link = Link(settings, self._acknowledged, self.ledger.abandon)
        self._end: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._housekeeper: asyncio.Task[None] | None = None

    @property
    def publishing(self) -> bool:
        """Whether it has been told to publish and not yet to stop."""
        return self.pump.running

    def open(self) -> None:
        """Connect in the background, and begin to publish if AUTOSTART says so."""
        self.link.start()
        self._housekeeper = asyncio.create_task(self._housekeep())
        if self.settings.autostart:
            self.start()

    async def close(self) -> None:
        """Stop, wait for acknowledgements (bounded), and disconnect."""
        await self.stop("the publisher is going down")
        if not await self.ledger.drained(ACK_TIMEOUT):
            self.ledger.abandon()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        await self.link.close()
        event("stopped", "bye", published=self.ledger.published, errors=self.ledger.errors.total())

    def start(self) -> None:
        """Begin to publish; must not be publishing."""
        self.meter.restart()
        self.pump.start(self.link)
        rate, count = self.pace.rate, len(self.market.tokens)
        event("publishing", f"publishing {rate:g} messages/s for {count} tokens", rate=rate, tokens=count)

    async def stop(self, why: str) -> None:
        """Send no more; does nothing when not publishing."""
        self._cancel_end()
        if self.publishing:
            await self.pump.stop()
            event("publishing_stopped", f"publishing stopped: {why}", published=self.ledger.published)

    def configure(self, tokens: list[str] | None, rate: float | None, connections: int | None) -> None:
        """Take what is given from now on; the walks of tokens that stay go on."""
        if connections is not None:
            self.connections = connections
        if tokens is None and rate is None:
            return
        self.market.configure(tokens or list(self.market.tokens), rate or self.pace.rate)
        self.pace.restart(time.monotonic(), rate)
        self.meter.restart()
        rate, count = self.pace.rate, len(self.market.tokens)
        event("configured", f"{rate:g} messages/s for {count} tokens from now on", rate=rate, tokens=count)

    def end_after(self, seconds: float) -> None:
        """Stop by itself after this time; replaces an earlier end."""
        self._cancel_end()
        self.ends_at = time.time() + seconds
        self._end = asyncio.get_running_loop().call_later(seconds, self._end_now)

    def _end_now(self) -> None:
        self._ending = asyncio.create_task(self.stop("its duration is over"))

    def _cancel_end(self) -> None:
        self.ends_at = None
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _acknowledged(self, message: Msg) -> None:
        self.pump.acknowledged(message, self.link)

    async def _housekeep(self) -> None:
        while True:
            self.ledger.expire(time.monotonic())
            self.meter.sample(self.ledger.published, self.ledger.errors.total())
            await asyncio.sleep(_HOUSEKEEPING)

    def configuration(self) -> dict[str, Any]:
        """What it was told, under the original's names."""
        return {
            "connections": self.connections,
            "messagesPerSecond": _plain(self.pace.rate),
            "tokens": list(self.market.tokens),
        }

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether messages can reach clients, and the answer of /health."""
        fault = self.link.why_not or self.link.report.fault
        return fault is None, {
            "status": "healthy" if fault is None else "unhealthy",
            "nats": "connected" if self.link.connected else "disconnected",
            "publishing": self.publishing,
            "uptime": round((time.time() - self.started_at) * 1000),
            "fault": fault,
            "stream": self._stream(),
        }

    def counters(self) -> dict[str, Any]:
        """The original's `stats`, and what is new beside it."""
        ledger, sent = self.ledger, self.market.sent
        return {
            "messagesPublished": ledger.published,
            "startTime": round(self.started_at * 1000),
            "errors": ledger.errors.total(),
            "errorsByReason": dict(ledger.errors),
            "lastError": ledger.last_error,
            "messagesSent": sum(sent.values()),
            "sentByEvent": dict(sent),
            "acksPending": ledger.in_flight,
            "messagesSkipped": self.pace.skipped,
        }

    def stats(self) -> dict[str, Any]:
        """The answer of /stats."""
        asked = self.pace.rate if self.publishing else 0
        return {
            "success": True,
            "stats": self.counters(),
            "isPublishing": self.publishing,
            "activeTokens": list(self.market.tokens),
            "configuration": self.configuration(),
            "rate": {
                "asked": _plain(asked),
                "reached": round(self.meter.reached(), 1),
                "limited_by": self.meter.limited_by(asked),
            },
            "endsAt": None if self.ends_at is None else round(self.ends_at * 1000),
            "stream": self._stream(),
        }

    def _stream(self) -> dict[str, Any]:
        seen = self.link.report.as_json()
        return seen | {"ok": seen["ok"] and self.link.connected}


def _plain(rate: float) -> float:
    return int(rate) if rate == int(rate) else rate
