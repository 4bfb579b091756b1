"""A message as clients get it: encoded once, WebSocket header included, shared by every subscriber."""

from __future__ import annotations

import orjson

from wsgo import frames

# The `prev` of so many channels is remembered; past it all are forgotten (`prev` 0: none known) rather
# than letting a publisher that invents symbols fill the memory.
MAX_CHANNELS = 200_000


class Message:
    """One stream message.

    `seq` is the JetStream stream sequence, `stored` the unix time in seconds at which the stream
    stored it, `frame` the complete text frame.
    """

    __slots__ = ("channel", "frame", "seq", "stored")

    def __init__(self, seq: int, stored: float, channel: str, frame: bytes) -> None:
        self.seq = seq
        self.stored = stored
        self.channel = channel
        self.frame = frame


def event_type(channel: str) -> str:
    """`type` of a channel's envelopes: `price:update` for trades, `{event}:update` for the rest."""
    event = channel.rpartition(".")[2]
    return "price:update" if event == "trade" else f"{event}:update"


def json_payload(payload: bytes) -> bytes:
    """The payload itself if it is JSON, else the same text as a JSON string."""
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return orjson.dumps(payload.decode(errors="replace"))
    return payload


class Encoder:
    """Makes messages, and knows the previous sequence of every channel."""

    def __init__(self) -> None:
        # channel -> [previous seq, constant middle part of its envelopes]
        self._channels: dict[str, tuple[int, bytes]] = {}

    def reset(self) -> None:
        """Forget all previous sequences: the stream is another one."""
        self._channels.clear()

    def encode(self, seq: int, stored_ns: int, channel: str, payload: bytes) -> Message:
        """The message for `payload` (copied as published), stored at `stored_ns` unix nanoseconds."""
        known = self._channels.get(channel)
        if known is None:
            if len(self._channels) >= MAX_CHANNELS:
                self._channels.clear()
            names = orjson.dumps({"type": event_type(channel), "priority": 1, "channel": channel})
            prev, middle = 0, b"," + names[1:-1] + b',"data":'
        else:
            prev, middle = known
        self._channels[channel] = (seq, middle)
        body = b'{"seq":%d,"prev":%d,"ts":%d%b%b}' % (seq, prev, stored_ns // 1_000_000, middle, json_payload(payload))
        return Message(seq, stored_ns / 1e9, channel, frames.text(body))
