"""The arranged picture as SVG: boxes first, then lines, then labels on top of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.diagram.boxes import PAD, Rect
from constructs_lib.diagram.layout import FOOTER_LINE, MARGIN
from constructs_lib.diagram.routes import LABEL_PAD, LINE
from constructs_lib.diagram.style import FLOWS, REACHES, css
from constructs_lib.diagram.text import MONO, escape, fit, mono, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.diagram.boxes import PlacedActor, PlacedCard, PlacedNode, Row
    from constructs_lib.diagram.content import RuleRow
    from constructs_lib.diagram.layout import Picture
    from constructs_lib.diagram.reach import PortRow
    from constructs_lib.diagram.routes import Route

TURN = 7.0
TIP = 7.0
BASE = 4.0  # from the middle of a line of text to its baseline


def draw(picture: Picture) -> str:
    content = picture.content
    width, height = number(picture.width), number(picture.height)
    labelled = 'role="img" aria-labelledby="diagram-title diagram-desc"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {labelled}>',
        f'<title id="diagram-title">{escape(content.title)}: topology</title>',
        f'<desc id="diagram-desc">{escape(_description(picture))}</desc>',
        f"<style>{css()}</style>",
        _rect(Rect(0.5, 0.5, picture.width - 1, picture.height - 1), "ground", 10),
        _text(MARGIN, 34, content.title, "title"),
        _text(picture.width - MARGIN, 33, content.summary, "soft end"),
    ]
    for actor in picture.actors:
        lines += _actor(actor)
    for node in picture.nodes:
        lines += _node(node)
    for route in picture.routes:
        lines += _line(route)
    for route in picture.routes:
        lines += _label(route)
    lines += _legend(picture)
    return "\n".join((*lines, "</svg>", ""))


def _description(picture: Picture) -> str:
    nodes = "; ".join(
        f"{box.node.name} runs {', '.join(card.card.name for card in box.cards) or 'nothing'}" for box in picture.nodes
    )
    flows = "; ".join(
        f"{route.edge.source} to {route.edge.to}, {', '.join(route.edge.label)}" for route in picture.routes
    )
    return f"{nodes}. Flows between nodes and from outside: {flows or 'none'}."


def _actor(box: PlacedActor) -> Iterator[str]:
    actor = box.actor
    unused = " unused" if actor.idle else ""
    yield f'<g data-actor="{escape(actor.name)}">'
    yield _rect(box.rect, "actor idle" if actor.idle else "actor", 8)
    yield _text(box.rect.x + PAD, box.rect.middle - 4, actor.name, f"name{unused}")
    yield _text(box.rect.x + PAD, box.rect.middle + 12, actor.note, f"soft{unused}")
    yield "</g>"


def _node(box: PlacedNode) -> Iterator[str]:
    node, rect = box.node, box.rect
    yield f'<g data-node="{escape(node.name)}">'
    yield _rect(rect, "node", 10)
    left, room = rect.x + PAD + 2, rect.width - 2 * PAD - 4
    yield _text(left, rect.y + 24, node.name, "big")
    yield _text(left + room, rect.y + 24, node.machine, "soft end")
    if node.spend:
        yield _text(left, rect.y + 40, node.size, "soft")
        yield _text(left, rect.y + 55, node.spend, "soft")
        yield _rect(Rect(left, rect.y + 61, room, 4), "meter", 2)
        at = left
        for share in node.shares:
            width = min(share * room, left + room - at)
            yield _rect(Rect(at, rect.y + 61, max(width - 1, 0), 4), "share", 1)
            at += width
    for row, place in box.ports:
        yield from _port(row, place, left, left + room)
    for card in box.cards:
        yield from _card(card)
    yield "</g>"


def _card(box: PlacedCard) -> Iterator[str]:
    card, rect = box.card, box.rect
    yield f'<g data-service="{escape(card.name)}">'
    yield _rect(rect, "card", 7)
    left, right = rect.x + PAD, rect.x + (box.split or rect.width) - PAD
    yield _text(left, box.head.middle + BASE, card.name, "name")
    yield _text(right, box.head.middle + BASE, card.limits, "soft end")
    for row, place in box.ports:
        yield from _port(row, place, left, right)
    for placed in box.chips:
        yield f'<g class="{placed.chip.style}" data-flow="{escape(placed.chip.key)}">'
        yield f"<title>{escape(placed.chip.why)}</title>"
        yield _rect(placed.rect, "chip", 8)
        yield _text(placed.rect.x + 7, placed.rect.middle + BASE - 0.5, placed.chip.text, "mono small")
        yield "</g>"
    yield "</g>"


def _port(row: PortRow, place: Row, left: float, right: float) -> Iterator[str]:
    y = place.middle
    yield f'<g class="{row.reach}" data-port="{escape(row.owner)}:{escape(row.port)}">'
    yield f'<circle class="dot" cx="{number(left + 3.5)}" cy="{number(y)}" r="3"/>'
    yield _text(left + 13, y + BASE, row.text, "mono")
    yield _text(right, y + BASE, row.reach_text, "reach end")
    yield "</g>"


def _line(route: Route) -> Iterator[str]:
    edge = route.edge
    points = _corners(route.points)
    (x, y), before = points[-1], points[-2]
    step = TIP if x > before[0] else -TIP
    points[-1] = (x - step + (1 if step > 0 else -1), y)
    yield f'<g class="{edge.style}" data-flow="{escape(edge.key)}">'
    yield f"<title>{escape(edge.source)} → {escape(edge.to)}: {escape(edge.why)}</title>"
    yield f'<path class="wire" d="{_path(points)}"/>'
    tip = " L".join(f"{number(a)} {number(b)}" for a, b in ((x - step, y - 3.5), (x, y), (x - step, y + 3.5)))
    yield f'<path class="tip" d="M{tip} Z"/>'
    yield "</g>"


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without points that repeat or lie on a straight stretch."""
    kept = points[:1]
    for at, point in enumerate(points[1:], start=1):
        after = points[at + 1] if at + 1 < len(points) else None
        level = after is not None and abs(kept[-1][1] - point[1]) < 0.5 and abs(point[1] - after[1]) < 0.5
        upright = after is not None and kept[-1][0] == point[0] == after[0]
        if point != kept[-1] and not level and not upright:
            kept.append(point)
    return kept


