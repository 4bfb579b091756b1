"""Clients out of the flow: slow ones, and those that asked for a replay. Each catches up at its own pace.

What a client still has to get is read from the replay ring piece by piece, as fast as it reads: a place in
the ring is all that it costs the server, however much it asked for and however slowly it takes it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from wsgo.cohorts import Cohorts, Subscriber
    from wsgo.envelope import Message
    from wsgo.metrics import Metrics
    from wsgo.replay import Replay

# What is read from the ring and written at once, in bytes.
PIECE_BYTES = 65536
# The latest message of so many channels is kept for slow clients; past it the longest silent goes first.
MAX_LATEST = 50_000
# Who falls behind again within so many seconds has been slow all the while: a client that reads a little
# now and then would otherwise never be slow for long.
RECOVERED_SECONDS = 5.0


class History:
    """What a client asked for: the messages with since < seq <= until whose channel `names` match.

    `promised`: it was told that it gets them all (a resumption); else `end` tells it at the end what it got.
    """

    __slots__ = ("complete", "end", "names", "promised", "sent", "since", "until")

    def __init__(
        self,
        since: int,
        until: int,
        names: AbstractSet[str],
        *,
        promised: bool = False,
        end: Callable[[History], bytes] | None = None,
    ) -> None:
        self.since = since
        self.until = until
        self.names = names
        self.promised = promised
        self.end = end
        self.sent = 0
        self.complete = True

    def abandon(self) -> None:
        """The stream that it was of is gone."""
        self.since, self.complete = self.until, False


class Catchup:
    """What one client still has to get: `frames`, then `history`, then `after`, then all since `since`."""

    __slots__ = ("after", "conflate", "frames", "given", "history", "published", "since")

    def __init__(
        self,
        since: int,
        published: int,
        *,
        conflate: bool,
        history: History | None = None,
        frames: Iterable[bytes] = (),
    ) -> None:
        self.frames = list(frames)
        self.history = history
        self.after: list[bytes] = []
        self.since = since
        # True: only the latest message per channel since then; False: all, if the replay ring has them.
        self.conflate = conflate
        # To count what it was spared: `published` of its cohort at some time, and messages given since.
        self.published = published
        self.given = 0


class Latest:
    """The latest message of each channel, the longest silent channel first."""

    def __init__(self, cohorts: Cohorts) -> None:
        self._cohorts = cohorts
        self._messages: dict[str, Message] = {}

    def add(self, message: Message) -> None:
        messages = self._messages
        messages.pop(message.channel, None)
        messages[message.channel] = message
        if len(messages) > MAX_LATEST:
            del messages[next(iter(messages))]

    def clear(self) -> None:
        self._messages.clear()

    def read(self, since: int, until: int, names: frozenset[str], max_bytes: int) -> tuple[list[bytes], int]:
        """Frames of those after `since` whose channel `names` match, as `Replay.read` gives them."""
        newer = []
        for message in reversed(self._messages.values()):
            if message.seq <= since:
                break
            newer.append(message)
        frames, size = [], 0
        for message in reversed(newer):
            if not names.isdisjoint(self._cohorts.names(message.channel)):
                frames.append(message.frame)
                size += len(message.frame)
                if size >= max_bytes:
                    return frames, message.seq
        return frames, until


class Pump:
    """Writes to clients out of the flow, until each is paused again or has everything up to the sequence given."""

    def __init__(self, replay: Replay, latest: Latest, metrics: Metrics) -> None:
        self.replay = replay
        self.latest = latest
        self.metrics = metrics
        # Slow clients, by the monotonic time since which they have been.
        self.stalled: dict[Subscriber, float] = {}
        # Clients that resumed from a sequence this worker has not reached yet.
        self.ahead: set[Subscriber] = set()

    def run(self, client: Subscriber, seq: int) -> bool:
        """Write to `client`; True when it has everything up to `seq`, the newest, and may join the flow."""
        catchup = client.catchup
        if catchup is None:
            return False
        self.stalled.pop(client, None)
        while not client.paused:
            frames = self._gather(client, catchup, seq)
            if client.catchup is not catchup:
                return False  # it was given up
            if frames:
                client.write(b"".join(frames))
            elif catchup.since > seq:
                self.ahead.add(client)
                return False
            else:
                self.count_conflated(client)
                client.catchup = None
                self.ahead.discard(client)
                client.recovered = time.monotonic()
                return True
        self.stall(client)
        return False

    def forget(self, client: Subscriber) -> None:
        """It is in the flow again, or gone."""
        self.stalled.pop(client, None)
        self.ahead.discard(client)

    def stall(self, client: Subscriber) -> None:
        """The client takes no more: it is slow from now on, or has been since before it seemed to recover."""
        if client in self.stalled:
            return
        now = time.monotonic()
        recovered = client.recovered > client.slow_since and now - client.recovered > RECOVERED_SECONDS
        # A replay may take its time, as long as it goes on.
        replaying = client.catchup is not None and not client.catchup.conflate
        if not client.slow_since or recovered or replaying:
            client.slow_since = now
        self.stalled[client] = client.slow_since

    def count_conflated(self, client: Subscriber) -> None:
        """Count what its cohort was published and it was not given."""
        catchup = client.catchup
        if catchup is not None:
            if catchup.conflate:
                self.metrics.conflated += max(0, client.cohort.published - catchup.published - catchup.given)
            catchup.published, catchup.given = client.cohort.published, 0

    def _gather(self, client: Subscriber, catchup: Catchup, seq: int) -> list[bytes]:
        """What to write next, about PIECE_BYTES: an answer and the little that it announces are one write."""
        frames: list[bytes] = []
        size = 0
        while size < PIECE_BYTES:
            if catchup.frames:
                piece, catchup.frames = catchup.frames, []
            elif catchup.history is not None:
                piece = self._tell(client, catchup, catchup.history)
            elif catchup.since < seq:
                piece = self._refill(client, catchup, seq)
            else:
                break
            frames += piece
            size += sum(map(len, piece))
        return frames

    def _tell(self, client: Subscriber, catchup: Catchup, history: History) -> list[bytes]:
        """The next piece of its history."""
        if history.since >= history.until:
            catchup.history = None
            end = [] if history.end is None else [history.end(history)]
            return [*end, *catchup.after]
        if not self.replay.covers(history.since):
            if history.promised:
                catchup.history = None
                client.overtaken()
                return []
            history.complete = False
        frames, history.since = self.replay.read(history.since, history.until, history.names, PIECE_BYTES)
        history.sent += len(frames)
        return self._counted(frames)

    def _refill(self, client: Subscriber, catchup: Catchup, seq: int) -> list[bytes]:
        """The next piece of what was published since."""
        names = client.cohort.channels
        if not catchup.conflate and not self.replay.covers(catchup.since):
            self.count_conflated(client)
            catchup.conflate = True
        source = self.latest if catchup.conflate else self.replay
        frames, catchup.since = source.read(catchup.since, seq, names, PIECE_BYTES)
        catchup.given += len(frames)
        return self._counted(frames)

    def _counted(self, frames: list[bytes]) -> list[bytes]:
        self.metrics.messages_sent += len(frames)
        self.metrics.bytes_sent += sum(map(len, frames))
        return frames
