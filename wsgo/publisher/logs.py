"""The publisher's events, in the log format of ws-go."""

from __future__ import annotations

import logging

from wsgo import logs

_log = logging.getLogger("wsgo.publisher")


def event(name: str, message: str, level: int = logging.INFO, **fields: object) -> None:
    """Log the event `name`: `message` for a reader, `fields` for a query."""
    logs.event(_log, level, name, message, storm=False, **fields)


def failure(name: str, message: str, error: BaseException) -> None:
    """Log an error of the program itself, with its traceback."""
    _log.error(message, exc_info=error, extra={"event": name})
