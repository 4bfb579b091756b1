"""Waiting until a started service works, no longer than it is given, and not at all for a dead one."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from ops.probes.http import answers
from ops.probes.outcome import No
from ops.urls import VIEWPOINT

if TYPE_CHECKING:
    from collections.abc import Callable

    from constructs_lib.endpoints import Places
    from constructs_lib.model import Service
    from ops.processes import Child

_POLL_S = 0.05


class StartError(Exception):
    """A service did not come up, or did not stay. The message names it and shows the end of its log."""

    def __init__(self, child: Child, what: str) -> None:
        said = [f"  {line}" for line in child.last_lines()] or ["  (it logged nothing)"]
        super().__init__("\n".join([f"{child.command.name} {what}. The end of its log:", *said]))


def ended(child: Child) -> StartError:
    """What to raise for a program that is over."""
    return StartError(child, f"ended with {child.how_it_ended()}")


def await_healthy(
    places: Places, service: Service, child: Child, timeout_s: float, while_waiting: Callable[[], None]
) -> None:
    """Return once the health check holds. while_waiting: called between attempts; may raise.

    Raises StartError when the program ended, or timeout_s seconds have passed.
    """
    until = time.monotonic() + timeout_s
    while True:
        why = not_yet(places, service)
        if child.ended:
            raise ended(child)
        if why is None:
            return
        if time.monotonic() > until:
            raise StartError(child, f"is not healthy after {timeout_s:g} s: {why}")
        while_waiting()
        time.sleep(_POLL_S)


def not_yet(places: Places, service: Service) -> str | None:
    """Why a service is not healthy; None if it is. Without a health check, that its ports are open will do."""
    try:
        if service.health is not None:
            host, number = places.find(VIEWPOINT, service.name, service.health.port)
            answers(host, number, service.health.path, timeout_s=2)
        else:
            for port in service.ports:
                socket.create_connection(places.find(VIEWPOINT, service.name, port.name), timeout=2).close()
    except No as no:
        return str(no)
    except OSError as error:
        return error.strerror or str(error)
    return None
