"""The kinds of values that settings have, each refusing the others in words."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from constructs_lib.machines import MACHINE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable


def _like(pattern: str, words: str) -> AfterValidator:
    """A string of this form; `words` say which to somebody who does not read patterns."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"not {words}")
        return value

    return AfterValidator(check)


def _one_of(known: tuple[str, ...], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"not a {what}; known are {', '.join(known)}")
        return value

    return AfterValidator(check)


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError as error:
        raise ValueError(f"not a network: {error}; write it as 203.0.113.0/24") from None
    return value


def _image(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9./_-]+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", value) or ":" not in value:
        raise ValueError("not an image with its version: write name:tag or name@sha256:digest")
    if value.endswith(":latest"):
        raise ValueError("latest is no version: what runs would change without a deployment")
    return value


def _list(value: object) -> object:
    """A list in the environment: words with commas between, or JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({item for item in value if value.count(item) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} named twice")
    return value


_from_text: Callable[[object], object] = _list

Cidr = Annotated[str, AfterValidator(_network)]
Cidrs = Annotated[tuple[Cidr, ...], NoDecode, BeforeValidator(_from_text)]
Image = Annotated[str, AfterValidator(_image)]
LogLevel = Annotated[str, _one_of(("debug", "info", "warn", "error"), "log level")]
MachineType = Annotated[str, _one_of(tuple(MACHINE_TYPES), "machine type")]
Project = Annotated[
    str,
    _like(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project ID: 6 to 30 lower-case letters, digits and hyphens"),
]
Region = Annotated[str, _like(r"[a-z]+-[a-z]+\d+", "a region, such as us-central1")]
Zone = Annotated[str, _like(r"[a-z]+-[a-z]+\d+-[a-z]", "a zone, such as us-central1-a")]
Network = Annotated[
    str, _like(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "a network name: lower-case letters, digits and hyphens, at most 63")
]
BootImage = Annotated[str, _like(r"[\w.:-]+/[\w.-]+", "an image family, written as project/family")]
# What a NATS subject takes as one token, and the publisher too.
Token = Annotated[str, _like(r"[A-Za-z0-9_-]{1,32}", "a symbol: 1 to 32 letters, digits, _ or -")]
Tokens = Annotated[tuple[Token, ...], NoDecode, BeforeValidator(_from_text), AfterValidator(_distinct)]
