"""The recent past of the stream, held once per worker and shared by all clients."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from wsgo.channels import matching_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from wsgo.envelope import Message

_SEQ = attrgetter("seq")


class Replay:
    """A ring of messages in sequence order, bounded in messages and in bytes (0 bytes: no bound).

    Every message of the stream above `floor` that was ever added is held, so a client that has seen
    `floor` or later can be given all it missed.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.floor = 0
        self.bytes = 0
        self._items: list[Message] = []
        # Index of the oldest; the list is cut only when half of it is dead, so eviction is O(1).
        self._start = 0

    def __len__(self) -> int:
        return len(self._items) - self._start

    def reset(self, floor: int) -> None:
        """Forget everything; the next message is the first after `floor`."""
        self._items, self._start, self.bytes, self.floor = [], 0, 0, floor

    def append(self, message: Message) -> None:
        """Add the newest message, and drop the oldest past the bounds."""
        self._items.append(message)
        self.bytes += len(message.frame)
        while len(self) > self.max_messages or (self.max_bytes and self.bytes > self.max_bytes):
            oldest = self._items[self._start]
            self._start += 1
            self.bytes -= len(oldest.frame)
            self.floor = oldest.seq
        if self._start > 1024 and self._start * 2 > len(self._items):
            del self._items[: self._start]
            self._start = 0

    def covers(self, since: int) -> bool:
        """True if nothing after `since` has been dropped."""
        return since >= self.floor

    def between(self, since: int, until: int) -> int:
        """How many messages are held with since < seq <= until, whatever their channel."""
        first, last = self._range(since, until)
        return last - first

    def count(self, since: int, until: int, names: AbstractSet[str]) -> int:
        """How many of them have a channel that `names` or a pattern in it matches."""
        return sum(1 for _ in self._matching(since, until, names))

    def read(self, since: int, until: int, names: AbstractSet[str], max_bytes: int) -> tuple[list[bytes], int]:
        """The frames of these, oldest first, and the sequence up to which that is all.

        It stops after `max_bytes`: below `until`, ask again from that sequence.
        """
        frames, size = [], 0
        for message in self._matching(since, until, names):
            frames.append(message.frame)
            size += len(message.frame)
            if size >= max_bytes:
                return frames, message.seq
        return frames, until

    def _range(self, since: int, until: int) -> tuple[int, int]:
        first = bisect_right(self._items, since, self._start, key=_SEQ)
        return first, bisect_right(self._items, until, first, key=_SEQ)

    def _matching(self, since: int, until: int, names: AbstractSet[str]) -> Iterator[Message]:
        first, last = self._range(since, until)
        items = self._items
        wanted: dict[str, bool] = {}
        for index in range(first, last):
            message = items[index]
            match = wanted.get(message.channel)
            if match is None:
                match = wanted[message.channel] = not names.isdisjoint(matching_names(message.channel))
            if match:
                yield message
