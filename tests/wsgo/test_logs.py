"""wsgo/logs.py: one event a line, and no storms."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from wsgo import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("wsgo.test")


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logs._windows.clear()


def test_json_has_the_event_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", worker=1)
    logs.event(logger, logging.INFO, "something", "it\nhappened", count=3)
    logs.event(logger, logging.DEBUG, "detail", "not at this level")
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert list(record) == ["ts", "level", "event", "message", "count", "worker"]
    assert (record["level"], record["event"], record["message"], record["worker"]) == (
        "info",
        "something",
        "it\nhappened",
        1,
    )


@pytest.mark.parametrize("style", ["text", "pretty"])
def test_text_names_the_same(capsys: pytest.CaptureFixture[str], style: str) -> None:
    logs.configure("warn", style)
    logs.event(logger, logging.WARNING, "something", "happened", count=3)
    line = capsys.readouterr().out
    assert "something: happened count=3" in line
    assert ("\x1b[" in line) == (style == "pretty")


def test_an_exception_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"] == "ValueError('no')"


def test_a_storm_is_ten_lines_a_second_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    with patch("wsgo.logs.time") as clock:
        clock.monotonic.return_value = 5.0
        for _ in range(1000):
            logs.event(logger, logging.INFO, "gone", "client gone", storm=True)
        clock.monotonic.return_value = 6.0
        logs.event(logger, logging.INFO, "gone", "client gone", storm=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 11
    assert lines[-1]["suppressed"] == 990


def test_nor_has_a_library_that_anyone_can_make_talk(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    library = logging.getLogger("uvicorn.error")
    with patch("wsgo.logs.time") as clock:
        clock.monotonic.return_value = 5.0
        for _ in range(1000):
            library.warning("Invalid HTTP request received.")
        library.error("Exception in ASGI application")
        clock.monotonic.return_value = 6.0
        library.warning("Invalid HTTP request received.")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["level"] for line in lines] == [*["warning"] * 10, "error", "warning"]
    assert lines[-1]["suppressed"] == 990
