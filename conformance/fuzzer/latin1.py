"""What Python 2's `str` was, for code written for it: text whose characters are bytes (Latin-1).

The converted test cases go on building their payloads from ordinary string literals; bytes are made
and read at the edge, where they meet autobahn. So not one payload had to be rewritten.
"""

# Run by an environment of its own, whose packages are not installed where types are checked.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import binascii
from typing import Any

from autobahn.websocket import utf8validator


def raw(text: str | bytes) -> bytes:
    """The bytes that Python 2's `str` would have been."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def text(data: str | bytes) -> str:
    """Python 2's `str` for these bytes."""
    return data if isinstance(data, str) else data.decode("latin-1")


def b2a_hex(data: str | bytes) -> str:
    """As binascii's, from and to `str`."""
    return binascii.b2a_hex(raw(data)).decode()


class Utf8Validator(utf8validator.Utf8Validator):  # type: ignore[misc]
    """autobahn's, fed with `str`; the cases ask it which of their prefixes are valid."""

    def validate(self, data: str | bytes) -> Any:
        return super().validate(raw(data))
