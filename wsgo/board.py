"""Memory that all workers share: how many clients each has, and each one's latest figures.

One anonymous mapping, made before the workers are forked; a worker writes only its own slot. With one
worker it is plain memory of that process.
"""

from __future__ import annotations

import mmap
import struct
import time
from typing import Any

import orjson

PAGE_BYTES = 128 * 1024
# How often the figures were replaced: even, they are on the first page, odd, on the second. Then the clients.
_VERSION = struct.Struct("<Q")
_CLIENTS = struct.Struct("<q")
_PAGES_AT = _VERSION.size + _CLIENTS.size
# Length of the figures and the unix time they are of, at the head of a page.
_HEAD = struct.Struct("<Qd")
_SLOT_BYTES = _PAGES_AT + 2 * PAGE_BYTES
_RESTARTS = struct.Struct("<Q")


class Board:
    """One slot a worker, and the supervisor's count of restarts."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, _RESTARTS.size + workers * _SLOT_BYTES)

    def _slot(self, worker: int) -> int:
        return _RESTARTS.size + worker * _SLOT_BYTES

    @property
    def restarts(self) -> int:
        """Workers that died and were replaced."""
        return int(_RESTARTS.unpack_from(self._memory, 0)[0])

    def worker_died(self, worker: int) -> None:
        """Its clients are gone; its figures stay for the one that follows. Only the supervisor calls this."""
        _RESTARTS.pack_into(self._memory, 0, self.restarts + 1)
        self.set_clients(worker, 0)
        page = self._page(worker, self._version(worker))
        length, _ = _HEAD.unpack_from(self._memory, page)
        _HEAD.pack_into(self._memory, page, length, 0.0)

    def _version(self, worker: int) -> int:
        return int(_VERSION.unpack_from(self._memory, self._slot(worker))[0])

    def _page(self, worker: int, version: int) -> int:
        return self._slot(worker) + _PAGES_AT + version % 2 * PAGE_BYTES

    def set_clients(self, worker: int, count: int) -> None:
        _CLIENTS.pack_into(self._memory, self._slot(worker) + _VERSION.size, count)

    def clients(self) -> int:
        """Clients of all workers, now."""
        return sum(
            _CLIENTS.unpack_from(self._memory, self._slot(worker) + _VERSION.size)[0] for worker in range(self.workers)
        )

    def write(self, worker: int, snapshot: dict[str, Any]) -> None:
        """Replace the worker's figures; those too large for the slot are left out rather than cut."""
        body = orjson.dumps(snapshot)
        if len(body) > PAGE_BYTES - _HEAD.size:
            return
        # Readers have the other page until this one is whole, even if the kernel stops this process half-way.
        version = self._version(worker) + 1
        page = self._page(worker, version)
        _HEAD.pack_into(self._memory, page, len(body), time.time())
        self._memory[page + _HEAD.size : page + _HEAD.size + len(body)] = body
        _VERSION.pack_into(self._memory, self._slot(worker), version)

    def read(self, worker: int, max_age: float | None = None) -> dict[str, Any] | None:
        """The worker's figures; None if there are none, or none younger than `max_age` seconds."""
        while True:
            version = self._version(worker)
            page = self._page(worker, version)
            length, at = _HEAD.unpack_from(self._memory, page)
            body = self._memory[page + _HEAD.size : page + _HEAD.size + length]
            # Replaced meanwhile, the page may be being written to again.
            if self._version(worker) == version:
                fresh = max_age is None or time.time() - at <= max_age
                return orjson.loads(body) if length and fresh else None
