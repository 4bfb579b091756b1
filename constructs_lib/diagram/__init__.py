"""The topology as an SVG for the top of a README: same topology, same bytes, nothing known but the model.

`content` says what is in the picture, `boxes` and `layout` where it is, `drawing` how it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.diagram.content import read
from constructs_lib.diagram.drawing import draw
from constructs_lib.diagram.layout import arrange

if TYPE_CHECKING:
    from constructs_lib.model import Topology

__all__ = ["svg"]


def svg(topology: Topology) -> str:
    """The picture of a topology that has passed the checks; a flow to nowhere is left out.

    One self-contained SVG document: no script, no foreign object, nothing from elsewhere, light and dark.
    """
    return draw(arrange(read(topology)))
