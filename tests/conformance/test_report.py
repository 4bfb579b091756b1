"""conformance/report.py: what counts as conforming."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from conformance import report
from conformance.report import Result

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("case", "behavior", "closing", "failed"),
    [
        ("1.1.1", "OK", "OK", False),
        ("1.1.1", "FAILED", "OK", True),
        ("6.4.3", "NON-STRICT", "OK", True),  # RFC 6455 lets a server wait; this one does not
        ("3.1", "OK", "FAILED BY CLIENT", True),
        ("7.9.1", "OK", "WRONG CODE", True),
        ("7.13.1", "INFORMATIONAL", "INFORMATIONAL", False),
        ("7.1.1", "INFORMATIONAL", "OK", True),
        ("7.13.1", "FAILED", "INFORMATIONAL", True),
    ],
)
def test_only_what_the_rfc_leaves_open_may_differ(case: str, behavior: str, closing: str, failed: bool) -> None:
    assert Result(case, behavior, closing, 0).failed is failed


def test_a_case_without_a_result_has_failed(tmp_path: Path) -> None:
    outcome = {"behavior": "OK", "behaviorClose": "OK", "duration": 1500, "reportfile": "ws_go_case_1_1_1.json"}
    (tmp_path / "index.json").write_text(json.dumps({"ws-go": {"1.1.1": outcome}}))
    done, missing = report.read(tmp_path, ["1.1.1", "1.1.2"])
    assert (done.failed, missing.failed) == (False, True)
    assert done.detail == str(tmp_path / "ws_go_case_1_1_1.html")
    assert str(missing) == "1.1.2: NOT RUN, closing: NOT RUN"
    assert report.read(tmp_path / "nothing", ["1.1.2"]) == [missing]


def test_the_table_has_a_row_a_group_and_their_sum() -> None:
    rows = report.table(
        [
            Result("1.1.1", "OK", "OK", 1000),
            Result("10.1.1", "FAILED", "OK", 500),
            Result("7.13.1", "INFORMATIONAL", "INFORMATIONAL", 0),
        ]
    )
    cells = [list(column.cells) for column in rows.columns]
    assert cells[0] == [" 1 Framing", " 7 Closing", "10 Auto-fragmentation", "   all"]
    assert [column[-1] for column in cells[1:]] == ["3", "1", "1", "1", "1.5"]
