"""Where everything is: actors at the left, then nodes in two columns, those that face the internet first.

Lines run at right angles. Left of each column of nodes lies a gutter: first its lanes, in which lines
change their height, then the labels, each at the height of its line's end. A row of a box is as high as
the labels at it, which is why no label meets another. A line from an actor to the second column passes
above or below the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from constructs_lib.diagram.boxes import PlacedActor, PlacedNode, Rect, Row, actor_box, node_box
from constructs_lib.diagram.lanes import order
from constructs_lib.diagram.routes import ARROW, Bundle, Route, bundles

if TYPE_CHECKING:
    from constructs_lib.diagram.content import Content

MARGIN = 18.0
HEADER = 54.0
FOOTER_LINE = 17.0
LEAST_WIDTH = 960.0
NODE_GAP = 26.0
ACTOR_GAP = 18.0
LANE, NARROW_LANE, MANY_LANES = 10.0, 8.0, 7
LANE_EDGE = 12.0
CHANNEL, CHANNEL_EDGE = 12.0, 16.0
NUDGE = 14.0  # an actor moves this far down for a straight line


@dataclass
class Picture:
    """footer: the y from which the legend has its place."""

    content: Content
    width: float
    height: float
    footer: float
    actors: list[PlacedActor]
    nodes: list[PlacedNode]
    routes: list[Route]


def arrange(content: Content) -> Picture:
    return _Layout(content).picture()


class _Layout:
    def __init__(self, content: Content) -> None:
        self.content = content
        self.actors = [actor_box(actor) for actor in content.actors]
        self.columns = _columns([node_box(node) for node in content.nodes])
        self.nodes = [node for column in self.columns for node in column]
        self.rows: dict[tuple[str, str], Row] = {(box.actor.name, ""): box.head for box in self.actors}
        self.rects: dict[str, Rect] = {box.actor.name: box.rect for box in self.actors}
        self.column_of = {box.actor.name: 0 for box in self.actors}
        for at, column in enumerate(self.columns, start=1):
            for node in column:
                self.rows |= node.rows()
                self.rects |= {node.node.name: node.rect} | {c.card.name: c.rect for c in node.cards}
                self.column_of |= {owner: at for owner, _ in node.rows()}
        self.bundles = bundles(content, self.column_of, self.rows)
        by_key = {route.edge.key: route for bundle in self.bundles for route in bundle.routes}
        self.routes = [by_key[edge.key] for edge in content.edges]

    def picture(self) -> Picture:
        width = self._across()
        bottom = self._down()
        for bundle in self.bundles:
            bundle.join()
        for gutter, (x, lane) in enumerate(self.lanes):
            wires = [bundle.wires[gutter] for bundle in self.bundles if gutter in bundle.wires]
            for at, wire in enumerate(order(wires)):
                wire.x = x + at * lane
        for route in self.routes:
            self._trace(route)
        footer = bottom + 26
        lines = max(len(self.content.rules), len(self.content.styles), len(self.content.reaches)) + 2
        height = footer + lines * FOOTER_LINE + 8
        return Picture(self.content, width, height, footer, self.actors, self.nodes, self.routes)

    def _across(self) -> float:
        """The x of every column and lane; returns the width of the picture."""
        actors = max((box.least_width for box in self.actors), default=0.0)
        for box in self.actors:
            box.rect.x, box.rect.width = MARGIN, actors
        widths = [max(node.least_width for node in column) for column in self.columns]
        gutters = []
        for gutter in range(len(self.columns)):
            count = sum(gutter in bundle.wires for bundle in self.bundles)
            lane = LANE if count <= MANY_LANES else NARROW_LANE
            labels = [r.label_width for r in self.routes if self._labelled(r) == gutter + 1]
            gutters.append((lane, 2 * LANE_EDGE + max(count - 1, 0) * lane + max(labels, default=0) + ARROW))
        spare = LEAST_WIDTH - 2 * MARGIN - actors - sum(widths) - sum(width for _, width in gutters)
        x = MARGIN + actors
        self.lanes = []
        for (lane, gutter_width), column, width in zip(gutters, self.columns, widths, strict=True):
            self.lanes.append((x + LANE_EDGE, lane))
            x += gutter_width
            wide = width + max(spare, 0) / len(self.columns)
            for node in column:
                node.rect.x = x
                node.measure(wide)
            x += wide
        return max(x + MARGIN, LEAST_WIDTH)

    def _labelled(self, route: Route) -> int:
        """The column that the label stands left of: the right one of the two that the line joins."""
        return max(self.column_of[route.edge.source], self.column_of[route.edge.to])

    def _down(self) -> float:
        """The y of everything; returns the lowest."""
        passing = [bundle for bundle in self.bundles if bundle.passes]
        beside = 2 * (len(passing) * CHANNEL + CHANNEL_EDGE) if passing else 0
        tall = [_stacked([node.rect.height for node in column], NODE_GAP) for column in self.columns]
        own = _stacked([box.height for box in self.actors], ACTOR_GAP)
        height = max([own, *tall, *(t + beside for t in tall[:1])])
        for column, column_height in zip(self.columns, tall, strict=True):
            y = HEADER + (height - column_height) / 2
            for node in column:
                node.place(node.rect.x, y)
                y += node.rect.height + NODE_GAP
        self._settle()
        self._channels(passing)
        self._stack_actors(HEADER, HEADER + height)
        return HEADER + height

    def _settle(self) -> None:
        """Each slot of a node toward the other end of its line; actors have no height yet."""
        for bundle in self.bundles:
            ends = [self.rows[route.edge.to, route.edge.port].middle for route in bundle.routes]
            bundle.source.toward = _mean(ends)
            for route in bundle.routes:
                route.target.toward = self.rows[bundle.owner, ""].middle
        for (owner, _), row in self.rows.items():
            if self.column_of[owner]:
                row.settle()

    def _channels(self, passing: list[Bundle]) -> None:
        """Above or below the first column, whichever is on the way."""
        if not passing:
            return
        top, bottom = self.columns[0][0].rect.y, self.columns[0][-1].rect.bottom

        def goal(bundle: Bundle) -> float:
            far = [route for route in bundle.routes if self.column_of[route.edge.to] > 1]
            return _mean([route.target.y for route in far])

        over = [bundle for bundle in passing if goal(bundle) < (top + bottom) / 2]
        under = [bundle for bundle in passing if bundle not in over]
        for at, bundle in enumerate(sorted(over, key=goal, reverse=True)):
            bundle.channel = top - CHANNEL_EDGE - at * CHANNEL
        for at, bundle in enumerate(sorted(under, key=goal)):
            bundle.channel = bottom + CHANNEL_EDGE + at * CHANNEL

    def _stack_actors(self, top: float, bottom: float) -> None:
        """Each as close as possible to the height where its lines lead, idle ones last where alike."""
        leads: dict[str, list[float]] = {box.actor.name: [] for box in self.actors}
        for bundle in self.bundles:
            if bundle.owner in leads:
                near = {r.target.y for r in bundle.routes if self.column_of[r.edge.to] == 1}
                ends = sorted(near | {bundle.channel} if bundle.passes else near)
                leads[bundle.owner] += ends
                bundle.source.toward = _mean(ends)
        wish = {name: _mean(ends) if ends else bottom for name, ends in leads.items()}
        self.actors.sort(key=lambda box: wish[box.actor.name])
        y = top
        for box in self.actors:
            box.rect.height = box.head.least = box.height
            middle = max(y + box.height / 2, wish[box.actor.name])
            straight = [end for end in leads[box.actor.name] if 0 < end - middle <= NUDGE]
            y = (straight[0] if straight else middle) - box.height / 2
            box.place(y)
            y += box.height + ACTOR_GAP
        for box in reversed(self.actors):
            box.place(min(box.rect.y, bottom - box.height))
            bottom = box.rect.y - ACTOR_GAP
            box.head.settle()

    def _trace(self, route: Route) -> None:
        here, there = self.rects[route.edge.source], self.rects[route.edge.to]
        column = self.columns[self._labelled(route) - 1][0].rect.x
        way = route.bundle.way
        leave = here.right if way == "onward" else here.x
        route.bundle.trace(route, leave, there.right if way == "back" else there.x, column)


def _columns(boxes: list[PlacedNode]) -> list[list[PlacedNode]]:
    """At most two: those that face the internet and the others, or two halves if all are alike."""
    boxes = sorted(boxes, key=lambda box: box.node.facing)
    facing = [box for box in boxes if box.node.facing[0] == boxes[0].node.facing[0]]
    cut = len(facing) if len(facing) < len(boxes) else (len(boxes) + 1) // 2
    return [column for column in (boxes[:cut], boxes[cut:]) if column]


def _stacked(heights: list[float], gap: float) -> float:
    return sum(heights) + gap * max(len(heights) - 1, 0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
