"""The order of the lanes in a gutter: the one with the fewest crossings that swapping finds."""

from __future__ import annotations

from dataclasses import dataclass, field

NEAR = 7.0  # lines closer than this look like one


@dataclass
class Wire:
    """A vertical piece and the heights at which lines reach it from the left and leave it to the right."""

    left: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    x: float = 0.0

    @property
    def span(self) -> tuple[float, float]:
        ends = self.left + self.right
        return min(ends), max(ends)


def order(wires: list[Wire]) -> list[Wire]:
    """From left to right. The same wires in the same order give the same answer."""
    best = list(wires)
    cost = _cost(best)
    improved = True
    while improved:
        improved = False
        for old in range(len(best)):
            for new in range(len(best)):
                tried = best[:old] + best[old + 1 :]
                tried.insert(new, best[old])
                if (now := _cost(tried)) < cost:
                    best, cost, improved = tried, now, True
    return best


def _cost(wires: list[Wire]) -> int:
    return sum(_meet(one, other) for at, one in enumerate(wires) for other in wires[at + 1 :])


def _meet(one: Wire, other: Wire) -> int:
    """Crossings of two wires with `one` at the left; lines that would lie on each other count tenfold."""
    crossings = sum(_inside(y, other.span) for y in set(one.right))
    crossings += sum(_inside(y, one.span) for y in set(other.left))
    overlaps = sum(abs(a - b) < NEAR for a in set(one.right) for b in set(other.left))
    return crossings + 10 * overlaps


def _inside(y: float, span: tuple[float, float]) -> bool:
    return span[0] - NEAR < y < span[1] + NEAR
