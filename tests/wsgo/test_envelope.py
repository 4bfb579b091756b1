"""wsgo/envelope.py: the payload travels as published, `prev` links the messages of a channel."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgo.envelope import Encoder


def body(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def test_the_envelope_has_the_documented_fields_in_order() -> None:
    message = Encoder().encode(7, 1_763_900_000_123_456_789, "BTC.trade", b'{"p": 1}')
    assert body(message.frame) == (
        b'{"seq":7,"prev":0,"ts":1763900000123,"type":"price:update","priority":1,'
        b'"channel":"BTC.trade","data":{"p": 1}}'
    )
    assert message.frame[0] == 0x81


def test_other_events_are_named_after_themselves() -> None:
    frame = Encoder().encode(1, 0, "BTC.social", b"1").frame
    assert json.loads(body(frame))["type"] == "social:update"


def test_prev_is_per_channel() -> None:
    encoder = Encoder()
    sent = [("A.trade", 1), ("B.trade", 2), ("A.trade", 5), ("A.social", 6), ("A.trade", 9)]
    prevs = [json.loads(body(encoder.encode(seq, 0, channel, b"0").frame))["prev"] for channel, seq in sent]
    assert prevs == [0, 0, 1, 0, 5]
    encoder.reset()
    assert json.loads(body(encoder.encode(10, 0, "A.trade", b"0").frame))["prev"] == 0


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5))
def test_a_json_payload_is_copied_byte_for_byte(value: object) -> None:
    payload = json.dumps(value, indent=1).encode()
    assert body(Encoder().encode(1, 0, "A.b", payload).frame).endswith(b'"data":' + payload + b"}")


@given(st.binary())
def test_any_payload_and_channel_makes_a_json_frame(payload: bytes) -> None:
    envelope = json.loads(body(Encoder().encode(1, 0, 'A"\\.b', payload).frame))
    assert envelope["channel"] == 'A"\\.b'


@pytest.mark.parametrize("payload", [b"hello", b"", b"{", b"NaN", b"\xff\xfe"])
def test_what_is_not_json_becomes_a_string(payload: bytes) -> None:
    assert json.loads(body(Encoder().encode(1, 0, "A.b", payload).frame))["data"] == payload.decode(errors="replace")


@pytest.mark.parametrize("size", [10, 200, 70_000])
def test_the_frame_header_gives_the_length(size: int) -> None:
    frame = Encoder().encode(1, 0, "A.b", b'"' + b"x" * size + b'"').frame
    length = {126: int.from_bytes(frame[2:4]), 127: int.from_bytes(frame[2:10])}.get(frame[1], frame[1])
    assert length == len(body(frame))
