"""Ends what `processes` has started when the process that started it is gone, however it went.

Run as a script by `processes`, in a session of its own, and told on stdin what there is; the end of stdin
without a `done` before it means that the other end was killed. PR_SET_PDEATHSIG alone would reach the
children but not theirs, and would leave the run's directory behind.

    watch PGID      a process group to end
    forget PGID     it has ended
    remove PATH     a directory to remove
    done            nothing is left to do
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

GRACE_S = 3.0


def _signal(groups: list[int], number: int) -> list[int]:
    """Send it to each group; those that still exist."""
    found = []
    for group in groups:
        try:
            os.killpg(group, number)
        except OSError:
            continue
        found.append(group)
    return found


def main() -> None:
    """Read orders until stdin ends, then clean up unless the last order was `done`."""
    groups: list[int] = []
    directories: list[str] = []
    for line in sys.stdin:
        order, _, value = line.rstrip("\n").partition(" ")
        match order:
            case "watch":
                groups.insert(0, int(value))
            case "forget":
                groups.remove(int(value))
            case "remove":
                directories.append(value)
            case "done":
                return
    until = time.monotonic() + GRACE_S
    left = _signal(groups, signal.SIGTERM)
    while left and time.monotonic() < until:
        time.sleep(0.05)
        left = _signal(left, 0)
    _signal(left, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
