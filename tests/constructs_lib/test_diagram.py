"""The diagram says what the model says, and nothing in it is on top of anything else."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from constructs_lib.diagram import svg
from constructs_lib.diagram.lanes import Wire, order
from constructs_lib.diagram.style import CSS, FLOWS, REACHES
from constructs_lib.firewall import rule_name, rules
from stacks.settings import Settings
from stacks.topology import declare
from tests.constructs_lib.drawn import NAMESPACE, TOUCH, Box, Drawn, extent, grown, meet, rect
from tests.constructs_lib.tiny import (
    ADMIN,
    BACK,
    CLIENT,
    DB,
    FRONT,
    HTTP,
    INTERNET,
    OPERATOR,
    PAIR,
    SSH_FLOWS,
    WEB,
    flow,
    node,
    service,
    topology,
)
from tests.plan_as_written import PLAN

if TYPE_CHECKING:
    from constructs_lib.model import Flow, Topology

ODIN = declare(Settings())


def one_node() -> Topology:
    """Odin with everything on one machine."""
    backend, wsgo = ODIN.nodes
    alone = replace(backend, name="single", machine_type="e2-highcpu-4", services=(*backend.services, *wsgo.services))
    flows = tuple(
        replace(flow, to="single") if flow.to == backend.name else flow for flow in ODIN.flows if flow.to != wsgo.name
    )
    return replace(ODIN, nodes=(alone,), flows=flows)


def four_nodes() -> Topology:
    """Odin with two servers and with its monitoring on a machine of its own; somebody reads Grafana."""
    backend, wsgo = ODIN.nodes
    second = replace(wsgo, name="server-2", services=(replace(wsgo.services[0], name="ws-2"),))
    bus = replace(backend, name="bus", services=backend.services[:3])
    watch = replace(backend, name="watch", machine_type="e2-medium", services=backend.services[3:])
    twins = {wsgo.name: (wsgo.name, second.name), "ws-go": ("ws-go", "ws-2"), backend.name: ("bus", "watch")}
    flows = tuple(
        replace(flow, source=source, to=to)
        for flow in ODIN.flows
        for source in twins.get(flow.source, (flow.source,))
        for to in twins.get(flow.to, (flow.to,))
    )
    actors = tuple(replace(a, cidrs=ADMIN.cidrs * 2) if a.name == "grafana-users" else a for a in ODIN.actors)
    return replace(ODIN, nodes=(bus, watch, wsgo, second), flows=flows, actors=actors)


def crowd() -> Topology:
    """Six nodes of two services, each of which everybody outside reaches and which reach one another."""
    nodes = tuple(node(f"n{i}", service(f"a{i}", HTTP), service(f"b{i}", CLIENT)) for i in range(6))
    flows = [
        flow(f"{who} {name}{i}:{port}")
        for i in range(6)
        for who, name, port in (("internet", "a", "http"), ("operator", "b", "client"))
    ]
    flows += [flow(f"a{i} b{(i + step) % 6}:client") for i in range(6) for step in (0, 1, 3)]
    flows += [flow(f"admin n{i}:ssh", rule="allow-ssh") for i in range(6)]
    return topology(*nodes, flows=tuple(flows), actors=(ADMIN, OPERATOR, INTERNET))


def awkward() -> Topology:
    """Names that XML has to escape, or that are longer than any box would like."""
    web = replace(WEB, name='<web> & "co"')
    db = replace(DB, name="a-database-with-quite-a-long-name-" * 2)
    flows = (
        replace(PAIR.flows[0], to=web.name, why="<script>alert(1)</script>"),
        replace(PAIR.flows[1], source=web.name, to=db.name, rule="allow-" + "very-" * 12 + "long"),
    )
    return replace(
        PAIR, name="a<b", nodes=(replace(FRONT, services=(web,)), replace(BACK, services=(db,))), flows=flows
    )


TOPOLOGIES = {
    "odin": ODIN,
    "one-node": one_node(),
    "four-nodes": four_nodes(),
    "as-planned": PLAN,
    "pair": PAIR,
    "pair-ssh": replace(PAIR, flows=(*PAIR.flows, *SSH_FLOWS), actors=(INTERNET, ADMIN)),
    "crowd": crowd(),
    "awkward": awkward(),
    "no-services": topology(node("bare", machine_type="unheard-of")),
    "nothing": topology(),
}
everyone = pytest.mark.parametrize("declared", TOPOLOGIES.values(), ids=TOPOLOGIES)


def drawable(declared: Topology) -> list[Flow]:
    """Those that lead somewhere: the plan as it was written has one to a port that nobody listens on."""
    return [flow for flow in declared.flows if declared.port_of(flow.to, flow.port)]


def crossing(declared: Topology) -> list[Flow]:
    return [flow for flow in drawable(declared) if declared.home(flow.source) is not declared.home(flow.to)]


def names_of(flows: list[Flow]) -> list[str]:
    return [f"{flow.source}->{flow.to}:{flow.port}" for flow in flows]


@everyone
def test_shows_everything_that_is_declared_and_nothing_else(declared: Topology) -> None:
    drawn = Drawn(declared)
    assert drawn.names("data-node") == Counter(node.name for node in declared.nodes)
    assert drawn.names("data-service") == Counter(list(declared.services))
    assert drawn.names("data-actor") == Counter(actor.name for actor in declared.actors)
    assert drawn.names("data-flow") == Counter(names_of(drawable(declared)))
    assert drawn.names("data-label") == Counter(names_of(crossing(declared)))
    assert set(drawn.lines()) == set(names_of(crossing(declared)))
    assert set(drawn.names("data-rule")) == {rule.name for rule in rules(declared)}


@everyone
def test_no_label_stands_on_another_or_on_a_box(declared: Topology) -> None:
    drawn = Drawn(declared)
    labels = drawn.boxes("data-label")
    boxes = drawn.boxes("data-node") | drawn.boxes("data-service") | drawn.boxes("data-actor")
    assert [(a, b) for a, b in combinations(labels, 2) if labels[a].meets(labels[b])] == []
    assert [(a, b) for a in labels for b in boxes if labels[a].meets(boxes[b])] == []


@everyone
def test_boxes_are_apart_and_cards_inside_their_node(declared: Topology) -> None:
    drawn = Drawn(declared)
    nodes, cards = drawn.boxes("data-node"), drawn.boxes("data-service")
    outer = nodes | drawn.boxes("data-actor")
    assert [(a, b) for a, b in combinations(outer, 2) if outer[a].meets(outer[b])] == []
    assert [(a, b) for a, b in combinations(cards, 2) if cards[a].meets(cards[b])] == []
    strays = [s.name for n in declared.nodes for s in n.services if not nodes[n.name].holds(cards[s.name])]
    assert strays == []


@everyone
def test_no_line_runs_over_a_card_or_through_the_label_of_another(declared: Topology) -> None:
    drawn = Drawn(declared)
    lines, labels = drawn.lines(), drawn.boxes("data-label")
    boxes = drawn.boxes("data-service") | drawn.boxes("data-actor")
    assert [(a, b) for a, line in lines.items() for b in boxes if meet(line, boxes[b])] == []
    assert [(a, b) for a, line in lines.items() for b in labels if a != b and meet(line, labels[b])] == []
    nodes = drawn.boxes("data-node")
    for each in crossing(declared):
        ends = {declared.home(each.source), declared.home(each.to)}
        others = [nodes[node.name] for node in declared.nodes if node not in ends]
        line = lines[names_of([each])[0]]
        assert not any(meet(line, box) for box in others), each


@everyone
def test_lines_of_different_sources_do_not_lie_on_one_another(declared: Topology) -> None:
    lines = Drawn(declared).lines()
    for one, other in combinations(crossing(declared), 2):
        if one.source != other.source:
            (a,), (b,) = names_of([one]), names_of([other])
            assert not [(x, y) for x in lines[a] for y in lines[b] if along(x, y) or along(turned(x), turned(y))], (
                a,
                b,
            )


def along(one: Box, other: Box) -> bool:
    """Two level pieces less than 3 units apart that share more than a rounded corner's length."""
    level = one.bottom - one.top < TOUCH and other.bottom - other.top < TOUCH
    return level and abs(one.top - other.top) < 3 and min(one.right, other.right) - max(one.left, other.left) > 8


