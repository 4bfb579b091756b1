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

SLOT_BYTES = 128 * 1024
# Version (odd while being written), length, unix time of the snapshot; then the clients as a number of their own.
_HEADER = struct.Struct("<QQd")
_CLIENTS = struct.Struct("<q")
_CLIENTS_AT = _HEADER.size
_BODY_AT = _HEADER.size + _CLIENTS.size
_RESTARTS = struct.Struct("<Q")


class Board:
    """One slot a worker, and the supervisor's count of restarts."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, _RESTARTS.size + workers * SLOT_BYTES)

    def _slot(self, worker: int) -> int:
        return _RESTARTS.size + worker * SLOT_BYTES

    @property
    def restarts(self) -> int:
        """Workers that died and were replaced."""
        return int(_RESTARTS.unpack_from(self._memory, 0)[0])

    def worker_died(self, worker: int) -> None:
        """Its clients are gone; its figures stay for the one that follows. Only the supervisor calls this."""
        _RESTARTS.pack_into(self._memory, 0, self.restarts + 1)
        self.set_clients(worker, 0)
        version, length, _ = _HEADER.unpack_from(self._memory, self._slot(worker))
        # It may have died while writing: then there are no figures to inherit.
        torn = version & 1
        _HEADER.pack_into(self._memory, self._slot(worker), version + torn, 0 if torn else length, 0.0)

    def set_clients(self, worker: int, count: int) -> None:
        _CLIENTS.pack_into(self._memory, self._slot(worker) + _CLIENTS_AT, count)

    def clients(self) -> int:
        """Clients of all workers, now."""
        return sum(
            _CLIENTS.unpack_from(self._memory, self._slot(worker) + _CLIENTS_AT)[0] for worker in range(self.workers)
        )

    def write(self, worker: int, snapshot: dict[str, Any]) -> None:
        """Replace the worker's figures; those too large for the slot are left out rather than cut."""
        body, slot = orjson.dumps(snapshot), self._slot(worker)
        if len(body) > SLOT_BYTES - _BODY_AT:
            return
        version = _HEADER.unpack_from(self._memory, slot)[0]
        _HEADER.pack_into(self._memory, slot, version + 1, 0, 0.0)
        self._memory[slot + _BODY_AT : slot + _BODY_AT + len(body)] = body
        _HEADER.pack_into(self._memory, slot, version + 2, len(body), time.time())

    def read(self, worker: int, max_age: float | None = None) -> dict[str, Any] | None:
        """The worker's figures; None if there are none, or none younger than `max_age` seconds."""
        slot = self._slot(worker)
        for _ in range(100):
            version, length, at = _HEADER.unpack_from(self._memory, slot)
            body = self._memory[slot + _BODY_AT : slot + _BODY_AT + length]
            if not version & 1 and _HEADER.unpack_from(self._memory, slot)[0] == version:
                fresh = max_age is None or time.time() - at <= max_age
                return orjson.loads(body) if length and fresh else None
        return None
