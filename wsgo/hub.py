"""The hub: gives every message to every client that subscribed to it, in rounds over groups of clients.

The first message makes the groups due that it is for; those that come until a group has its turn are joined
and go out in one write per client. A client that cannot take more leaves the flow and catches up later.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING

from wsgo import cohorts, logs
from wsgo.catchup import Catchup, Latest, Pump
from wsgo.cohorts import Cohorts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsgo.catchup import History
    from wsgo.cohorts import Group, Subscriber
    from wsgo.duty import DutyCycle
    from wsgo.envelope import Message
    from wsgo.metrics import Metrics
    from wsgo.replay import Replay

logger = logging.getLogger("wsgo.hub")


class Hub:
    """One worker's fan-out. Not thread-safe: all calls come from the loop."""

    def __init__(
        self,
        replay: Replay,
        metrics: Metrics,
        duty: DutyCycle,
        send: Callable[[socket.socket, bytes], int] = socket.socket.send,
    ) -> None:
        self.cohorts = Cohorts()
        self.replay = replay
        self.metrics = metrics
        self.duty = duty
        self._send_one = send
        # Sequence of the last message published here.
        self.seq = 0
        self._latest = Latest(self.cohorts)
        self._pump = Pump(replay, self._latest, metrics)
        # Groups with messages waiting, the one that has waited longest first.
        self._due: deque[Group] = deque()
        self._scheduled = False
        self._pausing: list[Subscriber] = []

    @property
    def stalled(self) -> dict[Subscriber, float]:
        """Slow clients, by the monotonic time since which they have been."""
        return self._pump.stalled

    # -- messages in ---------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """Queue one message for all its subscribers."""
        self.seq = message.seq
        self._latest.add(message)
        self.cohorts.queue(message, self._make_due)
        if self._pump.ahead and not self._scheduled:
            self._schedule()

    def skip(self, message: Message) -> None:
        """Take note of a message that is not to be fanned out; the replay ring has it."""
        self.seq = message.seq

    def reset(self, seq: int) -> None:
        """The stream is another one, and stands at `seq`."""
        self.seq = seq
        self._latest.clear()
        ahead = tuple(self._pump.ahead)
        for client in (*self.stalled, *ahead):
            if client.catchup is not None:
                client.catchup.since = seq
                if client.catchup.history is not None:
                    client.catchup.history.abandon()
        for client in ahead:
            self.pump(client)

    # -- rounds --------------------------------------------------------------------------------

    def _make_due(self, groups: list[Group]) -> None:
        now = time.perf_counter()
        for group in groups:
            group.due = now
        self._due.extend(groups)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        loop = asyncio.get_running_loop()
        wait = self.duty.wait(self._due[0].due) if self._due else 0.0
        if wait > 0:
            loop.call_later(wait, self._turn)
        else:
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Write to as many of the groups that are due as make about one group's clients."""
        self._scheduled = False
        written: list[Message] = []
        clients = 0
        self.duty.begin()
        while self._due and clients < cohorts.GROUP_CLIENTS:
            group = self._due.popleft()
            if not len(group):
                continue  # all have left it
            clients += len(group)
            try:
                self._serve(group)
            except Exception as error:  # the next turn must come, whatever this one met
                self.metrics.errors["flush", "critical"] += 1
                logs.event(logger, logging.ERROR, "flush_failed", f"{type(error).__name__}: {error}", storm=True)
            group.cohort.idle.append(group)
            written += group.cohort.forget()
        self.metrics.flushed(self.duty.end(), [message.stored for message in dict.fromkeys(written)])
        for client in [c for c in self._pump.ahead if c.catchup is not None and c.catchup.since <= self.seq]:
            self.pump(client)
        if self._due and not self._scheduled:
            self._schedule()

    def _serve(self, group: Group) -> None:
        cohort = group.cohort
        count = cohort.published - group.position
        group.position = cohort.published
        data = cohort.newest(count)
        if group.late:
            late, group.late = group.late, {}
            for client in (*group.clients, *group.behind):
                self._give(client, cohort.published - late[client] if client in late else count)
            return
        self.metrics.messages_sent += len(group) * count
        self.metrics.bytes_sent += len(group) * len(data)
        behind = tuple(group.behind)
        self._send(group, data)
        for client in behind:
            client.write(data)
            if not client.backlogged:
                group.keep_up(client)

    def _send(self, group: Group, data: bytes) -> None:
        """Send to all clients of the group for which nothing waits in a transport.

        Past asyncio's transports, which would queue the writes and walk all clients once more to do them;
        and the loop over the sockets is in C.
        """
        size, count = len(data), len(group.sockets)
        sends, sent = map(self._send_one, group.sockets, repeat(data)), list[int]()
        while len(sent) < count:
            try:
                sent.extend(sends)
            except BlockingIOError:
                sent.append(0)
            except OSError:
                sent.append(size)  # it is gone; its connection_lost follows
        if sent.count(size) != count:
            short = [(client, part) for client, part in zip(group.clients, sent, strict=True) if part != size]
            for client, part in short:
                client.write_rest(data[part:])

    def _give(self, client: Subscriber, count: int) -> None:
        if count:
            data = client.cohort.newest(count)
            client.write(data)
            self.metrics.messages_sent += count
            self.metrics.bytes_sent += len(data)

    # -- clients -------------------------------------------------------------------------------

    def add(self, client: Subscriber) -> None:
        """A new client, with no subscriptions."""
        client.cohort = self.cohorts.enter(frozenset())
        client.cohort.join(client)

    def remove(self, client: Subscriber) -> None:
        """The client is gone, or is being closed: nothing more is written to it."""
        self._pump.count_conflated(client)
        self._pump.forget(client)
        client.catchup = None
        client.cohort.part(client)
        self.cohorts.leave(client.cohort)
        client.cohort = self.cohorts.nobody

    def subscribe(self, client: Subscriber, channels: frozenset[str]) -> None:
        """Replace the client's subscriptions; what it should have had under the old ones is sent first."""
        if channels == client.cohort.channels:
            return
        self._pump.count_conflated(client)
        self._leave_flow(client)
        self.cohorts.leave(client.cohort)
        client.cohort = self.cohorts.enter(channels)
        if client.catchup is None:
            client.cohort.join(client)
        else:
            client.catchup.published = client.cohort.published

    def catch_up(
        self, client: Subscriber, history: History, frames: Iterable[bytes] = (), since: int | None = None
    ) -> None:
        """Write `frames` and `history`, with pauses if the client is slow, and then go on live without a gap.

        `since`, if given, is the sequence after which live messages are wanted; it may lie ahead of
        this worker, for a client that comes from a quicker one.
        """
        self._leave_flow(client)
        since = max(self.seq, since or 0)
        client.catchup = Catchup(since, client.cohort.published, conflate=False, history=history, frames=frames)
        self.pump(client)

    def position(self, client: Subscriber) -> int:
        """The sequence up to which the client has been given everything, once it has caught up.

        What is only queued for it is written now: a client that went away with this number would lose it.
        """
        if client.catchup is not None:
            return client.catchup.since
        self._give(client, client.cohort.waiting(client))
        return self.seq

    def follow(self, client: Subscriber, frame: bytes) -> None:
        """Write `frame` after what the client is still being given."""
        if client.catchup is not None and client.catchup.history is not None:
            client.catchup.after.append(frame)
        elif client.catchup is not None and client.catchup.frames:
            client.catchup.frames.append(frame)
        else:
            client.write(frame)

    def pause(self, client: Subscriber) -> None:
        """The client's buffer is full. It leaves the flow after the current write, not within it."""
        if not self._pausing:
            asyncio.get_running_loop().call_soon(self._take_out_paused)
        self._pausing.append(client)

    def pump(self, client: Subscriber) -> None:
        """Write to a client out of the flow until it is paused again or has everything; then it is back."""
        if self._pump.run(client, self.seq):
            client.cohort.join(client)

    def _take_out_paused(self) -> None:
        pausing, self._pausing = self._pausing, []
        for client in pausing:
            if not client.paused:
                continue
            if client.group is not None:
                self._leave_flow(client)
                client.catchup = Catchup(self.seq, client.cohort.published, conflate=True)
            if client.catchup is not None:
                self._pump.stall(client)

    def _leave_flow(self, client: Subscriber) -> None:
        """Write now what waits for this client in its group."""
        self._give(client, client.cohort.waiting(client))
        client.cohort.part(client)