def turned(box: Box) -> Box:
    return Box(box.top, box.left, box.bottom, box.right)


@everyone
def test_every_line_leads_from_its_source_through_its_label_to_its_target(declared: Topology) -> None:
    drawn = Drawn(declared)
    lines, labels = drawn.lines(), drawn.boxes("data-label")
    boxes = drawn.boxes("data-node") | drawn.boxes("data-service") | drawn.boxes("data-actor")
    for each in crossing(declared):
        (name,) = names_of([each])
        line = lines[name]
        assert meet(line, labels[name]), name
        start, end = grown(boxes[each.source], 1), grown(boxes[each.to], 8)  # the arrow's head
        assert start.meets(grown(line[0], 0.5)), name
        assert end.meets(grown(line[-1], 0.5)), name


@everyone
def test_everything_is_inside_the_picture(declared: Topology) -> None:
    drawn = Drawn(declared)
    found = [rect(parent) for parent in drawn.root.iter() if parent.find(f"{NAMESPACE}rect") is not None]
    found += [piece for line in drawn.lines().values() for piece in line]
    assert [box for box in found if not drawn.view.holds(box)] == []
    assert [text for text, box in drawn.texts() if not drawn.view.holds(box)] == []


@everyone
def test_texts_do_not_run_into_one_another_or_out_of_their_box(declared: Topology) -> None:
    drawn = Drawn(declared)
    assert [(a[0], b[0]) for a, b in combinations(drawn.texts(), 2) if a[1].meets(b[1])] == []
    for attribute in ("data-label", "data-service", "data-node", "data-actor"):
        for element in drawn.having(attribute):
            inside = [extent(text) for text in element.iter(f"{NAMESPACE}text")]
            assert all(rect(element).holds(text) for text in inside), element.attrib[attribute]


