"""A diagram read back: boxes, lines and texts with their places."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from constructs_lib.diagram import svg

if TYPE_CHECKING:
    from constructs_lib.model import Topology

NAMESPACE = "{http://www.w3.org/2000/svg}"
TEXT_EM = {"mono": 0.605, "plain": 0.58}
SIZE = {"title": 20.0, "big": 15.0, "name": 13.0, "small": 10.5}
TOUCH = 0.2  # coordinates are rounded to one decimal


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right - TOUCH
            and other.left < self.right - TOUCH
            and self.top < other.bottom - TOUCH
            and other.top < self.bottom - TOUCH
        )

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left + TOUCH
            and self.top <= other.top + TOUCH
            and other.right <= self.right + TOUCH
            and other.bottom <= self.bottom + TOUCH
        )


class Drawn:
    """An SVG read back."""

    def __init__(self, declared: Topology) -> None:
        self.root = ElementTree.fromstring(svg(declared))
        self.view = Box(*(float(value) for value in self.root.attrib["viewBox"].split()))

    def having(self, attribute: str) -> list[ElementTree.Element]:
        return [element for element in self.root.iter() if attribute in element.attrib]

    def names(self, attribute: str) -> Counter[str]:
        return Counter(element.attrib[attribute] for element in self.having(attribute))

    def boxes(self, attribute: str) -> dict[str, Box]:
        return {element.attrib[attribute]: rect(element) for element in self.having(attribute)}

    def lines(self) -> dict[str, list[Box]]:
        """flow -> its pieces between two points, those inside one node not included."""
        found = {}
        for element in self.having("data-flow"):
            wire = element.find(f"{NAMESPACE}path[@class='wire']")
            if wire is not None:
                found[element.attrib["data-flow"]] = pieces(wire.attrib["d"])
        return found

    def texts(self) -> list[tuple[str, Box]]:
        return [(element.text or "", extent(element)) for element in self.root.iter(f"{NAMESPACE}text")]


def rect(element: ElementTree.Element) -> Box:
    """Of the group's own rectangle, which is its first."""
    found = element.find(f"{NAMESPACE}rect")
    assert found is not None
    x, y, width, height = (float(found.attrib[name]) for name in ("x", "y", "width", "height"))
    return Box(x, y, x + width, y + height)


def pieces(d: str) -> list[Box]:
    points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", d)]
    pairs = pairwise(points)
    return [Box(min(a, c), min(b, e), max(a, c), max(b, e)) for (a, b), (c, e) in pairs]


def extent(element: ElementTree.Element) -> Box:
    """Where a text stands in DejaVu, the widest of the fonts that it may be set in."""
    classes = element.attrib["class"].split()
    size = next((SIZE[name] for name in classes if name in SIZE), 11.0)
    width = len(element.text or "") * size * TEXT_EM["mono" if "mono" in classes else "plain"]
    x, y = float(element.attrib["x"]), float(element.attrib["y"])
    left = x - width if "end" in classes else x
    return Box(left, y - size * 0.8, left + width, y + size * 0.2)


def meet(line: list[Box], box: Box) -> bool:
    """Lines have no area of their own, so a piece on the very edge of a box does not count."""
    inner = Box(box.left + 0.6, box.top + 0.6, box.right - 0.6, box.bottom - 0.6)
    return any(
        piece.left <= inner.right
        and inner.left <= piece.right
        and piece.top <= inner.bottom
        and inner.top <= piece.bottom
        for piece in line
    )


def grown(box: Box, by: float) -> Box:
    return Box(box.left - by, box.top - by, box.right + by, box.bottom + by)
