"""The duty cycle: when the next group of clients may be written to, so that fan-out keeps to its share of CPU.

Writing to a group for T seconds of CPU at a share s is paid for after T/s seconds. Each group waits for its
turn alone, so under load a message waits about one round over all groups, and all that came meanwhile goes
out in one write per client: that is what makes a delivery cheap (10,000 clients at 20 msg/s on one core:
5.0 CPU seconds per million deliveries without a pause, 2.6 with rounds of 170 ms, 1.6 with 270 ms). The share
lies below the threshold at which new clients are refused, so fan-out alone never refuses any.
"""

from __future__ import annotations

import time

# Of the CPU below the refusal threshold, the part that fan-out may fill; the rest is for handshakes,
# requests, and reading from NATS.
FANOUT_PART = 0.8
# Seconds of its share that fan-out may use ahead of time, so that a lone message goes out at once. It is the
# period in which cgroups count CPU: what is used ahead is within one period's quota.
AHEAD = 0.1


class DutyCycle:
    """`share`: cores this worker's fan-out may use (0: no limit); `max_wait`: seconds a message may be held back."""

    def __init__(self, share: float, max_wait: float) -> None:
        self.share = share
        self.max_wait = max_wait
        # Set by the guard while CPU use is above WS_CPU_PAUSE_THRESHOLD.
        self.strained = False
        self._begun = self._begun_cpu = 0.0
        # When the CPU used so far is paid for (time.perf_counter).
        self._paid = 0.0

    def wait(self, due: float) -> float:
        """Seconds until a group whose oldest message came at `due` may be written to; not above 0 means now."""
        now, latest = time.perf_counter(), due + self.max_wait
        if self.strained:
            return latest - now
        return min(self._paid - AHEAD, latest) - now

    def begin(self) -> None:
        self._begun, self._begun_cpu = time.perf_counter(), time.thread_time()

    def end(self) -> float:
        """Writing is over; returns how long it took, in seconds of wall time."""
        if self.share > 0:
            self._paid = max(self._paid, self._begun) + (time.thread_time() - self._begun_cpu) / self.share
        return time.perf_counter() - self._begun


def fanout_share(cpu_limit: float, workers: int, reject_percent: float) -> float:
    """Cores that one worker's fan-out may use; 0 for no limit."""
    return cpu_limit / workers * reject_percent / 100 * FANOUT_PART
