"""The supervisor: one process a core, each with its own socket on the same port; a dead one is replaced."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from wsgo import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgo.board import Board

logger = logging.getLogger("wsgo.supervisor")

# A worker that keeps dying is started again after 0.5 s, 1 s, 2 s .. 10 s; one that held out 60 s starts afresh.
BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_FORGOTTEN = 0.5, 10.0, 60.0


class Supervisor:
    """Forks workers, and waits. It has no event loop, no thread and no NATS connection of its own."""

    def __init__(self, board: Board, grace: float, run_worker: Callable[[int], None]) -> None:
        self.board = board
        self.grace = grace
        self._run_worker = run_worker
        self._pids: dict[int, int] = {}
        self._started = [0.0] * board.workers
        self._backoff = [BACKOFF_FIRST] * board.workers
        self._due: dict[int, float] = {}
        self._leaving = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code."""
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
        # Waited for one by one (sigtimedwait), so nothing interrupts anything.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for worker in range(self.board.workers):
            self._start(worker)
        while not self._leaving:
            received = signal.sigtimedwait(signals, self._seconds_to_next_start())
            if received is not None and received.si_signo in {signal.SIGTERM, signal.SIGINT}:
                self._leaving = True
            self._reap()
            if not self._leaving:
                self._start_due()
        return self._stop(signals)

    def _start(self, worker: int) -> None:
        self._started[worker] = time.monotonic()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                # A terminal's Ctrl-C is the supervisor's to pass on: twice would mean "hurry".
                os.setpgid(0, 0)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
                self._run_worker(worker)
                code = 0
            except Exception:
                logger.exception("worker failed", extra={"event": "worker_failed"})
            finally:
                sys.stdout.flush()
                os._exit(code)
        self._pids[pid] = worker
        logs.event(logger, logging.INFO, "worker_started", "worker runs", number=worker, pid=pid)

    def _reap(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._pids.pop(pid, None)
            if worker is None or self._leaving:
                continue
            self.board.worker_died(worker)
            now = time.monotonic()
            if now - self._started[worker] > BACKOFF_FORGOTTEN:
                self._backoff[worker] = BACKOFF_FIRST
            self._due[worker] = now + self._backoff[worker]
            logs.event(
                logger,
                logging.ERROR,
                "worker_died",
                "worker ended; another will be started",
                number=worker,
                pid=pid,
                exit_code=os.waitstatus_to_exitcode(status),
                restart_seconds=self._backoff[worker],
            )
            self._backoff[worker] = min(self._backoff[worker] * 2, BACKOFF_MOST)

    def _seconds_to_next_start(self) -> float:
        return max(0.0, min(self._due.values(), default=time.monotonic() + 60) - time.monotonic())

    def _start_due(self) -> None:
        for worker, due in tuple(self._due.items()):
            if due <= time.monotonic():
                del self._due[worker]
                self._start(worker)

    def _stop(self, signals: set[signal.Signals]) -> int:
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace + 3
        while self._pids and (left := deadline - time.monotonic()) > 0:
            received = signal.sigtimedwait(signals, left)
            if received is not None and received.si_signo in {signal.SIGTERM, signal.SIGINT}:
                for pid in self._pids:
                    os.kill(pid, signal.SIGTERM)
            self._reap()
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        return 1 if self._pids else 0
