"""What was sent, what the stream confirmed, and what went wrong, by reason.

Messages travel in groups; the last of a group asks for the acknowledgement. A connection's
messages are stored in order, so the sequences of two acknowledgements tell how many of the group
were stored: a shortfall is counted as `not_stored`. A message published to the same stream by
somebody else can hide one.

Nothing is sent again: the next tick of a token replaces the lost one, and a late price after a
newer one would be wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 4096
"""Messages that may wait for their acknowledgement. JetStream queues 10,000 before it refuses."""
ACK_TIMEOUT = 5.0
"""Seconds after which an acknowledgement is no longer expected."""


class Group(NamedTuple):
    """Messages that one acknowledgement answers for."""

    size: int
    sent_at: float


class Ledger:
    """The account of published messages. All times are `time.monotonic` seconds."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self.published = 0
        """Messages the stream confirmed."""
        self.errors: Counter[str] = Counter()
        """Messages that were not confirmed, by reason."""
        self.last_error: str | None = None
        self.in_flight = 0
        self._observe = observe
        self._groups: dict[int, Group] = {}
        self._last_id = 0
        self._last_sequence: int | None = None
        self._silent = False
        self._moved = asyncio.Event()

    @property
    def room(self) -> int:
        """How many messages may be sent now.

        After an acknowledgement that did not come it is one at a time, until any comes: what is
        sent to a broker that hangs arrives late and all at once.
        """
        return max(0, (1 if self._silent else WINDOW) - self.in_flight)

    def open(self, count: int, now: float) -> int:
        """Register a group that is about to be sent; its number goes into the reply subject."""
        self._last_id += 1
        self._groups[self._last_id] = Group(count, now)
        self.in_flight += count
        return self._last_id

    def confirm(self, group_id: int, sequence: int, now: float) -> None:
        """Settle a group whose last message was stored as `sequence`."""
        self._silent = False
        group = self._close(group_id)
        last, self._last_sequence = self._last_sequence, sequence
        if group is None:
            return
        # A sequence that went back is a stream made anew, which counts from 1.
        since = sequence if last is None or sequence <= last else sequence - last
        stored = min(group.size, since)
        self.published += stored
        self._observe(now - group.sent_at)
        if stored < group.size:
            self._fault("not_stored", group.size - stored, "the stream did not store every message of a group")

    def refuse(self, group_id: int, reason: str, detail: str) -> None:
        """Settle a group that failed as a whole."""
        if group := self._close(group_id):
            self._fault(reason, group.size, detail)

    def expire(self, now: float) -> None:
        """Give up on groups that have waited longer than ACK_TIMEOUT."""
        while self._groups:
            group_id, group = next(iter(self._groups.items()))
            if now - group.sent_at < ACK_TIMEOUT:
                return
            self._silent = True
            self.refuse(group_id, "ack_timeout", f"no acknowledgement within {ACK_TIMEOUT:g} s")

    def abandon(self) -> None:
        """Settle all groups after the connection was lost: their fate is unknown."""
        for group_id in list(self._groups):
            self.refuse(group_id, "connection_lost", "the connection to NATS was lost before the acknowledgement")
        self._last_sequence = None
        self._silent = False

    async def moved(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not an error
        """Wait until some group is settled, or `timeout` seconds."""
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), timeout)

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Wait up to `timeout` seconds for all groups; False if some are still open."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self._groups and loop.time() < end:
            await self.moved(end - loop.time())
        return not self._groups

    def _close(self, group_id: int) -> Group | None:
        group = self._groups.pop(group_id, None)
        if group is not None:
            self.in_flight -= group.size
            self._moved.set()
        return group

    def _fault(self, reason: str, count: int, detail: str) -> None:
        self.errors[reason] += count
        self.last_error = f"{reason}: {detail}"
