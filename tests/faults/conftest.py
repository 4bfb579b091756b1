"""More time for the full numbers (--full)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig import FULL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FULL and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))
