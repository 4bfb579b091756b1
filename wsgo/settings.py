"""Every setting: one environment variable, its default, unit and one line of description, checked at start."""

from __future__ import annotations

import difflib
import math
import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

KIB, MIB = 1024, 1024 * 1024
_SIZES = {"": 1, "B": 1, "KB": 1000, "MB": 10**6, "GB": 10**9, "KIB": KIB, "MIB": MIB, "GIB": 1024 * MIB}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# The plan's names for a design with a worker pool. There is none here: one loop writes to all clients.
WITHOUT_EFFECT = ("WS_WORKER_POOL_SIZE", "WS_WORKER_QUEUE_SIZE", "WS_MAX_GOROUTINES")


class SettingsError(ValueError):
    """The settings are not usable; the message names every fault, one a line."""


def parse_size(value: object) -> object:
    """`64KiB`, `512 MiB`, `1GB` or a number of bytes -> bytes."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", value)
    if not match or match[2].upper() not in _SIZES:
        raise ValueError("not a size; write bytes, or a number with KiB, MiB or GiB")
    return int(match[1]) * _SIZES[match[2].upper()]


def parse_duration(value: object) -> object:
    """`500ms`, `15s`, `2m` or a number of seconds -> seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|)\s*", value)
    if not match:
        raise ValueError("not a duration; write seconds, or a number with ms, s, m or h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_address(value: str) -> tuple[str, int]:
    """`:3002`, `127.0.0.1:3002` or `[::1]:3002` -> (host, port); an empty host is every IPv4 address."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("not an address; write :PORT or HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 - a server


def _split(value: object) -> object:
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Percent = Annotated[float, Field(gt=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0)]


class Settings(BaseSettings):
    """What the server was told; field `x` is the variable named in its alias."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    addr: str = Field(":3002", alias="WS_ADDR", description="Address clients connect to, [host]:port.")
    internal_addr: str = Field(
        "",
        alias="WS_INTERNAL_ADDR",
        description="Address for /metrics and health only; empty: /metrics is on WS_ADDR. Set: it is only here.",
    )
    nats_url: str = Field("nats://127.0.0.1:4222", alias="NATS_URL", description="NATS server(s), comma-separated.")
    stream: str = Field("ODIN_TOKENS", alias="JS_STREAM_NAME", description="JetStream stream to fan out.")
    cpu_limit: float = Field(
        1.0, alias="WS_CPU_LIMIT", ge=0, description="CPU cores the server may use, all workers together; 0: no limit."
    )
    memory_limit: Size = Field(
        512 * MIB, alias="WS_MEMORY_LIMIT", description="Memory for all workers together, bytes or MiB; 0: no limit."
    )
    max_connections: Count = Field(
        10_000, alias="WS_MAX_CONNECTIONS", description="Clients over all workers; 0: no limit."
    )
    max_nats_rate: Rate = Field(
        0,
        alias="WS_MAX_NATS_RATE",
        description="Messages/s taken from NATS for fan-out; those above stay replayable; 0: no limit.",
    )
    max_broadcast_rate: Rate = Field(
        0,
        alias="WS_MAX_BROADCAST_RATE",
        description="Messages/s fanned out, when someone subscribed; those above stay replayable; 0: no limit.",
    )
    cpu_reject_threshold: Percent = Field(
        75.0, alias="WS_CPU_REJECT_THRESHOLD", description="Percent of WS_CPU_LIMIT above which clients are refused."
    )
    cpu_pause_threshold: Percent = Field(
        80.0,
        alias="WS_CPU_PAUSE_THRESHOLD",
        description="Percent of WS_CPU_LIMIT above which each message is held back for WS_MAX_LATENCY_MS.",
    )
    log_level: Literal["debug", "info", "warn", "error"] = Field(
        "info", alias="LOG_LEVEL", description="debug, info, warn or error."
    )
    log_format: Literal["json", "text", "pretty"] = Field(
        "json", alias="LOG_FORMAT", description="json, text or pretty (coloured)."
    )
    metrics_interval: Duration = Field(
        1.0, alias="METRICS_INTERVAL", gt=0, description="How often a worker shares its figures with the others, s."
    )
    environment: str = Field("development", alias="ENVIRONMENT", description="Named in the first log line.")
    workers: Count = Field(
        0, alias="WS_WORKERS", le=256, description="Processes; 0: WS_CPU_LIMIT rounded up, at most the machine's cores."
    )
    max_latency_ms: int = Field(
        250,
        alias="WS_MAX_LATENCY_MS",
        ge=0,
        description="Longest that fan-out holds a message back to save CPU, ms; 0: never.",
    )
    max_connections_per_ip: Count = Field(
        0,
        alias="WS_MAX_CONNECTIONS_PER_IP",
        description="Clients from one address, shared out evenly between workers; 0: no limit.",
    )
    accept_rate: Rate = Field(
        0, alias="WS_ACCEPT_RATE", description="Handshakes/s, shared out between workers; 0: no limit."
    )
    live_page: bool = Field(True, alias="WS_LIVE_PAGE", description="Serve the live page at `/`.")
    client_buffer: Size = Field(
        64 * KIB,
        alias="WS_CLIENT_BUFFER",
        gt=0,
        description="Unsent bytes past which a client gets only the latest message of each channel.",
    )
    send_buffer: Size = Field(
        128 * KIB,
        alias="WS_SEND_BUFFER",
        description="Kernel send buffer of a client's socket, bytes; smaller shows slow readers earlier; 0: kernel's.",
    )
    slow_client_timeout: Duration = Field(
        30.0, alias="WS_SLOW_CLIENT_TIMEOUT", description="A client that stays slow so long is closed, s; 0: never."
    )
    replay_messages: Count = Field(
        50_000, alias="WS_REPLAY_MESSAGES", description="Messages each worker holds for replay; 0: none."
    )
    replay_bytes: Size = Field(
        64 * MIB, alias="WS_REPLAY_BYTES", description="Bytes each worker holds for replay; 0: no limit."
    )
    client_rate: Rate = Field(10, alias="WS_CLIENT_RATE", description="Requests/s of one client; 0: no limit.")
    client_burst: int = Field(
        100, alias="WS_CLIENT_BURST", ge=1, description="Requests one client may send at once; twice as many close it."
    )
    max_message_size: Size = Field(
        64 * KIB, alias="WS_MAX_MESSAGE_SIZE", description="Longest request, bytes; 0: no limit."
    )
    max_channels: Count = Field(
        1_000, alias="WS_MAX_CHANNELS", description="Channels and patterns one client may hold; 0: no limit."
    )
    ping_interval: Duration = Field(
        25.0,
        alias="WS_PING_INTERVAL",
        description="Seconds between pings; a client silent from one to the next is closed; 0: no pings.",
    )
    handshake_timeout: Duration = Field(
        10.0, alias="WS_HANDSHAKE_TIMEOUT", description="Seconds a socket may take for its request; 0: no limit."
    )
    shutdown_grace: Duration = Field(
        10.0, alias="WS_SHUTDOWN_GRACE", description="Seconds over which clients are closed when the server leaves."
    )
    allowed_origins: Names = Field(
        (), alias="WS_ALLOWED_ORIGINS", description="Origins browsers may connect from, comma-separated; empty: any."
    )
    auth_token: str = Field(
        "",
        alias="WS_AUTH_TOKEN",
        repr=False,
        description="Bearer token clients must send, as Authorization header or ?token=; empty: none.",
    )
    jwt_key_file: str = Field(
        "",
        alias="WS_JWT_KEY_FILE",
        description="Clients must send a JWT signed by this: a file with a JWKS, a PEM public key or a secret; "
        "read again when it changes; empty: none.",
    )
    jwt_audience: str = Field("", alias="WS_JWT_AUDIENCE", description="`aud` that a JWT must have; empty: any.")
    jwt_issuer: str = Field("", alias="WS_JWT_ISSUER", description="`iss` that a JWT must have; empty: any.")
    jwt_channels_claim: str = Field(
        "channels",
        alias="WS_JWT_CHANNELS_CLAIM",
        min_length=1,
        description="Claim of a JWT that lists the channels and patterns its client may subscribe to; absent: all.",
    )
    worker_pool_size: int = Field(0, alias=WITHOUT_EFFECT[0], description="Accepted, no effect: no worker pool here.")
    worker_queue_size: int = Field(0, alias=WITHOUT_EFFECT[1], description="Accepted, no effect: no worker pool here.")
    max_goroutines: int = Field(0, alias=WITHOUT_EFFECT[2], description="Accepted, no effect: no goroutines here.")

    @field_validator("addr", "internal_addr")
    @classmethod
    def _check_address(cls, value: str, info: ValidationInfo) -> str:
        if value:
            _, port = parse_address(value)
            if info.field_name == "internal_addr" and port and value == info.data.get("addr"):
                raise ValueError("the same as WS_ADDR; give /metrics an address of its own, or leave it empty")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_alias(cls, value: object) -> object:
        lowered = value.lower() if isinstance(value, str) else value
        return "warn" if lowered == "warning" else lowered

    @field_validator("nats_url")
    @classmethod
    def _check_nats_url(cls, value: str) -> str:
        for url in value.split(","):
            parts = urlsplit(url.strip())
            if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname:
                raise ValueError("not a NATS URL; write nats://host:4222")
        return value

    @field_validator("stream")
    @classmethod
    def _check_stream(cls, value: str) -> str:
        if not re.fullmatch(r"[^\s.*>/\\]+", value):
            raise ValueError("not a stream name; it may hold no space, dot, wildcard or slash")
        return value

    @field_validator("jwt_key_file")
    @classmethod
    def _check_keys(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("auth_token"):
            raise ValueError("WS_AUTH_TOKEN is set too; use one of them")
        if value:
            from wsgo.credentials import Credentials, KeyFileError

            try:
                Credentials(value)
            except KeyFileError as error:
                raise ValueError(f"the file {error}") from None
        return value

    @field_validator("cpu_pause_threshold")
    @classmethod
    def _check_pause(cls, value: float, info: ValidationInfo) -> float:
        reject = info.data.get("cpu_reject_threshold")
        if reject is not None and value < reject:
            raise ValueError(f"below WS_CPU_REJECT_THRESHOLD ({reject:g}); it must be at least that")
        return value

    @property
    def worker_count(self) -> int:
        """Processes to run."""
        if self.workers:
            return self.workers
        cores = len(os.sched_getaffinity(0))
        return max(1, min(cores, math.ceil(self.cpu_limit or cores)))


def load(flags: Mapping[str, str] | None = None) -> Settings:
    """Settings from `flags` (by variable name), else the environment; raises SettingsError naming all faults."""
    given: dict[str, Any] = dict(flags or {})
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            name = str(fault["loc"][0])
            value = given.get(name, os.environ.get(name, ""))
            # A token, or the password in a URL, is nobody's business but the operator's.
            shown = "" if name == "WS_AUTH_TOKEN" else f"={re.sub('//[^@/]*@', '//***@', str(value))!r}"
            lines.append(f"  {name}{shown}: {fault['msg'].removeprefix('Value error, ')}")
        raise SettingsError("wsgo: cannot start with these settings:\n" + "\n".join(lines)) from None


def warnings(environ: Mapping[str, str]) -> list[str]:
    """One line for each thing in the environment that is not wrong but surely not meant."""
    known = [name for name, _, _ in documentation()]
    found = []
    ignored = [name for name in WITHOUT_EFFECT if environ.get(name)]
    if ignored:
        found.append(f"{', '.join(ignored)}: no effect here, there is no worker pool: one loop writes to all clients")
    for name in sorted(environ):
        if name.startswith("WS_") and name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.6)
            hint = f"; did you mean {close[0]}?" if close else ""
            found.append(f"{name}: no such setting{hint}")
    return found


def documentation() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in the order they are declared."""
    rows = []
    for field in Settings.model_fields.values():
        default = field.default
        if isinstance(default, bool):
            shown = str(default).lower()
        elif isinstance(default, tuple):
            shown = ",".join(default)
        elif isinstance(default, int) and default >= KIB and default % KIB == 0:
            shown = f"{default // MIB}MiB" if default % MIB == 0 else f"{default // KIB}KiB"
        elif isinstance(default, float):
            shown = f"{default:g}"
        else:
            shown = str(default)
        rows.append((str(field.alias), shown, str(field.description)))
    return rows