def _path(points: list[tuple[float, float]]) -> str:
    """Straight pieces with rounded corners."""
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        turn = min(TURN, _apart(before, corner) / 2, _apart(corner, after) / 2)
        enter, leave = _toward(corner, before, turn), _toward(corner, after, turn)
        parts.append(f"L{number(enter[0])} {number(enter[1])}")
        parts.append(f"Q{number(corner[0])} {number(corner[1])} {number(leave[0])} {number(leave[1])}")
    parts.append(f"L{number(points[-1][0])} {number(points[-1][1])}")
    return " ".join(parts)


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(start: tuple[float, float], goal: tuple[float, float], way: float) -> tuple[float, float]:
    whole = _apart(start, goal) or 1.0
    return start[0] + (goal[0] - start[0]) * way / whole, start[1] + (goal[1] - start[1]) * way / whole


def _label(route: Route) -> Iterator[str]:
    edge, rect = route.edge, route.label
    rule = f' data-rule="{escape(edge.rule)}"' if edge.rule else ""
    yield f'<g class="{edge.style}" data-label="{escape(edge.key)}"{rule}>'
    yield _rect(rect, "box", 5)
    yield f"<title>{escape(' '.join(edge.label))}</title>"
    for at, line in enumerate(route.lines):
        shade = "spoken" if at == 0 else "soft"
        yield _text(rect.x + LABEL_PAD, rect.y + 11.5 + at * LINE, line, f"mono small {shade}")
    yield "</g>"


def _legend(picture: Picture) -> Iterator[str]:
    top, inner = picture.footer, picture.width - 2 * MARGIN
    yield f'<path class="rule" d="M{number(MARGIN)} {number(top - 8)} H{number(picture.width - MARGIN)}"/>'
    columns = (MARGIN, MARGIN + inner * 0.18, MARGIN + inner * 0.4)
    styles = [style for style in FLOWS if style in picture.content.styles]
    reaches = [reach for reach in REACHES if reach in picture.content.reaches]
    heads = ((styles, "FLOWS"), (reaches, "WHO REACHES A PORT"), (picture.content.rules, "FIREWALL RULES"))
    for x, (lines, head) in zip(columns, heads, strict=True):
        if lines:
            yield _text(x, top + 14, head, "head")
    for at, style in enumerate(styles):
        y = top + 33 + at * FOOTER_LINE
        yield f'<g class="{style}"><path class="wire" d="M{number(columns[0])} {number(y)} h30"/>'
        yield f"{_text(columns[0] + 40, y + BASE, FLOWS[style], 'soft')}</g>"
    for at, reach in enumerate(reaches):
        y = top + 33 + at * FOOTER_LINE
        yield f'<g class="{reach}"><circle class="dot" cx="{number(columns[1] + 4)}" cy="{number(y)}" r="3"/>'
        yield f"{_text(columns[1] + 16, y + BASE, REACHES[reach], 'soft')}</g>"
    rules = picture.content.rules
    names = columns[2] + min(max((mono(rule.name) for rule in rules), default=0.0) + 12, inner * 0.25)
    ports = names + min(max((mono(_allows(rule)) for rule in rules), default=0.0) + 12, inner * 0.15)
    for at, rule in enumerate(rules):
        y = top + 33 + at * FOOTER_LINE + BASE
        yield f'<g data-rule="{escape(rule.name)}"><title>{escape(rule.why)}</title>'
        yield _text(columns[2], y, fit(rule.name, names - columns[2] - 8, em=MONO), "mono")
        yield _text(names, y, fit(_allows(rule), ports - names - 8, em=MONO), "mono soft")
        yield f"{_text(ports, y, fit(rule.way, picture.width - MARGIN - ports), 'soft')}</g>"


def _allows(rule: RuleRow) -> str:
    return f"deny {rule.allows}" if rule.deny else rule.allows


def _rect(rect: Rect, style: str, radius: float) -> str:
    x, y, width, height = (number(value) for value in (rect.x, rect.y, rect.width, rect.height))
    return f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{number(radius)}"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{number(x)}" y="{number(y)}">{escape(text)}</text>'
