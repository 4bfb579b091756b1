"""Pings, idle clients, slow clients and unfinished closings: one sweep a second for all of them.

A timer per connection would cost memory and a heap operation per message; a wheel costs neither.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from wsgo import frames
from wsgo.errors import CloseCode

if TYPE_CHECKING:
    from wsgo.connection import Connection
    from wsgo.hub import Hub
    from wsgo.settings import Settings

# A peer that was sent a close frame may take so long to answer before its socket is cut.
CLOSE_SECONDS = 5.0
_PING = frames.ping()


class Wheel:
    """Connections spread over the seconds of one ping interval."""

    def __init__(self, interval: float) -> None:
        self._slots: list[set[Connection]] = [set() for _ in range(max(1, round(interval)))]
        self._enabled = interval > 0
        self._next = 0
        self._now = 0

    def add(self, connection: Connection) -> None:
        self._next = (self._next + 1) % len(self._slots)
        connection.slot = self._next
        self._slots[self._next].add(connection)

    def discard(self, connection: Connection) -> None:
        self._slots[connection.slot].discard(connection)

    def connections(self) -> list[Connection]:
        """All of them."""
        return [connection for slot in self._slots for connection in slot]

    def turn(self) -> None:
        """Visit the next slot: ping who is alive, end who has been silent since the last visit."""
        self._now = (self._now + 1) % len(self._slots)
        if not self._enabled:
            return
        for connection in tuple(self._slots[self._now]):
            if connection.paused:
                # Its answers are not read either; how long it may stay so is the slow client's limit.
                continue
            if not connection.alive:
                connection.abort("timeout")
            else:
                connection.alive = False
                connection.write(_PING)


class Expiries:
    """Connections by the second in which their token expires; those without one are not in it."""

    def __init__(self) -> None:
        self._seconds: dict[int, set[Connection]] = {}

    def add(self, connection: Connection) -> None:
        if connection.claims is not None and connection.claims.expires is not None:
            self._seconds.setdefault(connection.claims.expires, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        if connection.claims is not None and connection.claims.expires is not None:
            found = self._seconds.get(connection.claims.expires, set())
            found.discard(connection)
            if not found:
                self._seconds.pop(connection.claims.expires, None)

    def take(self) -> list[Connection]:
        """Remove and return those whose token has expired."""
        now = time.time()
        past = [second for second in self._seconds if second <= now]
        return [connection for second in past for connection in self._seconds.pop(second)]


class Sweeper:
    """Everything about a worker's connections that happens by the clock."""

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self.wheel = Wheel(settings.ping_interval)
        # Connections that were sent a close frame, by the time they are cut.
        self.closing: dict[Connection, float] = {}
        self.expiries = Expiries()
        self._slow_timeout = settings.slow_client_timeout
        self._hub = hub

    def sweep(self) -> None:
        """Call once a second."""
        now = time.monotonic()
        self.wheel.turn()
        if self._slow_timeout:
            for client, since in tuple(self._hub.stalled.items()):
                if now - since >= self._slow_timeout:
                    _close_slow(cast("Connection", client), self._slow_timeout)
        for connection in self.expiries.take():
            connection.close(
                CloseCode.TOKEN_EXPIRED, "the token has expired; come back with a new one", "token_expired"
            )
        for connection, deadline in tuple(self.closing.items()):
            if deadline > now:
                break
            connection.abort("close_timeout")


def _close_slow(client: Connection, seconds: float) -> None:
    client.metrics.slow_disconnected += 1
    client.close(CloseCode.POLICY, f"too slow: unread data for {seconds:g} s", "slow")
