"""When to send how many: even spacing at any rate, and a stall that is not repaid as a burst."""

from __future__ import annotations

import math

TICK = 0.002
"""Seconds between two bursts at high rates. Up to 1/TICK messages/s go out one by one."""
CATCH_UP = 0.25
"""Seconds of messages that may be owed after a stall; what is older is skipped."""


class Pace:
    """A clock for `rate` messages a second. It holds no timer: `now` is given in seconds.

    What a stall left owing is repaid at no more than double the rate.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.skipped = 0
        """Messages that were owed for longer than CATCH_UP and never sent."""
        self._owed = 0.0
        self._lost = 0.0
        self._then = now

    def restart(self, now: float, rate: float | None = None) -> None:
        """Forget what is owed; go on at `rate` (default: the same)."""
        self.rate = self.rate if rate is None else rate
        self._owed = 0.0
        self._then = now

    def due(self, now: float) -> int:
        """How many messages to send now. Report those really sent to `sent`."""
        self._owed += max(0.0, now - self._then) * self.rate
        self._then = now
        limit = max(1.0, self.rate * CATCH_UP)
        if self._owed > limit:
            self._lost += self._owed - limit
            self._owed = limit
            self.skipped = int(self._lost)
        # The sums are of floats: a message due this instant must not wait for the next one.
        return min(int(self._owed + 1e-9), max(1, math.ceil(2 * self.rate * TICK)))

    def sent(self, count: int) -> None:
        """Take `count` messages off what is owed."""
        self._owed -= count

    def delay(self, now: float) -> float:
        """Seconds from `now` to the next call of `due`; 0 when it is late already."""
        ahead = max(TICK, (1.0 - self._owed) / self.rate)
        return max(0.0, self._then + ahead - now)
