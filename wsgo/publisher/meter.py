"""The rate that was reached over the last seconds, and what kept it below the one asked for."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = 5.0
"""Seconds that the reached rate is averaged over."""
_SHORT = 0.03
"""Less than this share below what was asked is no shortfall."""


class _Sample(NamedTuple):
    at: float
    published: int
    failed: int
    cpu: float
    waited: dict[str, float]


class Meter:
    """Samples of the counters, taken a few times a second; all times in seconds."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._waited: defaultdict[str, float] = defaultdict(float)

    def restart(self) -> None:
        """Begin a new measurement: what was asked for has changed."""
        self._samples.clear()

    def sample(self, published: int, failed: int) -> None:
        """Take the counters as they are now."""
        now = time.monotonic()
        self._samples.append(_Sample(now, published, failed, time.process_time(), self._waited.copy()))
        while len(self._samples) > 2 and now - self._samples[1].at >= WINDOW:
            self._samples.popleft()

    @contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        """Book the time spent in this block to `reason`."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited[reason] += time.monotonic() - began

    def reached(self) -> float:
        """Messages a second that the stream confirmed; 0 before there are two samples."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        return (last.published - first.published) / (last.at - first.at)

    def limited_by(self, asked: float) -> str | None:
        """Say why fewer than `asked` messages/s were confirmed; None if there is no shortfall."""
        if len(self._samples) < 2:
            return None
        first, last = self._samples[0], self._samples[-1]
        span = last.at - first.at
        missing = asked * span - (last.published - first.published)
        # One message on its way and one not due yet are no shortfall.
        if span < 1.0 or missing <= max(2.0, asked * span * _SHORT):
            return None
        failed = last.failed - first.failed
        if failed >= missing / 2:
            return f"errors: {failed} messages were not stored in the last {span:.0f} s"
        waited = {reason: spent - first.waited.get(reason, 0.0) for reason, spent in last.waited.items()}
        longest = max(waited, key=waited.__getitem__, default=None)
        if longest is not None and waited[longest] > _SHORT * span:
            return f"{longest} ({waited[longest]:.1f} of the last {span:.1f} s)"
        cpu = (last.cpu - first.cpu) / span
        if cpu > 0.75:
            return f"cpu: the publisher uses {cpu:.0%} of the one core it can use"
        return f"scheduling: the machine left the publisher waiting (it used {cpu:.0%} of a core)"
