"""wsgo/frames.py: the byte stream means the same however it is cut, and violations are named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as ReferenceFrame
from websockets.frames import Opcode as ReferenceOpcode

from wsgo import frames
from wsgo.frames import Opcode, Parser


def masked(opcode: int, payload: bytes, *, final: bool = True, key: bytes = b"\x01\x02\x03\x04") -> bytes:
    length = len(payload)
    first = (0x80 if final else 0) | opcode
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = struct.pack(">BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, length)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


Event = tuple[int, bytes]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A legal client byte stream and the messages in it: fragments with control frames between them."""
    stream, events = b"", []
    for _ in range(draw(st.integers(0, 5))):
        opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        parts = draw(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
        for number, part in enumerate(parts):
            if draw(st.booleans()):
                control = draw(st.sampled_from([Opcode.PING, Opcode.PONG]))
                body = draw(st.binary(max_size=125))
                stream += masked(control, body)
                events.append((int(control), body))
            key = draw(st.binary(min_size=4, max_size=4))
            kind = Opcode.CONTINUATION if number else opcode
            stream += masked(kind, part, final=number == len(parts) - 1, key=key)
        events.append((int(opcode), b"".join(parts)))
    return stream, events


@given(conversations(), st.data())
def test_any_split_of_the_stream_parses_the_same(conversation: tuple[bytes, list[Event]], data: st.DataObject) -> None:
    stream, expected = conversation
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    parser, found = Parser(0), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += parser.feed(stream[start:end])
    assert found == expected
    assert parser.error is None


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_parses_the_same_in_pieces_and_never_raises(garbage: bytes, cuts: list[int]) -> None:
    whole, pieces = Parser(1000), Parser(1000)
    expected = whole.feed(garbage)
    found = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(garbage)], strict=True):
        found += pieces.feed(garbage[start:end])
    assert found == expected
    assert (pieces.error and pieces.error.code) == (whole.error and whole.error.code)


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (bytes((0x81, 0x05)) + b"hello", 1002),  # not masked
        (bytes((0xC1, 0x80)), 1002),  # a reserved bit
        (bytes((0x83, 0x80)), 1002),  # a reserved opcode
        (bytes((0x09, 0x80)), 1002),  # a fragmented ping
        (bytes((0x89, 0xFE, 0, 126)), 1002),  # a ping of 126 bytes
        (masked(Opcode.CONTINUATION, b"x"), 1002),  # nothing to continue
        (masked(Opcode.TEXT, b"x", final=False) + masked(Opcode.TEXT, b"y"), 1002),  # a message within a message
        (bytes((0x81, 0xFF)) + b"\xff" * 8, 1002),  # a negative length
        (masked(Opcode.TEXT, b"x" * 101), 1009),
        (masked(Opcode.TEXT, b"x" * 60, final=False) + masked(Opcode.CONTINUATION, b"x" * 60), 1009),
        (bytes((0x81, 0xFF)) + (2**40).to_bytes(8), 1009),  # refused by its header alone
    ],
)
def test_a_violation_has_its_close_code(stream: bytes, code: int) -> None:
    parser = Parser(100)
    parser.feed(stream)
    assert parser.error is not None
    assert parser.error.code == code
    assert parser.feed(masked(Opcode.TEXT, b"more")) == []


def test_what_was_complete_before_a_violation_is_returned() -> None:
    parser = Parser(0)
    assert parser.feed(masked(Opcode.TEXT, b"good") + b"\xff\xff") == [(Opcode.TEXT, b"good")]
    assert parser.error is not None


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_server_frames_are_what_an_independent_library_writes(length: int) -> None:
    payload = b"x" * length
    assert frames.text(payload) == ReferenceFrame(ReferenceOpcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1000),
        (b"\x03", 1002),
        (struct.pack(">H", 1000), 1000),
        (struct.pack(">H", 1005), 1002),
        (struct.pack(">H", 4999) + b"bye", 4999),
        (struct.pack(">H", 1000) + b"\xff", 1007),
        (struct.pack(">H", 2999), 1002),
    ],
)
def test_a_close_frame_is_answered_with_a_legal_code(payload: bytes, code: int) -> None:
    assert frames.close_code(payload) == code


def test_a_long_close_reason_is_cut_between_characters() -> None:
    frame = frames.close(1008, "ä" * 100)
    assert len(frame) <= 127
    frame[4:].decode()
