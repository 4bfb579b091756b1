"""Prometheus' view: can it scrape, are the names there, do they move."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

from ops.probes.http import get
from ops.probes.outcome import No

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Metric

# What Prometheus 3 sends; a server that serves only what a browser asks for is found out.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
SETTLE_S = 5.0
_POLL_S = 0.25


@dataclass(frozen=True)
class Target:
    """What a real Prometheus says of a job. health: up, down or unknown."""

    health: str
    error: str = ""
    version: str = ""


@dataclass(frozen=True)
class Sample:
    """One scrape: the sum of each name over its labels, and which are counters."""

    values: dict[str, float]
    counters: frozenset[str]
    families: int


def scraped(host: str, port: int, path: str, names: Sequence[str] = (), target: Target | None = None) -> str:
    """/metrics is what Prometheus reads, and has the names; a total of them moves, a current one is above 0.

    The caller sees to it that there is something to count.
    """
    if target is not None and target.health != "up":
        raise No(f"Prometheus says {target.health}: {target.error}")
    first = sample(host, port, path)
    missing = [name for name in names if name not in first.values]
    if missing:
        raise No(f"{', '.join(missing)} not among its {first.families} metrics")
    last = _second(host, port, path, names, first)
    still = [name for name in names if not _lives(name, first, last)]
    if still:
        raise No(", ".join(f"{name} stays at {last.values[name]:g}" for name in still))
    by = f"scraped by Prometheus {target.version}" if target else "scraped by this check"
    if names:
        return "; ".join([*(_moved(name, first, last) for name in names), by])
    moved = sum(last.values[name] > first.values.get(name, 0) for name in last.counters)
    return f"{last.families} metrics, {moved} counters moving; {by}"


def sample(host: str, port: int, path: str) -> Sample:
    """One scrape, as Prometheus makes it. Raises `No` with what Prometheus would refuse."""
    answer = get(host, port, path, {"Accept": ACCEPT})
    if answer.status != 200:
        raise No(f"GET {path}: {answer.shown()}")
    kind = answer.headers.get("content-type", "")
    try:
        families = _parse(kind, answer.body.decode())
    except (ValueError, KeyError, IndexError) as error:
        raise No(f"{path} ({kind or 'no content type'}) is not Prometheus text: {error}") from None
    if not families:
        raise No(f"{path} ({kind or 'no content type'}) has no metric")
    values: dict[str, float] = {}
    counters = set()
    for family in families:
        for found in family.samples:
            values[found.name] = values.get(found.name, 0.0) + found.value
            if family.type == "counter" and found.name.endswith("_total"):
                counters.add(found.name)
    return Sample(values, frozenset(counters), len(families))


def _parse(kind: str, body: str) -> list[Metric]:
    if kind.startswith("application/openmetrics-text"):
        return list(openmetrics.text_string_to_metric_families(body))  # type: ignore[no-untyped-call]
    if kind.startswith("text/plain"):
        return list(text.text_string_to_metric_families(body))
    # Prometheus 3 refuses to guess.
    raise ValueError("the content type is none that Prometheus reads")


def _second(host: str, port: int, path: str, names: Sequence[str], first: Sample) -> Sample:
    """The sample in which everything has moved, or the last one within the time."""
    until = time.monotonic() + SETTLE_S
    while True:
        time.sleep(_POLL_S)
        last = sample(host, port, path)
        wanted = names or [next(iter(last.counters), "")]
        if all(_lives(name, first, last) for name in wanted) or time.monotonic() > until:
            return last


def _lives(name: str, first: Sample, last: Sample) -> bool:
    now = last.values.get(name, 0.0)
    return now > first.values.get(name, 0.0) if name.endswith("_total") else now > 0


def _moved(name: str, first: Sample, last: Sample) -> str:
    if name.endswith("_total"):
        return f"{name} {first.values[name]:g} -> {last.values[name]:g}"
    return f"{name} {last.values[name]:g}"
