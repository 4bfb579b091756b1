"""The recent past of the stream, held once per worker and shared by all clients."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from wsgo.channels import matching_names

if TYPE_CHECKING:
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

    def select(self, since: int, until: int | None, names: AbstractSet[str]) -> list[Message]:
        """Messages with since < seq <= until (None: all) whose channel `names` or a pattern in it matches."""
        items = self._items
        first = bisect_right(items, since, self._start, key=_SEQ)
        last = len(items) if until is None else bisect_right(items, until, first, key=_SEQ)
        wanted: dict[str, bool] = {}
        found = []
        for index in range(first, last):
            message = items[index]
            match = wanted.get(message.channel)
            if match is None:
                match = wanted[message.channel] = not names.isdisjoint(matching_names(message.channel))
            if match:
                found.append(message)
        return found
