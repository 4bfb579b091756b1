"""The duty cycle: how long to wait between flushes, so that fan-out stays within its share of the CPU.

A flush that took T seconds of CPU at a share s must be followed by a pause until T/s has passed. The
share lies below the threshold at which new clients are refused, so fan-out alone never refuses any:
under load messages wait a little longer and go out joined, which is what makes each of them cheap
(10,000 clients at 20 msg/s on one core: 5.0 CPU seconds per million deliveries without a pause, 2.6
with 100 ms, 1.6 with 200 ms).
"""

from __future__ import annotations

import time

# Of the CPU below the refusal threshold, the part that fan-out may fill; the rest is for handshakes,
# requests, and reading from NATS.
FANOUT_PART = 0.8


class DutyCycle:
    """`share`: cores this worker's fan-out may use (0: no limit); `max_pause`: seconds."""

    def __init__(self, share: float, max_pause: float) -> None:
        self.share = share
        self.max_pause = max_pause
        # Set by the guard while CPU use is above WS_CPU_PAUSE_THRESHOLD.
        self.strained = False
        self._begun = self._begun_cpu = 0.0
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until the next flush may start; not above 0 means now."""
        return self._next - time.perf_counter()

    def begin(self) -> None:
        self._begun, self._begun_cpu = time.perf_counter(), time.thread_time()

    def end(self) -> float:
        """The flush is over; returns how long it took, in seconds of wall time."""
        now = time.perf_counter()
        wall = now - self._begun
        if self.strained:
            pause = self.max_pause
        elif self.share > 0:
            pause = min((time.thread_time() - self._begun_cpu) / self.share - wall, self.max_pause)
        else:
            pause = 0.0
        self._next = now + pause
        return wall


def fanout_share(cpu_limit: float, workers: int, reject_percent: float) -> float:
    """Cores that one worker's fan-out may use; 0 for no limit."""
    return cpu_limit / workers * reject_percent / 100 * FANOUT_PART
