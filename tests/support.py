"""Real parts for tests: a NATS server with JetStream and a ws-go server, each on a free port of loopback.

Nothing here is a fixture; `tests/conftest.py` wraps these helpers as `nats_server` and `wsgo_server`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 20.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll `condition` every 20 ms; raises TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def http_get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body of GET http://127.0.0.1:port/path; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def stop_process(process: subprocess.Popen[bytes], sig: int = signal.SIGTERM, seconds: float = 15.0) -> int:
    """Send `sig` to this one process, wait, kill it if it stays; returns its exit code."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
    return process.returncode


def _nats_binary() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise FileNotFoundError("nats-server: not beside this Python and not on PATH")
    return found


@dataclass
class NatsServer:
    """A nats-server with JetStream; its store outlives `stop()`, so `start()` again is a restart."""

    store: Path
    port: int = field(default_factory=free_port)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [_nats_binary(), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.store), *self.arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, START_SECONDS, f"nats-server on port {self.port}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            return probe.recv(5) == b"INFO "
        return False

    def stop(self, sig: int = signal.SIGTERM) -> None:
        if self.process is not None:
            stop_process(self.process, sig)
            self.process = None

    def signal(self, sig: int) -> None:
        assert self.process is not None
        self.process.send_signal(sig)

    def restart(self) -> None:
        """Stop and start on the same port with the same store."""
        self.stop()
        self.start()


@dataclass
class WsgoServer:
    """`python -m wsgo` as a subprocess; `env` is added to a clean environment, stdout goes to `log`."""

    nats_url: str
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The WebSocket endpoint."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, until: str | None = "/ready") -> None:
        """Start, and wait until GET `until` answers 200 (None: do not wait)."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WS_", "NATS_", "JS_", "LOG_"))}
        environment = {**inherited, "PYTHONPATH": str(ROOT), **self.env}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wsgo", "-addr", f"127.0.0.1:{self.port}", "-nats", self.nats_url],
                stdout=out,
                stderr=out,
                env=environment,
                cwd=ROOT,
            )
        if until is not None:
            self.wait_for(until)

    def wait_for(self, path: str, status: int = 200, seconds: float = START_SECONDS) -> None:
        """Wait until GET `path` answers `status`; the error carries the server's log."""
        try:
            wait_until(lambda: self._answers(path, status), seconds, f"GET {path} -> {status}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def _answers(self, path: str, status: int) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"wsgo ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        return self.get(path)[0] == status

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        return http_get(self.port, path, headers)

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """End it; returns the exit code (0 if it was not running)."""
        if self.process is None:
            return 0
        code = stop_process(self.process, sig)
        self.process = None
        return code
