"""Text in the picture: how wide it will be, what fits, what XML may hold.

The reader's fonts are unknown, so widths are those of the widest system font in use (DejaVu Sans).
"""

from __future__ import annotations

import html
import re

_SANS = 0.58
_BOLD = 0.64
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

MONO = 0.61
SMALL = 10.5
BODY = 11.0
NAME = 13.0


def sans(text: str, size: float = BODY) -> float:
    """Width in user units."""
    return len(text) * size * _SANS


def bold(text: str, size: float = NAME) -> float:
    """Width in user units."""
    return len(text) * size * _BOLD


def mono(text: str, size: float = BODY) -> float:
    """Width in user units."""
    return len(text) * size * MONO


def fit(text: str, width: float, size: float = BODY, em: float = _SANS) -> str:
    """`text`, or as much of it as fits into `width` user units with an ellipsis."""
    room = int(width / (size * em))
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"


def escape(text: str) -> str:
    """For element content and for quoted attributes; what XML cannot hold becomes U+FFFD."""
    return html.escape(_NOT_XML.sub("�", text), quote=True)


def number(value: float) -> str:
    """At most one decimal, so that the same topology gives the same bytes on every machine."""
    return f"{round(value, 1):g}"
