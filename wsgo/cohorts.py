"""Cohorts: clients grouped by their set of subscriptions, and the index from a channel to cohorts.

Ten thousand clients with the same subscriptions are one cohort: a message is looked up, queued and
joined once for all of them. Clients that all differ are cohorts of one, which costs a list append each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsgo.channels import matching_names

if TYPE_CHECKING:
    from wsgo.envelope import Message
    from wsgo.hub import Catchup

# Names are computed once per channel; a publisher that invents channels must not fill the memory.
_MAX_CACHED_CHANNELS = 50_000


class Writer(Protocol):
    """The part of asyncio.Transport that the hub uses."""

    def write(self, data: bytes) -> None: ...


class Subscriber(Protocol):
    """What the hub keeps on each connection."""

    @property
    def transport(self) -> Writer: ...

    cohort: Cohort
    # Number of the last cohort's turn that needs nothing more written to this client.
    turn: int
    # Set while the client is out of the flow: slow, or being given a replay.
    catchup: Catchup | None
    # True between pause_writing and resume_writing.
    paused: bool
    # Monotonic times, 0.0 for never: since when it is slow, and when it last had everything again.
    slow_since: float
    recovered: float


class Cohort:
    """All clients with exactly these subscriptions."""

    __slots__ = ("channels", "last", "late", "members", "pending", "published", "size")

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        # Clients in the flow, and all clients, those catching up included.
        self.members: set[Subscriber] = set()
        self.size = 0
        # Messages of the next flush, and for clients that joined meanwhile, how many of them to leave out.
        self.pending: list[Message] = []
        self.late: dict[Subscriber, int] = {}
        # Messages ever queued here; the last of them, because several names can match one message.
        self.published = 0
        self.last: Message | None = None


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

    def queue(self, message: Message, dirty: list[Cohort]) -> bool:
        """Queue `message` for every cohort it matches, adding to `dirty` those that had nothing queued.

        False if nobody subscribed to it.
        """
        matched = False
        for name in self.names(message.channel):
            for cohort in self._by_name.get(name, ()):
                matched = True
                if cohort.last is not message:
                    cohort.last = message
                    cohort.published += 1
                    if not cohort.pending:
                        dirty.append(cohort)
                    cohort.pending.append(message)
        return matched

    def wanted(self, channel: str) -> bool:
        """True if anyone subscribed to `channel`."""
        return any(name in self._by_name for name in self.names(channel))
