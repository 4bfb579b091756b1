"""The two ways in which a probe ends: it returns what it saw, or says what it missed."""

from __future__ import annotations


class No(Exception):  # noqa: N818 - an answer, not an error
    """The check does not hold; the message says what was seen instead."""
