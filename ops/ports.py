"""Which ports of this machine are free, who has the others, and what to take instead."""

from __future__ import annotations

import errno
import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
_PROC = Path("/proc")
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_HIGHEST = 65535


@dataclass(frozen=True)
class Taken:
    """A declared port that another has. what: whose it would be. by: who has it. instead: what was chosen."""

    what: str
    number: int
    by: str
    instead: int

    def __str__(self) -> str:
        return f"port {self.number} of {self.what} is taken by {self.by}"


class Reservations:
    """Ports that this run means to use: another run that starts at the same moment leaves them alone.

    A port is free until its program binds it, so two runs would both choose it. An abstract Unix socket
    is the note on the door: the whole machine sees it, and it goes when its process goes.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def take(self, number: int) -> bool:
        """Whether nobody had reserved it."""
        note = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            note.bind(f"\0odin.port.{number}")
        except OSError:
            note.close()
            return False
        self._held[number] = note
        return True

    def release(self) -> None:
        """Give all back."""
        for note in self._held.values():
            note.close()
        self._held.clear()


def free(host: str, number: int) -> bool:
    """Whether a program could listen there now. Raises OSError if `host` is no address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that lingers from the last run keeps nobody out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(host: str, declared: Mapping[str, int], reservations: Reservations) -> tuple[dict[str, int], list[Taken]]:
    """A port for each name: the declared one if it is free, else the next free one above it."""
    chosen = {name: number for name, number in declared.items() if free(host, number) and reservations.take(number)}
    taken = []
    for name, number in declared.items():
        if name in chosen:
            continue
        by = owner(number) or "another run of Odin that is starting"
        chosen[name] = _next(host, number, set(declared.values()), reservations)
        taken.append(Taken(name, number, by, chosen[name]))
    return {name: chosen[name] for name in declared}, taken


def _next(host: str, number: int, declared: set[int], reservations: Reservations) -> int:
    # Upward, not the kernel's choice: easier to remember, and no outgoing connection can get it meanwhile.
    for candidate in range(number + 1, _HIGHEST + 1):
        if candidate not in declared and free(host, candidate) and reservations.take(candidate):
            return candidate
    raise OSError(errno.EADDRINUSE, f"no port above {number} is free")


def owner(number: int) -> str | None:
    """Who listens on a TCP port, such as `pid 812 (nats-server --jetstream)`; None if nobody does."""
    listeners = _listeners(number)
    if not listeners:
        return None
    for pid in sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()):
        if _sockets(pid) & listeners.keys():
            return f"pid {pid} ({_program(pid)})"
    user = _user(next(iter(listeners.values())))
    mine = next(iter(listeners.values())) == os.getuid()
    return "a process that cannot be seen from here" if mine else f"another user's process ({user})"


def _listeners(number: int) -> dict[int, int]:
    """inode -> uid of each socket that listens on the port."""
    found = {}
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == number:
                found[int(fields[9])] = int(fields[7])
    return found


def _sockets(pid: int) -> set[int]:
    """Inodes of a process' sockets; empty for one that is another's, or gone."""
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:
        pass
    return found


def _program(pid: int, width: int = 60) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "unknown"
    line = " ".join([os.path.basename(words[0]), *words[1:]]).strip()
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
