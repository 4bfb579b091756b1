"""What ws-go promises about speed, held against a session's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.contestants import ALL
from bench.results import NOISY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.loads import Load
    from bench.results import Results

FLOOR_RATIO = 1.15
EXTREME_RATE = 3_500_000
SATURATED_PART = 0.98
CLIENT_KIB = 4.0
HANDSHAKES = 8_000
MAX_LATENCY_MS = 250
MAX_P99_MS = 400
# Below this share of its core a server has CPU left.
CPU_LEFT = 0.9


@dataclass(frozen=True)
class Target:
    """A promise, what was measured, and whether it was kept; None where the figure says nothing."""

    what: str
    measured: str
    kept: bool | None

    @property
    def verdict(self) -> str:
        return {True: "kept", False: "missed", None: "no figure"}[self.kept]

    def as_data(self) -> dict[str, str]:
        return {"what": self.what, "measured": self.measured, "verdict": self.verdict}


def judge(results: Results, loads: Sequence[Load]) -> list[Target]:
    """Every target that these loads speak of."""
    found: list[Target] = []
    for load in loads:
        found += _of_load(results, load)
    return [*found, *_of_connecting(results, loads)]


def _of_load(results: Results, load: Load) -> Iterator[Target]:
    mine = results.middle("wsgo", load.name)
    if mine is None:
        return
    # A client or a machine that was busy with other things excuses lateness, not loss.
    hindered = mine.void or mine.noise > NOISY
    if load.kind == "steady":
        ratio = results.ratio("wsgo", "floor", load.name)
        yield _at_most(f"{load.title}: CPU per delivery at most {FLOOR_RATIO} x bare send()", ratio, FLOOR_RATIO, "x")
        for peer in ALL:
            against = None if peer.floor or peer.name == "wsgo" else results.ratio("wsgo", peer.name, load.name)
            if against is not None:
                yield _at_most(f"{load.title}: below {peer.title}", against, 1.0, "x")
    elif load.kind == "saturated":
        part = mine.rate / load.asked
        yield Target(
            f"{load.title}: all delivered",
            f"{part:.1%}",
            True if part >= SATURATED_PART else None if hindered else False,
        )
        ratio = results.ratio("wsgo", "uwebsockets", load.name)
        yield _at_most(f"{load.title}: CPU per delivery at most uWebSockets'", ratio, 1.0, "x")
    else:
        enough = mine.rate >= EXTREME_RATE
        kept = True if enough else None if hindered else False
        yield Target(f"{load.title}: at least {EXTREME_RATE:,} deliveries/s", f"{mine.rate:,.0f}", kept)
    bound = MAX_LATENCY_MS if mine.cpu_share < CPU_LEFT else MAX_P99_MS
    late = True if mine.p99 <= bound else None if hindered else False
    yield Target(f"{load.title}: p99 at most {bound} ms", f"{mine.p99:.0f} ms", late)
    yield Target(f"{load.title}: nothing lost", f"{mine.lost} lost, {mine.closed} closed", not mine.lost + mine.closed)


def _of_connecting(results: Results, loads: Sequence[Load]) -> Iterator[Target]:
    most = max((load.clients for load in loads), default=0)
    samples = [s for load in loads if load.clients == most for s in results.samples("wsgo", load.name)]
    if samples:
        memory = sorted(s.memory for s in samples)[len(samples) // 2]
        rate = sorted(s.handshakes for s in samples)[len(samples) // 2]
        yield _at_most(f"idle subscribed client at {most:,}: at most {CLIENT_KIB:g} KiB", memory, CLIENT_KIB, " KiB")
        yield Target(f"handshakes: at least {HANDSHAKES:,}/s", f"{rate:,.0f}/s", rate >= HANDSHAKES)
    if results.resumes:
        rate = sorted(results.resumes)[len(results.resumes) // 2]
        yield Target(f"resumptions: at least {HANDSHAKES:,}/s", f"{rate:,.0f}/s", rate >= HANDSHAKES)


def _at_most(what: str, value: float | None, bound: float, unit: str) -> Target:
    if value is None:
        return Target(what, "-", None)
    return Target(what, f"{value:.2f}{unit}", value <= bound)
