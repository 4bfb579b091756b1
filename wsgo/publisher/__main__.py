"""`python -m wsgo.publisher`: settings from the environment, then serve until SIGTERM or SIGINT.

Exit codes: 0 after a signal, 2 when a setting or the port cannot be used.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from wsgo.logs import configure

from .app import make_app
from .logs import event
from .metrics import register
from .publisher import Publisher
from .settings import Settings, documentation, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

_USAGE = "usage: python -m wsgo.publisher    (no arguments; every setting is an environment variable)"


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`: uvicorn raises them again at its end, which ends the process in anger."""
        yield


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Publish and answer HTTP until a signal comes; then stop in order."""
    registry = CollectorRegistry()
    publisher = Publisher(settings, registry)
    register(publisher, registry)
    config = uvicorn.Config(
        make_app(publisher, registry),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http="httptools",
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    publisher.open()
    host, port = listener.getsockname()[:2]
    event("listening", f"HTTP on {host}:{port}: /health /stats /metrics, POST /control", host=host, port=port)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await publisher.close()
    server.should_exit = True
    await serving


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises `OSError` when the address cannot be used."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def main(arguments: list[str]) -> int:
    """Run the publisher; the exit code."""
    if arguments:
        lines = [f"  {name:<20} {default or '(unset)'}\n      {text}" for name, default, text in documentation()]
        asked = arguments[0] in {"-h", "--help"}
        print("\n".join([_USAGE, *lines]), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        settings = Settings()
    except ValidationError as error:
        return _refuse(faults(error))
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "another program has that port; set PORT to a free one" if taken else "set HOST and PORT"
        where = f"{settings.host}:{settings.port}"
        return _refuse(f"wsgo.publisher: cannot listen on {where}: {error.strerror or error} ({hint})")
    configure(settings.log_level, settings.log_format)
    uvloop.run(serve(settings, listener))
    return 0


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
