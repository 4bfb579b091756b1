"""`make docs`: the parts of README.md that are made from the code, and the diagram.

A part stands between `<!-- made: NAME -->` and `<!-- end -->`; a test fails while any differs from the code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from constructs_lib.diagram import svg
from stacks.settings import Settings
from stacks.topology import declare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DIAGRAM = ROOT / "docs" / "topology.svg"
PART = re.compile(r"(<!-- made: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def diagram() -> str:
    """The picture at the top of the README: the topology with default settings."""
    return svg(declare(Settings()))


def readme(text: str) -> str:
    """`text` with every made part as the code has it now. Raises KeyError for a part that nobody makes."""
    made = parts()
    return PART.sub(lambda match: f"{match[1]}\n{made[match['name']]}\n{match[3]}", text)


def parts() -> dict[str, str]:
    """name -> Markdown of every made part."""
    from wsgo.errors import ErrorCode, Refusal
    from wsgo.metrics import METRICS
    from wsgo.publisher.settings import documentation as publisher_settings
    from wsgo.settings import documentation as server_settings

    return {
        "settings": _table(("setting", "default", "what it is"), _deployment(Settings)),
        "ws-settings": _table(("variable", "default", "what it is"), _coded(server_settings())),
        "publisher-settings": _table(("variable", "default", "what it is"), _coded(publisher_settings())),
        "error-codes": _table(("code", "when"), ((f"`{code}`", code.description) for code in ErrorCode)),
        "refusals": _table(
            ("error", "status", "when"), ((f"`{code}`", str(code.status), code.description) for code in Refusal)
        ),
        "metrics": _table(
            ("metric", "type", "labels", "what it is"),
            ((f"`{each.name}`", each.type, ", ".join(each.labels), each.help) for each in METRICS),
        ),
    }


def _deployment(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from _nested(default, f"{prefix}{name}.")
        else:
            shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
            yield f"`{prefix}{name}`", f"`{shown}`" if shown else "", field.description or ""


def _nested(section: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            shown = ", ".join(f"{key} = {item}" for key, item in value.model_dump().items())
            yield f"`{prefix}{name}`", f"`{shown}`", "cores and MiB that the container may use"
        else:
            yield f"`{prefix}{name}`", f"`{value}`", "image, with its version"


def _coded(rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    for name, default, about in rows:
        yield f"`{name}`", f"`{default}`" if default else "", about


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def command() -> None:
    """Rewrite what README.md and docs/ have from the code."""
    DIAGRAM.parent.mkdir(exist_ok=True)
    DIAGRAM.write_text(diagram())
    README.write_text(readme(README.read_text()))
