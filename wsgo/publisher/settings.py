"""The publisher's environment: every variable, its default, and one message for all its faults."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .market import MAX_TOKENS, token_faults

MAX_RATE = 100_000
"""Messages a second that may be asked for."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_STREAM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def parse_duration(value: object) -> object:
    """Turn `500ms`, `30s`, `5m` or `1h` into seconds; a plain number is seconds already."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match:
        return float(match[1]) * _UNIT_SECONDS[match[2]]
    try:
        return float(value)
    except ValueError:
        raise ValueError("not a duration: write 500ms, 30s, 5m or 1h") from None


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """What the publisher was told to do. Raises `pydantic.ValidationError`; see `faults`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    tokens: Names = Field(
        ("BTC", "ETH", "ODIN", "SOL", "DOGE", "USDT", "BNB", "XRP", "ADA", "MATIC"),
        description=f"Tokens to simulate: up to {MAX_TOKENS} names, comma-separated",
    )
    nats_url: str = Field(
        "nats://127.0.0.1:4222",
        description="NATS servers, comma-separated: nats://[user:password@]host[:port]",
    )
    host: str = Field(
        "0.0.0.0",  # noqa: S104 - in a container only the wildcard is reachable
        description="Address the HTTP API listens on; it has no login, so 127.0.0.1 outside a container",
    )
    port: int = Field(3003, ge=0, le=65535, description="Port of the HTTP API; 0 picks a free one and logs it")
    rate: float = Field(
        25,
        gt=0,
        le=MAX_RATE,
        allow_inf_nan=False,
        description=f"Messages a second, all tokens together, at start: above 0, up to {MAX_RATE}",
    )
    autostart: bool = Field(True, description="Whether publishing begins at start (true, false)")
    js_stream_name: str = Field("ODIN_TOKENS", description="JetStream stream that is made sure of")
    js_stream_max_age: Annotated[float, BeforeValidator(parse_duration)] = Field(
        30,
        ge=0.1,
        le=31_536_000,
        allow_inf_nan=False,
        description="How long the stream keeps a message (30s, 5m, 1h)",
    )
    js_stream_max_msgs: int = Field(100_000, ge=1, description="How many messages the stream keeps")
    js_stream_max_bytes: int = Field(52_428_800, ge=1024, description="How many bytes the stream keeps")
    js_stream_storage: Annotated[Literal["file", "memory"], BeforeValidator(_lower)] = Field(
        "file", description="file or memory; with file a broker restart keeps what clients may still ask for"
    )
    seed: int | None = Field(None, description="Makes every token's price walk repeatable; unset: random")
    log_level: Annotated[Literal["debug", "info", "warn", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warn or error"
    )
    log_format: Annotated[Literal["json", "text", "pretty"], BeforeValidator(_lower)] = Field(
        "json", description="json, text (key=value) or pretty, one line an event"
    )

    @field_validator("tokens")
    @classmethod
    def _safe_names(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        if found := token_faults(tokens):
            raise ValueError("; ".join(found))
        return tokens

    @field_validator("nats_url")
    @classmethod
    def _nats_servers(cls, url: str) -> str:
        for server in url.split(","):
            try:
                parts = urlsplit(server.strip())
                usable = parts.scheme in {"nats", "tls"} and parts.hostname and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("not a NATS address")
        return url

    @field_validator("js_stream_name")
    @classmethod
    def _stream_name(cls, name: str) -> str:
        if not _STREAM_NAME.fullmatch(name):
            raise ValueError("a stream's name has 1-64 letters, digits, '_' or '-'")
        return name

    @property
    def nats_servers(self) -> list[str]:
        """The servers of NATS_URL, as nats-py wants them."""
        return [server.strip() for server in self.nats_url.split(",")]

    @property
    def nats_shown(self) -> str:
        """NATS_URL without user and password, for logs and answers."""
        return ",".join(f"{urlsplit(s).scheme}://{urlsplit(s).netloc.rpartition('@')[2]}" for s in self.nats_servers)


def faults(error: ValidationError) -> str:
    """Say every fault of the environment in one message for the user."""
    lines = []
    for fault in error.errors():
        field = str(fault["loc"][0])
        # A URL may hold a password; what is wrong with it is said without it.
        given = "" if field == "nats_url" else f"={_as_given(fault['input'])}"
        reason = fault["msg"].removeprefix("Value error, ")
        lines.append(f"  {field.upper()}{given}: {reason}. {Settings.model_fields[field].description}.")
    count = len(lines)
    return "\n".join([f"wsgo.publisher: {count} setting{'s' * (count > 1)} cannot be used:", *lines])


def _as_given(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def documentation() -> list[tuple[str, str, str]]:
    """List every environment variable as (name, default as one would write it, description)."""
    return [
        (name.upper(), _as_written(name, field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _as_written(name: str, default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if name == "js_stream_max_age":
        return f"{default}s"
    return _as_given(default)
