"""The guard: decides, before the handshake, whether one more client can be served well."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

from wsgo.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgo.cgroup import Meter, Usage
    from wsgo.settings import Settings

# New clients are refused at this percentage of WS_MEMORY_LIMIT: the limit itself is where the kernel kills.
MEMORY_REJECT_PERCENT = 90.0
# CPU is smoothed over about this many seconds: a burst of handshakes is not an overload.
CPU_WINDOW_SECONDS = 5.0


class Bucket:
    """A token bucket of `rate` a second, one second deep; rate 0 lets everything through."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._tokens = max(1.0, rate)
        self._at = time.monotonic()

    def take(self) -> bool:
        if not self.rate:
            return True
        now = time.monotonic()
        self._tokens = min(max(1.0, self.rate), self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Guard:
    """One worker's view of the limits; `total_connections` counts the clients of all workers."""

    def __init__(self, settings: Settings, workers: int, meter: Meter, total_connections: Callable[[], int]) -> None:
        self.settings = settings
        self.meter = meter
        self.leaving = False
        # False until the replay ring holds what the stream held at start: a client that resumed before
        # would be told that it has everything, and would not.
        self.filled: Callable[[], bool] = lambda: True
        self.total_connections = total_connections
        self.usage: Usage = meter.read()
        # Percent of this meter's part of the limit; 0 when there is no limit.
        self.cpu_percent = 0.0
        self.memory_percent = 0.0
        parts = 1 if meter.whole else workers
        self._cpu_limit = settings.cpu_limit / parts
        self._memory_limit = settings.memory_limit / parts
        # A kernel spreads one address' connections over the workers by port: each takes its share.
        self._per_address = math.ceil(settings.max_connections_per_ip / workers)
        self._addresses: Counter[str] = Counter()
        self._accepts = Bucket(settings.accept_rate / workers)
        self._sampled = time.monotonic()

    def sample(self) -> None:
        """Measure CPU and memory; call about once a second."""
        now, usage = time.monotonic(), self.meter.read()
        elapsed = now - self._sampled
        if self._cpu_limit and elapsed > 0:
            percent = (usage.cpu_seconds - self.usage.cpu_seconds) / elapsed / self._cpu_limit * 100
            self.cpu_percent += (percent - self.cpu_percent) * -math.expm1(-elapsed / CPU_WINDOW_SECONDS)
        if self._memory_limit:
            self.memory_percent = usage.memory / self._memory_limit * 100
        self.usage, self._sampled = usage, now

    @property
    def strained(self) -> bool:
        """True above WS_CPU_PAUSE_THRESHOLD."""
        return self.cpu_percent > self.settings.cpu_pause_threshold

    def overload(self) -> Refusal | None:
        """Why no new client can be taken at all, if so."""
        limit = self.settings.max_connections
        if self.leaving:
            return Refusal.SHUTTING_DOWN
        if limit and self.total_connections() >= limit:
            return Refusal.AT_MAX_CONNECTIONS
        if self.cpu_percent > self.settings.cpu_reject_threshold:
            return Refusal.CPU_OVERLOAD
        if self.memory_percent > MEMORY_REJECT_PERCENT:
            return Refusal.MEMORY_LIMIT
        return None

    def refusal(self, address: str) -> Refusal | None:
        """Why a client from `address` cannot be taken, if so."""
        if (overload := self.overload()) is not None:
            return overload
        if not self.filled():
            return Refusal.STARTING
        if self._per_address and self._addresses[address] >= self._per_address:
            return Refusal.ADDRESS_LIMIT
        return None if self._accepts.take() else Refusal.ACCEPT_RATE

    def enter(self, address: str) -> None:
        """A client from `address` is connected."""
        if self._per_address:
            self._addresses[address] += 1

    def leave(self, address: str) -> None:
        """It is gone."""
        if self._per_address:
            self._addresses[address] -= 1
            if self._addresses[address] <= 0:
                del self._addresses[address]
