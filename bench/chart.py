"""Bar charts as SVG files, legible on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 760, 210, 90, 18, 8, 58
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .unit, .note { fill: #59636e; font-size: 12px; }
  .bar { fill: #9aa4af; }
  .ours { fill: #0969da; }
  .floor { fill: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .unit, .note { fill: #9198a1; }
    .bar { fill: #656c76; }
    .ours { fill: #4493f8; }
    .floor { fill: #3d444d; }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One row. value None: there is no figure, and `note` says why. kind: `bar`, `ours` or `floor`."""

    label: str
    value: float | None
    kind: str = "bar"
    note: str = ""


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """A horizontal bar chart; the longest bar is the largest value. `unit` says what is good, too."""
    largest = max((row.value for row in rows if row.value is not None), default=0) or 1
    height = TOP + len(rows) * (BAR + GAP) + 8
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{_attribute(title)}">'
        ),
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(title)}</text>',
        f'<text class="unit" x="0" y="38">{escape(unit)}</text>',
    ]
    for index, row in enumerate(rows):
        top = TOP + index * (BAR + GAP)
        base = top + BAR - 4
        parts.append(f'<text x="{LEFT - 8}" y="{base}" text-anchor="end">{escape(row.label)}</text>')
        if row.value is None:
            parts.append(f'<text class="note" x="{LEFT}" y="{base}">{escape(row.note or "no figure")}</text>')
            continue
        length = max(1.0, row.value / largest * (WIDTH - LEFT - RIGHT))
        parts.append(
            f'<rect class="{row.kind}" x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            f'<text x="{LEFT + length + 6:.1f}" y="{base}">{escape(figure(row.value))}'
            f"{' *' if row.note else ''}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def figure(value: float) -> str:
    """A number as a reader wants it: three digits that say something, or a k or M after them."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.0f}k"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
