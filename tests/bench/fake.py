"""A tiny WebSocket server that sends what it is told to, for the load client to judge."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What each client is sent: bytes for each message number.
Sending = "Callable[[int], Iterable[bytes]]"


def payload(n: int, pts: int | None = None) -> bytes:
    """A message as natspub makes it."""
    pts = time.monotonic_ns() if pts is None else pts
    return b'{"price":1,"pad":"xxxxxxxxxxxx","pts":"%019d","n":"%08d"}' % (pts, n)


def frame(data: bytes, opcode: int = 1) -> bytes:
    head = bytes((0x80 | opcode, len(data))) if len(data) < 126 else struct.pack(">BBH", 0x80 | opcode, 126, len(data))
    return head + data


class FakeServer:
    """Accepts `clients`, answers each handshake, and sends message 0, 1, 2.. once `start` is called.

    sending: what goes to each client for a message number; `cut` bytes at a time, or all at once for 0.
    """

    def __init__(self, clients: int, messages: int, sending: Callable[[int], Iterable[bytes]], cut: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=clients)
        self._listener.settimeout(20)
        self.port: int = self._listener.getsockname()[1]
        self._clients, self._messages, self._sending, self._cut = clients, messages, sending, cut
        self._sockets: list[socket.socket] = []
        self._go = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def start(self) -> None:
        self._go.set()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._listener.close()
        self._thread.join(30)
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(self._clients):
                accepted, _ = self._listener.accept()
                accepted.settimeout(20)
                self._sockets.append(accepted)
                while not accepted.recv(4096).endswith(b"\r\n\r\n"):
                    pass
                accepted.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            self._go.wait(20)
            for n in range(self._messages):
                for each in self._sockets:
                    self._send(each, b"".join(self._sending(n)))
                time.sleep(0.002)
            self._go.clear()
            self._go.wait(20)

    def _send(self, to: socket.socket, data: bytes) -> None:
        step = self._cut or max(1, len(data))
        for at in range(0, len(data), step):
            to.sendall(data[at : at + step])
