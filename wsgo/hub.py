"""The hub: gives every message to every client that subscribed to it, each client touched once per flush.

The first message schedules a flush; those that arrive until it runs, or while it runs, are joined and
go out in one write per client. A client that cannot take more leaves the flow and catches up later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from wsgo import logs
from wsgo.cohorts import Cohort, Cohorts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from wsgo.cohorts import Subscriber
    from wsgo.duty import DutyCycle
    from wsgo.envelope import Message
    from wsgo.metrics import Metrics
    from wsgo.replay import Replay

logger = logging.getLogger("wsgo.hub")

# Clients written to before the loop gets its turn: about 4 ms of send() calls (7 us each).
CHUNK_CLIENTS = 500
# A replay is written in pieces of about this size, so that one client's replay never waits in memory.
CHUNK_BYTES = 65536
# The latest message of so many channels is kept for slow clients; past it the longest silent goes first.
MAX_LATEST = 50_000
# Who falls behind again within so many seconds has been slow all the while: a client that reads a little
# now and then would otherwise never be slow for long.
RECOVERED_SECONDS = 5.0


class Catchup:
    """What a client that is out of the flow still has to get."""

    __slots__ = ("conflate", "frames", "published", "since")

    def __init__(self, frames: Iterable[bytes], since: int, conflate: bool, published: int) -> None:
        # Ready frames to write first.
        self.frames = deque(frames)
        # It has been given everything up to this sequence, `frames` included.
        self.since = since
        # True: after `frames` only the latest message per channel; False: all, if the replay ring has them.
        self.conflate = conflate
        # `published` of its cohort when it left the flow, to count what it was spared.
        self.published = published


class Hub:
    """One worker's fan-out. Not thread-safe: all calls come from the loop."""

    def __init__(self, replay: Replay, metrics: Metrics, duty: DutyCycle) -> None:
        self.cohorts = Cohorts()
        self.replay = replay
        self.metrics = metrics
        self.duty = duty
        # Sequence of the last message published here.
        self.seq = 0
        # Slow clients, by the monotonic time since which they have been.
        self.stalled: dict[Subscriber, float] = {}
        self._latest: dict[str, Message] = {}
        # Clients that resumed from a sequence this worker has not reached yet.
        self._ahead: set[Subscriber] = set()
        self._dirty: list[Cohort] = []
        self._fresh: list[Message] = []
        self._scheduled = False
        self._turn = 0
        # Cohorts that the flush under way has still to write to.
        self._todo: deque[Cohort] = deque()
        # The cohort being written to: its data, messages, and clients that take only a part.
        self._flight: tuple[Cohort, bytes, list[Message], dict[Subscriber, int]] | None = None
        self._pausing: list[Subscriber] = []

    # -- messages in ---------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """Queue one message for all its subscribers; it goes out with the next flush."""
        self.seq = message.seq
        latest = self._latest
        latest.pop(message.channel, None)
        latest[message.channel] = message
        if len(latest) > MAX_LATEST:
            del latest[next(iter(latest))]
        if self.cohorts.queue(message, self._dirty):
            self._fresh.append(message)
            if not self._scheduled:
                self._schedule()

    def skip(self, message: Message) -> None:
        """Take note of a message that is not to be fanned out; the replay ring has it."""
        self.seq = message.seq

    def reset(self, seq: int) -> None:
        """The stream is another one, and stands at `seq`."""
        self.seq = seq
        self._latest.clear()
        for client in (*self.stalled, *self._ahead):
            if client.catchup is not None:
                client.catchup.since = seq
        for client in tuple(self._ahead):
            self.pump(client)

    # -- flush ---------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._scheduled = True
        loop = asyncio.get_running_loop()
        wait = self.duty.wait()
        if wait > 0:
            loop.call_later(wait, self._flush)
        else:
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        fresh, self._fresh = self._fresh, []
        self.duty.begin()
        self._todo.extend(dirty)
        self._step(self._write_all(), fresh)

    def _step(self, writes: Generator[None, None, None], fresh: list[Message]) -> None:
        loop = asyncio.get_running_loop()
        try:
            next(writes)
        except StopIteration:
            # One turn later: uvloop sends what was written in this one at its end.
            loop.call_soon(self._finish, fresh)
        except Exception as error:  # the next flush must come, whatever this one met
            self.metrics.errors["flush", "critical"] += 1
            logs.event(logger, logging.ERROR, "flush_failed", f"{type(error).__name__}: {error}", storm=True)
            self._flight = None
            # Those it did not reach have messages queued, so `queue` would not call them dirty again.
            self._dirty.extend(self._todo)
            self._todo.clear()
            loop.call_soon(self._finish, fresh)
        else:
            loop.call_soon(self._step, writes, fresh)
        self._take_out_paused()

    def _finish(self, fresh: list[Message]) -> None:
        duration = self.duty.end()
        self.metrics.flushed(duration, [message.stored for message in fresh])
        self._scheduled = False
        for client in [c for c in self._ahead if c.catchup is not None and c.catchup.since <= self.seq]:
            self.pump(client)
        if self._dirty:
            self._schedule()

    def _write_all(self) -> Generator[None, None, None]:
        """Write every dirty cohort's queue to its members, yielding after each chunk of clients."""
        quota = CHUNK_CLIENTS
        while self._todo:
            cohort = self._todo.popleft()
            messages, late = cohort.pending, cohort.late
            cohort.pending = []
            if late:
                cohort.late = {}
            if not cohort.members:
                continue
            # A turn is one cohort's: who joins another cohort meanwhile still gets that one's queue.
            self._turn = turn = self._turn + 1
            data = _join(messages)
            self._flight = (cohort, data, messages, late)
            clients = iter(tuple(cohort.members))
            written = 0
            while chunk := tuple(islice(clients, quota)):
                quota -= len(chunk)
                for client in chunk:
                    if client.turn == turn:
                        continue
                    client.turn = turn
                    if late and client in late:
                        self._write(client, messages[late[client] :])
                        continue
                    # uvloop raises RuntimeError for a transport already closed; its connection_lost follows.
                    try:
                        client.transport.write(data)
                    except Exception:  # noqa: S112 - one dead client must not stop the flush for those after it
                        continue
                    written += 1
                if quota == 0:
                    quota = CHUNK_CLIENTS
                    yield
            self._flight = None
            self.metrics.messages_sent += written * len(messages)
            self.metrics.bytes_sent += written * len(data)

    def _write(self, client: Subscriber, messages: list[Message]) -> None:
        if messages:
            data = _join(messages)
            with contextlib.suppress(Exception):
                client.transport.write(data)
            self.metrics.messages_sent += len(messages)
            self.metrics.bytes_sent += len(data)

    # -- clients -------------------------------------------------------------------------------

    def add(self, client: Subscriber) -> None:
        """A new client, with no subscriptions."""
        client.cohort = self.cohorts.enter(frozenset())
        self._join_flow(client)

    def remove(self, client: Subscriber) -> None:
        """The client is gone, or is being closed: nothing more is written to it."""
        self._leave_flow(client)
        self._count_conflated(client, 0)
        client.catchup = None
        self.cohorts.leave(client.cohort)
        client.cohort = self.cohorts.nobody

    def subscribe(self, client: Subscriber, channels: frozenset[str]) -> None:
        """Replace the client's subscriptions; what it should have had under the old ones is sent first."""
        if channels == client.cohort.channels:
            return
        flowing = client.catchup is None
        if flowing:
            self._settle(client)
            self._leave_flow(client)
        else:
            self._count_conflated(client, 0)
        self.cohorts.leave(client.cohort)
        client.cohort = self.cohorts.enter(channels)
        if flowing:
            self._join_flow(client)
        elif client.catchup is not None:
            client.catchup.published = client.cohort.published

    def replay_to(self, client: Subscriber, frames: list[bytes], since: int | None = None) -> None:
        """Write `frames` in order, with pauses if the client is slow, and then continue live without a gap.

        `since`, if given, is the sequence after which live messages are wanted; it may lie ahead of
        this worker, for a client that comes from a quicker one.
        """
        self._settle(client)
        self._leave_flow(client)
        client.catchup = Catchup(frames, max(self.seq, since or 0), False, client.cohort.published)
        self.pump(client)

    def position(self, client: Subscriber) -> int:
        """The sequence up to which the client has been given everything, once it has caught up.

        What is only queued for it is written now: a client that went away with this number would lose it.
        """
        if client.catchup is not None:
            return client.catchup.since
        self._settle(client)
        self._leave_flow(client)
        self._join_flow(client)
        return self.seq

    def follow(self, client: Subscriber, frame: bytes) -> None:
        """Write `frame` after what the client is still being given."""
        if client.catchup is not None and client.catchup.frames:
            client.catchup.frames.append(frame)
        else:
            with contextlib.suppress(Exception):
                client.transport.write(frame)

    def pause(self, client: Subscriber) -> None:
        """The client's buffer is full. It leaves the flow after the current write, not within it."""
        if not self._pausing:
            asyncio.get_running_loop().call_soon(self._take_out_paused)
        self._pausing.append(client)

    def pump(self, client: Subscriber) -> None:
        """Write to a client out of the flow until it is paused again or has everything; then it is back."""
        catchup = client.catchup
        if catchup is None:
            return
        self.stalled.pop(client, None)
        while not client.paused:
            if catchup.frames:
                self._write_some(client, catchup.frames)
            elif catchup.since > self.seq:
                self._ahead.add(client)
                return
            elif catchup.since == self.seq or not self._refill(client, catchup):
                client.catchup = None
                self._ahead.discard(client)
                self._join_flow(client)
                client.recovered = time.monotonic()
                return
        self._stall(client)

    def _refill(self, client: Subscriber, catchup: Catchup) -> bool:
        """Queue what the client missed since; False if there was nothing for it."""
        names = client.cohort.channels
        if not self.replay.covers(catchup.since):
            catchup.conflate = True
        if catchup.conflate:
            messages = self._latest_since(catchup.since, names)
            self._count_conflated(client, len(messages))
        else:
            messages = self.replay.select(catchup.since, None, names)
        catchup.frames.extend(message.frame for message in messages)
        catchup.since = self.seq
        catchup.published = client.cohort.published
        self.metrics.messages_sent += len(messages)
        return bool(messages)

    def _latest_since(self, since: int, names: frozenset[str]) -> list[Message]:
        newer = []
        for message in reversed(self._latest.values()):
            if message.seq <= since:
                break
            newer.append(message)
        return [m for m in reversed(newer) if not names.isdisjoint(self.cohorts.names(m.channel))]

    def _count_conflated(self, client: Subscriber, given: int) -> None:
        catchup = client.catchup
        if catchup is not None and catchup.conflate:
            self.metrics.conflated += max(0, client.cohort.published - catchup.published - given)
            catchup.published = client.cohort.published

    def _write_some(self, client: Subscriber, frames: deque[bytes]) -> None:
        size, part = 0, []
        while frames and size < CHUNK_BYTES:
            frame = frames.popleft()
            size += len(frame)
            part.append(frame)
        self.metrics.bytes_sent += size
        with contextlib.suppress(Exception):
            client.transport.write(b"".join(part))

    def _take_out_paused(self) -> None:
        pausing, self._pausing = self._pausing, []
        for client in pausing:
            if client.paused and client.catchup is None and client in client.cohort.members:
                self._settle(client)
                self._leave_flow(client)
                client.catchup = Catchup((), self.seq, True, client.cohort.published)
            if client.paused and client.catchup is not None:
                self._stall(client)

    def _stall(self, client: Subscriber) -> None:
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

    def _settle(self, client: Subscriber) -> None:
        """Write now what the flush under way and the queue still hold for this client."""
        cohort = client.cohort
        if client not in cohort.members:
            return
        if self._flight is not None and self._flight[0] is cohort and client.turn != self._turn:
            _, _, messages, late = self._flight
            self._write(client, messages[late.get(client, 0) :])
        self._write(client, cohort.pending[cohort.late.get(client, 0) :])
        client.turn = self._turn

    def _leave_flow(self, client: Subscriber) -> None:
        client.turn = self._turn
        client.cohort.members.discard(client)
        client.cohort.late.pop(client, None)
        self.stalled.pop(client, None)
        self._ahead.discard(client)

    def _join_flow(self, client: Subscriber) -> None:
        cohort = client.cohort
        client.turn = self._turn
        cohort.members.add(client)
        if cohort.pending:
            cohort.late[client] = len(cohort.pending)


def _join(messages: list[Message]) -> bytes:
    return messages[0].frame if len(messages) == 1 else b"".join([message.frame for message in messages])