@everyone
def test_same_topology_same_bytes(declared: Topology) -> None:
    assert svg(declared) == svg(replace(declared))


@everyone
def test_is_safe_to_show_and_says_what_it_is(declared: Topology) -> None:
    drawn = Drawn(declared)
    tags = {element.tag.removeprefix(NAMESPACE) for element in drawn.root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "g", "rect", "path", "circle", "text"}
    links = [name for element in drawn.root.iter() for name in element.attrib if "href" in name or name[:2] == "on"]
    assert links == []
    style = drawn.root.find(f"{NAMESPACE}style")
    assert style is not None
    assert not re.search(r"url\(|@import|https?:", style.text or "")
    ids = {element.attrib["id"]: element for element in drawn.having("id")}
    assert all(ids[name].text for name in drawn.root.attrib["aria-labelledby"].split())


@everyone
def test_labels_say_port_and_rule(declared: Topology) -> None:
    drawn = Drawn(declared)
    made = {rule.name for rule in rules(declared)}
    by_name = {element.attrib["data-label"]: element for element in drawn.having("data-label")}
    for each in crossing(declared):
        label = by_name[names_of([each])[0]]
        port, actor = declared.port_of(each.to, each.port), declared.actor(each.source)
        assert port is not None
        first = label.find(f"{NAMESPACE}text")
        assert first is not None
        assert (first.text or "").startswith(f"{port.host_number}/{port.transport} ")
        tunnel = actor is not None and actor.tunnel
        expected = rule_name(each) if rule_name(each) in made and not tunnel else None
        assert label.get("data-rule") == expected


@pytest.mark.parametrize("swapped", [False, True])
def test_lanes_are_in_the_order_that_crosses_least(swapped: bool) -> None:
    upper, lower = Wire(left=[0, 10], right=[60]), Wire(left=[40], right=[100])
    given = [upper, lower] if swapped else [lower, upper]
    assert order(given) == [lower, upper]


def test_lines_rather_cross_than_lie_on_one_another() -> None:
    arriving, leaving = Wire(left=[20], right=[50]), Wire(left=[50], right=[30, 35, 40, 45])
    assert order([arriving, leaving]) == [leaving, arriving]


def test_width_suits_a_readme() -> None:
    for name in ("odin", "one-node", "pair"):
        assert 960 <= Drawn(TOPOLOGIES[name]).view.right <= 1100, name


def test_internet_facing_nodes_come_first_and_actors_before_them() -> None:
    drawn = Drawn(ODIN)
    nodes, actors = drawn.boxes("data-node"), drawn.boxes("data-actor")
    facing, other = nodes["odin-ws-go"], nodes["odin-backend"]
    assert max(box.right for box in actors.values()) < facing.left
    assert facing.right < other.left


def test_an_actor_without_addresses_is_there_but_grey() -> None:
    declared = replace(PAIR, actors=(replace(INTERNET, cidrs=()),))
    drawn = Drawn(declared)
    (actor,) = drawn.having("data-actor")
    assert [text.text for text in actor.iter(f"{NAMESPACE}text")] == ["internet", "nobody yet"]
    (line,) = [e for e in drawn.having("data-flow") if e.attrib["data-flow"] == "internet->web:http"]
    assert line.attrib["class"] == "idle"


def test_ports_say_from_where_they_are_reached() -> None:
    reaches = {e.attrib["data-port"]: e.attrib["class"] for e in Drawn(ODIN).having("data-port")}
    assert reaches["ws-go:ws"] == "public"
    assert reaches["ws-go:internal"] == "tag"
    assert reaches["prometheus:http"] == "loopback"
    assert reaches["nats-exporter:metrics"] == "inside"
    assert reaches["odin-backend:ssh"] == "named"
    one = {e.attrib["data-port"]: e.attrib["class"] for e in Drawn(one_node()).having("data-port")}
    assert one["ws-go:internal"] == "shut"


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(mode: int) -> None:
    """WCAG 2: at least 4.5 to 1 for small text."""
    part = CSS.split("@media")[mode].split("text {")[0]
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", part))
    for text in ("ink", "soft", *FLOWS, *REACHES):
        for ground in ("bg", "node", "card"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
