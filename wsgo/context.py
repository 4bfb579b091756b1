"""One worker's parts, and the events of a client's life that concern several of them."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
import resource
import time
from typing import TYPE_CHECKING, Any

from wsgo import __version__, cgroup, logs
from wsgo.credentials import Credentials
from wsgo.duty import DutyCycle, fanout_share
from wsgo.feed import Feed
from wsgo.guard import MEMORY_REJECT_PERCENT, Guard
from wsgo.hub import Hub
from wsgo.intake import Intake
from wsgo.liveness import Sweeper
from wsgo.metrics import Metrics, merge
from wsgo.replay import Replay

if TYPE_CHECKING:
    from wsgo.board import Board
    from wsgo.cgroup import Meter
    from wsgo.connection import Connection
    from wsgo.metrics import Snapshot
    from wsgo.settings import Settings

logger = logging.getLogger("wsgo.clients")


class Context:
    """Everything a worker consists of, wired up; nothing runs yet."""

    def __init__(self, settings: Settings, board: Board, worker: int, meter: Meter) -> None:
        workers = board.workers
        self.settings = settings
        self.board = board
        self.worker = worker
        self.started = time.time()
        self.clients = 0
        self.metrics = Metrics()
        share = fanout_share(settings.cpu_limit, workers, settings.cpu_reject_threshold)
        self.duty = DutyCycle(share, settings.max_latency_ms / 1000)
        self.hub = Hub(Replay(settings.replay_messages, settings.replay_bytes), self.metrics, self.duty)
        self.intake = Intake(self.hub, self.metrics, settings)
        self.feed = Feed(settings, self.intake, self.metrics)
        self.guard = Guard(settings, workers, meter, board.clients)
        self.guard.filled = lambda: self.feed.ready
        self.sweeper = Sweeper(settings, self.hub)
        self.credentials: Credentials | None = None
        if settings.jwt_key_file:
            self.credentials = Credentials(
                settings.jwt_key_file, settings.jwt_audience, settings.jwt_issuer, settings.jwt_channels_claim
            )
        self._files, self._files_counted = 0, -math.inf
        # Set when the last client is gone, once the server is leaving.
        self.empty = asyncio.Event()
        # Sockets that have not sent a request yet, by the time they were accepted; oldest first.
        self.silent: dict[Any, float] = {}
        if before := board.read(worker):
            self.metrics.inherit(before["metrics"])

    @property
    def epoch(self) -> str:
        """Names the incarnation of the stream that sequences belong to; empty before it was found."""
        return self.intake.epoch

    def entered(self, connection: Connection) -> None:
        """A client completed its handshake."""
        self.clients += 1
        self.metrics.connections += 1
        self.board.set_clients(self.worker, self.clients)
        self.guard.enter(connection.address)
        self.sweeper.wheel.add(connection)
        self.sweeper.expiries.add(connection)
        self.hub.add(connection)
        logs.event(logger, logging.INFO, "client_connected", "new client", storm=True, address=connection.address)

    def left(self, connection: Connection) -> None:
        """Its socket is closed."""
        self.clients -= 1
        self.board.set_clients(self.worker, self.clients)
        self.guard.leave(connection.address)
        self.sweeper.wheel.discard(connection)
        self.sweeper.closing.pop(connection, None)
        self.sweeper.expiries.discard(connection)
        if self.guard.leaving and not self.clients:
            self.empty.set()

    def refused(self, reason: str, address: str, token_fault: str = "") -> None:
        """A handshake was not completed; `token_fault` says in a word what was wrong with its token, if that."""
        self.metrics.refusals[reason] += 1
        if token_fault:
            self.metrics.token_faults[token_fault] += 1
        logs.event(
            logger, logging.WARNING, "client_refused", "handshake refused", storm=True, reason=reason, address=address
        )

    def tick(self) -> None:
        """What happens once a second."""
        self.guard.sample()
        self.duty.strained = self.guard.strained
        self.sweeper.sweep()
        if self.credentials is not None:
            self.credentials.refresh()
        timeout = self.settings.handshake_timeout
        now = time.monotonic()
        for protocol, since in tuple(self.silent.items()):
            if not timeout or now - since < timeout:
                break
            del self.silent[protocol]
            protocol.transport.abort()

    def share(self) -> None:
        """Put this worker's figures on the board."""
        self.board.write(self.worker, self.figures())

    def figures(self) -> dict[str, Any]:
        """This worker's metrics and the part of its state that health is made of."""
        guard = self.guard
        state = {
            "nats": self.feed.status,
            "connected": self.feed.connected,
            "ready": self.feed.ready,
            "leaving": guard.leaving,
            "whole": guard.meter.whole,
            "cpu": guard.cpu_percent,
            "memory": guard.usage.memory,
            "started": self.started,
        }
        return {"state": state, "metrics": self.metrics.snapshot(self._gauges())}

    def _gauges(self) -> Snapshot:
        guard, settings = self.guard, self.settings
        share = 1.0 if guard.meter.whole else 1.0 / self.board.workers
        # A cgroup's reading is for all workers at once: only the first reports it.
        memory = guard.usage.memory if not guard.meter.whole or self.worker == 0 else 0
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = guard.cpu_percent * share if not guard.meter.whole or self.worker == 0 else 0.0
        return {
            "ws_build_info": {f"{__version__}\t{platform.python_version()}": 1},
            "ws_connections_current": {"": self.clients},
            "ws_connections_active": {"": self.clients},
            "ws_connections_max": {"": settings.max_connections},
            "ws_subscriptions": {"": len(self.hub.cohorts)},
            "ws_slow_clients": {"": len(self.hub.stalled)},
            "ws_replay_messages": {"": len(self.hub.replay)},
            "ws_nats_connected": {"": int(self.feed.connected)},
            "ws_feed_sequence": {"": self.feed.last_seq},
            "ws_capacity_max_connections": {"": settings.max_connections},
            "ws_capacity_cpu_threshold_percent": {"": settings.cpu_reject_threshold},
            "ws_capacity_headroom_percent": {
                "cpu": max(0.0, settings.cpu_reject_threshold - guard.cpu_percent),
                "memory": max(0.0, MEMORY_REJECT_PERCENT - guard.memory_percent),
            },
            "ws_cpu_usage_percent": {"": cpu},
            "ws_cpu_throttled_seconds_total": {"": guard.usage.throttled_seconds},
            "ws_memory_bytes": {"": memory},
            "ws_memory_limit_bytes": {"": settings.memory_limit},
            "ws_workers": {"": 1},
            "ws_worker_restarts_total": {"": self.board.restarts},
            "process_cpu_seconds_total": {"": usage.ru_utime + usage.ru_stime},
            "process_resident_memory_bytes": {"": cgroup.resident_memory()},
            "process_open_fds": {"": self._open_files()},
            "process_start_time_seconds": {"": self.started},
        }

    def _open_files(self) -> int:
        """Counted every 15 s at most: with 10,000 clients the kernel takes milliseconds to list them."""
        now = time.monotonic()
        if now - self._files_counted > 15:
            self._files, self._files_counted = len(os.listdir("/proc/self/fd")), now
        return self._files

    def everyone(self) -> list[dict[str, Any]]:
        """The figures of all workers that live: this one's now, the others' as last shared."""
        max_age = self.settings.metrics_interval * 3 + 2
        others = [self.board.read(w, max_age) for w in range(self.board.workers) if w != self.worker]
        return [self.figures(), *(figures for figures in others if figures is not None)]

    def all_metrics(self) -> Snapshot:
        return merge([figures["metrics"] for figures in self.everyone()])
