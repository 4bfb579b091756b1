"""One WebSocket client: a protocol object that frames go through, with no task, queue or timer of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from typing import TYPE_CHECKING

import orjson

from wsgo import commands, frames, logs
from wsgo.errors import CloseCode, ErrorCode
from wsgo.frames import Opcode
from wsgo.liveness import CLOSE_SECONDS

if TYPE_CHECKING:
    from wsgo.catchup import Catchup
    from wsgo.cohorts import Cohort, Group
    from wsgo.context import Context
    from wsgo.credentials import Claims
    from wsgo.frames import FrameError
    from wsgo.metrics import Metrics

logger = logging.getLogger("wsgo.connection")

# Looking at a message of the replay ring costs about 0.1 us, a request about 20 us; writing comes on top.
MESSAGES_A_REQUEST = 1_000


class Connection(asyncio.Protocol):
    """The life of a client after its handshake."""

    __slots__ = (  # noqa: RUF023 - grouped by who uses them
        # the worker it belongs to
        "context",
        "metrics",
        # writing
        "transport",
        "socket",
        "backlogged",
        # the hub's
        "cohort",
        "group",
        "place",
        "catchup",
        "paused",
        "slow_since",
        "recovered",
        # frames
        "parser",
        "ended",
        # liveness
        "alive",
        "slot",
        "opened",
        # limits
        "address",
        "claims",
        "allowance",
    )

    def __init__(
        self, context: Context, transport: asyncio.Transport, address: str, claims: Claims | None = None
    ) -> None:
        self.context = context
        self.metrics: Metrics = context.metrics
        self.transport = transport
        self.socket = _socket_of(transport)
        # The answer to the handshake may still wait in the transport.
        self.backlogged = True
        self.cohort: Cohort = context.hub.cohorts.nobody
        self.group: Group | None = None
        self.place = 0
        self.catchup: Catchup | None = None
        self.paused = False
        self.slow_since = self.recovered = 0.0
        self.parser = frames.Parser(context.settings.max_message_size)
        # Why it is being closed and by whom, once it is; what it still sends is then ignored.
        self.ended: tuple[str, str] | None = None
        self.alive = True
        self.slot = 0
        self.opened = time.monotonic()
        self.address = address
        # What its token says; None where none is needed.
        self.claims = claims
        # When the client's requests so far are paid for, at WS_CLIENT_RATE (a token bucket as one number).
        self.allowance = 0.0

    def open(self, channels: frozenset[str]) -> None:
        """The handshake is answered: join the hub."""
        high = self.context.settings.client_buffer
        if high != 65536:  # uvloop's and asyncio's default
            self.transport.set_write_buffer_limits(high=high)
        self.context.entered(self)
        if channels:
            self.context.hub.subscribe(self, channels)

    # -- bytes in ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.alive = True
        self.metrics.bytes_received += len(data)
        for opcode, payload in self.parser.feed(data):
            if self.ended is not None and opcode != Opcode.CLOSE:
                continue
            if opcode == Opcode.TEXT:
                self.text_received(payload)
            elif opcode == Opcode.CLOSE:
                self._close_received(payload)
            elif opcode == Opcode.PING:
                if not self.paused and self._within_rate():
                    self.write(frames.pong(payload))
            elif opcode == Opcode.BINARY:
                self.binary_received(payload)
        if self.parser.error is not None and self.ended is None:
            self._fail(self.parser.error)

    def text_received(self, payload: bytes) -> None:
        """One text message; the parser has seen that it is UTF-8."""
        self.metrics.messages_received += 1
        if not self._within_rate():
            self.metrics.rate_limited += 1
            rate = self.context.settings.client_rate
            self.send_error(ErrorCode.RATE_LIMIT_EXCEEDED, f"Too many messages, please slow down (limit: {rate:g}/s)")
            return
        commands.execute(self, payload)

    def binary_received(self, payload: bytes) -> None:
        """One binary message."""
        self.metrics.messages_received += 1
        if self._within_rate():
            self.send_error(ErrorCode.BINARY_NOT_SUPPORTED, "requests are JSON in text frames")

    def _within_rate(self) -> bool:
        settings = self.context.settings
        if not settings.client_rate or self.ended is not None:
            return self.ended is None
        now = time.monotonic()
        self.allowance = max(self.allowance, now) + 1 / settings.client_rate
        requests_ahead = (self.allowance - now) * settings.client_rate
        if requests_ahead > 2 * settings.client_burst:
            self.close(CloseCode.POLICY, f"too many requests: over {settings.client_rate:g}/s for long", "rate_limit")
        return requests_ahead <= settings.client_burst

    def charge(self, messages: int) -> None:
        """A request had so many messages looked at: that is worth some requests more."""
        rate = self.context.settings.client_rate
        if rate:
            self.allowance += messages / MESSAGES_A_REQUEST / rate

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ended is None:
            self.ended = ("connection_lost", "client")
            self.context.hub.remove(self)
        self.context.left(self)
        # asyncio closes the descriptor after this; its number may be another client's at once.
        self.socket.detach()
        age = time.monotonic() - self.opened
        self.metrics.age.observe(age)
        self.metrics.disconnects[self.ended] += 1
        logs.event(
            logger,
            logging.INFO,
            "client_disconnected",
            "client gone",
            storm=True,
            reason=self.ended[0],
            initiated_by=self.ended[1],
            address=self.address,
            seconds=round(age, 3),
        )

    # -- bytes out -----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write ready frames after all written before; a socket that is gone is no error."""
        if self.backlogged:
            if self.transport.get_write_buffer_size():
                self._queue(data)
                return
            self.backlogged = False
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # its connection_lost follows
        if sent != len(data):
            self.write_rest(data[sent:])

    def write_rest(self, data: bytes) -> None:
        """Leave to the transport what the socket did not take; all that follows goes the same way until it has."""
        self.backlogged = True
        if self.group is not None:
            self.group.fall_behind(self)
        self._queue(data)

    def _queue(self, data: bytes) -> None:
        # uvloop raises for a transport that is closed already; its connection_lost follows.
        with contextlib.suppress(RuntimeError):
            self.transport.write(data)

    def send_json(self, message: dict[str, object]) -> None:
        self.write(frames.text(orjson.dumps(message)))

    def send_error(self, code: ErrorCode, message: str) -> None:
        if self.ended is None:
            self.send_json({"type": "error", "code": code.value, "message": message})

    def pause_writing(self) -> None:
        self.paused = True
        if self.ended is None:
            # Who does not read may not make the server write more.
            with contextlib.suppress(RuntimeError):
                self.transport.pause_reading()
            self.context.hub.pause(self)

    def resume_writing(self) -> None:
        self.paused = False
        if self.ended is None:
            self._read_again()
            self.context.hub.pump(self)

    def _read_again(self) -> None:
        # uvloop raises for a transport that is closed already; its connection_lost follows.
        with contextlib.suppress(RuntimeError):
            self.transport.resume_reading()

    def overtaken(self) -> None:
        self.metrics.slow_disconnected += 1
        self.close(CloseCode.POLICY, "too slow: what was being resumed is no longer held; resume again", "slow")

    # -- endings -------------------------------------------------------------------------------

    def close(self, code: int, reason: str, label: str) -> None:
        """Start the closing handshake; the socket is cut if the peer does not answer it."""
        if self.ended is not None:
            return
        self._end(label, "server")
        self.write(frames.close(code, reason))
        if self.paused:
            self._read_again()
        self.context.sweeper.closing[self] = time.monotonic() + CLOSE_SECONDS

    def _fail(self, error: FrameError) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): what the client still sends cannot be read any more."""
        self.close(error.code, error.reason, "protocol_error")
        self._hang_up()

    def _hang_up(self) -> None:
        """Both sides have said their last: end the connection, the server first (RFC 6455, section 7.1.1).

        Closed at once, a socket with unread bytes makes the kernel send a reset, which overtakes what was
        written before. Half closed, it has the client close its end; who does not is cut.
        """
        if self.paused:
            self._read_again()
        self.context.sweeper.closing.setdefault(self, time.monotonic() + CLOSE_SECONDS)
        with contextlib.suppress(Exception):
            self.transport.write_eof()

    def abort(self, label: str) -> None:
        """Cut the socket."""
        if self.ended is None:
            self._end(label, "server")
        self.transport.abort()

    def _close_received(self, payload: bytes) -> None:
        if self.ended is None:
            self._end("closed", "client")
            self.write(frames.close(frames.close_code(payload)))
        self._hang_up()

    def _end(self, label: str, side: str) -> None:
        self.ended = (label, side)
        self.context.hub.remove(self)


def _socket_of(transport: asyncio.Transport) -> socket.socket:
    """The transport's own socket, to write to while nothing waits in the transport, which goes on to own it."""
    found: socket.socket = transport.get_extra_info("socket")
    # Non-blocking by its type: no system call is needed to say so.
    return socket.socket(found.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, found.proto, found.fileno())
