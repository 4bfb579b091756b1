"""Structured logs: one line an event on stdout, with a name that can be searched for.

`event(logger, level, "client_closed", "text", reason=..)` logs; an event that may come in storms
passes `storm=True` and is then written at most ten times a second, the rest as a count.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

import orjson

STORM_LINES_PER_SECOND = 10
_COLOURS = {"debug": "2", "info": "36", "warning": "33", "error": "31", "critical": "31;1"}
_windows: dict[str, tuple[int, int]] = {}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": getattr(record, "event", record.name),
        "message": record.getMessage(),
    }
    fields.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = repr(record.exc_info[1])
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return orjson.dumps(_fields(record), default=str).decode()


class TextFormatter(logging.Formatter):
    """`ts LEVEL event message key=value ..`; coloured for `pretty`."""

    def __init__(self, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        ts, level, event, message = (fields.pop(key) for key in ("ts", "level", "event", "message"))
        trace = fields.pop("traceback", None)
        rest = " ".join(f"{key}={value}" for key, value in fields.items())
        name = f"\x1b[{_COLOURS.get(level, '0')}m{level.upper():7}\x1b[0m" if self._colour else level.upper()
        line = f"{ts} {name} {event}: {message} {rest}".rstrip()
        return f"{line}\n{trace}" if trace else line


def configure(level: str, style: str, worker: int | None = None) -> None:
    """Send all logging to stdout: `level` debug..error, `style` json, text or pretty."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(style == "pretty"))
    if worker is not None:
        handler.addFilter(_tag_worker(worker))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Libraries' own news is noise at info; their warnings are not.
    for name in ("uvicorn", "uvicorn.error", "nats", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(max(logging.WARNING, root.level))
    # It says of every request that is no HTTP that it is none, and anyone can send those.
    logging.getLogger("uvicorn.error").filters = [_calm]


def _calm(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.ERROR:
        return True
    left_out = _left_out(record.name)
    if left_out:
        record.fields = {"suppressed": left_out}
    return left_out is not None


def _left_out(name: str) -> int | None:
    """Count one more line of this name: None if it is too many in this second, else how many were before that."""
    second = int(time.monotonic())
    window, count = _windows.get(name, (second, 0))
    suppressed = 0
    if window != second:
        suppressed = max(0, count - STORM_LINES_PER_SECOND)
        count = 0
    _windows[name] = (second, count + 1)
    return None if count >= STORM_LINES_PER_SECOND else suppressed


def _tag_worker(worker: int) -> Any:
    def tag(record: logging.LogRecord) -> bool:
        record.fields = {**getattr(record, "fields", {}), "worker": worker}
        return True

    return tag


def event(
    logger: logging.Logger, level: int, name: str, message: str, *, storm: bool = False, **fields: object
) -> None:
    """Write one event; `storm` limits lines of this name, and the next second's first says how many it left out."""
    if not logger.isEnabledFor(level):
        return
    if storm:
        left_out = _left_out(name)
        if left_out is None:
            return
        if left_out:
            fields["suppressed"] = left_out
    logger.log(level, message, extra={"event": name, "fields": fields})
