"""What /health and /ready say, for all workers whichever is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from wsgo.errors import Refusal

if TYPE_CHECKING:
    from wsgo.context import Context

MIB = 1024 * 1024
# The share of WS_MAX_CONNECTIONS past which /health warns.
CAPACITY_WARNING_PERCENT = 90.0


def report(context: Context) -> dict[str, Any]:
    """The JSON of /health; `healthy` is False only when a restart or another node would be better.

    NATS away, CPU over its threshold or no room for more is `degraded`: taking the server away from the
    clients it still serves would make each of these worse.
    """
    settings = context.settings
    states = [figures["state"] for figures in context.everyone()]
    workers, whole = context.board.workers, states[0]["whole"]
    warnings: list[str] = []
    errors: list[str] = []

    fed = all(state["connected"] for state in states)
    status = next((state["nats"] for state in states if not state["connected"]), "connected")
    if not fed:
        warnings.append(f"NATS: {status}")

    current, limit = context.board.clients(), settings.max_connections
    used = current / limit * 100 if limit else 0.0
    if used > CAPACITY_WARNING_PERCENT:
        warnings.append(f"{current} of {limit} connections")

    cpu = states[0]["cpu"] if whole else sum(state["cpu"] for state in states) / workers
    if cpu > settings.cpu_reject_threshold:
        warnings.append(f"CPU {cpu:.0f} % of WS_CPU_LIMIT: new clients are refused")

    memory = states[0]["memory"] if whole else sum(state["memory"] for state in states)
    memory_percent = memory / settings.memory_limit * 100 if settings.memory_limit else 0.0
    if memory_percent > 100:
        errors.append(f"memory {memory // MIB} MiB is above WS_MEMORY_LIMIT")
    if len(states) < workers:
        warnings.append(f"{len(states)} of {workers} workers answer")
    if context.guard.leaving:
        errors.append("the server is leaving")

    return {
        "status": "unhealthy" if errors else "degraded" if warnings else "healthy",
        "healthy": not errors,
        "checks": {
            "nats": {"status": status, "healthy": fed},
            "capacity": {
                "current": current,
                "max": limit,
                "percentage": round(used, 2),
                "healthy": not limit or current < limit,
            },
            "memory": {
                "used_mb": round(memory / MIB, 2),
                "limit_mb": round(settings.memory_limit / MIB, 2),
                "percentage": round(memory_percent, 2),
                "healthy": memory_percent <= 100,
            },
            "cpu": {
                "percentage": round(cpu, 2),
                "threshold": settings.cpu_reject_threshold,
                "healthy": cpu <= settings.cpu_reject_threshold,
            },
            "limits": {
                "max_connections": limit,
                "cpu_threshold": settings.cpu_reject_threshold,
                "memory_limit_mb": round(settings.memory_limit / MIB, 2),
                "nats_rate": settings.max_nats_rate,
                "broadcast_rate": settings.max_broadcast_rate,
                "workers": workers,
            },
        },
        "warnings": warnings,
        "errors": errors,
        "uptime": round(time.time() - min(state["started"] for state in states), 3),
    }


def not_ready(context: Context) -> str | None:
    """Why new clients should go elsewhere, or None."""
    if (overload := context.guard.overload()) is not None:
        return overload.description
    states = [figures["state"] for figures in context.everyone()]
    if any(state["leaving"] for state in states):
        # Workers hear of it one after the other; no balancer is to send the clients of the first to the last.
        return Refusal.SHUTTING_DOWN.description
    ready = [state["ready"] for state in states]
    # At start every worker must have read the stream: the kernel gives clients to any of them. Later, one
    # that is being replaced does not make the server unready: its clients wait milliseconds.
    if any(ready) if context.board.restarts else all(ready) and len(ready) == context.board.workers:
        return None
    return f"waiting for the stream {context.settings.stream}: {states[0]['nats']}"
