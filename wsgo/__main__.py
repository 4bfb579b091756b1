"""`python -m wsgo [-addr :3002] [-nats URL] [--check]`."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from wsgo import __version__, logs, settings
from wsgo.board import Board
from wsgo.cgroup import find_meter
from wsgo.server import AddressError, Worker, listen
from wsgo.workers import Supervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from wsgo.cgroup import Meter
    from wsgo.settings import Settings

logger = logging.getLogger("wsgo")

# Files a worker needs beside its clients' sockets.
SPARE_FILES = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; returns the exit code: 0 after a signal, 2 for settings it cannot start with."""
    flags = _parser().parse_args(arguments)
    given = {name: value for name, value in (("WS_ADDR", flags.addr), ("NATS_URL", flags.nats)) if value}
    try:
        config = settings.load(given)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no logger before there are settings
        return 2
    if flags.check:
        print("settings are valid", *settings.warnings(os.environ), sep="\n")  # noqa: T201
        return 0
    try:
        return _serve(config)
    except AddressError as error:
        print(f"wsgo: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wsgo",
        description="Fans out a NATS JetStream stream to WebSocket clients. Flags go before the environment.",
        epilog="All other settings are environment variables: see README, or wsgo/settings.py.",
        allow_abbrev=False,
    )
    parser.add_argument("-addr", "--addr", metavar="[HOST]:PORT", help="address clients connect to (WS_ADDR)")
    parser.add_argument("-nats", "--nats", metavar="URL", help="NATS server (NATS_URL)")
    parser.add_argument("--check", action="store_true", help="validate the settings and exit")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _serve(config: Settings) -> int:
    workers = config.worker_count
    logs.configure(config.log_level, config.log_format)
    for warning in settings.warnings(os.environ):
        logs.event(logger, logging.WARNING, "settings", warning)
    _raise_file_limit(config, workers)
    board, meter = Board(workers), find_meter()
    # Bound here without SO_REUSEPORT first: with it, a port that another server listens on would be shared with it.
    public = listen(config.addr, "WS_ADDR", config.send_buffer)
    internal = listen(config.internal_addr, "WS_INTERNAL_ADDR") if config.internal_addr else None
    logs.event(
        logger,
        logging.INFO,
        "starting",
        f"wsgo {__version__}",
        workers=workers,
        environment=config.environment,
        addr=config.addr,
        internal_addr=config.internal_addr,
        stream=config.stream,
        accounting="cgroup" if meter.whole else "process",
    )
    if workers == 1:
        _run_worker(config, board, meter, public, internal)
        return 0
    addresses = [_address_of(public), _address_of(internal) if internal else ""]
    public.close()
    if internal is not None:
        internal.close()
    # Bound but not listening: keeps the ports while workers come and go, and gets no connections.
    held = [listen(address, "WS_ADDR", shared=True) for address in addresses if address]
    supervisor = Supervisor(board, config.shutdown_grace, partial(_fork_worker, config, board, meter, addresses))
    try:
        return supervisor.run()
    finally:
        for listener in held:
            listener.close()


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _fork_worker(config: Settings, board: Board, meter: Meter, addresses: list[str], worker: int) -> None:
    logs.configure(config.log_level, config.log_format, worker)
    public = listen(addresses[0], "WS_ADDR", config.send_buffer, shared=True)
    internal = listen(addresses[1], "WS_INTERNAL_ADDR", shared=True) if addresses[1] else None
    _run_worker(config, board, meter, public, internal, worker)


def _run_worker(  # noqa: PLR0917
    config: Settings,
    board: Board,
    meter: Meter,
    public: socket.socket,
    internal: socket.socket | None,
    worker: int = 0,
) -> None:
    async def run() -> None:
        await Worker(config, board, worker, meter).run(public, internal)

    uvloop.run(run())


def _raise_file_limit(config: Settings, workers: int) -> None:
    """Use all the open files the system grants, and say so if they are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = config.max_connections // workers + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        logs.event(
            logger,
            logging.WARNING,
            "open_files",
            f"at most {hard} open files, {needed} needed for WS_MAX_CONNECTIONS; raise `ulimit -n`",
        )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Python would free every object one by one first, which under load takes up to a second of the grace period.
    os._exit(code)
