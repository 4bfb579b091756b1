"""README is true: its made parts are what the code says, and its example does what it promises."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from constructs_lib import checks, prometheus
from constructs_lib.checklist import checklist
from constructs_lib.endpoints import Deployed
from constructs_lib.model import Flow, Kind
from ops import docs
from stacks.settings import Settings
from stacks.topology import declare

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_made_parts_are_what_the_code_says() -> None:
    assert docs.readme(README) == README, "make docs"


def test_every_made_part_stands_in_the_readme() -> None:
    assert set(re.findall(r"<!-- made: ([\w-]+) -->", README)) == set(docs.parts())


def test_the_picture_is_what_the_model_says() -> None:
    assert docs.DIAGRAM.read_text() == docs.diagram(), "make docs"


def test_the_example_adds_a_scrape_target_and_a_line_to_the_checklist() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {"Flow": Flow, "Kind": Kind, "FLOWS": ()}
    exec(example, names)
    (flow,) = names["FLOWS"]
    topology = declare(Settings())
    changed = checks.verify(replace(topology, flows=(*topology.flows, flow)))
    jobs = {job["job_name"] for job in prometheus.config(Deployed(changed))["scrape_configs"]}
    assert jobs - {job["job_name"] for job in prometheus.config(Deployed(topology))["scrape_configs"]} == {flow.to}
    assert len(checklist(changed)) == len(checklist(topology)) + 1


def test_every_make_target_and_link_that_it_names_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} -> {link}"
