"""Tables, JSON and charts say the same, and what is missing is said too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from bench import chart, report
from bench.contestants import ALL
from bench.machine import this
from bench.results import Results, Round
from bench.session import Session
from bench.targets import judge
from tests.bench.test_results import STEADY, cpu

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def session() -> Session:
    rounds = [Round([cpu(8), cpu(8)], {"wsgo": cpu(10), "plain": cpu(20, load=0.99)})]
    results = Results(
        {STEADY.name: rounds}, {"nchan": "no nginx here"}, {("go", STEADY.name): "go-3: no answer\n    why"}
    )
    contestants = [c for c in ALL if c.name in {"floor", "wsgo", "plain", "nchan", "go"}]
    return Session(contestants, [STEADY], "a note", results, this(), {"ws": "8"})


def test_every_contestant_has_a_row() -> None:
    text = report.markdown(session(), judge(session().results, [STEADY]))
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "| 10.00 | 1.25x |" in rows["ws-go"]
    assert "void: client saturated" in rows["uvicorn + Starlette"]
    assert "missing: no nginx here" in rows["nginx + nchan"]
    assert "missing: go-3: no answer" in rows["Go gorilla hub"]
    width = {line.count("|") for line in text.splitlines() if line.startswith(("| ws-go", "| nginx"))}
    assert width == {len(report.COLUMNS) + 1}
    assert "missed | 1.25x" in text


def test_files_are_written(tmp_path: Path) -> None:
    report.write(session(), judge(session().results, [STEADY]), tmp_path)
    data = json.loads((tmp_path / "results.json").read_text())
    found = {c["name"]: c for c in data["loads"][0]["contestants"]}
    assert found["wsgo"]["ratio_to_send"] == 1.25
    assert found["wsgo"]["median"]["cpu"] == 10
    assert found["nchan"]["missing"] == "missing: no nginx here"
    assert data["machine"]["cores"] == this().cores
    names = {path.name for path in tmp_path.iterdir()}
    assert {"results.md", "steady-1000-cpu.svg", "steady-1000-p99.svg", "memory.svg", "handshakes.svg"} <= names


def test_a_chart_is_well_formed_and_drawn_to_scale() -> None:
    rows = [chart.Bar("a & b", 10, "ours"), chart.Bar("half", 5), chart.Bar("<gone>", None, note="why & how")]
    root = ET.fromstring(chart.bars("CPU <x>", "less is better", rows))
    drawn = root.findall(f"{SVG}rect")
    assert [rect.get("class") for rect in drawn] == ["ours", "bar"]
    first, second = (float(rect.get("width") or 0) for rect in drawn)
    assert first == 2 * second
    said = [text.text for text in root.findall(f"{SVG}text")]
    assert {"CPU <x>", "a & b", "10.0", "5.00", "<gone>", "why & how"} <= set(said)
    style = root.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style


def test_figures_are_short() -> None:
    shown = [chart.figure(value) for value in (0.123, 8.04, 12.34, 163.2, 12_345, 3_512_000)]
    assert shown == ["0.12", "8.04", "12.3", "163", "12k", "3.51M"]
