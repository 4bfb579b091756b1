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
        payload = draw(st.text(max_size=300)).encode() if opcode == Opcode.TEXT else draw(st.binary(max_size=600))
        # Cut anywhere, in the middle of a character too.
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
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


def fails_at(stream: bytes) -> tuple[int, int] | None:
    """(bytes read, close code) when the parser refuses the stream, given a byte at a time."""
    parser = Parser(0)
    for read in range(len(stream)):
        parser.feed(stream[read : read + 1])
        if parser.error is not None:
            return read + 1, parser.error.code
    return None


@pytest.mark.parametrize(
    ("payload", "bad"),
    [
        (b"\xce\xba\xf4\x90\x80\x80edited", 3),  # above U+10FFFF: the fourth byte shows it
        (b"abc\xff", 3),
        (b"\xed\xa0\x80", 1),  # a surrogate
        (b"\xc0\xaf", 0),  # overlong
        (b"\xe2\x82", 1),  # ends inside a character: the last byte shows it
        (b"\xe2\x82x", 2),
    ],
)
def test_text_is_refused_at_the_byte_that_makes_it_no_utf8(payload: bytes, bad: int) -> None:
    head, key = 2 + 4, b"\x05\x06\x07\x08"
    assert fails_at(masked(Opcode.TEXT, payload, key=key)) == (head + bad + 1, 1007)
    fragments = [masked(Opcode.TEXT, payload[:1], final=False)]
    fragments += [masked(Opcode.CONTINUATION, payload[at : at + 1], final=False) for at in range(1, len(payload) - 1)]
    fragments += [masked(Opcode.CONTINUATION, payload[-1:])]
    assert fails_at(b"".join(fragments)) == ((head + 1) * (bad + 1), 1007)
    whole = Parser(0)
    assert whole.feed(masked(Opcode.TEXT, payload)) == []
    assert whole.error is not None
    assert whole.error.code == 1007


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
def test_what_is_utf8_is_what_python_decodes(payload: bytes) -> None:
    refused = None
    try:
        payload.decode()
    except UnicodeDecodeError:
        refused = 1007
    found = fails_at(masked(Opcode.TEXT, payload))
    assert (found and found[1]) == refused
    assert fails_at(masked(Opcode.BINARY, payload)) is None


def test_an_empty_last_fragment_ends_a_message_and_a_character_may_not_be_left_open() -> None:
    parser = Parser(0)
    assert parser.feed(masked(Opcode.TEXT, b"ab", final=False) + masked(Opcode.CONTINUATION, b"")) == [(1, b"ab")]
    assert parser.feed(masked(Opcode.TEXT, b"\xc3", final=False) + masked(Opcode.CONTINUATION, b"")) == []
    assert parser.error is not None
    assert parser.error.code == 1007


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
