"""From the feed to the hub: every stream message is encoded, kept for replay, and fanned out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsgo import channels, logs
from wsgo.envelope import Encoder
from wsgo.guard import Bucket

if TYPE_CHECKING:
    from wsgo.hub import Hub
    from wsgo.metrics import Metrics
    from wsgo.settings import Settings

logger = logging.getLogger("wsgo.intake")


class Intake:
    """One worker's end of the stream."""

    def __init__(self, hub: Hub, metrics: Metrics, settings: Settings) -> None:
        self.hub = hub
        self.metrics = metrics
        self.encoder = Encoder()
        # Names the incarnation of the stream; empty before there is one.
        self.epoch = ""
        # Messages before this sequence were stored before the server came: kept for replay, not fanned out.
        self.live_from = 0
        # Every worker reads the whole stream, so a rate of the stream is not divided by workers.
        self._nats_rate = Bucket(settings.max_nats_rate)
        self._broadcast_rate = Bucket(settings.max_broadcast_rate)

    def begin(self, epoch: str, floor: int, live_from: int) -> None:
        """Another stream, or the first: its next message is the first after `floor`."""
        self.epoch = epoch
        self.live_from = live_from
        self.encoder.reset()
        self.hub.replay.reset(floor)
        self.hub.reset(floor)

    def lost(self, floor: int) -> None:
        """Messages up to `floor` were missed for good: clients see it as `prev` 0, and replay starts after it."""
        self.encoder.reset()
        self.hub.replay.reset(floor)
        logs.event(logger, logging.WARNING, "feed_gap", "the stream dropped messages unread", storm=True, until=floor)

    def receive(self, seq: int, stored_ns: int, subject: str, payload: bytes) -> None:
        """One message of the stream, in order."""
        self.metrics.nats_received += 1
        channel = channels.from_subject(subject)
        if channel is None:
            self.metrics.nats_dropped["subject"] += 1
            return
        message = self.encoder.encode(seq, stored_ns, channel, payload)
        self.hub.replay.append(message)
        if seq < self.live_from:
            self.hub.skip(message)
        elif not self._nats_rate.take():
            self.metrics.nats_dropped["nats_rate"] += 1
            self.hub.skip(message)
        elif self._broadcast_rate.rate and self.hub.cohorts.wanted(channel) and not self._broadcast_rate.take():
            self.metrics.dropped["broadcast_rate"] += 1
            self.hub.skip(message)
        else:
            self.hub.publish(message)
