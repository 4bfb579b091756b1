"""One worker: the feed, the listeners, the clock, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Literal

import uvicorn

from wsgo import app, logs
from wsgo.context import Context
from wsgo.errors import CloseCode
from wsgo.settings import parse_address
from wsgo.upgrade import protocol_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

    from wsgo.board import Board
    from wsgo.cgroup import Meter
    from wsgo.settings import Settings
    from wsgo.upgrade import Doorway

logger = logging.getLogger("wsgo.server")

# As many as a node lets wait (net.core.somaxconn there; the kernel takes the smaller of the two).
BACKLOG = 16_384
# Of the grace period, what closing is spread over, and when those are cut who have not answered; the rest is for
# the listeners and the process to end in.
SPREAD_PART, CUT_PART = 0.8, 0.9
# So many clients use the whole spread; fewer are closed in proportion sooner: they are no storm.
SPREAD_CLIENTS = 1000


class AddressError(OSError):
    """An address cannot be listened on; the message names it and its variable."""


def listen(address: str, variable: str, send_buffer: int = 0, *, shared: bool = False) -> socket.socket:
    """A bound socket for `address`; `shared` lets other workers bind it too. Raises AddressError."""
    host, port = parse_address(address)
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if send_buffer:
            # Accepted sockets inherit it; the kernel doubles the figure for its own bookkeeping.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(target)
        if not shared:
            listener.listen(BACKLOG)
    except OSError as error:
        raise AddressError(f"cannot listen on {address} ({variable}): {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: the worker has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Worker:
    """Serves until it is told to leave."""

    def __init__(self, settings: Settings, board: Board, worker: int, meter: Meter) -> None:
        self.settings = settings
        self.context = Context(settings, board, worker, meter)
        self.parent = os.getppid()
        self._leave = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, public: socket.socket, internal: socket.socket | None) -> None:
        """Serve on these sockets; returns after SIGTERM or SIGINT, within the grace period."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        feed = asyncio.create_task(self.context.feed.run())
        clock = asyncio.create_task(self._clock())
        listeners = [self._listener(app.public(self.context), protocol_for(self.context))]
        serving = [asyncio.create_task(listeners[0].serve([public]))]
        if internal is not None:
            listeners.append(self._listener(app.internal(self.context), "httptools"))
            serving.append(asyncio.create_task(listeners[1].serve([internal])))
        # What exists now lives as long as the process: the collector need not visit it again.
        gc.collect()
        gc.freeze()
        host, port = public.getsockname()[:2]
        logs.event(logger, logging.INFO, "listening", f"ws://{host}:{port}/ws", pid=os.getpid())
        try:
            await asyncio.wait(
                [asyncio.create_task(self._leave.wait()), feed, clock, *serving], return_when="FIRST_COMPLETED"
            )
            for task in (feed, clock, *serving):
                if task.done() and not self._leave.is_set():
                    task.result()
            await self._close_clients()
        finally:
            for listener in listeners:
                listener.should_exit = True
            await asyncio.gather(*serving, return_exceptions=True)
            for task in (feed, clock):
                task.cancel()
            await asyncio.gather(feed, clock, return_exceptions=True)
            logs.event(logger, logging.INFO, "stopped", "worker ends")

    def _listener(self, application: Starlette, http: type[Doorway] | Literal["httptools"]) -> _Listener:
        config = uvicorn.Config(
            application,
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=1,
        )
        return _Listener(config)

    def _signalled(self) -> None:
        if self._leave.is_set():
            self._hurry.set()
            self.context.empty.set()
        self._leave.set()

    async def _clock(self) -> None:
        """The one timer: a tick each second, and sharing of figures each METRICS_INTERVAL."""
        ticked = shared = 0.0
        state = (False, False)
        while True:
            now, feed = time.monotonic(), self.context.feed
            # Seconds are what the sweeps count in, however often figures are shared.
            if now - ticked >= 0.99:
                ticked = now
                self.context.tick()
            due = now - shared >= self.settings.metrics_interval or state != (feed.connected, feed.ready)
            if self.context.board.workers > 1 and due:
                shared, state = now, (feed.connected, feed.ready)
                self.context.share()
            if self.context.board.workers > 1 and os.getppid() != self.parent:
                self._leave.set()  # the supervisor is gone
            await asyncio.sleep(min(1.0, self.settings.metrics_interval))

    async def _close_clients(self) -> None:
        """Refuse new clients, tell the others to come back, and wait for them within the grace period."""
        context, grace = self.context, self.settings.shutdown_grace
        context.guard.leaving = True
        if not context.clients:
            return
        context.share()
        deadline = time.monotonic() + grace * CUT_PART
        clients = context.sweeper.wheel.connections()
        logs.event(logger, logging.INFO, "leaving", "closing all clients", clients=len(clients), grace_seconds=grace)
        reason = f"server restarts; reconnect after a random 0-{max(1, round(grace))} s"
        # All workers leave at once: how large a storm they make is a matter of all their clients.
        everyone = max(len(clients), context.board.clients())
        spread = grace * SPREAD_PART * min(1.0, everyone / SPREAD_CLIENTS)
        begun = time.monotonic()
        for index, client in enumerate(clients):
            due = begun + spread * index / len(clients)
            if due > time.monotonic() and not self._hurry.is_set():
                await asyncio.sleep(due - time.monotonic())
            client.close(CloseCode.RESTART, reason, "shutdown")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.monotonic()):
                await context.empty.wait()
        for client in context.sweeper.wheel.connections():
            client.abort("shutdown")
