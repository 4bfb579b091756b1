"""Fixtures that start real servers; the helpers behind them are in `support.py`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from tests.faults import scale
from tests.support import NatsServer, WsgoServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Machines that share their cores are slow now and then: time says nothing about an example. CI tries the
# same examples each time; what explores, and may find something new, is a run by hand.
hypothesis.settings.register_profile(
    "odin",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("odin")


class StartWsgo(Protocol):
    """Starts one more ws-go against the test's NATS; keyword arguments are environment variables."""

    def __call__(self, until: str | None = "/ready", **env: str) -> WsgoServer: ...


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server with JetStream and an empty store."""
    server = NatsServer(store=tmp_path / "jetstream")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def wsgo_server(nats_server: NatsServer, tmp_path: Path) -> Iterator[StartWsgo]:
    """A function that starts `python -m wsgo` (the stream must exist, or pass until="/live")."""
    started: list[WsgoServer] = []

    def start(until: str | None = "/ready", **env: str) -> WsgoServer:
        server = WsgoServer(nats_server.url, tmp_path / f"wsgo-{len(started)}.log", env)
        started.append(server)
        server.start(until)
        return server

    try:
        yield start
    finally:
        for server in started:
            server.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite the snapshots with what is synthesized now")
    parser.addoption("--full", action="store_true", help="tests/faults with the numbers of the promise: half an hour")


def pytest_configure(config: pytest.Config) -> None:
    scale.FULL = config.getoption("--full")
