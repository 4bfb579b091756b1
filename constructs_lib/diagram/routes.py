"""The lines' ways: which slots a line joins, which gutters it crosses, where its label stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from constructs_lib.diagram.boxes import Rect, Slot
from constructs_lib.diagram.lanes import Wire
from constructs_lib.diagram.text import MONO, SMALL, fit, mono

if TYPE_CHECKING:
    from collections.abc import Mapping

    from constructs_lib.diagram.boxes import Row
    from constructs_lib.diagram.content import Content, Edge

Way = Literal["onward", "back", "around"]

ARROW = 16.0
LINE = 13.0
LABEL_PAD = 7.0
LABEL_MOST = 150.0  # of its text; the whole name is in the table of rules
PLAIN_SLOT = 12.0


@dataclass
class Route:
    """An edge on its way. lines: the label's text. points: corners, from source to target. label: its box."""

    edge: Edge
    bundle: Bundle
    target: Slot
    lines: tuple[str, ...]
    points: list[tuple[float, float]] = field(default_factory=list)
    label: Rect = field(default_factory=Rect)

    @property
    def label_width(self) -> float:
        return max(mono(line, SMALL) for line in self.lines) + 2 * LABEL_PAD


@dataclass
class Bundle:
    """Lines of one source that share their way until they part.

    way: to a column further right, to one further left, or around to the same one. wires: the vertical
    piece in each gutter, gutter g being left of column g + 1 and the actors' column being 0. gutters: those
    that each edge crosses, by its key. channel: the height at which it passes the column between two gutters.
    """

    owner: str
    way: Way
    source: Slot
    routes: list[Route] = field(default_factory=list)
    wires: dict[int, Wire] = field(default_factory=dict)
    gutters: dict[str, range] = field(default_factory=dict)
    channel: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether it goes past a column."""
        return len(self.wires) > 1

    def join(self) -> None:
        """Tell each wire what it connects, once every slot and channel has its height."""
        for gutter, wire in self.wires.items():
            ends = [
                route.target.y if gutter == self.gutters[route.edge.key][-1] else self.channel
                for route in self.routes
                if gutter in self.gutters[route.edge.key]
            ]
            start = self.source.y if gutter == min(self.wires) else self.channel
            wire.left = ends if self.way == "back" else [] if self.way == "around" else [start]
            wire.right = [start] if self.way == "back" else [start, *ends] if self.way == "around" else ends

    def trace(self, route: Route, leave: float, arrive: float, column: float) -> None:
        """Corners and label. leave, arrive: x of the boxes' sides; column: x of the labelled column."""
        gutters = self.gutters[route.edge.key]
        points = [(leave, self.source.y)]
        for gutter in gutters:
            y = route.target.y if gutter == gutters[-1] else self.channel
            points += [(self.wires[gutter].x, points[-1][1]), (self.wires[gutter].x, y)]
        route.points = [*points, (arrive, route.target.y)]
        y = self.source.y if self.way == "back" else route.target.y
        width, height = route.label_width, len(route.lines) * LINE + 3
        route.label = Rect(column - ARROW - width, y - height / 2, width, height)


def bundles(content: Content, columns: Mapping[str, int], rows: Mapping[tuple[str, str], Row]) -> tuple[Bundle, ...]:
    """Every edge with slots at both ends. Labels stand left of a column, so a line that goes back has its
    label where it starts, and shares that place with no other."""
    found: dict[tuple[str, ...], Bundle] = {}
    for edge in content.edges:
        here, there = columns[edge.source], columns[edge.to]
        way: Way = "onward" if there > here else "back" if there < here else "around"
        lines = tuple(fit(line, LABEL_MOST, SMALL, MONO) for line in edge.label)
        labelled = len(lines) * LINE + 7
        key = (edge.source, edge.style, way, edge.key if way == "back" else "")
        if key not in found:
            slot = Slot(labelled if way == "back" else PLAIN_SLOT)
            start = rows[edge.source, ""]
            (start.right if way == "onward" else start.left).append(slot)
            found[key] = Bundle(edge.source, way, slot)
        bundle = found[key]
        target = Slot(PLAIN_SLOT if way == "back" else labelled)
        end = rows[edge.to, edge.port]
        (end.right if way == "back" else end.left).append(target)
        bundle.routes.append(Route(edge, bundle, target, lines))
        gutters = {"onward": range(here, there), "back": range(there, here), "around": range(there - 1, there)}
        bundle.gutters[edge.key] = gutters[way]
        for gutter in gutters[way]:
            bundle.wires.setdefault(gutter, Wire())
    return tuple(found.values())
