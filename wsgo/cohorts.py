"""Cohorts: clients grouped by their set of subscriptions, and the index from a channel to cohorts.

Ten thousand clients with the same subscriptions are one cohort: a message is looked up and queued once
for all of them. Clients that all differ are cohorts of one, which costs a list append each. A cohort is
cut into groups of some hundred clients, which are written to in one go and wait for their turn apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsgo.channels import matching_names

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wsgo.catchup import Catchup
    from wsgo.envelope import Message

# Clients written to before the loop gets its turn: about 4 ms of send() calls (7 us each).
GROUP_CLIENTS = 500
# Names are computed once per channel; a publisher that invents channels must not fill the memory.
_MAX_CACHED_CHANNELS = 50_000


class Subscriber(Protocol):
    """What the hub keeps on each connection, and calls."""

    cohort: Cohort
    # Where it waits for its turn, and its place among those written to directly; None while out of the flow.
    group: Group | None
    place: int
    # Set while the client is out of the flow: slow, or being given a replay.
    catchup: Catchup | None
    # True between pause_writing and resume_writing.
    paused: bool
    # Monotonic times, 0.0 for never: since when it is slow, and when it last had everything again.
    slow_since: float
    recovered: float
    # True while something may wait in its transport: then its socket must not be written to directly.
    backlogged: bool

    @property
    def socket(self) -> socket.socket: ...

    def write(self, data: bytes) -> None:
        """Write after everything written before; a client that is gone is no error."""

    def write_rest(self, data: bytes) -> None:
        """Leave to the transport what the socket did not take, which calls `Group.fall_behind`."""

    def overtaken(self) -> None:
        """It reads so slowly that what it resumed from is no longer held."""


class Group:
    """Some clients of a cohort that have all been given the same messages."""

    __slots__ = ("behind", "clients", "cohort", "due", "late", "position", "sockets")

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        # Members with nothing waiting in their transport, and their sockets in the same order: these are
        # written to directly. The others are in `behind`.
        self.clients: list[Subscriber] = []
        self.sockets: list[socket.socket] = []
        self.behind: set[Subscriber] = set()
        # Of its cohort's messages, how many the members have been given.
        self.position = cohort.published
        # Members that joined with messages waiting, and how many of the cohort's are not for them.
        self.late: dict[Subscriber, int] = {}
        # When the oldest message that waits for it came (time.perf_counter).
        self.due = 0.0

    def __len__(self) -> int:
        return len(self.clients) + len(self.behind)

    def add(self, client: Subscriber) -> None:
        client.group = self
        if client.backlogged:
            self.behind.add(client)
        else:
            self._line_up(client)

    def discard(self, client: Subscriber) -> None:
        client.group = None
        self.late.pop(client, None)
        if client in self.behind:
            self.behind.discard(client)
        else:
            self._step_out(client)

    def fall_behind(self, client: Subscriber) -> None:
        """Something waits in its transport: it must not be written to directly."""
        if client not in self.behind:
            self._step_out(client)
            self.behind.add(client)

    def keep_up(self, client: Subscriber) -> None:
        """Nothing waits in its transport any more."""
        self.behind.discard(client)
        self._line_up(client)

    def _line_up(self, client: Subscriber) -> None:
        client.place = len(self.clients)
        self.clients.append(client)
        self.sockets.append(client.socket)

    def _step_out(self, client: Subscriber) -> None:
        # The last one takes its place.
        last, socket = self.clients.pop(), self.sockets.pop()
        if last is not client:
            self.clients[client.place], self.sockets[client.place] = last, socket
            last.place = client.place


class Cohort:
    """All clients with exactly these subscriptions."""

    __slots__ = ("_joined", "channels", "groups", "idle", "last", "log", "published", "size")

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        # All clients, those out of the flow included.
        self.size = 0
        self.groups: list[Group] = []
        # Groups for which no message waits.
        self.idle: list[Group] = []
        # Messages ever published here; the newest of them, those that some group waits for.
        self.published = 0
        self.log: list[Message] = []
        # Several names can match one message.
        self.last: Message | None = None
        self._joined: tuple[int, int, bytes] = (0, 0, b"")

    def join(self, client: Subscriber) -> None:
        """The client gets what is published here from now on."""
        for group in reversed(self.groups):
            if len(group) < GROUP_CLIENTS:
                break
        else:
            group = Group(self)
            self.groups.append(group)
            self.idle.append(group)
        group.add(client)
        if group.position < self.published:
            group.late[client] = self.published

    def part(self, client: Subscriber) -> None:
        """The client is out of the flow."""
        group = client.group
        if group is None:
            return
        group.discard(client)
        if not len(group):
            self.groups.remove(group)
            if group in self.idle:
                self.idle.remove(group)
            self.forget()

    def waiting(self, client: Subscriber) -> int:
        """Take what waits for this client as given; returns how many messages it was, the newest."""
        group = client.group
        if group is None:
            return 0
        start = max(group.position, group.late.get(client, 0))
        if start < self.published:
            group.late[client] = self.published
        return self.published - start

    def newest(self, count: int) -> bytes:
        """The frames of the newest messages, joined. Groups at the same position share them."""
        start, end, data = self._joined
        if start == self.published - count and end == self.published:
            return data
        messages = self.log[len(self.log) - count :]
        data = messages[0].frame if count == 1 else b"".join([message.frame for message in messages])
        self._joined = (self.published - count, self.published, data)
        return data

    def forget(self) -> list[Message]:
        """Drop the messages that no group waits for; returns them."""
        if len(self.idle) == len(self.groups):
            dropped, self.log = self.log, []
            self._joined = (0, 0, b"")
            return dropped
        waiting = self.published - min(group.position for group in self.groups)
        count = len(self.log) - waiting
        dropped = self.log[:count]
        if count:
            del self.log[:count]
        return dropped


class Cohorts:
    """All cohorts, found by their subscriptions or by a channel."""

    def __init__(self) -> None:
        self.nobody = Cohort(frozenset())
        self._by_channels: dict[frozenset[str], Cohort] = {}
        self._by_name: dict[str, set[Cohort]] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_channels)

    def enter(self, channels: frozenset[str]) -> Cohort:
        """The cohort of these subscriptions, made if need be, and counted one client larger."""
        cohort = self._by_channels.get(channels) if channels else self.nobody
        if cohort is None:
            cohort = self._by_channels[channels] = Cohort(channels)
            for name in channels:
                self._by_name.setdefault(name, set()).add(cohort)
        cohort.size += 1
        return cohort

    def leave(self, cohort: Cohort) -> None:
        """Count it one client smaller; the last one out dissolves it."""
        cohort.size -= 1
        if cohort.size or not cohort.channels:
            return
        del self._by_channels[cohort.channels]
        for name in cohort.channels:
            cohorts = self._by_name[name]
            cohorts.discard(cohort)
            if not cohorts:
                del self._by_name[name]

    def names(self, channel: str) -> tuple[str, ...]:
        """The names under which `channel` can be subscribed to."""
        names = self._names.get(channel)
        if names is None:
            if len(self._names) >= _MAX_CACHED_CHANNELS:
                self._names.clear()
            names = self._names[channel] = matching_names(channel)
        return names

    def queue(self, message: Message, due: Callable[[list[Group]], None]) -> None:
        """Queue `message` for every cohort it matches; `due` is told of groups for which nothing waited."""
        for name in self.names(message.channel):
            for cohort in self._by_name.get(name, ()):
                if cohort.last is not message:
                    cohort.last = message
                    cohort.published += 1
                    if cohort.groups:
                        cohort.log.append(message)
                        if cohort.idle:
                            due(cohort.idle)
                            cohort.idle = []

    def wanted(self, channel: str) -> bool:
        """True if anyone subscribed to `channel`."""
        return any(name in self._by_name for name in self.names(channel))
