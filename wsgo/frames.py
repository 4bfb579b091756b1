"""RFC 6455 frames: the server's are made here, the client's are parsed here. No extensions."""

from __future__ import annotations

import codecs
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


class _Message:
    """A data message of which more is to come: further bytes of this frame, or further frames."""

    __slots__ = ("_character", "data", "final", "key", "missing", "opcode")

    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        self.data = bytearray()
        # Of the frame that is being read: bytes that have not come, the key for the next of them, the FIN bit.
        self.missing = 0
        self.key = b""
        self.final = False
        # The beginning of a character that the last bytes end in.
        self._character = b""

    def add(self, masked: bytes) -> None:
        """The next bytes of the frame's payload; raises FrameError as soon as a text cannot become UTF-8."""
        part = unmask(masked, self.key)
        self.missing -= len(masked)
        if turn := len(masked) % 4:
            self.key = self.key[turn:] + self.key[:turn]
        self.data += part
        if self.opcode == Opcode.TEXT:
            self._check(part)

    def _check(self, part: bytes) -> None:
        whole = self.final and not self.missing
        if part.isascii() and not self._character:
            return
        part = self._character + part
        try:
            _, valid = codecs.utf_8_decode(part, "strict", whole)
        except UnicodeDecodeError:
            raise _not_utf8() from None
        self._character = part[valid:]
        # Python's decoder waits for the third byte of a surrogate.
        if b"\xed\xa0" <= self._character < b"\xee":
            raise _not_utf8()


def _not_utf8() -> FrameError:
    return FrameError(CloseCode.INVALID_UTF8, "a text message is not UTF-8")


class Parser:
    """Turns a client's bytes, split anywhere, into whole messages and control frames.

    After a violation `error` is set and further bytes are ignored; what was complete before it was
    returned. `max_size` bounds a message in bytes, fragments together; 0 is no limit. A text message is
    UTF-8 when it is returned, and refused at the byte that makes it none.
    """

    __slots__ = ("_buffer", "_message", "error", "max_size")

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.error: FrameError | None = None
        # A frame's first bytes, until its header, or the whole of a control frame, is there: below 132 bytes.
        self._buffer = b""
        self._message: _Message | None = None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(opcode, payload) of every message and control frame that `data` completes."""
        if self.error is not None:
            return []
        events: list[tuple[int, bytes]] = []
        if self._buffer:
            data = self._buffer + data
        position = 0
        try:
            if self._message is not None and self._message.missing:
                position = self._payload(self._message, data, 0, events)
            while (end := self._frame(data, position, events)) > 0:
                position = end
        except FrameError as error:
            self.error = error
            self._buffer = b""
            self._message = None
            return events
        self._buffer = data[position:]
        return events

    def _frame(self, data: bytes, start: int, events: list[tuple[int, bytes]]) -> int:
        """Parse one frame at `start`; returns where to go on, or 0 when its header is not there yet."""
        available = len(data) - start
        if available < 2:
            return 0
        first, second = data[start], data[start + 1]
        opcode, final, length = first & 0x0F, first >= 0x80, second & 0x7F
        self._check_header(first, second, opcode, final, length)
        offset = 2
        if length >= 126:
            offset = 4 if length == 126 else 10
            if available < offset:
                return 0
            length = int.from_bytes(data[start + 2 : start + offset])
            if length >> 63:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "the length of a frame has its highest bit set")
        message = self._message
        if self.max_size and opcode < Opcode.CLOSE and length + (len(message.data) if message else 0) > self.max_size:
            raise FrameError(CloseCode.TOO_BIG, f"a message is longer than {self.max_size} bytes")
        body = start + offset + 4
        end = body + length
        whole = end <= len(data)
        if opcode >= Opcode.CLOSE or (whole and final and message is None):
            if not whole:
                return 0
            payload = unmask(data[body:end], data[body - 4 : body])
            if opcode == Opcode.TEXT and not payload.isascii():
                try:
                    payload.decode()
                except UnicodeDecodeError:
                    raise _not_utf8() from None
            events.append((opcode, payload))
            return end
        if body > len(data):
            return 0
        if message is None:
            message = self._message = _Message(opcode)
        message.missing, message.final, message.key = length, final, data[body - 4 : body]
        return self._payload(message, data, body, events)

    def _payload(self, message: _Message, data: bytes, start: int, events: list[tuple[int, bytes]]) -> int:
        """Take what `data` has of the frame's payload from `start`; returns its end."""
        end = min(start + message.missing, len(data))
        message.add(data[start:end])
        if message.final and not message.missing:
            self._message = None
            events.append((message.opcode, bytes(message.data)))
        return end

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
        elif (opcode == Opcode.CONTINUATION) != (self._message is not None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a continuation frame is missing or unexpected")
