"""RFC 6455 frames: the server's are made here, the client's are parsed here. No extensions."""

from __future__ import annotations

import struct
from enum import IntEnum

from wsgo.errors import CloseCode


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_KNOWN = frozenset(Opcode)
_MAX_CONTROL = 125


def header(opcode: int, length: int) -> bytes:
    """The header of a final, unmasked server frame with a payload of `length` bytes."""
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack(">BBH", first, 126, length)
    return struct.pack(">BBQ", first, 127, length)


def text(payload: bytes) -> bytes:
    """A whole text frame; `payload` must be UTF-8."""
    return header(Opcode.TEXT, len(payload)) + payload


def ping(payload: bytes = b"") -> bytes:
    return header(Opcode.PING, len(payload)) + payload


def pong(payload: bytes) -> bytes:
    return header(Opcode.PONG, len(payload)) + payload


def close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut at 123 bytes, on a character boundary."""
    body = struct.pack(">H", code) + reason.encode()[:123].decode(errors="ignore").encode()
    return header(Opcode.CLOSE, len(body)) + body


def close_code(payload: bytes) -> int:
    """The code to answer a peer's close frame with: its own, 1000 for none, 1002 or 1007 for a bad one."""
    if not payload:
        return CloseCode.NORMAL
    if len(payload) == 1:
        return CloseCode.PROTOCOL_ERROR
    code = int.from_bytes(payload[:2])
    registered = 1000 <= code <= 1014 and code not in {1004, 1005, 1006}
    if not registered and not 3000 <= code <= 4999:
        return CloseCode.PROTOCOL_ERROR
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return CloseCode.INVALID_UTF8
    return code


def unmask(payload: bytes, key: bytes) -> bytes:
    """XOR with the four-byte key, as one big integer: the fastest way without an extension module."""
    length = len(payload)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(length)


class FrameError(Exception):
    """The byte stream breaks RFC 6455 or a limit; `code` is the close code that says so."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Parser:
    """Turns a client's bytes, split anywhere, into whole messages and control frames.

    After a violation `error` is set and further bytes are ignored; what was complete before it was
    returned. `max_size` bounds a message in bytes, fragments together; 0 is no limit.
    """

    __slots__ = ("_buffer", "_fragments", "_needed", "error", "max_size")

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.error: FrameError | None = None
        self._buffer: bytes | bytearray = b""
        self._needed = 2
        # Opcode and fragments so far of a message that is not complete yet.
        self._fragments: tuple[int, bytearray] | None = None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(opcode, payload) of every message and control frame that `data` completes."""
        if self.error is not None:
            return []
        events: list[tuple[int, bytes]] = []
        if self._buffer:
            assert isinstance(self._buffer, bytearray)
            self._buffer += data
            if len(self._buffer) < self._needed:
                return events
            data = bytes(self._buffer)
        position = 0
        try:
            while (end := self._frame(data, position, events)) > 0:
                position = end
        except FrameError as error:
            self.error = error
            self._buffer = b""
            self._fragments = None
            return events
        self._buffer = bytearray(data[position:]) if position < len(data) else b""
        return events

    def _frame(self, data: bytes, start: int, events: list[tuple[int, bytes]]) -> int:
        """Parse one frame at `start`; returns its end, or 0 when bytes are missing (`_needed` says how many)."""
        available = len(data) - start
        if available < 2:
            self._needed = 2
            return 0
        first, second = data[start], data[start + 1]
        opcode, final, length = first & 0x0F, first >= 0x80, second & 0x7F
        self._check_header(first, second, opcode, final, length)
        offset = 2
        if length >= 126:
            offset = 4 if length == 126 else 10
            if available < offset:
                self._needed = offset
                return 0
            length = int.from_bytes(data[start + 2 : start + offset])
            if length >> 63:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "the length of a frame has its highest bit set")
        held = len(self._fragments[1]) if self._fragments and opcode == Opcode.CONTINUATION else 0
        if self.max_size and length + held > self.max_size:
            raise FrameError(CloseCode.TOO_BIG, f"a message is longer than {self.max_size} bytes")
        end = offset + 4 + length
        if available < end:
            self._needed = end
            return 0
        body = start + offset
        payload = unmask(data[body + 4 : start + end], data[body : body + 4])
        if opcode >= Opcode.CLOSE or (final and self._fragments is None):
            events.append((opcode, payload))
        else:
            self._fragment(opcode, final, payload, events)
        return start + end

    def _check_header(self, first: int, second: int, opcode: int, final: bool, length: int) -> None:
        if first & 0x70:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a reserved bit is set and no extension was agreed")
        if opcode not in _KNOWN:
            raise FrameError(CloseCode.PROTOCOL_ERROR, f"unknown opcode {opcode:#x}")
        if not second & 0x80:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a client frame is not masked")
        if opcode >= Opcode.CLOSE:
            if not final or length > _MAX_CONTROL:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented or too long")
        elif (opcode == Opcode.CONTINUATION) != (self._fragments is not None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a continuation frame is missing or unexpected")

    def _fragment(self, opcode: int, final: bool, payload: bytes, events: list[tuple[int, bytes]]) -> None:
        if self._fragments is None:
            self._fragments = (opcode, bytearray(payload))
            return
        kind, collected = self._fragments
        collected += payload
        if final:
            self._fragments = None
            events.append((kind, bytes(collected)))
