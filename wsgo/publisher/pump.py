"""The publish loop: draws messages from the market when they are due and sends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import orjson
from nats.errors import Error

from .logs import event, failure

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from .ledger import Ledger
    from .link import Link
    from .market import Market
    from .meter import Meter
    from .pace import Pace

_NAP = 0.1
"""Seconds after which a waiting loop looks whether it was told to stop."""
_NO_RESPONDERS = "503"


class Pump:
    """Sends `market`'s messages through `link` at `pace`, and settles their acknowledgements."""

    def __init__(self, market: Market, pace: Pace, ledger: Ledger, meter: Meter) -> None:
        self.market = market
        self.pace = pace
        self.ledger = ledger
        self.meter = meter
        self._task: asyncio.Task[None] | None = None
        self._run_id = 0

    @property
    def running(self) -> bool:
        """Whether messages are being published (or would be, were NATS there)."""
        return self._task is not None

    def start(self, link: Link) -> None:
        """Begin to publish. The pump must not be running."""
        self._run_id += 1
        self._task = asyncio.create_task(self._run(link, self._run_id))

    async def stop(self) -> None:
        """Send no more. Returns when the loop has ended; acknowledgements may still come."""
        self._run_id += 1
        task, self._task = self._task, None
        if task is not None:
            await task

    def acknowledged(self, message: Msg, link: Link) -> None:
        """Settle the group that this answer of JetStream belongs to."""
        group = int(message.subject.rpartition(".")[2])
        if (message.headers or {}).get("Status") == _NO_RESPONDERS:
            self.ledger.refuse(group, "no_stream", "no stream takes the subject")
            link.look()
            return
        answer = orjson.loads(message.data)
        if fault := answer.get("error"):
            self.ledger.refuse(group, "stream_error", str(fault.get("description", fault)))
        else:
            self.ledger.confirm(group, answer["seq"], time.monotonic())

    async def _run(self, link: Link, run_id: int) -> None:
        self.pace.restart(time.monotonic())
        while run_id == self._run_id:
            try:
                await self._turn(link)
            except Exception as error:  # a fault of one turn must not end the market
                self.ledger.errors["internal"] += 1
                failure("publish_failed", "publishing failed; going on", error)
                await asyncio.sleep(1)

    async def _turn(self, link: Link) -> None:
        if why := link.why_not or (None if link.ready.is_set() else "stream: being looked at"):
            with self.meter.waiting(why), contextlib.suppress(TimeoutError):
                await asyncio.wait_for(link.ready.wait(), _NAP)
            self.pace.restart(time.monotonic())
            return
        if not self.ledger.room:
            with self.meter.waiting("acks: JetStream acknowledges more slowly than asked"):
                await self.ledger.moved(_NAP)
            return
        count = min(self.pace.due(time.monotonic()), self.ledger.room)
        if count:
            await self._send(link, count)
        await asyncio.sleep(min(_NAP, self.pace.delay(time.monotonic())))

    async def _send(self, link: Link, count: int) -> None:
        client = link.client
        assert client is not None
        group = self.ledger.open(count, time.monotonic())
        publish = client.publish
        left = count
        try:
            for subject, payload in self.market.draw(count):
                left -= 1
                if left:
                    await publish(subject, payload)
                else:
                    await publish(subject, payload, f"{link.inbox}.{group}")
        except Error as error:
            self.ledger.refuse(group, "send_failed", str(error))
            event("send_failed", f"{count} messages were not sent: {error}", logging.WARNING)
        self.pace.sent(count)
