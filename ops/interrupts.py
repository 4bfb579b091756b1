"""Ctrl-C, SIGTERM and a closed terminal: the first asks to leave, the second to hurry."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# make passes SIGTERM on to a child that got it already: that is one wish, not two.
_ONE_WISH_S = 0.5


class Interrupts:
    """While entered, the first of these signals raises KeyboardInterrupt in the main thread, wherever it is.

    Inside `held` nothing is raised: the signal is counted, and raised at its end. After `leave` signals are
    only counted, so that stopping is not itself interrupted; whoever stops asks `hurry`.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last = -_ONE_WISH_S
        self._raising = True
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Said explicitly: a job in the background of a script is born with SIGINT ignored.
        self._before = {number: signal.signal(number, self._arrived) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrived(self, _number: int, _frame: object) -> None:
        now = time.monotonic()
        if now - self._last < _ONE_WISH_S:
            return
        self._last = now
        self._count += 1
        if self._raising:
            self._raising = False
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what is between a child's birth and its entry in the books happen as one."""
        raising, self._raising = self._raising, False
        before = self._count
        try:
            yield
        finally:
            self._raising = raising
        if raising and self._count > before:
            self._raising = False
            raise KeyboardInterrupt

    def leave(self) -> None:
        """From now on signals are only counted; those that came before do not mean hurry."""
        self._raising = False
        self._count = 0

    def hurry(self) -> bool:
        """Whether another signal came since `leave`."""
        return self._count > 0
